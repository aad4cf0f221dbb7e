#!/usr/bin/env python3
"""kvctl migrate live: from a running etcd, while it is written, killed on the way, to a cut-over that is compared."""
import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, Cluster, etcdctl, kvctl, require, wait_until  # noqa: E402
from etcd_server import Etcd, content  # noqa: E402


def encode(text):
    return base64.b64encode(text.encode()).decode()


class Writer:
    """Puts, deletes and transactions through etcd's gateway, on one connection, until told to stop."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.is_over = threading.Event()
        self.count = 0
        self.failure = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body))
        response = self.connection.getresponse()
        data = response.read()
        assert response.status == 200, data

    def run(self):
        try:
            while not self.is_over.is_set():
                i = self.count
                if i % 7 == 3:
                    self.post("/v3/kv/deleterange", {"key": encode(f"w/{(i * 5) % 40:02}")})
                elif i % 7 == 5:
                    self.post("/v3/kv/txn", {"success": [{"requestPut": {"key": encode(f"t/{k}"), "value": encode(str(i))}}
                                                         for k in range(3)]})
                else:
                    self.post("/v3/kv/put", {"key": encode(f"w/{i % 40:02}"), "value": encode(f"value {i}")})
                self.count += 1
        except Exception as error:  # told to the main thread
            self.failure = error

    def stop(self):
        self.is_over.set()
        self.thread.join()
        self.connection.close()
        assert self.failure is None, self.failure


def fill(etcd):
    for i in range(30):
        etcd.ctl("put", f"k/{i:02}", f"value {i}")
    etcd.ctl("put", "k/05", "changed last")
    etcd.ctl("del", "k/07")
    lease = etcd.ctl("lease", "grant", "7000").stdout.split()[1]
    etcd.ctl("put", "leased", "x", f"--lease={lease}")
    for words in (["user", "add", "root:top"], ["role", "add", "root"], ["role", "add", "reader"],
                  ["role", "grant-permission", "reader", "read", "k/", "--prefix=true"], ["user", "add", "ann:secret"],
                  ["user", "grant-role", "ann", "reader"], ["user", "grant-role", "root", "root"]):
        etcd.ctl(*words)
    return lease


def check_equal(etcd, target, lease):
    """Values, leases, order of changes: verified by the command itself, and here once more."""
    theirs = sorted(content(etcd.endpoint, 0)[0], key=lambda kv: (kv["mod_revision"], kv["key"]))
    ours = sorted(content(target, 0)[0], key=lambda kv: (kv["mod_revision"], kv["key"]))
    strip = [(kv["key"], kv.get("value"), kv.get("lease")) for kv in theirs]
    assert strip == [(kv["key"], kv.get("value"), kv.get("lease")) for kv in ours]
    ttl = json.loads(etcdctl(target, "lease", "timetolive", lease, "--keys", "-w", "json").stdout)
    assert ttl["granted-ttl"] == 7000 and ttl["keys"] == [encode("leased")], ttl
    assert etcdctl(etcd.endpoint, "role", "get", "reader").stdout == etcdctl(target, "role", "get", "reader").stdout
    etcdctl(target, "auth", "enable", "--user=root:top")
    assert "changed last" in etcdctl(target, "--user=ann:secret", "get", "k/05").stdout


def follow(etcd, target, log):
    return subprocess.Popen([BIN / "kvctl", f"--endpoints={target}", "migrate", "live", etcd.endpoint], stdout=log,
                            stderr=log, stdin=subprocess.DEVNULL)



def run(directory):
    passwords = directory / "passwords"
    passwords.write_text("root:top\nann:secret\n")
    with Etcd(directory) as etcd, Cluster(1) as cluster:
        etcd.start()
        cluster.start()
        target = cluster.endpoints
        lease = fill(etcd)
        etcdctl(target, "put", "stranger", "x")
        refused = kvctl(target, "migrate", "live", etcd.endpoint, check=False)
        assert refused.returncode == 1 and "not empty" in refused.stderr, refused
        etcdctl(target, "del", "stranger")
        kvctl(target, "migrate", "live", "--once", "--passwords-file", str(passwords), etcd.endpoint, seconds=60)
        writer = Writer(etcd.client_port)
        log = open(directory / "follow.log", "ab")
        process = follow(etcd, target, log)
        try:
            # Killed twice while it follows, each time when it has brought something new.
            for _ in range(2):
                seen = content(target, 0)[1]
                wait_until(lambda: content(target, 0)[1] > seen + 20, 60, "changes arrive")
                process.send_signal(signal.SIGKILL)
                process.wait()
                process = follow(etcd, target, log)
            seen = content(target, 0)[1]
            wait_until(lambda: content(target, 0)[1] > seen + 20, 60, "changes arrive again")
        finally:
            writer.stop()
            process.kill()
            process.wait()
            log.close()
        # A lease that comes late, and one that ends with its key.
        late = etcd.ctl("lease", "grant", "7000").stdout.split()[1]
        etcd.ctl("put", "late", "x", f"--lease={late}")
        ended = etcd.ctl("lease", "grant", "7000").stdout.split()[1]
        etcd.ctl("put", "ended", "x", f"--lease={ended}")
        etcd.ctl("lease", "revoke", ended)
        done = kvctl(target, "migrate", "live", "--finish", etcd.endpoint, seconds=60)
        assert "Verified" in done.stdout and "Finished" in done.stdout, done
        check_equal(etcd, target, lease)


def main():
    require("etcd")
    require("etcdctl")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="migrate-live.", dir=os.environ.get("TMPDIR")))
    try:
        run(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
