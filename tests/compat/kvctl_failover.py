#!/usr/bin/env python3
"""Three members of kvd die one after another under a watch and writes of kvctl: the same check that
kvctl_vs_etcdctl.py makes with etcd."""
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from kvctl_vs_etcdctl import BIN, check_failover  # noqa: E402


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="kvctl-failover."))
    try:
        check_failover(directory, server=str(BIN / "kvd"))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
