#!/bin/bash
# The lifecycle of runtime-spec runtime.md and containers.md 2.1: each operation in each state.
. "$(dirname "$0")/lib.sh"

bundle a "$(sh_c 'echo hello; exit 7')"
out=$(run run -b "$W/a" a)
is "run prints the output" "$out" "hello"
run run -b "$W/a" a >/dev/null
is "run exits with the container's status" $? 7
is "nothing is left after run" "$(ls "$W/state")$(cgroups_left)" "0"

bundle b "$(sh_c 'kill -9 $$') | del(.linux.namespaces[] | select(.type == \"pid\"))"
run run -b "$W/b" b
is "run exits with 128 + signal" $? 137

bundle c '.process.args = ["sleep","1000"]'
ok "create succeeds" run create -b "$W/c" --pid-file "$W/pid" c </dev/null >/dev/null 2>&1
is "status after create" "$(status_of c)" created
is "state has the pid of the pid file" "$(run state c | jq .pid)" "$(cat "$W/pid")"
is "state names the bundle" "$(run state c | jq -r .bundle)" "$W/c"
is "the first process is kvrun, parked" "$(cat "/proc/$(cat "$W/pid")/comm")" "$(basename "$(readlink -f "$KVRUN")" | cut -c1-15)"
err=$(run create -b "$W/c" c 2>&1)
is "create with the same id fails" $? 1
like "and says so" "$err" "already exists"
is "and does not disturb the first" "$(status_of c)" created
ok "edits to config.json after create have no effect" sh -c "echo '{' > '$W/c/config.json'"
ok "start succeeds" run start c
wait_until grep -q sleep "/proc/$(cat "$W/pid")/comm"
is "status after start" "$(status_of c)" running
is "the process runs" "$(tr '\0' ' ' <"/proc/$(cat "$W/pid")/cmdline")" "sleep 1000 "
err=$(run start c 2>&1)
is "start of a running container fails" $? 1
like "and says so" "$err" "not created: 'c' is running"
err=$(run delete c 2>&1)
is "delete of a running container fails" $? 1
like "and says so" "$err" "not stopped"
is "list -q" "$(run list -q)" c
is "list --format json" "$(run list --format=json | jq -r '.[0].status')" running
like "list as a table" "$(run list)" "^ID +PID +STATUS"
ok "kill" run kill c KILL
wait_until has_status c stopped
is "status after kill" "$(status_of c)" stopped
is "pid after kill" "$(run state c | jq .pid)" 0
err=$(run kill c TERM 2>&1)
is "kill of a stopped container fails" $? 1
like "and says so" "$err" "not running"
err=$(run start c 2>&1)
is "start of a stopped container fails" $? 1
ok "delete" run delete c
err=$(run state c 2>&1)
is "state after delete fails" $? 1
like "and says so" "$err" "does not exist"
is "no cgroup is left" "$(cgroups_left)" 0
err=$(run delete c 2>&1)
is "delete of nothing fails" $? 1
ok "delete --force of nothing succeeds" run delete --force c

bundle d '.process.args = ["sleep","1000"]'
run create -b "$W/d" d </dev/null >/dev/null 2>&1
ok "delete of a created container" run delete d
run run -d -b "$W/d" d </dev/null >/dev/null 2>&1
ok "delete --force of a running one" run delete --force d
is "no cgroup is left" "$(cgroups_left)" 0

for id in a/b .. . "a b" "" "a:b"; do
    err=$(run create -b "$W/d" "$id" 2>&1)
    is "the id '$id' is refused" $? 1
done

