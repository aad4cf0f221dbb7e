#!/usr/bin/python3
"""A member that stops with work open: watches, leases, snapshots that nobody reads, range streams, requests under way, as leader,
as follower and without a majority. It ends well and in time, and the sanitizers (this runs with the build that has them) see
nothing freed too early. What once was wrong: peers and snapshots reported to a core that was gone."""
import pathlib
import queue
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, kvctl, wait_until  # noqa: E402
from grpc_wire import RpcError, Wire, rpc  # noqa: E402

WATCHES, LEASES, SNAPSHOTS, RANGES, PUTS = 20, 5, 3, 3, 30
STOP_SECONDS = 60  # patience; how quick it is, test_members.py says


class Requests:
    """What one stream sends: grows until it is closed."""

    def __init__(self, *first):
        self.waiting = queue.Queue()
        for message in first:
            self.waiting.put(message)

    def __iter__(self):
        return iter(self.waiting.get, None)

    def put(self, message):
        self.waiting.put(message)

    def close(self):
        self.waiting.put(None)


class Busy:
    """One member with everything open that a client can leave open."""

    def __init__(self, member):
        self.wire = Wire(member.client_port)
        self.requests = []
        self.calls = []
        self.events = 0
        self.renewals = 0
        self.threads = []

    def both_ways(self, service, method, reader, *first):
        requests = Requests(*first)
        _, stub = self.wire._method(self.wire.channel.stream_stream, service, method)
        call = stub(iter(requests))
        self.requests.append(requests)
        self.calls.append(call)
        if reader is not None:
            thread = threading.Thread(target=self.read, args=(call, reader), daemon=True)
            thread.start()
            self.threads.append(thread)

    @staticmethod
    def read(call, reader):
        try:
            for message in call:
                reader(message)
        except RpcError:
            pass  # the member has stopped

    def on_watch(self, message):
        self.events += len(message.events)

    def on_lease(self, message):
        self.renewals += message.TTL > 0

    def open(self):
        for i in range(WATCHES):
            create = rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"w", range_end=b"x", prev_kv=True, progress_notify=True))
            self.both_ways("Watch", "Watch", None if i % 4 == 0 else self.on_watch, create)  # every fourth is never read
        for _ in range(LEASES):
            lease = self.wire.call("Lease", "LeaseGrant", TTL=100).ID
            self.both_ways("Lease", "LeaseKeepAlive", self.on_lease, rpc.LeaseKeepAliveRequest(ID=lease))
        for _ in range(SNAPSHOTS):
            self.calls.append(self.wire.stream("Maintenance", "Snapshot"))
        for _ in range(RANGES):
            self.calls.append(self.wire.stream("KV", "RangeStream", key=b"\0", range_end=b"\0"))
        wait_until(lambda: self.renewals >= LEASES, 60, "leases live")

    def keep_busy(self):
        for i in range(PUTS):
            self.calls.append(self.wire.future("KV", "Put", key=b"w%d" % i, value=b"v" * 1000))
            self.calls.append(self.wire.future("KV", "Range", key=b"big", range_end=b"bih"))

    def close(self):
        for requests in self.requests:
            requests.close()
        for call in self.calls:
            call.cancel()
        self.wire.close()
        for thread in self.threads:
            thread.join(60)


def stop(member):
    member.signal(signal.SIGTERM)
    code = member.wait(STOP_SECONDS)
    text = member.log_path.read_text(errors="replace")
    assert "Sanitizer" not in text and "runtime error" not in text, text[-6000:]
    assert code == 0, (code, member.tail())


def main():
    with Cluster(3) as cluster:
        cluster.start()
        for i in range(15):
            kvctl(cluster.endpoints, "--command-timeout=50s", "put", f"big{i}", stdin="x" * 1_000_000, seconds=60)
        for round_number, who in enumerate(("follower", "leader", "alone")):
            leader = cluster.wait_leader(60) if who != "alone" else None
            running = [m for m in cluster.members if m.is_running()]
            member = leader if who == "leader" else next(m for m in running if m is not leader)
            busy = [Busy(m) for m in running] if who != "alone" else []
            for one in busy:
                one.open()
            for one in busy:
                one.keep_busy()
            if busy:
                wait_until(lambda: busy[0].events > 0, 60, "watches see something")
            if who == "alone":  # two of three are gone: nothing gets done, and requests wait
                alone = Wire(member.client_port)
                waiting = [alone.future("KV", "Put", key=b"never", value=b"1") for _ in range(5)]
            stop(member)
            for one in busy:
                one.close()
            if who == "alone":
                for future in waiting:
                    future.cancel()
                alone.close()
            print(f"{round_number + 1}. {who}: stopped with everything open", flush=True)


if __name__ == "__main__":
    main()
