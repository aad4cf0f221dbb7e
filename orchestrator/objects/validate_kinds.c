/* validate_kinds.c - rules that belong to one kind. */
#include <string.h>

#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/names.h"
#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/validate.h"

enum { CONFIG_SIZE_MAX = 1024 * 1024 };

static void validate_pod(const json_t *pod, struct causes *causes)
{
    validate_pod_spec(json_object_get(pod, "spec"), "spec", causes);
}

static void validate_template(const json_t *object, const char *restart_policies,
                              struct causes *causes)
{
    const json_t *template = tree_find(object, "spec.template");
    if (template == NULL) {
        causes_add_required(causes, "spec.template", NULL);
        return;
    }
    names_validate_labels(tree_find(template, "metadata.labels"), "spec.template.metadata.labels",
                          causes);
    validate_pod_spec(json_object_get(template, "spec"), "spec.template.spec", causes);
    const char *policy = tree_text_or(template, "spec.restartPolicy", "");
    const struct schema_field allowed = {.values = restart_policies};
    if (*policy != '\0' && !schema_field_allows(&allowed, policy)) {
        causes_add_not_supported(causes, "spec.template.spec.restartPolicy", policy,
                                 restart_policies);
    }
}

/* Deployments and their like: a selector that chooses the pods of the template. */
static void validate_workload(const json_t *object, struct causes *causes)
{
    const json_t *selector = tree_find(object, "spec.selector");
    const json_t *labels = tree_find(object, "spec.template.metadata.labels");
    validate_not_negative(object, "spec.replicas", causes);
    validate_not_negative(object, "spec.minReadySeconds", causes);
    validate_not_negative(object, "spec.revisionHistoryLimit", causes);
    validate_not_negative(object, "spec.progressDeadlineSeconds", causes);
    if (selector == NULL) {
        causes_add_required(causes, "spec.selector", NULL);
    } else {
        label_selector_object_validate(selector, "spec.selector", causes);
        if (json_object_size(selector) == 0) {
            causes_add_invalid(causes, "spec.selector", selector,
                               "empty selector is invalid for deployment");
        }
    }
    validate_template(object, "Always", causes);
    if (selector != NULL && !label_selector_object_matches(selector, labels)) {
        causes_add_invalid(causes, "spec.template.metadata.labels", labels,
                           "`selector` does not match template `labels`");
    }
    const json_t *surge = tree_find(object, "spec.strategy.rollingUpdate.maxSurge");
    const json_t *missing = tree_find(object, "spec.strategy.rollingUpdate.maxUnavailable");
    bool is_stuck = surge != NULL && missing != NULL &&
                    (json_integer_value(surge) == 0 && !json_is_string(surge)) &&
                    (json_integer_value(missing) == 0 && !json_is_string(missing));
    if (is_stuck) {
        causes_add_invalid(causes, "spec.strategy.rollingUpdate.maxUnavailable", missing,
                           "may not be 0 when `maxSurge` is 0");
    }
    if (tree_has_text(object, "spec.strategy.type", "Recreate") && (surge || missing)) {
        causes_add_forbidden(causes, "spec.strategy.rollingUpdate",
                             "may not be specified when strategy `type` is 'Recreate'");
    }
}

static void validate_replication_controller(const json_t *object, struct causes *causes)
{
    const json_t *labels = tree_find(object, "spec.template.metadata.labels");
    validate_not_negative(object, "spec.replicas", causes);
    if (tree_count(object, "spec.selector") == 0) {
        causes_add_required(causes, "spec.selector", NULL);
    } else if (!label_map_matches(tree_find(object, "spec.selector"), labels)) {
        causes_add_invalid(causes, "spec.template.metadata.labels", labels,
                           "`selector` does not match template `labels`");
    }
    validate_template(object, "Always", causes);
}

