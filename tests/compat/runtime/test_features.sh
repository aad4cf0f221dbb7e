#!/bin/bash
# What config.json can ask for, seen from inside the container.
. "$(dirname "$0")/lib.sh"

# in_container NAME FILTER TEXT: the output of a shell in a container.
in_container() {
    bundle "$1" "$(sh_c "$3") | $2"
    run run -b "$W/$1" "$1" 2>&1
}

# --- namespaces
out=$(in_container ns . 'for n in mnt net uts ipc pid cgroup; do readlink /proc/self/ns/$n; done')
host=$(for n in mnt net uts ipc pid cgroup; do readlink /proc/self/ns/$n; done)
is "six namespaces of its own" "$(printf '%s\n%s\n' "$out" "$host" | sort | uniq -d | wc -l)" 0
is "hostname" "$(in_container ns '.hostname = "inner"' hostname)" inner
is "domainname" "$(in_container ns '.domainname = "example"' 'cat /proc/sys/kernel/domainname')" example
is "the first process is 1" "$(in_container ns . 'echo $$')" 1
is "loopback is up" "$(in_container ns . 'ip -o link show lo | grep -c LOOPBACK,UP')" 1
is "time namespace with offset" "$(in_container ns '.linux.namespaces += [{"type":"time"}] | .linux.timeOffsets = {"boottime":{"secs":1000000}}' \
    'read u r </proc/uptime; test ${u%.*} -ge 1000000 && echo later')" later
bundle pod '.process.args = ["sleep","1000"]'
run run -d -b "$W/pod" pod </dev/null >/dev/null 2>&1
pid=$(run state pod | jq .pid)
out=$(in_container ns "(.linux.namespaces[] | select(.type == \"network\" or .type == \"ipc\" or .type == \"pid\" or .type == \"uts\")) |= (.path = \"/proc/$pid/ns/\" + (if .type == \"network\" then \"net\" else .type end)) | del(.hostname)" \
    'for n in net ipc uts pid; do readlink /proc/self/ns/$n; done')
