"""A cluster of real kvd processes on loopback, for the tests with real processes.

Everything lives in one temporary directory and ends with the `with` block, whatever happens in it: no process, no file
stays. Nothing sleeps to be on the safe side: waiting is always for an event, with a deadline that fails the test.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CORACLE_BIN", ROOT / "build" / "release" / "bin"))
SKIP = 77


def free_ports(count):
    """Ports that nobody listens on now; all are held open until all are known, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)  # a poll of an event that cannot be waited for otherwise


def require(program):
    if shutil.which(program) is None:
        print(f"skipped: {program} is not installed")
        raise SystemExit(SKIP)


class Member:
    def __init__(self, cluster, index, client_port, peer_port):
        self.cluster = cluster
        self.index = index
        self.name = f"m{index + 1}"
        self.client_port = client_port
        self.peer_port = peer_port
        self.data_dir = cluster.directory / self.name
        self.log_path = cluster.directory / f"{self.name}.log"
        self.process = None
        self.extra = []
        self.state = "new"
        self.scheme = "http"
        self.initial = None

    @property
    def endpoint(self):
        return f"{self.scheme}://127.0.0.1:{self.client_port}"

    @property
    def peer_url(self):
        return f"{self.scheme}://127.0.0.1:{self.peer_port}"

    def command(self):
        return [str(self.cluster.binary), "--name", self.name, "--data-dir", str(self.data_dir),
                "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
                "--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url,
                "--initial-cluster", self.initial or self.cluster.initial_cluster(),
                "--initial-cluster-state", self.state, "--initial-cluster-token", "test",
                *self.cluster.extra, *self.extra]

    def start(self):
        assert self.process is None
        with open(self.log_path, "ab") as log:
            environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env=environment)
        return self

    def kill(self, number=signal.SIGKILL):
        if self.process is not None:
            self.process.send_signal(number)
            self.wait()

    def wait(self, seconds=30):
        code = self.process.wait(seconds)
        self.process = None
        return code

    def signal(self, number):
        self.process.send_signal(number)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        lines = []
        for line in self.log_path.read_text(errors="replace").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"msg": line, "level": "text"})
        return lines

    def has_logged(self, message):
        return any(message in line.get("msg", "") for line in self.log())

    def wait_ready(self, seconds=30):
        def ready():
            if not self.is_running():
                raise AssertionError(f"{self.name} stopped: " + self.tail())
            return health(self.client_port)
        wait_until(ready, seconds, f"{self.name} is healthy")
        return self

    def tail(self, count=5):
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-count:])


def http_get(port, path, seconds=10):
    """(status, body); status 0 if nobody answers."""
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except OSError:
        return 0, ""
    finally:
        connection.close()


def health(port):
    return http_get(port, "/health", 3)[0] == 200


class Cluster:
    def __init__(self, size=3, extra=(), binary=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="coracle-test-"))
        self.binary = pathlib.Path(binary) if binary else BIN / "kvd"
        self.extra = list(extra)
        ports = free_ports(2 * size)
        self.members = [Member(self, i, ports[2 * i], ports[2 * i + 1]) for i in range(size)]
        self.founders = list(self.members)

    def initial_cluster(self):
        return ",".join(f"{m.name}={m.peer_url}" for m in self.founders)

    def add_member(self):
        """A member that is not in the cluster yet: the caller makes the cluster know it."""
        client_port, peer_port = free_ports(2)
        member = Member(self, len(self.members), client_port, peer_port)
        member.state = "existing"
        self.members.append(member)
        return member

    def start(self):
        for member in self.members:
            member.start()
        for member in self.members:
            member.wait_ready()
        return self

    @property
    def endpoints(self):
        return ",".join(m.endpoint for m in self.members)

    def leader(self):
        for member in self.members:
            if member.is_running():
                status, body = http_get(member.client_port, "/metrics", 3)
                if status == 200 and "\netcd_server_is_leader 1\n" in body:
                    return member
        return None

    def wait_leader(self, seconds=20):
        return wait_until(self.leader, seconds, "there is a leader")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for member in self.members:
            if member.process is not None:
                member.process.send_signal(signal.SIGCONT)
                member.kill()
        if error is not None and not isinstance(error, SystemExit):
            for member in self.members:
                if member.log_path.exists():
                    print(f"--- end of {member.name}'s log\n{member.tail(12)}")
        shutil.rmtree(self.directory, ignore_errors=True)
        return False


def etcdctl(endpoints, *arguments, check=True, stdin=None, seconds=30):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL")}
    environment["ETCDCTL_API"] = "3"
    result = subprocess.run(["etcdctl", f"--endpoints={endpoints}", *arguments], capture_output=True, text=True,
                            env=environment, input=stdin, timeout=seconds, check=False)
    if check and result.returncode != 0:
        raise AssertionError(f"etcdctl {' '.join(arguments)}: {result.stderr.strip()}")
    return result


def kvctl(endpoints, *arguments, check=True, stdin=None, seconds=30):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCDCTL", "KVCTL"))}
    result = subprocess.run([str(BIN / "kvctl"), f"--endpoints={endpoints}", *arguments], capture_output=True, text=True,
                            env=environment, input=stdin, timeout=seconds, check=False)
    if check and result.returncode != 0:
        raise AssertionError(f"kvctl {' '.join(arguments)}: {result.stderr.strip()}")
    return result
