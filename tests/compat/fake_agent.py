#!/usr/bin/env python3
"""A node agent that runs nothing: registers nodes, renews their leases, and reports every pod that
is bound to them as running and ready. For tests of the control plane alone.

    fake_agent.py http://127.0.0.1:8080 node-a node-b ...
"""
import datetime
import json
import sys
import threading
import time
import urllib.error
import urllib.request

SERVER = sys.argv[1]
NODES = sys.argv[2:]


def call(method, path, body=None, content_type="application/json"):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SERVER + path, data=data, method=method)
    request.add_header("Content-Type", content_type)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def register(name, index):
    call("POST", "/api/v1/nodes", {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name,
                                              "kubernetes.io/os": "linux"}}})
    status = {
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"},
        "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"},
        "addresses": [{"type": "InternalIP", "address": f"10.0.0.{index + 1}"}],
        "nodeInfo": {"kubeletVersion": "v1.32.5+fake", "osImage": "fake", "kernelVersion": "0",
                     "containerRuntimeVersion": "fake://1", "architecture": "amd64",
                     "bootID": "", "machineID": "", "systemUUID": "", "operatingSystem": "linux",
                     "kubeProxyVersion": ""},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                        "message": "fake", "lastHeartbeatTime": now(),
                        "lastTransitionTime": now()}],
    }
    call("PATCH", f"/api/v1/nodes/{name}/status", {"status": status},
         "application/merge-patch+json")


def renew():
    while True:
        for name in NODES:
            lease = {"metadata": {"name": name, "namespace": "kube-node-lease"},
                     "spec": {"holderIdentity": name, "leaseDurationSeconds": 40,
                              "renewTime": now().replace("Z", ".000000Z")}}
            path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
            code, _ = call("PUT", f"{path}/{name}", lease)
            if code == 404:
                call("POST", path, lease)
        time.sleep(10)


def address_of(pod):
    return "10.244.%d.%d" % (hash(pod["metadata"]["uid"]) % 250,
                             hash(pod["metadata"]["name"]) % 250 + 1)


def start(pod):
    at = now()
    containers = [{"name": c["name"], "image": c["image"], "imageID": "", "ready": True,
                   "started": True, "restartCount": 0, "state": {"running": {"startedAt": at}}}
                  for c in pod["spec"]["containers"]]
    conditions = [{"type": t, "status": "True", "lastTransitionTime": at}
                  for t in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
    phase = "Running"
    if pod["spec"].get("restartPolicy") != "Always":
        phase = "Failed" if "fail" in pod["spec"]["containers"][0]["image"] else "Succeeded"
        conditions[3]["status"] = "False"
        for container in containers:
            container["ready"] = False
            container["state"] = {"terminated": {"exitCode": 0 if phase == "Succeeded" else 1,
                                                 "reason": "Completed", "startedAt": at,
                                                 "finishedAt": at}}
    status = {"phase": phase, "podIP": address_of(pod), "podIPs": [{"ip": address_of(pod)}],
              "startTime": at, "conditions": conditions, "containerStatuses": containers}
    call("PATCH", "/api/v1/namespaces/%s/pods/%s/status" % (
        pod["metadata"]["namespace"], pod["metadata"]["name"]),
        {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status},
        "application/merge-patch+json")


def see(pod):
    if pod["spec"].get("nodeName") not in NODES:
        return
    if "deletionTimestamp" in pod["metadata"]:
        call("DELETE", "/api/v1/namespaces/%s/pods/%s" % (
            pod["metadata"]["namespace"], pod["metadata"]["name"]),
            {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}})
    elif pod["status"].get("phase") == "Pending" and "never" not in str(pod["spec"]["containers"]):
        start(pod)


def watch():
    while True:
        try:
            with urllib.request.urlopen(SERVER + "/api/v1/pods?watch=true", timeout=3600) as lines:
                for line in lines:
                    event = json.loads(line)
                    if event["type"] in ("ADDED", "MODIFIED"):
                        see(event["object"])
        except (OSError, ValueError, KeyError):
            time.sleep(0.2)


for number, node in enumerate(NODES):
    register(node, number)
threading.Thread(target=renew, daemon=True).start()
print("ready", flush=True)
watch()
