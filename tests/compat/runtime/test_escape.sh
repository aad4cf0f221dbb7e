#!/bin/bash
# Ways out of a container that worked once somewhere (containers.md 5.1): each must fail here.
. "$(dirname "$0")/lib.sh"

fresh_root() { # a rootfs of its own, for the attacker to prepare
    rm -rf "$W/evil"
    make_rootfs "$W/evil"
}
evil() { # evil FILTER TEXT: run in the attacker's rootfs
    bundle e "$(sh_c "$2") | .root.path = \"$W/evil\" | $1"
    timeout 20 "$KVRUN" --root "$W/state" run -b "$W/e" e 2>&1
}
before=$(sha256sum "$KVRUN")
mkdir -p "$W/host"
touch "$W/host/untouched"

# CVE-2019-5736: the runtime's program through /proc/self/exe
fresh_root
ln -s /proc/self/exe "$W/evil/bin/self"
bundle e ".root.path = \"$W/evil\" | .process.args = [\"/bin/self\",\"--version\"]"
run run -b "$W/e" e >/dev/null 2>&1
is "5736: an entry point that is /proc/self/exe does not change kvrun" "$(sha256sum "$KVRUN")" "$before"
bundle e "$(sh_c 'printf "#!/proc/self/exe\n" >/tmp/x; chmod +x /tmp/x; sleep 1000') | .root.path = \"$W/evil\""
run run -d -b "$W/e" e </dev/null >/dev/null 2>&1
run exec -d e sh -c 'i=0; while [ $i -lt 200 ]; do for p in /proc/[0-9]*; do
    (echo pwned >$p/exe) 2>/dev/null; exec 9<$p/exe && (echo pwned >/proc/self/fd/9) 2>/dev/null; done; i=$((i+1)); done' </dev/null >/dev/null 2>&1
for i in 1 2 3 4 5 6 7 8; do run exec e /tmp/x >/dev/null 2>&1; run exec e true; done
is "5736: nor does a container that writes to every /proc/PID/exe while exec enters" "$(sha256sum "$KVRUN")" "$before"
run delete -f e

# CVE-2024-21626, CVE-2016-9962: descriptors and working directories that lead outside
fresh_root
for n in 3 4 5 6 7 8 9 10; do
    out=$(evil ".process.cwd = \"/proc/self/fd/$n\"" 'pwd; ls ../../../')
    like "21626: cwd /proc/self/fd/$n is refused" "$out" "process.cwd"
done
ln -s /proc/self/fd/7 "$W/evil/link"
like "21626: nor through a link" "$(evil '.process.cwd = "/link"' 'pwd')" "process.cwd|^/link"
out=$(evil . 'for f in /proc/1/fd/*; do readlink $f; done | grep -c "^/sys\|^/run\|^/var\|config.json"')
is "9962: no descriptor of the host in the first process" "$out" 0
bundle e '.process.args = ["sleep","1000"]'
run run -d -b "$W/e" e </dev/null >/dev/null 2>&1
for n in 3 5 7 8 9; do
    like "21626: exec --cwd /proc/self/fd/$n" "$(run exec --cwd "/proc/self/fd/$n" e pwd 2>&1)" "process.cwd"
done
is "exec leaks no descriptor" "$(run exec e sh -c 'ls /proc/self/fd | wc -l')" 4
run delete -f e

# CVE-2021-30465, CVE-2024-45310, CVE-2023-28642, CVE-2026-41579: links where mounts go
fresh_root
ln -s "$W/host" "$W/evil/out"
ln -s /../../../../../../../../../../.. "$W/evil/up"
evil '.mounts += [{"destination":"/out/made","type":"tmpfs","source":"t"},{"destination":"/up/'"${W#/}"'/host/made2","type":"tmpfs","source":"t"}]' true >/dev/null
is "30465: a destination through a link stays inside" "$(ls "$W/host")" untouched
ok "and was made inside the root" test -d "$W/evil/$W/host/made"
for d in proc sys dev; do
    fresh_root
    rmdir "$W/evil/$d"
    ln -s /tmp "$W/evil/$d"
    like "28642: /$d as a link" "$(evil . 'echo ran')" "must be (mounted on )?(an )?ordinary directory"
done
fresh_root
(while [ -d "$W/evil" ]; do
    rm -rf "$W/evil/race" 2>/dev/null
    mkdir "$W/evil/race" 2>/dev/null
    rm -rf "$W/evil/race" 2>/dev/null
    ln -s "$W/host" "$W/evil/race" 2>/dev/null
done) 2>/dev/null &
racer=$!
for i in $(seq 20); do
    evil '.mounts += [{"destination":"/race/sub","type":"tmpfs","source":"t"}]' true >/dev/null 2>&1
