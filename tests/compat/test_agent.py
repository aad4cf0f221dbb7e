#!/usr/bin/env python3
"""The node agent, seen through the real kubectl: pods of every kind on one node in a network namespace of its own."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import wait_until  # noqa: E402
from node import NODE_IP, PATIENCE, Node, require_node  # noqa: E402

BEGAN = time.monotonic()
STAY = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"

OBJECTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue, size: large}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {password: pssst}
---
"""

FULL = f"""
apiVersion: v1
kind: Pod
metadata: {{name: full, labels: {{app: full}}}}
spec:
  terminationGracePeriodSeconds: 5
  securityContext: {{fsGroup: 2000, supplementalGroups: [3000]}}
  initContainers:
  - {{name: first, image: "busybox:1", command: [sh, -c, "echo from-init >/work/first; id -G"], volumeMounts: [{{name: work, mountPath: /work}}]}}
  - name: helper
    image: busybox:1
    restartPolicy: Always
    command: [sh, -c, "{STAY}"]
    startupProbe: {{exec: {{command: [/bin/true]}}, periodSeconds: 1}}
  containers:
  - name: main
    image: busybox:1
    command: [sh, -c, "echo out; echo err >&2; mkdir /srv; echo hello >/srv/index.html; httpd -p 8000 -h /srv; {STAY}"]
    stdin: true
    ports: [{{name: web, containerPort: 8000}}]
    env:
    - {{name: COLOR, valueFrom: {{configMapKeyRef: {{name: settings, key: color}}}}}}
    - {{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: hidden, key: password}}}}}}
    - {{name: POD_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}
    - {{name: CPU, valueFrom: {{resourceFieldRef: {{resource: limits.cpu, divisor: 1m}}}}}}
    - {{name: JOINED, value: "$(COLOR)-$$(COLOR)-$(NONE)"}}
    envFrom: [{{prefix: S_, configMapRef: {{name: settings}}}}]
    resources: {{limits: {{cpu: 500m, memory: 64Mi}}}}
    startupProbe: {{tcpSocket: {{port: web}}, periodSeconds: 1, failureThreshold: 60}}
    readinessProbe: {{httpGet: {{port: web, path: /}}, periodSeconds: 1, failureThreshold: 60}}
    livenessProbe: {{exec: {{command: [test, -e, /srv]}}, periodSeconds: 1, timeoutSeconds: 60}}
    lifecycle:
      postStart: {{exec: {{command: [sh, -c, "echo started >/work/hook"]}}}}
    volumeMounts:
    - {{name: work, mountPath: /work}}
    - {{name: memory, mountPath: /memory}}
    - {{name: map, mountPath: /map}}
    - {{name: map, mountPath: /only, subPath: color}}
    - {{name: secret, mountPath: /secret, readOnly: true}}
    - {{name: all, mountPath: /all}}
    - {{name: host, mountPath: /host}}
  volumes:
  - {{name: work, emptyDir: {{}}}}
  - {{name: memory, emptyDir: {{medium: Memory, sizeLimit: 1Mi}}}}
  - {{name: map, configMap: {{name: settings}}}}
  - {{name: secret, secret: {{secretName: hidden, defaultMode: 0400}}}}
  - {{name: host, hostPath: {{path: HOSTPATH, type: DirectoryOrCreate}}}}
  - name: all
    projected:
      sources:
      - configMap: {{name: settings, items: [{{key: size, path: deep/size}}]}}
      - downwardAPI: {{items: [{{path: labels, fieldRef: {{fieldPath: metadata.labels}}}}]}}
"""

