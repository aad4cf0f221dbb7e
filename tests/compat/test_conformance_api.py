#!/usr/bin/env python3
"""What the upstream conformance list asks of an API server, behaviour by behaviour: docs/kubernetes-compatibility.md.

    test_conformance_api.py [behaviour ...]
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from conformance import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY, TEMPLATE, Space, main  # noqa: E402
from control_plane import TOKEN  # noqa: E402
from cluster import wait_until  # noqa: E402

SPEC = {"containers": [{"name": "c", "image": "web:1"}]}
WIDGET_SCHEMA = {"type": "object", "properties": {
    "spec": {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "blue", "enum": ["blue", "red"]},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}},
    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}

# Group, version, resource, kind, whether in a namespace, whether there is a status, and what it takes to make one.
KINDS = [
    ("", "v1", "configmaps", "ConfigMap", True, False, {"data": {"a": "b"}}),
    ("", "v1", "secrets", "Secret", True, False, {"data": {"a": "Yg=="}}),
    ("", "v1", "services", "Service", True, True, {"spec": {"ports": [{"port": 80}]}}),
    ("", "v1", "endpoints", "Endpoints", True, False, {}),
    ("", "v1", "serviceaccounts", "ServiceAccount", True, False, {}),
    ("", "v1", "podtemplates", "PodTemplate", True, False, {"template": TEMPLATE}),
    ("", "v1", "limitranges", "LimitRange", True, False, {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}}),
    ("", "v1", "resourcequotas", "ResourceQuota", True, True, {"spec": {"hard": {"pods": "5"}}}),
    ("", "v1", "replicationcontrollers", "ReplicationController", True, True,
     {"spec": {"replicas": 0, "selector": {"app": "x"}, "template": TEMPLATE}}),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, True,
     {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
    ("apps", "v1", "controllerrevisions", "ControllerRevision", True, False, {"revision": 1, "data": {"a": 1}}),
    ("apps", "v1", "deployments", "Deployment", True, True,
     {"spec": {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}}),
    ("apps", "v1", "replicasets", "ReplicaSet", True, True,
     {"spec": {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}}),
    ("apps", "v1", "statefulsets", "StatefulSet", True, True,
     {"spec": {"replicas": 0, "serviceName": "x", "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}}),
    ("apps", "v1", "daemonsets", "DaemonSet", True, True, {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {
        "metadata": {"labels": {"app": "x"}}, "spec": {**SPEC, "nodeSelector": {"no": "node"}}}}}),
    ("batch", "v1", "jobs", "Job", True, True, {"spec": {"suspend": True, "template": {"spec": {**SPEC, "restartPolicy": "Never"}}}}),
    ("batch", "v1", "cronjobs", "CronJob", True, True, {"spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {
        "spec": {"template": {"spec": {**SPEC, "restartPolicy": "Never"}}}}}}),
    ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", True, True,
     {"spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}}}),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, True,
     {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}}),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, False,
     {"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.1.1"]}]}),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", True, True,
     {"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}}}),
    ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", False, False, {"spec": {"controller": "example.com/x"}}),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, False, {"spec": {"podSelector": {}}}),
    ("coordination.k8s.io", "v1", "leases", "Lease", True, False, {"spec": {"holderIdentity": "x", "leaseDurationSeconds": 30}}),
    ("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", False, False, {"handler": "runc"}),
    ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False, False, {"value": 10}),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass", False, False, {"provisioner": "example.com/x"}),
    ("storage.k8s.io", "v1", "csidrivers", "CSIDriver", False, False, {"spec": {"attachRequired": False}}),
    ("storage.k8s.io", "v1", "csinodes", "CSINode", False, False, {"spec": {"drivers": []}}),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role", True, False,
     {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
    ("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", False, True,
     {"spec": {"request": "LS0tLS1CRUdJTg==", "signerName": "example.com/x", "usages": ["client auth"]}}),
    ("events.k8s.io", "v1", "events", "Event", True, False,
     {"eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "example.com/x", "reportingInstance": "x", "action": "Did",
      "reason": "Reason", "type": "Normal", "note": "first", "regarding": {"kind": "Pod", "name": "x"}}),
]


def operations(space, group, version, resource, kind, is_namespaced, has_status, content):
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    path = f"{root}/namespaces/{space.name}/{resource}" if is_namespaced else f"{root}/{resource}"
    name = f"{space.name}-one"
    metadata = {"name": name, "labels": {"mark": space.name}}
    if kind == "Event":
        content["regarding"]["namespace"] = space.name
    content = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind, **content}
    made = space.call("POST", path, {**content, "metadata": metadata}).ok()
    assert made["metadata"]["uid"] and made["metadata"]["creationTimestamp"], made
    with space.control.watch(path, resourceVersion=made["metadata"]["resourceVersion"], labelSelector=f"mark={space.name}") as events:
        replaced = space.update(f"{path}/{name}", lambda found: found["metadata"].setdefault("annotations", {}).update(replaced="yes"))
        assert replaced["metadata"]["annotations"]["replaced"] == "yes"
        for content_type, label in ((MERGE_PATCH, "merged"), (JSON_PATCH, "jsoned"), (STRATEGIC_PATCH, "strategic")):
            patch = [{"op": "add", "path": f"/metadata/labels/{label}", "value": "yes"}] if content_type == JSON_PATCH else {
                "metadata": {"labels": {label: "yes"}}}
            assert space.call("PATCH", f"{path}/{name}", patch, content_type).ok()["metadata"]["labels"][label] == "yes"
        events.until("MODIFIED", lambda found: found["metadata"].get("annotations", {}).get("replaced") == "yes")
        events.until("MODIFIED", lambda found: found["metadata"]["labels"].get("strategic") == "yes")
        if has_status:
            space.call("GET", f"{path}/{name}/status").ok()
            patched = space.call("PATCH", f"{path}/{name}/status", {"metadata": {"annotations": {"by-status": "yes"}}}, MERGE_PATCH).ok()
            assert patched["metadata"]["annotations"]["by-status"] == "yes", patched["metadata"]
            space.update(f"{path}/{name}/status", lambda found: found["metadata"]["annotations"].update({"by-update": "yes"}))
            assert space.call("GET", f"{path}/{name}/status").ok()["metadata"]["annotations"]["by-update"] == "yes"
        everywhere = space.call("GET", f"{root}/{resource}?labelSelector=mark%3D{space.name}").ok()
        assert [item["metadata"]["name"] for item in everywhere["items"]] == [name], everywhere
        assert everywhere["kind"] == f"{kind}List"
        space.call("DELETE", f"{path}/{name}").ok()
        events.until("DELETED")
    for number in range(2):
        space.call("POST", path, {**content, "metadata": {"name": f"{name}{number}", "labels": {"mark": space.name}}}).ok()
    space.call("DELETE", f"{path}?labelSelector=mark%3D{space.name}").ok()
    wait_until(lambda: not space.call("GET", f"{path}?labelSelector=mark%3D{space.name}").ok()["items"], 60, f"no {resource}")


def check_operations_of_every_kind(space):
    """Create, get, list, watch, update, the three patches, delete and deletecollection; status where there is one."""
    broken = []
    for row in KINDS:
        try:
            operations(space, *row)
        except (AssertionError, KeyError) as error:
            broken.append(f"{row[2]}: {error!r}")
    assert not broken, "\n".join(broken)


def check_discovery_of_groups(space):
    groups = space.call("GET", "/apis").ok()["groups"]
    assert {"apps", "batch", "policy", "discovery.k8s.io", "apiextensions.k8s.io"} <= {g["name"] for g in groups}
    for group in groups:
        assert group["preferredVersion"] in group["versions"], group
        for version in group["versions"]:
            found = space.call("GET", f"/apis/{version['groupVersion']}").ok()
            assert found["groupVersion"] == version["groupVersion"] and found["resources"], group
    assert space.call("GET", "/api").ok()["versions"] == ["v1"]
    assert "pods/eviction" in [r["name"] for r in space.call("GET", "/api/v1").ok()["resources"]]


def check_discovery_aggregated(space):
    kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    space.define("gizmos", "Gizmo", {"type": "object"})
    for path, group, resource in (("/api", "", "pods"), ("/apis", "apps", "deployments"), ("/apis", "example.com", "gizmos")):
        found = space.call("GET", path, accept=kind).ok()
        assert found["kind"] == "APIGroupDiscoveryList", found
        item = [g for g in found["items"] if g["metadata"].get("name", "") == group][0]
        assert resource in [r["resource"] for v in item["versions"] for r in v["resources"]]


def check_version(space):
    version = space.call("GET", "/version").ok()
    assert int(version["major"]) == 1 and int(version["minor"]) >= 30


def check_openapi_of_built_in_and_custom_kinds(space):
    space.define("doodads", "Doodad", WIDGET_SCHEMA)
    paths = space.call("GET", "/openapi/v3").ok()["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/example.com/v1"} <= set(paths)
    wait_until(lambda: "Doodad" in json.dumps(space.call("GET", "/openapi/v3/apis/example.com/v1").ok()), 60, "the schema")
    assert "preserve-unknown" in json.dumps(space.call("GET", "/openapi/v3/apis/example.com/v1").ok())


def check_watch_from_a_version_and_again(space):
    path = space.path("configmaps")
    first = space.make("configmaps", "one", data={"n": "1"})
    for number in "234":
        space.patch("configmaps", "one", {"data": {"n": number}})
    with space.control.watch(path, resourceVersion=first["metadata"]["resourceVersion"]) as events:
        seen = [events.next()[1] for _ in range(2)]
    assert [found["data"]["n"] for found in seen] == ["2", "3"]
    with space.control.watch(path, resourceVersion=seen[-1]["metadata"]["resourceVersion"]) as events:
        assert events.next()[1]["data"]["n"] == "4"
        space.call("DELETE", f"{path}/one").ok()
        assert events.next()[0] == "DELETED"


def check_watch_of_a_selector(space):
    """An object that stops matching is deleted for the watcher, one that matches again is added."""
    path = space.path("configmaps")
    start = space.call("GET", path).ok()["metadata"]["resourceVersion"]
    with space.control.watch(path, resourceVersion=start, labelSelector="watch=yes") as events:
        space.make("configmaps", "other")
        space.make("configmaps", "one", labels={"watch": "yes"})
        assert events.next()[0] == "ADDED"
        space.patch("configmaps", "one", {"metadata": {"labels": {"watch": "no"}}})
        assert events.next()[0] == "DELETED"
        space.patch("configmaps", "one", {"data": {"unseen": "1"}})
        space.patch("configmaps", "one", {"metadata": {"labels": {"watch": "yes"}}})
        kind, found = events.next()
        assert kind == "ADDED" and found["data"] == {"unseen": "1"}
        space.patch("configmaps", "one", {"data": {"seen": "1"}})
        assert events.next()[0] == "MODIFIED"


def check_watches_agree_on_the_order(space):
    path = space.path("configmaps")
    start = space.call("GET", path).ok()["metadata"]["resourceVersion"]
    for number in range(10):
        space.make("configmaps", f"c{number}")
        if number % 2:
            space.call("DELETE", f"{path}/c{number}").ok()
    with space.control.watch(path, resourceVersion=start) as events:
        seen = [(kind, found["metadata"]["resourceVersion"]) for kind, found in (events.next() for _ in range(15))]
    assert [int(version) for _, version in seen] == sorted(int(version) for _, version in seen)
    for at in (0, 5, 12):
        with space.control.watch(path, resourceVersion=seen[at][1]) as events:
            rest = [(kind, found["metadata"]["resourceVersion"]) for kind, found in (events.next() for _ in range(14 - at))]
        assert rest == seen[at + 1:]


def check_watch_bookmarks(space):
    path = space.path("configmaps")
    space.make("configmaps", "one")
    with space.control.watch(path, allowWatchBookmarks="true", sendInitialEvents="true",
                             resourceVersionMatch="NotOlderThan") as events:
        events.until("ADDED", lambda found: found["metadata"]["name"] == "one")
        mark = events.until("BOOKMARK")
        assert mark["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"


def check_chunks(space):
    """Pages keep the version of the first, count what remains, and together are the whole list."""
    path = space.path("podtemplates")
    names = sorted(space.make("podtemplates", f"t{number:02}", template=TEMPLATE)["metadata"]["name"] for number in range(25))
    seen, token, version = [], "", None
    while True:
        page = space.call("GET", f"{path}?limit=10&continue={token}").ok()
        seen += [item["metadata"]["name"] for item in page["items"]]
        assert version in (None, page["metadata"]["resourceVersion"])
        version = page["metadata"]["resourceVersion"]
        token = page["metadata"].get("continue", "")
        if not token:
            break
        assert page["metadata"]["remainingItemCount"] == len(names) - len(seen)
    assert seen == names
    assert len(space.call("GET", path).ok()["items"]) == len(names)
    space.call("GET", f"{path}?limit=10&continue=nonsense").refused(400)


def check_tables(space):
    space.make("configmaps", "one", data={"a": "b"})
    table = space.call("GET", space.path("configmaps"), accept="application/json;as=Table;v=v1;g=meta.k8s.io").ok()
    row = [row for row in table["rows"] if row["object"]["metadata"]["name"] == "one"][0]
    assert table["kind"] == "Table" and row["cells"][:2] == ["one", 1] and row["object"]["kind"] == "PartialObjectMetadata"
    pages = space.call("GET", space.path("configmaps") + "?limit=1", accept="application/json;as=Table;v=v1;g=meta.k8s.io").ok()
    assert len(pages["rows"]) == 1 and pages["metadata"]["continue"]


def check_tables_of_answers_that_are_no_objects(space):
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
              "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    space.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review,
               accept="application/json;as=Table;v=v1;g=meta.k8s.io").refused(406)


def check_selectors(space):
    for name, labels in (("a", {"x": "1", "y": "1"}), ("b", {"x": "2"}), ("c", {})):
        space.make("configmaps", name, labels=labels)
    for query, wanted in (("labelSelector=x", "ab"), ("labelSelector=!x,!kube", "c"), ("labelSelector=x+in+(2,3)", "b"),
                          ("labelSelector=x+notin+(2)", "ac"), ("labelSelector=x!%3D1", "bc"), ("fieldSelector=metadata.name%3Da", "a"),
                          ("fieldSelector=metadata.name!%3Da&labelSelector=x", "b")):
        items = space.call("GET", space.path("configmaps") + "?" + query).ok()["items"]
        assert "".join(i["metadata"]["name"] for i in items if len(i["metadata"]["name"]) == 1) == wanted, query
    space.call("GET", space.path("configmaps") + "?fieldSelector=data.a%3Db").refused(400)


def check_conflicts_names_and_dry_run(space):
    path = space.path("configmaps")
    first = space.make("configmaps", "one")
    space.patch("configmaps", "one", {"data": {"a": "b"}})
    space.call("PUT", f"{path}/one", first).refused(409, "the object has been modified")
    space.call("POST", path, {"metadata": {"name": "one"}}).refused(409, "AlreadyExists")
    names = {space.call("POST", path, {"metadata": {"generateName": "some-"}}).ok()["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3 and all(name.startswith("some-") for name in names)
    space.call("POST", path + "?dryRun=All", {"metadata": {"name": "dry"}}).ok()
    space.call("GET", f"{path}/dry").refused(404)
    space.call("PATCH", f"{path}/one?dryRun=All", {"data": {"a": "c"}}, MERGE_PATCH).ok()
    assert space.call("GET", f"{path}/one").ok()["data"] == {"a": "b"}


def check_preconditions_and_finalizers(space):
    path = space.path("configmaps") + "/one"
    made = space.make("configmaps", "one", finalizers=["example.com/hold"])
    space.call("DELETE", path, {"preconditions": {"uid": "another"}}).refused(409)
    space.call("DELETE", path, {"preconditions": {"uid": made["metadata"]["uid"]}}).ok()
    assert space.call("GET", path).ok()["metadata"]["deletionTimestamp"]
    space.call("PATCH", path, {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}, MERGE_PATCH).refused(422)
    space.call("PATCH", path, {"metadata": {"finalizers": None}}, MERGE_PATCH).ok()
    space.call("GET", path).refused(404)


def check_server_side_apply(space):
    path = space.path("configmaps") + "/one"
    apply = lambda who, data, force="": space.call(  # noqa: E731
        "PATCH", f"{path}?fieldManager={who}{force}", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": data}, APPLY)
    apply("first", {"a": "1", "b": "1"}).ok()
    apply("second", {"c": "1"}).ok()
    apply("second", {"a": "2", "c": "1"}).refused(409, "first")
    apply("second", {"a": "2", "c": "1"}, "&force=true").ok()
    assert apply("first", {}).ok()["data"] == {"a": "2", "c": "1"}
    owners = {entry["manager"] for entry in space.call("GET", path).ok()["metadata"]["managedFields"]}
    assert "second" in owners


def check_strict_fields(space):
    """Unknown and duplicate fields: an error, a warning, or nothing, as asked for."""
    path = space.path("deployments", "apps/v1")
    bad = {"metadata": {"name": "d", "unknownMeta": "x"}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "replicas": 0, "unknownSpec": 1,
                                                                   "template": TEMPLATE}}
    space.call("POST", path + "?fieldValidation=Strict", bad).refused(400, 'unknown field \\"spec.unknownSpec\\"')
    space.call("POST", path + "?fieldValidation=Strict", bad).refused(400, 'unknown field \\"metadata.unknownMeta\\"')
    twice = json.dumps(bad).replace('"unknownSpec": 1', '"replicas": 0').replace(', "unknownMeta": "x"', "").encode()
    space.call("POST", path + "?fieldValidation=Strict", twice).refused(400, "duplicate field")
    assert "unknownSpec" not in space.call("POST", path + "?fieldValidation=Ignore", bad).ok()["spec"]


def check_custom_resources(space):
    """A definition makes a resource with schema, defaults, pruning, status, and goes with its objects."""
    space.define("widgets", "Widget", WIDGET_SCHEMA)
    path = space.path("widgets", "example.com/v1")
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3, "free": {"any": [1]}}}
    made = space.call("POST", path, {**widget, "status": {"x": 1}}).ok()
    assert made["spec"] == {"size": 3, "color": "blue", "free": {"any": [1]}} and "status" not in made, made
    space.call("POST", path, {**widget, "spec": {"size": 0}, "metadata": {"name": "v"}}).refused(422, "spec.size")
    space.call("POST", path, {**widget, "spec": {}, "metadata": {"name": "v"}}).refused(422, "spec.size")
    space.call("POST", path, {**widget, "spec": {"size": 1, "color": "pink"}, "metadata": {"name": "v"}}).refused(422, "spec.color")
    pruned = space.call("POST", path + "?fieldValidation=Ignore", {**widget, "spec": {"size": 1, "extra": 1}, "metadata": {"name": "v"}}).ok()
    assert "extra" not in pruned["spec"]
    space.call("POST", path + "?fieldValidation=Strict", {**widget, "spec": {"size": 1, "extra": 1}, "metadata": {"name": "u"}}).refused(400, "extra")
    space.call("PATCH", f"{path}/w/status", {"status": {"phase": "ok"}, "spec": {"size": 9}}, MERGE_PATCH).ok()
    found = space.call("GET", f"{path}/w").ok()
    assert found["status"] == {"phase": "ok"} and found["spec"]["size"] == 3
    space.call("PATCH", f"{path}/w", {"spec": {"size": 4}}, MERGE_PATCH).ok()
    assert space.call("GET", f"{path}/w").ok()["metadata"]["generation"] == 2
    space.call("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com").ok()
    wait_until(lambda: space.call("GET", path).code == 404, 60, "the resource is gone")


def check_custom_resources_strictly(space):
    """Duplicates and unknown metadata are refused even where unknown fields are kept."""
    space.define("loose", "Loose", {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    path = space.path("loose", "example.com/v1") + "?fieldValidation=Strict"
    body = '{"apiVersion": "example.com/v1", "kind": "Loose", "metadata": {"name": "%s"}, "a": {"b": 1%s}}'
    assert space.call("POST", path, (body % ("x", "")).encode()).ok()["a"] == {"b": 1}
    space.call("POST", path, (body % ("y", ', "b": 2')).encode()).refused(400, "duplicate field")
    space.call("POST", path, (body % ('z", "unknownMeta": "x', "")).encode()).refused(400, "unknownMeta")


def check_custom_resource_definitions(space):
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    start = space.call("GET", path).ok()["metadata"]["resourceVersion"]
    with space.control.watch(path, resourceVersion=start, labelSelector="set=" + space.name) as events:
        for plural, kind in (("acorns", "Acorn"), ("beans", "Bean")):
            space.define(plural, kind, {"type": "object"}, labels={"set": space.name})
        events.until("ADDED", lambda found: found["metadata"]["name"] == "beans.example.com")
        space.call("PATCH", f"{path}/beans.example.com/status", {"status": {"conditions": [
            {"type": "Extra", "status": "True", "reason": "x", "message": "y", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}, MERGE_PATCH).ok()
        events.until("MODIFIED", lambda found: "Extra" in str(found.get("status")))
        assert len(space.call("GET", path + "?labelSelector=set%3D" + space.name).ok()["items"]) == 2
        space.call("DELETE", path + "?labelSelector=set%3D" + space.name).ok()
        events.until("DELETED", lambda found: found["metadata"]["name"] == "beans.example.com")


def check_custom_resource_versions(space):
    """Every served version answers; one that is not served any more is gone from discovery and OpenAPI."""
    space.define("vans", "Van", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, versions=("v1", "v2"))
    space.call("POST", space.path("vans", "example.com/v1"), {"apiVersion": "example.com/v1", "kind": "Van", "metadata": {"name": "x"}, "a": 1}).ok()
    other = space.path("vans", "example.com/v2")
    found = wait_until(lambda: (a := space.call("GET", f"{other}/x")).code == 200 and a.body, 60, "the other version")
    assert found["apiVersion"] == "example.com/v2" and found["a"] == 1
    space.call("PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/vans.example.com",
               [{"op": "replace", "path": "/spec/versions/1/served", "value": False}], JSON_PATCH).ok()
    wait_until(lambda: space.call("GET", f"{other}/x").code == 404, 60, "the version is not served")
    wait_until(lambda: "Van" not in json.dumps(space.call("GET", "/openapi/v3/apis/example.com/v2").body or ""), 60, "its schema is gone")


def check_pods_are_immutable_but_for_images(space):
    space.make("pods", "p", spec=SPEC)
    path = space.path("pods") + "/p"
    wait_until(lambda: space.call("GET", path).ok()["status"]["phase"] == "Running", 60, "the pod runs")
    space.patch("pods", "p", {"metadata": {"labels": {"time": "later"}}})
    space.call("PATCH", path, {"spec": {"hostNetwork": True}}, MERGE_PATCH).refused(422)
    space.update(path, lambda pod: pod["spec"]["containers"][0].update(image="web:2"))
    space.update(path, lambda pod: pod["spec"].update(activeDeadlineSeconds=500))
    found = space.call("GET", path).ok()
    assert found["spec"]["containers"][0]["image"] == "web:2" and found["spec"]["activeDeadlineSeconds"] == 500
    assert found["status"]["qosClass"] == "BestEffort"


def check_pod_classes_and_deletion(space):
    half, full = {"requests": {"cpu": "1m"}}, {"limits": {"cpu": "1m", "memory": "1Mi"}, "requests": {"cpu": "1m", "memory": "1Mi"}}
    for name, resources, wanted in (("b", half, "Burstable"), ("g", full, "Guaranteed")):
        made = space.make("pods", name, labels={"set": "yes"}, spec={"containers": [{**SPEC["containers"][0], "resources": resources}]})
        assert made["status"]["qosClass"] == wanted
    space.call("DELETE", space.path("pods") + "?labelSelector=set%3Dyes").ok()
    wait_until(lambda: not space.call("GET", space.path("pods")).ok()["items"], 60, "no pods")


def check_pod_status_and_resize_are_apart(space):
    space.make("pods", "p", spec={"containers": [{"name": "c", "image": "never:1"}]})
    path = space.path("pods") + "/p"
    condition = {"type": "example.com/gate", "status": "True"}
    space.call("PATCH", path + "/status", {"status": {"conditions": [condition], "message": "m"}, "spec": {"nodeName": "x"}}, STRATEGIC_PATCH).ok()
    found = space.call("GET", path).ok()
    assert found["status"]["message"] == "m" and found["spec"].get("nodeName") != "x"
    assert "example.com/gate" in [c["type"] for c in found["status"]["conditions"]]


def check_ephemeral_containers(space):
    space.make("pods", "p", spec=SPEC)
    path = space.path("pods") + "/p"
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "web:1"}]}}
    space.call("PATCH", path + "/ephemeralcontainers", debug, STRATEGIC_PATCH).ok()
    assert space.call("GET", path + "/ephemeralcontainers").ok()["spec"]["ephemeralContainers"][0]["name"] == "debug"


def check_configmaps_and_secrets(space):
    space.call("POST", space.path("configmaps"), {"metadata": {"name": "x"}, "data": {"": "x"}}).refused(422, "data")
    space.call("POST", space.path("secrets"), {"metadata": {"name": "x"}, "data": {"": "eA=="}}).refused(422, "data")
    made = space.call("POST", space.path("secrets"), {"metadata": {"name": "x"}, "stringData": {"a": "b"}}).ok()
    assert made["data"] == {"a": "Yg=="} and made["type"] == "Opaque"
    for resource in ("configmaps", "secrets"):
        path = space.path(resource) + "/fixed"
        space.make(resource, "fixed", data={"a": "Yg=="}, immutable=True)
        space.call("PATCH", path, {"data": {"a": "Yw=="}}, MERGE_PATCH).refused(422, "immutable")
        space.call("PATCH", path, {"immutable": False}, MERGE_PATCH).refused(422, "immutable")
        space.call("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH).ok()


def check_limit_ranges(space):
    """Defaults come in, what is outside of the bounds is refused, also after the bounds changed."""
    space.make("limitranges", "l", spec={"limits": [{"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"},
                                                     "max": {"cpu": "1"}, "min": {"cpu": "50m"}}]})
    resources = space.make("pods", "p", spec=SPEC)["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}}, resources
    pod = lambda cpu: {"metadata": {"name": "q"}, "spec": {"containers": [{**SPEC["containers"][0], "resources": {"limits": {"cpu": cpu}}}]}}  # noqa: E731
    space.call("POST", space.path("pods"), pod("2")).refused(403, "maximum cpu usage per Container is")
    space.call("POST", space.path("pods"), pod("20m")).refused(403, "minimum cpu usage per Container is")
    space.patch("limitranges", "l", {"spec": {"limits": [{"type": "Container", "min": {"cpu": "10m"}}]}})
    space.call("POST", space.path("pods"), pod("20m")).ok()


def check_quotas_follow_every_kind(space):
    """Objects count when they come and stop when they go; one too many is refused."""
    kinds = {"configmaps": {}, "secrets": {}, "services": {"spec": {"ports": [{"port": 80}]}}, "replicationcontrollers": {
        "spec": {"replicas": 0, "selector": {"app": "x"}, "template": TEMPLATE}}, "persistentvolumeclaims": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}
    used = lambda: space.call("GET", space.path("resourcequotas") + "/q").ok().get("status", {}).get("used", {})  # noqa: E731
    wait_until(lambda: space.call("GET", space.path("configmaps") + "/kube-root-ca.crt").code == 200, 60, "the first map")
    hard = {**{kind: "2" for kind in kinds}, "count/replicasets.apps": "1", "resourcequotas": "1"}
    space.make("resourcequotas", "q", spec={"hard": hard})
    wait_until(lambda: set(used()) == set(hard), 60, "the quota is counted")
    before = used()
    for kind, content in kinds.items():
        space.make(kind, "one", **content)
    space.call("POST", space.path("replicasets", "apps/v1"), {"metadata": {"name": "one"}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}}).ok()
    wait_until(lambda: all(int(used()[kind]) == int(before[kind]) + 1 for kind in (*kinds, "count/replicasets.apps")), 60, "all counted")
    space.call("POST", space.path("configmaps"), {"metadata": {"name": "more"}}).refused(403, "exceeded quota: q")
    for kind in kinds:
        space.call("DELETE", space.path(kind) + "/one").ok()
    wait_until(lambda: all(used()[kind] == before[kind] for kind in kinds), 60, "all given back")


def check_quotas_of_pods_and_scopes(space):
    quota = lambda name, scopes, hard: space.make("resourcequotas", name, spec={"hard": hard, **({"scopes": scopes} if scopes else {})})  # noqa: E731
    quota("all", [], {"pods": "3", "requests.cpu": "1", "requests.memory": "1Gi"})
    for name, scope in (("best", "BestEffort"), ("not-best", "NotBestEffort"), ("ends", "Terminating"), ("stays", "NotTerminating")):
        quota(name, [scope], {"pods": "5"})
    used = lambda name, what="pods": space.call("GET", space.path("resourcequotas") + "/" + name).ok().get("status", {}).get("used", {}).get(what)  # noqa: E731
    wait_until(lambda: all(used(name) == "0" for name in ("all", "best", "not-best", "ends", "stays")), 60, "all are counted")
    space.call("POST", space.path("pods"), {"metadata": {"name": "x"}, "spec": SPEC}).refused(403, "must specify")
    asks = lambda cpu, **more: {"containers": [{**SPEC["containers"][0], "resources": {"requests": {"cpu": cpu, "memory": "1Mi"}}}], **more}  # noqa: E731
    space.make("pods", "one", spec=asks("600m"))
    space.call("POST", space.path("pods"), {"metadata": {"name": "two"}, "spec": asks("500m")}).refused(403, "exceeded quota: all")
    space.make("pods", "ends", spec=asks("100m", activeDeadlineSeconds=1000))
    wait_until(lambda: [used(name) for name in ("all", "best", "not-best", "ends", "stays")] == ["2", "0", "2", "1", "1"], 60, "the scopes")
    assert used("all", "requests.cpu") == "700m"
    space.call("DELETE", space.path("resourcequotas") + "/all").ok()
    space.make("pods", "best", spec=SPEC)
    wait_until(lambda: used("best") == "1" and used("not-best") == "2", 60, "the best effort pod")
    for name in ("one", "ends", "best"):
        space.call("DELETE", space.path("pods") + "/" + name).ok()
    wait_until(lambda: all(used(name) == "0" for name in ("best", "not-best", "ends", "stays")), 60, "all given back")


def check_service_types_change(space):
    """Addresses and node ports come and go with the type; a claimed one is refused."""
    path = space.path("services") + "/s"
    address = space.make("services", "s", spec={"ports": [{"port": 80}]})["spec"]["clusterIP"]
    assert address.startswith("10.")
    space.call("POST", space.path("services"), {"metadata": {"name": "t"}, "spec": {"clusterIP": address, "ports": [{"port": 1}]}}).refused(422, "already allocated")
    port = space.update(path, lambda s: s["spec"].update(type="NodePort"))["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port < 32768
    to_name = lambda s: (s["spec"].update(type="ExternalName", externalName="example.com"), s["spec"].pop("clusterIP", 0),  # noqa: E731
                         s["spec"].pop("clusterIPs", 0), s["spec"]["ports"][0].pop("nodePort", 0))
    found = space.update(path, to_name)
    assert not found["spec"].get("clusterIP") and "nodePort" not in found["spec"]["ports"][0], found["spec"]
    space.make("services", "t", spec={"type": "NodePort", "ports": [{"port": 1, "nodePort": port}]})
    found = space.update(path, lambda s: (s["spec"].update(type="ClusterIP"), s["spec"].pop("externalName")))
    assert found["spec"]["clusterIP"].startswith("10.")
    found = space.update(path, lambda s: s["spec"].update(sessionAffinity="ClientIP"))
    assert found["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == 10800
    load = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}
    space.update(path, lambda s: s["spec"].update(type="LoadBalancer"))
    assert space.call("PATCH", path + "/status", load, MERGE_PATCH).ok()["status"]["loadBalancer"] == load["status"]["loadBalancer"]


def check_the_server_is_a_service(space):
    found = space.call("GET", "/api/v1/services").ok()["items"]
    assert ("default", "kubernetes") in [(s["metadata"]["namespace"], s["metadata"]["name"]) for s in found]


def check_namespaces(space):
    """Its finalizers hold it; content goes with it; status and labels change."""
    path = f"/api/v1/namespaces/{space.name}-x"
    space.call("POST", "/api/v1/namespaces", {"metadata": {"name": space.name + "-x"}}).ok()
    assert space.call("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, STRATEGIC_PATCH).ok()["metadata"]["labels"]["a"] == "b"
    condition = {"type": "Patched", "status": "True", "reason": "x", "message": "y", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    found = space.call("PATCH", path + "/status", {"status": {"conditions": [condition]}}, MERGE_PATCH).ok()
    assert found["status"]["phase"] == "Active" and found["status"]["conditions"][0]["type"] == "Patched"
    held = space.call("GET", path).ok()
    held["spec"]["finalizers"].append("example.com/hold")
    assert "example.com/hold" in space.call("PUT", path + "/finalize", held).ok()["spec"]["finalizers"]
    space.call("POST", path + "/pods", {"metadata": {"name": "p"}, "spec": SPEC}).ok()
    space.call("POST", path + "/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}).ok()
    space.call("DELETE", path).ok()
    wait_until(lambda: not space.call("GET", path + "/pods").ok()["items"] and not space.call("GET", path + "/services").ok()["items"], 60, "no content")
    space.call("POST", path + "/configmaps", {"metadata": {"name": "late"}}).refused(403, "being terminated")
    wait_until(lambda: space.call("GET", path).ok()["spec"]["finalizers"] == ["example.com/hold"], 60, "only our finalizer")
    held = space.call("GET", path).ok()
    held["spec"]["finalizers"] = []
    space.call("PUT", path + "/finalize", held).ok()
    wait_until(lambda: space.call("GET", path).code == 404, 60, "the namespace is gone")


def check_events_in_both_groups(space):
    """One event, seen through both APIs; its note is the other's message."""
    path = space.path("events", "events.k8s.io/v1")
    space.call("POST", path, {"metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "example.com/x",
                              "reportingInstance": "x", "action": "Did", "reason": "Reason", "type": "Normal", "note": "first",
                              "regarding": {"kind": "Pod", "name": "x", "namespace": space.name}}).ok()
    assert space.call("GET", space.path("events") + "/e").ok()["message"] == "first"
    space.call("PATCH", space.path("events") + "/e", {"message": "second"}, MERGE_PATCH).ok()
    assert space.call("GET", path + "/e").ok()["note"] == "second"
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
    assert space.update(path + "/e", lambda e: e.update(series=series))["series"]["count"] == 2
    space.call("DELETE", path).ok()
    assert not space.call("GET", space.path("events")).ok()["items"]


