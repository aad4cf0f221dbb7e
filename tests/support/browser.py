"""Headless Chromium, driven by chromedriver over the WebDriver protocol (W3C), for pages that people see.

One browser with a profile of its own in a temporary directory; it ends with the `with` block.
"""
import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from cluster import free_ports, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element reference, WebDriver section 12
PATIENCE = 60


class Browser:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="coracle-browser-"))
        self.port, = free_ports(1)
        self.session = None
        self.driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, start_new_session=True)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()[:400]}") from None

    def is_up(self):
        try:
            return self.call("GET", "/status")["ready"]
        except (OSError, AssertionError):
            return False

    def __enter__(self):
        wait_until(self.is_up, PATIENCE, "chromedriver answers")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors",
                     "--disable-background-networking", "--no-first-run", f"--user-data-dir={self.directory}", "--window-size=1280,900"]
        options = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}}}
        self.session = self.call("POST", "/session", options)["sessionId"]
        return self

    def __exit__(self, kind, error, trace):
        try:
            if self.session is not None:
                self.call("DELETE", f"/session/{self.session}")
        finally:
            self.driver.kill()
            self.driver.wait()
            shutil.rmtree(self.directory, ignore_errors=True)
        return False

    def open(self, url):
        self.call("POST", f"/session/{self.session}/url", {"url": url})

    def run(self, script, *arguments):
        return self.call("POST", f"/session/{self.session}/execute/sync", {"script": script, "args": list(arguments)})

    def text(self):
        return self.run("return document.body.innerText")

    def wait_text(self, wanted):
        try:
            wait_until(lambda: wanted in self.text(), PATIENCE, f"the page says '{wanted}'")
        except AssertionError as error:
            raise AssertionError(f"{error}; it says:\n{self.text()}") from None

    def element(self, selector):
        found = self.call("POST", f"/session/{self.session}/element", {"using": "css selector", "value": selector})
        return found[ELEMENT]

    def click(self, selector):
        self.call("POST", f"/session/{self.session}/element/{self.element(selector)}/click", {})

    def type(self, selector, text):
        self.call("POST", f"/session/{self.session}/element/{self.element(selector)}/value", {"text": text})

    def errors(self):
        """What the console was told as an error: exceptions, and what the page's policy refused."""
        entries = self.call("POST", f"/session/{self.session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self, path):
        import base64
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("GET", f"/session/{self.session}/screenshot")))
