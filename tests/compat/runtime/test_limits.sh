#!/bin/bash
# Limits are not only written but felt: memory, pids, cpu; and updates of them.
. "$(dirname "$0")/lib.sh"
[ -n "$(ls -d /sys/fs/cgroup/memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null)" ] || skip "no memory controller"

bundle mem "$(sh_c 'x=$(head -c 100000000 /dev/zero | tr "\\0" x); echo survived') | .linux.resources.memory = {\"limit\":20000000,\"swap\":20000000}"
out=$(run run -b "$W/mem" mem 2>&1)
is "a process beyond the memory limit is killed" $? 137
is "and does not go on" "$(echo "$out" | grep -c survived)" 0

bundle oom '.process.args = ["sleep","1000"] | .linux.resources.memory = {"limit":20000000}'
run run -d -b "$W/oom" oom </dev/null >/dev/null 2>&1
run events --interval 60s oom >"$W/events" 2>/dev/null &
events=$!
run exec oom sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" x)' >/dev/null 2>&1
wait_until grep -q oom "$W/events"
is "events reports it" "$(jq -r .type "$W/events" | head -1)" oom
run kill oom 9
wait $events
ok "events ends with the container" true
run delete oom

bundle fork "$(sh_c 'i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; echo') | .linux.resources.pids.limit = 20"
run run -d -b "$W/fork" fork </dev/null >/dev/null 2>&1
dir=$(cgroup_dir pids fork)
wait_until grep -q "^max [1-9]" "$dir/pids.events"
ok "a fork bomb hits the pids limit" grep -q "^max [1-9]" "$dir/pids.events"
ok "and no more than 20 run" test "$(cat "$dir/pids.current")" -le 20
ok "delete --force takes all of them" run delete --force fork
is "none is left" "$(ls "$dir" 2>/dev/null)" ""

bundle cpu "$(sh_c 'while :; do :; done') | .linux.resources.cpu = {\"quota\":20000,\"period\":100000,\"shares\":512}"
run run -d -b "$W/cpu" cpu </dev/null >/dev/null 2>&1
usage() { run events --stats cpu | jq .data.cpu.usage.total; }
periods() { run events --stats cpu | jq .data.cpu.throttling.throttledPeriods; }
has_run() { [ "$(usage)" -gt 0 ]; }
wait_until has_run
b=$(date +%s%N) a=$(usage) # in this order, and the other way round below: at most what it is
wait_until sh -c "[ \$('$KVRUN' --root '$W/state' events --stats cpu | jq .data.cpu.throttling.throttledPeriods) -ge 10 ]"
used=$(usage)
share=$(((used - a) * 100 / ($(date +%s%N) - b)))
ok "cpu quota of 20 % is kept (measured: $share %)" test "$share" -le 30
ok "the kernel throttled it" test "$(periods)" -ge 10

is "stats know memory and pids" "$(run events --stats cpu | jq '.data.memory.usage.usage > 0 and .data.pids.current == 1')" true
ok "update by options" run update --pids-limit 33 --memory 64m --cpu-quota 50000 cpu
is "pids" "$(cat "$(cgroup_dir pids cpu)/pids.max")" 33
is "memory" "$(run events --stats cpu | jq .data.memory.usage.limit)" 67108864
ok "update shrinks" run update --memory 32m --memory-swap 64m cpu
ok "update grows memory and swap together" sh -c "echo '{\"memory\":{\"limit\":134217728,\"swap\":268435456}}' | '$KVRUN' --root '$W/state' update --resources - cpu"
is "memory after it" "$(run events --stats cpu | jq .data.memory.usage.limit)" 134217728
like "an impossible update" "$(run update --memory 4k cpu 2>&1)" "memory"
like "nonsense" "$(run update --memory lots cpu 2>&1)" "invalid value for --memory: 'lots'"
run delete -f cpu
is "nothing is left" "$(ls "$W/state")$(cgroups_left)" 0

# 100 containers, 4 at a time, leave nothing
mounts=$(wc -l </proc/self/mountinfo)
bundle many '.process.args = ["true"]'
for i in $(seq 25); do
    for j in 1 2 3 4; do
        mkdir -p "$W/many$j"
        sed "s,/$CG/many,/$CG/many$j," "$W/many/config.json" >"$W/many$j/config.json"
        run run -b "$W/many$j" "many$i-$j" &
    done
    wait
done
is "100 containers leave no state, cgroup or mount" "$(ls "$W/state")$(cgroups_left) $(($(wc -l </proc/self/mountinfo) - mounts))" "0 0"
finish