def check_accounts_and_tokens(space):
    """A token is its account's, bound to a life time, and reviewed."""
    space.make("serviceaccounts", "robot")
    path = space.path("serviceaccounts") + "/robot/token"
    given = space.call("POST", path, {"spec": {"expirationSeconds": 3600, "audiences": ["https://kubernetes.default.svc"]}})
    if given.code >= 300:
        given = space.call("POST", path, {"spec": {"expirationSeconds": 3600}})
    token = given.ok()["status"]["token"]
    user = f"system:serviceaccount:{space.name}:robot"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = space.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).ok()["status"]
    assert status["authenticated"] and status["user"]["username"] == user
    review["spec"]["token"] = token[:-4] + "AAAA"
    assert not space.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).ok()["status"].get("authenticated")
    space.control.request("GET", space.path("pods"), token=token).refused(403, "cannot list resource")
    space.control.request("GET", space.path("pods"), token="nobodys").refused(401)
    role = {"metadata": {"name": "reader"}, "rules": [{"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}]}
    space.call("POST", space.path("roles", "rbac.authorization.k8s.io/v1"), role).ok()
    binding = {"metadata": {"name": "reader"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
               "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": space.name}]}
    space.call("POST", space.path("rolebindings", "rbac.authorization.k8s.io/v1"), binding).ok()
    space.control.request("GET", space.path("pods"), token=token).ok()
    space.control.request("GET", "/api/v1/pods", token=token).refused(403)
    for resource, wanted in (("pods", True), ("secrets", False)):
        attributes = {"verb": "list", "resource": resource, "namespace": space.name}
        body = {"spec": {"user": user, "resourceAttributes": attributes}}
        for where in ("/apis/authorization.k8s.io/v1/subjectaccessreviews", space.path("localsubjectaccessreviews", "authorization.k8s.io/v1")):
            assert space.call("POST", where, body).ok()["status"]["allowed"] is wanted
        as_robot = space.control.request("GET", space.path(resource), token=TOKEN, headers=[("Impersonate-User", user)])
        assert as_robot.code == (200 if wanted else 403), as_robot.raw


def check_tokens_are_mounted_unless_refused(space):
    wait_until(lambda: space.call("GET", space.path("serviceaccounts") + "/default").code == 200, 60, "the default account")
    space.make("serviceaccounts", "shy", automountServiceAccountToken=False)
    mount = "/var/run/secrets/kubernetes.io/serviceaccount"
    for name, account, own, wanted in (("a", "default", None, True), ("b", "default", False, False), ("c", "shy", None, False), ("d", "shy", True, True)):
        spec = {**SPEC, "serviceAccountName": account, **({} if own is None else {"automountServiceAccountToken": own})}
        made = space.make("pods", name, spec=spec)["spec"]
        assert (mount in [m["mountPath"] for m in made["containers"][0].get("volumeMounts", [])]) is wanted, name


def check_root_certificate_is_restored(space):
    path = space.path("configmaps") + "/kube-root-ca.crt"
    first = wait_until(lambda: (a := space.call("GET", path)).code == 200 and a.body, 60, "the map")
    space.call("DELETE", path).ok()
    wait_until(lambda: (a := space.call("GET", path)).code == 200 and a.body["metadata"]["uid"] != first["metadata"]["uid"], 60, "made again")
    space.call("PATCH", path, {"data": {"ca.crt": "nonsense"}}, MERGE_PATCH).ok()
    wait_until(lambda: space.call("GET", path).ok()["data"] == first["data"], 60, "put right again")


def check_priority_classes(space):
    high = space.name + "-high"
    space.call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": high}, "value": 1000}).ok()
    space.call("PATCH", f"/apis/scheduling.k8s.io/v1/priorityclasses/{high}", {"value": 5}, MERGE_PATCH).refused(422, "value")
    assert space.make("pods", "p", spec={**SPEC, "priorityClassName": high})["spec"]["priority"] == 1000
    space.call("POST", space.path("pods"), {"metadata": {"name": "q"}, "spec": {**SPEC, "priorityClassName": "none-such"}}).refused(403, "none-such")
    space.call("DELETE", f"/apis/scheduling.k8s.io/v1/priorityclasses/{high}").ok()


def check_signing_requests_are_approved(space):
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    name = space.name
    space.call("POST", path, {"metadata": {"name": name}, "spec": {"request": "LS0tLS1CRUdJTg==", "signerName": "example.com/x", "usages": ["client auth"]}}).ok()
    approval = {"type": "Approved", "status": "True", "reason": "Test", "message": "m"}
    space.update(f"{path}/{name}/approval", lambda c: c.setdefault("status", {}).update(conditions=[approval]))
    assert space.call("GET", f"{path}/{name}").ok()["status"]["conditions"][0]["type"] == "Approved"
    space.call("DELETE", f"{path}/{name}").ok()


if __name__ == "__main__":
    sys.exit(main(globals(), Space))
