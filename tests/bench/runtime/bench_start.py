#!/usr/bin/env python3
"""How long a container takes from `run` to gone, kvrun beside crun and runc. Needs root and busybox-static.

    tests/bench/runtime/bench_start.py --kvrun build/release/bin/kvrun [--count 40] [--idle 0.2]

The runtimes take turns, so that a busy machine is busy for all of them. crun refuses hybrid hosts: it runs in a
private mount namespace without the version 2 hierarchy. Two bundles: "min" is `kvrun spec`'s, "real" is what
Docker asks for (seccomp profile, 14 capabilities, memory, cpu and pids limits, device rules, sysctls)."""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time

CAPS = ["CAP_" + c for c in ("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP "
                             "NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE").split()]
# Docker's default profile refuses these; everything else that exists is allowed.
REFUSED = set("""acct add_key bpf clone clone3 delete_module finit_module init_module ioperm iopl kcmp kexec_load
 kexec_file_load keyctl mount mount_setattr move_mount fsopen fsconfig fsmount fspick open_tree move_pages nfsservctl
 open_by_handle_at perf_event_open personality pivot_root quotactl quotactl_fd reboot request_key setns settimeofday
 socket stime swapon swapoff syslog umount umount2 unshare userfaultfd vhangup vm86 vm86old io_uring_setup
 io_uring_enter io_uring_register""".split())


def syscall_names(repository):
    with open(os.path.join(repository, "runtime/container/syscall_table.c")) as table:
        return [line.split('"')[1] for line in table if line.startswith('    {"')]


def seccomp(names):
    allow, rules = "SCMP_ACT_ALLOW", []
    rules.append({"names": [n for n in names if n not in REFUSED], "action": allow})
    for value in (0, 8, 0x20000, 0x20008, 0xffffffff):
        rules.append({"names": ["personality"], "action": allow,
                      "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]})
    rules.append({"names": ["clone"], "action": allow,
                  "args": [{"index": 0, "value": 0x7e020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]})
    for value, op in ((38, "LT"), (39, "EQ"), (40, "GT")):
        rules.append({"names": ["socket"], "action": allow,
                      "args": [{"index": 0, "value": value, "op": "SCMP_CMP_" + op}]})
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})
    return {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": rules}


def make_bundles(directory, kvrun, repository):
    root = os.path.join(directory, "rootfs")
    for name in "bin proc sys dev tmp etc".split():
        os.makedirs(os.path.join(root, name))
    shutil.copy("/bin/busybox", os.path.join(root, "bin/true"))
    for name in ("min", "real"):
        bundle = os.path.join(directory, name)
        os.mkdir(bundle)
        subprocess.run([kvrun, "spec", "--bundle", bundle], check=True)
        path = os.path.join(bundle, "config.json")
        config = json.load(open(path))
        config["root"] = {"path": root, "readonly": True}
        config["process"].update(terminal=False, args=["true"])
        if name == "real":
            config["process"]["capabilities"] = {k: CAPS for k in ("bounding", "effective", "permitted")}
            config["process"]["noNewPrivileges"] = False
            config["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "0"}
            config["linux"]["seccomp"] = seccomp(syscall_names(repository))
            devices = [{"allow": False, "access": "rwm"}]
            devices += [{"allow": True, "type": "c", "major": a, "minor": b, "access": "rwm"}
                        for a, b in ((1, 3), (1, 5), (1, 8), (1, 9), (5, 0), (5, 1))]
            config["linux"]["resources"] = {
                "devices": devices, "memory": {"limit": 64 << 20, "swap": 128 << 20},
                "cpu": {"shares": 512, "quota": 50000, "period": 100000}, "pids": {"limit": 100}}
        json.dump(config, open(path, "w"))
    return ("min", "real")


def runtimes(kvrun, directory):
    """Name and command of each that is installed, with a state directory of its own."""
    found = [("kvrun", kvrun), ("crun", shutil.which("crun")), ("runc", shutil.which("runc"))]
    return [(name, [path, "--root", os.path.join(directory, name)]) for name, path in found if path]


def measure(command):
    before = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{command}: status {status}")
    return (time.perf_counter() - before) * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kvrun", required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--idle", type=float, default=0.0, help="seconds of quiet before each start")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    kvrun = os.path.abspath(options.kvrun)
    if os.path.exists("/sys/fs/cgroup/unified") and not options.inner:
        # For crun: this whole program again, where the version 2 hierarchy cannot be seen.
        inner = "umount /sys/fs/cgroup/unified; exec \"$@\" --inner"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", "sh", "-c", inner, "sh", sys.executable]
                  + sys.argv)
    repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    directory = tempfile.mkdtemp(prefix="kvrun-bench.")
    try:
        programs = runtimes(kvrun, directory)
        print("load average", *os.getloadavg())
        for bundle in make_bundles(directory, kvrun, repository):
            results = {name: [] for name, _ in programs}
            for round_number in range(options.count + 2):
                for name, command in programs:
                    time.sleep(options.idle)
                    sample = measure(command + ["run", "--bundle", os.path.join(directory, bundle), "bench"])
                    if round_number >= 2:
                        results[name].append(sample)
            for name, samples in results.items():
                wall = sorted(s[0] for s in samples)
                cpu = statistics.median(s[1] for s in samples)
                print(f"{bundle:5} {name:6} median {statistics.median(wall):7.2f} ms  p95 {wall[int(len(wall) * .95)]:7.2f}  "
                      f"min {wall[0]:6.2f}  cpu {cpu:6.2f} ms")
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
