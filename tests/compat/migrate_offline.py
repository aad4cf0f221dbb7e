#!/usr/bin/env python3
"""kvctl migrate offline, and snapshot restore of etcd's own backup: files that Debian's etcd wrote become a member of kvd.

Compared are all keys at every revision that is left, leases with their keys, users with their passwords, roles. Then
damaged files: one line, and no data directory."""
import base64
import http.client
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, Cluster, etcdctl, kvctl, require, wait_until  # noqa: E402
from etcd_server import Etcd, content  # noqa: E402

COMPACTED = 40
DAMAGES = 8


def fill(etcd):
    """All kinds of entries; keep the last ones in the log only (the batch interval is long)."""
    for i in range(60):
        etcd.ctl("put", f"k/{i % 25:02}", f"value {i}")
    etcd.ctl("del", "k/0", "--prefix")
    etcd.ctl("txn", stdin='mod("k/11") > "0"\n\nput t/a 1\nput t/b 2\ndel k/12\n\nput t/c 3\n\n')
    leases = []
    for name in ("one", "two"):
        lease = etcd.ctl("lease", "grant", "6000").stdout.split()[1]
        etcd.ctl("put", f"leased/{name}", "x", f"--lease={lease}")
        etcd.ctl("put", f"leased/{name}/2", "y", f"--lease={lease}")
        leases.append(lease)
    etcd.ctl("lease", "revoke", leases[1])
    etcd.ctl("compact", str(COMPACTED))
    for words in (["user", "add", "root:top"], ["role", "add", "root"], ["role", "add", "reader"],
                  ["role", "grant-permission", "reader", "read", "k/", "--prefix=true"], ["user", "add", "ann:secret"],
                  ["user", "grant-role", "ann", "reader"], ["user", "grant-role", "root", "root"]):
        etcd.ctl(*words)
    # Entries with a user in their header are allowed or not again when they are replayed.
    etcd.ctl("auth", "enable")
    etcd.ctl("--user=root:top", "put", "as/root", "x")
    assert etcd.ctl("--user=ann:secret", "put", "as/ann", "x", check=False).returncode != 0
    etcd.ctl("--user=root:top", "auth", "disable")
    return leases[0]


