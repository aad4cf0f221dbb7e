#include <string.h>

#include "runtime/container/spec.h"

static const struct field device_rule_fields[] = {
    FIELD(struct spec_device_rule, allow, "allow", FIELD_BOOL),
    FIELD(struct spec_device_rule, type, "type", FIELD_TEXT),
    FIELD(struct spec_device_rule, major, "major", FIELD_MAYBE_I64),
    FIELD(struct spec_device_rule, minor, "minor", FIELD_MAYBE_I64),
    FIELD(struct spec_device_rule, access, "access", FIELD_TEXT),
    FIELD_END,
};

static const struct field memory_fields[] = {
    FIELD(struct spec_memory, limit, "limit", FIELD_MAYBE_I64),
    FIELD(struct spec_memory, reservation, "reservation", FIELD_MAYBE_I64),
    FIELD(struct spec_memory, swap, "swap", FIELD_MAYBE_I64),
    FIELD(struct spec_memory, kernel, "kernel", FIELD_MAYBE_I64),
    FIELD(struct spec_memory, kernel_tcp, "kernelTCP", FIELD_MAYBE_I64),
    FIELD(struct spec_memory, swappiness, "swappiness", FIELD_MAYBE_U64),
    FIELD(struct spec_memory, disable_oom_killer, "disableOOMKiller", FIELD_MAYBE_BOOL),
    FIELD(struct spec_memory, use_hierarchy, "useHierarchy", FIELD_MAYBE_BOOL),
    FIELD(struct spec_memory, check_before_update, "checkBeforeUpdate", FIELD_MAYBE_BOOL),
    FIELD_END,
};

static const struct field cpu_fields[] = {
    FIELD(struct spec_cpu, shares, "shares", FIELD_MAYBE_U64),
    FIELD(struct spec_cpu, quota_us, "quota", FIELD_MAYBE_I64),
    FIELD(struct spec_cpu, burst_us, "burst", FIELD_MAYBE_U64),
    FIELD(struct spec_cpu, period_us, "period", FIELD_MAYBE_U64),
    FIELD(struct spec_cpu, realtime_runtime_us, "realtimeRuntime", FIELD_MAYBE_I64),
    FIELD(struct spec_cpu, realtime_period_us, "realtimePeriod", FIELD_MAYBE_U64),
    FIELD(struct spec_cpu, cpus, "cpus", FIELD_TEXT),
    FIELD(struct spec_cpu, mems, "mems", FIELD_TEXT),
    FIELD(struct spec_cpu, idle, "idle", FIELD_MAYBE_I64),
    FIELD_END,
};

static const struct field pids_fields[] = {
    FIELD(struct spec_pids, limit, "limit", FIELD_MAYBE_I64),
    FIELD_END,
};

static const struct field weight_device_fields[] = {
    FIELD(struct spec_weight_device, major, "major", FIELD_I64),
    FIELD(struct spec_weight_device, minor, "minor", FIELD_I64),
    FIELD(struct spec_weight_device, weight, "weight", FIELD_MAYBE_U64),
    FIELD(struct spec_weight_device, leaf_weight, "leafWeight", FIELD_MAYBE_U64),
    FIELD_END,
};

static const struct field throttle_device_fields[] = {
    FIELD(struct spec_throttle_device, major, "major", FIELD_I64),
    FIELD(struct spec_throttle_device, minor, "minor", FIELD_I64),
    FIELD(struct spec_throttle_device, rate, "rate", FIELD_U64),
    FIELD_END,
};

#define THROTTLE(member, name)                                                                     \
    FIELD_OF(struct spec_block_io, member, name, FIELD_LIST, throttle_device_fields,               \
             struct spec_throttle_device)

static const struct field block_io_fields[] = {
    FIELD(struct spec_block_io, weight, "weight", FIELD_MAYBE_U64),
    FIELD(struct spec_block_io, leaf_weight, "leafWeight", FIELD_MAYBE_U64),
    FIELD_OF(struct spec_block_io, weight_devices, "weightDevice", FIELD_LIST, weight_device_fields,
             struct spec_weight_device),
    THROTTLE(read_bps, "throttleReadBpsDevice"),
    THROTTLE(write_bps, "throttleWriteBpsDevice"),
    THROTTLE(read_iops, "throttleReadIOPSDevice"),
    THROTTLE(write_iops, "throttleWriteIOPSDevice"),
    FIELD_END,
};

static const struct field hugepage_fields[] = {
    FIELD(struct spec_hugepage_limit, page_size, "pageSize", FIELD_TEXT),
    FIELD(struct spec_hugepage_limit, limit, "limit", FIELD_U64),
    FIELD_END,
};

static const struct field network_priority_fields[] = {
    FIELD(struct spec_network_priority, name, "name", FIELD_TEXT),
    FIELD(struct spec_network_priority, priority, "priority", FIELD_U32),
    FIELD_END,
};

