#include <sched.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "runtime/container/caps.h"
#include "runtime/container/spec.h"

static const struct field user_fields[] = {
    FIELD(struct spec_user, uid, "uid", FIELD_U32),
    FIELD(struct spec_user, gid, "gid", FIELD_U32),
    FIELD(struct spec_user, umask, "umask", FIELD_MAYBE_U64),
    FIELD(struct spec_user, additional_gids_raw, "additionalGids", FIELD_RAW),
    FIELD_END,
};

static const struct field capabilities_fields[] = {
    FIELD(struct spec_capabilities, bounding_names, "bounding", FIELD_TEXT_LIST),
    FIELD(struct spec_capabilities, effective_names, "effective", FIELD_TEXT_LIST),
    FIELD(struct spec_capabilities, permitted_names, "permitted", FIELD_TEXT_LIST),
    FIELD(struct spec_capabilities, inheritable_names, "inheritable", FIELD_TEXT_LIST),
    FIELD(struct spec_capabilities, ambient_names, "ambient", FIELD_TEXT_LIST),
    FIELD_END,
};

static const struct field rlimit_fields[] = {
    FIELD(struct spec_rlimit, type, "type", FIELD_TEXT),
    FIELD(struct spec_rlimit, soft, "soft", FIELD_U64),
    FIELD(struct spec_rlimit, hard, "hard", FIELD_U64),
    FIELD_END,
};

static const struct field scheduler_fields[] = {
    FIELD(struct spec_scheduler, policy, "policy", FIELD_TEXT),
    FIELD(struct spec_scheduler, nice, "nice", FIELD_I64),
    FIELD(struct spec_scheduler, priority, "priority", FIELD_I64),
    FIELD(struct spec_scheduler, flags, "flags", FIELD_TEXT_LIST),
    FIELD(struct spec_scheduler, runtime_ns, "runtime", FIELD_MAYBE_U64),
    FIELD(struct spec_scheduler, deadline_ns, "deadline", FIELD_U64),
    FIELD(struct spec_scheduler, period_ns, "period", FIELD_U64),
    FIELD_END,
};

static const struct field io_priority_fields[] = {
    FIELD(struct spec_io_priority, class_name, "class", FIELD_TEXT),
    FIELD(struct spec_io_priority, priority, "priority", FIELD_I64),
    FIELD_END,
};

static const struct field cpu_affinity_fields[] = {
    FIELD(struct spec_cpu_affinity, initial, "initial", FIELD_TEXT),
    FIELD(struct spec_cpu_affinity, final, "final", FIELD_TEXT),
    FIELD_END,
};

static const struct field console_size_fields[] = {
    FIELD(struct spec_console_size, height, "height", FIELD_U32),
    FIELD(struct spec_console_size, width, "width", FIELD_U32),
    FIELD_END,
};

const struct field spec_process_fields[] = {
    FIELD(struct spec_process, terminal, "terminal", FIELD_BOOL),
    FIELD_OF(struct spec_process, console_size, "consoleSize", FIELD_STRUCT, console_size_fields,
             struct spec_console_size),
    FIELD_OF(struct spec_process, user, "user", FIELD_STRUCT, user_fields, struct spec_user),
    FIELD(struct spec_process, args, "args", FIELD_TEXT_LIST),
    FIELD(struct spec_process, env, "env", FIELD_TEXT_LIST),
    FIELD(struct spec_process, cwd, "cwd", FIELD_TEXT),
    FIELD(struct spec_process, capabilities_raw, "capabilities", FIELD_RAW),
    FIELD_OF(struct spec_process, rlimits, "rlimits", FIELD_LIST, rlimit_fields,
             struct spec_rlimit),
    FIELD(struct spec_process, no_new_privileges, "noNewPrivileges", FIELD_BOOL),
    FIELD(struct spec_process, apparmor_profile, "apparmorProfile", FIELD_TEXT),
    FIELD(struct spec_process, selinux_label, "selinuxLabel", FIELD_TEXT),
    FIELD(struct spec_process, oom_score_adj, "oomScoreAdj", FIELD_MAYBE_I64),
    FIELD_OF(struct spec_process, scheduler, "scheduler", FIELD_POINTER, scheduler_fields,
             struct spec_scheduler),
    FIELD_OF(struct spec_process, io_priority, "ioPriority", FIELD_POINTER, io_priority_fields,
             struct spec_io_priority),
    FIELD_OF(struct spec_process, exec_cpu_affinity, "execCPUAffinity", FIELD_POINTER,
             cpu_affinity_fields, struct spec_cpu_affinity),
    FIELD_END,
};