static void validate_job(const json_t *object, struct causes *causes)
{
    validate_not_negative(object, "spec.parallelism", causes);
    validate_not_negative(object, "spec.completions", causes);
    validate_not_negative(object, "spec.backoffLimit", causes);
    validate_not_negative(object, "spec.activeDeadlineSeconds", causes);
    validate_not_negative(object, "spec.ttlSecondsAfterFinished", causes);
    const char *policy = tree_text_or(object, "spec.template.spec.restartPolicy", "Always");
    if (strcmp(policy, "Always") == 0) {
        causes_add_required(causes, "spec.template.spec.restartPolicy",
                            "valid values: \"OnFailure\", \"Never\"");
        validate_template(object, "Always", causes);
        return;
    }
    validate_template(object, "OnFailure|Never", causes);
    if (tree_has_text(object, "spec.completionMode", "Indexed") &&
        tree_find(object, "spec.completions") == NULL) {
        causes_add_required(causes, "spec.completions", "when completion mode is Indexed");
    }
}

static void validate_cron_job(const json_t *object, struct causes *causes)
{
    CLEANUP(json) json_t *job = json_object();
    tree_set_copy(job, "spec", tree_find(object, "spec.jobTemplate.spec"));
    struct causes inner = {0};
    validate_job(job, &inner);
    for (size_t i = 0; i < json_array_size(inner.list); i++) {
        const json_t *cause = json_array_get(inner.list, i);
        CLEANUP(free)
        char *field = mem_printf("spec.jobTemplate.%s", tree_text_or(cause, "field", ""));
        causes_add(causes, tree_text_or(cause, "reason", ""), field,
                   tree_text_or(cause, "message", ""));
    }
    causes_deinit(&inner);
    validate_not_negative(object, "spec.successfulJobsHistoryLimit", causes);
    validate_not_negative(object, "spec.failedJobsHistoryLimit", causes);
    if (object_name(object) != NULL && strlen(object_name(object)) > 52) {
        causes_add_invalid(causes, "metadata.name", tree_find(object, "metadata.name"),
                           "must be no more than 52 characters");
    }
}

static void validate_service_ports(const json_t *ports, struct causes *causes)
{
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        const char *name = tree_text(port, "name");
        CLEANUP(free) char *path = mem_printf("spec.ports[%zu].port", i);
        CLEANUP(free) char *name_path = mem_printf("spec.ports[%zu].name", i);
        CLEANUP(free) char *target_path = mem_printf("spec.ports[%zu].targetPort", i);
        validate_port(json_object_get(port, "port"), path, causes);
        if (json_object_get(port, "targetPort") != NULL) {
            validate_port(json_object_get(port, "targetPort"), target_path, causes);
        }
        if (name == NULL && json_array_size(ports) > 1) {
            causes_add_required(causes, name_path, NULL);
        }
        for (size_t k = 0; k < i; k++) {
            const json_t *other = json_array_get(ports, k);
            CLEANUP(free) char *item_path = mem_printf("spec.ports[%zu]", i);
            if (name != NULL && tree_has_text(other, "name", name)) {
                causes_add_duplicate(causes, name_path, json_object_get(port, "name"));
            }
            if (tree_equal(json_object_get(port, "port"), json_object_get(other, "port")) &&
                tree_equal(json_object_get(port, "protocol"), json_object_get(other, "protocol"))) {
                causes_add_duplicate(causes, item_path, port);
            }
        }
    }
}

