#!/usr/bin/env python3
"""The Debian package: made by cpack from this build, judged by lintian, unpacked and run."""
import gzip
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import free_ports, health, require, wait_until  # noqa: E402


def run(*words, check=True, **keywords):
    result = subprocess.run([str(w) for w in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
                            check=False, **keywords)
    assert not check or result.returncode == 0, result
    return result


def make_package(build, directory):
    run("cpack", "--config", build / "CPackConfig.cmake", "-G", "DEB", "-B", directory, cwd=build)
    packages = list(directory.glob("*.deb"))
    assert len(packages) == 1, packages
    return packages[0]


def check_lintian(package):
    if shutil.which("lintian") is None:
        print("lintian is not installed: the package is not judged")
        return
    result = run("lintian", "--fail-on", "error,warning", "--allow-root", package, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def check_contents(root):
    for path in ("usr/lib/systemd/system/kvd.service", "usr/lib/systemd/system/orchd.service",
                 "usr/lib/sysusers.d/coracle.conf", "usr/lib/tmpfiles.d/coracle.conf",
                 "usr/share/bash-completion/completions/kvctl", "usr/share/man/man1/kvd.1.gz",
                 "usr/share/doc/coracle/copyright", "usr/share/doc/coracle/examples/kvd.yaml.example",
                 "usr/share/doc/coracle/operations.md"):
        assert (root / path).stat().st_size > 0, path
    for page in (root / "usr/share/man/man1").glob("*.gz"):
        text = gzip.decompress(page.read_bytes()).decode()
        assert ".TH " in text and len(text) > 500, page
    run("bash", "-n", root / "usr/share/bash-completion/completions/kvctl")
    if os.geteuid() == 0 and shutil.which("systemd-sysusers") is not None:
        (root / "etc").mkdir(exist_ok=True)
        run("systemd-sysusers", f"--root={root}", "coracle.conf")
        run("systemd-tmpfiles", "--create", f"--root={root}", "coracle.conf")
        assert "kvd:" in (root / "etc/passwd").read_text()
        assert (root / "etc/coracle/kvd-tls").stat().st_mode & 0o777 == 0o750


def check_programs(root, directory):
    bin_dir = root / "usr/bin"
    assert "etcd Version: 3.7.1" in run(bin_dir / "kvd", "--version").stdout
    assert run(bin_dir / "kvrun", "--version").stdout
    assert run(bin_dir / "orchd", "--help").stdout.startswith("orchd")
    # The program beside it is found through the link.
    refused = run(bin_dir / "kvctl", "snapshot", "restore", directory / "absent", "--data-dir", directory / "x", check=False)
    assert refused.returncode == 6 and "absent" in refused.stderr, refused
    client, peer = free_ports(2)
    urls = [f"http://127.0.0.1:{port}" for port in (client, peer)]
    config = directory / "kvd.yaml"
    config.write_text(f"name: m1\ndata-dir: {directory}/data\nlisten-client-urls: {urls[0]}\nadvertise-client-urls: {urls[0]}\n"
                      f"listen-peer-urls: {urls[1]}\ninitial-advertise-peer-urls: {urls[1]}\ninitial-cluster: m1={urls[1]}\n")
    with open(directory / "log", "ab") as log:
        process = subprocess.Popen([bin_dir / "kvd", "--config-file", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: health(client), 60, "the packaged kvd is healthy")
        run(bin_dir / "kvctl", f"--endpoints={urls[0]}", "put", "a", "b")
        assert run(bin_dir / "kvctl", f"--endpoints={urls[0]}", "get", "a").stdout == "a\nb\n"
    finally:
        process.terminate()
        assert process.wait(60) == 0


def main():
    require("cpack")
    require("dpkg-shlibdeps")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="coracle-debian."))
    try:
        package = make_package(pathlib.Path(sys.argv[1]), directory)
        check_lintian(package)
        root = directory / "root"
        root.mkdir()
        run("dpkg-deb", "-x", package, root)
        check_contents(root)
        check_programs(root, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
