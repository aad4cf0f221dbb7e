#!/usr/bin/env python3
"""kvctl against a real etcd, next to the real etcdctl: the same commands must print the same bytes.

Two fresh etcd servers get the same commands in the same order, one from etcdctl and one from kvctl. What must differ
(ids, ports, durations) is replaced by names before the comparison. Where etcdctl 3.7, the version we follow, prints
otherwise than Debian's 3.4, the step says so. Then kvctl alone: fail-over between three members, killed one by one.
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, free_ports, require, wait_until  # noqa: E402

KVCTL = os.environ.get("KVCTL", str(BIN / "kvctl"))


class Etcd:
    """One member of a reference cluster."""

    def __init__(self, directory, name, client_port, peer_port, initial, server="etcd"):
        self.name = name
        self.endpoint = f"127.0.0.1:{client_port}"
        self.client_port = client_port
        self.peer_port = peer_port
        peer = f"http://127.0.0.1:{peer_port}"
        self.command = [
            server, "--name", name, "--data-dir", str(directory / name),
            "--listen-client-urls", f"http://{self.endpoint}", "--advertise-client-urls", f"http://{self.endpoint}",
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", initial]
        self.log = directory / f"{name}.log"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT,
                                        env={**os.environ, "ETCD_UNSUPPORTED_ARCH": "arm64"})

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


class Tool:
    """etcdctl or kvctl, bound to one server, with the names for what differs between servers."""

    def __init__(self, program, endpoint, port, peer_port):
        self.program = program
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("ETCDCTL_", "KVCTL_"))}
        self.env.update({"ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": endpoint})
        self.names = [(str(port), "PORT"), (str(peer_port), "PEER")]
        self.variables = {}

    def run(self, words, stdin="", timeout=30, env=None):
        words = [w.format(**self.variables) for w in words]
        return subprocess.run([self.program, *words], input=stdin.encode(), capture_output=True, timeout=timeout,
                              env={**self.env, **(env or {})})

    def learn(self):
        header = json.loads(self.run(["member", "list", "-w", "json"]).stdout)["header"]
        for key, name in (("cluster_id", "CLUSTER"), ("member_id", "MEMBER")):
            self.names += [(str(header[key]), name), (f"{header[key]:x}", name.lower())]

    def name(self, variable, lease):
        self.variables[variable] = lease
        self.names += [(lease, variable), (str(int(lease, 16)), variable + "_DECIMAL")]

    def normal(self, data):
        text = data.decode("utf-8", "backslashreplace")
        for value, name in sorted(self.names, key=lambda pair: -len(pair[0])):
            text = text.replace(value, name)
        text = re.sub(r'took[ "=:]+[0-9.hmnsµ]+', "took TIME", text)
        # These tell how a server came to where it is, not what is in it; leases have random ids.
        text = re.sub(r'"(hash|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse)":\d+', r'"\1":N', text)
        return text


def as_37(text):
    """etcdctl 3.4's output as 3.7 prints it."""
    for go, proto in (("ResponseRange", "response_range"), ("ResponsePut", "response_put"),
                      ("ResponseDeleteRange", "response_delete_range"), ("ResponseTxn", "response_txn")):
        text = text.replace(f'"{go}":', f'"{proto}":')
    return text


def error_lines(text):
    """Standard error without etcd's log lines and usage texts."""
    wanted = [line for line in text.splitlines()
              if line.startswith(("Error:", "Warning:", "Failed", "watch was", "127.0.0.1")) and '{"level"' not in line]
    return wanted[:1] if wanted and wanted[0].startswith("Error: unknown flag") else sorted(set(wanted))


