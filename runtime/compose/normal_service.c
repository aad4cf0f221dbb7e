/* normal_service.c - what a service can say. */
#include <string.h>

#include "runtime/compose/normal.h"
#include "runtime/image/json.h"

static const char needless[] = "";

static int pull_policy(struct normal *normal, json_t *value, json_t **ret)
{
    static const char *const known[] = {"always", "never", "missing", "if_not_present",
                                        "build",  "daily", "weekly"};
    int status = normal_text(normal, value, ret);
    const char *text = status == 0 ? json_string_value(*ret) : "";
    bool is_known = strncmp(text, "every_", 6) == 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        is_known |= strcmp(text, known[i]) == 0;
    }
    if (status == 0 && !is_known) {
        json_decref(*ret);
        return normal_fail(normal, ERR_MALFORMED,
                           "must be always, never, missing, build, daily, weekly or every_…");
    }
    return status;
}

static int restart(struct normal *normal, json_t *value, json_t **ret)
{
    if (json_is_false(value)) { /* `restart: no` of YAML 1.1 */
        *ret = json_text("no");
        return 0;
    }
    int status = normal_text(normal, value, ret);
    const char *text = status == 0 ? json_string_value(*ret) : "";
    bool is_known = strcmp(text, "no") == 0 || strcmp(text, "always") == 0 ||
                    strcmp(text, "unless-stopped") == 0 || strcmp(text, "on-failure") == 0 ||
                    strncmp(text, "on-failure:", 11) == 0;
    if (status == 0 && !is_known) {
        status =
            normal_fail(normal, ERR_MALFORMED,
                        "'%.60s' is not one of no, always, on-failure[:N], unless-stopped", text);
        json_decref(*ret);
    }
    return status;
}

static const struct normal_key service_keys[] = {
    {"annotations", normal_map, NULL},
    {"attach", normal_bool, NULL},
    {"blkio_config", normal_any, needless},
    {"build", normal_build, NULL},
    {"cap_add", normal_texts, NULL},
    {"cap_drop", normal_texts, NULL},
    {"cgroup", normal_text, needless},
    {"cgroup_parent", normal_text, NULL},
    {"command", normal_command, NULL},
    {"configs", normal_file_references, NULL},
    {"container_name", normal_text, NULL},
    {"cpu_count", normal_number, needless},
    {"cpu_percent", normal_number, needless},
    {"cpu_period", normal_text, NULL},
    {"cpu_quota", normal_text, NULL},
    {"cpu_rt_period", normal_any, needless},
    {"cpu_rt_runtime", normal_any, needless},
    {"cpu_shares", normal_integer, NULL},
    {"cpus", normal_number, NULL},
    {"cpuset", normal_text, NULL},
    {"credential_spec", normal_any, "it is for Windows"},
    {"depends_on", normal_depends_on, NULL},
    {"deploy", normal_deploy, NULL},
    {"develop", normal_any, "watching files is not supported"},
    {"device_cgroup_rules", normal_texts, needless},
    {"devices", normal_devices, NULL},
    {"dns", normal_text_or_texts, NULL},
    {"dns_opt", normal_texts, NULL},
    {"dns_search", normal_text_or_texts, NULL},
    {"domainname", normal_text, NULL},
    {"entrypoint", normal_command, NULL},
    {"env_file", normal_env_files, NULL},
    {"environment", normal_environment, NULL},
    {"expose", normal_texts, NULL},
    {"extends", normal_extends, NULL},
    {"external_links", normal_texts, needless},
    {"extra_hosts", normal_hosts, NULL},
    {"gpus", normal_any, "no devices but those of `devices`"},
    {"group_add", normal_texts, NULL},
    {"healthcheck", normal_healthcheck, NULL},
    {"hostname", normal_text, NULL},
    {"image", normal_text, NULL},
    {"init", normal_bool, NULL},
    {"ipc", normal_text, NULL},
    {"isolation", normal_text, "it is for Windows"},
    {"label_file", normal_any, needless},
    {"labels", normal_map, NULL},
    {"links", normal_texts, NULL},
    {"logging", normal_logging, NULL},
    {"mac_address", normal_text, needless},
    {"mem_limit", normal_size, NULL},
    {"mem_reservation", normal_size, NULL},
    {"mem_swappiness", normal_any, needless},
    {"memswap_limit", normal_size, NULL},
    {"models", normal_any, needless},
    {"network_mode", normal_text, NULL},
    {"networks", normal_service_networks, NULL},
    {"oom_kill_disable", normal_bool, NULL},
    {"oom_score_adj", normal_integer, NULL},
    {"pid", normal_text, NULL},
    {"pids_limit", normal_integer, NULL},
    {"platform", normal_text, NULL},
    {"ports", normal_ports, NULL},
    {"post_start", normal_hooks, NULL},
    {"pre_stop", normal_hooks, NULL},
    {"privileged", normal_bool, NULL},
    {"profiles", normal_texts, NULL},
    {"provider", normal_any, needless},
    {"pull_policy", pull_policy, NULL},
    {"read_only", normal_bool, NULL},
    {"restart", restart, NULL},
    {"runtime", normal_text, "there is one runtime"},
    {"scale", normal_integer, NULL},
    {"secrets", normal_file_references, NULL},
    {"security_opt", normal_texts, NULL},
    {"shm_size", normal_size, NULL},
    {"stdin_open", normal_bool, NULL},
    {"stop_grace_period", normal_duration, NULL},
    {"stop_signal", normal_text, NULL},
    {"storage_opt", normal_any, needless},
    {"sysctls", normal_map, NULL},
    {"tmpfs", normal_text_or_texts, NULL},
    {"tty", normal_bool, NULL},
    {"ulimits", normal_ulimits, NULL},
    {"use_api_socket", normal_any, needless},
    {"user", normal_text, NULL},
    {"userns_mode", normal_text, needless},
    {"uts", normal_text, NULL},
    {"volumes", normal_volumes, NULL},
    {"volumes_from", normal_texts, NULL},
    {"working_dir", normal_text, NULL},
    {NULL, NULL, NULL},
};

