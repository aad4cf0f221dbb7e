#!/usr/bin/python3
"""A member whose store differs from the others' without any damage that a checksum could find: it is found by comparing
hashes, alarmed, and answers nothing any more, while the others go on."""
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, Cluster, etcdctl, http_get, require, wait_until  # noqa: E402
from grpc_wire import RpcError, StatusCode, Wire, rpc  # noqa: E402

TOOLS = BIN.parent / "tests"


def member_id(cluster, member):
    body = http_get(member.client_port, "/metrics")[1]
    line = next(x for x in body.splitlines() if x.startswith("etcd_server_id{"))
    return int(line.split('"')[1], 16)


def refusal(wire, method, **fields):
    try:
        wire.call("KV", method, **fields)
    except RpcError as error:
        return error.details()
    return ""


def watch(wire, key):
    """An open watch: its stream of answers, after the first (created)."""
    import queue
    requests = queue.Queue()
    requests.put(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=key)))
    stub = wire.channel.stream_stream("/etcdserverpb.Watch/Watch", request_serializer=rpc.WatchRequest.SerializeToString,
                                      response_deserializer=rpc.WatchResponse.FromString)
    answers = stub(iter(requests.get, None), timeout=120)
    assert next(answers).created
    return answers


def test_a_store_that_differs_is_found_and_fenced(cluster):
    leader = cluster.wait_leader()
    victim = next(m for m in cluster.members if m is not leader)
    others = [m for m in cluster.members if m is not victim]
    for i in range(5):
        etcdctl(cluster.endpoints, "put", f"k{i}", "value")
    identity = member_id(cluster, victim)
    wait_until(lambda: etcdctl(victim.endpoint, "get", "k4", "--consistency=s").stdout, 60, "the victim has everything")
    victim.kill(signal.SIGTERM)
    subprocess.run([str(TOOLS / "store_edit"), str(victim.data_dir / "member" / "store"), "3"], check=True)
    victim.start()
    ends = ",".join(m.endpoint for m in others)
    alarm = f"memberID:{identity} alarm:CORRUPT"
    wait_until(lambda: etcdctl(ends, "alarm", "list").stdout.strip() == alarm, 60, "the difference is found")
    wire = Wire(victim.client_port)
    wait_until(lambda: "corrupt cluster" in refusal(wire, "Range", key=b"k1"), 60, "the victim reads nothing")
    assert "corrupt cluster" in refusal(wire, "Range", key=b"k1", serializable=True)
    assert "corrupt cluster" in refusal(wire, "Put", key=b"k1", value=b"x")
    status, body = http_get(victim.client_port, "/readyz?verbose")
    assert status == 503 and "[-]data_corruption failed: alarm activated: CORRUPT" in body, body
    assert http_get(victim.client_port, "/livez")[0] in (200, 503)
    for member in others:
        etcdctl(member.endpoint, "put", "k1", member.name)
        assert http_get(member.client_port, "/readyz")[0] == 200
    metrics = http_get(others[0].client_port, "/metrics")[1]
    assert f'etcd_debugging_server_alarms{{alarm_type="CORRUPT",server_id="{identity:x}"}} 1' in metrics
    wire.close()
    return victim, others, identity


def test_it_is_replaced(cluster, victim, others, identity):
    ends = ",".join(m.endpoint for m in others)
    # Not within five seconds of a member's return (strict reconfiguration).
    wait_until(lambda: etcdctl(ends, "member", "remove", f"{identity:x}", check=False).returncode == 0, 60, "it is removed")
    victim.wait(60)
    etcdctl(ends, "alarm", "disarm")
    fresh = cluster.add_member()
    wait_until(lambda: etcdctl(ends, "member", "add", fresh.name, f"--peer-urls={fresh.peer_url}", check=False).returncode == 0, 60,
               "the new member is added")
    fresh.initial = ",".join(f"{m.name}={m.peer_url}" for m in [*others, fresh])
    fresh.start()
    fresh.wait_ready(60)
    assert etcdctl(fresh.endpoint, "get", "k2", "--print-value-only").stdout.strip() == "value"
    cluster.members.remove(victim)


def test_an_alarm_closes_watches_and_takes_leadership(cluster):
    leader = cluster.wait_leader()
    identity = member_id(cluster, leader)
    wire = Wire(leader.client_port)
    answers = watch(wire, b"w")
    alarm = rpc.AlarmRequest(action=rpc.AlarmRequest.ACTIVATE, memberID=identity, alarm=rpc.CORRUPT)
    wire.call("Maintenance", "Alarm", request=alarm)
    try:
        next(answers)
        raise AssertionError("the watch went on")
    except RpcError as error:
        assert error.code() == StatusCode.DATA_LOSS and "corrupt cluster" in error.details(), error
    wait_until(lambda: cluster.leader() not in (None, leader), 60, "somebody else leads")
    alarm.action = rpc.AlarmRequest.DEACTIVATE
    wire.call("Maintenance", "Alarm", request=alarm)
    wait_until(lambda: refusal(wire, "Put", key=b"w", value=b"x") == "", 60, "the member answers again")
    watch(wire, b"w").cancel()
    wire.close()


def test_compaction_hashes_are_kept_and_equal(cluster):
    wires = [Wire(m.client_port) for m in cluster.members]
    for i in range(6):
        wires[0].call("KV", "Put", key=b"h", value=b"%d" % i)
    revision = wires[0].call("KV", "Put", key=b"h", value=b"last").header.revision
    for wire in wires:
        wait_until(lambda w=wire: w.call("KV", "Range", key=b"h", serializable=True).kvs[0].value == b"last", 60, "applied")
    before = [w.call("Maintenance", "HashKV", revision=revision) for w in wires]
    wires[0].call("KV", "Compact", revision=revision, physical=True)
    for wire in wires:
        wait_until(lambda w=wire: compacted(w, revision), 60, "compacted")
    after = [w.call("Maintenance", "HashKV", revision=revision) for w in wires]
    assert len({(a.hash, a.compact_revision) for a in before + after}) == 1, (before, after)
    for wire in wires:
        wire.close()


def compacted(wire, revision):
    return "has been compacted" in refusal(wire, "Range", key=b"h", revision=revision - 1, serializable=True)


def main():
    require("etcdctl")
    with Cluster(extra=["--corrupt-check-time=1s"]) as cluster:
        cluster.start()
        victim, others, identity = test_a_store_that_differs_is_found_and_fenced(cluster)
        test_it_is_replaced(cluster, victim, others, identity)
        test_an_alarm_closes_watches_and_takes_leadership(cluster)
        test_compaction_hashes_are_kept_and_equal(cluster)
        print("corruption: ok")


if __name__ == "__main__":
    main()
