/* process_limits.c - what a process may use, beside its cgroup. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/container/file.h"
#include "runtime/container/kernel.h"
#include "runtime/container/process.h"
#include "runtime/container/report.h"

static int set_rlimit(const struct spec_rlimit *limit, struct err *err)
{
    struct rlimit wanted = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
    if (setrlimit((__rlimit_resource_t)limit->resource, &wanted) == 0) {
        return 0;
    }
    struct rlimit now;
    if (errno != EPERM || getrlimit((__rlimit_resource_t)limit->resource, &now) < 0) {
        return err_set_errno(err, errno, "process.rlimits: setrlimit %s", limit->type);
    }
    /* CAP_SYS_RESOURCE is missing: as much as the hard limit allows, and say so. */
    wanted.rlim_max = now.rlim_max;
    wanted.rlim_cur = wanted.rlim_cur < now.rlim_max ? wanted.rlim_cur : now.rlim_max;
    if (setrlimit((__rlimit_resource_t)limit->resource, &wanted) < 0) {
        return err_set_errno(err, errno, "process.rlimits: setrlimit %s", limit->type);
    }
    report_warning("process.rlimits: %s is limited to the hard limit %llu of this machine's "
                   "kvrun (CAP_SYS_RESOURCE is missing)",
                   limit->type, (unsigned long long)now.rlim_max);
    return 0;
}

void process_raise_limits_of(pid_t pid, const struct spec_process *spec)
{
    for (size_t i = 0; i < spec->rlimits.count; i++) {
        const struct spec_rlimit *limit = &spec->rlimits.items[i];
        struct rlimit now;
        __rlimit_resource_t resource = (__rlimit_resource_t)limit->resource;
        if (prlimit(pid, resource, NULL, &now) == 0 && limit->hard > now.rlim_max) {
            now.rlim_max = limit->hard;
            (void)prlimit(pid, resource, &now, NULL); /* the child reports what it lacks */
        }
    }
}

int process_set_oom_score(const struct spec_process *spec, struct err *err)
{
    if (!spec->oom_score_adj.is_set) {
        return 0;
    }
    char value[24];
    (void)snprintf(value, sizeof value, "%lld", (long long)spec->oom_score_adj.value);
    char now[24];
    bool is_known = file_read_text(AT_FDCWD, "/proc/self/oom_score_adj", now, sizeof now) > 0;
    if (is_known && strcmp(now, value) == 0) {
        return 0;
    }
    int rc = file_write(AT_FDCWD, "/proc/self/oom_score_adj", value);
    if (rc == -EACCES || rc == -EPERM) {
        report_warning("process.oomScoreAdj: stays %s: lowering it needs CAP_SYS_RESOURCE",
                       is_known ? now : "as it is");
        return 0;
    }
    return rc < 0 ? err_set_errno(err, -rc, "process.oomScoreAdj: write oom_score_adj") : 0;
}

struct scheduler_attributes { /* struct sched_attr, which glibc 2.36 lacks (linux/sched/types.h) */
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime;
    uint64_t deadline;
    uint64_t period;
};

static int set_scheduler(const struct spec_scheduler *scheduler, struct err *err)
{
    struct scheduler_attributes attributes = {.size = sizeof attributes,
                                              .policy = scheduler->policy_number,
                                              .flags = scheduler->flag_bits,
                                              .nice = (int32_t)scheduler->nice,
                                              .priority = (uint32_t)scheduler->priority,
                                              .runtime = scheduler->runtime_ns.value,
                                              .deadline = scheduler->deadline_ns,
                                              .period = scheduler->period_ns};
    int rc = kernel_result(syscall(SYS_sched_setattr, 0, &attributes, 0));
    if (rc == -EPERM && strcmp(scheduler->policy, "SCHED_DEADLINE") == 0) {
        /* The kernel's rule: a deadline task may run on all processors of its root domain. */
        return err_set(err, -EPERM,
                       "process.scheduler: sched_setattr SCHED_DEADLINE: %s (process scheduler "
                       "can't be used together with AllowedCPUs)",
                       err_text(-EPERM));
    }
    return rc < 0
               ? err_set_errno(err, -rc, "process.scheduler: sched_setattr %s", scheduler->policy)
               : 0;
}

static int set_personality(const struct spec_personality *personality_, struct err *err)
{
    const char *domain = personality_->domain == NULL ? "" : personality_->domain;
    if (personality_->flags.count > 0) {
        return err_set(err, ERR_UNSUPPORTED, "linux.personality.flags: not supported");
    }
    unsigned long value = 0;
    if (strcmp(domain, "LINUX32") == 0) {
        value = PER_LINUX32;
    } else if (strcmp(domain, "LINUX") != 0) {
        return err_set(err, ERR_INVALID, "linux.personality.domain: unknown persona '%s'", domain);
    }
    return personality(value) < 0 ? err_set_errno(err, errno, "linux.personality") : 0;
}

