#!/usr/bin/env python3
"""Users, roles and tokens on three members, by Debian's etcdctl and by kvctl."""
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, kvctl, require, wait_until  # noqa: E402

ROOT = "--user=root:root-pass-phrase"
ALICE = "--user=alice:alice-pass-phrase"


def lines(result):
    return result.stdout.splitlines()


def refused(result, text):
    assert result.returncode != 0 and text in result.stderr, (result.returncode, result.stdout, result.stderr)


def test_users_and_roles_are_made(ends):
    etcdctl(ends, "user", "add", "root:root-pass-phrase")
    etcdctl(ends, "user", "add", "alice:alice-pass-phrase")
    refused(etcdctl(ends, "user", "add", "alice:x", check=False), "user name already exists")
    etcdctl(ends, "role", "add", "editor")
    refused(etcdctl(ends, "role", "add", "editor", check=False), "role name already exists")
    etcdctl(ends, "role", "grant-permission", "editor", "readwrite", "--prefix=true", "pub/")
    etcdctl(ends, "role", "grant-permission", "editor", "read", "log/a", "log/c")
    refused(etcdctl(ends, "user", "grant-role", "alice", "nothing", check=False), "role name not found")
    etcdctl(ends, "user", "grant-role", "alice", "editor")
    assert lines(etcdctl(ends, "user", "list")) == ["alice", "root"]
    assert lines(kvctl(ends, "user", "get", "alice")) == ["User: alice", "Roles: editor"]
    assert "[pub/, pub0) (prefix pub/)" in etcdctl(ends, "role", "get", "editor").stdout
    for key in ("pub/1", "log/a", "log/d", "secret"):
        etcdctl(ends, "put", key, "v")


def test_enabling_closes_the_store(ends):
    early = etcdctl(ends, ROOT, "get", "pub/1")  # the client goes on without a token
    assert "authentication is not enabled" in early.stderr and lines(early) == ["pub/1", "v"], early
    etcdctl(ends, "auth", "enable")
    for end in ends.split(","):
        wait_until(lambda: etcdctl(end, "get", "pub/1", check=False).returncode != 0, 10, "auth is on at " + end)
    for arguments in (("get", "pub/1"), ("put", "pub/1", "x"), ("del", "pub/1"), ("lease", "list"), ("lease", "grant", "9"),
                      ("user", "list"), ("member", "list"), ("compaction", "1"), ("auth", "disable")):
        refused(etcdctl(ends, *arguments, check=False), "user name is empty")
    refused(etcdctl(ends, "--user=alice:wrong", "get", "pub/1", check=False), "authentication failed")
    refused(etcdctl(ends, "--user=nobody:wrong", "get", "pub/1", check=False), "authentication failed")


def test_roles_bound_what_a_user_may_do(ends):
    assert lines(etcdctl(ends, ALICE, "put", "pub/2", "w", "--prev-kv"))[0] == "OK"
    assert lines(etcdctl(ends, ALICE, "get", "pub/", "--prefix", "--keys-only"))[0::2] == ["pub/1", "pub/2"]
    assert lines(kvctl(ends, ALICE, "get", "log/a")) == ["log/a", "v"]
    denied = "permission denied"
    for arguments in (("get", "secret"), ("get", "log/a", "log/e"), ("get", "pub/", "--from-key"), ("get", "", "--prefix"),
                      ("put", "log/a", "x"), ("del", "pub/", "--from-key"), ("compaction", "1"), ("user", "list"),
                      ("user", "get", "root"), ("role", "list"), ("auth", "disable"),
                      ("member", "remove", "1"), ("defrag",)):
        refused(etcdctl(ends, ALICE, *arguments, check=False), denied)
    script = 'version("pub/1") > "100"\n\nget pub/1\n\nget secret\n\n'
    refused(etcdctl(ends, ALICE, "txn", stdin=script, check=False), denied)
    watch = etcdctl(ends, ALICE, "watch", "pub/", "q", check=False)
    assert denied in watch.stdout + watch.stderr, watch
    assert "Roles: editor" in etcdctl(ends, ALICE, "user", "get", "alice").stdout
    etcdctl(ends, ALICE, "role", "get", "editor")
    etcdctl(ends, ALICE, "member", "list")


def test_keys_of_a_lease_guard_the_lease(ends):
    lease = etcdctl(ends, ROOT, "lease", "grant", "600").stdout.split()[1]
    etcdctl(ends, ROOT, "put", "secret", "v", f"--lease={lease}")
    for arguments in (("lease", "revoke", lease), ("lease", "timetolive", lease, "--keys"), ("lease", "list"),
                      ("put", "pub/3", "x", f"--lease={lease}")):
        refused(etcdctl(ends, ALICE, *arguments, check=False), "permission denied")
    etcdctl(ends, ROOT, "lease", "revoke", lease)
    assert lines(etcdctl(ends, ROOT, "get", "secret")) == []


def test_changes_count_at_once(ends):
    etcdctl(ends, ROOT, "role", "revoke-permission", "editor", "log/a", "log/c")
    refused(etcdctl(ends, ALICE, "get", "log/a", check=False), "permission denied")
    etcdctl(ends, ROOT, "user", "passwd", "alice", "--interactive=false", stdin="new-pass-phrase\n")
    refused(etcdctl(ends, ALICE, "get", "pub/1", check=False), "authentication failed")
    etcdctl(ends, "--user=alice:new-pass-phrase", "get", "pub/1")
    refused(etcdctl(ends, ROOT, "user", "delete", "root", check=False), "invalid auth management")


def test_everything_survives_a_restart(cluster, ends):
    for member in cluster.members:
        member.kill(signal.SIGTERM)
        member.start()
        member.wait_ready()
    cluster.wait_leader()
    refused(etcdctl(ends, "get", "pub/1", check=False), "user name is empty")
    assert lines(etcdctl(ends, "--user=alice:new-pass-phrase", "get", "pub/1")) == ["pub/1", "v"]
    assert lines(etcdctl(ends, ROOT, "user", "list")) == ["alice", "root"]


def test_no_password_is_written_anywhere(cluster):
    for word in ("root-pass-phrase", "alice-pass-phrase", "new-pass-phrase"):
        found = subprocess.run(["grep", "-rlaF", word, str(cluster.directory)], capture_output=True, text=True, check=False)
        assert found.returncode == 1, f"{word} is in {found.stdout}"


def test_disabling_opens_the_store(ends):
    etcdctl(ends, ROOT, "auth", "disable")
    etcdctl(ends, "put", "secret", "open")
    etcdctl(ends, "user", "delete", "alice")
    assert lines(etcdctl(ends, "user", "list")) == ["root"]


def main():
    require("etcdctl")
    with Cluster(extra=["--bcrypt-cost=4"]) as cluster:
        cluster.start()
        cluster.wait_leader()
        ends = cluster.endpoints
        tests = ((test_users_and_roles_are_made, ends), (test_enabling_closes_the_store, ends),
                 (test_roles_bound_what_a_user_may_do, ends), (test_keys_of_a_lease_guard_the_lease, ends),
                 (test_changes_count_at_once, ends), (test_everything_survives_a_restart, cluster, ends),
                 (test_no_password_is_written_anywhere, cluster), (test_disabling_opens_the_store, ends))
        for test, *arguments in tests:
            start = time.monotonic()
            test(*arguments)
            print(f"{test.__name__}: ok ({time.monotonic() - start:.1f} s)")


if __name__ == "__main__":
    main()