static void validate_service(const json_t *object, struct causes *causes)
{
    const char *type = tree_text_or(object, "spec.type", "ClusterIP");
    const char *cluster_ip = tree_text_or(object, "spec.clusterIP", "");
    bool is_headless = strcmp(cluster_ip, "None") == 0;
    if (strcmp(type, "ExternalName") == 0) {
        if (*tree_text_or(object, "spec.externalName", "") == '\0') {
            causes_add_required(causes, "spec.externalName", NULL);
        }
    } else if (tree_count(object, "spec.ports") == 0 && !is_headless) {
        causes_add_required(causes, "spec.ports", NULL);
    }
    if (is_headless && (strcmp(type, "NodePort") == 0 || strcmp(type, "LoadBalancer") == 0)) {
        CLEANUP(free) char *detail = mem_printf("may not be set to 'None' for %s services", type);
        causes_add_invalid(causes, "spec.clusterIPs[0]", tree_find(object, "spec.clusterIP"),
                           detail);
    }
    if (*cluster_ip != '\0' && !is_headless && !validate_is_ipv4(cluster_ip)) {
        causes_add_invalid(causes, "spec.clusterIPs[0]", tree_find(object, "spec.clusterIP"),
                           "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
    names_validate_labels(tree_find(object, "spec.selector"), "spec.selector", causes);
    validate_service_ports(tree_find(object, "spec.ports"), causes);
}

static size_t validate_data(const json_t *data, const char *field, bool is_base64,
                            struct causes *causes)
{
    size_t total = 0;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(data), key, value)
    {
        CLEANUP(free) char *path = mem_printf("%s[%s]", field, key);
        if (!name_is_config_key(key)) {
            CLEANUP(json) json_t *shown = json_string(key);
            causes_add_invalid(causes, path, shown,
                               "a valid config key must consist of alphanumeric characters, '-', "
                               "'_' or '.'");
        }
        CLEANUP(buf) struct buf decoded = BUF_INIT;
        const char *text = json_string_value(value);
        if (is_base64 && (text == NULL || base64_decode(text, &decoded) != 0)) {
            causes_add_invalid(causes, path, value, "must be base64");
        }
        total += json_string_length(value);
    }
    return total;
}

static void validate_config_map(const json_t *object, struct causes *causes)
{
    size_t total = validate_data(json_object_get(object, "data"), "data", false, causes);
    total += validate_data(json_object_get(object, "binaryData"), "binaryData", true, causes);
    if (total > CONFIG_SIZE_MAX) {
        causes_add_too_long(causes, "", CONFIG_SIZE_MAX);
    }
}

static void validate_secret(const json_t *object, struct causes *causes)
{
    const json_t *data = json_object_get(object, "data");
    if (validate_data(data, "data", true, causes) > (size_t)CONFIG_SIZE_MAX * 4 / 3) {
        causes_add_too_long(causes, "data", CONFIG_SIZE_MAX);
    }
    const char *type = tree_text_or(object, "type", "");
    static const struct {
        const char *type;
        const char *key;
    } required[] = {{"kubernetes.io/tls", "tls.crt"},
                    {"kubernetes.io/tls", "tls.key"},
                    {"kubernetes.io/dockerconfigjson", ".dockerconfigjson"},
                    {"kubernetes.io/dockercfg", ".dockercfg"},
                    {"kubernetes.io/ssh-auth", "ssh-privatekey"}};
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (strcmp(type, required[i].type) == 0 && json_object_get(data, required[i].key) == NULL) {
            CLEANUP(free) char *path = mem_printf("data[%s]", required[i].key);
            causes_add_required(causes, path, NULL);
        }
    }
}

static void validate_disruption_budget(const json_t *object, struct causes *causes)
{
    if (tree_find(object, "spec.minAvailable") != NULL &&
        tree_find(object, "spec.maxUnavailable") != NULL) {
        causes_add_invalid(causes, "spec", tree_find(object, "spec"),
                           "minAvailable and maxUnavailable cannot be both set");
    }
    label_selector_object_validate(tree_find(object, "spec.selector"), "spec.selector", causes);
}

static void validate_autoscaler(const json_t *object, struct causes *causes)
{
    int64_t max = tree_int(object, "spec.maxReplicas", 0);
    if (max < 1) {
        causes_add_invalid(causes, "spec.maxReplicas", tree_find(object, "spec.maxReplicas"),
                           "must be greater than 0");
    } else if (max < tree_int(object, "spec.minReplicas", 1)) {
        causes_add_invalid(causes, "spec.maxReplicas", tree_find(object, "spec.maxReplicas"),
                           "must be greater than or equal to `minReplicas`");
    }
}

