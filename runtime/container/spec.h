/* spec.h - config.json of an OCI bundle (runtime-spec 1.x, sections config.md and config-linux.md).
 *
 * A plain value: everything lives in the arena it was read into. What is absent is NULL, 0, or
 * is_set = false. spec_parse checks types and what can be checked without looking at the host. */
#ifndef RUNTIME_CONTAINER_SPEC_H
#define RUNTIME_CONTAINER_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "runtime/container/json/fields.h"

struct spec_id_mapping {
    uint32_t container_id;
    uint32_t host_id;
    uint32_t size;
};

struct spec_id_mappings {
    struct spec_id_mapping *items;
    size_t count;
};

struct spec_mount {
    const char *destination;
    const char *type;
    const char *source;
    struct text_list options;
    struct spec_id_mappings uid_mappings;
    struct spec_id_mappings gid_mappings;
};

struct spec_hook {
    const char *path;
    struct text_list args;
    struct text_list env;
    struct maybe_i64 timeout_s;
};

struct spec_hook_list {
    struct spec_hook *items;
    size_t count;
};

struct spec_hooks {
    struct spec_hook_list prestart;
    struct spec_hook_list create_runtime;
    struct spec_hook_list create_container;
    struct spec_hook_list start_container;
    struct spec_hook_list poststart;
    struct spec_hook_list poststop;
};

struct spec_user {
    uint32_t uid;
    uint32_t gid;
    struct maybe_u64 umask;
    const struct json_value *additional_gids_raw;
    uint32_t *additional_gids;
    size_t additional_gid_count;
    const char *username; /* Windows only in the specification; passed over */
};

struct spec_capabilities {
    bool is_set; /* false: the process keeps none */
    struct text_list bounding_names, effective_names, permitted_names, inheritable_names,
        ambient_names;
    uint64_t bounding, effective, permitted, inheritable, ambient; /* masks of known names */
    const char *unknown; /* the first name that is none; a warning */
};

struct spec_rlimit {
    const char *type;
    uint64_t soft;
    uint64_t hard;
    int resource; /* RLIMIT_ number */
};

struct spec_rlimit_list {
    struct spec_rlimit *items;
    size_t count;
};

struct spec_scheduler {
    const char *policy;
    int64_t nice;
    int64_t priority;
    struct text_list flags;
    struct maybe_u64 runtime_ns;
    uint64_t deadline_ns;
    uint64_t period_ns;
    uint32_t policy_number; /* SCHED_ */
    uint64_t flag_bits;
};

struct spec_io_priority {
    const char *class_name;
    int64_t priority;
    int value; /* for ioprio_set */
};

struct spec_cpu_affinity {
    const char *initial;
    const char *final;
};

struct spec_console_size {
    uint32_t height;
    uint32_t width;
};

struct spec_process {
    bool terminal;
    struct spec_console_size console_size;
    struct spec_user user;
    struct text_list args;
    struct text_list env;
    const char *cwd;
    const struct json_value *capabilities_raw;
    struct spec_capabilities capabilities;
    struct spec_rlimit_list rlimits;
    bool no_new_privileges;
    const char *apparmor_profile;
    const char *selinux_label;
    struct maybe_i64 oom_score_adj;
    struct spec_scheduler *scheduler;
    struct spec_io_priority *io_priority;
    struct spec_cpu_affinity *exec_cpu_affinity;
};

struct spec_namespace {
    const char *type;
    const char *path; /* NULL: a new one */
    int flag;         /* CLONE_NEW... */
};

struct spec_namespace_list {
    struct spec_namespace *items;
    size_t count;
};

struct spec_device {
    const char *type;
    const char *path;
    int64_t major;
    int64_t minor;
    struct maybe_u64 file_mode;
    struct maybe_u64 uid;
    struct maybe_u64 gid;
};

struct spec_device_list {
    struct spec_device *items;
    size_t count;
};

struct spec_device_rule {
    bool allow;
    const char *type; /* "a", "c", "b"; NULL: a */
    struct maybe_i64 major;
    struct maybe_i64 minor;
    const char *access; /* of r, w, m; NULL: all */
};

struct spec_device_rule_list {
    struct spec_device_rule *items;
    size_t count;
};

struct spec_memory {
    struct maybe_i64 limit;
    struct maybe_i64 reservation;
    struct maybe_i64 swap;
    struct maybe_i64 kernel;
    struct maybe_i64 kernel_tcp;
    struct maybe_u64 swappiness;
    struct maybe_bool disable_oom_killer;
    struct maybe_bool use_hierarchy;
    struct maybe_bool check_before_update;
};

struct spec_cpu {
    struct maybe_u64 shares;
    struct maybe_i64 quota_us;
    struct maybe_u64 burst_us;
    struct maybe_u64 period_us;
    struct maybe_i64 realtime_runtime_us;
    struct maybe_u64 realtime_period_us;
    const char *cpus;
    const char *mems;
    struct maybe_i64 idle;
};

struct spec_pids {
    struct maybe_i64 limit;
};

struct spec_weight_device {
    int64_t major;
    int64_t minor;
    struct maybe_u64 weight;
    struct maybe_u64 leaf_weight;
};

struct spec_weight_device_list {
    struct spec_weight_device *items;
    size_t count;
};

struct spec_throttle_device {
    int64_t major;
    int64_t minor;
    uint64_t rate;
};

struct spec_throttle_device_list {
    struct spec_throttle_device *items;
    size_t count;
};

