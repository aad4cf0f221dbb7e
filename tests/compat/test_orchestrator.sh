#!/bin/bash
# The orchestrator driven by the real kubectl: store, orchd and a fake agent on the loopback, then one
# command of each family. Ends with 77 (skipped) where kubectl is missing.
#
#     test_orchestrator.sh [folder with kvd and orchd; default: CORACLE_BIN]
#
# KUBECTL names another kubectl; PORT the first of six ports (default 21310).
set -u
BIN=${1:-$CORACLE_BIN}
PORT=${PORT:-21310}
KUBECTL=${KUBECTL:-kubectl}
HERE=$(cd "$(dirname "$0")" && pwd)
command -v "$KUBECTL" >/dev/null || { echo "SKIP: no $KUBECTL here"; exit 77; }
command -v python3 >/dev/null || { echo "SKIP: no python3 here"; exit 77; }

DIR=$(mktemp -d)
PIDS=()
cleanup() {
    for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$DIR"
}
trap cleanup EXIT

fail() {
    echo "FAIL: $*"
    tail -n 8 "$DIR"/*.log
    exit 1
}

STORE=http://127.0.0.1:$PORT
PEER=http://127.0.0.1:$((PORT + 1))
API=http://127.0.0.1:$((PORT + 2))
"$BIN/kvd" --data-dir "$DIR/kv" --listen-client-urls "$STORE" --advertise-client-urls "$STORE" \
    --listen-peer-urls "$PEER" --initial-advertise-peer-urls "$PEER" \
    --initial-cluster "default=$PEER" >"$DIR/kvd.log" 2>&1 &
PIDS+=($!)
head -c 48 /dev/urandom >"$DIR/token.key"
"$BIN/orchd" --endpoints "127.0.0.1:$PORT" --insecure-port $((PORT + 2)) \
    --token-key-file "$DIR/token.key" >"$DIR/orchd.log" 2>&1 &
PIDS+=($!)
for _ in $(seq 100); do
    python3 -c "import urllib.request; urllib.request.urlopen('$API/readyz')" 2>/dev/null && break
    sleep 0.1
done
python3 "$HERE/fake_agent.py" "$API" n1 n2 n3 >"$DIR/agent.log" 2>&1 &
PIDS+=($!)

export HOME=$DIR KUBECONFIG=$DIR/kubeconfig
cat >"$KUBECONFIG" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "$API"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
users: [{name: u, user: {}}]
EOF
k() { timeout 30 "$KUBECTL" "$@"; }

# expect TEXT COMMAND...: the command succeeds and its output contains the text.
expect() {
    local text=$1
    shift
    local out
    out=$("$@" 2>&1) || fail "'$*' failed: $out"
    [[ $out == *"$text"* ]] || fail "'$*' said '$out' instead of '$text'"
    echo "ok: ${*:2}"
}
# refuse TEXT COMMAND...: the command fails with the text.
refuse() {
    local text=$1
    shift
    local out
    out=$("$@" 2>&1) && fail "'$*' succeeded: $out"
    [[ $out == *"$text"* ]] || fail "'$*' said '$out' instead of '$text'"
    echo "ok: refused: ${*:2}"
}
eventually() {
    local text=$1
    shift
    for _ in $(seq 100); do
        [[ $("$@" 2>&1) == *"$text"* ]] && { echo "ok: ${*:2}"; return; }
        sleep 0.1
    done
    fail "'$*' never said '$text': $("$@" 2>&1)"
}

expect coracle k version
expect deployments k api-resources
expect apps/v1 k api-versions
eventually n3 k get nodes
eventually kube-root-ca.crt k get configmaps

cat >"$DIR/web.yaml" <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "web:1", ports: [{containerPort: 80}]}]}
EOF
expect created k apply -f "$DIR/web.yaml"
expect "successfully rolled out" k rollout status deploy/web
expect unchanged k apply -f "$DIR/web.yaml"
sed -i s/web:1/web:2/ "$DIR/web.yaml"
refuse "web:2" k diff -f "$DIR/web.yaml" # it ends with 1 where there is a difference
expect configured k apply -f "$DIR/web.yaml"
expect "successfully rolled out" k rollout status deploy/web
expect 2 k rollout history deploy/web
expect "rolled back" k rollout undo deploy/web
expect "successfully rolled out" k rollout status deploy/web
expect web:1 k get deploy web -o wide
expect scaled k scale deploy web --replicas=5
expect "successfully rolled out" k rollout status deploy/web
expect 5/5 k get deploy web
expect updated k set image deploy/web c=web:3
expect updated k set env deploy/web A=b
expect paused k rollout pause deploy/web
expect resumed k rollout resume deploy/web
expect restarted k rollout restart deploy/web
expect labeled k label deploy web x=y
expect annotated k annotate deploy web note=hi
expect patched k patch deploy web -p '{"spec":{"minReadySeconds":0,"revisionHistoryLimit":3}}'
expect patched k patch deploy web --type=merge -p '{"spec":{"revisionHistoryLimit":4}}'
expect patched k patch deploy web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":3}]'
expect exposed k expose deploy web --port=80
expect TargetPort k describe svc web
expect Endpoints k describe svc web
expect Replicas k describe deploy web
expect "condition met" k wait --for=condition=available deploy/web
expect ScalingReplicaSet k get events
expect FIELDS k explain deployment.spec.strategy

expect created k create configmap c1 --from-literal=a=b
expect '"a":"b"' k get configmap c1 -o json --output=jsonpath='{.data}'
expect created k create secret generic s1 --from-literal=a=b
expect created k create job once --image=job:1
expect "condition met" k wait --for=condition=complete job/once
expect created k create cronjob cj --image=job:1 --schedule='* * * * *'
expect created k create job manual --from=cronjob/cj
expect created k create namespace other
expect created k create role reader --verb=get --resource=pods
expect created k create quota q -n other --hard=pods=1
expect created k create pdb p --selector=app=web --min-available=2
expect created k run solo --image=web:1
expect "condition met" k wait --for=condition=ready pod/solo
expect Tolerations k describe pod solo
expect eyJ k create token default
expect system:admin k auth whoami
expect yes k auth can-i create pods
expect serverside-applied k apply --server-side --force-conflicts -f "$DIR/web.yaml"
expect autoscaled k autoscale deploy web --min=1 --max=4
expect "dry run" k create configmap c2 --from-literal=a=b --dry-run=server
refuse NotFound k get configmap c2
refuse "already exists" k create configmap c1
refuse 'namespaces "nowhere" not found' k create configmap c1 -n nowhere
refuse "doesn't have a resource type" k get gadgets
sed 's/replicas: 3/replicas: three/' "$DIR/web.yaml" >"$DIR/bad.yaml"
refuse "cannot unmarshal string" k apply -f "$DIR/bad.yaml"
sed 's/replicas: 3/replicaas: 3/' "$DIR/web.yaml" >"$DIR/bad.yaml"
refuse 'unknown field "spec.replicaas"' k apply -f "$DIR/bad.yaml"
sed 's/name: c, image/name: C, image/' "$DIR/web.yaml" >"$DIR/bad.yaml"
refuse 'spec.template.spec.containers[' k apply -f "$DIR/bad.yaml"

expect tainted k taint node n1 k=v:NoSchedule
expect untainted k taint node n1 k-
expect drained k drain n2 --ignore-daemonsets --force
expect SchedulingDisabled k get node n2
expect uncordoned k uncordon n2
expect deleted k delete deploy web
eventually "not found" k get deploy web
eventually "No resources" k get replicasets
expect created k run solo2 --image=web:1
expect solo2 k delete pod solo solo2 --ignore-not-found
expect deleted k delete namespace other
refuse Forbidden k delete namespace default
expect deleted k delete job,cronjob,configmap,secret,service,pdb,hpa,role --all
eventually "No resources" k get pods
grep -E '"level":"(error|fatal)"' "$DIR/orchd.log" && fail "orchd logged an error"
echo "PASS"