class Comparison:
    def __init__(self, theirs, ours):
        self.theirs = theirs
        self.ours = ours
        self.steps = 0
        self.failures = []

    def same(self, *words, stdin="", code=None, stderr=True, env=None):
        """Both tools print the same, say the same errors and exit with the same code."""
        expected = self.theirs.run(list(words), stdin, env=env)
        got = self.ours.run(list(words), stdin, env=env)
        self.steps += 1
        wanted_out = as_37(self.theirs.normal(expected.stdout))
        got_out = self.ours.normal(got.stdout)
        if wanted_out.lstrip().startswith("NAME:"):
            wanted_out = got_out = ""  # usage texts are each tool's own
        problems = []
        if wanted_out != got_out:
            problems.append(f"stdout\n  etcdctl: {wanted_out!r}\n  kvctl:   {got_out!r}")
        if stderr:
            wanted_err = error_lines(self.theirs.normal(expected.stderr))
            got_err = error_lines(self.ours.normal(got.stderr))
            if wanted_err != got_err:
                problems.append(f"stderr\n  etcdctl: {wanted_err!r}\n  kvctl:   {got_err!r}")
        if got.returncode != (expected.returncode if code is None else code):
            problems.append(f"exit code: etcdctl {expected.returncode}, kvctl {got.returncode}")
        if problems:
            self.failures.append(f"{' '.join(words)}\n" + "\n".join(problems))
        return expected, got

    def formats(self, *words, formats=("simple", "json", "fields"), stdin=""):
        for form in formats:
            self.same(*words, "-w", form, stdin=stdin)

    def grant(self, variable, ttl="1000"):
        for tool in (self.theirs, self.ours):
            shown = tool.run(["lease", "grant", ttl]).stdout.decode().split()
            assert shown[0] == "lease" and shown[2:] == ["granted", "with", f"TTL({ttl}s)"], shown
            tool.name(variable, shown[1])


def compare_keys(c):
    c.same("put", "foo", "bar")
    c.same("put", "foo", "bar2", "--prev-kv")
    c.same("put", "foo", "bar3", "--prev-kv", "-w", "fields")
    c.same("put", "foo", "bar4", "--prev-kv", "-w", "json")
    c.same("put", "stdin", stdin="from standard input\nwith a line")
    c.same("put", "--", "dash", "-value")
    c.same("put", "ünïcode \"quoted\" <tag>&", "wert\t\x7f\u2028")
    for i in range(12):
        c.same("put", f"k/{i:02}", "x" * i)
    c.formats("get", "foo")
    c.formats("get", "ünïcode \"quoted\" <tag>&")
    c.formats("get", "stdin")
    c.formats("get", "missing")
    c.formats("get", "k/", "--prefix")
    c.formats("get", "k/", "--prefix", "--limit", "3")
    c.formats("get", "k/", "--prefix", "--keys-only")
    c.same("get", "k/03", "k/06")
    c.same("get", "k/09", "--from-key")
    c.same("get", "", "--prefix", "--keys-only")
    c.same("get", "", "--from-key", "--limit=2")
    for order in ("ASCEND", "DESCEND", "descend"):
        for target in ("KEY", "CREATE", "MODIFY", "VALUE", "VERSION", "key"):
            c.same("get", "k/", "--prefix", f"--order={order}", f"--sort-by={target}")
    c.same("get", "foo", "--rev=2")
    c.same("get", "foo", "--rev=3", "-w", "json")
    c.same("get", "foo", "--consistency=s")
    c.same("get", "foo", "--print-value-only")
    c.same("get", "foo", "--hex")
    c.same("get", "k/", "--prefix", "--hex", "-w", "json")
    c.same("del", "k/00")
    c.same("del", "k/01", "--prev-kv")
    c.same("del", "k/02", "--prev-kv", "-w", "json")
    c.same("del", "k/03", "--prev-kv", "-w", "fields")
    c.same("del", "k/1", "--prefix")
    c.same("del", "k/08", "--from-key")
    c.same("del", "missing", "-w", "json")
    c.same("compaction", "5")
    c.same("compaction", "--physical", "6")


