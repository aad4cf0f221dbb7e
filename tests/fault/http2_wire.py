"""HTTP/2 by hand, for clients that misbehave on purpose: frames as bytes, no library that would stop us."""
import socket
import ssl
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field without indexing, without Huffman coding."""
    def text(data):
        assert len(data) < 127 + 128
        return (bytes([len(data)]) if len(data) < 127 else bytes([127, len(data) - 127])) + data
    return b"\x00" + text(name) + text(value)


def grpc_headers(path=b"/etcdserverpb.KV/Range", extra=b""):
    return (literal(b":method", b"POST") + literal(b":scheme", b"http") + literal(b":path", path) + literal(b":authority", b"x")
            + literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers") + extra)


RANGE_A = b"\x00\x00\x00\x00\x03\x0a\x01a"  # a gRPC message: RangeRequest{key: "a"}


class Attacker:
    """One connection. Sending ends quietly when the server has had enough: that is what is waited for."""

    def __init__(self, port, tls=None, hello=True, settings=b""):
        raw = socket.create_connection(("127.0.0.1", port), timeout=60)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(raw, server_hostname="localhost") if tls else raw
        self.is_cut = False
        self.received = b""
        if hello:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def send(self, data):
        if self.is_cut:
            return False
        try:
            self.socket.settimeout(60)
            self.socket.sendall(data)
        except (OSError, ssl.SSLError):
            self.is_cut = True
        return not self.is_cut

    def drain(self):
        """What has come in by now; never waits."""
        try:
            self.socket.settimeout(0)
            while True:
                data = self.socket.recv(65536)
                if not data:
                    self.is_cut = True
                    return
                self.received += data
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except (OSError, ssl.SSLError):
            self.is_cut = True

    def wait_cut(self, seconds=60):
        """Until the server closes; what it says meanwhile is kept."""
        self.socket.settimeout(seconds)
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    break
                self.received += data
        except (ConnectionError, ssl.SSLError):
            pass
        except (TimeoutError, socket.timeout):
            raise AssertionError("the server keeps the offender")  # pylint: disable=raise-missing-from
        self.is_cut = True

    def frames(self):
        """(kind, flags, stream, payload) of what was received so far."""
        data, found = self.received, []
        while len(data) >= 9:
            size = int.from_bytes(data[:3], "big")
            if len(data) < 9 + size:
                break
            found.append((data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7fffffff, data[9:9 + size]))
            data = data[9 + size:]
        return found

    def wait_frame(self, wanted, seconds=60):
        self.socket.settimeout(seconds)
        while True:
            for item in self.frames():
                if wanted(*item):
                    return item
            data = self.socket.recv(65536)
            if not data:
                raise AssertionError("the server closed instead of answering")
            self.received += data

    def close(self):
        self.socket.close()
