#!/usr/bin/env python3
"""The npm package etcd3 against three members. No Debian package brings it and tests fetch nothing, so this runs only where it
was installed aside: npm install etcd3 in some folder, then CORACLE_NODE_MODULES=FOLDER/node_modules ctest -R npm_etcd3."""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import SKIP, Cluster  # noqa: E402


def main():
    modules = os.environ.get("CORACLE_NODE_MODULES", "")
    if shutil.which("node") is None or not pathlib.Path(modules, "etcd3").is_dir():
        print("skipped: the npm package etcd3 is not installed aside (CORACLE_NODE_MODULES)")
        raise SystemExit(SKIP)
    script = pathlib.Path(__file__).resolve().parent / "npm_etcd3.js"
    with Cluster(3) as cluster:
        cluster.start()
        result = subprocess.run(["node", str(script), cluster.endpoints], capture_output=True, text=True, timeout=120,
                                stdin=subprocess.DEVNULL, env={**os.environ, "NODE_PATH": modules}, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        print(result.stdout.strip())


if __name__ == "__main__":
    main()