def compare_errors(c):
    c.same("get")
    c.same("get", "a", "b", "--prefix")
    c.same("get", "a", "--prefix", "--from-key")
    c.same("get", "a", "--order=up")
    c.same("get", "a", "--sort-by=size")
    c.same("get", "a", "--consistency=x")
    c.same("get", "a", "--bogus", stderr=True)
    c.same("get", "a", "--rev=x")
    c.same("get", "a", "--rev=1")
    c.same("get", "a", "--rev=100000")
    c.same("get", "foo", "--print-value-only", "-w", "json")
    c.same("get", "foo", "-w", "table")
    c.same("get", "foo", "-w", "nonsense", stderr=False)
    c.same("put", "a")
    c.same("put")
    c.same("put", "", "value")
    c.same("put", "a", "b", "--lease=xyz")
    c.same("put", "a", "b", "--lease=123")
    c.same("put", "a", "b", "--ignore-value")
    c.same("put", "missing-key", "--ignore-value")
    c.same("put", "foo", "v", "--ignore-lease", "--lease=1")
    c.same("del")
    c.same("del", "a", "b", "--prefix")
    c.same("compaction")
    c.same("compaction", "x")
    c.same("compaction", "1")
    c.same("compaction", "100000")
    c.same("lease", "grant")
    c.same("lease", "grant", "x")
    c.same("lease", "revoke", "zz")
    c.same("lease", "revoke", "1234")
    c.same("lease", "timetolive")
    c.same("lease", "keep-alive", "1234", "--once")
    c.same("member", "remove", "x")
    c.same("member", "remove", "1234")
    c.same("member", "add", "new")
    c.same("member", "add")
    c.same("member", "add", "a", "http://b")
    c.same("member", "update", "1")
    c.same("move-leader")
    c.same("move-leader", "1234")
    c.same("gett", "a", stderr=False)
    c.same("watch")
    c.same("watch", "a", "--")
    c.same("txn", "extra")
    c.same("elect", "e")
    c.same("lock")
    c.same("snapshot", "save", stderr=False)
    c.same("role", "add")
    c.same("user", "grant-role", "u")


def compare_txn(c):
    both = 'mod("foo") > "0"\nval("foo") = "bar4"\n\nget foo\nput t1 "two words"\ndel nothing\n\nput t2 x\n\n'
    for form in ("simple", "json", "fields"):
        c.same("txn", "-w", form, stdin=both)
    c.same("txn", "-i", stdin=both)
    c.same("txn", stdin='create("foo") = "0"\n\n\nput failed "\\x41"\nget foo\n\n')
    c.same("txn", stdin='ver("foo") != "9"\nmod("nope") < "1"\n\nget f --prefix --limit=1\n\n\n')
    # 3.4 panics at a lease comparison.
    assert c.ours.run(["txn"], 'lease("foo") = "0"\n\n\n\n').stdout == b"SUCCESS\n"
    assert c.theirs.run(["txn"], 'mod("foo") > "0"\n\n\n\n').stdout == b"SUCCESS\n"
    c.same("txn", stdin='\nput a 1\nput a 2\n\n\n')
    c.same("txn", stdin='mod("foo" > "0"\n\n\n\n', stderr=False)
    c.same("txn", stdin='mod("foo") > "x"\n\n\n\n')
    c.same("txn", stdin='size("foo") > "1"\n\n\n\n')
    c.same("txn", stdin='\nwatch foo\n\n\n', stderr=False)
    c.same("txn", stdin='\nput foo', stderr=False)
    c.same("txn", stdin="\n\n\n")


