#!/usr/bin/env python3
"""What the upstream conformance list asks of controllers and scheduler, behaviour by behaviour: docs/kubernetes-compatibility.md.

Nodes only pretend to run pods: a pod that restarts never succeeds at once, one with the image fail:1 fails, never:1 stays as it is.

    test_conformance_controllers.py [behaviour ...]
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from conformance import MERGE_PATCH, Space, main  # noqa: E402
from cluster import wait_until  # noqa: E402

PATHS = {"deployments": "apps/v1", "replicasets": "apps/v1", "statefulsets": "apps/v1", "daemonsets": "apps/v1", "jobs": "batch/v1",
         "cronjobs": "batch/v1", "controllerrevisions": "apps/v1", "poddisruptionbudgets": "policy/v1", "endpointslices": "discovery.k8s.io/v1"}


class Work(Space):
    """A namespace with short ways to talk of workloads."""

    def at(self, resource, name=""):
        return self.path(resource, PATHS.get(resource, "v1")) + (f"/{name}" if name else "")

    def get(self, resource, name=""):
        return self.call("GET", self.at(resource, name)).ok()

    def items(self, resource, **labels):
        found = self.get(resource)["items"]
        return [item for item in found if labels.items() <= item["metadata"].get("labels", {}).items()]

    def pods(self, **labels):
        return [pod for pod in self.items("pods", **labels) if "deletionTimestamp" not in pod["metadata"]]

    def workload(self, resource, name="w", image="web:1", labels=None, pod=None, **spec):
        labels = labels or {"app": name}
        selector = labels if resource == "replicationcontrollers" else {"matchLabels": labels}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}], **(pod or {})}}
        return self.make(resource, name, PATHS.get(resource, "v1"), spec={"selector": selector, "template": template, **spec})

    def merge(self, resource, name, patch):
        return self.call("PATCH", self.at(resource, name), patch, MERGE_PATCH).ok()

    def set_image(self, resource, image, name="w"):
        return self.merge(resource, name, {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})

    def ready(self, resource, count, name="w", field="readyReplicas"):
        def is_so():
            found = self.get(resource, name)
            return found.get("status", {}).get(field, 0) == count and found.get("status", {}).get("observedGeneration") == found["metadata"].get("generation")
        wait_until(is_so, 60, f"{resource} {name} has {count} {field}")

    def rolled_out(self, count, image, name="w"):
        self.ready("deployments", count, name, "updatedReplicas")
        wait_until(lambda: [p["spec"]["containers"][0]["image"] for p in self.pods(app=name)] == [image] * count, 60, f"{count} pods of {image}")
        self.ready("deployments", count, name, "availableReplicas")

    def delete(self, resource, name, policy=None):
        return self.call("DELETE", self.at(resource, name), {"propagationPolicy": policy} if policy else None).ok()

    def gone(self, resource, name):
        wait_until(lambda: self.call("GET", self.at(resource, name)).code == 404, 60, f"{resource} {name} is gone")

    def fail(self, pod, **status):
        self.call("PATCH", self.at("pods", pod["metadata"]["name"]) + "/status", {"status": {"phase": "Failed", **status}}, MERGE_PATCH).ok()


def owner_names(found):
    return [owner["name"] for owner in found["metadata"].get("ownerReferences", [])]


def check_deployment_rolls_and_keeps_history(work):
    work.workload("deployments", replicas=3, revisionHistoryLimit=1)
    work.rolled_out(3, "web:1")
    for image in ("web:2", "web:3"):
        work.set_image("deployments", image)
        work.rolled_out(3, image)
    wait_until(lambda: len(work.items("replicasets", app="w")) == 2, 60, "old replica sets are gone")


def check_deployment_rollover(work):
    """Another change before the first is through: only the last one stays."""
    work.workload("deployments", replicas=3)
    work.rolled_out(3, "web:1")
    work.set_image("deployments", "never:2")
    wait_until(lambda: any(p["spec"]["containers"][0]["image"] == "never:2" for p in work.pods()), 60, "a pod of the second")
    work.set_image("deployments", "web:3")
    work.rolled_out(3, "web:3")


def check_deployment_recreates(work):
    work.workload("deployments", replicas=2, strategy={"type": "Recreate"})
    work.rolled_out(2, "web:1")
    start = work.get("pods")["metadata"]["resourceVersion"]
    with work.control.watch(work.at("pods"), resourceVersion=start) as events:
        work.set_image("deployments", "web:2")
        gone = 0
        while gone < 2:
            kind, pod = events.next()
            assert pod["spec"]["containers"][0]["image"] == "web:1", "the new pod came before the old were gone"
            gone += kind == "DELETED"
    work.rolled_out(2, "web:2")


def check_deployment_scales_in_proportion(work):
    """In the middle of a rollout, both replica sets grow."""
    work.workload("deployments", replicas=10, strategy={"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}})
    work.rolled_out(10, "web:1")
    work.set_image("deployments", "never:2")
    sizes = lambda: sorted(found["spec"]["replicas"] for found in work.items("replicasets"))  # noqa: E731
    wait_until(lambda: sizes() == [5, 8], 60, "the rollout is held up")
    work.merge("deployments", "w", {"spec": {"replicas": 30}})
    wait_until(lambda: sizes() == [13, 20], 60, "20 of the old and 13 of the new")


def check_scale_of_each_workload(work):
    """Scale is read, replaced and patched, and pods follow."""
    for resource in ("deployments", "replicasets", "statefulsets", "replicationcontrollers"):
        work.workload(resource, f"w-{resource}", replicas=1, **({"serviceName": "x"} if resource == "statefulsets" else {}))
        path = work.at(resource, f"w-{resource}") + "/scale"
        assert work.call("GET", path).ok()["spec"]["replicas"] == 1
        assert work.update(path, lambda scale: scale["spec"].update(replicas=2))["spec"]["replicas"] == 2
        work.ready(resource, 2, f"w-{resource}")
        assert work.call("PATCH", path, {"spec": {"replicas": 3}}, MERGE_PATCH).ok()["spec"]["replicas"] == 3
        work.ready(resource, 3, f"w-{resource}")
        assert work.call("GET", path).ok()["status"]["replicas"] == 3


def check_pods_are_adopted_and_released(work):
    for resource in ("replicasets", "replicationcontrollers"):
        labels = {"set": resource}
        orphan = f"orphan-{resource}"
        work.make("pods", orphan, labels=labels, spec={"containers": [{"name": "c", "image": "web:1"}]})
        work.workload(resource, resource, labels=labels, replicas=1)
        wait_until(lambda: owner_names(work.get("pods", orphan)) == [resource], 60, f"adopted by {resource}")
        count = len(work.pods(**labels))
        work.merge("pods", orphan, {"metadata": {"labels": {"set": "another"}}})
        wait_until(lambda: not owner_names(work.get("pods", orphan)), 60, f"released by {resource}")
        wait_until(lambda: len(work.pods(**labels)) == count, 60, f"{resource} made another")


def check_stateful_set_order(work):
    """One after the other, up and down; a pod that is not ready holds the rest."""
    work.workload("statefulsets", replicas=2, serviceName="s")
    work.ready("statefulsets", 2)
    assert sorted(p["metadata"]["name"] for p in work.pods()) == ["w-0", "w-1"]
    path = work.at("pods", "w-0") + "/status"
    set_ready = lambda status: work.call("PATCH", path, {"status": {"conditions": [{"type": "Ready", "status": status}]}}, MERGE_PATCH).ok()  # noqa: E731
    set_ready("False")
    wait_until(lambda: work.get("statefulsets", "w").get("status", {}).get("readyReplicas") == 1, 60, "one is not ready")
    work.merge("statefulsets", "w", {"spec": {"replicas": 3}})
    wait_until(lambda: work.get("statefulsets", "w").get("status", {}).get("observedGeneration") == 2, 60, "the change is seen")
    assert work.call("GET", work.at("pods", "w-2")).code == 404
    set_ready("True")
    work.ready("statefulsets", 3)
    start = work.get("pods")["metadata"]["resourceVersion"]
    with work.control.watch(work.at("pods"), resourceVersion=start) as events:
        work.merge("statefulsets", "w", {"spec": {"replicas": 0}})
        assert [events.until("DELETED")["metadata"]["name"] for _ in range(3)] == ["w-2", "w-1", "w-0"]


def check_stateful_set_in_parallel(work):
    work.workload("statefulsets", image="never:1", replicas=3, serviceName="s", podManagementPolicy="Parallel")
    wait_until(lambda: len(work.pods()) == 3, 60, "all three although none is ready")
    work.merge("statefulsets", "w", {"spec": {"replicas": 1}})
    wait_until(lambda: [p["metadata"]["name"] for p in work.pods()] == ["w-0"], 60, "one")


def check_stateful_set_updates(work):
    """From the top, down to the partition; back to a revision that was there before."""
    work.workload("statefulsets", replicas=3, serviceName="s")
    work.ready("statefulsets", 3)
    first = work.get("statefulsets", "w").get("status", {})["currentRevision"]
    images = lambda: [work.call("GET", work.at("pods", f"w-{n}")).body.get("spec", {}).get("containers", [{}])[0].get("image") for n in range(3)]  # noqa: E731
    work.merge("statefulsets", "w", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}})
    work.set_image("statefulsets", "web:2")
    wait_until(lambda: images() == ["web:1", "web:1", "web:2"], 60, "the canary")
    work.ready("statefulsets", 3)
    work.call("DELETE", work.at("pods", "w-0")).ok()
    wait_until(lambda: images() == ["web:1", "web:1", "web:2"], 60, "the old version is restored below the partition")
    work.merge("statefulsets", "w", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})
    wait_until(lambda: images() == ["web:2"] * 3, 60, "all are updated")
    wait_until(lambda: work.get("statefulsets", "w").get("status", {})["currentRevision"] != first, 60, "the revision is current")
    work.set_image("statefulsets", "web:1")
    wait_until(lambda: images() == ["web:1"] * 3, 60, "all are back")
    wait_until(lambda: work.get("statefulsets", "w").get("status", {})["currentRevision"] == first, 60, "the revision of before")


def check_stateful_set_replaces_failed_pods(work):
    work.workload("statefulsets", replicas=1, serviceName="s")
    work.ready("statefulsets", 1)
    before = work.get("pods", "w-0")
    work.fail(before)
    wait_until(lambda: (a := work.call("GET", work.at("pods", "w-0"))).code == 200 and a.body["metadata"]["uid"] != before["metadata"]["uid"], 60, "another w-0")
    work.ready("statefulsets", 1)


def check_daemon_set_follows_nodes_and_labels(work):
    work.workload("daemonsets")
    work.ready("daemonsets", len(work.control.nodes), field="numberReady")
    assert sorted(p["spec"].get("nodeName", "") for p in work.pods()) == sorted(work.control.nodes)
    victim = work.pods()[0]
    work.call("DELETE", work.at("pods", victim["metadata"]["name"])).ok()
    wait_until(lambda: len(work.pods()) == 2 and victim["metadata"]["uid"] not in [p["metadata"]["uid"] for p in work.pods()], 60, "a deleted one is replaced")
    victim = work.pods()[0]
    work.fail(victim)
    wait_until(lambda: len(work.pods()) == 2 and victim["metadata"]["uid"] not in [p["metadata"]["uid"] for p in work.pods()], 60, "a failed one is replaced")
    work.workload("daemonsets", "choosy", pod={"nodeSelector": {"color": work.name}})
    wait_until(lambda: work.get("daemonsets", "choosy").get("status", {}).get("observedGeneration") == 1, 60, "it is seen")
    assert not work.pods(app="choosy")
    for color, wanted in ((work.name, ["north"]), ("none", [])):
        work.call("PATCH", "/api/v1/nodes/north", {"metadata": {"labels": {"color": color}}}, MERGE_PATCH).ok()
        wait_until(lambda: [p["spec"].get("nodeName", "") for p in work.pods(app="choosy")] == wanted, 60, f"pods where color is {color}")


def check_daemon_set_updates_and_rolls_back(work):
    work.workload("daemonsets")
    work.ready("daemonsets", 2, field="numberReady")
    images = lambda: [p["spec"]["containers"][0]["image"] for p in work.pods()]  # noqa: E731
    work.set_image("daemonsets", "web:2")
    wait_until(lambda: images() == ["web:2"] * 2, 60, "updated")
    work.ready("daemonsets", 2, field="numberAvailable")
    revisions = lambda: work.items("controllerrevisions", app="w")  # noqa: E731
    assert len(revisions()) == 2
    work.set_image("daemonsets", "never:3")
    wait_until(lambda: sorted(images()) == ["never:3", "web:2"], 60, "the update is held up")
    kept = [p["metadata"]["uid"] for p in work.pods() if p["spec"]["containers"][0]["image"] == "web:2"]
    work.set_image("daemonsets", "web:2")
    wait_until(lambda: images() == ["web:2"] * 2, 60, "rolled back")
    assert kept[0] in [p["metadata"]["uid"] for p in work.pods()], "the good pod was not touched"
    assert max(r["revision"] for r in revisions()) == 4


def check_job_completes_and_counts(work):
    pod = {"restartPolicy": "Never"}
    job = lambda name, image="job:1", **spec: work.make("jobs", name, "batch/v1", spec={  # noqa: E731
        "template": {"spec": {**pod, "containers": [{"name": "c", "image": image}]}}, **spec})
    has = lambda name, kind: kind in [c["type"] for c in work.get("jobs", name).get("status", {}).get("conditions", []) if c["status"] == "True"]  # noqa: E731
    job("many", completions=4, parallelism=2)
    wait_until(lambda: has("many", "Complete"), 60, "complete")
    # The last pod may still be among the uncounted ones when the condition is set.
    wait_until(lambda: work.get("jobs", "many")["status"].get("succeeded") == 4, 60, "four counted")
    job("indexed", completions=3, parallelism=3, completionMode="Indexed")
    wait_until(lambda: has("indexed", "Complete"), 60, "complete")
    pods = [p for p in work.items("pods") if owner_names(p) == ["indexed"]]
    assert sorted(p["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for p in pods) == ["0", "1", "2"]
    assert sorted(p["spec"]["hostname"] for p in pods) == ["indexed-0", "indexed-1", "indexed-2"]
    assert "JOB_COMPLETION_INDEX" in [e["name"] for e in pods[0]["spec"]["containers"][0]["env"]]
    wait_until(lambda: work.get("jobs", "indexed")["status"].get("completedIndexes") == "0-2", 60, "three indexes counted")
    job("bad", "fail:1", backoffLimit=0)
    wait_until(lambda: has("bad", "Failed"), 60, "failed")
    job("held", suspend=True)
    wait_until(lambda: has("held", "Suspended"), 60, "suspended")
    work.merge("jobs", "held", {"spec": {"suspend": False}})
    wait_until(lambda: has("held", "Complete"), 60, "complete after it went on")


def check_job_and_its_pods_are_deleted(work):
    work.make("jobs", "j", "batch/v1", spec={"parallelism": 2, "template": {
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "never:1"}]}}})
    wait_until(lambda: work.get("jobs", "j").get("status", {}).get("active") == 2, 60, "two are active")
    work.delete("jobs", "j", "Background")
    work.gone("jobs", "j")
    wait_until(lambda: not work.items("pods"), 60, "no pods")


def check_deletions_cascade(work):
    """Background takes dependents along, foreground waits for them, orphan lets them be."""
    work.workload("deployments", "back", replicas=2)
    work.workload("deployments", "orphan", replicas=2)
    work.workload("replicationcontrollers", "front", replicas=3)
    for name in ("back", "orphan"):
        work.rolled_out(2, "web:1", name)
    work.ready("replicationcontrollers", 3, "front")
    work.delete("deployments", "back", "Background")
    wait_until(lambda: not work.items("replicasets", app="back") and not work.items("pods", app="back"), 60, "all went along")
    work.delete("deployments", "orphan", "Orphan")
    work.gone("deployments", "orphan")
    left = work.items("replicasets", app="orphan")
    assert len(left) == 1 and not owner_names(left[0]) and len(work.pods(app="orphan")) == 2
    start = work.get("pods")["metadata"]["resourceVersion"]
    with work.control.watch(work.at("pods"), resourceVersion=start, labelSelector="app=front") as events:
        work.delete("replicationcontrollers", "front", "Foreground")
        for _ in range(3):
            events.until("DELETED")
    work.gone("replicationcontrollers", "front")


def check_dependents_of_two_owners(work):
    one, two = (work.make("configmaps", name)["metadata"]["uid"] for name in ("one", "two"))
    refer = lambda name, uid, kind="ConfigMap", **more: {"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, **more}  # noqa: E731
    for name, owners in (("both", [refer("one", one, blockOwnerDeletion=True), refer("two", two)]), ("single", [refer("one", one, blockOwnerDeletion=True)])):
        work.call("POST", work.at("secrets"), {"metadata": {"name": name, "ownerReferences": owners}}).ok()
    work.delete("configmaps", "one", "Foreground")
    work.gone("configmaps", "one")
    work.gone("secrets", "single")
    wait_until(lambda: owner_names(work.get("secrets", "both")) == ["two"], 60, "only the owner that is left")


def check_budget_blocks_evictions(work):
    work.workload("replicasets", replicas=2)
    work.ready("replicasets", 2)
    work.make("poddisruptionbudgets", "b", "policy/v1", spec={"minAvailable": 2, "selector": {"matchLabels": {"app": "w"}}})
    status = lambda: work.get("poddisruptionbudgets", "b").get("status", {})  # noqa: E731
    wait_until(lambda: status().get("currentHealthy") == 2 and status().get("expectedPods") == 2, 60, "two are healthy")
    name = work.pods()[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    work.call("POST", work.at("pods", name) + "/eviction", eviction).refused(429, "disruption budget")
    work.merge("poddisruptionbudgets", "b", {"spec": {"minAvailable": 1}})
    wait_until(lambda: status().get("disruptionsAllowed") == 1, 60, "one may go")
    work.call("POST", work.at("pods", name) + "/eviction", eviction).ok()
    work.gone("pods", name)


def check_services_have_endpoints(work):
    """Ports by name, pods that come and go; Endpoints and EndpointSlices say the same."""
    work.make("services", "s", spec={"selector": {"app": "x"}, "ports": [{"name": "a", "port": 80, "targetPort": "web"}, {"name": "b", "port": 81}]})
    slices = lambda: work.items("endpointslices", **{"kubernetes.io/service-name": "s"})  # noqa: E731
    addresses = lambda: sorted(a for found in slices() for e in found.get("endpoints") or [] for a in e["addresses"])  # noqa: E731
    ports = lambda: sorted((p["name"], p["port"]) for found in slices() for p in found.get("ports") or [])  # noqa: E731
    wait_until(lambda: slices() and not addresses(), 60, "an empty slice")
    for name in ("one", "two"):
        work.make("pods", name, labels={"app": "x"}, spec={"containers": [{"name": "c", "image": "web:1", "ports": [{"name": "web", "containerPort": 8080}]}]})
    wait_until(lambda: len(addresses()) == 2 and ports() == [("a", 8080), ("b", 81)], 60, "two endpoints")
    classic = lambda: sorted(a["ip"] for s in work.call("GET", work.at("endpoints", "s")).body.get("subsets") or [] for a in s.get("addresses", []))  # noqa: E731
    wait_until(lambda: classic() == addresses(), 60, "the same in Endpoints")
    work.call("DELETE", work.at("pods", "one")).ok()
    wait_until(lambda: len(addresses()) == 1 and classic() == addresses(), 60, "one endpoint")
    work.delete("services", "s")
    wait_until(lambda: not slices() and work.call("GET", work.at("endpoints", "s")).code == 404, 60, "none")


def check_scheduling_by_selector_port_and_size(work):
    work.call("PATCH", "/api/v1/nodes/south", {"metadata": {"labels": {"only": work.name}}}, MERGE_PATCH).ok()
    pod = lambda name, image="web:1", ports=None, resources=None, **spec: work.make("pods", name, spec={"containers": [  # noqa: E731
        {"name": "c", "image": image, "ports": ports or [], "resources": resources or {}}], **spec})
    pod("chosen", nodeSelector={"only": work.name})
    pod("nowhere", nodeSelector={"only": "nothing"})
    pod("huge", resources={"requests": {"cpu": "400"}})
    node = lambda name: work.get("pods", name)["spec"].get("nodeName")  # noqa: E731
    reason = lambda name: [c.get("reason") for c in work.get("pods", name).get("status", {}).get("conditions", []) if c["type"] == "PodScheduled"]  # noqa: E731
    wait_until(lambda: node("chosen") == "south", 60, "the labelled node")
    wait_until(lambda: reason("nowhere") == ["Unschedulable"] and reason("huge") == ["Unschedulable"], 60, "two fit nowhere")
    here = {"nodeSelector": {"only": work.name}}
    pod("p1", ports=[{"containerPort": 80, "hostPort": 4321, "hostIP": "127.0.0.1"}], **here)
    pod("p2", ports=[{"containerPort": 80, "hostPort": 4321, "hostIP": "127.0.0.2"}], **here)
    pod("p3", ports=[{"containerPort": 80, "hostPort": 4321, "hostIP": "127.0.0.1", "protocol": "UDP"}], **here)
    wait_until(lambda: [node(name) for name in ("p1", "p2", "p3")] == ["south"] * 3, 60, "no conflict")
    pod("p4", ports=[{"containerPort": 80, "hostPort": 4321}], **here)
    wait_until(lambda: reason("p4") == ["Unschedulable"], 60, "a conflict with all addresses")


def check_node_labels_taints_and_status(work):
    """A node is read, patched and its status replaced; a taint without tolerance sends pods away."""
    taint = {"key": work.name, "value": "x", "effect": "NoExecute"}
    for name, tolerations in (("leaves", []), ("stays", [{"key": work.name, "operator": "Exists", "effect": "NoExecute"}])):
        work.make("pods", name, spec={"nodeName": "south", "tolerations": tolerations, "containers": [{"name": "c", "image": "web:1"}]})
    wait_until(lambda: all(work.get("pods", name).get("status", {})["phase"] == "Running" for name in ("leaves", "stays")), 60, "both run")
    try:
        work.call("PATCH", "/api/v1/nodes/south", {"spec": {"taints": [taint]}}, MERGE_PATCH).ok()
        work.gone("pods", "leaves")
        assert work.get("pods", "stays").get("status", {})["phase"] == "Running"
    finally:
        work.call("PATCH", "/api/v1/nodes/south", {"spec": {"taints": None}}, MERGE_PATCH).ok()
    condition = {"type": "example.com/test", "status": "True", "reason": "x", "message": "y"}
    work.update("/api/v1/nodes/south/status", lambda node: node["status"]["conditions"].append(condition))
    assert "example.com/test" in [c["type"] for c in work.call("GET", "/api/v1/nodes/south").ok()["status"]["conditions"]]


def check_preemption(work):
    """An important pod takes the place of one that is not; the victim says why it went."""
    for name, value in (("low", 1), ("high", 1000)):
        work.call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": f"{work.name}-{name}"}, "value": value}).ok()
    pod = lambda name: work.make("pods", name, spec={"priorityClassName": f"{work.name}-{name}", "containers": [  # noqa: E731
        {"name": "c", "image": "web:1", "resources": {"requests": {"example.com/thing": "3"}, "limits": {"example.com/thing": "3"}}}]})
    thing = lambda value: work.call("PATCH", "/api/v1/nodes/north/status", {"status": {  # noqa: E731
        "capacity": {"example.com/thing": value}, "allocatable": {"example.com/thing": value}}}, MERGE_PATCH).ok()
    thing("4")
    pod("low")
    wait_until(lambda: work.get("pods", "low").get("status", {})["phase"] == "Running", 60, "the first runs")
    pod("high")
    wait_until(lambda: work.get("pods", "high").get("status", {})["phase"] == "Running", 60, "the important one runs")
    work.gone("pods", "low")
    thing(None)
    for name in ("low", "high"):
        work.call("DELETE", f"/apis/scheduling.k8s.io/v1/priorityclasses/{work.name}-{name}").ok()


def check_claims_are_bound(work):
    work.call("POST", "/api/v1/persistentvolumes", {"metadata": {"name": work.name}, "spec": {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}, "storageClassName": work.name}}).ok()
    work.make("persistentvolumeclaims", "c", spec={"accessModes": ["ReadWriteOnce"], "storageClassName": work.name,
                                                   "resources": {"requests": {"storage": "1Gi"}}})
    wait_until(lambda: work.get("persistentvolumeclaims", "c").get("status", {}).get("phase") == "Bound", 60, "bound")
    assert work.get("persistentvolumeclaims", "c")["spec"]["volumeName"] == work.name
    work.call("DELETE", f"/api/v1/persistentvolumes/{work.name}").ok()


if __name__ == "__main__":
    sys.exit(main(globals(), Work))
