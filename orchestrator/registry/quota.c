/* quota.c - ResourceQuota: what objects count, and whether one more fits. */
#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/registry/plan_parts.h"

static void add(json_t *usage, const char *name, quantity amount)
{
    char text[QUANTITY_TEXT_SIZE];
    bool is_binary = strstr(name, "memory") != NULL || strstr(name, "storage") != NULL;
    quantity total = quantity_in(usage, name) + amount;
    json_object_set_new(
        usage, name,
        json_string(quantity_print(total, is_binary ? QUANTITY_BINARY : QUANTITY_DECIMAL, text)));
}

/* Of one resource: the sum of the containers, or the largest init container if that is more. */
static quantity pod_amount(const json_t *pod, const char *path, const char *name)
{
    quantity sum = 0;
    quantity largest = 0;
    const json_t *containers = tree_find(pod, "spec.containers");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        sum += quantity_in(tree_find(json_array_get(containers, i), path), name);
    }
    const json_t *inits = tree_find(pod, "spec.initContainers");
    for (size_t i = 0; i < json_array_size(inits); i++) {
        quantity amount = quantity_in(tree_find(json_array_get(inits, i), path), name);
        largest = amount > largest ? amount : largest;
    }
    return (sum > largest ? sum : largest) + quantity_in(tree_find(pod, "spec.overhead"), name);
}

static void add_pod(json_t *usage, const json_t *pod)
{
    static const struct {
        const char *resource;
        const char *path;
        const char *names[2];
    } counted[] = {
        {"cpu", "resources.requests", {"requests.cpu", "cpu"}},
        {"memory", "resources.requests", {"requests.memory", "memory"}},
        {"ephemeral-storage",
         "resources.requests",
         {"requests.ephemeral-storage", "ephemeral-storage"}},
        {"cpu", "resources.limits", {"limits.cpu", NULL}},
        {"memory", "resources.limits", {"limits.memory", NULL}},
        {"ephemeral-storage", "resources.limits", {"limits.ephemeral-storage", NULL}},
    };
    const char *phase = tree_text_or(pod, "status.phase", "");
    add(usage, "count/pods", QUANTITY_ONE);
    if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0) {
        return;
    }
    add(usage, "pods", QUANTITY_ONE);
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        quantity amount = pod_amount(pod, counted[i].path, counted[i].resource);
        for (size_t n = 0; n < 2 && counted[i].names[n] != NULL; n++) {
            add(usage, counted[i].names[n], amount);
        }
    }
}

json_t *quota_usage_of(const struct kind *kind, const json_t *object)
{
    json_t *usage = json_object();
    const char *storage = kind->storage;
    if (strcmp(storage, "pods") == 0) {
        add_pod(usage, object);
        return usage;
    }
    CLEANUP(free)
    char *counter = *kind->group == '\0' ? mem_printf("count/%s", kind->resource)
                                         : mem_printf("count/%s.%s", kind->resource, kind->group);
    add(usage, counter, QUANTITY_ONE);
    static const char *const plain[] = {"services",       "secrets",
                                        "configmaps",     "persistentvolumeclaims",
                                        "resourcequotas", "replicationcontrollers"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (strcmp(storage, plain[i]) == 0) {
            add(usage, storage, QUANTITY_ONE);
        }
    }
    if (strcmp(storage, "persistentvolumeclaims") == 0) {
        add(usage, "requests.storage",
            quantity_in(tree_find(object, "spec.resources.requests"), "storage"));
    }
    const char *type = tree_text_or(object, "spec.type", "");
    if (strcmp(storage, "services") == 0 && strcmp(type, "LoadBalancer") == 0) {
        add(usage, "services.loadbalancers", QUANTITY_ONE);
    }
    if (strcmp(storage, "services") == 0 && *type != '\0' && strcmp(type, "ClusterIP") != 0 &&
        strcmp(type, "ExternalName") != 0) {
        add(usage, "services.nodeports",
            quantity_from_units((int64_t)tree_count(object, "spec.ports")));
    }
    return usage;
}

static bool scope_fits(const char *scope, const json_t *pod)
{
    const char *qos = tree_text_or(pod, "status.qosClass", "");
    bool is_terminating = tree_find(pod, "spec.activeDeadlineSeconds") != NULL;
    if (strcmp(scope, "BestEffort") == 0) {
        return strcmp(qos, "BestEffort") == 0;
    }
    if (strcmp(scope, "NotBestEffort") == 0) {
        return strcmp(qos, "BestEffort") != 0;
    }
    if (strcmp(scope, "Terminating") == 0) {
        return is_terminating;
    }
    return strcmp(scope, "NotTerminating") != 0 || !is_terminating;
}

