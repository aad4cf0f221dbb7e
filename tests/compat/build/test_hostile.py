#!/usr/bin/env python3
"""Builds that must fail with one message at file and line, contexts that try to get out, builds at the same time, builds that
must come out the same, downloads, secrets, and what memory a large context takes."""
import functools
import http.server
import io
import os
import re
import resource
import socket
import subprocess
import sys
import tarfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "compose"))
from support import BIN, Machine, enter_namespaces  # noqa: E402

RSS_KIB_MAX = 96 * 1024

# Dockerfile, line, part of the message
WRONG = [
    ("RUN true\n", 1, "only ARG may stand before the first FROM"),
    ("FROM busybox\nRUNN true\n", 2, "unknown instruction 'RUNN'"),
    ("FROM busybox\nRUN\n", 2, "RUN: needs an argument"),
    ("FROM busybox\n\nRUN exit 7\n", 3, "RUN: the command ended with exit code 7"),
    ("FROM busybox\nCOPY nothing.txt /\n", 2, "COPY: 'nothing.txt' is not in the build context"),
    ("FROM busybox\nCOPY *.none /\n", 2, "no file matches"),
    ("FROM busybox\nCOPY a.txt b.txt /x\n", 2, "the target must end in /"),
    ("FROM busybox\nCOPY a.txt\n", 2, "needs a source and a target"),
    ("FROM busybox\nCOPY --from=nobody /a /\n", 2, "--from=nobody"),
    ("FROM busybox\nCOPY --from=3 /a /\n", 2, "there is no such stage"),
    ("FROM busybox AS a\nCOPY --from=a /a /\n", 2, "is not an earlier stage"),
    ("FROM busybox\nCOPY --chmod=z a.txt /\n", 2, "--chmod: 'z' is no mode"),
    ("FROM busybox\nCOPY --chown=nobody-known a.txt /\n", 2, "COPY: "),
    ("FROM busybox\nCOPY --what=1 a.txt /\n", 2, "--what=1 is not supported"),
    ("FROM busybox\nRUN --mount=type=odd,target=/x true\n", 2, "unknown type 'odd'"),
    ("FROM busybox\nRUN --mount=type=secret,id=s,required=true true\n", 2, "the secret 's' is required"),
    ("FROM busybox\nRUN <<EOF\nnever ends\n", 2, "the heredoc 'EOF' has no end"),
    ("FROM busybox\nSHELL sh\n", 2, "SHELL: needs a JSON list"),
    ("FROM busybox\nENV ${A\n", 2, "ENV: "),
    ("FROM busybox\nUSER nobody-known\nRUN true\n", 3, "RUN: "),
    ("FROM busybox\nONBUILD FROM x\n", 2, "cannot be a trigger"),
    ("FROM busybox\nADD git://example.org/a.git /\n", 2, "git is not supported"),
    ("FROM a b c\n", 1, "FROM: needs IMAGE [AS NAME]"),
    ("FROM no-such-image-here\n", 1, "FROM: "),
]


def check_wrong(machine, context):
    for number, (text, line, part) in enumerate(WRONG):
        path = f"{machine.work}/Wrong{number}"
        with open(path, "w") as file:
            file.write(text)
        result = machine.kvctl("build", "-q", "-f", path, context, check=False)
        lines = [x for x in result.stderr.splitlines() if x.startswith("kvctl: ")]
        last = lines[-1] if lines else ""
        if result.returncode != 1 or not last.startswith(f"kvctl: {path}:{line}: ") or part not in last:
            machine.fail(f"{text!r}: expected line {line} and '{part}', got {result.returncode} {result.stderr}")
    left = [n for n in os.listdir(f"{machine.work}/root/build") if n not in ("cache", "mounts")]
    left += [n for n in os.listdir(f"{machine.work}/root/layers") if n.startswith("tmp")]
    if left:
        machine.fail(f"failed builds left {left}")


def build_text(machine, text, context, *options, check=True):
    path = f"{machine.work}/Dockerfile.text"
    with open(path, "w") as file:
        file.write(text)
    return machine.kvctl("build", "-f", path, *options, context, check=check)


def refused(machine, what, text, context):
    result = build_text(machine, text, context, check=False)
    if result.returncode != 1 or "kvctl: " not in result.stderr:
        machine.fail(f"{what}: {result.returncode} {result.stdout} {result.stderr}")


