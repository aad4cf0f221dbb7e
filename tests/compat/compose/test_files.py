#!/usr/bin/env python3
"""test_files.py [NAME...|--all]: bring the projects of files/ up, reach them over their networks, scale them, take them down.

What to look for is written in each file under x-test. Without arguments a few that cover the most; --all takes all of them.
"""
import json
import os
import shutil
import sys
import urllib.request

from support import Machine, enter_namespaces, eventually, free_port

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
FEW = ("03-", "07-", "11-", "15-", "17-", "18-", "21-", "36-", "41-", "44-")


class Case:
    def __init__(self, machine, name):
        self.machine = machine
        self.name = name
        self.directory = f"{machine.work}/{name}"
        shutil.copytree(f"{FILES}/{name}", self.directory)
        self.env = dict(machine.env, **{f"PORT{i}": str(free_port()) for i in (1, 2, 3)})

    def compose(self, *arguments, check=True):
        return self.machine.kvctl("compose", *arguments, cwd=self.directory, env=self.env, check=check)

    def expect(self, is_good, text):
        if not is_good:
            self.machine.fail(f"{self.name}: {text}")

    def fetches(self, service, url):
        return self.compose("exec", "-T", service, "wget", "-q", "-O", "-", url, check=False).returncode == 0

    def count(self, service):
        return len(self.compose("ps", "-q", service).stdout.split())

    def check(self, wanted):
        for service, url in wanted.get("reach", {}).items():
            eventually(lambda s=service, u=url: self.fetches(s, u), f"{self.name}: {service} reaches {url}")
        for service, url in wanted.get("unreachable", {}).items():
            self.expect(not self.fetches(service, url), f"{service} reaches {url}")
        for name in wanted.get("outside", []):
            url = f"http://127.0.0.1:{self.env[name]}/"
            eventually(lambda u=url: answers(u), f"{self.name}: {url} answers")
        for service, (command, output) in wanted.get("exec", {}).items():
            result = self.compose("exec", "-T", service, "sh", "-c", command, check=False)
            got = " ".join(result.stdout.split())
            self.expect(output in got, f"{service}: {command}: '{output}' is not in '{got}' {result.stderr}")
        for service, lines in wanted.get("logs", {}).items():
            for line in lines:
                eventually(lambda s=service, x=line: x in self.compose("logs", s).stdout, f"{self.name}: log has {line}")
        listing = {row["Service"]: row for row in json.loads(self.compose("ps", "-a", "--format", "json").stdout)}
        for service in wanted.get("healthy", []):
            self.expect(listing[service]["Health"] == "healthy", f"{service} is {listing[service]['Health']}")
        for service in wanted.get("absent", []):
            self.expect(service not in listing, f"{service} is there")
        for service, number in wanted.get("count", {}).items():
            self.expect(self.count(service) == number, f"{self.count(service)} of {service}")

    def scale(self, wanted):
        for service, number in wanted.get("scale", {}).items():
            self.compose("up", "-d", "--scale", f"{service}={number}")
            self.expect(self.count(service) == number, f"{self.count(service)} of {service} after scaling")

    def run(self):
        before = leftovers(self.machine)
        wanted = json.loads(self.compose("config", "--format", "json", "--no-interpolate").stdout).get("x-test", {})
        try:
            self.compose("up", "-d", "--wait")
            ids = self.compose("ps", "-q").stdout
            again = self.compose("up", "-d")
            self.expect(self.compose("ps", "-q").stdout == ids, f"a second up changed something:\n{again.stderr}")
            self.check(wanted)
            self.scale(wanted)
        except AssertionError as error:
            self.machine.fail(f"{self.name}: {error}\n{self.compose('logs', check=False).stdout}")
        self.compose("down", "-v", "-t", "1", "--remove-orphans", check=False)
        after = leftovers(self.machine)
        self.expect(before == after, f"left behind: {after} instead of {before}")
        shutil.rmtree(self.directory)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def leftovers(machine):
    """Containers, their names, volumes and networks: what a project consists of."""
    found = {}
    for folder in ("containers", "names", "volumes"):
        path = f"{machine.work}/root/{folder}"
        found[folder] = sorted(os.listdir(path)) if os.path.isdir(path) else []
    path = f"{machine.work}/root/networks"
    found["networks"] = sorted(n for n in os.listdir(path) if n.endswith(".json") and n != "bridge.json") if os.path.isdir(path) else []
    return found


def main():
    enter_namespaces()
    names = sorted(os.listdir(FILES))
    chosen = sys.argv[1:]
    if chosen != ["--all"]:
        names = [n for n in names if n.startswith(tuple(chosen or FEW))]
    with Machine() as machine:
        for name in names:
            Case(machine, name).run()
            print(f"done: {name}", flush=True)
        print(f"{len(names)} projects, {machine.failures} failures")
        return 1 if machine.failures else 0


sys.exit(main())
