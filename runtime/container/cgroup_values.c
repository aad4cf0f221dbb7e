#include "runtime/container/cgroup_values.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const controller_names[CGROUP_CONTROLLER_COUNT] = {
    "cpu",  "cpuacct", "cpuset",  "memory",   "devices",    "freezer", "blkio",
    "pids", "hugetlb", "net_cls", "net_prio", "perf_event", "rdma",    "misc"};

int cgroup_controller_number(const char *name, size_t size)
{
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        if (strlen(controller_names[i]) == size && memcmp(controller_names[i], name, size) == 0) {
            return i;
        }
    }
    return size == 2 && memcmp(name, "io", 2) == 0 ? CGROUP_BLKIO : -1;
}

const char *cgroup_controller_name(enum cgroup_controller controller, bool is_v2)
{
    return is_v2 && controller == CGROUP_BLKIO ? "io" : controller_names[controller];
}

struct planner {
    struct cgroup_plan *plan;
    uint32_t controllers;
    bool is_full;
};

__attribute__((format(printf, 6, 7))) static void add(struct planner *planner,
                                                      enum cgroup_controller controller,
                                                      unsigned flags, const char *file,
                                                      const char *field, const char *format, ...)
{
    struct cgroup_plan *plan = planner->plan;
    if (controller != CGROUP_ANY && (planner->controllers & CGROUP_BIT(controller)) == 0) {
        /* The controller is not here: an optional wish is dropped, a limit is not forgotten. */
        if ((flags & CGROUP_WRITE_OPTIONAL) != 0) {
            return;
        }
    }
    if (plan->count == CGROUP_WRITES_MAX) {
        planner->is_full = true;
        return;
    }
    if (plan->items == NULL) {
        plan->items = arena_alloc(plan->arena, CGROUP_WRITES_MAX * sizeof *plan->items);
    }
    char value[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    plan->items[plan->count++] = (struct cgroup_write){.controller = controller,
                                                       .flags = flags,
                                                       .file = file,
                                                       .value = arena_strdup(plan->arena, value),
                                                       .field = field};
}

static int finish(const struct planner *planner, struct err *err)
{
    return planner->is_full
               ? err_set(err, ERR_TOO_LARGE, "linux.resources: more than %d values to write",
                         CGROUP_WRITES_MAX)
               : 0;
}

/* shares <= 2 -> 1, 1024 -> 100, 262144 -> 10000: ceil(10^((l*l + 125*l)/612 - 7/34)), l =
 * log2(shares). Computed without libm: powers of two of the exponent times log2(10), by squaring.
 */
static double log2_of(double x)
{
    double result = 0;
    while (x >= 2) {
        x /= 2;
        result += 1;
    }
    double bit = 0.5;
    for (int i = 0; i < 40; i++) {
        x *= x;
        if (x >= 2) {
            x /= 2;
            result += bit;
        }
        bit /= 2;
    }
    return result;
}

static double exp2_of(double x)
{
    double result = 1;
    while (x >= 1) {
        result *= 2;
        x -= 1;
    }
    /* 2^x for 0 <= x < 1 by its series; 25 terms are exact to the last bit of a double. */
    double term = 1;
    double sum = 1;
    for (int i = 1; i < 25; i++) {
        term *= x * 0.693147180559945309417 / i;
        sum += term;
    }
    return result * sum;
}

uint64_t cgroup_weight_from_shares(uint64_t shares)
{
    if (shares <= 2) {
        return 1;
    }
    if (shares >= 262144) {
        return 10000;
    }
    double l = log2_of((double)shares);
    double exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0;
    double weight = exp2_of(exponent * 3.32192809488736234787);
    uint64_t floor_of = (uint64_t)(weight - 1e-7);
    return floor_of + 1;
}

uint64_t cgroup_io_weight_from_blkio(uint64_t weight)
{
    return weight <= 10 ? 1 : 1 + (weight - 10) * 9999 / 990;
}

/* Memory in version 1: the limit must be set before memory+swap when it shrinks and after it when
 * it grows, so the two are a pair. */
static void plan_memory_v1(struct planner *planner, const struct spec_memory *memory)
{
    if (memory->limit.is_set && memory->limit.value != 0) {
        add(planner, CGROUP_MEMORY, CGROUP_WRITE_PAIR, "memory.limit_in_bytes", "memory.limit",
            "%" PRId64, memory->limit.value);
    }
    if (memory->swap.is_set && memory->swap.value != 0) {
        add(planner, CGROUP_MEMORY, CGROUP_WRITE_OPTIONAL, "memory.memsw.limit_in_bytes",
            "memory.swap", "%" PRId64, memory->swap.value);
    } else if (memory->limit.is_set && memory->limit.value == -1) {
        add(planner, CGROUP_MEMORY, CGROUP_WRITE_OPTIONAL, "memory.memsw.limit_in_bytes",
            "memory.swap", "-1");
    }
    if (memory->reservation.is_set && memory->reservation.value != 0) {
        add(planner, CGROUP_MEMORY, 0, "memory.soft_limit_in_bytes", "memory.reservation",
            "%" PRId64, memory->reservation.value);
    }
    if (memory->kernel_tcp.is_set && memory->kernel_tcp.value != 0) {
        add(planner, CGROUP_MEMORY, CGROUP_WRITE_OPTIONAL, "memory.kmem.tcp.limit_in_bytes",
            "memory.kernelTCP", "%" PRId64, memory->kernel_tcp.value);
    }
    if (memory->swappiness.is_set && memory->swappiness.value != UINT64_MAX) {
        add(planner, CGROUP_MEMORY, 0, "memory.swappiness", "memory.swappiness", "%" PRIu64,
            memory->swappiness.value);
    }
    if (memory->disable_oom_killer.is_set && memory->disable_oom_killer.value) {
        add(planner, CGROUP_MEMORY, 0, "memory.oom_control", "memory.disableOOMKiller", "1");
    }
}

static void plan_cpu_v1(struct planner *planner, const struct spec_cpu *cpu)
{
    if (cpu->shares.is_set && cpu->shares.value != 0) {
        add(planner, CGROUP_CPU, 0, "cpu.shares", "cpu.shares", "%" PRIu64, cpu->shares.value);
    }
    if (cpu->period_us.is_set && cpu->period_us.value != 0) {
        add(planner, CGROUP_CPU, CGROUP_WRITE_PAIR, "cpu.cfs_period_us", "cpu.period", "%" PRIu64,
            cpu->period_us.value);
    }
    if (cpu->quota_us.is_set && cpu->quota_us.value != 0) {
        add(planner, CGROUP_CPU, 0, "cpu.cfs_quota_us", "cpu.quota", "%" PRId64,
            cpu->quota_us.value);
    }
    if (cpu->burst_us.is_set) {
        add(planner, CGROUP_CPU, 0, "cpu.cfs_burst_us", "cpu.burst", "%" PRIu64,
            cpu->burst_us.value);
    }
    if (cpu->realtime_period_us.is_set && cpu->realtime_period_us.value != 0) {
        add(planner, CGROUP_CPU, CGROUP_WRITE_PAIR, "cpu.rt_period_us", "cpu.realtimePeriod",
            "%" PRIu64, cpu->realtime_period_us.value);
    }
    if (cpu->realtime_runtime_us.is_set && cpu->realtime_runtime_us.value != 0) {
        add(planner, CGROUP_CPU, 0, "cpu.rt_runtime_us", "cpu.realtimeRuntime", "%" PRId64,
            cpu->realtime_runtime_us.value);
    }
    if (cpu->idle.is_set) {
        add(planner, CGROUP_CPU, CGROUP_WRITE_OPTIONAL, "cpu.idle", "cpu.idle", "%" PRId64,
            cpu->idle.value);
    }
}

static void plan_cpuset(struct planner *planner, const struct spec_cpu *cpu)
{
    if (cpu->cpus != NULL && cpu->cpus[0] != 0) {
        add(planner, CGROUP_CPUSET, 0, "cpuset.cpus", "cpu.cpus", "%s", cpu->cpus);
    }
    if (cpu->mems != NULL && cpu->mems[0] != 0) {
        add(planner, CGROUP_CPUSET, 0, "cpuset.mems", "cpu.mems", "%s", cpu->mems);
    }
}

static void plan_throttle_v1(struct planner *planner, const struct spec_throttle_device_list *list,
                             const char *file, const char *field)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct spec_throttle_device *device = &list->items[i];
        add(planner, CGROUP_BLKIO, 0, file, field, "%" PRId64 ":%" PRId64 " %" PRIu64,
            device->major, device->minor, device->rate);
    }
}

