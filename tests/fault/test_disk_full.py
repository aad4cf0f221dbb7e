#!/usr/bin/env python3
"""One member's disk, a small file system of its own, becomes full while recorded clients work: once as a follower's, once as
the leader's.

Writes are refused with a clear error or go on through the others; reads and deletes go on; the member stays alive and is well
again when there is space; nothing that was acknowledged is lost. Needs root (loop mounts).
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import SKIP, Cluster, kvctl, require, wait_until  # noqa: E402
from history import History, check_linearizable  # noqa: E402

DISK_MIB = 1600  # all that is written here fits it, in the log, in the store and in a snapshot between members
WRITES_MAX = 140  # of 1 MB: more than the log has reserved
VALUE = "x" * 1_000_000


class SmallDisk:
    """An ext4 file system in a file, mounted for as long as the `with` block."""

    def __init__(self, directory):
        self.image = pathlib.Path(directory) / "disk.img"
        self.mount_point = pathlib.Path(directory) / "disk"
        self.is_mounted = False

    def __enter__(self):
        self.mount_point.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(DISK_MIB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(self.image)], check=True)
        mounted = subprocess.run(["mount", "-o", "loop", str(self.image), str(self.mount_point)], capture_output=True, text=True,
                                 check=False)
        if mounted.returncode != 0:
            print(f"skipped: no loop mounts here ({mounted.stderr.strip()})")
            raise SystemExit(SKIP)
        self.is_mounted = True
        return self

    def __exit__(self, kind, error, trace):
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.mount_point)], check=False)

    def fill(self):
        """Every block, by halves, so that it is quick."""
        with open(self.mount_point / "ballast", "ab") as ballast:
            at = 0
            size = DISK_MIB << 20
            while size >= 4096:
                try:
                    os.posix_fallocate(ballast.fileno(), at, size)
                    at += size
                except OSError:
                    size //= 2

    def free(self):
        (self.mount_point / "ballast").unlink()


def refusal(result):
    return result.stderr.strip().splitlines()[-1] if result.stderr.strip() else ""


def is_clear(text):
    """The store says that there is no space, or the request met a leader that gave up over it."""
    return any(words in text for words in ("no space", "database space exceeded", "too many requests", "timed out", "deadline exceeded", "leader changed"))


def hashes_are_equal(cluster):
    import json
    put = json.loads(kvctl(cluster.endpoints, "put", "marker", "x", "-w", "json").stdout)
    revision = put["header"]["revision"]  # clients go on writing: compare at one revision
    result = kvctl(cluster.endpoints, "endpoint", "hashkv", f"--rev={revision}", "-w", "json", check=False)
    data = json.loads(result.stdout) if result.returncode == 0 else []
    return len(data) == 3 and len({h["HashKV"]["hash"] for h in data}) == 1


def make_leader(cluster, member):
    """Leadership moves by handing over from whoever has it."""
    import json
    status = json.loads(kvctl(member.endpoint, "endpoint", "status", "-w", "json").stdout)[0]["Status"]
    member_id = f"{status['header']['member_id']:x}"
    leader = cluster.wait_leader()
    if leader is not member:
        kvctl(leader.endpoint, "move-leader", member_id)
        wait_until(lambda: cluster.leader() is member, 20, "the member leads")


def write_until_full(cluster, member, disk, name):
    """Big values until the member has said that its disk is full; whatever is refused must be refused clearly."""
    others = ",".join(m.endpoint for m in cluster.members if m is not member)
    before = sum("no space" in line.get("msg", "") or "nearly full" in line.get("msg", "") for line in member.log())
    disk.fill()
    accepted = []
    refused = []
    for i in range(WRITES_MAX):
        key = f"{name}/{i % 40}"
        result = kvctl(others, "--command-timeout=4s", "put", key, stdin=f"{i}:{VALUE}", check=False)
        if result.returncode == 0:
            accepted.append((key, i))
        else:
            refused.append(refusal(result))
            assert is_clear(refused[-1]), refused[-1]
        now = sum("no space" in line.get("msg", "") or "nearly full" in line.get("msg", "") for line in member.log())
        if now > before and (len(refused) >= 2 or i == WRITES_MAX - 1):
            return accepted, refused
    raise AssertionError(f"{member.name} never said that its disk is full; {len(accepted)} writes")


def check_full(cluster, member, disk, history, name):
    accepted, refused = write_until_full(cluster, member, disk, name)
    assert member.is_running(), f"{member.name} ended: {member.tail()}"
    kvctl(member.endpoint, "get", "small", "--consistency=s")  # reads go on
    own = kvctl(member.endpoint, "--command-timeout=4s", "put", "small", "2", check=False)
    assert own.returncode == 0 or is_clear(refusal(own)), refusal(own)
    others = ",".join(m.endpoint for m in cluster.members if m is not member)
    gone = kvctl(others, "--command-timeout=10s", "del", "small", check=False)
    assert gone.returncode == 0 or is_clear(refusal(gone)), refusal(gone)
    disk.free()
    wait_until(lambda: kvctl(member.endpoint, "--command-timeout=2s", "put", "small", "3", check=False).returncode == 0, 30,
               f"{member.name} accepts writes again")
    history.wait_progress(50, 30)
    last = dict(accepted)
    for key, number in last.items():
        found = kvctl(cluster.endpoints, "get", key, "--print-value-only").stdout.split(":")[0]
        assert int(found) >= number, f"{key}: acknowledged {number}, found {found}"
    wait_until(lambda: hashes_are_equal(cluster), 30, "equal hashes")
    print(f"{name}: {len(accepted)} writes accepted, {len(refused)} refused ({refused[-1] if refused else '-'}); "
          f"its own: {'accepted' if own.returncode == 0 else refusal(own)}", flush=True)


def main():
    if os.geteuid() != 0:
        print("skipped: loop mounts need root")
        raise SystemExit(SKIP)
    require("mkfs.ext4")
    with Cluster() as cluster, SmallDisk(cluster.directory) as disk:
        member = cluster.members[0]
        member.data_dir = disk.mount_point / "data"
        try:
            cluster.start()
            kvctl(cluster.endpoints, "put", "small", "1")
            with History(cluster.directory, cluster.endpoints, clients=4) as history:
                history.wait_progress()
                make_leader(cluster, cluster.members[1])
                check_full(cluster, member, disk, history, "follower")
                make_leader(cluster, member)
                check_full(cluster, member, disk, history, "leader")
                history.stop()
                print(check_linearizable(cluster.directory, cluster.endpoints, history))
            member.kill(15)
            member.start().wait_ready()  # it can read what it wrote
            wait_until(lambda: hashes_are_equal(cluster), 30, "equal hashes")
        finally:
            member.kill()  # or its files keep the file system


if __name__ == "__main__":
    main()
