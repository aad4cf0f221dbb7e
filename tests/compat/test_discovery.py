#!/usr/bin/env python3
"""Members that find each other: through a registry in etcd or kvd (--discovery-endpoints), and through DNS SRV records
(--discovery-srv; as root, in a namespace of this test with a name server of its own)."""
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, health, kvctl, require, wait_until  # noqa: E402
from etcd_server import Etcd  # noqa: E402

SECONDS = 60


class Found(Cluster):
    """Members that are not told of each other, but how to find each other."""

    def __init__(self, size, *flags):
        super().__init__(size)
        for member in self.members:
            member.find = list(flags)
            member.command = lambda m=member: words_of(m)


def words_of(member):
    return [str(member.cluster.binary), "--name", member.name, "--data-dir", str(member.data_dir), "--listen-client-urls",
            member.endpoint, "--advertise-client-urls", member.endpoint, "--listen-peer-urls", member.peer_url,
            "--initial-advertise-peer-urls", member.peer_url, *member.find, *member.extra]


def registry_flags(endpoint, token):
    return ["--discovery-endpoints", endpoint, "--discovery-token", token]


def check_members(cluster):
    members = json.loads(kvctl(cluster.endpoints, "member", "list", "-w", "json").stdout)["members"]
    assert sorted(m["name"] for m in members) == sorted(m.name for m in cluster.members), members
    kvctl(cluster.endpoints, "put", "found", "each other")


def check_refused(member, text):
    member.start()
    assert member.wait(SECONDS) == 1
    assert any(text in json.dumps(line) for line in member.log()), member.tail()


def check_registry(endpoint, prefix):
    etcdctl(endpoint, "put", f"/_etcd/registry/{prefix}/_config/size", "3")
    with Found(3, *registry_flags(endpoint, prefix)) as cluster:
        # Two wait for the third.
        for member in cluster.members[:2]:
            member.start()
        wait_until(lambda: cluster.members[0].has_logged("waiting for other members"), SECONDS, "the first waits")
        assert not health(cluster.members[0].client_port)
        cluster.members[2].start()
        for member in cluster.members:
            member.wait_ready(SECONDS)
        check_members(cluster)
        with Found(1, *registry_flags(endpoint, prefix)) as late:
            check_refused(late.members[0], "cluster is full")
        # What was found is in the log now: the registry is not asked again.
        for member in cluster.members:
            member.kill()
            member.find = registry_flags("127.0.0.1:1", prefix)
            member.start()
        for member in cluster.members:
            member.wait_ready(SECONDS)
        check_members(cluster)
    listed = etcdctl(endpoint, "get", f"/_etcd/registry/{prefix}/members/", "--prefix", "--keys-only").stdout.split()
    assert len(listed) == 3, listed


def check_bad_registries(endpoint):
    etcdctl(endpoint, "put", "/_etcd/registry/bad/_config/size", "three")
    for token, text in (("absent", "size key not found"), ("bad", "size key is bad")):
        with Found(1, *registry_flags(endpoint, token)) as cluster:
            check_refused(cluster.members[0], text)
    with Found(1, "--discovery-token", "x") as cluster:
        member = cluster.members[0]
        member.start()
        assert member.wait(SECONDS) == 2 and "go together" in member.tail(), member.tail()


def check_late_registry():
    """Members that are there before the registry is wait for it."""
    with Cluster(1) as registry:
        with Found(1, *registry_flags(registry.endpoints, "late")) as cluster:
            cluster.members[0].start()
            wait_until(lambda: cluster.members[0].has_logged("does not answer"), SECONDS, "the member waits")
            # kvd as the registry; the size is there before anybody can ask for it.
            wanted = registry.members[0]
            wanted.start().wait_ready(SECONDS)
            etcdctl(registry.endpoints, "put", "/_etcd/registry/late/_config/size", "1")
            def is_ready():
                """It may have asked before the size was there: then it has ended, and is started again."""
                member = cluster.members[0]
                if not member.is_running():
                    assert member.wait() == 1, member.tail()
                    member.start()
                return health(member.client_port)
            wait_until(is_ready, SECONDS, "the member that waited is healthy")
            check_members(cluster)


# --- DNS ---------------------------------------------------------------------------------------------------------------

def encode_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.strip(".").split(".")) + b"\0"


class NameServer(threading.Thread):
    """SRV and A records of one domain, on UDP."""

    def __init__(self, services, hosts):
        super().__init__(daemon=True)
        self.services = services  # name -> [(host, port)]
        self.hosts = hosts
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))

    def answers(self, name, kind):
        if kind == 33:
            return [struct.pack(">HHH", 0, 0, port) + encode_name(host) for host, port in self.services.get(name, [])]
        if kind == 1 and name in self.hosts:
            return [socket.inet_aton(self.hosts[name])]
        return []

    def run(self):
        while True:
            query, sender = self.socket.recvfrom(4096)
            at, parts = 12, []
            while query[at]:
                parts.append(query[at + 1:at + 1 + query[at]].decode().lower())
                at += 1 + query[at]
            kind = struct.unpack(">H", query[at + 1:at + 3])[0]
            name = ".".join(parts)
            answers = self.answers(name, kind)
            is_known = name in self.services or name in self.hosts
            head = query[:2] + struct.pack(">HHHHH", 0x8580 | (0 if is_known else 3), 1, len(answers), 0, 0)
            body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data for data in answers)
            self.socket.sendto(head + query[12:at + 5] + body, sender)


def check_srv():
    """Runs inside the namespaces that main made: loopback, and a resolv.conf that names our server."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with Found(3, "--discovery-srv", "store.test", "--discovery-srv-name", "kv") as cluster:
        resolv = cluster.directory / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.1\n")
        subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)
        services, hosts = [], {}
        for member in cluster.members:
            address = f"127.0.3.{member.index + 1}"
            hosts[f"{member.name}.store.test"] = address
            services.append((f"{member.name}.store.test", member.peer_port))
            member.find += ["--listen-peer-urls", f"http://{address}:{member.peer_port}", "--initial-advertise-peer-urls",
                            f"http://{member.name}.store.test:{member.peer_port}"]
        NameServer({"_etcd-server-kv._tcp.store.test": services}, hosts).start()
        for member in cluster.members:
            member.start()
        for member in cluster.members:
            member.wait_ready(SECONDS)
        check_members(cluster)
    with Found(1, "--discovery-srv", "nowhere.test") as cluster:
        check_refused(cluster.members[0], "error querying DNS SRV records")


def main():
    if sys.argv[1:] == ["srv"]:
        if os.geteuid() != 0:
            print("skipped: needs root for a name server of its own")
            raise SystemExit(77)
        require("unshare")
        raise SystemExit(subprocess.run(["unshare", "--net", "--mount", "--propagation", "private", sys.executable, __file__,
                                         "inside"], stdin=subprocess.DEVNULL, check=False).returncode)
    if sys.argv[1:] == ["inside"]:
        check_srv()
        return
    require("etcd")
    require("etcdctl")
    check_late_registry()
    with Cluster(0) as place:
        with Etcd(place.directory) as etcd:
            etcd.start()
            check_registry(etcd.endpoint, "one")
            check_bad_registries(etcd.endpoint)


if __name__ == "__main__":
    main()
