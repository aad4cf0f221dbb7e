#!/usr/bin/env python3
"""Debian's etcdctl, a client that we did not write, over every command of the services that kvd has."""
import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, require, wait_until  # noqa: E402


def lines(result):
    return result.stdout.splitlines()


def test_keys(ends):
    assert lines(etcdctl(ends, "put", "a/1", "one")) == ["OK"]
    assert lines(etcdctl(ends, "put", "a/2", "two")) == ["OK"]
    assert lines(etcdctl(ends, "put", "b", "bee")) == ["OK"]
    assert lines(etcdctl(ends, "get", "a/1")) == ["a/1", "one"]
    assert lines(etcdctl(ends, "get", "a/", "--prefix", "--keys-only"))[0::2] == ["a/1", "a/2"]
    assert lines(etcdctl(ends, "get", "a/", "--prefix", "--limit=1")) == ["a/1", "one"]
    assert lines(etcdctl(ends, "get", "a/", "--prefix", "--order=DESCEND", "--sort-by=KEY")) == ["a/2", "two", "a/1", "one"]
    assert lines(etcdctl(ends, "get", "a/2", "--from-key", "--print-value-only")) == ["two", "bee"]
    assert lines(etcdctl(ends, "put", "a/1", "uno", "--prev-kv")) == ["OK", "a/1", "one"]
    data = json.loads(etcdctl(ends, "get", "a/1", "-w", "json").stdout)
    revision = data["kvs"][0]["mod_revision"]
    assert data["kvs"][0]["version"] == 2 and data["count"] == 1
    assert lines(etcdctl(ends, "get", "a/1", f"--rev={revision - 1}")) == ["a/1", "one"]
    assert lines(etcdctl(ends, "del", "a/", "--prefix", "--prev-kv")) == ["2", "a/1", "uno", "a/2", "two"]
    assert lines(etcdctl(ends, "get", "a/", "--prefix")) == []


def test_transactions(ends):
    etcdctl(ends, "put", "t", "1")
    script = 'value("t") = "1"\n\nput t 2\nget t\n\nget t\n\n'
    assert lines(etcdctl(ends, "txn", stdin=script)) == ["SUCCESS", "", "OK", "", "t", "2"]
    assert lines(etcdctl(ends, "txn", stdin=script)) == ["FAILURE", "", "t", "2"]


def test_errors(ends):
    result = etcdctl(ends, "put", "", "x", check=False)
    assert result.returncode != 0 and "key is not provided" in result.stderr, result.stderr
    result = etcdctl(ends, "get", "t", "--rev=100000", check=False)
    assert "required revision is a future revision" in result.stderr, result.stderr
    result = etcdctl(ends, "lease", "revoke", "1234", check=False)
    assert "requested lease not found" in result.stderr, result.stderr
    result = etcdctl(ends, "member", "remove", "1234", check=False)
    assert "not found" in result.stderr, result.stderr


def test_leases(ends):
    granted = etcdctl(ends, "lease", "grant", "100").stdout
    lease = granted.split()[1]
    etcdctl(ends, "put", "leased", "x", f"--lease={lease}")
    shown = etcdctl(ends, "lease", "timetolive", lease, "--keys").stdout
    assert "granted with TTL(100s)" in shown and "leased" in shown, shown
    assert lease in etcdctl(ends, "lease", "list").stdout
    assert "keepalived with TTL(100)" in etcdctl(ends, "lease", "keep-alive", "--once", lease).stdout
    etcdctl(ends, "lease", "revoke", lease)
    assert lines(etcdctl(ends, "get", "leased")) == []
    short = etcdctl(ends, "lease", "grant", "1").stdout.split()[1]
    etcdctl(ends, "put", "short", "x", f"--lease={short}")
    wait_until(lambda: lines(etcdctl(ends, "get", "short")) == [], 15, "the lease has expired")


