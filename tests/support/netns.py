"""A cluster whose members each live in a network namespace of their own, so that links between them can be cut. Needs root.

Namespaces `<name>-1`, … hold the members and `<name>-0` the bridge between them and the clients. Nothing outside of these
namespaces is touched, and deleting them deletes everything in them.
"""
import json
import os
import subprocess

from cluster import BIN, SKIP, Cluster, Member, require, wait_until

NET = "10.99.77"


def run(*command, stdin=None):
    result = subprocess.run(command, capture_output=True, text=True, input=stdin, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


class NetMember(Member):
    @property
    def address(self):
        return f"{NET}.{self.index + 1}"

    @property
    def endpoint(self):
        return f"http://{self.address}:2379"

    @property
    def peer_url(self):
        return f"http://{self.address}:2380"

    @property
    def namespace(self):
        return f"{self.cluster.name}-{self.index + 1}"

    def command(self):
        return ["ip", "netns", "exec", self.namespace, *super().command()]

    def wait_ready(self, seconds=30):
        wait_until(lambda: self.cluster.kvctl(self, "endpoint", "health", check=False).returncode == 0, seconds,
                   f"{self.name} is healthy")
        return self


class NetCluster(Cluster):
    def __init__(self, size=3, extra=()):
        super().__init__(0, extra)
        self.name = f"coracle-{os.getpid()}"
        self.members = [NetMember(self, i, 2379, 2380) for i in range(size)]
        self.founders = list(self.members)
        self.namespaces = []

    @staticmethod
    def require():
        if os.geteuid() != 0:
            print("skipped: network namespaces need root")
            raise SystemExit(SKIP)
        require("ip")
        require("nft")
        probe = f"coracle-{os.getpid()}-probe"
        if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
            print("skipped: network namespaces cannot be made here")
            raise SystemExit(SKIP)
        subprocess.run(["ip", "netns", "del", probe], check=True)

    def _namespace(self, index):
        name = f"{self.name}-{index}"
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def __enter__(self):
        try:
            hub = self._namespace(0)
            run("ip", "-n", hub, "link", "add", "bridge", "type", "bridge")
            run("ip", "-n", hub, "addr", "add", f"{NET}.254/24", "dev", "bridge")
            run("ip", "-n", hub, "link", "set", "bridge", "up")
            for member in self.members:
                own = self._namespace(member.index + 1)
                port = f"port{member.index + 1}"
                run("ip", "-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", own)
                run("ip", "-n", hub, "link", "set", port, "master", "bridge", "up")
                run("ip", "-n", own, "addr", "add", f"{member.address}/24", "dev", "eth0")
                run("ip", "-n", own, "link", "set", "eth0", "up")
        except BaseException:
            self._remove()
            raise
        return super().__enter__()

    def __exit__(self, kind, error, trace):
        try:
            return super().__exit__(kind, error, trace)
        finally:
            self._remove()

    def _remove(self):
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        self.namespaces = []

    @property
    def inside(self):
        """The command prefix of clients."""
        return ["ip", "netns", "exec", f"{self.name}-0"]

    def cut(self, pairs):
        """Drop everything from a to b for each (a, b), and nothing else. Clients are not touched."""
        for member in self.members:
            peers = ", ".join(b.address for a, b in pairs if a is member)
            rules = ["add table ip cut", "delete table ip cut", "add table ip cut",
                     "add chain ip cut out { type filter hook output priority 0; }"]
            if peers:
                rules.append(f"add rule ip cut out ip daddr {{ {peers} }} drop")
            run("ip", "netns", "exec", member.namespace, "nft", "-f", "-", stdin="\n".join(rules) + "\n")

    def mend(self):
        self.cut([])

    def kvctl(self, members, *arguments, check=True, seconds=30):
        members = members if isinstance(members, list) else [members]
        endpoints = ",".join(m.endpoint for m in members)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCDCTL", "KVCTL"))}
        result = subprocess.run([*self.inside, str(BIN / "kvctl"), f"--endpoints={endpoints}", *arguments], capture_output=True,
                                text=True, env=environment, timeout=seconds, check=False)
        if check and result.returncode != 0:
            raise AssertionError(f"kvctl {' '.join(arguments)}: {result.stderr.strip()}")
        return result

    def leader(self):
        """The leader that a majority follows."""
        votes = {}
        for member in self.members:
            result = self.kvctl(member, "--command-timeout=1s", "endpoint", "status", "-w", "json", check=False)
            if result.returncode == 0:
                status = json.loads(result.stdout)[0]["Status"]
                member.id = status["header"]["member_id"]
                votes[status.get("leader", 0)] = votes.get(status.get("leader", 0), 0) + 1
        for member in self.members:
            if votes.get(getattr(member, "id", None), 0) > len(self.members) // 2:
                return member
        return None

    def hashes_are_equal(self):
        result = self.kvctl(self.members, "endpoint", "hashkv", "-w", "json", check=False)
        if result.returncode != 0:
            return False
        data = json.loads(result.stdout)
        return len(data) == len(self.members) and len({(h["HashKV"]["hash"], h["HashKV"]["header"]["revision"]) for h in data}) == 1
