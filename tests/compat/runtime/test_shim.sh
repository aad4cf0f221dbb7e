#!/bin/bash
# kvshim: holds streams, log and exit status; outlives who started it.
. "$(dirname "$0")/lib.sh"

shim() { # shim NAME OPTIONS...
    local name=$1
    shift
    "$KVSHIM" --root "$W/state" --runtime "$KVRUN" --id "$name" --bundle "$W/$name" --socket "$W/$name.sock" \
        --exit-file "$W/$name.exit" --log "$W/$name.log" "$@" | tee "$W/$name.out" | jq .shimPid >"$W/$name.shim"
    return "${PIPESTATUS[0]}"
}
ask() { "$SHIM_CLIENT" "$W/$1.sock" "${@:2}"; }
# A zombie has gone as well: who reaps it is not our business.
gone() { case "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null)" in "" | Z* | X*) ;; *) return 1 ;; esac; }

bundle a "$(sh_c 'echo out; echo err >&2; printf part; read x; echo got $x; exit 4')"
ok "start of a shim" shim a --stdin
is "it tells the pid" "$(jq .pid "$W/a.out")" "$(run state a | jq .pid)"
like "state: created" "$(ask a state)" "phase=0"
like "start" "$(ask a start)" "phase=1"
like "state: running" "$(ask a state)" "phase=1 pid=[1-9]"
like "start twice is an error" "$(ask a start 2>&1)" "error .*not created"
wait_until grep -q err "$W/a.log"
echo hello | ask a attach input >"$W/attached"
is "attach gives the container's status" $? 4
like "and its output" "$(cat "$W/attached")" "got hello"
is "wait after the end" "$(ask a wait)" "exit_code=4 signal=0 oom=0"
like "state: stopped" "$(ask a state)" "phase=3 pid=0 .*exit=4"
is "the exit file" "$(jq -c '[.id,.exitCode,.signal,.oomKilled]' "$W/a.exit")" '["a",4,0,false]'
is "the log's lines" "$(cut -d' ' -f2- "$W/a.log" | sort)" "$(printf 'stderr F err\nstdout F out\nstdout F partgot hello')"
like "with a time each" "$(head -1 "$W/a.log")" "^20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z "
shim_pid=$(cat "$W/a.shim")
is "delete" "$(ask a delete)" "done"
wait_until gone "$shim_pid"
ok "the shim ends with it" gone "$shim_pid"
is "its socket, state and cgroup are gone" "$(ls "$W"/a.sock 2>/dev/null)$(ls "$W/state")$(cgroups_left)" 0

bundle b '.process.args = ["sleep","1000"]'
ok "--start" shim b --start
like "running at once" "$(ask b state)" "phase=1"
out=$(ask b exec '{"args":["sh","-c","echo inside; cat; exit 8"],"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0}}' <<<"through" 2>&1)
is "exec gives its status" $? 8
is "and its output" "$out" "$(printf 'inside\nthrough')"
like "exec of a missing program" "$(ask b exec '{"args":["nosuch"],"cwd":"/","user":{"uid":0,"gid":0}}' </dev/null 2>&1)" "executable file not found"
like "stats" "$(ask b stats)" "cpu=1 memory=1 pids=1 networks=1"
like "pause" "$(ask b pause)" "phase=2"
like "resume" "$(ask b resume)" "phase=1"
is "update" "$(ask b update '{"pids":{"limit":44}}')" "done"
is "is applied" "$(cat "$(cgroup_dir pids b)/pids.max")" 44
is "nonsense on the socket only ends that connection" "$(ask b garbage; echo $?)" 0
kb=$(awk '/^Anonymous:/ {print $2}' "/proc/$(cat "$W/b.shim")/smaps_rollup")
# a sanitizer's shadow is not the shim's
grep -q __asan_init "$KVSHIM" || ok "private memory below 1 MB ($kb kB)" test "$kb" -lt 1024
ok "no descriptor of the caller" test "$(ls -l "/proc/$(cat "$W/b.shim")/fd" | grep -c "$W/b.out")" = 0
ask b wait >"$W/waited" &
waiter=$!
ask b kill 9 >/dev/null
wait $waiter
is "wait is answered when it ends" "$(cat "$W/waited")" "exit_code=137 signal=9 oom=0"
is "delete" "$(ask b delete)" "done"

bundle c "$(sh_c 'x=$(head -c 100000000 /dev/zero | tr "\\0" x)') | .linux.resources.memory = {\"limit\":20000000,\"swap\":20000000}"
shim c --start
wait_until test -s "$W/c.exit"
is "out of memory is told" "$(jq -c '[.exitCode,.oomKilled]' "$W/c.exit")" "[137,true]"
ask c delete >/dev/null

bundle d "$(sh_c 'i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done')"
shim d --start --log-max-size 50000 --log-max-files 3 --delete
wait_until test -s "$W/d.exit"
is "--delete cleans up by itself" "$(wait_until test ! -e "$W/d.sock"; ls "$W/state")" ""
is "the log has rotated to three files" "$(ls "$W"/d.log* | wc -l)" 3
ok "none is larger than allowed" test "$(stat -c %s "$W"/d.log* | sort -n | tail -1)" -le 51000

bundle e '.process.args = ["nosuch"]'
err=$(shim e 2>&1)
is "a container that cannot be created" $? 1
like "is one clear line" "$err" "^kvshim: exec: \"nosuch\": executable file not found in"
is "and nothing is left" "$(ls "$W"/e.sock 2>/dev/null)$(ls "$W/state")$(cgroups_left)" 0
like "missing options" "$("$KVSHIM" --id x 2>&1)" "are needed"

# the shim dies: the exit file or kvrun tell, and kvrun cleans up
bundle f '.process.args = ["sleep","1000"]'
shim f --start
kill -9 "$(cat "$W/f.shim")"
wait_until gone "$(cat "$W/f.shim")"
is "the container outlives its shim" "$(status_of f)" running
ok "kvrun delete --force cleans up" run delete --force f

bundle t "$(sh_c 'test -t 1 && stty size; read x; echo got $x') | .process.terminal = true"
ok "a terminal" shim t --start --console-size 90x40
wait_until grep -q "40 90" "$W/t.log" # else the typed word is echoed before it
out=$(echo word | ask t attach input)
like "attach to it" "$out" "got word"
like "its size" "$(cut -d' ' -f4- "$W/t.log" | head -1)" "40 90"
ask t delete >/dev/null
is "nothing is left" "$(ls "$W/state")$(cgroups_left)" 0

# CVE-2022-31030 and kin: endless output fills neither memory nor disk
bundle o "$(sh_c 'head -c 30000000 /dev/zero | tr "\\0" x; echo; head -c 3000000 /dev/zero | tr "\\0" "\\n"; exec sleep 1000')"
ok "a shim with a small log" shim o --start --log-max-size 1m --log-max-files 2
wait_until sh -c "ps -o args= --ppid \$(cat '$W/o.shim') | grep -q 'sleep 1000'"
ok "the logs stay small" test "$(cat "$W"/o.log* | wc -c)" -le 2300000
ok "and the shim" test "$(awk '/^Private/ {sum += $2} END {print sum}' "/proc/$(cat "$W/o.shim")/smaps_rollup")" -le 2048
run delete --force o
finish
