#!/usr/bin/env python3
"""The NOSPACE alarm: who raises it, what goes on under it, that it outlives a restart, and how it goes away."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, http_get, kvctl, wait_until  # noqa: E402

QUOTA_BYTES = 8 << 20
VALUE = "x" * 100_000
EXCEEDED = "mvcc: database space exceeded"


def put(endpoints, key, value="1", *more):
    return kvctl(endpoints, "put", key, *more, stdin=value, check=False, seconds=60)


def alarms(endpoint):
    return kvctl(endpoint, "alarm", "list").stdout.split()


def revision(endpoint):
    return json.loads(kvctl(endpoint, "endpoint", "status", "-w", "json").stdout)[0]["Status"]["header"]["revision"]


def fill(cluster):
    """Until a put is refused; returns how many were not."""
    for i in range(QUOTA_BYTES // len(VALUE) * 4):
        result = put(cluster.members[i % 3].endpoint, f"fill/{i % 20}", VALUE)
        if result.returncode != 0:
            assert EXCEEDED in result.stderr, result.stderr
            return i
    raise AssertionError("the quota stopped nobody")


def check_under_alarm(cluster):
    """Every member refuses what adds, and does the rest."""
    wait_until(lambda: all(any("NOSPACE" in w for w in alarms(m.endpoint)) for m in cluster.members), 60, "the alarm is everywhere")
    for member in cluster.members:
        at = member.endpoint
        for refused in (put(at, "small"), kvctl(at, "txn", stdin="\n\nput small 1\n\n\n", check=False),
                        kvctl(at, "lease", "grant", "100", check=False)):
            assert refused.returncode != 0 and EXCEEDED in refused.stderr, refused.stderr
        assert kvctl(at, "get", "before", "--print-value-only").stdout == "kept\n"
        status, body = http_get(member.client_port, "/health")
        assert status == 503 and "NOSPACE" in body, body
        assert "NOSPACE" in kvctl(at, "endpoint", "status", "-w", "json").stdout
        assert member.is_running()
    kvctl(cluster.members[1].endpoint, "del", "fill/0")


def main():
    with Cluster(3, extra=[f"--quota-backend-bytes={QUOTA_BYTES}"]) as cluster:
        cluster.start()
        ends = cluster.endpoints
        kvctl(ends, "put", "before", "kept")
        count = fill(cluster)
        check_under_alarm(cluster)
        print(f"{count} puts, then NOSPACE: adding is refused, reading and deleting go on")

        for member in cluster.members:  # it is part of the state, not of a process
            member.kill()
        for member in cluster.members:
            member.start()
        check_under_alarm(cluster)
        print("the alarm outlives a restart of everybody")

        # Disarmed without room: the next write raises it again.
        kvctl(ends, "alarm", "disarm")
        again = put(cluster.members[2].endpoint, "fill/1", VALUE * 9)
        if again.returncode != 0:
            assert EXCEEDED in again.stderr, again.stderr
        fill(cluster)
        check_under_alarm(cluster)
        print("disarmed without room, it comes back")

        # Room: compact, defragment, disarm.
        kvctl(ends, "del", "fill/", "--prefix")
        kvctl(ends, "compact", str(revision(cluster.members[0].endpoint)), "--physical")
        kvctl(ends, "defrag", seconds=60)
        shown = kvctl(ends, "alarm", "disarm").stdout
        assert "NOSPACE" in shown, shown
        for member in cluster.members:
            wait_until(lambda m=member: put(m.endpoint, "after").returncode == 0, 60, f"{member.name} takes writes again")
            assert alarms(member.endpoint) == []
            wait_until(lambda m=member: http_get(m.client_port, "/health")[0] == 200, 60, f"{member.name} is healthy")
        print("compaction, defragment, disarm: writes go on")


if __name__ == "__main__":
    main()
