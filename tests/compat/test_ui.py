#!/usr/bin/env python3
"""The web page of orchd in a real browser: signing in, and what is on screen while the cluster changes.

    test_ui.py [screenshot.png]
"""
import json
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from browser import Browser  # noqa: E402
from cluster import BIN, Cluster, free_ports, require, wait_until  # noqa: E402

TOKEN = "a-token-of-the-test"
DEPLOYMENT = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
    "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
             "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}},
}


class Server:
    """orchd over a store, with TLS, one token, and agents that only pretend."""

    def __init__(self, endpoints):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="coracle-ui-"))
        self.secure, self.trusted = free_ports(2)
        self.processes = []
        certificate, key = self.directory / "cert.pem", self.directory / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
        (self.directory / "tokens").write_text(f'{TOKEN},tester,1,"system:masters"\n')
        (self.directory / "token.key").write_bytes(b"k" * 48)
        self.start("orchd", [str(BIN / "orchd"), "--endpoints", endpoints, "--host", "127.0.0.1", "--port", str(self.secure),
                             "--insecure-port", str(self.trusted), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
                             "--token-file", str(self.directory / "tokens"), "--token-key-file", str(self.directory / "token.key")])

    def start(self, name, command):
        with open(self.directory / f"{name}.log", "wb") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT))

    def call(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.trusted}{path}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def is_ready(self):
        try:
            return self.call("/readyz") == b"ok"
        except OSError:
            return False

    def __enter__(self):
        wait_until(self.is_ready, 60, "orchd is ready")
        self.start("agent", [sys.executable, str(ROOT / "tests/compat/fake_agent.py"), f"http://127.0.0.1:{self.trusted}", "north", "south"])
        return self

    def __exit__(self, kind, error, trace):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(timeout=30)
        if error is not None:
            for log in sorted(self.directory.glob("*.log")):
                print(f"--- end of {log.name}\n" + "\n".join(log.read_text().splitlines()[-15:]))
        shutil.rmtree(self.directory, ignore_errors=True)
        return False


def check_files(server):
    """The page itself needs no token; everything that says something does."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    base = f"https://127.0.0.1:{server.secure}"
    with urllib.request.urlopen(f"{base}/ui", context=context, timeout=30) as answer:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["content-type"].startswith("text/html")
    for path, code in [("/ui/store", 403), ("/ui/../etc/passwd", 403), ("/ui/nothing.js", 404)]:
        try:
            urllib.request.urlopen(base + path, context=context, timeout=30)
            raise AssertionError(f"{path} was answered")
        except urllib.error.HTTPError as error:
            assert error.code == code, (path, error.code)
    print("ok: files without a token, data only with one")


def check_page(server, cluster, browser):
    browser.open(f"https://127.0.0.1:{server.secure}/ui")
    browser.wait_text("Sign in")
    browser.type("#token", "wrong")
    browser.click("#sign-in button")
    browser.wait_text("Unauthorized")
    browser.type("#token", TOKEN)
    browser.click("#sign-in button")
    browser.wait_text("north")
    for name in ["m1", "m2", "m3", "leader", "follower", "south"]:
        browser.wait_text(name)
    print("ok: signed in; members and nodes are on screen")
    noise = [text for text in browser.errors() if " 401 " not in text and " 403 " not in text]
    assert not noise, noise

    server.call("/apis/apps/v1/namespaces/default/deployments", DEPLOYMENT)
    browser.click("a[href='#workloads']")
    browser.wait_text("2/2")
    browser.wait_text("web")
    assert browser.run("return document.querySelectorAll('td.child').length") == 2
    browser.click("a[href='#pods']")
    browser.wait_text("Running")
    browser.click("a[href='#events']")
    browser.wait_text("Scheduled")
    print("ok: a workload appears with its pods and events, without reloading")

    browser.click("a[href='#workloads']")
    server.call("/apis/apps/v1/namespaces/default/deployments/web", method="DELETE")
    wait_until(lambda: "web" not in browser.run("return document.querySelector('#view').innerText"), 60, "the workload is gone from the page")
    print("ok: and goes again")

    browser.click("a[href='#cluster']")
    victim = next(m for m in cluster.members if m != cluster.leader())
    victim.kill()
    wait_until(lambda: browser.run("return [...document.querySelectorAll(`tr[data-name=${arguments[0]}] .bad`)].length", victim.name) == 1,
               60, "a member that is gone is marked")
    victim.start()
    wait_until(lambda: browser.run("return [...document.querySelectorAll(`tr[data-name=${arguments[0]}] .good`)].length", victim.name) == 1,
               60, "and well again")
    print("ok: a stopped member is told")

    unnamed = browser.run("return [...document.querySelectorAll('button, select, input')].filter(e => !e.hidden && !e.textContent.trim() && "
                          "!e.labels?.length && !e.getAttribute('aria-label')).map(e => e.outerHTML)")
    assert not unnamed, unnamed
    assert browser.run("return document.documentElement.lang") == "en"
    assert browser.run("return [...document.querySelectorAll('th')].every(e => e.scope === 'col')")
    print("ok: every control has a name, every table its heads")

    if len(sys.argv) > 1:
        browser.screenshot(sys.argv[1])
    browser.click("#sign-out")
    browser.wait_text("Sign in")
    wait_until(lambda: browser.run("return document.querySelector('#view').innerText") == "", 60, "the view is empty")
    print("ok: signed out, nothing is left on screen")


def main():
    for program in ["chromium", "chromedriver", "openssl"]:
        require(program)
    with Cluster() as cluster:
        cluster.start()
        cluster.wait_leader()
        with Server(cluster.endpoints) as server:
            check_files(server)
            with Browser() as browser:
                check_page(server, cluster, browser)


main()
