#!/usr/bin/env python3
"""Dashboard and alert rules: promtool's opinion, the rules' own unit tests, then a real Prometheus that scrapes a real
cluster: each expression finds data, no alert is due while all is well, and the right one is when a member dies."""
import http.client
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import ROOT, Cluster, free_ports, kvctl, require, wait_until  # noqa: E402

MONITORING = ROOT / "packaging" / "monitoring"
SECONDS = 90


class Prometheus:
    def __init__(self, directory, targets):
        self.port = free_ports(1)[0]
        rules = (MONITORING / "kvd.rules.yml").read_text()
        (directory / "kvd.rules.yml").write_text(rules)
        (directory / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"},
            "rule_files": ["kvd.rules.yml"],
            "scrape_configs": [{"job_name": "kvd", "static_configs": [{"targets": targets}]}]}))
        with open(directory / "prometheus.log", "ab") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return answer

    def query(self, expression):
        """The result's series; an expression that cannot be evaluated is a mistake."""
        answer = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        if answer is None:
            return []
        assert answer["status"] == "success", (expression, answer)
        return answer["data"]["result"]

    def rules(self):
        answer = self.get("/api/v1/rules")
        return [] if answer is None else [rule for group in answer["data"]["groups"] for rule in group["rules"]]

    def stop(self):
        self.process.kill()
        self.process.wait()


def check_by_promtool():
    for words in (["check", "config", "prometheus.yml"], ["check", "rules", "kvd.rules.yml"],
                  ["test", "rules", "kvd.rules.test.yml"]):
        result = subprocess.run(["promtool", *words], cwd=MONITORING, capture_output=True, text=True, timeout=SECONDS,
                                stdin=subprocess.DEVNULL, check=False)
        assert result.returncode == 0, result


def dashboard_expressions():
    dashboard = json.loads((MONITORING / "kvd.dashboard.json").read_text())
    found = []
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$job", "kvd").replace("$instance", ".*").replace("$__rate_interval", "30s")
            assert "$" not in text, text
            found.append((panel["title"], text))
    assert len(found) > 20
    return found


def work(cluster):
    """A little of everything that is shown."""
    kvctl(cluster.endpoints, "put", "a", "1")
    kvctl(cluster.endpoints, "get", "a")
    kvctl(cluster.endpoints, "del", "a")
    kvctl(cluster.endpoints, "get", "a", "--rev=1000000", check=False)  # a failed RPC for the panel that shows them


def check_expressions(prometheus, cluster):
    for title, expression in dashboard_expressions():
        def has_data():
            if prometheus.query(expression):
                return True
            work(cluster)
            return False
        wait_until(has_data, SECONDS, f"data for {title}: {expression}")
    records = [rule["name"] for rule in prometheus.rules() if rule["type"] == "recording"]
    assert len(records) >= 7, records
    for name in records:
        wait_until(lambda name=name: prometheus.query(name), SECONDS, f"data for {name}")
    # The sides of each alert's comparison: the alert itself must find nothing while all is well.
    alerts = [rule for rule in prometheus.rules() if rule["type"] == "alerting"]
    assert len(alerts) >= 12 and all(rule["health"] == "ok" for rule in alerts), alerts
    for rule in alerts:
        left = rule["query"].split(" unless ")[0]
        for sign in (" == ", " < ", " >= ", " > "):
            left = left.split(sign)[0]
        wait_until(lambda left=left: prometheus.query(left.replace("[15m]", "[30s]")), SECONDS, f"data for {left}")


def firing(prometheus):
    return {rule["name"] for rule in prometheus.rules() if rule["type"] == "alerting" and rule["state"] != "inactive"}


def run(directory):
    with Cluster(3, ["--quota-backend-bytes", "2147483648"]) as cluster:
        cluster.start()
        work(cluster)
        prometheus = Prometheus(directory, [f"127.0.0.1:{m.client_port}" for m in cluster.members])
        try:
            wait_until(lambda: len(prometheus.query('up{job="kvd"} == 1')) == 3, SECONDS, "three members are scraped")
            check_expressions(prometheus, cluster)
            wait_until(lambda: not firing(prometheus) & {"KvdMemberDown", "KvdQuorumAtRisk", "KvdNoLeader",
                                                         "KvdStoreNearlyFull"}, SECONDS, "no alert is due")
            leader = cluster.wait_leader()
            victim = next(m for m in cluster.members if m is not leader)
            victim.kill()
            wait_until(lambda: "KvdMemberDown" in firing(prometheus), SECONDS, "the dead member is noticed")
            wait_until(lambda: "KvdPeerUnreachable" in firing(prometheus), SECONDS, "its peers miss it")
            assert "KvdQuorumAtRisk" not in firing(prometheus)
        except BaseException:
            print("\n".join((directory / "prometheus.log").read_text(errors="replace").splitlines()[-5:]))
            raise
        finally:
            prometheus.stop()


def main():
    require("promtool")
    require("prometheus")
    check_by_promtool()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="coracle-monitoring."))
    try:
        run(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
