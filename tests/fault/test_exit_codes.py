#!/usr/bin/env python3
"""Why kvd stopped can be read from its exit code and its last line: crashes, foreign and damaged data, full disks."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, kvctl  # noqa: E402

EXIT_CORRUPT_STORE, EXIT_WRONG_CLUSTER, EXIT_DISK_FULL, EXIT_CRASHED = 71, 73, 75, 79


def last_error(member):
    return next((line for line in reversed(member.log()) if line.get("level") == "fatal"), {})


def test_a_crash_leaves_one_line_and_its_own_code(number):
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with Cluster(1) as cluster:
        member = cluster.start().members[0]
        kvctl(cluster.endpoints, "--command-timeout=25s", "put", "key", "acknowledged")
        member.signal(number)
        assert member.wait(60) == EXIT_CRASHED, member.tail()
        line = last_error(member)
        assert line["msg"] == "crashed" and line["signal"] == number.name and line["exit-code"] == EXIT_CRASHED, line
        assert any(frame.startswith("kvd+0x") for frame in line["backtrace"]), line
        member.start().wait_ready(60)
        assert kvctl(cluster.endpoints, "--command-timeout=25s", "get", "key", "--print-value-only").stdout == "acknowledged\n"


def test_data_of_another_cluster_is_refused():
    with Cluster(1) as one, Cluster(1) as two:
        two.extra.append("--initial-cluster-token=other")
        for cluster in (one, two):
            cluster.start()
            kvctl(cluster.endpoints, "--command-timeout=25s", "put", "key", "value")
            cluster.members[0].kill()
        ours, theirs = (c.members[0].data_dir / "member" / "wal" for c in (one, two))
        shutil.rmtree(ours)
        shutil.copytree(theirs, ours)
        member = one.members[0].start()
        code = member.wait(60)
        assert code == EXIT_WRONG_CLUSTER, (code, member.tail())
        assert "belong to different members" in last_error(member)["error"], member.tail()


def test_data_of_etcd_is_refused():
    with Cluster(1) as cluster:
        member = cluster.members[0]
        snap = member.data_dir / "member" / "snap"
        snap.mkdir(parents=True)
        os.chmod(member.data_dir, 0o700)
        (snap / "db").write_bytes(b"\0" * 4096)
        (member.data_dir / "member" / "wal").mkdir()
        (member.data_dir / "member" / "wal" / "0000000000000000-0000000000000000.wal").write_bytes(b"\0" * 64)
        member.start()
        code = member.wait(60)
        assert code != 0 and last_error(member), member.tail()
        assert (snap / "db").stat().st_size == 4096, "it was touched"


def test_a_file_in_place_of_the_data_directory_is_refused():
    with Cluster(1) as cluster:
        member = cluster.members[0]
        member.data_dir.write_text("")
        member.start()
        assert member.wait(60) == 1, member.tail()
        assert member.data_dir.name in last_error(member)["error"], member.tail()


def test_a_store_that_is_no_store_is_refused():
    with Cluster(1) as cluster:
        member = cluster.start().members[0]
        kvctl(cluster.endpoints, "--command-timeout=25s", "put", "key", "value")
        member.kill(signal.SIGTERM)
        path = member.data_dir / "member" / "store" / "data.mdb"
        path.write_bytes(b"not a store" * 1000)
        member.start()
        assert member.wait(60) == EXIT_CORRUPT_STORE, member.tail()
        assert "store" in last_error(member)["error"], member.tail()


def test_no_space_to_start_is_said():
    if os.geteuid() != 0:
        print("no space to start: not tried, it needs root")
        return
    with Cluster(1) as cluster:
        member = cluster.members[0]
        member.data_dir.mkdir(mode=0o700)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", str(member.data_dir)], check=False)
        if mounted.returncode != 0:
            print("no space to start: not tried, no mounts here")
            return
        try:
            member.start()
            assert member.wait(60) == EXIT_DISK_FULL, member.tail()
            assert "space" in last_error(member)["error"].lower(), member.tail()
        finally:
            subprocess.run(["umount", "-l", str(member.data_dir)], check=False)


def main():
    for number in (signal.SIGSEGV, signal.SIGABRT):
        test_a_crash_leaves_one_line_and_its_own_code(number)
        print(f"crash by {number.name}: ok", flush=True)
    for test in (test_data_of_another_cluster_is_refused, test_data_of_etcd_is_refused,
                 test_a_file_in_place_of_the_data_directory_is_refused, test_a_store_that_is_no_store_is_refused,
                 test_no_space_to_start_is_said):
        test()
        print(f"{test.__name__}: ok", flush=True)


if __name__ == "__main__":
    main()
