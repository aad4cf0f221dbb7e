"""Store, API server and one node with its agent, all in a network namespace of their own, driven by the real kubectl.

Needs root. Everything is made for the test and goes with it: namespace, processes, control groups, mounts, files.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from cluster import BIN, SKIP, require, wait_until

NODE_IP = "192.0.2.1"
PATIENCE = 90  # seconds until a step that takes none is called failed: machines may be busy


def require_node():
    if os.geteuid() != 0:
        print("skipped: pods need root")
        raise SystemExit(SKIP)
    for program in ("ip", "nft", "nsenter", "kubectl", "busybox"):
        require(program)
    if subprocess.run(["busybox", "sh", "-c", "exit 0"], capture_output=True, check=False).returncode != 0:
        print("skipped: busybox does not run")
        raise SystemExit(SKIP)
    probe = f"agent-{os.getpid()}-probe"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
        print("skipped: network namespaces cannot be made here")
        raise SystemExit(SKIP)
    subprocess.run(["ip", "netns", "del", probe], check=True)


class Node:
    """with Node() as node: node.kubectl("get", "pods")"""

    def __init__(self, name="n1"):
        self.name = name
        self.namespace = f"agent-{os.getpid()}"
        self.cgroup = f"/agent-test-{os.getpid()}"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="kvagent-"))
        self.data = self.directory / "node"
        self.static = self.directory / "static"
        self.processes = {}

    def _inside(self):
        return ["nsenter", f"--net=/run/netns/{self.namespace}"]

    def _start(self, name, *command):
        log = open(self.directory / f"{name}.log", "ab")  # pylint: disable=consider-using-with
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("CORACLE_R", "KUBE"))}
        self.processes[name] = subprocess.Popen(
            [*self._inside(), *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            start_new_session=True)
        log.close()

    def start_agent(self, *extra):
        self._start("agent", BIN / "orchd", "agent", "--kubeconfig", self.directory / "kubeconfig", "--node-name", self.name,
                    "--node-ip", NODE_IP, "--data-dir", self.data, "--cgroup-parent", self.cgroup, "--static-pod-path",
                    self.static, *extra)

    def kill_agent(self):
        process = self.processes.pop("agent")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def reboot(self):
        """What a restart of the machine takes away: processes, mounts, interfaces. The agent is killed and started."""
        self.kill_agent()
        self._kill_containers()
        for mount in sorted(self.mounts(), reverse=True):
            subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
        self.inside("ip", "link", "del", "cni0")
        self.start_agent()

    def import_image(self, name):
        """busybox with all its commands, as an image."""
        root = self.directory / "root"
        (root / "bin").mkdir(parents=True)
        (root / "etc").mkdir()
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n")
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        names = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
        for each in names:
            if each != "busybox":
                (root / "bin" / each).symlink_to("busybox")
        archive = self.directory / "root.tar"
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        environment = {**os.environ, "CORACLE_ROOT": str(self.data / "store")}
        self.data.mkdir(exist_ok=True)
        subprocess.run([BIN / "kvimage", "import", archive, name], check=True, env=environment, capture_output=True,
                       stdin=subprocess.DEVNULL)

    def __enter__(self):
        try:
            self._bring_up()
        except BaseException:
            self._remove()
            raise
        return self

    def _bring_up(self):
        for command in (["netns", "add", self.namespace], ["-n", self.namespace, "link", "set", "lo", "up"],
                        ["-n", self.namespace, "link", "add", "node0", "type", "bridge"],
                        ["-n", self.namespace, "addr", "add", f"{NODE_IP}/32", "dev", "node0"],
                        ["-n", self.namespace, "link", "set", "node0", "up"]):
            subprocess.run(["ip", *command], check=True, capture_output=True)
        peer = "http://127.0.0.1:2380"
        client = "http://127.0.0.1:2379"
        self._start("kvd", BIN / "kvd", "--data-dir", self.directory / "kv", "--listen-client-urls", client,
                    "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                    "--initial-cluster", f"default={peer}")
        (self.directory / "token.key").write_bytes(os.urandom(48))
        self._start("orchd", BIN / "orchd", "--endpoints", "127.0.0.1:2379", "--insecure-port", "8080", "--token-key-file",
                    self.directory / "token.key", "--write-kubeconfig", self.directory / "kubeconfig")
        self.static.mkdir()
        self.import_image("busybox:1")
        wait_until(lambda: self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0, PATIENCE, "the API is ready")
        self.start_agent()

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.tell()
        self._remove()

    def tell(self):
        """What helps to understand a failure."""
        for command in (["get", "pods", "-A", "-o", "wide"], ["get", "events", "-A"]):
            print(self.kubectl(*command, check=False).stdout[-4000:])
        for log in sorted(self.directory.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}")

    def cgroup_directories(self):
        return [p for p in pathlib.Path("/sys/fs/cgroup").glob(f"*{self.cgroup}")] + \
            [p for p in [pathlib.Path(f"/sys/fs/cgroup{self.cgroup}")] if p.exists()]

    def mounts(self):
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if line.split()[4].startswith(str(self.directory) + "/")]

    def _kill_containers(self):
        """Shims by their sockets' names in their command lines, containers by our control group."""
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"kvshim" in command and str(self.directory).encode() + b"/" in command:
                os.kill(int(entry.name), signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            pids = {int(pid) for top in self.cgroup_directories() for f in top.rglob("cgroup.procs")
                    for pid in f.read_text().split()}
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)  # until the kernel has taken them out of their groups

    def _remove(self):
        for name in ("agent", "orchd", "kvd"):
            process = self.processes.pop(name, None)
            if process is not None:
                process.kill()
                process.wait()
        self._kill_containers()
        for mount in sorted(self.mounts(), reverse=True):
            subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
        for top in self.cgroup_directories():
            for directory in sorted([d for d in top.rglob("*") if d.is_dir()], reverse=True):
                directory.rmdir()
            top.rmdir()
        subprocess.run(["ip", "netns", "del", self.namespace], capture_output=True, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    # ---- kubectl ----

    def _environment(self):
        return {**os.environ, "HOME": str(self.directory), "KUBECONFIG": str(self.directory / "kubeconfig")}

    def kubectl(self, *arguments, stdin=None, check=True, text=True):
        result = subprocess.run([*self._inside(), "kubectl", *arguments], capture_output=True, text=text, check=False,
                                env=self._environment(), timeout=PATIENCE,
                                **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}))
        if check and result.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {result.stdout}{result.stderr}")
        return result

    def open_kubectl(self, *arguments, **options):
        return subprocess.Popen([*self._inside(), "kubectl", *arguments], text=True, env=self._environment(),
                                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT,
                                   **options})

    def apply(self, manifest):
        self.kubectl("apply", "-f", "-", stdin=manifest)

    def get(self, *what):
        result = self.kubectl("get", *what, "-o", "json", check=False)
        return json.loads(result.stdout) if result.returncode == 0 else {}

    def exec(self, pod, *command, container=None, check=True, stdin=None):
        where = ["-c", container] if container else []
        flags = ["-i"] if stdin is not None else []
        return self.kubectl("exec", *flags, pod, *where, "--", *command, check=check, stdin=stdin)

    def inside(self, *command):
        return subprocess.run([*self._inside(), *command], capture_output=True, text=True, check=False, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL)

    def pod_status(self, pod):
        return self.get("pod", pod).get("status", {})

    def container_status(self, pod, container=None, field="containerStatuses"):
        statuses = self.pod_status(pod).get(field, [])
        return next((s for s in statuses if container in (None, s["name"])), {})

    def wait_ready(self, pod):
        def is_ready():
            conditions = self.pod_status(pod).get("conditions", [])
            return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        wait_until(is_ready, PATIENCE, f"{pod} is ready")
