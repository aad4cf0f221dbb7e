#!/usr/bin/python3
"""Input that no good client sends: each gets a clear error, and the member goes on as if nothing had been."""
import json
import pathlib
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, Cluster, etcdctl, http_get, kvctl, require  # noqa: E402
from grpc_wire import RpcError, StatusCode, Wire  # noqa: E402

MIB = 1 << 20


def raw(wire, path, body):
    """A call with these bytes as its message: (code, text)."""
    call = wire.channel.unary_unary(path, request_serializer=lambda b: b, response_deserializer=lambda b: b)
    try:
        call(body, timeout=60)
    except RpcError as error:
        return error.code(), error.details()
    return StatusCode.OK, ""


def field(number, wire_type, rest):
    return bytes([number << 3 | wire_type]) + rest


def test_calls(wire):
    put, key = "/etcdserverpb.KV/Put", field(1, 2, b"\x01k")
    cases = [
        ("unknown method", "/etcdserverpb.KV/Frobnicate", key, StatusCode.UNIMPLEMENTED, "Frobnicate"),
        ("unknown service", "/etcdserverpb.Frob/Put", key, StatusCode.UNIMPLEMENTED, "Frob"),
        ("cut message", put, field(1, 2, b"\x7fk"), StatusCode.INVALID_ARGUMENT, "malformed"),
        ("wrong wire type", put, field(1, 5, b"\0\0\0\0"), StatusCode.INVALID_ARGUMENT, ""),
        ("endless varint", put, b"\xff" * 11, StatusCode.INVALID_ARGUMENT, "malformed"),
        ("no key", put, field(2, 2, b"\x01v"), StatusCode.INVALID_ARGUMENT, "key is not provided"),
        ("unknown lease", put, key + field(3, 0, b"\x63"), StatusCode.NOT_FOUND, "requested lease not found"),
        ("request too large", put, key + field(2, 2, b"\x80\x80\x68") + b"v" * (0x68 << 14),
         StatusCode.INVALID_ARGUMENT, "request is too large"),
        ("future revision", "/etcdserverpb.KV/Range", key + field(4, 0, b"\xff\xff\x03"), StatusCode.OUT_OF_RANGE, "future revision"),
        ("bad sort", "/etcdserverpb.KV/Range", key + field(5, 0, b"\x63"), StatusCode.INVALID_ARGUMENT, "invalid sort option"),
        ("no such member", "/etcdserverpb.Cluster/MemberRemove", field(1, 0, b"\x05"), StatusCode.NOT_FOUND, "member not found"),
        ("bad url", "/etcdserverpb.Cluster/MemberAdd", field(1, 2, b"\x03:::"), StatusCode.INVALID_ARGUMENT, "URL"),
    ]
    wrong = []
    for what, path, body, code, text in cases:
        got, details = raw(wire, path, body)
        if got != code or text.lower() not in details.lower() or not details.strip():
            wrong.append((what, got, details))
    assert not wrong, wrong


def test_a_message_beyond_every_limit(wire):
    code, details = raw(wire, "/etcdserverpb.KV/Put", b"x" * (8 * MIB))
    assert code in (StatusCode.RESOURCE_EXHAUSTED, StatusCode.INVALID_ARGUMENT) and "larger than max" in details, (code, details)


def test_json(member):
    url = f"{member.endpoint}/v3/kv/put"
    for body, text in (('{"key": 5, "value": "dg=="}', ""), ('{"key": "not base64!"}', ""), ("{", ""), ("[]", ""), ('{"nonsense": 1}', "")):
        shown = subprocess.run(["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", "-d", body, url], capture_output=True, text=True,
                               check=True).stdout
        answer, status = shown.rsplit("\n", 1)
        assert status == "400" and text in answer and json.loads(answer)["message"], (body, shown)
    assert http_get(member.client_port, "/no/such/path")[0] == 404


def test_bytes_that_are_no_protocol(member):
    for port in (member.client_port, member.peer_port):
        for noise in (b"\0" * 64, b"\x16\x03\x01\x02\x00\x01\x00" + b"\xff" * 64, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
                      b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), 60) as connection:
                connection.settimeout(60)
                connection.sendall(noise)
                connection.shutdown(socket.SHUT_WR)
                try:
                    while connection.recv(4096):
                        pass
                except ConnectionResetError:
                    pass  # it hung up with our bytes unread


def test_tools(cluster):
    """One clear line, and not 0."""
    ends = cluster.endpoints
    wrong = []
    for arguments, text in ((["put"], "put"), (["get", "--no-such-flag", "k"], "no-such-flag"), (["frobnicate"], "frobnicate"),
                            (["get", "k", "--rev=abc"], "abc"), (["lease", "revoke", "xyz"], "xyz"), (["member", "remove", "zz"], "zz"),
                            (["txn"], ""), (["snapshot", "restore", "/no/such/file"], "/no/such/file"), (["compaction", "many"], "many"),
                            (["get", "k", "--sort-by=COLOUR"], "COLOUR")):
        result = kvctl(ends, *arguments, check=False, stdin="frob(x) = 1\n\n\n\n", seconds=60)
        shown = result.stderr.strip()
        if result.returncode == 0 or not shown or text.lower() not in shown.lower():
            wrong.append((arguments, result.returncode, shown, result.stdout))
    for arguments, text in ((["--listen-client-urls", "http://127.0.0.1"], "listen-client-urls"), (["--heartbeat-interval=fast"], "fast"),
                            (["--election-timeout=1"], "election-timeout"), (["--initial-cluster", "a=b=c"], "initial-cluster"),
                            (["--config-file=/no/such/file"], "/no/such/file"), (["--snapshot-count=-5"], "snapshot-count"),
                            (["--log-level=loud"], "loud"), (["--auto-compaction-mode=never"], "never"), (["--tls-min-version=TLS9"], "TLS9")):
        result = subprocess.run([str(BIN / "kvd"), "--data-dir", str(cluster.directory / "unused"), *arguments], capture_output=True, text=True,
                                timeout=60, check=False)
        if result.returncode != 2 or text not in result.stderr:
            wrong.append((arguments, result.returncode, result.stderr))
    assert not wrong, wrong


def main():
    require("curl")
    require("etcdctl")
    with Cluster(1) as cluster:
        member = cluster.start().members[0]
        etcdctl(cluster.endpoints, "--command-timeout=25s", "put", "before", "1")
        wire = Wire(member.client_port)
        for name, test in (("calls", lambda: test_calls(wire)), ("a huge message", lambda: test_a_message_beyond_every_limit(wire)),
                           ("JSON", lambda: test_json(member)), ("noise", lambda: test_bytes_that_are_no_protocol(member)),
                           ("command lines", lambda: test_tools(cluster))):
            test()
            assert member.is_running(), member.tail()
            assert etcdctl(cluster.endpoints, "--command-timeout=25s", "get", "before", "--print-value-only").stdout == "1\n"
            print(f"{name}: ok", flush=True)
        wire.close()


if __name__ == "__main__":
    main()