static bool selector_fits(const json_t *term, const json_t *pod)
{
    const char *scope = tree_text_or(term, "scopeName", "");
    const char *operator= tree_text_or(term, "operator", "");
    if (strcmp(scope, "PriorityClass") != 0) {
        return scope_fits(scope, pod);
    }
    const char *class = tree_text(pod, "spec.priorityClassName");
    bool is_listed = class != NULL && tree_list_has_text(json_object_get(term, "values"), class);
    if (strcmp(operator, "In") == 0) {
        return is_listed;
    }
    if (strcmp(operator, "NotIn") == 0) {
        return !is_listed;
    }
    return strcmp(operator, "Exists") == 0 ? class != NULL : class == NULL;
}

bool quota_applies(const json_t *quota, const json_t *object, const struct kind *kind)
{
    const json_t *scopes = tree_find(quota, "spec.scopes");
    const json_t *terms = tree_find(quota, "spec.scopeSelector.matchExpressions");
    bool is_pod = strcmp(kind->storage, "pods") == 0;
    if (!is_pod) {
        return json_array_size(scopes) == 0 && json_array_size(terms) == 0;
    }
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        if (!scope_fits(json_string_value(json_array_get(scopes, i)), object)) {
            return false;
        }
    }
    for (size_t i = 0; i < json_array_size(terms); i++) {
        if (!selector_fits(json_array_get(terms, i), object)) {
            return false;
        }
    }
    return true;
}

static void add_all(json_t *usage, const json_t *more, const json_t *hard)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(more), name, value)
    {
        if (json_object_get(hard, name) != NULL) {
            add(usage, name, quantity_in(more, name));
        }
    }
}

static void add_namespace(json_t *usage, const struct cache *cache, const struct kind *kind,
                          const char *namespace, const json_t *quota, const json_t *hard)
{
    struct cache_cursor c = cache_list(cache, kind->storage, namespace);
    while (cache_next(&c)) {
        if (quota_applies(quota, c.object, kind)) {
            CLEANUP(json) json_t *more = quota_usage_of(kind, c.object);
            add_all(usage, more, hard);
        }
    }
}

json_t *quota_usage(const struct cache *cache, const char *namespace, const json_t *quota)
{
    const json_t *hard = tree_find(quota, "spec.hard");
    json_t *usage = json_object();
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(hard), name, value)
    {
        add(usage, name, 0);
    }
    for (size_t i = 0; i < kinds_builtin_count; i++) {
        const struct kind *kind = &kinds_builtin[i];
        bool is_counted = kind_has(kind, KIND_NAMESPACED) && kind_stored(kind) == kind &&
                          (kind->verbs & VERB_LIST) != 0 && !kind_has(kind, KIND_METRICS);
        if (is_counted) {
            add_namespace(usage, cache, kind, namespace, quota, hard);
        }
    }
    return usage;
}

/* Names of what would exceed the quota, and the figures, as Kubernetes words it. */
static json_t *check_quota(const struct request *request, const json_t *object, const json_t *quota,
                           const struct plan_env *env)
{
    const json_t *hard = tree_find(quota, "spec.hard");
    CLEANUP(json) json_t *more = quota_usage_of(request->kind, object);
    CLEANUP(json) json_t *used = json_object();
    const struct kind *kind = kind_stored(request->kind);
    add_namespace(used, env->cache, kind, request->namespace, quota, hard);
    CLEANUP(buf) struct buf text = BUF_INIT;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(more), name, value)
    {
        bool is_bound = json_object_get(hard, name) != NULL;
        quantity total = quantity_in(used, name) + quantity_in(more, name);
        if (is_bound && quantity_in(more, name) > 0 && total > quantity_in(hard, name)) {
            char used_text[QUANTITY_TEXT_SIZE];
            buf_append_format(&text,
                              "%sexceeded quota: %s, requested: %s=%s, used: %s=%s, "
                              "limited: %s=%s",
                              buf_size(&text) == 0 ? "" : "; ", object_name(quota), name,
                              json_string_value(value), name,
                              quantity_print(quantity_in(used, name), QUANTITY_DECIMAL, used_text),
                              name, json_string_value(json_object_get(hard, name)));
        }
        if (is_bound && strcmp(kind->storage, "pods") == 0 && quantity_in(more, name) == 0 &&
            strstr(name, "pods") == NULL) {
            buf_append_format(&text, "%sfailed quota: %s: must specify %s",
                              buf_size(&text) == 0 ? "" : "; ", object_name(quota), name);
        }
    }
    if (buf_size(&text) == 0) {
        return NULL;
    }
    struct status_subject subject = request_subject(request);
    subject.name = tree_text_or(object, "metadata.name", "");
    return status_forbidden(&subject, "%s", buf_text(&text));
}

json_t *admit_quota(const struct request *request, const json_t *object, const struct plan_env *env)
{
    if (!kind_has(request->kind, KIND_NAMESPACED)) {
        return NULL;
    }
    struct cache_cursor c = cache_list(env->cache, "resourcequotas", request->namespace);
    while (cache_next(&c)) {
        if (quota_applies(c.object, object, request->kind)) {
            json_t *refusal = check_quota(request, object, c.object, env);
            if (refusal != NULL) {
                return refusal;
            }
        }
    }
    return NULL;
}