/* "0-2,4" as a bit mask of nodes; false: no list of numbers below 64. */
static bool parse_nodes(const char *text, uint64_t *ret)
{
    uint64_t mask = 0;
    while (*text != 0) {
        char *end = NULL;
        unsigned long low = strtoul(text, &end, 10);
        unsigned long high = low;
        if (end == text) {
            return false;
        }
        if (*end == '-') {
            text = end + 1;
            high = strtoul(text, &end, 10);
            if (end == text) {
                return false;
            }
        }
        if (low > high || high >= 64 || (*end != 0 && *end != ',')) {
            return false;
        }
        for (unsigned long node = low; node <= high; node++) {
            mask |= UINT64_C(1) << node;
        }
        text = end + (*end == ',');
    }
    *ret = mask;
    return true;
}

int process_set_memory_policy(const struct spec_memory_policy *policy, struct err *err)
{
    /* In the order of the numbers of linux/mempolicy.h. */
    static const char *const modes[] = {"MPOL_DEFAULT",
                                        "MPOL_PREFERRED",
                                        "MPOL_BIND",
                                        "MPOL_INTERLEAVE",
                                        "MPOL_LOCAL",
                                        "MPOL_PREFERRED_MANY",
                                        "MPOL_WEIGHTED_INTERLEAVE"};
    static const struct {
        const char *name;
        unsigned bit;
    } flags[] = {{"MPOL_F_STATIC_NODES", 1U << 15},
                 {"MPOL_F_RELATIVE_NODES", 1U << 14},
                 {"MPOL_F_NUMA_BALANCING", 1U << 13}};
    enum { MODE_COUNT = sizeof modes / sizeof modes[0] };
    if (policy->mode == NULL) {
        return err_set(err, ERR_INVALID,
                       "linux.memoryPolicy.mode: invalid memory policy mode: "
                       "missing");
    }
    unsigned mode = 0;
    while (mode < MODE_COUNT && strcmp(modes[mode], policy->mode) != 0) {
        mode++;
    }
    if (mode == MODE_COUNT) {
        return err_set(err, ERR_INVALID, "linux.memoryPolicy.mode: invalid memory policy mode '%s'",
                       policy->mode);
    }
    unsigned bits = 0;
    for (size_t i = 0; i < policy->flags.count; i++) {
        size_t at = 0;
        while (at < 3 && strcmp(flags[at].name, policy->flags.items[i]) != 0) {
            at++;
        }
        if (at == 3) {
            return err_set(err, ERR_INVALID,
                           "linux.memoryPolicy.flags[%zu]: invalid memory policy "
                           "flag '%s'",
                           i, policy->flags.items[i]);
        }
        bits |= flags[at].bit;
    }
    uint64_t nodes = 0;
    if (policy->nodes != NULL && !parse_nodes(policy->nodes, &nodes)) {
        return err_set(err, ERR_INVALID,
                       "linux.memoryPolicy.nodes: invalid memory policy node "
                       "list '%s'",
                       policy->nodes);
    }
    bool takes_no_nodes =
        strcmp(policy->mode, "MPOL_DEFAULT") == 0 || strcmp(policy->mode, "MPOL_LOCAL") == 0;
    if (takes_no_nodes && nodes != 0) {
        return err_set(err, ERR_INVALID,
                       "linux.memoryPolicy.nodes: mode requires 0 nodes but got "
                       "%d",
                       __builtin_popcountll(nodes));
    }
    int rc = kernel_result(syscall(SYS_set_mempolicy, mode | bits, nodes == 0 ? NULL : &nodes,
                                   nodes == 0 ? 0UL : 65UL));
    return rc < 0 ? err_set_errno(err, -rc, "linux.memoryPolicy: set_mempolicy %s", policy->mode)
                  : 0;
}

int process_limit(const struct spec_process *spec, const struct spec_personality *personality_,
                  struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < spec->rlimits.count; i++) {
        rc = set_rlimit(&spec->rlimits.items[i], err);
    }
    if (rc == 0 && spec->scheduler != NULL) {
        rc = set_scheduler(spec->scheduler, err);
    }
    if (rc == 0 && spec->io_priority != NULL) {
        rc =
            kernel_result(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, spec->io_priority->value));
        rc = rc < 0 ? err_set_errno(err, -rc, "process.ioPriority: ioprio_set %s",
                                    spec->io_priority->class_name)
                    : 0;
    }
    if (rc == 0 && personality_ != NULL) {
        rc = set_personality(personality_, err);
    }
    return rc;
}
