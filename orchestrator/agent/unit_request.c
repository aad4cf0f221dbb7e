#include "orchestrator/agent/unit_request.h"

#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/tree.h"

enum {
    CFS_PERIOD_US = 100 * 1000,
    CFS_QUOTA_US_MIN = 1000,
    SHARES_MIN = 2,
    SHARES_PER_CPU = 1024,
    OOM_GUARANTEED = -997, /* kubelet pkg/kubelet/qos/policy.go */
    OOM_BEST_EFFORT = 1000,
    OOM_BURSTABLE_MIN = 3,
};

static const char *qos_of(const struct pod_record *record)
{
    return tree_text_or(record->pod, "status.qosClass", "BestEffort");
}

char *pod_cgroup_class(const struct pod_record *record, const char *parent)
{
    const char *qos = qos_of(record);
    return mem_printf("%s/kubepods%s", parent,
                      strcmp(qos, "Guaranteed") == 0  ? ""
                      : strcmp(qos, "Burstable") == 0 ? "/burstable"
                                                      : "/besteffort");
}

char *pod_cgroup(const struct pod_record *record, const char *parent)
{
    CLEANUP(free) char *class = pod_cgroup_class(record, parent);
    return mem_printf("%s/pod%s", class, record->uid);
}

const char *pod_hostname(const struct pod_record *record)
{
    const char *wanted = tree_text_or(record->pod, "spec.hostname", "");
    return *wanted != '\0' ? wanted : object_name(record->pod);
}

const json_t *unit_security(const struct pod_record *record, const struct unit *unit,
                            const char *field)
{
    const json_t *own = json_object_get(json_object_get(unit->spec, "securityContext"), field);
    return own != NULL && !json_is_null(own)
               ? own
               : json_object_get(tree_find(record->pod, "spec.securityContext"), field);
}

static json_t *expand_list(const json_t *list, const json_t *env)
{
    json_t *words = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        const char *word = json_string_value(json_array_get(list, i));
        pod_env_expand(word == NULL ? "" : word, env, &text);
        json_array_append_new(words, json_string(buf_text(&text)));
    }
    return words;
}

static json_t *env_list(const json_t *env)
{
    json_t *list = json_array();
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(env), name, value)
    {
        json_array_append_new(list, json_sprintf("%s=%s", name, json_string_value(value)));
    }
    return list;
}

/* ---- limits ---- */

static int oom_score(const struct pod_record *record, const struct unit *unit, int64_t capacity)
{
    const char *qos = qos_of(record);
    if (strcmp(qos, "Guaranteed") == 0) {
        return OOM_GUARANTEED;
    }
    if (strcmp(qos, "BestEffort") == 0 || capacity <= 0) {
        return OOM_BEST_EFFORT;
    }
    int64_t request =
        quantity_to_units(quantity_in(tree_find(unit->spec, "resources.requests"), "memory"));
    int64_t score = OOM_BEST_EFFORT - (int64_t)(1000 * ((double)request / (double)capacity));
    if (score < OOM_BURSTABLE_MIN) {
        return OOM_BURSTABLE_MIN;
    }
    return score >= OOM_BEST_EFFORT ? OOM_BEST_EFFORT - 1 : (int)score;
}

static void set_limits(const struct pod_record *record, const struct unit *unit,
                       const struct unit_places *places, json_t *host)
{
    const json_t *limits = tree_find(unit->spec, "resources.limits");
    const json_t *requests = tree_find(unit->spec, "resources.requests");
    int64_t memory = quantity_to_units(quantity_in(limits, "memory"));
    int64_t limit_milli = quantity_to_milli(quantity_in(limits, "cpu"));
    int64_t request_milli = quantity_to_milli(quantity_in(requests, "cpu"));
    request_milli = request_milli == 0 && json_object_get(requests, "cpu") == NULL ? limit_milli
                                                                                   : request_milli;
    int64_t shares = request_milli * SHARES_PER_CPU / 1000;
    tree_set_int(host, "CpuShares", shares < SHARES_MIN ? SHARES_MIN : shares);
    if (limit_milli > 0) {
        int64_t quota = limit_milli * CFS_PERIOD_US / 1000;
        tree_set_int(host, "CpuPeriod", CFS_PERIOD_US);
        tree_set_int(host, "CpuQuota", quota < CFS_QUOTA_US_MIN ? CFS_QUOTA_US_MIN : quota);
    }
    if (memory > 0) {
        tree_set_int(host, "Memory", memory);
        tree_set_int(host, "MemorySwap", memory); /* no swap beyond the limit */
    }
    tree_set_int(host, "OomScoreAdj", oom_score(record, unit, places->memory_capacity));
}

/* ---- security ---- */

static void add_option(json_t *host, const char *option)
{
    json_array_append_new(tree_make_list(host, "SecurityOpt"), json_string(option));
}

static void set_seccomp(const struct pod_record *record, const struct unit *unit, json_t *host)
{
    const json_t *profile = unit_security(record, unit, "seccompProfile");
    const char *type = tree_text_or(profile, "type", "Unconfined"); /* kubelet's default */
    if (strcmp(type, "RuntimeDefault") == 0) {
        add_option(host, "seccomp=builtin");
    } else if (strcmp(type, "Localhost") == 0) {
        CLEANUP(free)
        char *option = mem_printf("seccomp=/var/lib/kubelet/seccomp/%s",
                                  tree_text_or(profile, "localhostProfile", ""));
        add_option(host, option);
    } else {
        add_option(host, "seccomp=unconfined");
    }
}