static const struct field network_fields[] = {
    FIELD(struct spec_network, class_id, "classID", FIELD_MAYBE_U64),
    FIELD_OF(struct spec_network, priorities, "priorities", FIELD_LIST, network_priority_fields,
             struct spec_network_priority),
    FIELD_END,
};

static const struct field rdma_fields[] = {
    FIELD(struct spec_rdma, hca_handles, "hcaHandles", FIELD_MAYBE_U64),
    FIELD(struct spec_rdma, hca_objects, "hcaObjects", FIELD_MAYBE_U64),
    FIELD_END,
};

const struct field spec_resources_fields[] = {
    FIELD_OF(struct spec_resources, devices, "devices", FIELD_LIST, device_rule_fields,
             struct spec_device_rule),
    FIELD_OF(struct spec_resources, memory, "memory", FIELD_STRUCT, memory_fields,
             struct spec_memory),
    FIELD_OF(struct spec_resources, cpu, "cpu", FIELD_STRUCT, cpu_fields, struct spec_cpu),
    FIELD_OF(struct spec_resources, pids, "pids", FIELD_STRUCT, pids_fields, struct spec_pids),
    FIELD_OF(struct spec_resources, block_io, "blockIO", FIELD_STRUCT, block_io_fields,
             struct spec_block_io),
    FIELD_OF(struct spec_resources, hugepage_limits, "hugepageLimits", FIELD_LIST, hugepage_fields,
             struct spec_hugepage_limit),
    FIELD_OF(struct spec_resources, network, "network", FIELD_STRUCT, network_fields,
             struct spec_network),
    FIELD_OF(struct spec_resources, rdma, "rdma", FIELD_MAP, rdma_fields, struct spec_rdma),
    FIELD(struct spec_resources, unified, "unified", FIELD_TEXT_MAP),
    FIELD_END,
};

static int check_device_rules(const struct spec_device_rule_list *rules, struct err *err)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct spec_device_rule *rule = &rules->items[i];
        if (rule->type != NULL && rule->type[0] != 0 &&
            (rule->type[1] != 0 || strchr("abc", rule->type[0]) == NULL)) {
            return err_set(err, ERR_INVALID, "linux.resources.devices[%zu].type: must be a, b or c",
                           i);
        }
        if (rule->access != NULL && strspn(rule->access, "rwm") != strlen(rule->access)) {
            return err_set(err, ERR_INVALID,
                           "linux.resources.devices[%zu].access: '%s' is not made of r, w and m", i,
                           rule->access);
        }
    }
    return 0;
}

/* A name is one file in the cgroup: no way up or down the tree. */
static int check_unified(const struct text_map *unified, struct err *err)
{
    for (size_t i = 0; i < unified->count; i++) {
        const char *name = unified->items[i].name;
        if (name[0] == 0 || strchr(name, '/') != NULL || strchr(name, '.') == NULL ||
            name[0] == '.') {
            return err_set(err, ERR_INVALID, "linux.resources.unified: '%s' is no cgroup file name",
                           name);
        }
    }
    return 0;
}

int spec_check_resources(const struct spec_resources *resources, struct err *err)
{
    const struct spec_memory *memory = &resources->memory;
    if (memory->swap.is_set && memory->swap.value > 0 && memory->limit.is_set &&
        memory->limit.value > 0 && memory->swap.value < memory->limit.value) {
        return err_set(
            err, ERR_INVALID,
            "linux.resources.memory.swap: memory+swap limit must be at least the memory limit");
    }
    if (memory->swappiness.is_set && memory->swappiness.value > 100 &&
        memory->swappiness.value != UINT64_MAX) {
        return err_set(err, ERR_INVALID,
                       "linux.resources.memory.swappiness: must be from 0 to 100");
    }
    for (size_t i = 0; i < resources->hugepage_limits.count; i++) {
        const char *size = resources->hugepage_limits.items[i].page_size;
        if (size == NULL || strspn(size, "0123456789KMGTB") != strlen(size)) {
            return err_set(err, ERR_INVALID,
                           "linux.resources.hugepageLimits[%zu].pageSize: '%s' is no page size", i,
                           size == NULL ? "" : size);
        }
    }
    int rc = check_device_rules(&resources->devices, err);
    return rc < 0 ? rc : check_unified(&resources->unified, err);
}

int spec_parse_resources(struct arena *arena, struct bytes text, struct spec_resources *ret,
                         struct err *err)
{
    struct json_value *document = NULL;
    int rc = json_parse(arena, text, &document, err);
    if (rc < 0) {
        return rc;
    }
    struct spec_resources resources = {.devices = {NULL, 0}};
    rc = fields_read(arena, document, spec_resources_fields, &resources, err);
    if (rc < 0 || (rc = spec_check_resources(&resources, err)) < 0) {
        return rc;
    }
    *ret = resources;
    return 0;
}
