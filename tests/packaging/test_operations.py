#!/usr/bin/env python3
"""docs/operations.md, executed: each block "```sh MACHINE..." in order. A machine is a directory and an address of 127/8;
addresses, ports and absolute paths in the text are put in the place of the document's before a block runs."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, ROOT, free_ports, require  # noqa: E402

MEMBERS = ["m1", "m2", "m3"]
STUBS = pathlib.Path(__file__).resolve().parent / "stubs"


def blocks():
    """(machines, text) of each block that is to be run, with the heading it stands under."""
    text = (ROOT / "docs" / "operations.md").read_text()
    heading = ""
    found = []
    for match in re.finditer(r"^#+ ([^\n]*)$|^```sh ([\w ]+)\n(.*?)^```$", text, re.M | re.S):
        if match.group(1):
            heading = match.group(1)
        else:
            found.append((heading, match.group(2).split(), match.group(3)))
    return found


class World:
    def __init__(self, directory):
        self.directory = directory
        self.ports = dict(zip(("2379", "2380", "2381"), free_ports(3)))
        for machine in [*MEMBERS, "admin"]:
            for path in ("etc/coracle/kvd-tls", "var/lib/kvd", "root"):
                (directory / machine / path).mkdir(parents=True)

    def adapt(self, text, machine):
        root = self.directory / machine
        number = machine[1:] if machine in MEMBERS else "9"
        text = re.sub(r"\b10\.0\.0\.(\d):(/\S*)", lambda m: f"{self.directory}/m{m.group(1)}{m.group(2)}", text)  # scp
        text = re.sub(r"(?<![\w/])/(?=(etc/coracle|var/lib/kvd|root)\b)", f"{root}/", text)
        text = re.sub(r"(?<![\w/])/backup\b", f"{self.directory}/backup", text)
        text = text.replace("127.0.0.1", f"127.77.1.{number}").replace("10.0.0.", "127.77.0.")
        return re.sub(r":(2379|2380|2381)\b", lambda m: f":{self.ports[m.group(1)]}", text)

    def run(self, machine, text):
        address = f"127.77.0.{machine[1:]}" if machine in MEMBERS else ""
        environment = {"PATH": f"{STUBS}:{BIN}:{os.environ['PATH']}", "NAME": machine, "ADDRESS": address,
                       "KVD": str(BIN / "kvd"), "MACHINE": str(self.directory / machine), "HOME": str(self.directory)}
        adapted = self.adapt(text, machine)
        result = subprocess.run(["bash", "-euo", "pipefail", "-c", adapted], capture_output=True, text=True, timeout=240,
                                stdin=subprocess.DEVNULL, env=environment, cwd=self.directory / machine, check=False)
        assert result.returncode == 0, f"on {machine}:\n{adapted}\n{result.stdout}{result.stderr}"
        return result.stdout

    def stop(self):
        for machine in MEMBERS:
            path = self.directory / machine / "kvd.pid"
            if path.exists():
                try:
                    os.kill(int(path.read_text()), signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def tell(self):
        for machine in MEMBERS:
            log = self.directory / machine / "kvd.log"
            if log.exists():
                print(f"--- {machine}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-5:]))


def run(world):
    output = {}
    for heading, machines, text in blocks():
        for machine in machines:
            out = world.run(machine, text)
            output[heading] = output.get(heading, "") + out
    assert len(output) >= 10, output.keys()
    # What the document promises to be seen.
    assert output["Look"].count("is healthy") == 3 and "hello\nworld" in output["Look"], output["Look"]
    assert "promoted" in output["Replace a member"].lower(), output["Replace a member"]
    assert "hello\nworld" in output["The quorum is lost"], output["The quorum is lost"]
    assert "compacted revision 1" in output["NOSPACE"], output["NOSPACE"]  # the bumped one has ten digits


def main():
    require("openssl")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="coracle-operations."))
    world = World(directory)
    try:
        run(world)
    except BaseException:
        world.tell()
        raise
    finally:
        world.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
