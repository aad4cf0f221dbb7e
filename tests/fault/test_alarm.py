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


def ask(endpoints, *arguments, stdin=None):
    """It may fail, and on a slow machine take its time."""
    return kvctl(endpoints, "--command-timeout=20s", *arguments, stdin=stdin, check=False, seconds=90)


def put(endpoints, key, value="1"):
    return ask(endpoints, "put", key, stdin=value)


def done(endpoints, *arguments):
    """Again until it is done: a leader may change under load."""
    return wait_until(lambda: (r := ask(endpoints, *arguments)).returncode == 0 and (r,), 120, " ".join(arguments))[0].stdout


def alarms(endpoint):
    """None: the member does not answer yet."""
    result = ask(endpoint, "alarm", "list")
    return result.stdout.split() if result.returncode == 0 else None


def revision(endpoint):
    return json.loads(done(endpoint, "endpoint", "status", "-w", "json"))[0]["Status"]["header"]["revision"]


def fill(cluster):
    """Until a put is refused; returns how many were not."""
    for i in range(QUOTA_BYTES // len(VALUE) * 4):
        if EXCEEDED in put(cluster.members[i % 3].endpoint, f"fill/{i % 20}", VALUE).stderr:
            return i
    raise AssertionError("the quota stopped nobody")


def check_under_alarm(cluster):
    """Every member refuses what adds, and does the rest."""
    wait_until(lambda: all(any("NOSPACE" in w for w in alarms(m.endpoint) or []) for m in cluster.members), 60, "the alarm is everywhere")
    for member in cluster.members:
        at = member.endpoint
        for arguments, stdin in ((("put", "small"), "1"), (("txn",), "\n\nput small 1\n\n\n"), (("lease", "grant", "100"), None)):
            def is_refused():
                result = ask(at, *arguments, stdin=stdin)
                assert result.returncode != 0, (arguments, result.stdout)
                return EXCEEDED in result.stderr
            wait_until(is_refused, 120, f"{member.name} refuses {arguments[0]}")
        assert done(at, "get", "before", "--print-value-only") == "kept\n"
        wait_until(lambda: "NOSPACE" in http_get(member.client_port, "/health")[1], 60, "/health names the alarm")
        assert http_get(member.client_port, "/health")[0] == 503
        assert "NOSPACE" in done(at, "endpoint", "status", "-w", "json")
        assert member.is_running()
    done(cluster.members[1].endpoint, "del", "fill/0")


def main():
    with Cluster(3, extra=[f"--quota-backend-bytes={QUOTA_BYTES}"]) as cluster:
        cluster.start()
        ends = cluster.endpoints
        done(ends, "put", "before", "kept")
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
        done(ends, "alarm", "disarm")
        fill(cluster)
        check_under_alarm(cluster)
        print("disarmed without room, it comes back")

        # Room: compact, defragment, disarm.
        done(ends, "del", "fill/", "--prefix")
        done(ends, "compact", str(revision(cluster.members[0].endpoint)), "--physical")
        done(ends, "defrag")
        done(ends, "alarm", "disarm")
        for member in cluster.members:
            wait_until(lambda m=member: put(m.endpoint, "after").returncode == 0, 60, f"{member.name} takes writes again")
            assert not alarms(member.endpoint)
            wait_until(lambda m=member: http_get(m.client_port, "/health")[0] == 200, 60, f"{member.name} is healthy")
        print("compaction, defragment, disarm: writes go on")


if __name__ == "__main__":
    main()
