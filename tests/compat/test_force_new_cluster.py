#!/usr/bin/python3
"""--force-new-cluster after the majority is lost for good: the data is kept, the rest of the members is gone, and the cluster can
grow again, also at the place of a member that was dropped. And the downgrade calls, which change nothing but a wish."""
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, require, wait_until  # noqa: E402
from grpc_wire import Wire, rpc  # noqa: E402


def members(ends):
    return json.loads(etcdctl(ends, "member", "list", "-w", "json").stdout)["members"]


def test_downgrade(cluster):
    first, second = (Wire(m.client_port) for m in cluster.members[:2])
    action = rpc.DowngradeRequest
    for wire in (first, second):
        assert wire.call("Maintenance", "Downgrade", action=action.VALIDATE, version="3.6").version == "3.7"
    first.refused("Maintenance", "Downgrade", "wrong downgrade target version format", action=action.VALIDATE, version="x")
    first.refused("Maintenance", "Downgrade", "invalid downgrade target version", action=action.ENABLE, version="3.5.0")
    first.refused("Maintenance", "Downgrade", "invalid downgrade target version", action=action.ENABLE, version="3.7.0")
    first.refused("Maintenance", "Downgrade", "no inflight downgrade job", action=action.CANCEL)
    assert first.call("Maintenance", "Downgrade", action=action.ENABLE, version="3.6.0").version == "3.7"
    second.refused("Maintenance", "Downgrade", "cluster has a downgrade job in progress", action=action.VALIDATE, version="3.6")
    info = first.call("Maintenance", "Status").downgradeInfo
    assert info.enabled and info.targetVersion == "3.6.0", info
    assert second.call("Maintenance", "Downgrade", action=action.CANCEL).version == "3.7"
    wait_until(lambda: not first.call("Maintenance", "Status").downgradeInfo.enabled, 60, "everybody knows it was cancelled")
    first.close()
    second.close()


def test_the_majority_is_lost(cluster):
    lost, left = cluster.members[:2], cluster.members[2]
    etcdctl(cluster.endpoints, "put", "before", "kept")
    assert etcdctl(left.endpoint, "get", "before").stdout
    for member in cluster.members:
        member.kill()
    left.extra = ["--force-new-cluster"]
    left.start().wait_ready(60)
    assert [m["name"] for m in members(left.endpoint)] == [left.name]
    assert etcdctl(left.endpoint, "get", "before", "--print-value-only").stdout.strip() == "kept"
    etcdctl(left.endpoint, "put", "after", "written")
    left.kill(15)
    left.extra = []
    left.start().wait_ready(60)  # without the flag, with the old --initial-cluster: alone still
    assert [m["name"] for m in members(left.endpoint)] == [left.name]
    # A dropped member that still runs does no harm: it is told that it was removed.
    lost[0].start()
    assert lost[0].wait(60) != 0
    return lost[0], left


def test_a_dropped_member_comes_back_as_a_new_one(cluster, lost, left):
    shutil.rmtree(lost.data_dir)
    etcdctl(left.endpoint, "member", "add", lost.name, f"--peer-urls={lost.peer_url}")
    lost.state = "existing"
    lost.initial = ",".join(f"{m.name}={m.peer_url}" for m in (left, lost))
    lost.start().wait_ready(60)
    both = f"{left.endpoint},{lost.endpoint}"
    wait_until(lambda: sorted(m.get("name", "") for m in members(both)) == sorted((left.name, lost.name)), 60, "both are members")
    assert etcdctl(lost.endpoint, "get", "after", "--print-value-only").stdout.strip() == "written"
    etcdctl(lost.endpoint, "put", "together", "again")
    assert etcdctl(left.endpoint, "get", "together", "--print-value-only").stdout.strip() == "again"


def main():
    require("etcdctl")
    with Cluster() as cluster:
        cluster.start()
        cluster.wait_leader()
        test_downgrade(cluster)
        lost, left = test_the_majority_is_lost(cluster)
        test_a_dropped_member_comes_back_as_a_new_one(cluster, lost, left)
        print("force new cluster, downgrade: ok")


if __name__ == "__main__":
    main()
