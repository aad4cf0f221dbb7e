#!/usr/bin/env python3
"""The JSON gateway from a browser's side: WebSockets, CORS, the Host whitelist, paths of older versions."""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, require, wait_until  # noqa: E402

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def b64(text):
    return base64.b64encode(text.encode()).decode()


class WebSocket:
    """A client of RFC 6455, just enough."""

    def __init__(self, port, path, fields=()):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
                 "Sec-WebSocket-Version: 13", *fields, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        for line in iter(self.file.readline, b"\r\n"):
            name, value = line.decode().split(":", 1)
            self.headers[name.strip().lower()] = value.strip()
        if self.status == 101:
            accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
            assert self.headers["sec-websocket-accept"] == accept, self.headers

    def send(self, message, kind=TEXT, mask=b"abcd", fin=0x80):
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        head = bytes([fin | kind]) + (bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data)))
        self.socket.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def receive(self):
        """(kind, bytes) of the next frame."""
        first, second = self.file.read(2)
        size = second & 0x7f
        if size == 126:
            (size,) = struct.unpack(">H", self.file.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.file.read(8))
        return first & 0x0f, self.file.read(size)

    def message(self):
        kind, data = self.receive()
        assert kind == TEXT, (kind, data)
        return json.loads(data)

    def close(self):
        self.file.close()
        self.socket.close()


def request(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body if body is None else json.dumps(body), headers or {})
    answer = connection.getresponse()
    data = answer.read().decode()
    connection.close()
    return answer, data


def test_a_watch_over_a_websocket(port, ends):
    ws = WebSocket(port, "/v3/watch")
    assert ws.status == 101
    ws.send({"create_request": {"key": b64("w")}})
    assert ws.message()["result"]["created"] is True
    etcdctl(ends, "put", "w", "1")
    assert ws.message()["result"]["events"][0]["kv"]["value"] == b64("1")
    ws.send(b"hello", PING)
    assert ws.receive() == (PONG, b"hello")
    ws.send(b'{"create_request":', fin=0)  # one message in two frames
    ws.send(b'{"key":"%s"}}' % b64("x").encode(), kind=0)
    assert ws.message()["result"]["watch_id"] == "1"
    etcdctl(ends, "put", "x", "2")
    assert ws.message()["result"]["events"][0]["kv"]["key"] == b64("x")
    ws.send(struct.pack(">H", 1000), CLOSE)
    assert ws.receive()[0] == CLOSE
    assert ws.file.read() == b""
    ws.close()


def test_other_calls_over_a_websocket(port):
    ws = WebSocket(port, "/v3/kv/put")
    ws.send({"key": b64("u"), "value": b64("1")})
    assert "header" in ws.message()
    assert ws.receive()[0] == CLOSE
    ws.close()
    ws = WebSocket(port, "/v3/kv/range")
    ws.send({"key": ""})
    assert ws.message()["error"]["message"] == "etcdserver: key is not provided"
    ws.close()
    ws = WebSocket(port, "/v3/lease/keepalive")
    ws.send({"ID": "12345"})
    assert ws.message()["result"]["ID"] == "12345"
    ws.send({"ID": 12346})
    assert ws.message()["result"]["ID"] == "12346"
    ws.close()


def test_what_is_no_websocket(port):
    ws = WebSocket(port, "/v3/nothing")
    assert ws.status == 404
    ws.close()
    ws = WebSocket(port, "/v3/watch")
    ws.send(b"not json")
    assert "error" in ws.message()
    ws.close()
    ws = WebSocket(port, "/v3/watch")
    ws.socket.sendall(b"\x81\x05hello")  # without a mask: the protocol forbids it
    assert ws.receive()[0] == CLOSE
    ws.close()
    answer, _ = request(port, "GET", "/v3/watch", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert answer.status == 400, answer.status


def test_a_token_comes_as_a_protocol(port, ends):
    etcdctl(ends, "user", "add", "root:r")
    etcdctl(ends, "auth", "enable")
    _, data = request(port, "POST", "/v3/auth/authenticate", {"name": "root", "password": "r"})
    token = json.loads(data)["token"]
    ws = WebSocket(port, "/v3/kv/range", [f"Sec-WebSocket-Protocol: Bearer, {token}"])
    assert ws.status == 101 and ws.headers["sec-websocket-protocol"] == "Bearer"
    ws.send({"key": b64("u")})
    assert ws.message()["kvs"][0]["value"] == b64("1")
    ws.close()
    ws = WebSocket(port, "/v3/kv/range")
    ws.send({"key": b64("u")})
    assert "user name is empty" in ws.message()["error"]["message"]
    ws.close()
    etcdctl(ends, "--user=root:r", "auth", "disable")


def test_cors_and_older_paths(open_port, strict_port):
    answer, _ = request(open_port, "OPTIONS", "/v3/kv/range", headers={"Origin": "http://anywhere"})
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "*"
    answer, data = request(open_port, "POST", "/v3/kv/range", {"key": b64("u")})
    assert answer.headers["access-control-allow-origin"] == "*" and json.loads(data)["kvs"]
    for prefix in ("/v3beta", "/v3alpha"):
        assert json.loads(request(open_port, "POST", prefix + "/kv/range", {"key": b64("u")})[1])["kvs"]
    answer, _ = request(strict_port, "GET", "/health", headers={"Origin": "http://good"})
    assert answer.headers["access-control-allow-origin"] == "http://good"
    assert answer.headers["access-control-allow-headers"] == "accept, content-type, authorization"
    answer, _ = request(strict_port, "GET", "/health", headers={"Origin": "http://evil"})
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers


def test_the_host_whitelist(port):
    answer, data = request(port, "GET", "/health", headers={"Host": "rebound.example"})
    assert answer.status == 421 and "CVE-2018-5702" in data and '"rebound.example"' in data, data
    answer, _ = request(port, "GET", "/health", headers={"Host": "etcd.example:2379"})
    assert answer.status == 200


def main():
    require("etcdctl")
    with Cluster(1) as cluster, Cluster(1, extra=["--cors=http://good,http://fine", "--host-whitelist=127.0.0.1,etcd.example"]) as strict:
        cluster.start()
        strict.start()
        port, strict_port, ends = cluster.members[0].client_port, strict.members[0].client_port, cluster.endpoints
        wait_until(lambda: etcdctl(ends, "get", "x", check=False).returncode == 0, 60, "it serves")
        test_a_watch_over_a_websocket(port, ends)
        test_other_calls_over_a_websocket(port)
        test_what_is_no_websocket(port)
        test_a_token_comes_as_a_protocol(port, ends)
        test_cors_and_older_paths(port, strict_port)
        test_the_host_whitelist(strict_port)
        print("gateway: ok")


if __name__ == "__main__":
    main()