def compare_leases(c):
    c.grant("LEASE1")
    c.grant("LEASE2", "2000")
    c.same("put", "leased", "1", "--lease={LEASE1}")
    c.same("put", "leased", "3", "--ignore-lease", "--prev-kv", "-w", "json")
    c.formats("get", "leased")
    c.same("lease", "keep-alive", "--once", "{LEASE1}")
    c.same("lease", "keep-alive", "--once", "{LEASE1}", "-w", "json")
    c.same("lease", "keep-alive", "--once", "{LEASE1}", "-w", "fields")
    c.formats("lease", "timetolive", "{LEASE1}", "--keys", formats=("json", "fields"))
    c.same("put", "leased/2", "2", "--lease={LEASE1}")
    c.same("lease", "timetolive", "1234")
    c.same("lease", "timetolive", "1234", "-w", "json")
    for form in ("simple", "json", "fields"):
        theirs, ours = (tool.run(["lease", "list", "-w", form]) for tool in (c.theirs, c.ours))
        c.steps += 1
        if sorted(c.theirs.normal(theirs.stdout)) != sorted(c.ours.normal(ours.stdout)):
            c.failures.append(f"lease list -w {form}: {theirs.stdout!r} / {ours.stdout!r}")
    c.same("lease", "revoke", "{LEASE2}", "-w", "json")
    c.same("lease", "revoke", "{LEASE1}")
    c.same("get", "leased", "--prefix")


def compare_cluster(c):
    c.formats("member", "list", formats=("simple", "json", "table"))
    c.same("endpoint", "hashkv", "-w", "json")
    # 3.4 says that an endpoint is healthy on standard error.
    for words in (["endpoint", "health"], ["endpoint", "health", "--cluster"]):
        theirs, ours = (tool.run(words) for tool in (c.theirs, c.ours))
        assert c.theirs.normal(theirs.stdout + theirs.stderr) == c.ours.normal(ours.stdout), (theirs, ours)
        c.steps += 1
    # The columns grew since 3.4; the JSON did not change its form.
    for tool in (c.theirs, c.ours):
        status = json.loads(tool.run(["endpoint", "status", "-w", "json"]).stdout)
        assert set(status[0]) == {"Endpoint", "Status"} and status[0]["Status"]["version"].startswith("3."), status
    c.same("endpoint", "status", "-w", "json")
    c.same("alarm", "list")
    c.same("alarm", "list", "-w", "json")
    c.same("alarm", "disarm")
    defragged = c.ours.run(["defrag"])  # 3.4 does not say how long it took
    assert c.ours.normal(defragged.stdout) == "Finished defragmenting etcd member[127.0.0.1:PORT]. took TIME\n"
    c.same("member", "update", "{MEMBER_ID}", "--peer-urls={PEER_URL}")
    c.same("member", "promote", "{MEMBER_ID}")


def compare_auth(c):
    root = ("--user", "root:secret")
    c.same("user", "add", "root:secret")
    c.same("user", "add", "alice", "--interactive=false", stdin="wonderland\n")
    c.same("user", "add", "alice", "--interactive=false", stdin="again\n")
    c.same("user", "add", "bob:b", "-w", "json")
    c.same("user", "add", "cn-only", "--no-password", stderr=False)
    c.same("user", "add", ":x")
    c.same("user", "delete", "cn-only", stderr=False)
    c.same("role", "add", "root")
    c.same("role", "add", "reader")
    c.same("role", "grant-permission", "reader", "read", "foo")
    c.same("role", "grant-permission", "reader", "readwrite", "k/", "--prefix")
    c.same("role", "grant-permission", "reader", "write", "m", "n")
    c.same("role", "grant-permission", "reader", "write", "z", "--from-key")
    c.same("role", "grant-permission", "reader", "fly", "z", stderr=False)
    c.same("role", "grant-permission", "reader", "read")
    c.formats("role", "get", "reader")
    c.formats("role", "list")
    c.same("role", "get", "nobody")
    c.same("role", "revoke-permission", "reader", "m", "n")
    c.same("role", "revoke-permission", "reader", "z", "--from-key")
    c.same("role", "revoke-permission", "reader", "missing")
    c.same("user", "grant-role", "root", "root")
    c.same("user", "grant-role", "alice", "reader")
    c.same("user", "grant-role", "alice", "nobody")
    c.same("user", "get", "alice")
    c.same("user", "get", "alice", "-w", "json")
    c.same("user", "get", "alice", "--detail")
    c.same("user", "get", "nobody")
    c.same("user", "list")
    c.same("user", "passwd", "alice", "--interactive=false", stdin="looking-glass\n")
    c.same("auth", "enable")
    c.same("get", "foo")
    c.same("get", "foo", *root)
    c.same("get", "foo", "--user", "root", "--password", "secret")
    c.same("get", "foo", "--user", "root:wrong", stderr=False)
    c.same("get", "foo", "--user", "alice:looking-glass")
    c.same("get", "secret", "--user", "alice:looking-glass")
    c.same("put", "k/by-alice", "1", "--user", "alice:looking-glass")
    c.same("user", "list", "--user", "alice:looking-glass")
    assert c.ours.run(["endpoint", "health", "--user", "alice:looking-glass"]).returncode == 0
    c.same("user", "revoke-role", "alice", "reader", *root)
    c.same("role", "delete", "reader", *root)
    c.same("user", "delete", "bob", *root)
    c.same("auth", "disable", *root)
    c.same("get", "foo")