is "namespaces joined by path" "$out" "$(for n in net ipc uts pid; do readlink /proc/$pid/ns/$n; done)"
like "a path of the wrong type" "$(in_container ns "(.linux.namespaces[] | select(.type == \"network\")).path = \"/proc/$pid/ns/ipc\"" true)" \
    "not a namespace of type network"
run delete -f pod

# --- user namespace
user='.linux.namespaces += [{"type":"user"}] | .linux.uidMappings = [{"containerID":0,"hostID":100000,"size":65536}] | .linux.gidMappings = .linux.uidMappings'
chmod 755 "$W"
is "user namespace: maps" "$(in_container u "$user" 'tr -s " " </proc/self/uid_map')" " 0 100000 65536"
is "user namespace: root inside" "$(in_container u "$user" 'id -u')" 0
is "user namespace: devices work" "$(in_container u "$user" 'echo x >/dev/null && head -c 1 /dev/zero | wc -c')" 1
is "user namespace: another user" "$(in_container u "$user | .process.user = {\"uid\":1000,\"gid\":1000}" 'id -u')" 1000
mkdir -p "$W/data" "$W/rootfs/data" && touch "$W/data/f" && chown 1000:1000 "$W/data/f"
# tmpfs can be idmapped from Linux 6.3 on
can_idmap() { [ "$(stat -f -c %T "$W")" != tmpfs ] || printf '6.3\n%s\n' "$(uname -r)" | sort -V -C; }
if can_idmap; then
    is "idmapped mount" "$(in_container u "$user | .mounts += [{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"$W/data\",\"options\":[\"bind\",\"idmap\"]}]" 'stat -c %u /data/f')" 1000
    is "idmapped mount with own maps, without user namespace" "$(in_container u ".mounts += [{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"$W/data\",\"options\":[\"bind\"],\"uidMappings\":[{\"containerID\":1000,\"hostID\":77,\"size\":1}],\"gidMappings\":[{\"containerID\":1000,\"hostID\":77,\"size\":1}]}]" 'stat -c %u /data/f')" 77
fi

# --- mounts
m() { echo ".mounts += [{\"destination\":\"$1\",\"type\":\"$2\",\"source\":\"$3\",\"options\":$4}]"; }
is "bind read-only" "$(in_container m "$(m /data bind "$W/data" '["bind","ro"]')" 'touch /data/x 2>/dev/null || echo refused')" refused
is "bind of a file makes its target" "$(in_container m "$(m /new/dir/f bind "$W/data/f" '["bind"]')" 'test -f /new/dir/f && echo file')" file
is "mount options" "$(in_container m "$(m /t tmpfs t '["nosuid","nodev","noexec","noatime","size=1m","mode=700"]')" 'grep " /t " /proc/mounts | cut -d" " -f4 | sed s/,inode64//')" \
    "rw,nosuid,nodev,noexec,noatime,size=1024k,mode=700"
is "tmpcopyup" "$(in_container m "$(m /etc tmpfs t '["tmpcopyup"]')" 'touch /etc/new && cut -d: -f1 /etc/group | head -1')" root
is "tmpcopyup leaves the image alone" "$(ls "$W/rootfs/etc/new" 2>/dev/null)" ""
mkdir -p "$W/tree/sub" && mount -t tmpfs t "$W/tree/sub" && touch "$W/tree/sub/deep"
is "bind leaves submounts behind" "$(in_container m "$(m /d bind "$W/tree" '["bind"]')" 'ls /d/sub')" ""
is "rbind takes them along" "$(in_container m "$(m /d bind "$W/tree" '["rbind"]')" 'ls /d/sub')" deep
is "ro is not recursive" "$(in_container m "$(m /d bind "$W/tree" '["rbind","ro"]')" 'touch /d/sub/x && rm /d/sub/x && echo written')" written
is "rro is" "$(in_container m "$(m /d bind "$W/tree" '["rbind","rro"]')" 'touch /d/sub/x 2>/dev/null || echo refused')" refused
umount "$W/tree/sub"
is "read-only root" "$(in_container m '.root.readonly = true' 'touch /x 2>/dev/null || echo refused')" refused
is "masked file" "$(in_container m '.linux.maskedPaths = ["/etc/group","/nosuch"]' 'cat /etc/group | wc -c')" 0
is "masked directory" "$(in_container m '.linux.maskedPaths = ["/home","/etc"]' 'ls /home /etc | grep -c .; touch /etc/x 2>/dev/null || echo refused')" "$(printf '2\nrefused')"
is "read-only path" "$(in_container m '.linux.readonlyPaths = ["/etc"]' 'touch /etc/x 2>/dev/null || echo refused')" refused
is "rootfs propagation" "$(in_container m '.linux.rootfsPropagation = "shared"' 'grep " / / " /proc/self/mountinfo; grep -c "shared:" /proc/self/mountinfo >/dev/null && echo shared' | tail -1)" shared
is "nothing of the host is mounted" "$(in_container m . 'grep -c kvrun-test /proc/mounts')" 0
is "own cgroups only" "$(in_container m . 'cat /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs 2>/dev/null | sort -u | grep -cv "^[0-9]$"')" 0
for d in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    is "device ${d%%:*}" "$(in_container m . "stat -c '%t:%T %a' /dev/${d%%:*}")" "$(echo "$d" | cut -d: -f2-) 666"
done
is "own device" "$(in_container m '.linux.devices = [{"type":"c","path":"/dev/x/foo","major":10,"minor":229,"fileMode":416,"uid":5,"gid":6}]' "stat -c '%t:%T %a %u %g' /dev/x/foo")" "a:e5 640 5 6"
is "device cgroup refuses" "$(in_container m '.process.capabilities.bounding += ["CAP_MKNOD"] | .process.capabilities.effective += ["CAP_MKNOD"] | .process.capabilities.permitted += ["CAP_MKNOD"]' 'mknod /tmp/m c 1 1 && cat /tmp/m 2>&1; rm /tmp/m' | grep -o 'not permitted')" "not permitted"

# --- process
is "user and groups" "$(in_container p '.process.user = {"uid":1000,"gid":1000,"additionalGids":[2000,5]}' 'id -u; id -g; id -G')" "$(printf '1000\n1000\n1000 5 2000')"
is "umask" "$(in_container p '.process.user.umask = 63' umask)" 0077
is "HOME comes from passwd" "$(in_container p '.process.user = {"uid":1000,"gid":1000}' 'echo $HOME')" /home/bob
is "cwd is made" "$(in_container p '.process.cwd = "/made/here"' pwd)" /made/here
caps() { in_container p "$1" 'grep Cap /proc/self/status | cut -f2 | tr "\n" " "'; }
is "capabilities of root" "$(caps '.process.capabilities = {"bounding":["CAP_KILL","CAP_CHOWN"],"effective":["CAP_KILL"],"permitted":["CAP_KILL","CAP_CHOWN"]}')" \
    "0000000000000000 0000000000000021 0000000000000021 0000000000000021 0000000000000000 "
is "no capabilities" "$(caps 'del(.process.capabilities)')" "0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 "
is "ambient for another user" "$(caps '.process.user.uid = 1000 | .process.capabilities = {"bounding":["CAP_NET_RAW"],"effective":["CAP_NET_RAW"],"permitted":["CAP_NET_RAW"],"inheritable":["CAP_NET_RAW"],"ambient":["CAP_NET_RAW"]}')" \
    "0000000000002000 0000000000002000 0000000000002000 0000000000002000 0000000000002000 "
like "an unknown capability is a warning" "$(in_container p '.process.capabilities.bounding += ["CAP_FUTURE"]' 'echo fine')" "CAP_FUTURE.*|fine"
is "rlimit" "$(in_container p '.process.rlimits = [{"type":"RLIMIT_NOFILE","soft":100,"hard":200}]' 'ulimit -Sn; ulimit -Hn')" "$(printf '100\n200')"
like "an rlimit beyond what may be granted is no failure" "$(in_container p '.process.rlimits = [{"type":"RLIMIT_NOFILE","soft":1048576,"hard":1048576}]' 'echo fine')" "fine"
is "oom score" "$(in_container p '.process.oomScoreAdj = 500' 'cat /proc/self/oom_score_adj')" 500
is "lowering it is no failure" "$(in_container p '.process.oomScoreAdj = -500' 'echo fine' | tail -1)" fine
is "no_new_privs" "$(in_container p '.process.noNewPrivileges = true' 'grep NoNewPrivs /proc/self/status | cut -f2')" 1
is "sysctl" "$(in_container p '.linux.sysctl = {"net.ipv4.ip_unprivileged_port_start":"1","kernel/msgmax":"9000"}' 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax')" "$(printf '1\n9000')"
is "personality" "$(in_container p '.linux.personality = {"domain":"LINUX32"}' 'uname -m')" i686
is "io priority and scheduler" "$(in_container p '.process.ioPriority = {"class":"IOPRIO_CLASS_BE","priority":6} | .process.scheduler = {"policy":"SCHED_BATCH"}' 'cut -d" " -f41 /proc/self/stat')" 3
is "only three descriptors" "$(in_container p . 'for f in 3 4 5 6 7 8 9 10 11 12; do test -e /proc/1/fd/$f && echo leak $f; done')" ""
is "preserved descriptors" "$(
    bundle p "$(sh_c 'cat <&3; for f in 4 5 6 7 8 9; do test -e /proc/1/fd/$f && echo leak; done')"
    run run --preserve-fds 1 -b "$W/p" p 3<<<"kept"
)" kept

# --- seccomp
sec() { echo ".linux.seccomp = {\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[$1]}"; }
like "errno" "$(in_container s "$(sec '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}')" 'mkdir /tmp/x 2>&1')" "mkdir: .*ot supported"
is "a condition on an argument" "$(in_container s "$(sec '{"names":["kill"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"args":[{"index":1,"value":10,"op":"SCMP_CMP_EQ"}]}')" 'trap "" USR1; kill -10 1 2>/dev/null || echo refused; kill -0 1 && echo allowed')" "$(printf 'refused\nallowed')"
is "it holds without no_new_privs for another user" "$(in_container s "$(sec '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}') | .process.noNewPrivileges = false | .process.user.uid = 1000" 'mkdir /tmp/x 2>/dev/null || echo refused; grep CapEff /proc/self/status | cut -f2')" "$(printf 'refused\n0000000000000000')"
out=$(in_container s "$(sec '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_KILL_PROCESS"}')" 'mkdir /tmp/x; echo $?')
like "kill" "$out" "159"
like "an unknown action" "$(in_container s "$(sec '{"names":["mkdir"],"action":"SCMP_ACT_NO"}')" true)" "linux.seccomp.syscalls .*unknown action 'SCMP_ACT_NO'"

# --- exec
bundle x '.process.args = ["sleep","1000"] | .process.env += ["A=1"]'
run run -d -b "$W/x" x </dev/null >/dev/null 2>&1
is "exec" "$(run exec x echo hello)" hello
run exec x sh -c 'exit 9'
is "exec's status" $? 9
is "exec gets the environment, changed" "$(run exec -e B=2 -e A=3 x sh -c 'echo $A$B')" 32
is "exec as a user by name" "$(run exec -u bob:extra x sh -c 'id -u; id -g')" "$(printf '1000\n2000')"
is "exec --cwd" "$(run exec --cwd /etc x pwd)" /etc
like "exec -u of nobody known" "$(run exec -u 1000x x id 2>&1)" "unable to find user 1000x"
like "exec -u of an overflowing id" "$(run exec -u 4294967295 x id 2>&1)" "unable to find user 4294967295"
is "exec is in the cgroup" "$(run exec x cat /proc/self/cgroup | cut -d: -f3 | sort -u)" "/"
is "exec sees the pid namespace" "$(run exec x sh -c 'ps | grep -c "sleep 1000"' | grep -c .)" 1
jq -n '{args:["sh","-c","echo $X; id -u"],cwd:"/",env:["X=y","PATH=/bin"],user:{uid:5,gid:5}}' >"$W/process.json"
is "exec --process" "$(run exec --process "$W/process.json" x)" "$(printf 'y\n5')"
run exec -d --pid-file "$W/exec.pid" x sleep 500 </dev/null >/dev/null 2>&1
is "exec --detach writes the pid" "$(tr '\0' ' ' <"/proc/$(cat "$W/exec.pid")/cmdline")" "sleep 500 "
is "ps lists both" "$(run ps --format json x | jq length)" 2
like "ps as a table" "$(run ps x)" "sleep 500"
is "exec of a missing program is 255" "$(run exec x nosuch >/dev/null 2>&1; echo $?)" 255
# a container that makes cgroups of its own and moves down: exec goes where its first process is
v2=$(cgroup_dir unified x)
[ -e "$v2/cgroup.procs" ] || v2=/sys/fs/cgroup/$CG/x
mkdir "$v2/below" && for p in $(cat "$v2/cgroup.procs"); do echo "$p" >"$v2/below/cgroup.procs"; done
if [ -n "$(cat "$v2/cgroup.controllers")" ] && echo "+$(cut -d' ' -f1 "$v2/cgroup.controllers")" >"$v2/cgroup.subtree_control" 2>/dev/null; then
    like "exec into a tree of cgroups" "$(run exec x cat /proc/self/cgroup | grep ^0::)" "/below$"
fi
ok "kill --all" run kill --all x 9
wait_until has_status x stopped
is "exec in a stopped one" "$(run exec x true 2>&1 | grep -c 'stopped container')" 1
run delete x

# --- hooks
hook() { # hook STAGE COMMAND
    printf '.hooks.%s += [{"path":"/bin/sh","args":["sh","-c","%s"]}]' "$1" "$2"
}
all=$(hook prestart "echo prestart >>$W/log")
for stage in createRuntime createContainer poststart poststop; do
    all="$all | $(hook $stage "echo $stage \$(sed 's/.*status\\\":\\\"//;s/\\\".*//') >>$W/log")"
done
all="$all | $(hook startContainer "echo startContainer")"
out=$(in_container h "$all" 'echo process')
is "startContainer runs inside, before the process" "$out" "process"
is "hooks in order, with their status" "$(grep -v startC "$W/log" | tr '\n' ';')" \
    "prestart;createRuntime creating;createContainer creating;poststart running;poststop stopped;"
for stage in prestart createRuntime createContainer startContainer; do
    err=$(in_container h "$(hook $stage 'echo why >&2; exit 3')" 'echo never')
    like "a failing $stage hook stops it" "$err" "error running $stage hook #0.*exit code 3.*why"
    is "and the process never ran" "$(echo "$err" | grep -c '^never')" 0
done
like "a hook's timeout" "$(in_container h '.hooks.createRuntime = [{"path":"/bin/sleep","args":["sleep","100"],"timeout":1}]' true)" "ran past the timeout of 1s"
is "nothing is left of all that" "$(ls "$W/state")$(cgroups_left)" 0
finish
