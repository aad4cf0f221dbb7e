#!/usr/bin/python3
"""All three members restarted one by one, then all three replaced by new ones, under load: every request succeeds at the first or
the second try, and every acknowledged write is there at the end."""
import pathlib
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, require, wait_until  # noqa: E402
from grpc_wire import RpcError, Wire  # noqa: E402

CLIENTS = 4


class Client(threading.Thread):
    """Writes numbers to a key of its own and reads them back; on an error it goes to another member, once."""

    def __init__(self, number, ports):
        super().__init__()
        self.key = b"client-%d" % number
        self.ports = ports  # shared: the members as they are now
        self.at = number
        self.wires = {}
        self.written = 0
        self.retried = 0
        self.error = None
        self.stopped = threading.Event()

    def attempt(self, method, fields):
        ports = list(self.ports)
        port = ports[self.at % len(ports)]
        if port not in self.wires:
            self.wires[port] = Wire(port)
        try:
            return self.wires[port].call("KV", method, **fields)
        except RpcError:
            self.wires.pop(port).close()
            self.at += 1
            raise

    def request(self, method, **fields):
        try:
            return self.attempt(method, fields)
        except RpcError:
            self.retried += 1
            return self.attempt(method, fields)

    def run(self):
        try:
            while not self.stopped.is_set():
                self.request("Put", key=self.key, value=b"%d" % (self.written + 1))
                self.written += 1
                found = self.request("Range", key=self.key).kvs[0].value
                assert found == b"%d" % self.written, (found, self.written)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def finish(self):
        self.stopped.set()
        self.join()
        for wire in self.wires.values():
            wire.close()


def check(clients, what):
    """Everybody has made progress since now, and nobody failed."""
    before = [c.written for c in clients]
    wait_until(lambda: any(c.error for c in clients) or all(c.written > b + 5 for c, b in zip(clients, before)), 60, f"progress: {what}")
    for client in clients:
        assert client.error is None, (what, client.key, client.error)


def restart_all(cluster, clients):
    for member in cluster.members:
        member.kill(signal.SIGTERM)
        check(clients, f"without {member.name}")
        member.start().wait_ready(60)
        check(clients, f"with {member.name} again")


def identity(ends, name):
    line = next(x for x in etcdctl(ends, "member", "list").stdout.splitlines() if x.split(", ")[2] == name)
    return line.split(", ")[0]


def replace_all(cluster, clients, ports):
    for old in list(cluster.members):
        ends = cluster.endpoints
        fresh = cluster.add_member()
        fresh.name = f"new-{old.name}"
        fresh.data_dir, fresh.log_path = cluster.directory / fresh.name, cluster.directory / f"{fresh.name}.log"
        etcdctl(ends, "member", "add", fresh.name, f"--peer-urls={fresh.peer_url}")
        fresh.initial = ",".join(f"{m.name}={m.peer_url}" for m in cluster.members)
        fresh.start().wait_ready(60)
        ports.append(fresh.client_port)
        check(clients, f"{fresh.name} is in")
        cluster.members.remove(old)
        ports.remove(old.client_port)
        ends = cluster.endpoints
        etcdctl(ends, "member", "remove", identity(ends, old.name))
        assert old.wait(60) is not None
        check(clients, f"{old.name} is out")


def main():
    require("etcdctl")
    with Cluster(extra=["--strict-reconfig-check=false"]) as cluster:
        cluster.start()
        cluster.wait_leader()
        ports = [m.client_port for m in cluster.members]
        clients = [Client(i, ports) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            check(clients, "the start")
            restart_all(cluster, clients)
            replace_all(cluster, clients, ports)
        finally:
            for client in clients:
                client.finish()
        for client in clients:
            value = etcdctl(cluster.endpoints, "get", client.key.decode(), "--print-value-only").stdout.strip()
            assert client.error is None and int(value) == client.written, (value, client.written, client.error)
        total, retried = sum(c.written for c in clients), sum(c.retried for c in clients)
        print(f"rolling restart and replacement: ok; {2 * total} requests, {retried} tried twice, none failed")


if __name__ == "__main__":
    main()
