#include "runtime/container/cgroup_devices.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/report.h"

/* Each file is opened once and takes one rule a write. */
struct device_files {
    int allow;
    int deny;
};

static int write_rule(const struct device_files *files, const struct spec_device_rule *rule,
                      struct err *err)
{
    char line[80];
    (void)cgroup_devices_line(rule, line, sizeof line);
    ssize_t count = write(rule->allow ? files->allow : files->deny, line, strlen(line));
    return count < 0
               ? err_set_errno(err, errno, "linux.resources.devices: write '%s' to devices.%s",
                               line, rule->allow ? "allow" : "deny")
               : 0;
}

int cgroup_devices_write_v1(int dir, const struct spec_device_rule_list *rules, struct err *err)
{
    CLEANUP(close_fd) int allow = openat(dir, "devices.allow", O_WRONLY | O_CLOEXEC);
    CLEANUP(close_fd) int deny = openat(dir, "devices.deny", O_WRONLY | O_CLOEXEC);
    if (allow < 0 || deny < 0) {
        return err_set_errno(err, errno, "linux.resources.devices: open devices.allow");
    }
    const struct device_files files = {allow, deny};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < rules->count; i++) {
        rc = write_rule(&files, &rules->items[i], err);
    }
    for (size_t i = 0; rc == 0 && i < cgroup_devices_default_rule_count; i++) {
        rc = write_rule(&files, &cgroup_devices_default_rules[i], err);
    }
    return rc;
}

static int bpf_call(int command, union bpf_attr *attributes)
{
    long rc = syscall(SYS_bpf, command, attributes, sizeof *attributes);
    return rc < 0 ? -errno : (int)rc;
}

static int load_program(const struct bpf_insn *instructions, size_t count)
{
    union bpf_attr load;
    memset(&load, 0, sizeof load);
    load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load.insns = (uint64_t)(uintptr_t)instructions;
    load.insn_cnt = (uint32_t)count;
    load.license = (uint64_t)(uintptr_t) "Apache";
    return bpf_call(BPF_PROG_LOAD, &load);
}

/* The program that is attached to the cgroup itself (inherited ones not counted), -1: none. */
static int find_attached(int dir)
{
    uint32_t ids[64] = {0};
    union bpf_attr query;
    memset(&query, 0, sizeof query);
    query.query.target_fd = (uint32_t)dir;
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.prog_ids = (uint64_t)(uintptr_t)ids;
    query.query.prog_cnt = 64;
    if (bpf_call(BPF_PROG_QUERY, &query) < 0 || query.query.prog_cnt != 1) {
        return -1;
    }
    union bpf_attr get;
    memset(&get, 0, sizeof get);
    get.prog_id = ids[0];
    return bpf_call(BPF_PROG_GET_FD_BY_ID, &get);
}

int cgroup_devices_attach_v2(int dir, const struct spec_device_rule_list *rules, struct err *err)
{
    CLEANUP(free)
    struct bpf_insn *program = mem_calloc(CGROUP_DEVICES_INSTRUCTIONS_MAX, sizeof *program);
    int count = cgroup_devices_compile(rules, true, program, CGROUP_DEVICES_INSTRUCTIONS_MAX);
    if (count < 0) {
        return err_set(err, count, "linux.resources.devices: too many rules");
    }
    CLEANUP(close_fd) int fd = load_program(program, (size_t)count);
    if (fd < 0) {
        return err_set_errno(err, -fd, "linux.resources.devices: load BPF program");
    }
    CLEANUP(close_fd) int old = find_attached(dir);
    union bpf_attr attach;
    memset(&attach, 0, sizeof attach);
    attach.target_fd = (uint32_t)dir;
    attach.attach_bpf_fd = (uint32_t)fd;
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    if (old >= 0) {
        attach.attach_flags |= BPF_F_REPLACE;
        attach.replace_bpf_fd = (uint32_t)old;
    }
    int rc = bpf_call(BPF_PROG_ATTACH, &attach);
    return rc < 0 ? err_set_errno(err, -rc, "linux.resources.devices: attach BPF program") : 0;
}