static void validate_role(const json_t *object, struct causes *causes)
{
    const json_t *rules = json_object_get(object, "rules");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        if (tree_count(rule, "verbs") == 0) {
            CLEANUP(free) char *path = mem_printf("rules[%zu].verbs", i);
            causes_add_required(causes, path, "verbs must contain at least one value");
        }
        if (tree_count(rule, "nonResourceURLs") == 0 && tree_count(rule, "resources") == 0) {
            CLEANUP(free) char *path = mem_printf("rules[%zu].resources", i);
            causes_add_required(causes, path, "resource rules must supply at least one resource");
        }
    }
}

static void validate_claim(const json_t *object, struct causes *causes)
{
    if (tree_count(object, "spec.accessModes") == 0) {
        causes_add_required(causes, "spec.accessModes", "at least 1 access mode is required");
    }
    if (tree_find(object, "spec.resources.requests.storage") == NULL) {
        causes_add_required(causes, "spec.resources[storage]", NULL);
    }
}

static void validate_volume(const json_t *object, struct causes *causes)
{
    if (tree_count(object, "spec.accessModes") == 0) {
        causes_add_required(causes, "spec.accessModes", NULL);
    }
    if (tree_find(object, "spec.capacity.storage") == NULL) {
        causes_add_required(causes, "spec.capacity", NULL);
    }
}

static void validate_definition(const json_t *object, struct causes *causes)
{
    CLEANUP(free)
    char *expected = mem_printf("%s.%s", tree_text_or(object, "spec.names.plural", ""),
                                tree_text_or(object, "spec.group", ""));
    if (!tree_has_text(object, "metadata.name", expected)) {
        CLEANUP(free) char *detail = mem_printf("must be spec.names.plural+\".\"+spec.group");
        causes_add_invalid(causes, "metadata.name", tree_find(object, "metadata.name"), detail);
    }
    int stored = 0;
    const json_t *versions = tree_find(object, "spec.versions");
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const json_t *version = json_array_get(versions, i);
        stored += tree_bool(version, "storage", false);
        if (tree_find(version, "schema.openAPIV3Schema") == NULL) {
            CLEANUP(free) char *path = mem_printf("spec.versions[%zu].schema.openAPIV3Schema", i);
            causes_add_required(causes, path, "schemas are required");
        }
    }
    if (stored != 1) {
        causes_add_invalid(causes, "spec.versions", versions,
                           "must have exactly one version marked as storage version");
    }
}

void validate_kind(const json_t *object, const struct kind *kind, struct causes *causes)
{
    static const struct {
        const char *storage;
        void (*validate)(const json_t *object, struct causes *causes);
    } validators[] = {
        {"pods", validate_pod},
        {"deployments", validate_workload},
        {"replicasets", validate_workload},
        {"statefulsets", validate_workload},
        {"daemonsets", validate_workload},
        {"replicationcontrollers", validate_replication_controller},
        {"jobs", validate_job},
        {"cronjobs", validate_cron_job},
        {"services", validate_service},
        {"configmaps", validate_config_map},
        {"secrets", validate_secret},
        {"poddisruptionbudgets", validate_disruption_budget},
        {"horizontalpodautoscalers", validate_autoscaler},
        {"roles", validate_role},
        {"persistentvolumeclaims", validate_claim},
        {"persistentvolumes", validate_volume},
        {"customresourcedefinitions", validate_definition},
    };
    for (size_t i = 0; i < sizeof(validators) / sizeof(validators[0]); i++) {
        if (strcmp(kind->storage, validators[i].storage) == 0) {
            validators[i].validate(object, causes);
        }
    }
}
