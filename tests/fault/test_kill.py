#!/usr/bin/env python3
"""kill -9 of any and all members under load, again and again: no acknowledged write is lost, and in the end all members hash alike.

    test_kill.py [--cycles N] [--seed S]

Writers put unique values under keys of their own and note what was acknowledged. A cycle kills one, two or all three members
(by the seed), starts them again and goes on when there is a leader. After each cycle every writer's last acknowledged
value, or a later one whose answer was lost, must be there; at the end every key is compared.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, Cluster, kvctl, wait_until  # noqa: E402

WRITERS = 6


class Writer(threading.Thread):
    """Puts 1, 2, 3, … under one key after another through kvctl's own client, one at a time."""

    def __init__(self, cluster, index):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.index = index
        self.acknowledged = {}  # key -> highest acknowledged number
        self.attempted = {}  # key -> highest number sent
        self.count = 0
        self.stop = threading.Event()

    def run(self):
        number = 0
        while not self.stop.is_set():
            number += 1
            key = f"w{self.index}/{number % 50}"
            self.attempted[key] = number
            result = subprocess.run([str(BIN / "kvctl"), f"--endpoints={self.cluster.endpoints}", "--command-timeout=2s", "put",
                                     key, str(number)], capture_output=True, text=True, check=False)
            if result.returncode == 0:
                self.acknowledged[key] = number
                self.count += 1


def read_all(cluster):
    text = kvctl(cluster.endpoints, "get", "w", "--prefix", "-w", "json", seconds=60).stdout
    import base64
    data = json.loads(text)
    return {base64.b64decode(kv["key"]).decode(): int(base64.b64decode(kv["value"])) for kv in data.get("kvs", [])}


def check(cluster, writers):
    """What was acknowledged before the read must be in it, and nothing that was never sent."""
    acknowledged = {key: number for writer in writers for key, number in list(writer.acknowledged.items())}
    present = read_all(cluster)
    attempted = {key: number for writer in writers for key, number in list(writer.attempted.items())}
    for key, number in acknowledged.items():
        have = present.get(key, 0)
        assert number <= have <= attempted[key], f"{key}: acknowledged {number}, sent {attempted[key]}, found {have}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with Cluster() as cluster:
        cluster.start()
        cluster.wait_leader()
        writers = [Writer(cluster, i) for i in range(WRITERS)]
        for writer in writers:
            writer.start()
        began = time.monotonic()
        for cycle in range(options.cycles):
            # Some writes must have happened since the last cycle, or nothing is tested.
            before = sum(w.count for w in writers)
            wait_until(lambda: sum(w.count for w in writers) > before + 5, 30, "writers make progress")
            victims = rng.sample(cluster.members, rng.choice((1, 1, 2, 3)))
            for victim in victims:
                victim.signal(9)
            for victim in victims:
                victim.wait()
            for victim in victims:
                victim.start()
            for victim in victims:
                victim.wait_ready()
            check(cluster, writers)
            if cycle % 10 == 9:
                print(f"cycle {cycle + 1}: {sum(w.count for w in writers)} writes, {time.monotonic() - began:.0f} s", flush=True)
        for writer in writers:
            writer.stop.set()
        for writer in writers:
            writer.join()
        check(cluster, writers)
        hashes = wait_until(lambda: equal_hashes(cluster), 20, "all members have the same hash at the same revision")
        print(f"{options.cycles} cycles, {sum(w.count for w in writers)} acknowledged writes kept, hash {hashes}")


def equal_hashes(cluster):
    data = json.loads(kvctl(cluster.endpoints, "endpoint", "hashkv", "-w", "json").stdout)
    hashes = {h["HashKV"]["hash"] for h in data}
    revisions = {h["HashKV"]["header"]["revision"] for h in data}
    return hashes.pop() if len(data) == 3 and len(hashes) == 1 and len(revisions) == 1 else None


if __name__ == "__main__":
    main()
