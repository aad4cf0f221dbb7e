#!/usr/bin/env python3
"""bench_build.py [--runs N]: builds and Compose beside Debian's buildah and podman, in the same run, in namespaces of their own.

Five RUN steps, uncached and cached; three services up and down. Medians; the load average stands beside them. A peer that is
missing, or that does not work on this machine, is named and left out.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "compat", "compose"))
from support import Machine, enter_namespaces  # noqa: E402

STEPS = "FROM busybox\n" + "".join(f"RUN echo {i} > /step{i}\n" for i in range(5))
COMPOSE = """services:
  web: {image: busybox, command: sleep 1000, depends_on: [api], stop_grace_period: 0s, init: true}
  api: {image: busybox, command: sleep 1000, depends_on: [db], stop_grace_period: 0s, init: true}
  db: {image: busybox, command: sleep 1000, stop_grace_period: 0s, init: true}
"""


def timed(act):
    start = time.monotonic()
    act()
    return time.monotonic() - start


def run(*command, env=None, cwd=None):
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip()[-300:]}")


class Ours:
    name = "kvctl"

    def __init__(self, machine, context):
        self.machine, self.context = machine, context
        with open(f"{machine.work}/compose.yaml", "w") as file:
            file.write(COMPOSE)

    def build(self, *options):
        self.machine.kvctl("build", "-q", *options, "-t", "steps", self.context)

    def uncached(self):
        self.build("--no-cache")

    def cached(self):
        self.build()

    def up(self):
        self.machine.kvctl("compose", "up", "-d", cwd=self.machine.work)

    def down(self):
        self.machine.kvctl("compose", "down", cwd=self.machine.work)


class Peer:
    """buildah for builds; podman's own commands for what Compose does with it."""
    name = "buildah, podman"

    def __init__(self, machine, context):
        self.machine, self.context = machine, context
        self.storage = ["--root", f"{machine.work}/peer", "--runroot", f"{machine.work}/peerrun", "--storage-driver", "overlay"]
        self.buildah = ["buildah", *self.storage]
        self.podman = ["podman", *self.storage, "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--network-config-dir",
                       f"{machine.work}/peernet"]
        run(*self.buildah, "from", "--name", "base", "scratch")
        run(*self.buildah, "add", "base", f"{machine.work}/base.tar", "/")
        run(*self.buildah, "commit", "base", "localhost/busybox:latest")
        run(*self.buildah, "rm", "base")

    def bud(self, *options):
        run(*self.buildah, "bud", "-q", "--runtime", "runc", "--isolation", "oci", "--layers", "--pull-never", *options, "-t", "steps", ".", cwd=self.context)

    def uncached(self):
        self.bud("--no-cache")

    def cached(self):
        self.bud()

    def up(self):
        run(*self.podman, "network", "create", "bench")
        for name in ("db", "api", "web"):
            run(*self.podman, "run", "-d", "--name", name, "--network", "bench", "--ulimit", "nofile=1024:1024", "--ulimit",
                "nproc=4096:4096", "--init",
                "localhost/busybox", "sleep", "1000")

    def down(self):
        run(*self.podman, "rm", "-f", "-t", "0", "web", "api", "db")
        run(*self.podman, "network", "rm", "bench")


def measure(tool, runs):
    figures = {}
    try:
        figures["5 RUN steps, uncached"] = statistics.median(timed(tool.uncached) for _ in range(runs))
        tool.cached()
        figures["5 RUN steps, cached"] = statistics.median(timed(tool.cached) for _ in range(runs))
    except (RuntimeError, AssertionError) as error:
        print(f"{tool.name}: {error}", file=sys.stderr)
    ups, downs = [], []
    try:
        for _ in range(runs):
            ups.append(timed(tool.up))
            downs.append(timed(tool.down))
        figures["3 services up"] = statistics.median(ups)
        figures["3 services down"] = statistics.median(downs)
    except (RuntimeError, AssertionError) as error:
        print(f"{tool.name}: {error}", file=sys.stderr)
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    enter_namespaces()
    with Machine() as machine:
        context = f"{machine.work}/context"
        os.makedirs(context)
        with open(f"{context}/Dockerfile", "w") as file:
            file.write(STEPS)
        ours = measure(Ours(machine, context), arguments.runs)
        theirs = {}
        if shutil.which("buildah") and shutil.which("podman"):
            theirs = measure(Peer(machine, context), arguments.runs)
    print("| what | kvctl | buildah, podman | ratio |\n| --- | --- | --- | --- |")
    for name, value in ours.items():
        peer = theirs.get(name)
        print(f"| {name} | {value * 1000:.0f} ms | {f'{peer * 1000:.0f} ms' if peer else '-'} | "
              f"{f'{value / peer:.2f}' if peer else '-'} |")
    print(f"\nMedian of {arguments.runs}; load average {os.getloadavg()[0]:.1f}.")


main()
