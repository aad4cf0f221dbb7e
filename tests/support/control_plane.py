"""The control plane over a store, for tests: orchd with TLS, one token, and agents that only pretend to run pods."""
import json
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from cluster import BIN, ROOT, free_ports, wait_until

TOKEN = "a-token-of-the-test"
PATIENCE = 60


class Answer:
    """What the server said: its status code, and the decoded body where it is JSON."""

    def __init__(self, code, raw):
        self.code = code
        self.raw = raw
        try:
            self.body = json.loads(raw)
        except ValueError:
            self.body = None

    def ok(self):
        assert 200 <= self.code < 300, (self.code, self.raw[:400])
        return self.body

    def refused(self, code, text=""):
        assert self.code == code and text in self.raw.decode(), f"{self.code} {self.raw[:400]} instead of {code} {text}"
        return self.body


class Watch:
    """The events of one watch, one after the other; ends with the `with` block."""

    def __init__(self, url):
        self.lines = urllib.request.urlopen(url, timeout=PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.lines.close()

    def next(self):
        event = json.loads(self.lines.readline())
        return event["type"], event["object"]

    def until(self, kind, holds=lambda found: True):
        """Skips what is something else."""
        while True:
            seen, found = self.next()
            if seen == kind and holds(found):
                return found


class ControlPlane:
    def __init__(self, endpoints, nodes=("north", "south")):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="coracle-control-"))
        self.secure, self.trusted = free_ports(2)
        self.processes = []
        self.nodes = nodes
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

    def request(self, method, path, body=None, content_type="application/json", accept=None, token=None, headers=()):
        """With a token: over TLS, as its user. Without: as the administrator. Whatever the answer, it is returned."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        base, context = f"http://127.0.0.1:{self.trusted}", None
        if token is not None:
            base, context = f"https://127.0.0.1:{self.secure}", ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(base + path, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", content_type)
        if accept is not None:
            request.add_header("Accept", accept)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        for name, value in headers:
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
                return Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read())

    def watch(self, path, **query):
        query = urllib.parse.urlencode({"watch": "true", **query})
        return Watch(f"http://127.0.0.1:{self.trusted}{path}?{query}")

    def is_ready(self):
        try:
            return self.request("GET", "/readyz").raw == b"ok"
        except OSError:
            return False

    def __enter__(self):
        wait_until(self.is_ready, PATIENCE, "orchd is ready")
        self.start("agent", [sys.executable, str(ROOT / "tests/compat/fake_agent.py"), f"http://127.0.0.1:{self.trusted}", *self.nodes])
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