# create either succeeds or leaves nothing
bundle e '.process.args = ["nosuch"]'
err=$(run create -b "$W/e" e 2>&1)
is "create fails for a missing program" $? 1
like "with the text that podman looks for" "$err" "executable file not found in"
bundle e '.process.args = ["/nosuch"]'
like "a missing path" "$(run create -b "$W/e" e 2>&1)" "no such file or directory"
bundle e '.process.args = ["/etc/passwd"]'
like "a file that is no program" "$(run create -b "$W/e" e 2>&1)" "permission denied"
bundle e '.process.cwd = "/bin/sh"'
err=$(run create -b "$W/e" e 2>&1)
is "create fails for a cwd that is a file" $? 1
bundle e '.linux.namespaces += [{"type":"pid"}]'
like "a namespace given twice" "$(run create -b "$W/e" e 2>&1)" "linux.namespaces\[[0-9]\].type: duplicate"
bundle e '.root.path = "/nosuch"'
like "a missing rootfs" "$(run create -b "$W/e" e 2>&1)" "root.path: invalid rootfs '/nosuch'"
bundle e '.linux.resources.memory.limit = "64m"'
like "a wrong type" "$(run create -b "$W/e" e 2>&1)" "linux.resources.memory.limit: expected a number, got a string"
bundle e '.mounts += [{"destination":"/x","type":"nosuchfs","source":"x"}]'
like "an unknown file system" "$(run create -b "$W/e" e 2>&1)" "mount at '/x': file system 'nosuchfs'"
echo '{"ociVersion":"2.0"' >"$W/e/config.json"
like "JSON that is none" "$(run create -b "$W/e" e 2>&1)" "not valid JSON at line"
bundle e '.linux.resources.pids.limit = 9223372036854775807 | .linux.resources.cpu.quota = 5'
err=$(run create -b "$W/e" e 2>&1)
is "an impossible limit" $? 1
like "names the field" "$err" "linux.resources.(cpu|pids)"
is "nothing is left after all that" "$(ls "$W/state")$(cgroups_left)" 0

bundle p 'del(.process)'
ok "create without process" run create -b "$W/p" p </dev/null >/dev/null 2>&1
like "start without process is the error" "$(run start p 2>&1)" "process: property must not be empty"
wait_until has_status p stopped
ok "and it can be deleted" run delete p
bundle f '.ociVersion = "1.99.0" | .foo = {"bar":[1]} | .process.unknown = 3 | .annotations = {"a.b":"c"} | .process.args = ["true"]'
ok "any 1.x version and unknown members" run run -b "$W/f" f
bundle f '.process.args = ["sleep","1000"] | .annotations = {"a.b":"c"}'
run run -d -b "$W/f" f </dev/null >/dev/null 2>&1
is "annotations are in the state" "$(run state f | jq -r '.annotations["a.b"]')" c
bundle g ".linux.cgroupsPath = \"/$CG/f\" | .process.args = [\"true\"]"
err=$(run run -b "$W/g" g 2>&1)
is "a cgroup in use is refused" $? 1
like "and says so" "$err" "cgroup is not empty"
is "and the one in it lives" "$(status_of f)" running

# pause and resume
ok "pause" run pause f
is "status paused" "$(status_of f)" paused
err=$(run exec f true 2>&1)
is "exec in a paused container fails" $? 255
err=$(run pause f 2>&1)
is "pause twice fails" $? 1
ok "resume" run resume f
is "status running again" "$(status_of f)" running
err=$(run resume f 2>&1)
is "resume twice fails" $? 1
run pause f
ok "kill -9 works on a paused one" run kill f 9
wait_until has_status f stopped
ok "delete it" run delete f

# a created process that dies
run create -b "$W/d" h </dev/null >/dev/null 2>&1
kill -9 "$(run state h | jq .pid)"
wait_until has_status h stopped
is "a created one that was killed is stopped" "$(status_of h)" stopped
ok "and can be deleted" run delete h

# kvrun killed at any moment leaves what delete --force removes
for step in $(seq 60); do
    run create -b "$W/d" k >/dev/null 2>&1 </dev/null &
    pid=$!
    sleep "$(printf '0.%04d' $((step * 3)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    run delete --force k
done
is "kvrun killed while it creates: nothing is left" "$(ls "$W/state")$(cgroups_left)" 0
finish
