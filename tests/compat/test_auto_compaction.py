#!/usr/bin/env python3
"""--auto-compaction-retention on three members: history older than the period goes, on all of them, by the leader's word."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, http_get, require, wait_until  # noqa: E402


def compact_revision(member):
    body = http_get(member.client_port, "/metrics")[1]
    line = next((x for x in body.splitlines() if x.startswith("etcd_debugging_mvcc_compact_revision ")), "x 0")
    return int(float(line.split()[1]))


def main():
    require("etcdctl")
    with Cluster(extra=["--auto-compaction-retention=1s", "--auto-compaction-mode=periodic"]) as cluster:
        cluster.start()
        cluster.wait_leader()
        ends = cluster.endpoints
        for value in "12345":
            etcdctl(ends, "put", "k", value)
        wait_until(lambda: all(compact_revision(m) >= 6 for m in cluster.members), 60, "every member has compacted")
        old = etcdctl(ends, "get", "k", "--rev=3", check=False)
        assert "required revision has been compacted" in old.stderr, old
        assert etcdctl(ends, "get", "k", "--print-value-only").stdout.strip() == "5"
        leader = cluster.wait_leader()
        wait_until(lambda: leader.has_logged("completed auto compaction"), 60, "the leader says so")
        leader.kill()
        rest = [m for m in cluster.members if m is not leader]
        ends = ",".join(m.endpoint for m in rest)
        etcdctl(ends, "put", "k", "6")
        etcdctl(ends, "put", "k", "7")
        wait_until(lambda: all(compact_revision(m) >= 8 for m in rest), 60, "the next leader goes on")
        print("auto compaction: ok")


if __name__ == "__main__":
    main()
