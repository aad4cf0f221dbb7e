"""One member of Debian's etcd on loopback, for tests that move its data."""
import json
import os
import signal
import subprocess

from cluster import etcdctl, free_ports, health, wait_until


class Etcd:
    def __init__(self, directory, *extra):
        client_port, peer_port = free_ports(2)
        self.directory = directory
        self.data_dir = directory / "etcd"
        self.client_port = client_port
        self.endpoint = f"http://127.0.0.1:{client_port}"
        peer = f"http://127.0.0.1:{peer_port}"
        self.words = ["etcd", "--name", "e1", "--data-dir", str(self.data_dir), "--listen-client-urls", self.endpoint,
                      "--advertise-client-urls", self.endpoint, "--listen-peer-urls", peer,
                      "--initial-advertise-peer-urls", peer, "--initial-cluster", f"e1={peer}", *extra]
        self.process = None

    def start(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
        with open(self.directory / "etcd.log", "ab") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env=environment)
        wait_until(lambda: health(self.client_port), 60, "etcd is healthy")
        return self

    def stop(self, number=signal.SIGKILL):
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None

    def ctl(self, *words, **keywords):
        return etcdctl(self.endpoint, *map(str, words), **keywords)

    def copy(self, target):
        """The files as they are now, holes stay holes."""
        subprocess.run(["cp", "-r", "--sparse=always", str(self.data_dir), str(target)], check=True)
        return target

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if error is not None and (self.directory / "etcd.log").exists():
            print("\n".join((self.directory / "etcd.log").read_text(errors="replace").splitlines()[-8:]))
        return False


def content(endpoint, revision):
    """Every key-value at a revision, as etcdctl prints it."""
    answer = json.loads(etcdctl(endpoint, "get", "", "--prefix", f"--rev={revision}", "-w", "json").stdout)
    return answer.get("kvs", []), answer["header"]["revision"]



