"""What the conformance tests share: a namespace for each behaviour, and a run of all of them."""
import sys
import time
import traceback

from cluster import Cluster, require, wait_until
from control_plane import ControlPlane

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CUSTOM_GROUP = "example.com"
CONFLICT = 409


class Space:
    """One behaviour's namespace, and short ways to say things about it."""

    def __init__(self, control, name):
        self.control = control
        self.name = name
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).ok()
        wait_until(lambda: self.call("GET", self.path("serviceaccounts") + "/default").code == 200, 60, "the default account")

    def call(self, method, path, body=None, content_type="application/json", accept=None):
        return self.control.request(method, path, body, content_type, accept)

    def path(self, resource, version="v1"):
        return f"/{'apis' if '/' in version else 'api'}/{version}/namespaces/{self.name}/{resource}"

    def make(self, resource, name, version="v1", labels=None, finalizers=None, **content):
        metadata = {"name": name, **({"labels": labels} if labels else {}), **({"finalizers": finalizers} if finalizers else {})}
        return self.call("POST", self.path(resource, version), {"metadata": metadata, **content}).ok()

    def patch(self, resource, name, patch, version="v1"):
        return self.call("PATCH", f"{self.path(resource, version)}/{name}", patch, MERGE_PATCH).ok()

    def update(self, path, change):
        """Reads, changes and replaces an object, again when somebody else was faster."""
        while True:
            found = self.call("GET", path).ok()
            change(found)
            answer = self.call("PUT", path, found)
            if answer.code != CONFLICT:
                return answer.ok()

    def define(self, plural, kind, schema, versions=("v1",), labels=None):
        spec = {"group": CUSTOM_GROUP, "scope": "Namespaced", "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                "versions": [{"name": name, "served": True, "storage": name == versions[0], "schema": {"openAPIV3Schema": schema},
                              "subresources": {"status": {}}} for name in versions]}
        name = f"{plural}.{CUSTOM_GROUP}"
        self.call("POST", DEFINITIONS, {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}).ok()
        wait_until(lambda: self.call("GET", self.path(plural, f"{CUSTOM_GROUP}/v1")).code == 200, 60, f"{plural} are served")

    def redefine(self, plural, schema):
        self.update(f"{DEFINITIONS}/{plural}.{CUSTOM_GROUP}",
                    lambda found: found["spec"]["versions"][0]["schema"].update(openAPIV3Schema=schema))

    def end(self):
        self.call("DELETE", f"/api/v1/namespaces/{self.name}").ok()


def main(names, space_type):
    """Runs every check_* of names, or those that the command line tells; all of them, even when one fails."""
    require("openssl")
    checks = {name[len("check_"):]: check for name, check in names.items() if name.startswith("check_")}
    wanted = sys.argv[1:] or list(checks)
    broken = []
    with Cluster(1) as cluster:
        cluster.start()
        with ControlPlane(cluster.endpoints) as control:
            wait_until(lambda: len(control.request("GET", "/api/v1/nodes").ok()["items"]) == len(control.nodes), 60, "the nodes are there")
            for number, name in enumerate(wanted):
                began = time.monotonic()
                try:
                    space = space_type(control, f"s{number}")
                    checks[name](space)
                    space.end()
                    print(f"ok: {name.replace('_', ' ')} ({time.monotonic() - began:.1f} s)", flush=True)
                except Exception:  # the others are worth knowing too
                    broken.append(name)
                    print(f"FAIL: {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(wanted) - len(broken)} of {len(wanted)} behaviours" + "".join(f"\nbroken: {name}" for name in broken))
    return 1 if broken else 0
