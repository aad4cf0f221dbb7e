/* admission_limits.c - LimitRanger: defaults and bounds of a namespace. */
#include <string.h>

#include "orchestrator/objects/quantity.h"
#include "orchestrator/registry/plan_parts.h"

static void set_missing(json_t *container, const char *path, const json_t *defaults)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(defaults), name, value)
    {
        json_t *map = tree_make_object(container, path);
        if (json_object_get(map, name) == NULL) {
            json_object_set(map, name, value);
        }
    }
}

static void set_defaults(json_t *pod, const json_t *limit)
{
    static const char *const lists[] = {"spec.containers", "spec.initContainers"};
    for (size_t l = 0; l < 2; l++) {
        json_t *list = tree_find(pod, lists[l]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            json_t *container = json_array_get(list, i);
            set_missing(container, "resources.requests", json_object_get(limit, "defaultRequest"));
            set_missing(container, "resources.limits", json_object_get(limit, "default"));
            set_missing(container, "resources.requests", json_object_get(limit, "default"));
        }
    }
}

static void append_problem(json_t *problems, const char *bound, const char *type,
                           const char *resource, const json_t *allowed, const char *what)
{
    CLEANUP(free) char *shown = json_dumps(allowed, JSON_ENCODE_ANY);
    CLEANUP(free)
    char *text = mem_printf("%s %s usage per %s is %s, but %s", bound, resource, type,
                            shown == NULL ? "" : shown, what);
    json_array_append_new(problems, json_string(text));
}

/* The bounds of one thing: a container, the sum of a pod's, or a claim. */
static void check_bounds(const json_t *limit, const json_t *requests, const json_t *limits,
                         json_t *problems)
{
    const char *type = tree_text_or(limit, "type", "");
    const char *name = NULL;
    json_t *allowed = NULL;
    const json_t *min = json_object_get(limit, "min");
    const json_t *max = json_object_get(limit, "max");
    json_object_foreach(tree_mutable(min), name, allowed)
    {
        if (json_object_get(requests, name) == NULL) {
            append_problem(problems, "minimum", type, name, allowed, "no request is specified");
        } else if (quantity_in(requests, name) < quantity_in(min, name)) {
            append_problem(problems, "minimum", type, name, allowed, "the request is less");
        }
    }
    json_object_foreach(tree_mutable(max), name, allowed)
    {
        bool is_claim = strcmp(type, "PersistentVolumeClaim") == 0;
        const json_t *used = is_claim ? requests : limits;
        if (json_object_get(used, name) == NULL) {
            append_problem(problems, "maximum", type, name, allowed, "no limit is specified");
        } else if (quantity_in(used, name) > quantity_in(max, name)) {
            append_problem(problems, "maximum", type, name, allowed, "the limit is more");
        }
    }
}

static void check_containers(const json_t *pod, const json_t *limit, json_t *problems)
{
    const json_t *list = tree_find(pod, "spec.containers");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *resources = json_object_get(json_array_get(list, i), "resources");
        check_bounds(limit, json_object_get(resources, "requests"),
                     json_object_get(resources, "limits"), problems);
    }
}

static json_t *sum_of(const json_t *pod, const char *path)
{
    json_t *sum = json_object();
    const json_t *list = tree_find(pod, "spec.containers");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *map = tree_find(json_array_get(list, i), path);
        const char *name = NULL;
        json_t *value = NULL;
        json_object_foreach(tree_mutable(map), name, value)
        {
            char text[QUANTITY_TEXT_SIZE];
            quantity total = quantity_in(sum, name) + quantity_in(map, name);
            json_object_set_new(sum, name,
                                json_string(quantity_print(total, QUANTITY_DECIMAL, text)));
        }
    }
    return sum;
}

static void check_pod(const json_t *pod, const json_t *limit, json_t *problems)
{
    CLEANUP(json) json_t *requests = sum_of(pod, "resources.requests");
    CLEANUP(json) json_t *limits = sum_of(pod, "resources.limits");
    check_bounds(limit, requests, limits, problems);
}

static void check_limit(const struct request *request, json_t *object, const json_t *limit,
                        json_t *problems)
{
    const char *type = tree_text_or(limit, "type", "");
    bool is_pod = strcmp(request->kind->storage, "pods") == 0;
    if (is_pod && strcmp(type, "Container") == 0) {
        check_containers(object, limit, problems);
    } else if (is_pod && strcmp(type, "Pod") == 0) {
        check_pod(object, limit, problems);
    } else if (!is_pod && strcmp(type, "PersistentVolumeClaim") == 0) {
        check_bounds(limit, tree_find(object, "spec.resources.requests"), NULL, problems);
    }
}

static json_t *refuse_problems(const struct request *request, const json_t *object,
                               const json_t *problems)
{
    if (json_array_size(problems) == 0) {
        return NULL;
    }
    struct status_subject subject = request_subject(request);
    subject.name = tree_text_or(object, "metadata.name", "");
    const char *first = json_string_value(json_array_get(problems, 0));
    return status_forbidden(&subject, "%s", first == NULL ? "" : first);
}

json_t *admit_limits(const struct request *request, json_t *object, const struct plan_env *env)
{
    CLEANUP(json) json_t *problems = json_array();
    struct cache_cursor c = cache_list(env->cache, "limitranges", request->namespace);
    while (cache_next(&c)) {
        const json_t *limits = tree_find(c.object, "spec.limits");
        for (size_t i = 0; i < json_array_size(limits); i++) {
            const json_t *limit = json_array_get(limits, i);
            if (tree_has_text(limit, "type", "Container")) {
                set_defaults(object, limit);
            }
        }
        for (size_t i = 0; i < json_array_size(limits); i++) {
            check_limit(request, object, json_array_get(limits, i), problems);
        }
    }
    return refuse_problems(request, object, problems);
}
