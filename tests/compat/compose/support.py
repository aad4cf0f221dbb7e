"""A place of its own for `kvctl compose` and `kvctl build`: network and mount namespaces, a store, an image of busybox.

Needs root, unshare and Debian's busybox-static. Everything is below one temporary directory and in the namespaces.
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SKIP = 77
BIN = os.environ.get("CORACLE_BIN", "build/release/bin")
PATIENCE_S = int(os.environ.get("CORACLE_PATIENCE_S", "120"))


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def enter_namespaces():
    """Run this very script again inside; ports and interfaces there belong to nobody else."""
    if os.geteuid() != 0:
        skip("needs root")
    if subprocess.run(["/bin/busybox", "true"], capture_output=True, check=False).returncode != 0:
        skip("needs busybox-static")
    if os.environ.get("CORACLE_TEST_INSIDE") != "yes":
        os.environ["CORACLE_TEST_INSIDE"] = "yes"
        os.execvp("unshare", ["unshare", "-n", "-m", "--propagation", "private", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_rootfs(root):
    """The files of a small image: busybox under all its names."""
    for name in ("bin", "etc", "tmp", "root", "srv", "var", "usr/bin", "home/user", "dev", "proc", "sys", "run"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    shutil.copy("/bin/busybox", f"{root}/bin/busybox")
    names = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            os.symlink("busybox", f"{root}/bin/{name}")
    with open(f"{root}/etc/passwd", "w") as file:
        file.write("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
    with open(f"{root}/etc/group", "w") as file:
        file.write("root:x:0:\nuser:x:1000:\nstaff:x:50:user\n")
    for name in ("hosts", "hostname", "resolv.conf"):
        with open(f"{root}/etc/{name}", "w") as file:
            file.write("# of the image\n")
    os.chmod(f"{root}/tmp", 0o1777)


class Machine:
    def __init__(self):
        self.work = tempfile.mkdtemp(prefix="coracle-compose.")
        self.env = dict(os.environ, CORACLE_ROOT=f"{self.work}/root", CORACLE_RUN=f"{self.work}/run",
                        PATH=f"{os.path.abspath(BIN)}:{os.environ['PATH']}")
        for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"):
            self.env.pop(name, None)
        self.failures = 0

    def __enter__(self):
        make_rootfs(f"{self.work}/rootfs")
        subprocess.run(["tar", "-C", f"{self.work}/rootfs", "--sort=name", "--mtime=@1700000000", "-cf",
                        f"{self.work}/base.tar", "."], check=True)
        self.kvctl("import", f"{self.work}/base.tar", "busybox:latest")
        return self

    def __exit__(self, *_):
        ids = self.kvctl("ps", "-aq", check=False).stdout.split()
        if ids:
            self.kvctl("rm", "-f", *ids, check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    def kvctl(self, *arguments, check=True, cwd=None, env=None, stdin=subprocess.DEVNULL):
        result = subprocess.run([f"{os.path.abspath(BIN)}/kvctl-container", *arguments], capture_output=True, text=True,
                                check=False, cwd=cwd, env=env or self.env, timeout=300, stdin=stdin, errors="replace")
        if check and result.returncode != 0:
            raise AssertionError(f"kvctl {' '.join(arguments)}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def fail(self, text):
        print(f"FAILED: {text}", flush=True)
        self.failures += 1


def eventually(act, what):
    """The value of act once it is true; however busy the machine is."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = act()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {PATIENCE_S} s: {what}")
        time.sleep(0.05)
