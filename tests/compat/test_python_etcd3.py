#!/usr/bin/python3
"""Debian's python3-etcd3 (a gRPC client library that we did not write) against three members."""
import os
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import SKIP, Cluster, wait_until  # noqa: E402

try:
    import etcd3
except ImportError:
    print("skipped: python3-etcd3 is not installed")
    raise SystemExit(SKIP) from None


def test_keys(client):
    client.put("k", "v")
    value, meta = client.get("k")
    assert value == b"v" and meta.version == 1, (value, meta)
    assert client.get("absent") == (None, None)
    for i in range(5):
        client.put(f"p/{i}", str(i))
    assert [v for v, _ in client.get_prefix("p/")] == [b"0", b"1", b"2", b"3", b"4"]
    assert client.delete("p/0") is True
    assert client.delete_prefix("p/").deleted == 4


def test_transaction(client):
    client.put("t", "1")
    ok, answers = client.transaction(compare=[client.transactions.value("t") == "1"],
                                     success=[client.transactions.put("t", "2"), client.transactions.get("t")],
                                     failure=[client.transactions.get("t")])
    assert ok and answers[1][0][0] == b"2", answers
    ok, answers = client.transaction(compare=[client.transactions.version("t") == 7], success=[], failure=[])
    assert not ok


def test_lease(client):
    lease = client.lease(60)
    client.put("l", "x", lease)
    assert lease.granted_ttl == 60 and lease.remaining_ttl > 0 and list(lease.keys) == [b"l"]
    lease.refresh()
    lease.revoke()
    assert client.get("l")[0] is None


def test_watch(client):
    seen = []
    done = threading.Event()

    def on_event(response):
        for event in response.events:
            seen.append((type(event).__name__, event.key, event.value))
        if len(seen) >= 3:
            done.set()

    watch = client.add_watch_callback("w", on_event)
    client.put("w", "1")
    client.put("w", "2")
    client.delete("w")
    assert done.wait(20), seen
    client.cancel_watch(watch)
    assert seen == [("PutEvent", b"w", b"1"), ("PutEvent", b"w", b"2"), ("DeleteEvent", b"w", b"")], seen


def test_lock(client):
    lock = client.lock("resource", ttl=10)
    assert lock.acquire(timeout=10)
    other = client.lock("resource", ttl=10)
    assert not other.acquire(timeout=0)
    lock.release()
    assert other.acquire(timeout=10)
    other.release()


def test_cluster(client):
    assert sorted(m.name for m in client.members) == ["m1", "m2", "m3"]
    status = client.status()
    assert status.version and status.leader is not None, status
    client.compact(client.get("k")[1].mod_revision)
    client.defragment()


def main():
    with Cluster() as cluster:
        cluster.start()
        cluster.wait_leader()
        client = etcd3.client(host="127.0.0.1", port=cluster.members[0].client_port, timeout=20)
        wait_until(lambda: client.status().leader is not None, 20, "a leader")
        for test in (test_keys, test_transaction, test_lease, test_watch, test_lock, test_cluster):
            test(client)
            print(f"{test.__name__}: ok")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the library's watch thread does not end by itself