/* Resources by name without "RLIMIT_", in the order of the numbers of Linux. */
static const struct {
    const char *name;
    int resource;
} rlimit_names[] = {
    {"CPU", RLIMIT_CPU},           {"FSIZE", RLIMIT_FSIZE},
    {"DATA", RLIMIT_DATA},         {"STACK", RLIMIT_STACK},
    {"CORE", RLIMIT_CORE},         {"RSS", RLIMIT_RSS},
    {"NPROC", RLIMIT_NPROC},       {"NOFILE", RLIMIT_NOFILE},
    {"MEMLOCK", RLIMIT_MEMLOCK},   {"AS", RLIMIT_AS},
    {"LOCKS", RLIMIT_LOCKS},       {"SIGPENDING", RLIMIT_SIGPENDING},
    {"MSGQUEUE", RLIMIT_MSGQUEUE}, {"NICE", RLIMIT_NICE},
    {"RTPRIO", RLIMIT_RTPRIO},     {"RTTIME", RLIMIT_RTTIME},
};

static int find_rlimit(const char *type)
{
    if (type == NULL || strncasecmp(type, "RLIMIT_", 7) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof rlimit_names / sizeof rlimit_names[0]; i++) {
        if (strcasecmp(type + 7, rlimit_names[i].name) == 0) {
            return rlimit_names[i].resource;
        }
    }
    return -1;
}

static int check_rlimits(struct spec_rlimit_list *list, const char *prefix, struct err *err)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct spec_rlimit *limit = &list->items[i];
        limit->resource = find_rlimit(limit->type);
        if (limit->resource < 0) {
            return err_set(err, ERR_INVALID, "%s.rlimits[%zu].type: unknown rlimit '%s'", prefix, i,
                           limit->type == NULL ? "" : limit->type);
        }
        if ((seen & UINT64_C(1) << limit->resource) != 0) {
            return err_set(err, ERR_INVALID, "%s.rlimits[%zu].type: duplicated rlimit '%s'", prefix,
                           i, limit->type);
        }
        if (limit->soft > limit->hard) {
            return err_set(err, ERR_INVALID, "%s.rlimits[%zu]: soft is greater than hard", prefix,
                           i);
        }
        seen |= UINT64_C(1) << limit->resource;
    }
    return 0;
}

static uint64_t mask_of(const struct text_list *names, const char **unknown)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < names->count; i++) {
        int number = caps_number(names->items[i]);
        if (number >= 0) {
            mask |= UINT64_C(1) << number;
        } else if (*unknown == NULL) {
            *unknown = names->items[i];
        }
    }
    return mask;
}

static int read_capabilities(struct arena *arena, struct spec_process *process, struct err *err)
{
    struct spec_capabilities *caps = &process->capabilities;
    if (process->capabilities_raw == NULL) {
        return 0;
    }
    int rc = fields_read(arena, process->capabilities_raw, capabilities_fields, caps, err);
    if (rc < 0) {
        return rc;
    }
    caps->is_set = true;
    caps->bounding = mask_of(&caps->bounding_names, &caps->unknown);
    caps->effective = mask_of(&caps->effective_names, &caps->unknown);
    caps->permitted = mask_of(&caps->permitted_names, &caps->unknown);
    caps->inheritable = mask_of(&caps->inheritable_names, &caps->unknown);
    caps->ambient = mask_of(&caps->ambient_names, &caps->unknown);
    return 0;
}

