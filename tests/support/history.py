"""Clients that record what they see (tests/fault/kv_history.c), and the verdict on it (kv_history_check)."""
import pathlib
import subprocess
import threading

from cluster import BIN, wait_until

TOOLS = BIN.parent / "tests"


class History:
    """Clients of one cluster in a process of their own, from `with` until stop()."""

    def __init__(self, directory, endpoints, name="history", seed=1, clients=8, keys=5, prefix=()):
        self.path = pathlib.Path(directory) / f"{name}.txt"
        self.endpoints = endpoints
        self.prefix = list(prefix)
        self.acknowledged = 0
        self.process = subprocess.Popen([*self.prefix, str(TOOLS / "kv_history"), "--endpoints", endpoints, "--out", str(self.path),
                                         "--seed", str(seed), "--clients", str(clients), "--keys", str(keys)],
                                        stdout=subprocess.PIPE, text=True)
        self.keys = keys
        self.seed = seed
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.acknowledged = int(line)

    def wait_progress(self, count=50, seconds=30):
        before = self.acknowledged
        wait_until(lambda: self.acknowledged > before + count, seconds, "clients make progress")

    def stop(self, seconds=30):
        self.process.terminate()
        code = self.process.wait(seconds)
        self.reader.join()
        assert code == 0, f"kv_history ended with {code}"
        return self

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.kill()


def check_linearizable(directory, endpoints, history, prefix=()):
    """The history and one more read of every key; returns the checker's words."""
    final = pathlib.Path(directory) / "final.txt"
    subprocess.run([*prefix, str(TOOLS / "kv_history"), "--endpoints", endpoints, "--out", str(final), "--keys", str(history.keys),
                    "--seed", str(history.seed), "--final"],
                   stdout=subprocess.DEVNULL, check=True, timeout=60)
    whole = pathlib.Path(directory) / "whole.txt"
    whole.write_text(history.path.read_text() + final.read_text())
    result = subprocess.run([str(TOOLS / "kv_history_check"), str(whole)], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return " ".join(result.stdout.split())
