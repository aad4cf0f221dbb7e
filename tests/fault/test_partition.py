#!/usr/bin/env python3
"""Cut links between three members, each in a network namespace of its own, while recorded clients work.

The minority acknowledges no write and answers no linearizable read; the majority works again within three election timeouts;
after healing all members hash alike, and everything that clients saw all the time is linearizable.
"""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import wait_until  # noqa: E402
from history import History, check_linearizable  # noqa: E402
from netns import NetCluster  # noqa: E402

ELECTION_S = 1.0
WORKS_AGAIN_S = 3 * ELECTION_S + 1  # a second for a busy machine


def both_ways(ones, others):
    return [(a, b) for a in ones for b in others] + [(b, a) for a in ones for b in others]


def put_works(cluster, members, value):
    return cluster.kvctl(members, "--command-timeout=1s", "put", "probe", value, check=False).returncode == 0


def assert_minority_is_silent(cluster, member):
    """It may say what it knows, but nothing that needs the others."""
    time.sleep(2 * ELECTION_S)  # not for luck: a leader may believe in itself for as long
    put = cluster.kvctl(member, "--command-timeout=1500ms", "put", "probe", "minority", check=False)
    assert put.returncode != 0, f"the minority acknowledged a write: {put.stdout}"
    get = cluster.kvctl(member, "--command-timeout=1500ms", "get", "probe", check=False)
    assert get.returncode != 0, f"the minority answered a linearizable read: {get.stdout}"
    local = cluster.kvctl(member, "--command-timeout=1500ms", "get", "probe", "--consistency=s", check=False)
    assert local.returncode == 0, f"no serializable read: {local.stderr}"


def assert_majority_works(cluster, members, value):
    began = time.monotonic()
    wait_until(lambda: put_works(cluster, members, value), 20, "the majority accepts a write")
    took = time.monotonic() - began
    assert took < WORKS_AGAIN_S, f"the majority needed {took:.1f} s"
    assert cluster.kvctl(members, "get", "probe", "--print-value-only").stdout.strip() == value
    return took


def heal(cluster, history):
    cluster.mend()
    began = time.monotonic()
    history.wait_progress(20, 20)
    for member in cluster.members:
        wait_until(lambda m=member: cluster.kvctl(m, "--command-timeout=1s", "get", "probe", check=False).returncode == 0, 20,
                   f"{member.name} answers again")
    return time.monotonic() - began


def isolate(cluster, history, name, victim, pairs):
    others = [m for m in cluster.members if m is not victim]
    cluster.cut(pairs)
    took = assert_majority_works(cluster, others, name)
    assert_minority_is_silent(cluster, victim)
    assert cluster.kvctl(others, "get", "probe", "--print-value-only").stdout.strip() == name
    healed = heal(cluster, history)
    print(f"{name}: the majority worked after {took:.2f} s, everybody {healed:.2f} s after healing", flush=True)


def partly(cluster, history, name, pairs, working):
    """Who of them leads is their affair; somebody must, and nobody may lie. A member that hears no leader need not answer."""
    cluster.cut(pairs)
    took = assert_majority_works(cluster, working, name)
    history.wait_progress(20, 20)
    healed = heal(cluster, history)
    print(f"{name}: worked after {took:.2f} s, everybody {healed:.2f} s after healing", flush=True)


def all_cut(cluster, history):
    m = cluster.members
    cluster.cut(both_ways([m[0]], [m[1], m[2]]) + both_ways([m[1]], [m[2]]))
    time.sleep(2 * ELECTION_S)  # a leader may believe in itself for as long
    for member in m:
        assert not put_works(cluster, member, "nobody"), f"{member.name} acknowledged a write alone"
    healed = heal(cluster, history)
    print(f"all links: everybody answered {healed:.2f} s after healing", flush=True)


def main():
    NetCluster.require()
    with NetCluster(extra=[f"--election-timeout={int(ELECTION_S * 1000)}", "--heartbeat-interval=100"]) as cluster:
        cluster.start()
        wait_until(cluster.leader, 20, "there is a leader")
        cluster.kvctl(cluster.members, "put", "probe", "first")
        everywhere = ",".join(m.endpoint for m in cluster.members)
        with History(cluster.directory, everywhere, clients=6, prefix=cluster.inside) as history:
            history.wait_progress()
            leader = wait_until(cluster.leader, 20, "a leader")
            isolate(cluster, history, "isolated leader", leader, both_ways([leader], [m for m in cluster.members if m is not leader]))
            leader = wait_until(cluster.leader, 20, "a leader")
            follower = next(m for m in cluster.members if m is not leader)
            isolate(cluster, history, "isolated follower", follower,
                    both_ways([follower], [m for m in cluster.members if m is not follower]))
            leader = wait_until(cluster.leader, 20, "a leader")
            others = [m for m in cluster.members if m is not leader]
            partly(cluster, history, "leader cannot send", [(leader, m) for m in others], others)
            leader = wait_until(cluster.leader, 20, "a leader")
            others = [m for m in cluster.members if m is not leader]
            partly(cluster, history, "leader cannot hear", [(m, leader) for m in others], others)
            leader = wait_until(cluster.leader, 20, "a leader")
            others = [m for m in cluster.members if m is not leader]
            partly(cluster, history, "one link", both_ways([leader], [others[0]]), [leader, others[1]])
            all_cut(cluster, history)
            history.stop()
            verdict = check_linearizable(cluster.directory, everywhere, history, prefix=cluster.inside)
        wait_until(cluster.hashes_are_equal, 20, "equal hashes")
        print(verdict)


if __name__ == "__main__":
    main()