int normal_service(struct normal *normal, json_t *value, json_t **ret)
{
    if (json_is_null(value)) {
        *ret = json_object();
        return 0;
    }
    return normal_object(normal, value, service_keys, ret);
}

/* ---- build ---- */

static const struct normal_key build_keys[] = {
    {"additional_contexts", normal_map, NULL},
    {"args", normal_environment, NULL},
    {"cache_from", normal_texts, "builds on this machine share one cache anyway"},
    {"cache_to", normal_texts, "builds on this machine share one cache anyway"},
    {"context", normal_text, NULL},
    {"dockerfile", normal_text, NULL},
    {"dockerfile_inline", normal_text, NULL},
    {"entitlements", normal_texts, needless},
    {"extra_hosts", normal_hosts, needless},
    {"isolation", normal_text, "it is for Windows"},
    {"labels", normal_map, NULL},
    {"network", normal_text, NULL},
    {"no_cache", normal_bool, NULL},
    {"no_cache_filter", normal_text_or_texts, needless},
    {"platforms", normal_texts, NULL},
    {"privileged", normal_bool, needless},
    {"provenance", normal_any, needless},
    {"pull", normal_bool, NULL},
    {"sbom", normal_any, needless},
    {"secrets", normal_file_references, NULL},
    {"shm_size", normal_size, needless},
    {"ssh", normal_any, needless},
    {"tags", normal_texts, NULL},
    {"target", normal_text, NULL},
    {"ulimits", normal_ulimits, needless},
    {NULL, NULL, NULL},
};