/* Ids are 32 bits and the last one means "none" to the kernel: it is refused (CVE-2024-40635). */
static int check_user(struct arena *arena, struct spec_user *user, const char *prefix,
                      struct err *err)
{
    if (user->uid == UINT32_MAX || user->gid == UINT32_MAX) {
        return err_set(err, ERR_INVALID, "%s.user: uid and gid must be below 4294967295", prefix);
    }
    if (user->umask.is_set && user->umask.value > 0777) {
        return err_set(err, ERR_INVALID, "%s.user.umask: must be at most 511 (0777)", prefix);
    }
    const struct json_value *raw = user->additional_gids_raw;
    if (raw == NULL) {
        return 0;
    }
    if (raw->type != JSON_ARRAY) {
        return fields_refuse(err, raw, "expected an array, got %s", json_type_name(raw->type));
    }
    user->additional_gids = arena_zalloc(arena, (raw->count + 1) * sizeof(uint32_t));
    for (const struct json_value *item = raw->first; item != NULL; item = item->next) {
        uint64_t gid = 0;
        if (!json_get_u64(item, &gid) || gid >= UINT32_MAX) {
            return fields_refuse(err, item, "not a group id");
        }
        user->additional_gids[user->additional_gid_count++] = (uint32_t)gid;
    }
    return 0;
}

/* What sched_setattr(2) wants of SCHED_DEADLINE, told field by field. */
static int check_deadline(const struct spec_scheduler *scheduler, const char *prefix,
                          struct err *err)
{
    enum { RUNTIME_MIN_NS = 1024 };
    static const char *const what = "sched_setattr: `SCHED_DEADLINE`";
    if (scheduler->policy_number != 6) {
        return 0;
    }
    if (!scheduler->runtime_ns.is_set) {
        return err_set(err, ERR_INVALID, "%s.scheduler: %s requires `runtime`", prefix, what);
    }
    if (scheduler->runtime_ns.value == 0) {
        return err_set(err, ERR_INVALID, "%s.scheduler: %s runtime must be greater than 0", prefix,
                       what);
    }
    if (scheduler->deadline_ns == 0) {
        return err_set(err, ERR_INVALID, "%s.scheduler: %s requires `deadline`", prefix, what);
    }
    if (scheduler->runtime_ns.value < RUNTIME_MIN_NS || scheduler->runtime_ns.value > INT64_MAX) {
        return err_set(err, ERR_INVALID,
                       "%s.scheduler: %s runtime %llu must be between %d and %lld", prefix, what,
                       (unsigned long long)scheduler->runtime_ns.value, RUNTIME_MIN_NS,
                       (long long)INT64_MAX);
    }
    if (scheduler->runtime_ns.value > scheduler->deadline_ns) {
        return err_set(err, ERR_INVALID, "%s.scheduler: %s runtime must be <= deadline", prefix,
                       what);
    }
    if (scheduler->period_ns != 0 && scheduler->deadline_ns > scheduler->period_ns) {
        return err_set(err, ERR_INVALID, "%s.scheduler: %s deadline must be <= period", prefix,
                       what);
    }
    return 0;
}

static int check_scheduler(struct spec_scheduler *scheduler, const char *prefix, struct err *err)
{
    static const struct {
        const char *name;
        uint32_t number;
    } policies[] = {
        {"SCHED_OTHER", SCHED_OTHER},
        {"SCHED_FIFO", SCHED_FIFO},
        {"SCHED_RR", SCHED_RR},
        {"SCHED_BATCH", SCHED_BATCH},
        {"SCHED_IDLE", SCHED_IDLE},
        {"SCHED_DEADLINE", 6},
        {"SCHED_ISO", 4},
    };
    /* SCHED_FLAG_ numbers of linux/sched.h. */
    static const char *const flags[] = {
        "SCHED_FLAG_RESET_ON_FORK",  "SCHED_FLAG_RECLAIM",     "SCHED_FLAG_DL_OVERRUN",
        "SCHED_FLAG_KEEP_POLICY",    "SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN",
        "SCHED_FLAG_UTIL_CLAMP_MAX",
    };
    if (scheduler->policy == NULL) {
        return err_set(err, ERR_INVALID, "%s.scheduler.policy: missing", prefix);
    }
    size_t at = 0;
    while (at < sizeof policies / sizeof policies[0] &&
           strcmp(policies[at].name, scheduler->policy) != 0) {
        at++;
    }
    if (at == sizeof policies / sizeof policies[0]) {
        return err_set(err, ERR_INVALID, "%s.scheduler.policy: invalid scheduler policy '%s'",
                       prefix, scheduler->policy);
    }
    scheduler->policy_number = policies[at].number;
    int rc = check_deadline(scheduler, prefix, err);
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < scheduler->flags.count; i++) {
        size_t bit = 0;
        while (bit < 7 && strcmp(flags[bit], scheduler->flags.items[i]) != 0) {
            bit++;
        }
        if (bit == 7) {
            return err_set(err, ERR_INVALID, "%s.scheduler.flags[%zu]: unknown flag '%s'", prefix,
                           i, scheduler->flags.items[i]);
        }
        scheduler->flag_bits |= UINT64_C(1) << bit;
    }
    return 0;
}

