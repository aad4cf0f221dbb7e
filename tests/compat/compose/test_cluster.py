#!/usr/bin/env python3
"""One file, two sizes: Compose projects on the API server. Store, orchd and a pretended agent on a loopback of their own.

Every file of files/ that has a meaning on a cluster is converted and accepted by the server (dry run); one is deployed with
`kvctl compose up --cluster` and one with `kvctl deploy -f`, and the roll-out followed to its end.
"""
import json
import os
import subprocess
import sys
import tempfile
import urllib.request

from support import BIN, eventually, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = os.path.join(HERE, "files")
NO_MEANING = ("35-network-service",)


def enter():
    if os.geteuid() == 0 and os.environ.get("CORACLE_TEST_INSIDE") != "yes":
        os.environ["CORACLE_TEST_INSIDE"] = "yes"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    if os.geteuid() == 0:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Cluster:
    def __init__(self, directory):
        self.directory = directory
        self.processes = []
        store, peer, api = free_port(), free_port(), free_port()
        self.api = f"http://127.0.0.1:{api}"
        self.run("kvd", "--data-dir", f"{directory}/kv", "--listen-client-urls", f"http://127.0.0.1:{store}",
                 "--advertise-client-urls", f"http://127.0.0.1:{store}", "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                 "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster",
                 f"default=http://127.0.0.1:{peer}")
        with open(f"{directory}/token.key", "wb") as file:
            file.write(os.urandom(48))
        self.run("orchd", "--endpoints", f"127.0.0.1:{store}", "--insecure-port", str(api), "--token-key-file",
                 f"{directory}/token.key")
        eventually(self.is_ready, "the API server is ready")
        self.start("agent", [sys.executable, os.path.join(HERE, "..", "fake_agent.py"), self.api, "n1", "n2"])
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": {"server": self.api}}],
                  "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c",
                  "users": [{"name": "u", "user": {}}]}
        with open(f"{directory}/kubeconfig", "w") as file:
            json.dump(config, file)
        self.env = dict(os.environ, KUBECONFIG=f"{directory}/kubeconfig", CORACLE_ROOT=f"{directory}/root",
                        CORACLE_RUN=f"{directory}/run", PORT1="30081", PORT2="18082", PORT3="18083")

    def run(self, program, *arguments):
        self.start(program, [f"{os.path.abspath(BIN)}/{program}", *arguments])

    def start(self, name, command):
        log = open(f"{self.directory}/{name}.log", "w")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.api}/api/v1/namespaces/default", timeout=5).status == 200
        except OSError:
            return False

    def get(self, path):
        try:
            return json.load(urllib.request.urlopen(f"{self.api}{path}", timeout=30))
        except urllib.error.HTTPError as error:
            return {"code": error.code}

    def tool(self, *command, cwd=None, stdin=None, check=True):
        result = subprocess.run([f"{os.path.abspath(BIN)}/{command[0]}", *command[1:]], capture_output=True, text=True,
                                cwd=cwd, env=self.env, input=stdin or "", check=False, timeout=300)
        if check and result.returncode != 0:
            raise AssertionError(f"{command}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def check_all(cluster):
    failures = 0
    names = [n for n in sorted(os.listdir(FILES)) if n not in NO_MEANING]
    for name in names:
        try:
            objects = cluster.tool("kvcompose", "convert", "--format", "kubernetes", cwd=f"{FILES}/{name}")
            cluster.tool("kvctl-workload", "apply", "--dry-run", "-f", "-", stdin=objects)
        except AssertionError as error:
            failures += 1
            print(f"FAILED: {name}: {error}")
    print(f"{len(names)} projects converted and accepted, {failures} failures")
    return failures


DEFAULT_CLASS = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "coracle.io/hostpath",
                 "metadata": {"name": "hostpath", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}


def check_deploy(cluster):
    cluster.tool("kvctl-workload", "apply", "-f", "-", stdin=json.dumps(DEFAULT_CLASS))
    apps = "/apis/apps/v1/namespaces/default/deployments"
    print(cluster.tool("kvcompose", "up", "--cluster", "--wait-timeout", "100", cwd=f"{FILES}/47-three-tier"))
    for name in ("front", "back", "store", "cache"):
        status = cluster.get(f"{apps}/{name}").get("status", {})
        assert status.get("availableReplicas") == 1, f"{name}: {status}"
    service = cluster.get("/api/v1/namespaces/default/services/front")["spec"]
    assert service["type"] == "NodePort" and service["ports"][0]["nodePort"] == 30081, service
    claim = cluster.get("/api/v1/namespaces/default/persistentvolumeclaims/store")
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi", claim
    print(cluster.tool("kvctl", "deploy", "-f", f"{FILES}/18-replicas/compose.yaml", "--timeout", "100"))
    assert cluster.get(f"{apps}/worker")["status"]["availableReplicas"] == 3
    again = cluster.tool("kvctl", "deploy", "-f", f"{FILES}/18-replicas/compose.yaml")
    assert "deployment.apps/worker unchanged" in again or "worker unchanged" in again, again
    cluster.tool("kvctl", "deploy", "-f", f"{FILES}/21-secrets/compose.yaml", "--no-wait")
    secret = cluster.get("/api/v1/namespaces/default/secrets/password")["data"]["password"]
    assert secret == "czNjcmV0Cg==", secret


def main():
    enter()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="coracle-cluster.") as directory:
        cluster = Cluster(directory)
        try:
            failures = check_all(cluster)
            check_deploy(cluster)
        except AssertionError as error:
            failures += 1
            print(f"FAILED: {error}")
            for name in ("orchd", "agent"):
                with open(f"{directory}/{name}.log") as file:
                    print(f"-- {name}\n" + "".join(file.readlines()[-10:]))
        finally:
            cluster.stop()
    return 1 if failures else 0


sys.exit(main())
