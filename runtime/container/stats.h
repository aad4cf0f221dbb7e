/* stats.h - what a container uses, from its cgroup. */
#ifndef RUNTIME_CONTAINER_STATS_H
#define RUNTIME_CONTAINER_STATS_H

#include "runtime/container/cgroup.h"

enum { STATS_CPUS_MAX = 1024 };

struct stats {
    uint64_t cpu_usage_ns;
    uint64_t cpu_user_ns;
    uint64_t cpu_system_ns;
    uint64_t periods, throttled_periods, throttled_ns;
    uint64_t memory_usage, memory_peak, memory_limit, memory_fail_count; /* bytes; limit 0: none */
    uint64_t memory_rss, memory_cache, memory_inactive_file, memory_kernel;
    uint64_t swap_usage, swap_limit; /* memory + swap together */
    uint64_t pids, pids_limit;       /* limit 0: none */
    uint64_t read_bytes, write_bytes;
    uint64_t oom_kills;
    char cpus[256], mems[256];
};

/* What the kernel does not tell stays 0. */
void stats_read(const struct cgroup *cgroup, struct stats *ret);

#endif
