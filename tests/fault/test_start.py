#!/usr/bin/env python3
"""What stops a member from starting: each case has its exit code and says what is wrong, and nothing is lost by it."""
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, Cluster, etcdctl, kvctl, require, wait_until  # noqa: E402

EXIT_WRONG_USAGE, EXIT_CORRUPT_LOG, EXIT_CORRUPT_STORE, EXIT_LOCKED = 2, 70, 71, 74


def run(*arguments):
    result = subprocess.run([str(BIN / "kvd"), *arguments], capture_output=True, text=True, timeout=20, check=False)
    return result.returncode, result.stderr


def test_wrong_flags_are_named():
    code, text = run("--no-such-flag")
    assert code == EXIT_WRONG_USAGE and "no-such-flag" in text, (code, text)
    code, text = run("--listen-client-urls", "ftp://x:1")
    assert code == EXIT_WRONG_USAGE and "listen-client-urls" in text, (code, text)
    code, text = run("--listen-client-urls=https://127.0.0.1:1", "--advertise-client-urls=https://127.0.0.1:1",
                     "--data-dir=/proc/none")
    assert code != 0 and text, (code, text)
    code, text = run("stray")
    assert code == EXIT_WRONG_USAGE and "'stray' is not a valid flag" in text, (code, text)


def test_a_second_process_on_the_same_data_is_refused():
    with Cluster(1) as cluster:
        cluster.start()
        member = cluster.members[0]
        second = subprocess.run(member.command(), capture_output=True, text=True, timeout=20, check=False)
        assert second.returncode == EXIT_LOCKED, (second.returncode, second.stderr)
        assert "is used by another process" in second.stderr, second.stderr
        kvctl(cluster.endpoints, "put", "still", "works")


def flip_bit(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def put_values(endpoints, count):
    for i in range(count):
        etcdctl(endpoints, "put", f"k{i:02}", "0" * 2000 + f"-{i}")


def test_t0_one_flipped_bit_in_an_acknowledged_record(victim_record):
    """reliability.md 1.8: two faults in three members. The damaged member must stop; nobody may answer wrong."""
    require("etcdctl")
    with Cluster(3) as cluster:
        cluster.start()
        one, two, three = cluster.members
        three.kill()
        put_values(f"{one.endpoint},{two.endpoint}", 20)
        one.kill(15)
        two.kill(15)
        segments = sorted((two.data_dir / "member" / "wal").glob("*.wal"))
        for segment in segments:
            at = segment.read_bytes().find(b"0" * 20 + f"-{victim_record}".encode())
            if at >= 0:
                flip_bit(segment, at + 10)
                break
        else:
            raise AssertionError("the record is in no segment")
        two.start()
        assert two.wait(20) == EXIT_CORRUPT_LOG, two.tail()
        assert any(line["level"] == "fatal" and "damaged" in line["error"] for line in two.log()), two.tail()
        three.start()
        result = etcdctl(three.endpoint, "--command-timeout=3s", "get", "k", "--prefix", "--count-only", check=False)
        assert result.returncode != 0, "a minority answered"
        # The undamaged member comes back: everything is there.
        one.start()
        one.wait_ready()
        three.wait_ready()
        keys = etcdctl(three.endpoint, "get", "k", "--prefix", "--keys-only").stdout.split()
        assert len(keys) == 20, keys


def test_a_flipped_bit_in_the_store_is_never_served():
    with Cluster(1) as cluster:
        cluster.start()
        member = cluster.members[0]
        kvctl(cluster.endpoints, "put", "key", "marker-" * 20)
        wait_until(lambda: b"marker-marker-" in (member.data_dir / "member" / "store" / "data.mdb").read_bytes(), 20,
                   "the store has it")
        member.kill(15)
        path = member.data_dir / "member" / "store" / "data.mdb"
        data = path.read_bytes()
        at = data.find(b"marker-marker-")
        while at >= 0:
            flip_bit(path, at + 3)
            at = data.find(b"marker-marker-", at + 4096)
        member.start()
        code = None
        try:
            code = member.wait(5)
        except subprocess.TimeoutExpired:
            result = kvctl(cluster.endpoints, "--command-timeout=3s", "get", "key", check=False)
            assert "marker" not in result.stdout, "a damaged value was served"
            code = member.wait(20)
        assert code == EXIT_CORRUPT_STORE, (code, member.tail())


def test_a_lost_disk_does_not_rejoin_silently():
    with Cluster(3) as cluster:
        cluster.start()
        victim = cluster.members[2]
        kvctl(cluster.endpoints, "put", "a", "1")
        wait_until(lambda: kvctl(victim.endpoint, "get", "a", "--consistency=s", "--print-value-only").stdout == "1\n", 10,
                   "the victim has it")
        victim.kill()
        shutil.rmtree(victim.data_dir)
        victim.start()
        code = victim.wait(30)
        assert code == EXIT_CORRUPT_LOG, (code, victim.tail())
        assert "remove it from the cluster and add it again" in victim.tail(), victim.tail()
        kvctl(cluster.members[0].endpoint, "put", "b", "2")


def main():
    for test in (test_wrong_flags_are_named, test_a_second_process_on_the_same_data_is_refused,
                 test_a_flipped_bit_in_the_store_is_never_served, test_a_lost_disk_does_not_rejoin_silently):
        test()
        print(f"{test.__name__}: ok", flush=True)
    for record in (9, 19):  # in the middle of the log, and the very last record
        test_t0_one_flipped_bit_in_an_acknowledged_record(record)
        print(f"t0 record {record}: ok", flush=True)


if __name__ == "__main__":
    main()