/* Which I/O scheduler is in charge decides which weight files exist: none is an error. */
static void plan_block_io_v1(struct planner *planner, const struct spec_block_io *io)
{
    if (io->weight.is_set && io->weight.value != 0) {
        add(planner, CGROUP_BLKIO, CGROUP_WRITE_OPTIONAL, "blkio.weight", "blockIO.weight",
            "%" PRIu64, io->weight.value);
        add(planner, CGROUP_BLKIO, CGROUP_WRITE_OPTIONAL, "blkio.bfq.weight", "blockIO.weight",
            "%" PRIu64, io->weight.value);
    }
    if (io->leaf_weight.is_set && io->leaf_weight.value != 0) {
        add(planner, CGROUP_BLKIO, CGROUP_WRITE_OPTIONAL, "blkio.leaf_weight", "blockIO.leafWeight",
            "%" PRIu64, io->leaf_weight.value);
    }
    for (size_t i = 0; i < io->weight_devices.count; i++) {
        const struct spec_weight_device *device = &io->weight_devices.items[i];
        if (device->weight.is_set) {
            add(planner, CGROUP_BLKIO, CGROUP_WRITE_OPTIONAL, "blkio.weight_device",
                "blockIO.weightDevice", "%" PRId64 ":%" PRId64 " %" PRIu64, device->major,
                device->minor, device->weight.value);
            add(planner, CGROUP_BLKIO, CGROUP_WRITE_OPTIONAL, "blkio.bfq.weight_device",
                "blockIO.weightDevice", "%" PRId64 ":%" PRId64 " %" PRIu64, device->major,
                device->minor, device->weight.value);
        }
        if (device->leaf_weight.is_set) {
            add(planner, CGROUP_BLKIO, CGROUP_WRITE_OPTIONAL, "blkio.leaf_weight_device",
                "blockIO.weightDevice", "%" PRId64 ":%" PRId64 " %" PRIu64, device->major,
                device->minor, device->leaf_weight.value);
        }
    }
    plan_throttle_v1(planner, &io->read_bps, "blkio.throttle.read_bps_device",
                     "blockIO.throttleReadBpsDevice");
    plan_throttle_v1(planner, &io->write_bps, "blkio.throttle.write_bps_device",
                     "blockIO.throttleWriteBpsDevice");
    plan_throttle_v1(planner, &io->read_iops, "blkio.throttle.read_iops_device",
                     "blockIO.throttleReadIOPSDevice");
    plan_throttle_v1(planner, &io->write_iops, "blkio.throttle.write_iops_device",
                     "blockIO.throttleWriteIOPSDevice");
}

