/* cgroup_values.h - linux.resources as writes to cgroup files, for version 1 and version 2. Pure.
 *
 * Conversions from v1 numbers to v2 ones: containers.md 2.2; kernel Documentation/admin-guide/
 * cgroup-v2.rst and cgroup-v1/. */
#ifndef RUNTIME_CONTAINER_CGROUP_VALUES_H
#define RUNTIME_CONTAINER_CGROUP_VALUES_H

#include "runtime/container/spec.h"

enum cgroup_controller {
    CGROUP_CPU,
    CGROUP_CPUACCT,
    CGROUP_CPUSET,
    CGROUP_MEMORY,
    CGROUP_DEVICES,
    CGROUP_FREEZER,
    CGROUP_BLKIO, /* "io" in version 2 */
    CGROUP_PIDS,
    CGROUP_HUGETLB,
    CGROUP_NET_CLS,
    CGROUP_NET_PRIO,
    CGROUP_PERF_EVENT,
    CGROUP_RDMA,
    CGROUP_MISC,
    CGROUP_CONTROLLER_COUNT,
    CGROUP_ANY, /* unified: whatever file it is */
};

#define CGROUP_BIT(controller) (UINT32_C(1) << (controller))

enum cgroup_write_flag {
    CGROUP_WRITE_OPTIONAL = 1, /* a kernel without the file is not an error */
    CGROUP_WRITE_PAIR = 2,     /* refused? try again after the next one */
};

struct cgroup_write {
    enum cgroup_controller controller;
    unsigned flags;
    const char *file;
    const char *value;
    const char *field; /* of config.json, for messages */
};

enum { CGROUP_WRITES_MAX = 512 };

struct cgroup_plan {
    struct arena *arena;
    struct cgroup_write *items; /* in the arena */
    size_t count;
};

/* "memory" -> CGROUP_MEMORY; "io" -> CGROUP_BLKIO; -1: none of ours. */
int cgroup_controller_number(const char *name, size_t size);
const char *cgroup_controller_name(enum cgroup_controller controller, bool is_v2);

/* What to write for the controllers of the mask. ERR_INVALID: values that contradict each other;
 * ERR_TOO_LARGE: more than CGROUP_WRITES_MAX. Device rules are not part of it. */
MUST_USE int cgroup_plan_v1(const struct spec_resources *resources, uint32_t controllers,
                            struct cgroup_plan *plan, struct err *err);
MUST_USE int cgroup_plan_v2(const struct spec_resources *resources, uint32_t controllers,
                            struct cgroup_plan *plan, struct err *err);

/* cpu.weight (1..10000) of cpu.shares (2..262144): quadratic in the logarithm, so that 1024 becomes
 * 100. */
uint64_t cgroup_weight_from_shares(uint64_t shares);
/* io.weight (1..10000) of blkio.weight (10..1000). */
uint64_t cgroup_io_weight_from_blkio(uint64_t weight);

/* The cgroup's path: absolute, no empty, "." or ".." component. configured NULL or "": "/kvrun-ID".
 * A systemd name "slice:prefix:name" is the path systemd would give it. ERR_INVALID. */
MUST_USE int cgroup_path_choose(const char *configured, const char *id, char *out, size_t size,
                                struct err *err);

#endif