struct spec_block_io {
    struct maybe_u64 weight;
    struct maybe_u64 leaf_weight;
    struct spec_weight_device_list weight_devices;
    struct spec_throttle_device_list read_bps;
    struct spec_throttle_device_list write_bps;
    struct spec_throttle_device_list read_iops;
    struct spec_throttle_device_list write_iops;
};

struct spec_hugepage_limit {
    const char *page_size;
    uint64_t limit;
};

struct spec_hugepage_limit_list {
    struct spec_hugepage_limit *items;
    size_t count;
};

struct spec_network_priority {
    const char *name;
    uint32_t priority;
};

struct spec_network_priority_list {
    struct spec_network_priority *items;
    size_t count;
};

struct spec_network {
    struct maybe_u64 class_id;
    struct spec_network_priority_list priorities;
};

struct spec_rdma {
    const char *device;
    struct maybe_u64 hca_handles;
    struct maybe_u64 hca_objects;
};

struct spec_rdma_list {
    struct spec_rdma *items;
    size_t count;
};

struct spec_resources {
    struct spec_device_rule_list devices;
    struct spec_memory memory;
    struct spec_cpu cpu;
    struct spec_pids pids;
    struct spec_block_io block_io;
    struct spec_hugepage_limit_list hugepage_limits;
    struct spec_network network;
    struct spec_rdma_list rdma;
    struct text_map unified;
};

struct spec_seccomp_arg {
    uint32_t index;
    uint64_t value;
    uint64_t value_two;
    const char *op;
};

struct spec_seccomp_arg_list {
    struct spec_seccomp_arg *items;
    size_t count;
};

struct spec_seccomp_rule {
    struct text_list names;
    const char *action;
    struct maybe_u64 errno_ret;
    struct spec_seccomp_arg_list args;
};

struct spec_seccomp_rule_list {
    struct spec_seccomp_rule *items;
    size_t count;
};

struct spec_seccomp {
    const char *default_action;
    struct maybe_u64 default_errno_ret;
    struct text_list architectures;
    struct text_list flags;
    const char *listener_path;
    const char *listener_metadata;
    struct spec_seccomp_rule_list syscalls;
};

struct spec_personality {
    const char *domain;
    struct text_list flags;
};

struct spec_time_offset {
    const char *clock; /* "monotonic", "boottime" */
    int64_t secs;
    uint32_t nanosecs;
};

struct spec_time_offset_list {
    struct spec_time_offset *items;
    size_t count;
};

struct spec_net_device {
    const char *host_name;
    const char *name; /* in the container; NULL: the same */
};

struct spec_net_device_list {
    struct spec_net_device *items;
    size_t count;
};

struct spec_intel_rdt {
    const char *clos_id;
    const char *l3_cache_schema;
    const char *mem_bw_schema;
    struct text_list schemata;
};

struct spec_memory_policy {
    const char *mode;
    const char *nodes;
    struct text_list flags;
};

struct spec_linux {
    struct spec_id_mappings uid_mappings;
    struct spec_id_mappings gid_mappings;
    struct spec_namespace_list namespaces;
    struct spec_device_list devices;
    const char *cgroups_path;
    struct spec_resources resources;
    const char *rootfs_propagation;
    struct spec_seccomp *seccomp;
    struct text_map sysctl;
    struct text_list masked_paths;
    struct text_list readonly_paths;
    const char *mount_label;
    struct spec_personality *personality;
    struct spec_time_offset_list time_offsets;
    struct spec_net_device_list net_devices;
    struct spec_intel_rdt *intel_rdt;
    struct spec_memory_policy *memory_policy;
};

struct spec_root {
    const char *path;
    bool readonly;
};

struct spec_mount_list {
    struct spec_mount *items;
    size_t count;
};

struct spec {
    const char *oci_version;
    struct spec_root root;
    struct spec_mount_list mounts;
    bool has_process;
    struct spec_process process;
    const char *hostname;
    const char *domainname;
    struct spec_hooks hooks;
    struct text_map annotations;
    struct spec_linux linux_;
};

/* Read and check config.json. The error names the field. ERR_MALFORMED: no JSON; ERR_INVALID: a
 * field is wrong; ERR_UNSUPPORTED: a version that is not 1.x. */
MUST_USE int spec_parse(struct arena *arena, struct bytes text, struct spec *ret, struct err *err);

/* One process object, as `exec --process` reads it. */
MUST_USE int spec_parse_process(struct arena *arena, struct bytes text, struct spec_process *ret,
                                struct err *err);

/* A linux.resources object, as `update --resources` reads it. */
MUST_USE int spec_parse_resources(struct arena *arena, struct bytes text,
                                  struct spec_resources *ret, struct err *err);

/* The namespace of a CLONE_NEW flag, NULL when the configuration does not name it. */
const struct spec_namespace *spec_find_namespace(const struct spec *spec, int flag);
/* The flags of namespaces to be made anew (path = NULL). */
int spec_new_namespace_flags(const struct spec *spec);
/* The value of an annotation; NULL when absent. */
const char *spec_find_annotation(const struct spec *spec, const char *name);

/* For spec*.c alone: tables and checks of the parts. */
extern const struct field spec_process_fields[];
extern const struct field spec_resources_fields[];
extern const struct field spec_linux_fields[];
extern const struct field spec_seccomp_fields[];
MUST_USE int spec_check_process(struct arena *arena, struct spec_process *process,
                                const char *prefix, struct err *err);
MUST_USE int spec_check_linux(struct spec *spec, struct err *err);
MUST_USE int spec_check_resources(const struct spec_resources *resources, struct err *err);

#endif