def compare_watch(c):
    """Both tools see the same history and then the same cancellation by compaction."""
    for form, end in (("simple", b"watch-end\nsimple\n"), ("fields", b'"fields"\n"Lease" : 0\n')):
        outputs = []
        for tool in (c.theirs, c.ours):
            tool.run(["put", "watch-end", form])  # before the watch, so that all of it comes in one batch
            command = ["watch", "", "--prefix", "--rev=7", "--prev-kv", "-w", form]
            with subprocess.Popen([tool.program, *command], stdout=subprocess.PIPE, env=tool.env) as process:
                seen = b""
                while not seen.endswith(end):
                    seen += os.read(process.stdout.fileno(), 65536)
                process.kill()
            tool.run(["del", "watch-end"])
            outputs.append(tool.normal(seen))
        c.steps += 1
        if outputs[0] != outputs[1]:
            c.failures.append(f"watch -w {form}\n  etcdctl: {outputs[0]!r}\n  kvctl:   {outputs[1]!r}")
    c.same("watch", "foo", "--rev=2")
    c.same("watch", "b", "a", stderr=False)


def compare_snapshots(c, directory):
    for tool, name in ((c.theirs, "theirs.db"), (c.ours, "ours.db")):
        path = directory / name
        result = tool.run(["snapshot", "save", str(path)])
        c.steps += 1
        assert result.returncode == 0 and f"Snapshot saved at {path}" in result.stdout.decode(), result
        # etcdctl itself accepts what kvctl saved: the hash at its end is right.
        checked = c.theirs.run(["snapshot", "status", str(path)])
        assert checked.returncode == 0, checked
    assert not (directory / "ours.db.part").exists()
    checked = c.ours.run(["snapshot", "status", str(directory / "theirs.db")])
    assert checked.returncode == 0 and b", etcd\n" in checked.stdout, checked


def compare_locks(c):
    for tool in (c.theirs, c.ours):
        result = tool.run(["lock", "job", "--", "sh", "-c", "echo ${{ETCD_LOCK_KEY%/*}} ${{ETCD_LOCK_REV:+set}}; exit 7"])
        c.steps += 1
        # 3.4 exits with 1, 3.7 and kvctl with the command's code.
        assert result.stdout == b"job set\n" and result.returncode in ((7,) if tool is c.ours else (1, 7)), result
        assert tool.run(["get", "job/", "--prefix"]).stdout == b""
    # One lock, two tools: kvctl waits for the lock that etcdctl holds on the same server.
    holder = subprocess.Popen([c.theirs.program, "lock", "shared"], stdout=subprocess.PIPE, env=c.theirs.env)
    assert holder.stdout.readline().startswith(b"shared/")
    waiter = subprocess.Popen([c.ours.program, "lock", "shared", "--", "echo", "got it"], stdout=subprocess.PIPE,
                              env={**c.ours.env, "ETCDCTL_ENDPOINTS": c.theirs.env["ETCDCTL_ENDPOINTS"]})
    wait_until(lambda: len(c.theirs.run(["get", "shared/", "--prefix", "--keys-only"]).stdout.split()) == 2, 10,
               "kvctl stands in line")
    assert waiter.poll() is None
    holder.send_signal(signal.SIGINT)
    assert holder.wait(timeout=10) == 0
    assert waiter.communicate(timeout=10)[0] == b"got it\n" and waiter.returncode == 0
    c.steps += 1


