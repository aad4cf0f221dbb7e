#!/usr/bin/python3
"""Clients that attack, one after the other and all the slow ones at once, on a plaintext and a TLS port. Each is cut off or
answered with an error, or costs nothing; a good client on the same member never sees a failure; memory stays bounded."""
import pathlib
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from authority import Authority  # noqa: E402
from cluster import Cluster, free_ports, require, wait_until  # noqa: E402
from grpc_wire import Wire  # noqa: E402
from http2_wire import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY,  # noqa: E402
                        PUSH_PROMISE, RANGE_A, RST_STREAM, SETTINGS, WINDOW_UPDATE, Attacker, frame, grpc_headers, literal)

MEMORY_GROWTH_MAX = 96 << 20
FLOOD_MAX = 200000  # frames; the server has had enough long before
REQUEST = grpc_headers()


def flood(attacker, chunk_of):
    """Send until cut off; reading on, so that only the server can end it."""
    for i in range(0, FLOOD_MAX, 100):
        if not attacker.send(b"".join(chunk_of(i + j) for j in range(100))):
            break
        attacker.drain()
    attacker.wait_cut()
    attacker.close()


def expect_cut(port, data, hello=True):
    attacker = Attacker(port, hello=hello)
    attacker.send(data)
    attacker.wait_cut()
    attacker.close()
    return attacker


def rapid_reset(port):
    flood(Attacker(port), lambda i: frame(HEADERS, END_HEADERS, 2 * i + 1, REQUEST) + frame(RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08"))


def made_you_reset(port):
    """The server is brought to reset by a window of more than it may be."""
    flood(Attacker(port), lambda i: frame(HEADERS, END_HEADERS, 2 * i + 1, REQUEST)
          + frame(WINDOW_UPDATE, 0, 2 * i + 1, b"\x7f\xff\xff\xff"))


def continuation_flood(port):
    attacker = Attacker(port)
    attacker.send(frame(HEADERS, 0, 1, REQUEST))
    flood(attacker, lambda i: frame(CONTINUATION, 0, 1, literal(b"x-%d" % i, b"y" * 100)))


def settings_flood(port):
    flood(Attacker(port), lambda i: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535 + i % 2)))


def fat_settings(port):
    expect_cut(port, frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535) * 2000))


def ping_flood(port):
    flood(Attacker(port), lambda i: frame(PING, 0, 0, struct.pack(">Q", i)))


def empty_data_flood(port):
    attacker = Attacker(port)
    attacker.send(frame(HEADERS, END_HEADERS, 1, REQUEST))
    flood(attacker, lambda i: frame(DATA, 0, 1))


def priority_flood(port):
    flood(Attacker(port), lambda i: frame(PRIORITY, 0, 2 * (i % 1000) + 1, b"\0\0\0\0\x10"))


def window_update_flood(port):
    """Who reads a large answer fast sends thousands, so they are not counted; they only may not cost much."""
    attacker = Attacker(port)
    for _ in range(200):
        attacker.send(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01") * 100)
    attacker.close()


def window_overflow(port):
    expect_cut(port, frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2)


def oversized_frame(port):
    expect_cut(port, frame(HEADERS, END_HEADERS, 1, REQUEST) + frame(DATA, 0, 1, b"x" * 20000))


def bad_preface(port):
    expect_cut(port, b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + frame(SETTINGS), hello=False)
    expect_cut(port, bytes(range(256)) * 8, hello=False)


def push_from_a_client(port):
    expect_cut(port, frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + REQUEST))


def wrong_stream_ids(port):
    expect_cut(port, frame(HEADERS, END_HEADERS, 2, REQUEST))
    expect_cut(port, frame(DATA, 0, 0, b"x"))
    expect_cut(port, frame(DATA, 0, 7, b"x"))


def broken_compression(port):
    expect_cut(port, frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))


def wrong_padding(port):
    expect_cut(port, frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + REQUEST[:100]))


