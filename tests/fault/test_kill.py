#!/usr/bin/env python3
"""kill -9 of any and all members under load, again and again: no acknowledged write is lost, what clients saw is linearizable,
and in the end all members hash alike.

    test_kill.py [--cycles N] [--seed S]

Clients write, read and compare-and-set a few keys all the time and record everything. A cycle kills one, two or all three
members (by the seed), starts them again, and goes on when clients get answers again.
"""
import argparse
import json
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, kvctl, wait_until  # noqa: E402
from history import History, check_linearizable  # noqa: E402

CYCLES_PER_HISTORY = 25  # the search for an order is quick for short histories


def equal_hashes(cluster):
    data = json.loads(kvctl(cluster.endpoints, "endpoint", "hashkv", "-w", "json").stdout)
    hashes = {h["HashKV"]["hash"] for h in data}
    revisions = {h["HashKV"]["header"]["revision"] for h in data}
    return hashes.pop() if len(data) == 3 and len(hashes) == 1 and len(revisions) == 1 else None


def kill_some(cluster, rng):
    victims = rng.sample(cluster.members, rng.choice((1, 1, 2, 3)))
    for victim in victims:
        victim.signal(9)
    for victim in victims:
        victim.wait()
    for victim in victims:
        victim.start()
    for victim in victims:
        victim.wait_ready()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    total = 0
    began = time.monotonic()
    with Cluster() as cluster:
        cluster.start()
        cluster.wait_leader()
        kvctl(cluster.endpoints, "put", "marker", "0")
        for first in range(0, options.cycles, CYCLES_PER_HISTORY):
            cycles = min(CYCLES_PER_HISTORY, options.cycles - first)
            with History(cluster.directory, cluster.endpoints, f"history{first}", seed=options.seed * 1000 + first) as history:
                for _ in range(cycles):
                    history.wait_progress()  # or nothing is tested
                    kill_some(cluster, rng)
                history.wait_progress()
                history.stop()
                total += history.acknowledged
                verdict = check_linearizable(cluster.directory, cluster.endpoints, history)
            print(f"cycle {first + cycles}: {verdict}, {time.monotonic() - began:.0f} s", flush=True)
        hashes = wait_until(lambda: equal_hashes(cluster), 20, "all members have the same hash at the same revision")
        print(f"{options.cycles} cycles, {total} operations acknowledged, hash {hashes}")


if __name__ == "__main__":
    main()