def http_post(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def grow_log(etcd):
    """More than one segment of etcd's log (64 MB)."""
    _, first = content(etcd.endpoint, 0)
    value = base64.b64encode(bytes(1_000_000)).decode()
    for i in range(66):
        body = json.dumps({"key": base64.b64encode(f"large/{i % 2}".encode()).decode(), "value": value})
        assert http_post(etcd.client_port, "/v3/kv/put", body) == 200
    etcd.ctl("del", "large/", "--prefix")
    etcd.ctl("put", "after the large ones", "yes")
    return first


def migrate(source, cluster, *extra):
    member = cluster.members[0]
    result = kvctl("127.0.0.1:1", *extra, str(source), "--data-dir", str(member.data_dir), "--name", member.name,
                   "--initial-cluster", cluster.initial_cluster(), "--initial-advertise-peer-urls", member.peer_url,
                   "--initial-cluster-token", "test", seconds=120)
    member.start().wait_ready(60)
    return result.stdout


def compare(etcd, member, lease, first_large):
    _, newest = content(etcd.endpoint, 0)
    for revision in [*range(COMPACTED, first_large + 2), *range(newest - 3, newest + 1)]:
        assert content(etcd.endpoint, revision) == content(member.endpoint, revision), revision
    old = etcdctl(member.endpoint, "get", "k/1", f"--rev={COMPACTED - 1}", check=False)
    assert "has been compacted" in old.stderr, old
    words = ["lease", "timetolive", lease, "--keys", "-w", "json"]
    theirs, ours = (json.loads(etcdctl(e, *words).stdout) for e in (etcd.endpoint, member.endpoint))
    assert sorted(theirs["keys"]) == sorted(ours["keys"]) and theirs["granted-ttl"] == ours["granted-ttl"], (theirs, ours)
    assert len(json.loads(etcdctl(member.endpoint, "lease", "list", "-w", "json").stdout)["leases"]) == 1
    for words in (["user", "list"], ["role", "list"], ["role", "get", "reader"], ["user", "get", "ann"]):
        assert etcdctl(etcd.endpoint, *words).stdout == etcdctl(member.endpoint, *words).stdout, words
    return newest


def check_passwords(member):
    etcdctl(member.endpoint, "auth", "enable", "--user=root:top")
    assert etcdctl(member.endpoint, "--user=ann:secret", "get", "k/11").returncode == 0
    assert etcdctl(member.endpoint, "--user=ann:wrong", "get", "k/11", check=False).returncode != 0
    denied = etcdctl(member.endpoint, "--user=ann:secret", "put", "k/11", "x", check=False)
    assert "permission denied" in denied.stderr, denied
    etcdctl(member.endpoint, "--user=root:top", "put", "k/after", "the move")


def refused(source, directory, text, *words):
    target = directory / "refused"
    result = kvctl("127.0.0.1:1", "migrate", "offline", str(source), "--data-dir", str(target), *words, check=False)
    lines = result.stderr.strip().splitlines()
    shutil.rmtree(f"{target}.part", ignore_errors=True)
    assert result.returncode in (6, 128) and len(lines) == 1 and text in lines[0], result
    assert not target.exists()


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def check_damage(copy, directory):
    snap = copy / "member" / "snap"
    logs = sorted((copy / "member" / "wal").glob("*.wal"))
    assert len(logs) >= 2, logs
    # Any byte of a record in the log; the head of the file is the sum of a past that nobody has.
    size = logs[0].stat().st_size
    choice = random.Random(5)
    for at in [24, size - 9] + [choice.randrange(100, size) for _ in range(6)]:
        flip(logs[0], at)
        refused(copy, directory, "wal")
        flip(logs[0], at)
    moved = directory / "moved"
    logs[0].rename(moved)
    refused(copy, directory, "entry")
    moved.rename(logs[0])
    db = snap / "db"
    whole = db.read_bytes()
    for at in (16 + 8, 4096 + 16 + 8):  # the page sizes in both heads
        flip(db, at)
    refused(copy, directory, "meta page")
    db.write_bytes(whole[:8192])
    refused(copy, directory, "database")
    db.write_bytes(b"")
    refused(copy, directory, "meta page")
    # A flipped bit anywhere ends in a message or, in a value or a free page, goes unseen: pages have no sums.
    for _ in range(DAMAGES):
        data = bytearray(whole)
        data[choice.randrange(8192, len(data))] ^= 1 << choice.randrange(8)
        db.write_bytes(data)
        result = subprocess.run([BIN / "kvctl", "migrate", "offline", db, "--skip-hash-check", "--data-dir",
                                 directory / "any"], capture_output=True, timeout=60, check=False)
        assert result.returncode in (0, 6), result
        shutil.rmtree(directory / "any", ignore_errors=True)
        shutil.rmtree(directory / "any.part", ignore_errors=True)
    db.write_bytes(whole)


def check_snapshot(etcd, directory, newest):
    path = directory / "backup.db"
    etcd.ctl("snapshot", "save", path)
    theirs = etcdctl("127.0.0.1:1", "snapshot", "status", str(path), "-w", "json")
    ours = json.loads(kvctl("127.0.0.1:1", "snapshot", "status", str(path), "-w", "json").stdout)
    theirs = json.loads(theirs.stdout)
    assert (theirs["hash"], theirs["revision"], theirs["totalKey"]) == (
        ours["hash"], ours["revision"], ours["totalKey"]), (theirs, ours)
    with Cluster(1) as cluster:
        member = cluster.members[0]
        member.extra = ["--wal-dir", str(cluster.directory / "log")]
        migrate(path, cluster, "snapshot", "restore", "--bump-revision", "1000000", "--mark-compacted", *member.extra)
        kvs, revision = content(member.endpoint, 0)
        assert (kvs, revision) == (content(etcd.endpoint, 0)[0], newest + 1000000)
        wait_until(lambda: "compacted" in etcdctl(member.endpoint, "get", "k/11", f"--rev={newest}", check=False).stderr,
                   20, "older revisions are compacted")
    flip(path, 9000)
    refused(path, directory, "SHA-256")


def run(directory):
    # One snapshot of the log, long before its first segment is full: then that segment is needed to go on from the
    # database, which is written seldom.
    with Etcd(directory, "--snapshot-count=100", "--backend-batch-interval=1h", "--backend-batch-limit=100000") as etcd:
        etcd.start()
        lease = fill(etcd)
        first_large = grow_log(etcd)
        refused(etcd.data_dir, directory, "etcd is running")
        etcd.ctl("put", "last", "one")
        etcd.stop()
        copy = etcd.copy(directory / "copy")
        with Cluster(1) as cluster:
            text = migrate(copy, cluster, "migrate", "offline")
            assert int(text.split("Its log added ")[1].split()[0]) > 40, text
            etcd.start()
            newest = compare(etcd, cluster.members[0], lease, first_large)
            check_passwords(cluster.members[0])
        check_snapshot(etcd, directory, newest)
    check_damage(copy, directory)


def main():
    require("etcd")
    require("etcdctl")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="migrate-offline.", dir=os.environ.get("TMPDIR")))
    try:
        run(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