int normal_build(struct normal *normal, json_t *value, json_t **ret)
{
    CLEANUP(json) json_t *out = NULL;
    if (json_is_string(value)) {
        out = json_pack("{ss}", "context", json_string_value(value));
    } else {
        int status = normal_object(normal, value, build_keys, &out);
        if (status != 0) {
            return status;
        }
    }
    const char *context = json_get_text(out, "context", ".");
    if (strstr(context, "://") != NULL || strncmp(context, "git@", 4) == 0) {
        return normal_fail(normal, ERR_UNSUPPORTED, "a context must be a directory, not '%.100s'",
                           context);
    }
    json_object_set_new(out, "context", normal_make_path(normal, context));
    *ret = TAKE_PTR(out);
    return 0;
}

/* ---- health check ---- */

static int health_test(struct normal *normal, json_t *value, json_t **ret)
{
    if (json_is_string(value)) {
        *ret = json_pack("[ss]", "CMD-SHELL", json_string_value(value));
        return 0;
    }
    int status = normal_texts(normal, value, ret);
    const char *first = status == 0 ? json_string_value(json_array_get(*ret, 0)) : NULL;
    bool is_good = first != NULL && (strcmp(first, "CMD") == 0 || strcmp(first, "NONE") == 0 ||
                                     strcmp(first, "CMD-SHELL") == 0);
    if (status == 0 && !is_good) {
        json_decref(*ret);
        return normal_fail(normal, ERR_MALFORMED,
                           "a list starts with CMD, CMD-SHELL or NONE; a text needs nothing");
    }
    return status;
}

int normal_healthcheck(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"disable", normal_bool, NULL},          {"interval", normal_duration, NULL},
        {"retries", normal_integer, NULL},       {"start_interval", normal_duration, NULL},
        {"start_period", normal_duration, NULL}, {"test", health_test, NULL},
        {"timeout", normal_duration, NULL},      {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

/* ---- deploy ---- */

static int limits(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"cpus", normal_number, NULL},
        {"devices", normal_any, "no devices but those of `devices`"},
        {"generic_resources", normal_any, needless},
        {"memory", normal_size, NULL},
        {"pids", normal_integer, NULL},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

static int resources(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"limits", limits, NULL},
        {"reservations", limits, NULL},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

static int restart_policy(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"condition", normal_text, NULL},
        {"delay", normal_duration, "the delay doubles from 100 ms"},
        {"max_attempts", normal_integer, NULL},
        {"window", normal_duration, needless},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

int normal_deploy(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"endpoint_mode", normal_text, NULL},
        {"labels", normal_map, NULL},
        {"mode", normal_text, NULL},
        {"placement", normal_any, NULL}, /* of a cluster: no meaning on one machine */
        {"replicas", normal_integer, NULL},
        {"resources", resources, NULL},
        {"restart_policy", restart_policy, NULL},
        {"rollback_config", normal_any, NULL},
        {"update_config", normal_any, NULL},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

/* ---- small ones ---- */

int normal_logging(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"driver", normal_text, NULL},
        {"options", normal_map, NULL},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

int normal_extends(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"file", normal_text, NULL},
        {"service", normal_text, NULL},
        {NULL, NULL, NULL},
    };
    if (json_is_string(value)) {
        *ret = json_pack("{ss}", "service", json_string_value(value));
        return 0;
    }
    int status = normal_object(normal, value, keys, ret);
    if (status == 0 && json_object_get(*ret, "service") == NULL) {
        json_decref(*ret);
        return normal_fail(normal, ERR_MALFORMED, "needs the name of a service");
    }
    return status;
}

static int ulimit(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"hard", normal_integer, NULL},
        {"soft", normal_integer, NULL},
        {NULL, NULL, NULL},
    };
    return json_is_object(value) ? normal_object(normal, value, keys, ret)
                                 : normal_integer(normal, value, ret);
}

int normal_ulimits(struct normal *normal, json_t *value, json_t **ret)
{
    return normal_named(normal, value, ulimit, ret);
}

static int hook(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"command", normal_command, NULL},  {"environment", normal_environment, NULL},
        {"privileged", normal_bool, NULL},  {"user", normal_text, NULL},
        {"working_dir", normal_text, NULL}, {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

int normal_hooks(struct normal *normal, json_t *value, json_t **ret)
{
    return normal_items(normal, value, hook, ret);
}