static void plan_pids(struct planner *planner, const struct spec_pids *pids)
{
    if (!pids->limit.is_set) {
        return;
    }
    /* 0 would stop the container's own first process: 1 is what such a limit can mean at best. */
    if (pids->limit.value < 0) {
        add(planner, CGROUP_PIDS, 0, "pids.max", "pids.limit", "max");
    } else {
        add(planner, CGROUP_PIDS, 0, "pids.max", "pids.limit", "%" PRId64,
            pids->limit.value == 0 ? 1 : pids->limit.value);
    }
}

static void plan_hugetlb(struct planner *planner, const struct spec_resources *resources,
                         bool is_v2)
{
    struct arena *arena = planner->plan->arena;
    for (size_t i = 0; i < resources->hugepage_limits.count; i++) {
        const struct spec_hugepage_limit *limit = &resources->hugepage_limits.items[i];
        const char *suffix = is_v2 ? "max" : "limit_in_bytes";
        add(planner, CGROUP_HUGETLB, 0,
            arena_printf(arena, "hugetlb.%s.%s", limit->page_size, suffix), "hugepageLimits",
            "%" PRIu64, limit->limit);
        /* Newer kernels count reservations apart; older ones lack the file. */
        add(planner, CGROUP_HUGETLB, CGROUP_WRITE_OPTIONAL,
            arena_printf(arena, "hugetlb.%s.rsvd.%s", limit->page_size, suffix), "hugepageLimits",
            "%" PRIu64, limit->limit);
    }
}

