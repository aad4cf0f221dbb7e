#!/usr/bin/env python3
"""No password of any user is ever in a log line or in a file of a member: with debug logs, through gRPC and the gateway,
right and wrong ones, new and changed ones, and after the members wrote everything and were killed."""
import base64
import http.client
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, kvctl, require, wait_until  # noqa: E402

SECRETS = [f"sesame-{name}-5e9c" for name in ("root", "ann", "changed", "wrong", "gateway", "refused")]
ROOT, ANN, CHANGED, WRONG, GATEWAY, REFUSED = SECRETS


def post(port, path, body, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"Authorization": token} if token else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def use_passwords(cluster):
    ends, port = cluster.endpoints, cluster.members[0].client_port
    kvctl(ends, "user", "add", f"root:{ROOT}")
    etcdctl(ends, "user", "add", "ann", "--interactive=false", stdin=f"{ANN}\n")
    kvctl(ends, "role", "add", "root")
    kvctl(ends, "user", "grant-role", "root", "root")
    assert post(port, "/v3/auth/user/add", {"name": "bob", "password": GATEWAY})[0] == 200
    kvctl(ends, "auth", "enable")
    etcdctl(ends, f"--user=root:{ROOT}", "user", "passwd", "ann", "--interactive=false", stdin=f"{CHANGED}\n")
    etcdctl(ends, f"--user=ann:{CHANGED}", "get", "x", check=False)
    assert etcdctl(ends, f"--user=ann:{WRONG}", "get", "x", check=False).returncode != 0
    status, answer = post(port, "/v3/auth/authenticate", {"name": "bob", "password": GATEWAY})
    assert status == 200 and answer["token"], answer
    # A request that is refused, and one that is not understood, are the ones that get into logs.
    refused, _ = post(port, "/v3/auth/user/add", {"name": "eve", "password": REFUSED}, answer["token"])
    assert refused == 403, refused
    assert post(port, "/v3/auth/user/add", {"name": 7, "password": REFUSED}, answer["token"])[0] == 400


def find_secrets(directory):
    wanted = [s.encode() for s in SECRETS] + [base64.b64encode(s.encode()).rstrip(b"=") for s in SECRETS]
    files = [p for p in directory.rglob("*") if p.is_file()]
    assert len(files) >= 6, files
    found = []
    for path in files:
        data = path.read_bytes()
        found += [(str(path), text) for text in wanted if text in data]
    return found


def main():
    require("etcdctl")
    with Cluster(3, ["--log-level=debug"]) as cluster:
        cluster.start()
        use_passwords(cluster)
        last = kvctl(cluster.endpoints, f"--user=root:{ROOT}", "put", "last", "one", "-w", "json").stdout
        revision = json.loads(last)["header"]["revision"]
        for member in cluster.members:
            wait_until(lambda m=member: json.loads(kvctl(m.endpoint, f"--user=root:{ROOT}", "get", "last", "-w",
                                                         "json").stdout)["header"]["revision"] >= revision, 60, "all have it")
        for member in cluster.members:
            member.kill()
        assert find_secrets(cluster.directory) == []


if __name__ == "__main__":
    main()
