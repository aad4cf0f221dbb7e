#!/usr/bin/env python3
"""The service manager's side of kvd and orchd: READY, WATCHDOG, STOPPING on a socket of this test, and the units as
systemd itself reads them."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, ROOT, free_ports  # noqa: E402

# How much a hijacked daemon could do, by systemd's own measure (0 to 10). An agent makes containers: it may do anything.
UNITS = {"kvd.service": 2.0, "orchd.service": 2.0, "orchd-dns.service": 2.0, "orchd-proxy.service": 3.0,
         "orchd-agent.service": 10.0}
SECONDS = 60


class Manager:
    """A socket as NOTIFY_SOCKET names it, and what came to it."""

    def __init__(self, address):
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.socket.settimeout(SECONDS)

    def start(self, words, log, watchdog=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD", "WATCHDOG"))}
        environment["NOTIFY_SOCKET"] = self.address
        environment.update(watchdog or {})
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def next(self):
        return self.socket.recv(4096).decode()

    def until(self, wanted):
        """Everything up to wanted."""
        seen = []
        while wanted not in seen:
            seen.append(self.next())
        return seen


def kvd_words(directory):
    client, peer = free_ports(2)
    urls = [f"http://127.0.0.1:{port}" for port in (client, peer)]
    return client, [str(BIN / "kvd"), "--name", "m1", "--data-dir", str(directory / "data"), "--listen-client-urls", urls[0],
                    "--advertise-client-urls", urls[0], "--listen-peer-urls", urls[1], "--initial-advertise-peer-urls",
                    urls[1], "--initial-cluster", f"m1={urls[1]}"]



def check_kvd(directory, log):
    manager = Manager(f"@coracle-test-{os.getpid()}")
    client, words = kvd_words(directory)
    process = manager.start(words, log, {"WATCHDOG_USEC": "400000"})
    try:
        assert "READY=1" in manager.until("READY=1")
        for _ in range(3):
            assert manager.next() == "WATCHDOG=1"
        check_orchd(directory, log, client)
        process.send_signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    # A watchdog that is meant for another process is not fed; a path in the file system works, too.
    manager = Manager(str(directory / "notify"))
    process = manager.start(words, log, {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})
    try:
        assert manager.until("READY=1") == ["READY=1"]
        process.send_signal(signal.SIGTERM)
        assert manager.until("STOPPING=1") == ["STOPPING=1"]
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def check_orchd(directory, log, store_port):
    manager = Manager(str(directory / "orchd"))
    words = [str(BIN / "orchd"), "--endpoints", f"127.0.0.1:{store_port}", "--insecure-port", str(free_ports(1)[0])]
    process = manager.start(words, log, {"WATCHDOG_USEC": "400000"})
    try:
        manager.until("READY=1")
        manager.until("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def check_units(directory):
    """systemd reads them without a complaint, and finds little that a hijacked daemon could do."""
    if shutil.which("systemd-analyze") is None:
        print("units are not verified: systemd-analyze is not installed")
        return
    for name, exposure_max in UNITS.items():
        text = (ROOT / "packaging" / "systemd" / name).read_text()
        if name in ("kvd.service", "orchd.service"):
            for word in ("Type=notify", "WatchdogSec=", "ProtectSystem=strict", "NoNewPrivileges=yes"):
                assert word in text, (name, word)
        copy = directory / name
        copy.write_text(text.replace("/usr/bin/", f"{BIN}/"))
        checked = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)],
                                 capture_output=True, text=True, timeout=SECONDS, check=False)
        complaints = [line for line in checked.stderr.splitlines() if name in line]
        assert checked.returncode == 0 and not complaints, checked
        judged = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(copy)],
                                capture_output=True, text=True, timeout=SECONDS, check=False)
        level = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout)
        assert level and float(level.group(1)) <= exposure_max, judged.stdout[-2000:] + judged.stderr
        print(f"{name}: exposure {level.group(1)}")


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="coracle-service."))
    try:
        with open(directory / "log", "ab") as log:
            check_kvd(directory, log)
        check_units(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
