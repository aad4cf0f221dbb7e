#!/usr/bin/env python3
"""A backup of one cluster becomes another one: kvctl snapshot save, status, restore with real members of kvd."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, free_ports, wait_until  # noqa: E402


class Members:
    """kvd processes of one cluster in a folder, by name."""

    def __init__(self, directory, prefix, count):
        ports = free_ports(2 * count)
        self.directory = directory
        self.names = [f"{prefix}{i + 1}" for i in range(count)]
        self.client = {n: f"http://127.0.0.1:{ports[i]}" for i, n in enumerate(self.names)}
        self.peer = {n: f"http://127.0.0.1:{ports[count + i]}" for i, n in enumerate(self.names)}
        self.initial = ",".join(f"{n}={self.peer[n]}" for n in self.names)
        self.processes = {}

    def start(self, name):
        log = open(self.directory / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(
            [BIN / "kvd", "--name", name, "--data-dir", self.directory / name, "--listen-client-urls", self.client[name],
             "--advertise-client-urls", self.client[name], "--listen-peer-urls", self.peer[name],
             "--initial-advertise-peer-urls", self.peer[name], "--initial-cluster", self.initial],
            stdout=log, stderr=log)

    def kill(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self):
        for name in list(self.processes):
            self.kill(name)

    def kvctl(self, *words, check=True, stdin=""):
        env = {**os.environ, "KVCTL_ENDPOINTS": ",".join(self.client.values())}
        result = subprocess.run([BIN / "kvctl", *map(str, words)], env=env, input=stdin.encode(), capture_output=True,
                                timeout=60)
        assert not check or result.returncode == 0, result
        return result

    def wait_healthy(self):
        wait_until(lambda: self.kvctl("endpoint", "health", check=False).returncode == 0, 20, "all members are healthy")

    def hashes(self, revision):
        found = json.loads(self.kvctl("endpoint", "hashkv", "--rev", revision, "-w", "json").stdout)
        return [entry["HashKV"]["hash"] for entry in found]


def fill(old):
    for i in range(40):
        old.kvctl("put", f"k/{i:02}", f"value {i}")
    old.kvctl("put", "k/03", "changed")
    old.kvctl("del", "k/07")
    lease = old.kvctl("lease", "grant", "5000").stdout.split()[1].decode()
    old.kvctl("put", "leased", "x", "--lease", lease)
    return lease, json.loads(old.kvctl("get", "leased", "-w", "json").stdout)["header"]["revision"]


def save(old, path, revision):
    """Until the backup holds the newest write: a member stores writes some milliseconds after it acknowledged them."""
    def is_saved():
        old.kvctl("snapshot", "save", path)
        return json.loads(old.kvctl("snapshot", "status", path, "-w", "json").stdout)["revision"] == revision
    wait_until(is_saved, 10, "a backup of the newest revision")


def check_refusals(old, directory, path):
    target = directory / "refused"

    def refused(words, code, text):
        result = old.kvctl("snapshot", "restore", *words, "--data-dir", target, check=False)
        assert result.returncode == code and text in result.stderr.decode(), result
        assert not target.exists()
        shutil.rmtree(f"{target}.part", ignore_errors=True)

    refused([], 128, "requires exactly one argument")
    refused([directory / "absent.db"], 6, "absent.db")
    refused([path, "--name", "stranger"], 128, "stranger")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = directory / "damaged.db"
    damaged.write_bytes(data)
    refused([damaged], 6, "SHA-256")
    # Without the hash at the end it is still each record's own checksum that tells.
    refused([damaged, "--skip-hash-check"], 6, "")
    damaged.write_bytes(path.read_bytes()[:1000])
    refused([damaged], 6, "SHA-256")
    refused([damaged, "--skip-hash-check"], 6, "")


def run(directory):
    old = Members(directory, "old", 1)
    new = Members(directory, "new", 3)
    path = directory / "backup.db"
    try:
        old.start("old1")
        old.wait_healthy()
        lease, revision = fill(old)
        save(old, path, revision)
        old_hash = old.hashes(revision)[0]
        check_refusals(old, directory, path)
        for name in new.names:
            words = ["snapshot", "restore", path, "--data-dir", directory / name, "--name", name, "--initial-cluster",
                     new.initial, "--initial-advertise-peer-urls", new.peer[name]]
            new.kvctl(*words)
            again = new.kvctl(*words, check=False)
            assert again.returncode == 128 and b"not empty" in again.stderr, again
        for name in new.names:
            new.start(name)
        new.wait_healthy()
        assert new.hashes(revision) == [old_hash] * 3
        members = json.loads(new.kvctl("member", "list", "-w", "json").stdout)["members"]
        assert sorted(m["name"] for m in members) == new.names, members
        assert new.kvctl("get", "k/03").stdout == b"k/03\nchanged\n"
        assert new.kvctl("get", "k/03", "--rev", "5").stdout == b"k/03\nvalue 3\n"
        assert new.kvctl("get", "k/07").stdout == b""
        assert b"attached keys([leased])" in new.kvctl("lease", "timetolive", lease, "--keys").stdout
        new.kvctl("put", "after", "the restore")
        # Members that were restored alike go on alike, also after each of them died.
        for name in new.names:
            new.kill(name)
            new.kvctl("put", f"without/{name}", "x", "--command-timeout", "20s")
            new.start(name)
            new.wait_healthy()
        last = json.loads(new.kvctl("get", "after", "-w", "json").stdout)["header"]["revision"]
        assert last == revision + 4, (last, revision)
        wait_until(lambda: len(set(new.hashes(last))) == 1, 10, "equal hashes")
    finally:
        old.close()
        new.close()


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="kvctl-restore."))
    try:
        run(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