def compare_elections(c):
    for tool in (c.theirs, c.ours):
        with subprocess.Popen([tool.program, "elect", "boss", "me"], stdout=subprocess.PIPE, env=tool.env) as leader:
            assert leader.stdout.readline().startswith(b"boss/") and leader.stdout.readline() == b"me\n"
            # Each observer sees the other tool's leader.
            other = c.ours if tool is c.theirs else c.theirs
            env = {**other.env, "ETCDCTL_ENDPOINTS": tool.env["ETCDCTL_ENDPOINTS"]}
            with subprocess.Popen([other.program, "elect", "-l", "boss"], stdout=subprocess.PIPE, env=env) as observer:
                assert observer.stdout.readline().startswith(b"boss/") and observer.stdout.readline() == b"me\n"
                observer.kill()
            leader.send_signal(signal.SIGINT)
            assert leader.wait(timeout=10) == 0
        assert tool.run(["get", "boss/", "--prefix"]).stdout == b""
        c.steps += 1


def check_mirror(c):
    target = c.theirs.env["ETCDCTL_ENDPOINTS"]
    c.ours.run(["put", "mirror/a", "1"])
    with subprocess.Popen([c.ours.program, "make-mirror", "--prefix", "mirror/", "--dest-prefix", "copy/", target],
                          stdout=subprocess.PIPE, env=c.ours.env) as process:
        wait_until(lambda: c.theirs.run(["get", "copy/a"]).stdout == b"copy/a\n1\n", 10, "the first copy")
        c.ours.run(["txn"], stdin="\nput mirror/b 2\ndel mirror/a\n\n\n")
        wait_until(lambda: c.theirs.run(["get", "copy/", "--prefix"]).stdout == b"copy/b\n2\n", 10, "the change")
        process.kill()
    c.steps += 1


def check_perf(c):
    result = c.ours.run(["check", "perf", "--duration", "2s", "--auto-compact"], timeout=60)
    c.steps += 1
    assert b"PASS: Throughput is" in result.stdout and b"Compacted with revision" in result.stdout, result
    assert c.ours.run(["get", "/etcdctl-check-perf/", "--prefix", "--keys-only"]).stdout == b""