def interleaved_header_blocks(port):
    expect_cut(port, frame(HEADERS, 0, 1, REQUEST) + frame(PING, 0, 0, b"12345678"))


def is_refused(kind, stream):
    return lambda k, f, s, p: s == stream and (k == RST_STREAM or (k == kind and len(p) > 0))


def header_bomb(port):
    """A large field once in the table, then named by one byte a thousand times."""
    big = b"\x40" + b"\x01x" + bytes([127]) + b"\xb0\x1e" + b"v" * (127 + 0x30 + (0x1e << 7))
    attacker = Attacker(port)
    attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, REQUEST + big + b"\xbe" * 1000))
    attacker.wait_frame(is_refused(HEADERS, 1))
    attacker.close()


def fat_headers(port):
    attacker = Attacker(port)
    attacker.send(frame(HEADERS, 0, 1, REQUEST))
    for i in range(7):
        attacker.send(frame(CONTINUATION, END_HEADERS if i == 6 else 0, 1, b"".join(literal(b"x%d" % j, b"v" * 200) for j in range(70))))
    attacker.wait_frame(is_refused(HEADERS, 1))
    attacker.close()


def goaway_games(port):
    attacker = Attacker(port)
    for last in (0x7fffffff, 0, 1, 0x7fffffff):
        attacker.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, 11) + b"bye" * 100))
        attacker.send(frame(HEADERS, END_HEADERS, 2 * (last & 0xff) + 1, REQUEST))
    attacker.send(frame(GOAWAY, 0, 3, b"\0" * 8))  # not on a stream
    attacker.wait_cut()
    attacker.close()


def lying_message_length(port):
    attacker = Attacker(port)
    attacker.send(frame(HEADERS, END_HEADERS, 1, REQUEST) + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 1000))
    attacker.wait_frame(lambda k, f, s, p: s == 1 and k in (HEADERS, RST_STREAM) and f & END_STREAM or k == RST_STREAM)
    attacker.close()


def acknowledged_settings_that_were_not_sent(port):
    flood(Attacker(port), lambda i: frame(SETTINGS, ACK))


def http1_smuggling(port):
    for data in (b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
                 b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n"):
        attacker = expect_cut(port, data, hello=False)
        assert b" 200 " not in attacker.received.split(b"\r\n")[0], attacker.received


def plain_text_on_the_tls_port(port):
    expect_cut(port, b"GET /health HTTP/1.0\r\n\r\n", hello=False)
    expect_cut(port, PREFACE + frame(SETTINGS), hello=False)


def renegotiation(port):
    """openssl's client asks for a new handshake on TLS 1.2 when it reads R; here it gets an alert and stays, or is cut off."""
    result = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-quiet", "-verify_quiet"], input="R\n" * 3,
                            capture_output=True, text=True, timeout=60, check=False)
    assert "no renegotiation" in result.stderr or result.returncode != 0, result


def old_tls(port):
    """With the checks of openssl's own client turned off, so that it is the server that says no."""
    result = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], input="",
                            capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode != 0 and "alert protocol version" in result.stderr, result.stderr


# --- the slow ones: opened first, cut off by time-outs while the others run; what is not cut off must cost nothing


def open_slow(plain, secure):
    slow = []
    for _ in range(20):
        slow.append(Attacker(secure, hello=False))  # a TLS client that says nothing
        half = Attacker(secure, hello=False)
        half.send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        slow.append(half)
        headers = Attacker(plain)
        headers.send(frame(HEADERS, 0, 1, REQUEST))  # and never the rest
        slow.append(headers)
        line = Attacker(plain, hello=False)
        line.send(b"GET /health HT")
        slow.append(line)
        preface = Attacker(plain, hello=False)
        preface.send(PREFACE[:10])
        slow.append(preface)
    return slow


