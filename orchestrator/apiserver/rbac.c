#include "orchestrator/apiserver/rbac.h"

#include <string.h>

#include "orchestrator/objects/tree.h"

#define SERVICE_ACCOUNT_PREFIX "system:serviceaccount:"

static bool in_group(const struct request_user *user, const char *group)
{
    return tree_list_has_text(user->groups, group);
}

static bool subject_is(const json_t *subject, const struct request_user *user,
                       const char *binding_namespace)
{
    const char *kind = tree_text_or(subject, "kind", "");
    const char *name = tree_text_or(subject, "name", "");
    if (strcmp(kind, "User") == 0) {
        return strcmp(name, user->name) == 0;
    }
    if (strcmp(kind, "Group") == 0) {
        return in_group(user, name);
    }
    if (strcmp(kind, "ServiceAccount") != 0) {
        return false;
    }
    CLEANUP(free)
    char *full = mem_printf(SERVICE_ACCOUNT_PREFIX "%s:%s",
                            tree_text_or(subject, "namespace", binding_namespace), name);
    return strcmp(full, user->name) == 0;
}

static bool binding_is_for(const json_t *binding, const struct request_user *user)
{
    const json_t *subjects = json_object_get(binding, "subjects");
    for (size_t i = 0; i < json_array_size(subjects); i++) {
        if (subject_is(json_array_get(subjects, i), user, object_namespace(binding))) {
            return true;
        }
    }
    return false;
}

static const json_t *rules_of(const struct cache *cache, const json_t *binding)
{
    const char *name = tree_text_or(binding, "roleRef.name", "");
    bool is_cluster = tree_has_text(binding, "roleRef.kind", "ClusterRole");
    const json_t *role = is_cluster ? cache_find(cache, "clusterroles", "", name)
                                    : cache_find(cache, "roles", object_namespace(binding), name);
    return json_object_get(role, "rules");
}

static bool list_allows(const json_t *list, const char *text)
{
    return tree_list_has_text(list, "*") || tree_list_has_text(list, text);
}

/* "pods", "pods/log", "*", and any resource's subresource. */
static bool resource_allowed(const json_t *list, const struct rbac_question *question)
{
    if (*question->subresource == '\0') {
        return list_allows(list, question->resource);
    }
    CLEANUP(free) char *full = mem_printf("%s/%s", question->resource, question->subresource);
    CLEANUP(free) char *any = mem_printf("*/%s", question->subresource);
    return list_allows(list, full) || tree_list_has_text(list, any);
}

static bool path_allowed(const json_t *list, const char *path)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *pattern = json_string_value(json_array_get(list, i));
        size_t size = pattern == NULL ? 0 : strlen(pattern);
        bool is_prefix = size > 0 && pattern[size - 1] == '*';
        if (size > 0 &&
            (is_prefix ? strncmp(pattern, path, size - 1) == 0 : strcmp(pattern, path) == 0)) {
            return true;
        }
    }
    return false;
}

static bool rule_allows(const json_t *rule, const struct rbac_question *question)
{
    if (!list_allows(json_object_get(rule, "verbs"), question->verb)) {
        return false;
    }
    if (*question->path != '\0') {
        return path_allowed(json_object_get(rule, "nonResourceURLs"), question->path);
    }
    const json_t *names = json_object_get(rule, "resourceNames");
    return list_allows(json_object_get(rule, "apiGroups"), question->group) &&
           resource_allowed(json_object_get(rule, "resources"), question) &&
           (json_array_size(names) == 0 || tree_list_has_text(names, question->name));
}

static bool rules_allow(const json_t *rules, const struct rbac_question *question)
{
    for (size_t i = 0; i < json_array_size(rules); i++) {
        if (rule_allows(json_array_get(rules, i), question)) {
            return true;
        }
    }
    return false;
}

static bool bindings_allow(const struct cache *cache, const char *storage, const char *namespace,
                           const struct rbac_question *question)
{
    struct cache_cursor c = cache_list(cache, storage, namespace);
    while (cache_next(&c)) {
        if (binding_is_for(c.object, question->user) &&
            rules_allow(rules_of(cache, c.object), question)) {
            return true;
        }
    }
    return false;
}

bool rbac_allows(const struct cache *cache, const struct rbac_question *question)
{
    if (in_group(question->user, "system:masters")) {
        return true;
    }
    if (bindings_allow(cache, "clusterrolebindings", "", question)) {
        return true;
    }
    return *question->path == '\0' && *question->namespace != '\0' &&
           bindings_allow(cache, "rolebindings", question->namespace, question);
}

static void append_rules(const json_t *rules, json_t *result)
{
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        bool is_path = tree_count(rule, "nonResourceURLs") > 0;
        json_array_append(json_object_get(result, is_path ? "nonResourceRules" : "resourceRules"),
                          tree_mutable(rule));
    }
}

static void append_bindings(const struct cache *cache, const char *storage, const char *namespace,
                            const struct request_user *user, json_t *result)
{
    struct cache_cursor c = cache_list(cache, storage, namespace);
    while (cache_next(&c)) {
        if (binding_is_for(c.object, user)) {
            append_rules(rules_of(cache, c.object), result);
        }
    }
}

json_t *rbac_rules(const struct cache *cache, const struct request_user *user,
                   const char *namespace)
{
    json_t *result =
        json_pack("{s:[], s:[], s:b}", "resourceRules", "nonResourceRules", "incomplete", 0);
    if (in_group(user, "system:masters")) {
        CLEANUP(json)
        json_t *all =
            json_pack("[{s:[s], s:[s], s:[s]}, {s:[s], s:[s]}]", "verbs", "*", "apiGroups", "*",
                      "resources", "*", "verbs", "*", "nonResourceURLs", "*");
        append_rules(all, result);
    }
    append_bindings(cache, "clusterrolebindings", "", user, result);
    if (*namespace != '\0') {
        append_bindings(cache, "rolebindings", namespace, user, result);
    }
    return result;
}