done
kill $racer 2>/dev/null
wait $racer 2>/dev/null
is "30465: swapping a destination for a link while it runs" "$(ls "$W/host")" untouched

# CVE-2019-16884, CVE-2019-19921, CVE-2025-52881: an image that brings its own /proc
fresh_root
out=$(evil '.mounts |= map(select(.destination != "/proc")) | .mounts += [{"destination":"/proc","type":"tmpfs","source":"t"}] | .linux.sysctl = {"net.ipv4.ip_forward":"1"}' 'ls /proc/sys 2>&1 | head -1')
is "52881: sysctls are not written into a fake /proc" "$(echo "$out" | grep -c net)" 0

# CVE-2025-31133, CVE-2025-52565: masks and the console made of the image's own files
fresh_root
ln -s "$W/host/untouched" "$W/evil/dev/null"
out=$(evil '.mounts |= map(select(.destination | startswith("/dev") | not)) | .linux.maskedPaths = ["/proc/keys"]' 'stat -c %t:%T /proc/keys')
is "31133: a mask is the host's null device, whatever the image calls /dev/null" "$out" 1:3
out=$(evil . '(echo 1 >/proc/sys/vm/drop_caches) 2>/dev/null || echo refused; cat /proc/keys | wc -c; ls /sys/firmware | wc -l')
is "masked and read-only paths hold" "$(echo $out)" "refused 0 0"
like "masks cannot be taken away" "$(evil . 'umount /proc/keys 2>&1; mount -o remount,rw /proc/sys 2>&1')" "(not permitted|denied)"

# capabilities, users
fresh_root
is "29162: nothing inheritable or ambient unless asked" "$(evil . 'grep -E "CapInh|CapAmb" /proc/self/status | cut -f2 | sort -u')" 0000000000000000
is "supplementary groups are set, not inherited" "$(evil '.process.user = {"uid":1000,"gid":1000}' 'id -G')" 1000
for uid in 4294967295 4294967296 -1; do
    like "40635: uid $uid is refused" "$(evil ".process.user.uid = $uid" 'id')" "process.user"
done
mkfifo "$W/evil/etc/fifo" && mv "$W/evil/etc/fifo" "$W/evil/etc/passwd"
is "9676: a FIFO as /etc/passwd stops nothing" "$(evil . 'echo ran')" ran

# CVE-2022-0811 and kin: sysctls of the host
fresh_root
for s in kernel.core_pattern kernel.shm_rmid_forced+kernel.core_pattern vm.swappiness fs.file-max ../../kernel/core_pattern net/../kernel/core_pattern; do
    like "0811: sysctl $s is refused" "$(evil ".linux.sysctl = {\"$s\":\"|/bin/evil\"}" true)" "linux.sysctl"
done

# cgroups: CVE-2022-0492, paths that climb
out=$(evil . 'for d in /sys/fs/cgroup /sys/fs/cgroup/*; do (mkdir $d/x 2>/dev/null && echo made); (echo 1 >$d/notify_on_release) 2>/dev/null && echo written; done')
is "0492: no cgroup is writable" "$out" ""
for p in /../x a/../../x /; do
    like "cgroupsPath '$p' is refused" "$(evil ".linux.cgroupsPath = \"$p\"" true)" "linux.cgroupsPath"
done
bundle e '.process.args = ["sleep","1000"]'
run run -d -b "$W/e" e </dev/null >/dev/null 2>&1
like "exec --cgroup cannot climb" "$(run exec --cgroup ../.. e true 2>&1)" 'components are not allowed'
run delete -f e

# seccomp: architectures that are not listed cannot slip past the filter
out=$(evil '.linux.seccomp = {"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["clone","fork","vfork","wait4","execve","exit_group","exit","brk","arch_prctl","write","read","open","openat","mmap","munmap","close","fstat","stat","getuid","geteuid","getgid","getegid","getpid","getppid","rt_sigaction","rt_sigprocmask","ioctl","fcntl","dup2","prctl","capset","set_tid_address","mprotect","uname","getcwd","rt_sigreturn"],"action":"SCMP_ACT_ALLOW"}]}' 'echo alive; mkdir /tmp/x 2>/dev/null || echo refused')
is "a strict profile starts and refuses" "$(echo $out)" "alive refused"

# what the host's processes and kernel show
fresh_root
is "other processes are not seen" "$(evil . 'ls -d /proc/[0-9]* | wc -l')" 3
is "the parked process cannot be traced or read" "$(
    bundle e '.process.args = ["sleep","1000"]'
    run create -b "$W/e" e </dev/null >/dev/null 2>&1
    pid=$(run state e | jq .pid)
    stat -c %U "/proc/$pid/mem"
    run delete -f e
)" root
is "nothing is left" "$(ls "$W/state")$(cgroups_left)" 0
is "and kvrun is as it was" "$(sha256sum "$KVRUN")" "$before"
finish
