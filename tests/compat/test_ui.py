#!/usr/bin/env python3
"""The web page of orchd in a real browser: signing in, and what is on screen while the cluster changes.

    test_ui.py [screenshot.png]
"""
import pathlib
import ssl
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from browser import Browser  # noqa: E402
from cluster import Cluster, require, wait_until  # noqa: E402
from control_plane import TOKEN, ControlPlane  # noqa: E402

DEPLOYMENT = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
    "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
             "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}},
}


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

    server.request("POST", "/apis/apps/v1/namespaces/default/deployments", DEPLOYMENT).ok()
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
    server.request("DELETE", "/apis/apps/v1/namespaces/default/deployments/web").ok()
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
        with ControlPlane(cluster.endpoints) as server:
            check_files(server)
            with Browser() as browser:
                check_page(server, cluster, browser)


main()