def check_hostile(machine, context):
    os.symlink("/etc", f"{context}/out")
    os.symlink("/etc/passwd", f"{context}/passwd")
    os.symlink("../../../../etc/passwd", f"{context}/up")
    os.mkfifo(f"{context}/fifo")
    os.mknod(f"{context}/device", 0o600 | 0o20000, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{context}/socket")
    for name in ("fifo", "device", "socket"):
        refused(machine, name, f"FROM busybox\nCOPY {name} /x\n", context)
        os.unlink(f"{context}/{name}")
    for name in ("passwd", "up", "out/passwd", "../../etc/passwd", "/etc/passwd"):
        refused(machine, f"a source outside: {name}", f"FROM busybox\nCOPY {name} /x\n", context)
    refused(machine, "a bind mount outside", "FROM busybox\nRUN --mount=type=bind,source=out,target=/m cat /m/passwd\n", context)
    # A link in the image does not lead out of it, either.
    build_text(machine, "FROM busybox\nRUN ln -s / /l && ln -s ../../../../.. /r\nCOPY a.txt /l/tmp/in\nCOPY a.txt /r/tmp/in2\n",
               context, "-t", "inside")
    if os.path.exists("/tmp/in") or os.path.exists("/tmp/in2"):
        machine.fail("a file was written outside of the image")
    with tarfile.open(f"{context}/evil.tar", "w") as archive:
        for name in ("../../../../tmp/coracle-evil", "/tmp/coracle-evil-absolute"):
            entry = tarfile.TarInfo(name)
            entry.size = 1
            archive.addfile(entry, io.BytesIO(b"x"))
        link = tarfile.TarInfo("hole")
        link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
        archive.addfile(link)
        entry = tarfile.TarInfo("hole/coracle-evil-link")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    build_text(machine, "FROM busybox\nADD evil.tar /e/\n", context, check=False)
    for name in os.listdir("/tmp"):
        if name.startswith("coracle-evil"):
            machine.fail(f"an archive wrote /tmp/{name}")


def check_together(machine, context):
    """Builds that share all their steps, at the same time: all good, all the same."""
    path = f"{machine.work}/Dockerfile.together"
    with open(path, "w") as file:
        file.write("FROM busybox AS a\nRUN echo a > /a\nFROM busybox AS b\nRUN echo b > /b\nFROM busybox\nCOPY --from=a /a /\n"
                   "COPY --from=b /b /\nCOPY a.txt /\nRUN cat /a /b > /c\n")
    env = dict(machine.env, SOURCE_DATE_EPOCH="1500000000")
    running = [subprocess.Popen([f"{os.path.abspath(BIN)}/kvctl-container", "build", "-q", "-f", path, "-t", f"t{i}", context],
                                env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in range(4)]
    results = [(p.communicate(timeout=300), p.returncode) for p in running]
    ids = {out.strip() for (out, _), code in results if code == 0}
    if any(code != 0 for _, code in results) or len(ids) != 1:
        machine.fail(f"builds at the same time: {results}")
    again = machine.kvctl("build", "-q", "--no-cache", "-f", path, context, env=env).stdout.strip()
    if {again} != ids:
        machine.fail(f"SOURCE_DATE_EPOCH: {again} is not {ids}")


def check_secret(machine, context):
    with open(f"{machine.work}/token", "w") as file:
        file.write("MOST-SECRET-TOKEN")
    text = ("FROM busybox\nRUN --mount=type=secret,id=t grep -c MOST /run/secrets/t > /count\n"
            "RUN --mount=type=secret,id=t,target=/t,mode=0444 --mount=type=secret,id=e,env=VALUE test -n \"$VALUE\"\n")
    env = dict(machine.env, SECRET_VALUE="from-the-environment")
    path = f"{machine.work}/Dockerfile.secret"
    with open(path, "w") as file:
        file.write(text)
    machine.kvctl("build", "--secret", f"id=t,src={machine.work}/token", "--secret", "id=e,env=SECRET_VALUE", "-f", path, "-t",
                  "secretive", context, env=env)
    found = subprocess.run(["grep", "-rlE", "MOST-SECRET-TOKEN|from-the-environment", f"{machine.work}/root"],
                           capture_output=True, text=True, check=False).stdout
    if found:
        machine.fail(f"a secret is in {found}")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def check_download(machine, context):
    served = f"{machine.work}/served"
    os.makedirs(served)
    with open(f"{served}/file.txt", "w") as file:
        file.write("downloaded\n")
    os.utime(f"{served}/file.txt", (1600000000, 1600000000))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    build_text(machine, f"FROM busybox\nADD {url}/file.txt /d/\nADD --chmod=644 {url}/file.txt /named\n", context, "-t", "got")
    shown = machine.kvctl("run", "--rm", "--network", "none", "got", "sh", "-c",
                          "cat /d/file.txt; stat -c '%a %Y' /d/file.txt /named").stdout.split()
    if shown != ["downloaded", "600", "1600000000", "644", "1600000000"]:
        machine.fail(f"ADD of a URL: {shown}")
    refused(machine, "a download with another sum", f"FROM busybox\nADD --checksum=sha256:{'0' * 64} {url}/file.txt /\n", context)
    refused(machine, "a download that is not there", f"FROM busybox\nADD {url}/none /\n", context)
    server.shutdown()


def check_memory(machine, context):
    with open(f"{context}/large", "wb") as file:
        for _ in range(300):
            file.write(os.urandom(1 << 10) * 1024)
    build_text(machine, "FROM busybox\nCOPY large /large\n", context)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"memory of a build with 300 MiB: {peak // 1024} MiB")
    if peak > RSS_KIB_MAX:
        machine.fail(f"{peak} KiB")
    os.unlink(f"{context}/large")


def check_words(machine, context):
    """history, tag, builder prune."""
    build_text(machine, "FROM busybox\nRUN echo x > /x\nCMD [\"sh\"]\n", context, "-t", "worded")
    history = machine.kvctl("history", "worded").stdout
    if "RUN echo x > /x" not in history or "CMD" not in history:
        machine.fail(f"history: {history}")
    machine.kvctl("tag", "worded", "other/name:2")
    if machine.kvctl("images", "-q", "other/name").stdout.strip() == "":
        machine.fail("tag: no image of that name")
    removed = machine.kvctl("builder", "prune", "-f").stdout
    if not re.search(r"Removed [1-9]\d* entries", removed) or os.listdir(f"{machine.work}/root/build/cache"):
        machine.fail(f"builder prune: {removed}")
    machine.kvctl("run", "--rm", "--network", "none", "worded", "cat", "/x")


def main():
    enter_namespaces()
    with Machine() as machine:
        context = f"{machine.work}/context"
        os.makedirs(context)
        for name in ("a.txt", "b.txt"):
            with open(f"{context}/{name}", "w") as file:
                file.write(name)
        for check in (check_memory, check_wrong, check_hostile, check_together, check_secret, check_download, check_words):
            check(machine, context)
            print(f"done: {check.__name__}", flush=True)
        print(f"{len(WRONG)} wrong Dockerfiles, {machine.failures} failures")
        return 1 if machine.failures else 0


sys.exit(main())
