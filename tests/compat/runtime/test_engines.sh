#!/bin/bash
# The command lines of conmon, of containerd's shim and of dockerd, as they were captured (containers.md 2.4).
. "$(dirname "$0")/lib.sh"

# --- conmon (podman): create with pid file, start, exec from a file, kill, delete
bundle p "$(sh_c 'echo started; exec sleep 1000')"
conmon() { "$KVRUN" --root "$W/state" --log-format=json --log "$W/log" "$@"; }
ok "create" conmon create --bundle "$W/p" --pid-file "$W/p/pidfile" --no-new-keyring --preserve-fds 0 p </dev/null >"$W/out" 2>&1
pid=$(cat "$W/p/pidfile")
is "the pid file is a bare number" "$(wc -l <"$W/p/pidfile")" 0
parent=$(awk "/^PPid/ {print \$2}" "/proc/$pid/status")
ok "no process of kvrun is left between" test "$(cat "/proc/$parent/comm")" != kvrun
ok "start ID" conmon start p
wait_until grep -q started "$W/out"
jq -n '{args:["sh","-c","echo hi"],cwd:"/",user:{uid:0,gid:0},env:["PATH=/bin"]}' >"$W/proc"
ok "exec" conmon exec --pid-file "$W/exec.pid" --process "$W/proc" --detach p </dev/null >"$W/exec.out" 2>&1
wait_until grep -q hi "$W/exec.out"
ok "its pid file is there when it returns" test -s "$W/exec.pid"
ok "pause ID" conmon pause p
ok "resume ID" conmon resume p
echo '{"pids":{"limit":50}}' >"$W/res"
ok "update --resources=FILE ID" conmon update "--resources=$W/res" p
ok "kill ID <number>" conmon kill p 15
ok "kill --all ID <number>" conmon kill --all p 9
wait_until has_status p stopped
ok "delete --force ID" conmon delete --force p
like "--version" "$("$KVRUN" --version | head -1)" "^kvrun version [0-9]"
like "with the specification's version" "$("$KVRUN" --version)" "spec: 1\."

# errors are a line of JSON with level, msg, time; and on standard error what podman's expressions find
bundle q '.process.args = ["nosuch"]'
err=$(conmon create --bundle "$W/q" --pid-file "$W/q/pidfile" q 2>&1 </dev/null)
is "a failed create" $? 1
is "the log's last line" "$(tail -1 "$W/log" | jq -r '[.level, (.msg | test("executable file not found")), (.time | length)] | join(" ")')" "error true 20"
like "standard error" "$err" "executable file not found in"
like "permission" "$(bundle q '.process.args = ["/etc/passwd"]'; conmon create --bundle "$W/q" q 2>&1)" "permission denied"

# --- containerd-shim-runc-v2: working directory is the bundle, Go-style flags
bundle c '.process.args = ["sleep","1000"] | .process.noNewPrivileges = true'
cd "$W/c" || exit 1
shim() { "$KVRUN" --root "$W/runc/ns" --log "$W/c/log.json" --log-format json "$@"; }
ok "create" shim create --bundle "$W/c" --pid-file "$W/c/init.pid" c </dev/null >/dev/null 2>&1
ok "start" shim start c
ok "exec --process --detach" shim exec --process "$W/proc" --detach --pid-file "$W/c/e.pid" c </dev/null >/dev/null 2>&1
ps_count() { shim ps --format json c | jq length; }
wait_until prints 1 ps_count
is "ps --format json is an array of host pids" "$(shim ps --format json c)" "[$(cat init.pid)]"
ok "events --stats" test "$(shim events --stats c | jq -r .type)" = stats
ok "update --resources - with JSON on standard input" sh -c "echo '{\"memory\":{\"limit\":67108864}}' | '$KVRUN' --root '$W/runc/ns' update --resources - c"
ok "list --format=json" test "$(shim list --format=json | jq -r '.[0].id')" = c
ok "pause" shim pause c
ok "resume" shim resume c
ok "kill --all" shim kill --all c 9
stopped() { [ "$(shim state c | jq -r .status)" = stopped ]; }
wait_until stopped
ok "delete" shim delete c
ok "delete --force of what is gone (shim delete)" shim delete --force c
is "features" "$(shim features | jq -r '.linux.cgroup.v2, .linux.seccomp.enabled, .ociVersionMax')" "$(printf 'true\ntrue\n1.3.0')"
is "single dashes" "$(shim -debug -root "$W/x" list -q)" ""
like "--systemd-cgroup has a clear answer" "$(run --systemd-cgroup create -b "$W/c" s 2>&1)" "^kvrun: --systemd-cgroup: "
ok "--cgroup-manager disabled" run --cgroup-manager disabled run -b "$(bundle n '.process.args = ["true"]'; echo "$W/n")" n

# --- dockerd: cgroupsPath, its prestart hook reads the state and enters the network namespace
cat >"$W/setkey" <<'SH'
#!/bin/sh
pid=$(jq .pid)
readlink /proc/$pid/ns/net >"$1"
SH
chmod +x "$W/setkey"
bundle d "$(sh_c 'readlink /proc/self/ns/net') | .hooks.prestart = [{\"path\":\"$W/setkey\",\"args\":[\"libnetwork-setkey\",\"$W/key\"],\"env\":[\"PATH=/usr/bin:/bin\"]}]"
is "prestart sees the container's network namespace" "$(run run -b "$W/d" d)" "$(cat "$W/key")"

# --- a pidfd for those who ask
cat >"$W/pidfd.py" <<'PY'
import array, os, select, signal, socket, subprocess, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(1)
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
connection, _ = listener.accept()
_, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_LEN(4))
fds = array.array("i"); fds.frombytes(ancillary[0][2][:4])
assert child.wait() == 0
signal.pidfd_send_signal(fds[0], signal.SIGKILL)
print("ended" if select.select([fds[0]], [], [], 10)[0] else "alive")
PY
if command -v python3 >/dev/null; then
    bundle f '.process.args = ["sleep","1000"]'
    is "--pidfd-socket" "$(python3 "$W/pidfd.py" "$W/pidfd.sock" "$KVRUN" --root "$W/state" create --pidfd-socket "$W/pidfd.sock" -b "$W/f" f)" ended
    run delete -f f
fi

# --- without privilege
if command -v setpriv >/dev/null; then
    chmod 755 "$W"
    bundle r "$(sh_c 'id -u; cat /proc/self/uid_map | tr -s " "')"
    (cd "$W/r" && rm -f config.json && "$KVRUN" spec --rootless &&
        jq ".root.path = \"$W/rootfs\" | .process.terminal = false | .process.args = [\"sh\",\"-c\",\"id -u; tr -s ' ' </proc/self/uid_map\"]
            | .linux.uidMappings[0].hostID = 12345 | .linux.gidMappings[0].hostID = 12345" config.json >new && mv new config.json)
    mkdir -p "$W/rootless" && chown 12345:12345 "$W/rootless"
    out=$(cd / && XDG_RUNTIME_DIR="$W/rootless" setpriv --reuid 12345 --regid 12345 --clear-groups "$KVRUN" run -b "$W/r" r 2>"$W/rootless.err" </dev/null)
    is "rootless" "$(echo $out)" "0 0 12345 1"
    is "nothing is left of it" "$(ls "$W/rootless/kvrun")" ""
fi
is "nothing is left" "$(ls "$W/state" "$W/runc/ns" | grep -v :)$(cgroups_left)" 0
finish
