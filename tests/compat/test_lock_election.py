#!/usr/bin/python3
"""The Lock and the Election service over gRPC and over the JSON gateway, and etcdctl's own lock and elect."""
import json
import pathlib
import subprocess
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, require, wait_until  # noqa: E402
from grpc_wire import RpcError, StatusCode, Wire  # noqa: E402


def lease(wire, seconds=600):
    return wire.call("Lease", "LeaseGrant", TTL=seconds).ID


def keys(wire, prefix):
    answer = wire.call("KV", "Range", key=prefix, range_end=prefix[:-1] + bytes([prefix[-1] + 1]))
    return {item.key: item for item in answer.kvs}


def wait_keys(wire, prefix, count):
    return wait_until(lambda: len(keys(wire, prefix)) == count, 60, f"{count} keys below {prefix}")


def post(member, path, body):
    request = urllib.request.Request(member.endpoint + path, json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def test_a_lock_goes_to_the_next_in_line(wire, other):
    first, second, third = lease(wire), lease(wire), lease(wire)
    held = wire.call("Lock", "Lock", name=b"l", lease=first)
    assert held.key == b"l/%x" % first and held.header.revision > 1, held
    again = wire.call("Lock", "Lock", name=b"l", lease=first)
    assert again.key == held.key
    waits = other.future("Lock", "Lock", name=b"l", lease=second)
    wait_keys(wire, b"l/", 2)
    last = wire.future("Lock", "Lock", name=b"l", lease=third)
    wait_keys(wire, b"l/", 3)
    assert not waits.done() and not last.done()
    wire.call("Lock", "Unlock", key=held.key)
    assert waits.result().key == b"l/%x" % second
    assert not last.done()
    wire.call("Lease", "LeaseRevoke", ID=second)  # a holder that died
    assert last.result().key == b"l/%x" % third
    wire.call("Lock", "Unlock", key=last.result().key)


def test_a_fenced_write_is_refused_after_the_lock_is_lost(wire):
    mine = lease(wire)
    held = wire.call("Lock", "Lock", name=b"fence", lease=mine)
    token = keys(wire, b"fence/")[held.key].create_revision

    def guarded_put(value):
        from grpc_wire import rpc
        txn = rpc.TxnRequest(compare=[rpc.Compare(key=held.key, target=rpc.Compare.CREATE, create_revision=token)],
                             success=[rpc.RequestOp(request_put=rpc.PutRequest(key=b"guarded", value=value))])
        return wire.call("KV", "Txn", request=txn).succeeded

    assert guarded_put(b"1")
    wire.call("Lease", "LeaseRevoke", ID=mine)
    assert not guarded_put(b"2")
    assert wire.call("KV", "Range", key=b"guarded").kvs[0].value == b"1"


def test_a_waiter_whose_lease_ends_hears_of_it(wire, other):
    holder, waiter = lease(wire), lease(wire)
    held = wire.call("Lock", "Lock", name=b"e", lease=holder)
    waits = other.future("Lock", "Lock", name=b"e", lease=waiter)
    wait_keys(wire, b"e/", 2)
    wire.call("Lease", "LeaseRevoke", ID=waiter)
    error = waits.exception()
    assert "mutex: session is expired" in error.details() and error.code() == StatusCode.UNKNOWN, error
    wire.call("Lock", "Unlock", key=held.key)
    wire.refused("Lock", "Lock", "requested lease not found", name=b"e", lease=12345)


def test_a_waiter_that_goes_away_leaves_the_line(wire, other):
    held = wire.call("Lock", "Lock", name=b"c", lease=lease(wire))
    waits = other.future("Lock", "Lock", name=b"c", lease=lease(wire))
    wait_keys(wire, b"c/", 2)
    waits.cancel()
    wait_keys(wire, b"c/", 1)
    wire.call("Lock", "Unlock", key=held.key)


def test_who_brings_no_lease_gets_one_of_a_minute(wire):
    held = wire.call("Lock", "Lock", name=b"n")
    left = wire.call("Lease", "LeaseTimeToLive", ID=int(held.key.split(b"/")[1], 16))
    assert left.grantedTTL == 60, left
    wire.call("Lock", "Unlock", key=held.key)


def test_an_election(wire, other):
    seen = other.stream("Election", "Observe", name=b"v")
    wire.refused("Election", "Leader", "election: no leader", name=b"v")
    first, second = lease(wire), lease(wire)
    won = wire.call("Election", "Campaign", name=b"v", lease=first, value=b"one").leader
    assert (won.name, won.key, won.lease) == (b"v", b"v/%x" % first, first), won
    assert next(seen).kv.value == b"one"
    assert wire.call("Election", "Leader", name=b"v").kv.create_revision == won.rev
    waits = other.future("Election", "Campaign", name=b"v", lease=second, value=b"two")
    wait_keys(wire, b"v/", 2)
    wire.call("Election", "Proclaim", leader=won, value=b"uno")
    assert next(seen).kv.value == b"uno"
    assert wire.call("Lease", "LeaseTimeToLive", ID=first, keys=True).keys == [won.key]
    wire.call("Election", "Resign", leader=won)
    follower = waits.result().leader
    assert follower.key == b"v/%x" % second and next(seen).kv.value == b"two"
    wire.refused("Election", "Proclaim", "election: not leader", leader=won, value=b"late")
    wire.refused("Election", "Proclaim", '"leader" field must be provided', value=b"x")
    wire.refused("Election", "Resign", '"leader" field must be provided')
    changed = wire.call("Election", "Campaign", name=b"v", lease=second, value=b"dos")
    assert changed.leader.rev == follower.rev and next(seen).kv.value == b"dos"
    wire.call("Lease", "LeaseRevoke", ID=second)
    third = lease(wire)
    wire.call("Election", "Campaign", name=b"v", lease=third, value=b"three")
    assert next(seen).kv.value == b"three"
    seen.cancel()


def test_the_gateway(member):
    held = post(member, "/v3/lock/lock", {"name": "Z3c="})
    assert held["key"] and held["header"]["revision"], held
    assert "header" in post(member, "/v3/lock/unlock", {"key": held["key"]})
    won = post(member, "/v3/election/campaign", {"name": "Z3c=", "value": "eA=="})
    assert won["leader"]["name"] == "Z3c=", won
    assert post(member, "/v3/election/leader", {"name": "Z3c="})["kv"]["value"] == "eA=="
    assert "header" in post(member, "/v3/election/proclaim", {"leader": won["leader"], "value": "eQ=="})
    request = urllib.request.Request(member.endpoint + "/v3/election/observe", b'{"name":"Z3c="}', method="POST")
    with urllib.request.urlopen(request, timeout=60) as stream:
        assert json.loads(stream.readline())["result"]["kv"]["value"] == "eQ=="
    assert "header" in post(member, "/v3/election/resign", {"leader": won["leader"]})


def test_etcdctl(ends):
    """etcdctl runs the recipes itself; it and the service stand in the same line."""
    assert etcdctl(ends, "lock", "cli", "echo", "held").stdout.splitlines()[-1] == "held"
    with subprocess.Popen(["etcdctl", f"--endpoints={ends}", "elect", "cli-election", "me"], stdout=subprocess.PIPE,
                          text=True) as elect:
        assert elect.stdout.readline().startswith("cli-election/") and elect.stdout.readline() == "me\n"
        elect.terminate()
        elect.wait(60)


def test_permissions_are_those_of_the_client(cluster, wire, ends):
    etcdctl(ends, "user", "add", "root:r")
    etcdctl(ends, "user", "add", "bob:b")
    etcdctl(ends, "role", "add", "locker")
    etcdctl(ends, "role", "grant-permission", "locker", "readwrite", "--prefix=true", "mine")
    etcdctl(ends, "user", "grant-role", "bob", "locker")
    etcdctl(ends, "auth", "enable")
    member = cluster.members[0]
    wait_until(lambda: etcdctl(member.endpoint, "get", "x", check=False).returncode != 0, 60, "auth is on")
    wire.refused("Lock", "Lock", "user name is empty", name=b"mine")
    token = wire.call("Auth", "Authenticate", name="bob", password="b").token
    bob = Wire(member.client_port, [("token", token)])
    held = bob.call("Lock", "Lock", name=b"mine")
    bob.refused("Lock", "Lock", "permission denied", name=b"other")
    bob.refused("Lock", "Unlock", "permission denied", key=b"other/1")
    bob.refused("Election", "Leader", "permission denied", name=b"other")
    try:
        next(bob.stream("Election", "Observe", name=b"other"))
        raise AssertionError("a stream that may not be read")
    except RpcError as error:
        assert "permission denied" in error.details(), error
    bob.call("Lock", "Unlock", key=held.key)
    bob.close()


def main():
    require("etcdctl")
    with Cluster() as cluster:
        cluster.start()
        leader = cluster.wait_leader()
        follower = next(m for m in cluster.members if m is not leader)
        wire, other = Wire(cluster.members[0].client_port), Wire(follower.client_port)
        test_a_lock_goes_to_the_next_in_line(wire, other)
        test_a_fenced_write_is_refused_after_the_lock_is_lost(wire)
        test_a_waiter_whose_lease_ends_hears_of_it(wire, other)
        test_a_waiter_that_goes_away_leaves_the_line(wire, other)
        test_who_brings_no_lease_gets_one_of_a_minute(wire)
        test_an_election(wire, other)
        test_the_gateway(follower)
        test_etcdctl(cluster.endpoints)
        test_permissions_are_those_of_the_client(cluster, wire, cluster.endpoints)
        wire.close()
        other.close()
        print("lock and election: ok")


if __name__ == "__main__":
    main()
