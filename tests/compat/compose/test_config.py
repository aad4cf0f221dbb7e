#!/usr/bin/env python3
"""Compare `kvctl compose config` with what Debian's docker-compose 1.29 makes of the same files.

Both print normal forms of different generations; they are compared after both are written in the longer one. Skipped
without docker-compose.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

from support import BIN, skip

try:
    import yaml
except ImportError:
    skip("needs python3-yaml")

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
NEWER = ("40-network-name", "43-reset", "44-include", "45-config-content", "46-hooks")  # 1.29 does not know these


def text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def seconds(value):
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "us": 1e-6}
    return sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(ms|us|s|m|h)", str(value)))


def size(value):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgt]?)b?", str(value).lower())
    return float(match[1]) * 1024 ** " kmgt".index(match[2] or " ")


def mapping(value):
    if isinstance(value, list):
        value = dict(item.split("=", 1) if "=" in item else (item, None) for item in value)
    return {k: text(v) for k, v in (value or {}).items()}


def port(value):
    if isinstance(value, str):
        rest, _, protocol = value.partition("/")
        parts = rest.rsplit(":", 2)
        value = {"target": int(parts[-1]), "protocol": protocol or "tcp"}
        if len(parts) > 1 and parts[-2]:
            value["published"] = parts[-2]
        if len(parts) > 2 and parts[0]:
            value["host_ip"] = parts[0]
    return (str(value.get("host_ip", "")), str(value.get("published", "")), int(value["target"]),
            value.get("protocol", "tcp"))


def volume(value):
    if isinstance(value, str):
        parts = value.split(":")
        target = parts[0] if len(parts) == 1 else parts[1]
        source = None if len(parts) == 1 else parts[0]
        kind = "bind" if source and source.startswith("/") else "volume"
        return (kind, source, target, "ro" in parts[2:])
    return (value.get("type"), value.get("source"), value["target"], bool(value.get("read_only")))


def words(value):
    return shlex.split(value) if isinstance(value, str) else value


def health(value):
    value = dict(value)
    test = value.get("test")
    value["test"] = ["CMD-SHELL", test] if isinstance(test, str) else test
    for key in ("interval", "timeout", "start_period"):
        if key in value:
            value[key] = seconds(value[key])
    return value


def files(value):
    return [{"source": i} if isinstance(i, str) else {k: v for k, v in i.items() if v is not None} for i in value]


def build(value):
    value = {"context": value} if isinstance(value, str) else dict(value)
    if "args" in value:
        value["args"] = {k: v or None for k, v in mapping(value["args"]).items()}
    return value


def deploy(value):
    value = json.loads(json.dumps(value))
    for group in value.get("resources", {}).values():
        if "cpus" in group:
            group["cpus"] = float(group["cpus"])
    return value


def hosts(value):
    return sorted(f"{k}:{v}" for k, v in value.items()) if isinstance(value, dict) else sorted(value)


def listed(value):
    return [value] if isinstance(value, str) else list(value)


def depends(value):
    value = {name: {} for name in value} if isinstance(value, list) else value
    return {k: (v or {}).get("condition", "service_started") for k, v in value.items()}


def networks(value):
    value = {name: None for name in value} if isinstance(value, list) else value
    return {k: {kk: vv for kk, vv in (v or {}).items()} for k, v in value.items()}


SHAPES = {"environment": mapping, "labels": mapping, "sysctls": mapping, "ports": lambda v: sorted(map(port, v)),
          "volumes": lambda v: sorted(map(volume, v), key=str), "command": words, "entrypoint": words,
          "healthcheck": health, "secrets": files, "configs": files, "build": build, "deploy": deploy,
          "extra_hosts": hosts, "dns": listed, "dns_search": listed, "tmpfs": listed, "depends_on": depends,
          "networks": networks, "stop_grace_period": seconds, "mem_limit": size, "mem_reservation": size,
          "shm_size": size, "cpus": float}


def service(value):
    out = {k: SHAPES.get(k, lambda v: v)(v) for k, v in value.items() if k not in ("links", "volumes_from", "extends")}
    if out.get("networks") == {"default": {}}:
        del out["networks"]
    return out


def resource(project, section, name, value):
    value = {k: v for k, v in (value or {}).items() if v not in (None, {}, "default")}
    if "labels" in value:
        value["labels"] = mapping(value["labels"])
    if value.get("name") == f"{project}_{name}":
        del value["name"]
    return value


def canonical(document, project):
    out = {"services": {k: service(v) for k, v in document.get("services", {}).items()}}
    for section in ("networks", "volumes", "secrets", "configs"):
        out[section] = {k: resource(project, section, k, v) for k, v in (document.get(section) or {}).items()}
    out["networks"] = {k: v for k, v in out["networks"].items() if k != "default" or v}
    return out


def normal_form(command, directory, env):
    result = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{command}: {result.stderr}")
    return canonical(yaml.safe_load(result.stdout), os.path.basename(directory))


def differences(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for k in sorted(set(a) | set(b), key=str) for d in
                differences(a.get(k, "(absent)"), b.get(k, "(absent)"), f"{path}.{k}")]
    return [] if a == b else [f"{path}: {a!r} here, {b!r} there"]


def links_are_dependencies(ours, theirs):
    """1.29 prints links and volumes_from as they are; here they are dependencies and mounts."""
    for name, other in theirs["services"].items():
        mine = ours["services"].get(name, {})
        if "depends_on" not in other:
            mine.pop("depends_on", None)
        if "volumes" not in other:
            mine.pop("volumes", None)
        for key, network in mine.get("networks", {}).items():
            if key not in other.get("networks", {}):
                mine.pop("networks", None)
                break


def main():
    if shutil.which("docker-compose") is None:
        skip("needs docker-compose")
    names = [n for n in sorted(os.listdir(FILES)) if n not in NEWER and n.startswith(tuple(sys.argv[1:]) or "")]
    env = dict(os.environ, PORT1="18081", PORT2="18082", PORT3="18083")
    failures = 0
    for name in names:
        directory = f"{FILES}/{name}"
        try:
            theirs = normal_form(["docker-compose", "config"], directory, env)
        except AssertionError as error:
            print(f"refused: {name}: {error}")
            failures += 1
            continue
        ours = normal_form([f"{os.path.abspath(BIN)}/kvcompose", "--profile", "*", "config"], directory, env)
        if name in ("37-links", "42-volumes-from"):
            links_are_dependencies(ours, theirs)
        found = differences(ours, theirs)
        failures += 1 if found else 0
        print(f"{'differs' if found else 'same'}: {name}", *found, sep="\n  ")
    print(f"{len(names)} projects, {failures} differ")
    return 1 if failures else 0


sys.exit(main())