def open_lazy(plain):
    """They keep the connection and take or send nothing: no window, no reading, bodies that never end."""
    lazy = []
    for _ in range(5):
        no_window = Attacker(plain, settings=struct.pack(">HI", 4, 0))
        unread = Attacker(plain)
        for i in range(200):
            no_window.send(frame(HEADERS, END_HEADERS, 2 * i + 1, REQUEST) + frame(DATA, END_STREAM, 2 * i + 1, b"\0\0\0\0\x05\x0a\x03big"))
            unread.send(frame(HEADERS, END_HEADERS, 2 * i + 1, REQUEST) + frame(DATA, END_STREAM, 2 * i + 1, b"\0\0\0\0\x05\x0a\x03big"))
        body = Attacker(plain)
        for i in range(100):
            body.send(frame(HEADERS, END_HEADERS, 2 * i + 1, REQUEST) + frame(DATA, 0, 2 * i + 1, RANGE_A[:4]))
        lazy += [no_window, unread, body]
    return lazy


class GoodClient:
    """Puts and reads on, from `with` to its end; any failure is kept."""

    def __init__(self, port):
        self.wire = Wire(port)
        self.rounds = 0
        self.error = None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopped.is_set():
            value = b"%d" % self.rounds
            try:
                self.wire.call("KV", "Put", key=b"good", value=value)
                assert self.wire.call("KV", "Range", key=b"good").kvs[0].value == value
            except Exception as error:  # pylint: disable=broad-except
                self.error = error
                return
            self.rounds += 1

    def check(self, name):
        """It goes on after the attack."""
        before = self.rounds
        wait_until(lambda: self.rounds > before + 2 or self.error, 60, f"the good client goes on after {name}")
        assert self.error is None, (name, self.error)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        self.wire.close()


def resident(process):
    pages = pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


PLAIN = [rapid_reset, made_you_reset, continuation_flood, settings_flood, fat_settings, ping_flood, empty_data_flood, priority_flood,
         window_update_flood, window_overflow, oversized_frame, bad_preface, push_from_a_client, wrong_stream_ids, broken_compression,
         wrong_padding, interleaved_header_blocks, header_bomb, fat_headers, goaway_games, lying_message_length,
         acknowledged_settings_that_were_not_sent, http1_smuggling]
SECURE = [plain_text_on_the_tls_port, renegotiation, old_tls]


def main():
    require("openssl")
    with Cluster(1) as cluster:
        certificate, key = Authority(cluster.directory, "ca").issue("server")
        member = cluster.members[0]
        (secure,) = free_ports(1)
        member.extra = [f"--listen-client-urls={member.endpoint},https://127.0.0.1:{secure}", f"--cert-file={certificate}",
                        f"--key-file={key}"]
        cluster.start()
        with GoodClient(member.client_port) as good:
            good.wire.call("KV", "Put", key=b"big", value=b"v" * (1 << 20))
            good.check("the start")
            before = resident(member.process)
            slow = open_slow(member.client_port, secure)
            lazy = open_lazy(member.client_port)
            for attacks, port in ((PLAIN, member.client_port), (SECURE, secure)):
                for attack in attacks:
                    attack(port)
                    good.check(attack.__name__)
            for attacker in slow:
                attacker.wait_cut()
                attacker.close()
            good.check("the slow ones")
            grown = resident(member.process) - before
            assert grown < MEMORY_GROWTH_MAX, f"{grown >> 20} MiB more than before"
            for attacker in lazy:
                attacker.close()
            good.check("the lazy ones")
            crowd = [socket.create_connection(("127.0.0.1", member.client_port)) for _ in range(500)]
            good.check("a crowd that says nothing")
            for connection in crowd:
                connection.close()
        assert member.is_running()
        kinds = len(PLAIN) + len(SECURE) + 5 + 3 + 1
        print(f"{kinds} attacks: ok; {grown >> 20} MiB more than before at the worst, {good.rounds} good requests")


if __name__ == "__main__":
    main()