static void plan_rdma(struct planner *planner, const struct spec_rdma_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct spec_rdma *rdma = &list->items[i];
        char handles[48] = "";
        char objects[48] = "";
        if (rdma->hca_handles.is_set) {
            (void)snprintf(handles, sizeof handles, " hca_handle=%" PRIu64,
                           rdma->hca_handles.value);
        }
        if (rdma->hca_objects.is_set) {
            (void)snprintf(objects, sizeof objects, " hca_object=%" PRIu64,
                           rdma->hca_objects.value);
        }
        add(planner, CGROUP_RDMA, 0, "rdma.max", "rdma", "%s%s%s", rdma->device, handles, objects);
    }
}

static void plan_network_v1(struct planner *planner, const struct spec_network *network)
{
    if (network->class_id.is_set && network->class_id.value != 0) {
        add(planner, CGROUP_NET_CLS, 0, "net_cls.classid", "network.classID", "%" PRIu64,
            network->class_id.value);
    }
    for (size_t i = 0; i < network->priorities.count; i++) {
        const struct spec_network_priority *priority = &network->priorities.items[i];
        if (priority->name != NULL) {
            add(planner, CGROUP_NET_PRIO, 0, "net_prio.ifpriomap", "network.priorities", "%s %u",
                priority->name, priority->priority);
        }
    }
}

int cgroup_plan_v1(const struct spec_resources *resources, uint32_t controllers,
                   struct cgroup_plan *plan, struct err *err)
{
    struct planner planner = {.plan = plan, .controllers = controllers};
    plan_cpuset(&planner, &resources->cpu);
    plan_memory_v1(&planner, &resources->memory);
    plan_cpu_v1(&planner, &resources->cpu);
    plan_pids(&planner, &resources->pids);
    plan_block_io_v1(&planner, &resources->block_io);
    plan_hugetlb(&planner, resources, false);
    plan_rdma(&planner, &resources->rdma);
    plan_network_v1(&planner, &resources->network);
    return finish(&planner, err);
}

static void add_limit(struct planner *planner, unsigned flags, const char *file, const char *field,
                      int64_t value)
{
    if (value < 0) {
        add(planner, CGROUP_MEMORY, flags, file, field, "max");
    } else {
        add(planner, CGROUP_MEMORY, flags, file, field, "%" PRId64, value);
    }
}

/* Version 2 counts swap alone, the configuration memory+swap together. */
static int plan_memory_v2(struct planner *planner, const struct spec_memory *memory,
                          struct err *err)
{
    int64_t limit = memory->limit.is_set ? memory->limit.value : 0;
    int64_t swap = memory->swap.is_set ? memory->swap.value : 0;
    if (limit == -1 && swap == 0) {
        swap = -1;
    }
    if ((planner->controllers & CGROUP_BIT(CGROUP_MEMORY)) == 0) {
        return 0; /* a hybrid host: version 1 has it */
    }
    if (swap > 0 && limit <= 0) {
        return err_set(
            err, ERR_INVALID,
            "linux.resources.memory.swap: unable to set swap limit without memory limit");
    }
    if (swap != 0) {
        add_limit(planner, CGROUP_WRITE_OPTIONAL, "memory.swap.max", "memory.swap",
                  swap < 0 ? -1 : swap - limit);
    }
    if (limit != 0) {
        add_limit(planner, 0, "memory.max", "memory.limit", limit);
    }
    if (memory->reservation.is_set && memory->reservation.value != 0) {
        add_limit(planner, 0, "memory.low", "memory.reservation", memory->reservation.value);
    }
    return 0;
}

