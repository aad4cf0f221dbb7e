#!/bin/bash
# Many containers by kvctl, some killed with their shims or their kvctl at any step: afterwards there is no process, mount,
# cgroup, interface, port rule, lease or file more than before. LEAK_COUNT=500 for the long one (40 in CI).
if [ "${CORACLE_TEST_INSIDE:-}" != yes ]; then
    [ "$(id -u)" = 0 ] || { echo "SKIP: needs root"; exit 77; }
    exec env CORACLE_TEST_INSIDE=yes unshare -n -m --propagation private bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
bin=$(dirname "$KVRUN")
count=${LEAK_COUNT:-40}
export CORACLE_ROOT=$W/root CORACLE_RUN=$W/run
k() { timeout 300 "$bin/kvctl-container" "$@"; }
ip link set lo up
make_rootfs "$W/rootfs"
tar -C "$W/rootfs" -cf "$W/rootfs.tar" .
quiet() { "$@" >/dev/null; }
ok "an image" quiet k import "$W/rootfs.tar" bb
ok "the first container" k run --rm bb true

# Everything that a container may leave. The cgroup of kvctl's containers is named by their ids.
inventory() {
    ip -o link | wc -l
    grep -c " $W" /proc/self/mountinfo # not all: the host's may come and go
    find "$W/run" "$W/root/containers" "$W/root/names" | wc -l
    find /sys/fs/cgroup -path '*/coracle/*' -name cgroup.procs 2>/dev/null | grep -c -F -f <(ids_of_ours)
    nft list table ip coracle 2>/dev/null | grep -c 'tcp \. '
    grep -c '"Owner"\|"owner"' "$W"/root/networks/*.leases 2>/dev/null
    ours_running
}
ids_of_ours() { cat "$W/ids" 2>/dev/null; echo none; }
ours_running() {
    local environment pid
    for environment in $(grep -lz "CORACLE_ROOT=$W/root" /proc/[0-9]*/environ 2>/dev/null); do
        pid=${environment#/proc/}
        case "$(cat "/proc/${pid%/environ}/comm" 2>/dev/null)" in kvshim | kvmonitor | kvrun) echo "${pid%/environ}" ;; esac
    done | wc -l
}
before=$(inventory)
clean_up_words() { k rm -f $(k ps -aq) >/dev/null 2>&1; }
kept=$(declare -f clean_up)
eval "own_$kept"
clean_up() { clean_up_words; own_clean_up; }

one() { # in as many ways as people do it
    case $(($1 % 5)) in
    0) k run --rm bb true ;;
    1) k run --rm -p 127.0.0.1:0:80 bb sh -c 'exit 0' ;;
    2) k run -d --rm bb sleep 0.01 ;;
    3) k run --name "n$1" bb true && k rm "n$1" ;;
    4) # killed at any step, then cleaned up by the next who looks
        "$bin/kvctl-container" run --name "n$1" -p 0:80 bb sleep 1000 >/dev/null 2>&1 &
        local victim=$!
        sleep "0.$(printf '%03d' $(($1 * 7 % 200)))"
        kill -9 "$victim" 2>/dev/null
        wait "$victim" 2>/dev/null
        k rm -f "n$1" ;;
    esac
}
for number in $(seq "$count"); do
    one "$number" >/dev/null 2>&1
    k ps -aq --no-trunc >>"$W/ids" 2>/dev/null
done
# Whoever was killed between making a container and writing its name has left one without a name.
k system prune -f >/dev/null
settled() { [ "$(k ps -aq | wc -l)" = 0 ] && [ "$(inventory)" = "$before" ]; }
wait_until settled
is "after $count containers nothing is left" "$(inventory | tr '\n' ' ')" "$(tr '\n' ' ' <<<"$before")"
is "no container" "$(k ps -aq)" ""
finish