def check_interactive_watch(c):
    with subprocess.Popen([c.ours.program, "watch", "-i"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=c.ours.env) as process:
        process.stdin.write(b"nonsense\nwatch iw/ --prefix\nwatch other\n")
        process.stdin.flush()
        assert process.stderr.readline() == b"Invalid command nonsense (only support watch and progress)\n"

        def is_seen():
            c.ours.run(["put", "iw/x", "1"])
            return os.read(process.stdout.fileno(), 65536).startswith(b"PUT\niw/x\n1\n")
        wait_until(is_seen, 10, "an event of the interactive watch")
        process.stdin.write(b"progress\n")
        process.stdin.flush()
        text = b""
        while text.count(b"progress notify: ") < 2:
            text += os.read(process.stdout.fileno(), 65536)
        process.stdin.close()
        assert process.wait(timeout=10) == 3
    c.steps += 1


def three_members(directory, server):
    ports = free_ports(6)
    initial = ",".join(f"f{i}=http://127.0.0.1:{ports[i + 3]}" for i in range(3))
    return [Etcd(directory, f"f{i}", ports[i], ports[i + 3], initial, server) for i in range(3)]


def check_failover(directory, server="etcd"):
    """Members die under a running watch and writes; nothing is lost, doubled or reordered."""
    members = three_members(directory, server)
    for member in members:
        member.start()
    env = {**os.environ, "KVCTL_ENDPOINTS": ",".join(m.endpoint for m in members), "KVCTL_DIAL_TIMEOUT": "20s"}

    def kvctl(*words):
        return subprocess.run([KVCTL, "--command-timeout=20s", *words], env=env, capture_output=True, timeout=60)

    try:
        wait_until(lambda: kvctl("endpoint", "health").returncode == 0, 30, "three members are healthy")
        with subprocess.Popen([KVCTL, "watch", "n/", "--prefix", "--rev=1"], stdout=subprocess.PIPE, env=env) as watch:
            count = 0
            for victim in (0, 1, 2):
                for _ in range(5):
                    result = kvctl("put", f"n/{count:03}", str(count))
                    assert result.returncode == 0, result
                    count += 1
                members[victim].kill()
                for _ in range(5):
                    # A member dies only between these commands, so each of them must succeed: the first endpoint
                    # refuses connections and the next is used. While a new leader is elected the write waits.
                    result = kvctl("put", f"n/{count:03}", str(count))
                    assert result.returncode == 0 or b"leader" in result.stderr or b"timed out" in result.stderr, result
                    if result.returncode == 0:
                        count += 1
                members[victim].start()
                wait_until(lambda: kvctl("endpoint", "health").returncode == 0, 30, "the member is back")
            seen = b""
            last = f"n/{count - 1:03}\n{count - 1}\n".encode()
            while not seen.endswith(last):
                seen += os.read(watch.stdout.fileno(), 65536)
            watch.kill()
        lines = seen.decode().split("\n")
        keys = lines[1::3]
        unique = sorted(set(keys))
        assert keys == unique, "the watch lost the order or saw an event twice"
        stored = kvctl("get", "n/", "--prefix", "--keys-only").stdout.decode().split()
        assert keys == stored, (keys, stored)
    finally:
        for member in members:
            member.kill()


def has_long_ids(peer_port):
    """Will a member on that port, and its cluster, have ids of 16 hexadecimal digits? (They decide widths.)"""
    member = hashlib.sha1(f"http://127.0.0.1:{peer_port}etcd-cluster".encode()).digest()[:8]
    return member[0] >= 16 and hashlib.sha1(member).digest()[0] >= 16


def pairwise(directory):
    ports = free_ports(4)
    while not (has_long_ids(ports[2]) and has_long_ids(ports[3])):
        ports = free_ports(4)
    servers = [Etcd(directory, name, ports[i], ports[i + 2], f"{name}=http://127.0.0.1:{ports[i + 2]}")
               for i, name in enumerate(("mx", "my"))]
    tools = [Tool("etcdctl", servers[0].endpoint, ports[0], ports[2]), Tool(KVCTL, servers[1].endpoint, ports[1], ports[3])]
    c = Comparison(*tools)
    try:
        for server, tool in zip(servers, tools):
            server.start()
            wait_until(lambda t=tool: t.run(["endpoint", "health"]).returncode == 0, 30, f"{server.name} is healthy")
            tool.learn()
            member = json.loads(tool.run(["member", "list", "-w", "json"]).stdout)["members"][0]
            tool.variables["MEMBER_ID"] = f"{member['ID']:x}"
            tool.variables["PEER_URL"] = member["peerURLs"][0]
            tool.names.append((server.name, "NAME"))
        for part in (compare_keys, compare_errors, compare_txn, compare_leases, compare_cluster, compare_watch,
                     compare_auth, compare_locks, compare_elections, check_interactive_watch, check_mirror, check_perf):
            part(c)
        compare_snapshots(c, directory)
    finally:
        for server in servers:
            server.kill()
        for failure in c.failures:
            print("DIFFERENT:", failure, "\n")
    print(f"{c.steps} steps, {len(c.failures)} different")
    assert not c.failures


def main():
    require("etcd")
    require("etcdctl")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="kvctl-compat."))
    try:
        pairwise(directory)
        check_failover(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