static void plan_cpu_v2(struct planner *planner, const struct spec_cpu *cpu)
{
    if (cpu->idle.is_set) {
        add(planner, CGROUP_CPU, 0, "cpu.idle", "cpu.idle", "%" PRId64, cpu->idle.value);
    }
    if (cpu->shares.is_set && cpu->shares.value != 0 &&
        !(cpu->idle.is_set && cpu->idle.value != 0)) {
        add(planner, CGROUP_CPU, 0, "cpu.weight", "cpu.shares", "%" PRIu64,
            cgroup_weight_from_shares(cpu->shares.value));
    }
    bool has_quota = cpu->quota_us.is_set && cpu->quota_us.value != 0;
    bool has_period = cpu->period_us.is_set && cpu->period_us.value != 0;
    uint64_t period = has_period ? cpu->period_us.value : 100000;
    if (has_quota && cpu->quota_us.value > 0) {
        add(planner, CGROUP_CPU, 0, "cpu.max", "cpu.quota", "%" PRId64 " %" PRIu64,
            cpu->quota_us.value, period);
    } else if (has_quota || has_period) {
        add(planner, CGROUP_CPU, 0, "cpu.max", "cpu.quota", "max %" PRIu64, period);
    }
    if (cpu->burst_us.is_set) {
        add(planner, CGROUP_CPU, 0, "cpu.max.burst", "cpu.burst", "%" PRIu64, cpu->burst_us.value);
    }
}

static void plan_throttle_v2(struct planner *planner, const struct spec_throttle_device_list *list,
                             const char *key, const char *field)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct spec_throttle_device *device = &list->items[i];
        if (device->rate == 0) {
            add(planner, CGROUP_BLKIO, 0, "io.max", field, "%" PRId64 ":%" PRId64 " %s=max",
                device->major, device->minor, key);
        } else {
            add(planner, CGROUP_BLKIO, 0, "io.max", field, "%" PRId64 ":%" PRId64 " %s=%" PRIu64,
                device->major, device->minor, key, device->rate);
        }
    }
}

static void plan_block_io_v2(struct planner *planner, const struct spec_block_io *io)
{
    if (io->weight.is_set && io->weight.value != 0) {
        add(planner, CGROUP_BLKIO, CGROUP_WRITE_OPTIONAL, "io.bfq.weight", "blockIO.weight",
            "%" PRIu64, io->weight.value);
        add(planner, CGROUP_BLKIO, CGROUP_WRITE_OPTIONAL, "io.weight", "blockIO.weight", "%" PRIu64,
            cgroup_io_weight_from_blkio(io->weight.value));
    }
    for (size_t i = 0; i < io->weight_devices.count; i++) {
        const struct spec_weight_device *device = &io->weight_devices.items[i];
        if (device->weight.is_set) {
            add(planner, CGROUP_BLKIO, CGROUP_WRITE_OPTIONAL, "io.bfq.weight",
                "blockIO.weightDevice", "%" PRId64 ":%" PRId64 " %" PRIu64, device->major,
                device->minor, device->weight.value);
        }
    }
    plan_throttle_v2(planner, &io->read_bps, "rbps", "blockIO.throttleReadBpsDevice");
    plan_throttle_v2(planner, &io->write_bps, "wbps", "blockIO.throttleWriteBpsDevice");
    plan_throttle_v2(planner, &io->read_iops, "riops", "blockIO.throttleReadIOPSDevice");
    plan_throttle_v2(planner, &io->write_iops, "wiops", "blockIO.throttleWriteIOPSDevice");
}

