/* update.h - options of `update`, as linux.resources. */
#ifndef RUNTIME_CONTAINER_UPDATE_H
#define RUNTIME_CONTAINER_UPDATE_H

#include "runtime/container/spec.h"

struct update_options {
    const char *resources; /* a file, "-": standard input; wins over the rest */
    const char *blkio_weight;
    const char *cpu_period;
    const char *cpu_quota;
    const char *cpu_burst;
    const char *cpu_share;
    const char *cpu_idle;
    const char *cpu_rt_period;
    const char *cpu_rt_runtime;
    const char *cpuset_cpus;
    const char *cpuset_mems;
    const char *memory;
    const char *memory_reservation;
    const char *memory_swap;
    const char *kernel_memory;
    const char *pids_limit;
};

MUST_USE int update_read(struct arena *arena, const struct update_options *options,
                         struct spec_resources *ret, struct err *err);

#endif
