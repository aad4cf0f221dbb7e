#!/usr/bin/env python3
"""test_dockerfiles.py [NAME...|--all] [--buildah]: build the Dockerfiles of dockerfiles/, twice: the second time from the cache.

With --buildah each result is compared, file by file and key by key of the configuration, with what `buildah bud` makes of
the same Dockerfile: type, mode, owner, link target, content, and times where they are not those of the build itself.
Without arguments a few Dockerfiles; --all takes all of them.
"""
import hashlib
import io
import json
import lzma
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "compose"))
from support import Machine, enter_namespaces, skip  # noqa: E402

FOLDER = os.path.join(HERE, "dockerfiles")
FEW = ("05-", "09-", "14-", "21-", "26-", "44-", "47-", "54-", "56-", "58-")
OLD = 1600000000
# Where buildah 1.28 differs from Docker and from here: not compared, or up to what is named.
UNKNOWN_TO_BUILDAH = ("47-heredoc-copy", "48-heredoc-run", "50-case")
KNOWN = {
    "33-volume": ("/c d: only there",),  # it makes the directories of VOLUME
    "39-shell": ("config Cmd:",),  # its CMD does not go through SHELL
    "56-secret": ("/run/secrets: only there",),  # it leaves the mount point
}


def make_context(path):
    """The same files for every Dockerfile, all of them old."""
    os.makedirs(f"{path}/tree/sub")
    os.makedirs(f"{path}/tree/empty")
    texts = {"hello.txt": "hello\n", "other.txt": "other\n", "script.sh": "#!/bin/sh\necho run\n", "with space.txt": "x\n",
             "tree/file": "in tree\n", "tree/sub/file": "deeper\n", "ignored.log": "no\n", "keep.log": "yes\n",
             "tree/also.log": "no\n", ".dockerignore": "# comment\n*.log\n**/*.log\n!keep.log\n.dockerignore\n"}
    for name, text in texts.items():
        with open(f"{path}/{name}", "w") as file:
            file.write(text)
    os.symlink("file", f"{path}/tree/link")
    os.chmod(f"{path}/script.sh", 0o755)
    os.chmod(f"{path}/tree/sub", 0o750)
    with tarfile.open(f"{path}/archive.tar", "w") as archive:
        for name, kind, mode in (("in", tarfile.DIRTYPE, 0o750), ("in/file", tarfile.REGTYPE, 0o640),
                                 ("in/link", tarfile.SYMTYPE, 0o777)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime, entry.uid, entry.gid = kind, mode, OLD, 7, 8
            entry.linkname = "file" if kind == tarfile.SYMTYPE else ""
            entry.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(b"data"))
    plain = open(f"{path}/archive.tar", "rb").read()
    import gzip
    with open(f"{path}/archive.tar.gz", "wb") as file:
        file.write(gzip.compress(plain, mtime=0))
    with open(f"{path}/archive.tar.xz", "wb") as file:
        file.write(lzma.compress(plain))
    for folder, names, files in os.walk(path):
        for name in names + files:
            os.utime(f"{folder}/{name}", (OLD, OLD), follow_symlinks=False)


def from_archive(path):
    """name -> (type, mode, uid, gid, what it holds, time)"""
    found, links = {}, {}
    with tarfile.open(path) as archive:
        for entry in archive:
            name = "/" + entry.name.strip("/").removeprefix("./")
            if entry.islnk():
                links[name] = "/" + entry.linkname
                continue
            content = hashlib.sha256(archive.extractfile(entry).read()).hexdigest() if entry.isreg() else entry.linkname
            kind = "file" if entry.isreg() else "dir" if entry.isdir() else "link" if entry.issym() else "other"
            found[name] = (kind, entry.mode, entry.uid, entry.gid, content, int(entry.mtime))
    for name, first in links.items():
        found[name] = found[first]
    return found


def from_directory(root):
    found = {}
    for folder, names, files in os.walk(root):
        for name in names + files:
            path = f"{folder}/{name}"
            about = os.lstat(path)
            kind = ("link" if stat.S_ISLNK(about.st_mode) else "dir" if stat.S_ISDIR(about.st_mode) else
                    "file" if stat.S_ISREG(about.st_mode) else "other")
            content = ""
            if kind == "file":
                content = hashlib.sha256(open(path, "rb").read()).hexdigest()
            elif kind == "link":
                content = os.readlink(path)
            found[path[len(root):]] = (kind, stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, content,
                                       int(about.st_mtime))
    return found


