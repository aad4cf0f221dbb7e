#!/usr/bin/env python3
"""The whole mission, as scripts/up starts it: three store members, API server, scheduler, two controllers, and three nodes
with agent, proxy and DNS, each node in a network namespace of its own. Needs root.

The "host" of the mission is a network namespace made here, so nothing of the machine's own network is touched. What is shown:
the web site answers at its cluster address, at the node ports and by name from pods on every node; a rollout completes while
the store's leader is killed; API server, scheduler, controllers and an agent are killed and nothing is lost or doubled; a node
is killed and its pods come up elsewhere; workloads that come and go leave nothing behind.

    test_mission.py [--cycles N]     apply and delete N times (default: 3)
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, ROOT, SKIP, require, wait_until  # noqa: E402

PATIENCE = 120  # seconds for anything that must happen; the machine may be very busy
SITE = "Coracle carries you."
NODES = ["node1", "node2", "node3"]
SUBNET = "10.87.0"


class Mission:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="coracle-mission-"))
        self.run = self.directory / "run"
        self.prefix = f"cm{os.getpid()}"
        self.hub = f"{self.prefix}-hub"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("CORACLE", "KVCTL", "ETCDCTL", "KUBECONFIG"))}
        self.environment.update(CORACLE_RUN=str(self.run), CORACLE_PREFIX=self.prefix, CORACLE_SUBNET=SUBNET, CORACLE_BIN=str(BIN),
                                CORACLE_SKIP_INSTALL="1", CORACLE_NODE_GRACE="20", KUBECONFIG=str(self.run / "kubeconfig"),
                                HOME=str(self.directory), KVCTL_ENDPOINTS="http://127.0.0.1:2379,http://127.0.0.1:22379,http://127.0.0.1:32379")

    def command(self, *words, stdin=None, check=True, seconds=PATIENCE, where=None):
        """A command on the mission's host (or on a node)."""
        namespace = self.hub if where is None else f"{self.prefix}-{where}"
        result = subprocess.run(["nsenter", f"--net=/run/netns/{namespace}", "--", *words], capture_output=True, text=True, cwd=ROOT,
                                input=stdin if stdin is not None else "", env=self.environment, timeout=seconds, check=False)
        if check and result.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {result.stdout[-2000:]} {result.stderr[-2000:]}")
        return result

    def kvctl(self, *words, **options):
        return self.command(str(BIN / "kvctl"), *words, **options)

    def up(self):
        return self.command("scripts/up", seconds=400).stdout

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.hub], check=True)
        subprocess.run(["ip", "-n", self.hub, "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            for words in (("nodes",), ("ls", "pods", "-A", "-o", "wide"), ("ls", "events", "-A")):
                print("\n".join(self.kvctl(*words, check=False).stdout.splitlines()[-25:]))
            for log in sorted(self.run.glob("*.log")):
                print(f"--- {log.name}: " + "\n".join(log.read_text(errors="replace").splitlines()[-6:]))
        try:
            down = self.command("scripts/down", "--clean", check=False, seconds=200)
            left = self.leftovers()
            if error is None:
                assert down.returncode == 0, f"scripts/down: {down.stdout} {down.stderr}"
                assert not left, f"scripts/down left {left}"
        finally:
            subprocess.run(["ip", "netns", "del", self.hub], check=False)
            shutil.rmtree(self.directory, ignore_errors=True)

    def leftovers(self):
        """What scripts/down should have removed."""
        left = [str(path) for path in pathlib.Path("/run/netns").glob(f"{self.prefix}-node*")]
        left += [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(self.directory) in line]
        left += [str(path) for path in self.cgroups()]
        left += [path.parent.name for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if self.is_ours(path)]
        return left

    def is_ours(self, path):
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError:
            return False
        return str(self.run) in text and path.parent.name != str(os.getpid())

    def cgroups(self):
        found = []
        for base, folders, _ in os.walk("/sys/fs/cgroup"):
            if f"/{self.prefix}/" in base + "/":
                found.append(pathlib.Path(base))
            elif base.count("/") > 5:
                folders.clear()
        return found

    # ---- what runs ----

    def pid(self, name):
        return int((self.run / f"{name}.pid").read_text())

    def kill(self, *names):
        for name in names:
            pid = self.pid(name)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: not pathlib.Path(f"/proc/{pid}/exe").exists() or is_zombie(pid), PATIENCE, f"{name} is gone")

    def objects(self, kind, *more):
        result = self.kvctl("ls", kind, "-o", "json", *more, check=False)
        return json.loads(result.stdout)["items"] if result.returncode == 0 else None

    def web_pods(self, node=None):
        """The pods of the site that are ready and not on their way out."""
        pods = self.objects("pods", "-l", "app=web")
        return [p for p in pods or [] if is_ready(p) and "deletionTimestamp" not in p["metadata"]
                and (node is None or p["spec"]["nodeName"] == node)]

    def wait_web(self, count, what, nodes=None):
        def settled():
            pods = self.objects("pods", "-l", "app=web")
            here = [p for p in pods or [] if nodes is None or p["spec"].get("nodeName") in nodes]
            return pods is not None and len(here) == count and all(is_ready(p) for p in here) and here
        return wait_until(settled, PATIENCE, what)

    def servers(self, pods):
        """The processes of these pods' containers, by pod: exactly one each, or something is doubled."""
        found = {}
        for pod in pods:
            uid = pod["metadata"]["uid"]
            pids = set()
            for group in self.cgroups():
                if uid in str(group).replace("_", "-"):
                    pids.update(read_pids(group))
            found[uid] = {pid for pid in pids if "httpd" in command_of(pid)}
        return found

    def fetch_from_pod(self, pod, url):
        result = self.kvctl("exec", f"pod/{pod['metadata']['name']}", "--", "timeout", "5", "wget", "-q", "-O", "-", url, check=False)
        return result.returncode == 0 and result.stdout.strip() == SITE

    def leader(self):
        for index, port in enumerate((2379, 22379, 32379)):
            result = self.command(str(BIN / "kvctl"), "--endpoints", f"http://127.0.0.1:{port}", "endpoint", "status", "-w", "json",
                                  check=False, seconds=30)
            if result.returncode == 0:
                status = json.loads(result.stdout)[0]["Status"]
                if status.get("leader") == status["header"]["member_id"]:
                    return f"member{index + 1}"
        return None


def is_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def is_zombie(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def read_pids(group):
    try:
        return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    except OSError:
        return set()


def command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def check_answers(mission):
    """Every way to the site, from a pod on every node."""
    service = json.loads(mission.kvctl("ls", "svc/web", "-o", "json").stdout)
    urls = [f"http://{service['spec']['clusterIP']}/", "http://web/", "http://web.default.svc.cluster.local/"]
    urls += [f"http://{SUBNET}.{i}:30080/" for i in (1, 2, 3)]
    pods = mission.wait_web(3, "three web pods are ready")
    assert {p["spec"]["nodeName"] for p in pods} == set(NODES), "the pods are not spread over the nodes"
    for pod in pods:
        for url in urls:
            wait_until(lambda pod=pod, url=url: mission.fetch_from_pod(pod, url), PATIENCE, f"{url} from {pod['spec']['nodeName']}")
        for other in pods:
            url = f"http://{other['status']['podIP']}:8080/"
            wait_until(lambda pod=pod, url=url: mission.fetch_from_pod(pod, url), PATIENCE, f"{url} from {pod['spec']['nodeName']}")
    print("ok: cluster address, name, node ports and pods answer from every node")


def check_kubectl(mission):
    if shutil.which("kubectl") is None:
        print("skipped: kubectl is not installed")
        return
    for words, expected in ((["get", "nodes"], "node3"), (["get", "pods", "-o", "wide"], "Running"), (["rollout", "status", "deploy/web"], "rolled out"),
                            (["logs", "deploy/web", "--tail=5"], ""), (["exec", "deploy/web", "--", "hostname"], "web-"),
                            (["get", "endpointslices", "-A"], "kube-dns-node2")):
        result = mission.command("kubectl", *words)
        assert expected in result.stdout, f"kubectl {words}: {result.stdout}"
    print("ok: kubectl sees the same")


def check_rollout_without_leader(mission):
    before = {p["metadata"]["uid"] for p in mission.web_pods()}
    mission.kvctl("rollout", "restart", "deploy/web")
    leader = wait_until(mission.leader, PATIENCE, "the store has a leader")
    mission.kill(leader)
    wait_until(lambda: mission.kvctl("rollout", "status", "deploy/web", "--timeout", "10", check=False).returncode == 0, PATIENCE,
               "the rollout completes")
    pods = mission.wait_web(3, "three new web pods and no old ones")
    assert not before & {p["metadata"]["uid"] for p in pods}, "old pods are still there"
    mission.up()
    print(f"ok: the rollout completed although {leader}, the store's leader, was killed")


def check_control_plane_kills(mission):
    """Everything is killed at once while the deployment grows; a supervisor (scripts/up) starts it again."""
    before = mission.wait_web(3, "three web pods")
    processes = mission.servers(before)
    assert all(len(pids) == 1 for pids in processes.values()), f"each pod has one server: {processes}"
    mission.kvctl("scale", "deploy/web", "5")
    mission.kill("api", "scheduler", "controllers1", "controllers2", "node1-agent", "node2-proxy", "node3-dns")
    mission.up()
    pods = mission.wait_web(5, "five web pods")
    after = mission.servers(pods)
    assert all(len(pids) == 1 for pids in after.values()), f"each pod has one server: {after}"
    for uid, pids in processes.items():
        assert after.get(uid) == pids, f"a running container was touched: {pids} became {after.get(uid)}"
    mission.kvctl("scale", "deploy/web", "3")
    mission.wait_web(3, "three web pods again")
    print("ok: API server, scheduler, controllers, agent, proxy and DNS were killed: nothing lost, nothing doubled")


EXTRA = """
apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
data: {a: b}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: extra}
spec:
  replicas: 2
  selector: {matchLabels: {app: extra}}
  template:
    metadata: {labels: {app: extra}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: c, image: busybox, imagePullPolicy: IfNotPresent, command: [sleep, "100000"], volumeMounts: [{name: v, mountPath: /v}]}
      volumes: [{name: v, configMap: {name: extra}}]
---
apiVersion: v1
kind: Service
metadata: {name: extra}
spec: {selector: {app: extra}, ports: [{port: 80}]}
"""


def check_cycles(mission, cycles):
    manifest = mission.directory / "extra.yaml"
    manifest.write_text(EXTRA)
    mounts = lambda: sum(str(mission.directory) in line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())  # noqa: E731
    groups = lambda: len(mission.cgroups())  # noqa: E731
    before = None
    for _ in range(cycles):
        if before is None:
            before = (mounts(), groups())
        mission.kvctl("apply", "-f", str(manifest))
        wait_until(lambda: mission.kvctl("rollout", "status", "deploy/extra", "--timeout", "10", check=False).returncode == 0, PATIENCE,
                   "extra is rolled out")
        mission.kvctl("delete", "-f", str(manifest))
        for kind in ("pods", "replicasets", "endpointslices"):
            wait_until(lambda kind=kind: [o for o in mission.objects(kind) or [None]
                                          if o is None or o["metadata"]["name"].startswith("extra")] == [], PATIENCE, f"no {kind} of extra")
        wait_until(lambda: (mounts(), groups()) == before, PATIENCE, "no mounts and cgroups of extra")
    for node in NODES:
        rules = mission.command("nft", "list", "table", "ip", "coracle-proxy", where=node).stdout
        wait_until(lambda node=node: "extra" not in mission.command("nft", "list", "table", "ip", "coracle-proxy", where=node).stdout,
                   PATIENCE, f"no rules of extra on {node}: {rules[:0]}")
    print(f"ok: {cycles} times applied and deleted, nothing left")


def check_node_killed(mission):
    """The agent, the network's programs and the containers of a node end at once, and nobody starts them again."""
    victim = "node3"
    mission.kvctl("scale", "deploy/web", "4")
    mission.wait_web(4, "four web pods")
    for name in ("agent", "proxy", "dns"):
        mission.kill(f"{victim}-{name}")
    for group in mission.cgroups():
        if f"/{mission.prefix}/{victim}" in str(group):
            for pid in read_pids(group):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
    pods = mission.wait_web(4, "four web pods elsewhere", nodes=("node1", "node2"))
    for pod in (pods[0], pods[-1]):
        wait_until(lambda pod=pod: mission.fetch_from_pod(pod, "http://web/"), PATIENCE, "the site answers")
    print("ok: a node was killed, its pods run elsewhere")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cycles", type=int, default=3)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: the mission needs root")
        raise SystemExit(SKIP)
    for program in ("ip", "nft", "nsenter", "openssl", "busybox"):
        require(program)
    probe = f"cm{os.getpid()}-probe"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
        print("skipped: network namespaces cannot be made here")
        raise SystemExit(SKIP)
    subprocess.run(["ip", "netns", "del", probe], check=True)
    with Mission() as mission:
        print(mission.up())
        mission.environment["CORACLE_NO_EXAMPLE"] = "1"  # from now on it only starts what does not run
        mission.kvctl("apply", "-f", "-", stdin=short_tolerations())
        wait_until(lambda: mission.kvctl("rollout", "status", "deploy/web", "--timeout", "10", check=False).returncode == 0, PATIENCE,
                   "the web site is rolled out")
        check_answers(mission)
        check_kubectl(mission)
        check_rollout_without_leader(mission)
        check_control_plane_kills(mission)
        check_cycles(mission, arguments.cycles)
        check_node_killed(mission)


def short_tolerations():
    """The example, with pods that leave a silent node after a second instead of five minutes."""
    text = (ROOT / "examples" / "web.yaml").read_text()
    tolerations = "".join(
        f"        - {{key: node.kubernetes.io/{key}, operator: Exists, effect: NoExecute, tolerationSeconds: 1}}\n"
        for key in ("not-ready", "unreachable"))
    return text.replace("      terminationGracePeriodSeconds: 1\n", f"      terminationGracePeriodSeconds: 1\n      tolerations:\n{tolerations}")


if __name__ == "__main__":
    main()