OTHERS = f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: crash}}
spec: {{containers: [{{name: c, image: "busybox:1", command: [sh, -c, "echo run; echo why >/dev/termination-log; exit 7"]}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: once}}
spec:
  restartPolicy: Never
  containers: [{{name: c, image: "busybox:1", terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, "echo last words; exit 3"]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: done}}
spec:
  restartPolicy: OnFailure
  securityContext: {{runAsUser: 1000, runAsNonRoot: true}}
  containers: [{{name: c, image: "busybox:1", command: [id, -u]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: noimage}}
spec: {{containers: [{{name: c, image: "127.0.0.1:1/nosuch:1", command: [sh]}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: badcommand}}
spec: {{containers: [{{name: c, image: "busybox:1", command: [/no/such/program]}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: badconfig}}
spec: {{containers: [{{name: c, image: "busybox:1", command: [sh], envFrom: [{{configMapRef: {{name: nosuch}}}}]}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: sick}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: busybox:1
    command: [sh, -c, "{STAY}"]
    livenessProbe: {{exec: {{command: [/bin/false]}}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}}
"""


def step(name):
    print(f"{time.monotonic() - BEGAN:6.1f} s  {name}", flush=True)


def expect(actual, wanted, what):
    if actual != wanted:
        raise AssertionError(f"{what}: {actual!r} instead of {wanted!r}")


def has(text, part):
    if part not in text:
        raise AssertionError(f"'{part}' is not in:\n{text}")


def waiting(node, pod):
    return node.container_status(pod).get("state", {}).get("waiting", {})


def check_surroundings(node):
    """Environment, volumes, users and limits of the pod "full"."""
    env = node.exec("full", "env", container="main").stdout
    address = node.pod_status("full")["podIP"]
    for line in ("COLOR=blue", "PASSWORD=pssst", f"POD_IP={address}", "CPU=500", "JOINED=blue-$(COLOR)-$(NONE)",
                 "S_size=large", "HOSTNAME=full", "KUBERNETES_SERVICE_HOST=10.96.0.1"):
        has(env, line + "\n")
    script = "cat /work/first /work/hook /map/color /only /secret/password /all/deep/size /all/labels; echo; " \
             "stat -c %a /secret/..data/password; stat -c %g /work; id -G; cat /etc/hosts; echo seen >/host/here; " \
             "test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token"
    lines = node.exec("full", "sh", "-c", script, container="main").stdout
    for part in ("from-init\nstarted\nblue", "large", 'app="full"', "\n440\n2000\n", " 2000", " 3000", f"{address}\tfull",
                 "token\n"):
        has(lines, part)
    expect((node.directory / "hostpath" / "here").read_text(), "seen\n", "hostPath")
    full = node.exec("full", "sh", "-c", "head -c 2000000 /dev/zero >/memory/x", container="main", check=False)
    expect(full.returncode, 1, "writing more than the limit of a volume in memory")
    limits = [p.read_text().strip() for p in pathlib.Path("/sys/fs/cgroup").rglob(f"*{node.cgroup}*/**/memory.limit_in_bytes")]
    limits += [p.read_text().strip() for p in pathlib.Path("/sys/fs/cgroup").rglob(f"*{node.cgroup}*/**/memory.max")]
    has(" ".join(limits), str(64 << 20))
    expect(node.get("pod", "full")["status"]["qosClass"], "Burstable", "QoS class")


def check_streams(node):
    """logs, exec, attach, cp and port-forward."""
    expect(node.kubectl("logs", "full", "-c", "main").stdout, "out\nerr\n", "logs")
    expect(node.kubectl("logs", "full", "-c", "main", "--tail=1").stdout, "err\n", "logs --tail")
    has(node.kubectl("logs", "full", "-c", "main", "--timestamps").stdout, "Z out\n")
    has(node.kubectl("logs", "full", "-c", "first").stdout, "2000")
    has(node.kubectl("logs", "nosuch", check=False).stderr, "not found")
    result = node.exec("full", "sh", "-c", "cat; echo oops >&2; exit 5", container="main", stdin="input", check=False)
    expect((result.returncode, result.stdout), (5, "input"), "exec")
    has(result.stderr, "oops")
    has(node.exec("full", "nosuchprogram", container="main", check=False).stderr, "nosuchprogram")
    large = "x" * 3_000_000
    expect(node.exec("full", "wc", "-c", container="main", stdin=large).stdout.strip(), str(len(large)), "a large input")
    expect(len(node.exec("full", "sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' a", container="main").stdout), 5_000_000,
           "a large output")
    (node.directory / "file").write_text("copied")
    node.kubectl("cp", str(node.directory / "file"), "full:/work/copied", "-c", "main")
    expect(node.exec("full", "cat", "/work/copied", container="main").stdout, "copied", "cp")
    check_port_forward(node)


def check_port_forward(node):
    forward = node.open_kubectl("port-forward", "pod/full", ":8000")
    try:
        line = forward.stdout.readline()
        has(line, "Forwarding from")
        port = line.split(":")[1].split()[0]
        for _ in range(3):
            expect(node.inside("busybox", "wget", "-qO-", f"http://127.0.0.1:{port}/").stdout, "hello\n", "port-forward")
    finally:
        forward.kill()
        forward.wait()
        forward.stdout.close()


def check_attach(node):
    """kubectl run -i attaches; its input reaches the program, its end ends the command."""
    node.kubectl("run", "listener", "--image=busybox:1", "--restart=Never", "-i", "--command", "--", "sh", "-c",
                 "read line; echo got $line", stdin="something\n")
    wait_until(lambda: node.pod_status("listener").get("phase") == "Succeeded", PATIENCE, "the listener ended")
    expect(node.kubectl("logs", "-f", "listener").stdout, "got something\n", "logs -f of a container that ended")


def check_follow(node):
    """logs -f shows what is written while it runs, and ends with the container."""
    node.kubectl("run", "talker", "--image=busybox:1", "--restart=Never", "--command", "--", "sh", "-c",
                 "echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two")
    wait_until(lambda: node.container_status("talker").get("state", {}).get("running"), PATIENCE, "the talker runs")
    follow = node.open_kubectl("logs", "-f", "talker")
    expect(follow.stdout.readline(), "one\n", "the first line")
    node.exec("talker", "touch", "/go")
    rest, _ = follow.communicate(timeout=PATIENCE)
    expect(rest, "two\n", "the followed line")


def check_bad_pods(node):
    def crashed():
        status = node.container_status("crash")
        return status.get("restartCount", 0) >= 1 and waiting(node, "crash").get("reason") == "CrashLoopBackOff" and status
    status = wait_until(crashed, PATIENCE, "crash loops")
    last = status["lastState"]["terminated"]
    expect((last["exitCode"], last["reason"], last["message"]), (7, "Error", "why\n"), "how it ended")
    expect(node.kubectl("logs", "--previous", "crash").stdout, "run\n", "logs --previous")
    wait_until(lambda: node.pod_status("once").get("phase") == "Failed", PATIENCE, "once failed")
    ended = node.container_status("once")["state"]["terminated"]
    expect((ended["exitCode"], ended["message"]), (3, "last words\n"), "the last words")
    wait_until(lambda: node.pod_status("done").get("phase") == "Succeeded", PATIENCE, "done succeeded")
    expect(node.kubectl("logs", "done").stdout, "1000\n", "the user")
    wait_until(lambda: waiting(node, "noimage").get("reason") in ("ErrImagePull", "ImagePullBackOff"), PATIENCE, "ErrImagePull")
    has(node.kubectl("get", "events", "--field-selector", "involvedObject.name=noimage").stdout, "Failed to pull image")
    wait_until(lambda: node.container_status("badcommand").get("restartCount", 0) >= 1, PATIENCE, "badcommand is tried again")
    has(str(node.container_status("badcommand")), "no such file")
    wait_until(lambda: waiting(node, "badconfig").get("reason") == "CreateContainerConfigError", PATIENCE, "a missing ConfigMap")
    has(waiting(node, "badconfig")["message"], 'configmap "nosuch" not found')
    wait_until(lambda: node.container_status("sick").get("restartCount", 0) >= 1, PATIENCE, "a sick container is restarted")
    has(node.kubectl("get", "events", "--field-selector", "involvedObject.name=sick").stdout, "Liveness probe failed")


def check_live_update(node):
    node.kubectl("patch", "configmap", "settings", "-p", '{"data":{"color":"red"}}')
    wait_until(lambda: node.exec("full", "cat", "/map/color", container="main").stdout == "red", PATIENCE, "the new file")
    expect(node.exec("full", "cat", "/only", container="main").stdout, "blue", "a subPath stays as it was")


def check_agent_restart(node):
    """A killed agent takes nothing with it; the next one adopts what runs, and what ended meanwhile."""
    node.kubectl("run", "mortal", "--image=busybox:1", "--restart=Never", "--command", "--", "sh", "-c",
                 "while [ ! -e /work ]; do sleep 0.1; done; exit 9")
    wait_until(lambda: node.container_status("mortal").get("state", {}).get("running"), PATIENCE, "mortal runs")
    before = node.container_status("full", "main")
    node.exec("mortal", "sh", "-c", "(sleep 1; touch /work) >/dev/null 2>&1 </dev/null &")
    node.kill_agent()
    exit_files = node.data / "pods"
    wait_until(lambda: any("\"exitCode\":9" in f.read_text() for f in exit_files.rglob("exit.json")), PATIENCE,
               "mortal ended without an agent")
    node.start_agent()
    wait_until(lambda: node.container_status("mortal").get("state", {}).get("terminated", {}).get("exitCode") == 9, PATIENCE,
               "the exit is told afterwards")
    after = node.container_status("full", "main")
    expect((after["containerID"], after["restartCount"], after["state"]), (before["containerID"], 0, before["state"]),
           "the container that ran on")
    expect(after["ready"], True, "ready all the time")
    expect(node.exec("full", "cat", "/work/first", container="main").stdout, "from-init\n", "exec after the restart")


def check_top(node):
    """Used CPU and memory, measured twice."""
    wait_until(lambda: "full" in node.kubectl("top", "pods", check=False).stdout, PATIENCE, "kubectl top pods knows the pod")
    has(node.kubectl("top", "pod", "full", "--containers").stdout, "main")
    has(node.kubectl("top", "nodes").stdout, node.name)


def check_eviction(node):
    """A node that has too little memory says so and sends pods away."""
    node.kill_agent()
    node.start_agent("--eviction-memory", "1000Ti")
    wait_until(lambda: any(c["type"] == "MemoryPressure" and c["status"] == "True"
                           for c in node.get("node", node.name)["status"]["conditions"]), PATIENCE, "pressure is told")
    evicted = wait_until(lambda: [p for p in node.get("pods")["items"] if p["status"].get("reason") == "Evicted"], PATIENCE,
                         "a pod is evicted")
    expect(evicted[0]["status"]["phase"], "Failed", "its phase")
    has(evicted[0]["status"]["message"], "low on resource: memory")
    node.kill_agent()
    node.start_agent()


def check_removal(node):
    node.kubectl("delete", "pods", "--all", "--wait=true", "--grace-period=2")
    wait_until(lambda: not list((node.data / "pods").iterdir()), PATIENCE, "no files of pods")
    expect(node.mounts(), [], "mounts")
    pods = [p for top in node.cgroup_directories() for p in top.rglob("pod*") if p.is_dir()]
    expect(pods, [], "control groups of pods")
    bridge = node.inside("ip", "-o", "link", "show", "master", "cni0").stdout
    expect(bridge, "", "links of pods")


def main():
    require_node()
    with Node() as node:
        wait_until(lambda: "True" in str([c for c in node.get("node", node.name).get("status", {}).get("conditions", [])
                                          if c["type"] == "Ready"]), PATIENCE, "the node is ready")
        expect(node.get("node", node.name)["status"]["addresses"][0]["address"], NODE_IP, "the node's address")
        step("the node is ready")
        node.apply(OBJECTS + FULL.replace("HOSTPATH", str(node.directory / "hostpath")) + OTHERS)
        node.wait_ready("full")
        step("surroundings")
        check_surroundings(node)
        step("streams")
        check_streams(node)
        step("attach")
        check_attach(node)
        step("follow")
        check_follow(node)
        step("bad pods")
        check_bad_pods(node)
        step("live update")
        check_live_update(node)
        step("top")
        check_top(node)
        step("agent restart")
        check_agent_restart(node)
        step("eviction")
        check_eviction(node)
        step("removal")
        check_removal(node)
    step("ok")


if __name__ == "__main__":
    main()