class Buildah:
    def __init__(self, machine):
        if shutil.which("buildah") is None:
            skip("needs buildah")
        self.machine = machine
        self.base = ["buildah", "--root", f"{machine.work}/bah", "--runroot", f"{machine.work}/bahrun", "--storage-driver",
                     "vfs"]
        self.run("from", "--name", "base", "scratch")
        self.run("add", "base", f"{machine.work}/base.tar", "/")
        self.run("commit", "--format", "docker", "base", "localhost/busybox:latest")
        self.run("rm", "base")

    def run(self, *arguments, cwd=None):
        result = subprocess.run([*self.base, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
        if result.returncode != 0:
            raise AssertionError(f"buildah {arguments}: {result.stderr}")
        return result.stdout.strip()

    def build(self, file, context):
        self.run("bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "--no-cache", "--secret",
                 f"id=token,src={self.machine.work}/token", "-f", file, "-t", "result", ".", cwd=context)
        name = self.run("from", "--pull-never", "localhost/result")
        files = from_directory(self.run("mount", name))
        config = json.loads(self.run("inspect", "--type", "image", "localhost/result"))["Docker"]["config"]
        self.run("rm", name)
        return files, config


def plain_config(config):
    out = {k: v for k, v in config.items() if v not in (None, "", [], {}, False) and k in (
        "Env", "Cmd", "Entrypoint", "WorkingDir", "User", "ExposedPorts", "Volumes", "Labels", "StopSignal", "Healthcheck",
        "OnBuild", "Shell")}
    out["Labels"] = {k: v for k, v in out.get("Labels", {}).items() if k != "io.buildah.version"}
    # buildah gives every image a PATH; here the runtime does, when the image has none
    out["Env"] = [e for e in out.get("Env", []) if not e.startswith("PATH=")]
    if out.get("WorkingDir") == "/":
        del out["WorkingDir"]
    return {k: v for k, v in out.items() if v}


def differences(ours, theirs, since):
    found = []
    for name in sorted(set(ours) | set(theirs)):
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None:
            found.append(f"{name}: {'only there' if a is None else 'only here'} {b or a}")
            continue
        if a[:5] != b[:5]:
            found.append(f"{name}: {a[:5]} here, {b[:5]} there")
        elif a[5] != b[5] and (a[5] < since or b[5] < since) and a[0] == "file":
            found.append(f"{name}: time {a[5]} here, {b[5]} there")
    return found


def build(machine, file, context, *options):
    return machine.kvctl("build", "--secret", f"id=token,src={machine.work}/token", "-f", file, "-t", "result", *options,
                         context)


def check(machine, name, context, buildah, since):
    file = f"{FOLDER}/{name}"
    archive = f"{machine.work}/out.tar"
    build(machine, file, context)
    again = build(machine, file, context, "-o", f"type=tar,dest={archive}")
    steps = again.stdout.count(" ---> done in")
    if steps != 0:
        machine.fail(f"{name}: {steps} steps were not cached:\n{again.stdout}")
    if buildah is None or name in UNKNOWN_TO_BUILDAH:
        return
    theirs, their_config = buildah.build(file, context)
    document = json.loads(machine.kvctl("inspect", "--type", "image", "result").stdout)[0]
    found = differences(from_archive(archive), theirs, since)
    ours, other = plain_config(document["Config"]), plain_config(their_config)
    found += [f"config {k}: {ours.get(k)} here, {other.get(k)} there" for k in sorted(set(ours) | set(other))
              if ours.get(k) != other.get(k)]
    found = [f for f in found if not f.startswith(KNOWN.get(name, ("\0",)))]
    if found:
        machine.fail(f"{name}:\n  " + "\n  ".join(found))


def main():
    enter_namespaces()
    chosen = [a for a in sys.argv[1:] if not a.startswith("--")]
    names = sorted(os.listdir(FOLDER))
    if "--all" not in sys.argv:
        names = [n for n in names if n.startswith(tuple(chosen or FEW))]
    since = time.time() - 60
    with Machine() as machine:
        context = f"{machine.work}/context"
        make_context(context)
        with open(f"{machine.work}/token", "w") as file:
            file.write("secret token\n")
        buildah = Buildah(machine) if "--buildah" in sys.argv else None
        for name in names:
            try:
                check(machine, name, context, buildah, since)
            except AssertionError as error:
                machine.fail(f"{name}: {error}")
            print(f"done: {name}", flush=True)
        print(f"{len(names)} Dockerfiles, {machine.failures} failures")
        return 1 if machine.failures else 0


sys.exit(main())