static int check_io_priority(struct spec_io_priority *priority, const char *prefix, struct err *err)
{
    static const char *const classes[] = {"", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE",
                                          "IOPRIO_CLASS_IDLE"};
    if (priority->class_name == NULL) {
        return err_set(err, ERR_INVALID, "%s.ioPriority.class: missing", prefix);
    }
    int class_number = 1;
    while (class_number < 4 && strcmp(classes[class_number], priority->class_name) != 0) {
        class_number++;
    }
    if (class_number == 4) {
        return err_set(err, ERR_INVALID, "%s.ioPriority.class: invalid class '%s'", prefix,
                       priority->class_name);
    }
    if (priority->priority < 0 || priority->priority > 7) {
        return err_set(err, ERR_INVALID, "%s.ioPriority.priority: must be from 0 to 7", prefix);
    }
    /* linux/ioprio.h: the class above 13 bits of data */
    priority->value = class_number << 13 | (int)priority->priority;
    return 0;
}

static int check_env(const struct text_list *env, const char *prefix, struct err *err)
{
    for (size_t i = 0; i < env->count; i++) {
        const char *equals = strchr(env->items[i], '=');
        if (equals == NULL || equals == env->items[i]) {
            return err_set(err, ERR_INVALID, "%s.env[%zu]: '%.60s' is not of the form NAME=value",
                           prefix, i, env->items[i]);
        }
    }
    return 0;
}

int spec_check_process(struct arena *arena, struct spec_process *process, const char *prefix,
                       struct err *err)
{
    if (process->args.count == 0) {
        return err_set(err, ERR_INVALID, "%s.args: must not be empty", prefix);
    }
    if (process->cwd == NULL || process->cwd[0] != '/') {
        return err_set(err, ERR_INVALID, "%s.cwd: must be an absolute path, got '%s'", prefix,
                       process->cwd == NULL ? "" : process->cwd);
    }
    if (process->oom_score_adj.is_set &&
        (process->oom_score_adj.value < -1000 || process->oom_score_adj.value > 1000)) {
        return err_set(err, ERR_INVALID, "%s.oomScoreAdj: must be from -1000 to 1000", prefix);
    }
    int rc = 0;
    if ((rc = check_env(&process->env, prefix, err)) < 0 ||
        (rc = check_rlimits(&process->rlimits, prefix, err)) < 0 ||
        (rc = check_user(arena, &process->user, prefix, err)) < 0 ||
        (rc = read_capabilities(arena, process, err)) < 0) {
        return rc;
    }
    if (process->scheduler != NULL) {
        rc = check_scheduler(process->scheduler, prefix, err);
    }
    if (rc == 0 && process->io_priority != NULL) {
        rc = check_io_priority(process->io_priority, prefix, err);
    }
    return rc;
}

int spec_parse_process(struct arena *arena, struct bytes text, struct spec_process *ret,
                       struct err *err)
{
    struct json_value *document = NULL;
    int rc = json_parse(arena, text, &document, err);
    if (rc < 0) {
        return rc;
    }
    struct spec_process process = {.terminal = false};
    rc = fields_read(arena, document, spec_process_fields, &process, err);
    if (rc < 0 || (rc = spec_check_process(arena, &process, "process", err)) < 0) {
        return rc;
    }
    *ret = process;
    return 0;
}