def test_watch(ends):
    revision = json.loads(etcdctl(ends, "put", "w/0", "zero", "-w", "json").stdout)["header"]["revision"]
    watch = subprocess.Popen(["etcdctl", f"--endpoints={ends}", "watch", "w/", "--prefix", f"--rev={revision}", "--prev-kv"],
                             stdout=subprocess.PIPE, text=True)
    try:
        etcdctl(ends, "put", "w/1", "a")
        etcdctl(ends, "put", "w/1", "b")
        etcdctl(ends, "del", "w/1")
        etcdctl(ends, "put", "other", "x")
        etcdctl(ends, "put", "w/end", "end")
        seen = []
        while not seen or seen[-1] != "end":
            seen.append(watch.stdout.readline().rstrip("\n"))
        assert seen == ["PUT", "w/0", "zero", "PUT", "w/1", "a", "PUT", "w/1", "a", "w/1", "b",
                        "DELETE", "w/1", "b", "w/1", "", "PUT", "w/end", "end"], seen
    finally:
        watch.kill()
        watch.wait()


def test_compaction(ends):
    for i in range(5):
        revision = json.loads(etcdctl(ends, "put", "c", str(i), "-w", "json").stdout)["header"]["revision"]
    assert "compacted revision" in etcdctl(ends, "compaction", str(revision - 1), "--physical").stdout
    result = etcdctl(ends, "get", "c", f"--rev={revision - 3}", check=False)
    assert "required revision has been compacted" in result.stderr, result.stderr
    result = etcdctl(ends, "compaction", str(revision - 1), check=False)
    assert "required revision has been compacted" in result.stderr, result.stderr
    assert lines(etcdctl(ends, "get", "c")) == ["c", "4"]


def test_cluster(cluster, ends):
    members = json.loads(etcdctl(ends, "member", "list", "-w", "json").stdout)["members"]
    assert sorted(m["name"] for m in members) == ["m1", "m2", "m3"], members
    health = etcdctl(ends, "endpoint", "health").stdout + etcdctl(ends, "endpoint", "health").stderr
    assert health.count("is healthy") >= 3, health
    status = json.loads(etcdctl(ends, "endpoint", "status", "-w", "json").stdout)
    leaders = {s["Status"]["leader"] for s in status}
    assert len(leaders) == 1 and 0 not in leaders, status
    hashes = json.loads(etcdctl(ends, "endpoint", "hashkv", "-w", "json").stdout)
    assert len({h["HashKV"]["hash"] for h in hashes}) == 1, hashes
    assert etcdctl(ends, "alarm", "list").stdout == ""
    assert etcdctl(ends, "defrag").stdout.count("Finished defragmenting") == 3
    leader = cluster.wait_leader()
    target = next(m for m in members if m["name"] != leader.name)
    moved = etcdctl(leader.endpoint, "move-leader", format(target["ID"], "x")).stdout
    assert "Leadership transferred" in moved, moved
    wait_until(lambda: (cluster.leader() or leader).name == target["name"], 10, "the leader has moved")


def test_snapshot(cluster, ends):
    path = cluster.directory / "snapshot.db"
    saved = etcdctl(cluster.members[0].endpoint, "snapshot", "save", str(path))
    assert path.stat().st_size % 512 == 32, path.stat().st_size
    assert "saved" in (saved.stdout + saved.stderr).lower()



def main():
    require("etcdctl")
    with Cluster() as cluster:
        cluster.start()
        cluster.wait_leader()
        ends = cluster.endpoints
        for test in (test_keys, test_transactions, test_errors, test_leases, test_watch, test_compaction):
            start = time.monotonic()
            test(ends)
            print(f"{test.__name__}: ok ({time.monotonic() - start:.1f} s)")
        test_cluster(cluster, ends)
        print("test_cluster: ok")
        test_snapshot(cluster, ends)
        print("test_snapshot: ok")


if __name__ == "__main__":
    main()