int cgroup_plan_v2(const struct spec_resources *resources, uint32_t controllers,
                   struct cgroup_plan *plan, struct err *err)
{
    struct planner planner = {.plan = plan, .controllers = controllers};
    int rc = plan_memory_v2(&planner, &resources->memory, err);
    if (rc < 0) {
        return rc;
    }
    plan_cpuset(&planner, &resources->cpu);
    plan_cpu_v2(&planner, &resources->cpu);
    plan_pids(&planner, &resources->pids);
    plan_block_io_v2(&planner, &resources->block_io);
    plan_hugetlb(&planner, resources, true);
    plan_rdma(&planner, &resources->rdma);
    for (size_t i = 0; i < resources->unified.count; i++) {
        add(&planner, CGROUP_ANY, 0, resources->unified.items[i].name, "unified", "%s",
            resources->unified.items[i].value);
    }
    return finish(&planner, err);
}

/* "user-1000.slice" lies in user.slice: each dash is a level. */
static void append_slice(char *out, size_t size, const char *slice, size_t slice_size)
{
    static const char suffix[] = ".slice";
    size_t stem = slice_size > 6 && memcmp(slice + slice_size - 6, suffix, 6) == 0 ? slice_size - 6
                                                                                   : slice_size;
    if (stem == 1 && slice[0] == '-') {
        return;
    }
    for (size_t i = 1; i <= stem; i++) {
        if (i == stem || slice[i] == '-') {
            size_t used = strlen(out);
            (void)snprintf(out + used, size - used, "/%.*s%s", (int)i, slice, suffix);
        }
    }
}

static void choose_systemd_path(const char *configured, const char *id, char *out, size_t size)
{
    const char *first = strchr(configured, ':');
    const char *second = strchr(first + 1, ':');
    out[0] = 0;
    if (first == configured) {
        append_slice(out, size, "system.slice", 12);
    } else {
        append_slice(out, size, configured, (size_t)(first - configured));
    }
    const char *name = second[1] == 0 ? id : second + 1;
    size_t used = strlen(out);
    bool has_suffix = strlen(name) > 6 && strcmp(name + strlen(name) - 6, ".slice") == 0;
    if (second == first + 1) {
        (void)snprintf(out + used, size - used, "/%s%s", name, has_suffix ? "" : ".scope");
    } else {
        (void)snprintf(out + used, size - used, "/%.*s-%s.scope", (int)(second - first - 1),
                       first + 1, name);
    }
}

static bool is_systemd_name(const char *path)
{
    const char *first = strchr(path, ':');
    const char *second = first == NULL ? NULL : strchr(first + 1, ':');
    return second != NULL && strchr(second + 1, ':') == NULL && strchr(path, '/') == NULL;
}

int cgroup_path_choose(const char *configured, const char *id, char *out, size_t size,
                       struct err *err)
{
    char path[4096];
    if (configured == NULL || configured[0] == 0) {
        (void)snprintf(path, sizeof path, "/%s", id);
    } else if (is_systemd_name(configured)) {
        choose_systemd_path(configured, id, path, sizeof path);
    } else if (strlen(configured) + 2 > sizeof path) {
        return err_set(err, ERR_INVALID, "linux.cgroupsPath: too long");
    } else {
        (void)snprintf(path, sizeof path, "/%s", configured);
    }
    size_t used = 0;
    char *rest = path;
    for (char *part = strsep(&rest, "/"); part != NULL; part = strsep(&rest, "/")) {
        size_t length = strlen(part);
        if (length == 0 || strcmp(part, ".") == 0) {
            continue;
        }
        if (strcmp(part, "..") == 0 || length > 255 || strchr(part, '\n') != NULL) {
            return err_set(err, ERR_INVALID, "linux.cgroupsPath: bad component in '%s'",
                           configured);
        }
        if (used + 1 + length >= size) {
            return err_set(err, ERR_INVALID, "linux.cgroupsPath: too long");
        }
        out[used++] = '/';
        memcpy(out + used, part, length);
        used += length;
    }
    if (used == 0) {
        return err_set(err, ERR_INVALID, "linux.cgroupsPath: the root cgroup cannot be used");
    }
    out[used] = 0;
    return 0;
}
