#!/bin/bash
# Debian's podman drives kvrun, in storage of its own: what people and engines do with a runtime, unmodified.
if [ "${CORACLE_TEST_INSIDE:-}" != yes ]; then
    [ "$(id -u)" = 0 ] || { echo "SKIP: needs root"; exit 77; }
    exec env CORACLE_TEST_INSIDE=yes unshare -m --propagation private bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
command -v podman >/dev/null || skip "needs podman"
command -v conmon >/dev/null || skip "needs conmon"
unset XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_DATA_HOME
export HOME=$W/home CONTAINERS_CONF=$W/containers.conf CONTAINERS_STORAGE_CONF=$W/storage.conf
mkdir -p "$W/home" "$W/podman"
# Its own defaults ask for more descriptors and processes than a root without CAP_SYS_RESOURCE may give.
printf '[containers]\ndefault_ulimits = []\n[engine]\nevents_logger = "file"\n' >"$CONTAINERS_CONF"
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$W/podman/root" "$W/podman/run" >"$CONTAINERS_STORAGE_CONF"
pod() {
    timeout --foreground 300 podman --runtime="$KVRUN" --cgroup-manager=cgroupfs --tmpdir "$W/podman/tmp" \
        --log-level=error "$@"
}
kept_clean_up=$(declare -f clean_up)
eval "own_${kept_clean_up}"
clean_up() {
    pod rm -fa -t 0 >/dev/null 2>&1
    find /sys/fs/cgroup -depth -type d -path '*/libpod_parent/*' -exec rmdir {} + 2>/dev/null
    umount -R "$W/podman/root" 2>/dev/null
    umount -Rl /sys/fs/cgroup 2>/dev/null # the one of this namespace
    umount -Rl "$W/cgroup" 2>/dev/null
    own_clean_up
}
quiet() { "$@" >/dev/null; }
in_pod() { pod run --rm --network none --cgroup-parent "/$CG" "$@" 2>&1; }

# podman makes plain directories for controllers that are not mounted: it sees the host's hierarchies in a place of its own.
if [ "$(stat -f -c %T /sys/fs/cgroup)" = tmpfs ]; then
    mkdir "$W/cgroup"
    mount -t tmpfs tmpfs "$W/cgroup"
    for hierarchy in /sys/fs/cgroup/*; do
        [ -L "$hierarchy" ] && cp -P "$hierarchy" "$W/cgroup/"
        mountpoint -q "$hierarchy" || continue
        mkdir "$W/cgroup/${hierarchy##*/}"
        mount --bind "$hierarchy" "$W/cgroup/${hierarchy##*/}"
    done
    mount --rbind "$W/cgroup" /sys/fs/cgroup
fi

make_rootfs "$W/image"
tar -C "$W/image" -cf "$W/image.tar" .
ok "an image" quiet pod import -q "$W/image.tar" bb
is "run" "$(in_pod bb echo hello)" hello
in_pod bb sh -c 'exit 42' >/dev/null
is "the exit code" $? 42
in_pod bb /etc/passwd >/dev/null
is "a program that cannot be executed: 126" $? 126
in_pod bb /no/such >/dev/null
is "a program that is missing: 127" $? 127
is "-t has a terminal" "$(script -qec "$(declare -f pod); W='$W' KVRUN='$KVRUN'; pod run --rm -t --network none --cgroup-parent /$CG bb sh -c 'test -t 1 && echo tty'" /dev/null </dev/null | tr -d '\r\n')" tty
is "read-only with a tmpfs and without capabilities" "$(in_pod --read-only --tmpfs /scratch --cap-drop all bb sh -c 'touch /x 2>/dev/null || touch /scratch/x && sed -n "s/^CapBnd:.//p" /proc/self/status')" 0000000000000000
is "a user namespace" "$(in_pod --uidmap 0:100000:5000 --gidmap 0:100000:5000 bb cat /proc/self/uid_map | tr -s ' ')" " 0 100000 5000"
is "a volume" "$(in_pod -v "$W/image/etc:/mnt:ro" bb sh -c 'touch /mnt/x 2>/dev/null || cat /mnt/group | head -n 1')" "root:x:0:"

run_detached() { pod run -d --name c --network none --cgroup-parent "/$CG" --memory 64m --pids-limit 50 "$@" >/dev/null; }
ok "run -d with limits" run_detached bb sh -c 'echo started; trap "exit 5" TERM; while :; do sleep 1000 & wait; done'
wait_until sh -c "timeout 60 podman --tmpdir '$W/podman/tmp' logs c | grep -q started"
is "logs" "$(pod logs c)" started
is "exec" "$(pod exec c id -u)" 0
is "exec -u -w" "$(pod exec -u bob -w /tmp c sh -c 'echo $(id -un) $(pwd)')" "bob /tmp"
pod exec c sh -c 'exit 7'
is "exec's exit code" $? 7
is "exec -t" "$(script -qec "$(declare -f pod); W='$W' KVRUN='$KVRUN'; pod exec -t c sh -c 'test -t 0 && echo tty'" /dev/null </dev/null | tr -d '\r\n')" tty
like "top" "$(pod top c)" "sleep"
ok "pause" quiet pod pause c
is "it is paused" "$(pod inspect -f '{{.State.Status}}' c)" paused
ok "unpause" quiet pod unpause c
limit_of() { pod exec c cat "$1" 2>/dev/null; }
if [ -d /sys/fs/cgroup/pids ]; then
    is "the limit of processes" "$(limit_of /sys/fs/cgroup/pids/pids.max)" 50
    is "the limit of memory" "$(limit_of /sys/fs/cgroup/memory/memory.limit_in_bytes)" 67108864
    ok "update" quiet pod update --memory 96m c
    is "the new limit" "$(limit_of /sys/fs/cgroup/memory/memory.limit_in_bytes)" 100663296
fi
ok "kill -s USR1 of what ignores it" quiet pod kill -s WINCH c
ok "stop" quiet pod stop -t 120 c
is "it ended by itself" "$(pod inspect -f '{{.State.ExitCode}}' c)" 5
ok "start" quiet pod start c
ok "restart" quiet pod restart -t 60 c
is "it runs" "$(pod inspect -f '{{.State.Status}}' c)" running
ok "kill" quiet pod kill c
is "wait" "$(pod wait c)" 137
ok "rm" quiet pod rm c
is "an out-of-memory kill is reported" "$(pod run --name oom --network none --cgroup-parent "/$CG" --memory 20m --memory-swap 20m bb sh -c 'x=$(head -c 80000000 /dev/zero | tr "\0" x)' >/dev/null 2>&1; echo "$?")" 137
pod rm -f -t 0 oom >/dev/null 2>&1
# conmon has groups of its own there, which podman leaves
left() { find /sys/fs/cgroup -type d -path "*/$CG/*" ! -path "*conmon*" 2>/dev/null; }
is "nothing is left" "$(pod ps -aq)$(left)" ""
finish