static void set_security(const struct pod_record *record, const struct unit *unit, json_t *host,
                         json_t *request)
{
    static const char *const ids[] = {"runAsUser", "runAsGroup", "runAsNonRoot"};
    const json_t *capabilities = unit_security(record, unit, "capabilities");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const json_t *value = unit_security(record, unit, ids[i]);
        if (value != NULL) {
            tree_set_copy(request, ids[i], value);
        }
    }
    tree_set_copy(host, "CapAdd", json_object_get(capabilities, "add"));
    tree_set_copy(host, "CapDrop", json_object_get(capabilities, "drop"));
    tree_set_bool(host, "Privileged", json_is_true(unit_security(record, unit, "privileged")));
    tree_set_bool(host, "ReadonlyRootfs",
                  json_is_true(unit_security(record, unit, "readOnlyRootFilesystem")));
    const json_t *escalation = unit_security(record, unit, "allowPrivilegeEscalation");
    if (json_is_false(escalation)) {
        add_option(host, "no-new-privileges");
    }
    set_seccomp(record, unit, host);
    const char *proc = json_string_value(unit_security(record, unit, "procMount"));
    if (proc != NULL) {
        tree_set_text(request, "procMount", proc);
    }
    json_t *groups = tree_make_list(request, "groups");
    const json_t *context = tree_find(record->pod, "spec.securityContext");
    const json_t *group = json_object_get(context, "fsGroup");
    if (json_is_integer(group)) {
        json_array_append_new(groups, json_integer(json_integer_value(group)));
    }
    json_array_extend(groups, json_object_get(context, "supplementalGroups"));
}

/* ---- mounts ---- */

static int add_mount(const struct pod_record *record, const json_t *mount, const json_t *env,
                     json_t *mounts, struct err *err)
{
    const char *name = tree_text_or(mount, "name", "");
    const char *source = json_string_value(json_object_get(record->volume_paths, name));
    const char *propagation = tree_text_or(mount, "mountPropagation", "None");
    const char *expression = tree_text(mount, "subPathExpr");
    CLEANUP(buf) struct buf sub_path = BUF_INIT;
    if (source == NULL) {
        return err_set(err, ERR_INVALID, "volume \"%s\" is not there", name);
    }
    if (expression != NULL) {
        pod_env_expand(expression, env, &sub_path);
    } else {
        buf_append_text(&sub_path, tree_text_or(mount, "subPath", ""));
    }
    const char *path = buf_text(&sub_path);
    if (strstr(path, "..") != NULL || *path == '/' || strstr(path, "$(") != NULL) {
        return err_set(err, ERR_INVALID, "subPath \"%s\" of volume \"%s\" must be a path below it",
                       path, name);
    }
    json_array_append_new(mounts,
                          json_pack("{s:s, s:s, s:b, s:s, s:s}", "source", source, "destination",
                                    tree_text_or(mount, "mountPath", ""), "readOnly",
                                    tree_bool(mount, "readOnly", false), "propagation",
                                    strcmp(propagation, "HostToContainer") == 0 ? "rslave"
                                    : strcmp(propagation, "Bidirectional") == 0 ? "rshared"
                                                                                : "rprivate",
                                    "subPath", path));
    return 0;
}

static int make_mounts(const struct pod_record *record, const struct unit *unit, const json_t *env,
                       const struct unit_places *places, json_t *mounts, struct err *err)
{
    const json_t *wanted = json_object_get(unit->spec, "volumeMounts");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        int status = add_mount(record, json_array_get(wanted, i), env, mounts, err);
        if (status != 0) {
            return status;
        }
    }
    CLEANUP(free) char *log = mem_printf("%s/termination-log", places->directory);
    json_array_append_new(mounts, json_pack("{s:s, s:s}", "source", log, "destination",
                                            tree_text_or(unit->spec, "terminationMessagePath",
                                                         "/dev/termination-log")));
    return 0;
}

int unit_request_make(const struct pod_record *record, const struct unit *unit, const json_t *env,
                      const struct unit_places *places, json_t **ret, struct err *err)
{
    const json_t *spec = json_object_get(record->pod, "spec");
    CLEANUP(json)
    json_t *request =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b}", "directory", places->directory,
                  "sandbox", places->pod_directory, "id", places->id, "image",
                  tree_text_or(unit->spec, "image", ""), "hostname", pod_hostname(record), "pid",
                  places->pid_path, "hostNetwork", pod_is_host_network(record), "hostPid",
                  tree_bool(spec, "hostPID", false), "hostIpc", tree_bool(spec, "hostIPC", false));
    json_t *mounts = json_array();
    tree_set(request, "mounts", mounts);
    int status = make_mounts(record, unit, env, places, mounts, err);
    if (status != 0) {
        return status;
    }
    tree_set(request, "command", expand_list(json_object_get(unit->spec, "command"), env));
    tree_set(request, "args", expand_list(json_object_get(unit->spec, "args"), env));
    json_t *config = json_pack("{s:o, s:s, s:b, s:b, s:b}", "Env", env_list(env), "WorkingDir",
                               tree_text_or(unit->spec, "workingDir", ""), "Tty",
                               tree_bool(unit->spec, "tty", false), "OpenStdin",
                               tree_bool(unit->spec, "stdin", false), "StdinOnce",
                               tree_bool(unit->spec, "stdinOnce", false));
    tree_set(request, "config", config);
    json_t *host = json_pack("{s:s}", "CgroupParent", places->cgroup);
    tree_set(request, "host", host);
    set_limits(record, unit, places, host);
    set_security(record, unit, host, request);
    *ret = TAKE_PTR(request);
    return 0;
}
