#!/usr/bin/env python3
"""Wrong Compose files: one message with file and line, exit code 1, nothing done. What to expect is each file's first line."""
import os
import re
import subprocess
import sys

from support import BIN

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad")


def main():
    failures = 0
    names = sorted(os.listdir(FOLDER))
    for name in names:
        path = f"{FOLDER}/{name}"
        with open(path) as file:
            line, text = re.fullmatch(r"# expect (\d+): (.*)", file.readline().strip("\n")).groups()
        result = subprocess.run([f"{os.path.abspath(BIN)}/kvcompose", "-f", path, "config"], capture_output=True, text=True,
                                check=False)
        lines = [x for x in result.stderr.splitlines() if not x.startswith("kvctl: warning")]
        good = result.returncode == 1 and len(lines) == 1 and not result.stdout
        good = good and lines[0].startswith(f"kvctl: {path}:{line}: ") and text in lines[0]
        if not good:
            failures += 1
            print(f"FAILED: {name}: expected line {line} and '{text}', got {result.returncode} {result.stderr}")
    print(f"{len(names)} wrong files, {failures} failures")
    return 1 if failures else 0


sys.exit(main())
