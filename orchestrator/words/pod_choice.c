#include "orchestrator/words/pod_choice.h"

#include <string.h>

#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/words/resource.h"

static bool is_selected(const json_t *selector, const json_t *pod)
{
    bool is_object = json_object_get(selector, "matchLabels") != NULL ||
                     json_object_get(selector, "matchExpressions") != NULL;
    return is_object ? label_selector_object_matches(selector, object_labels(pod))
                     : label_map_matches(selector, object_labels(pod));
}

static int choose_of(struct invocation *in, const struct resource *resource, char **ret_name,
                     struct err *err)
{
    CLEANUP(json) json_t *object = NULL;
    CLEANUP(json) json_t *pods = NULL;
    CLEANUP(free) char *path = resource_path(resource->kind, in->namespace, resource->name, "");
    CLEANUP(free) char *pods_path = mem_printf("/api/v1/namespaces/%s/pods", in->namespace);
    int result = cluster_get(&in->cluster, path, &object, err);
    result = result != 0 ? result : cluster_get(&in->cluster, pods_path, &pods, err);
    if (result != 0) {
        return result;
    }
    const json_t *items = json_object_get(pods, "items");
    const json_t *chosen = NULL;
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *pod = json_array_get(items, i);
        bool is_ready = object_condition_is(pod, "Ready", "True");
        if (is_selected(tree_find(object, "spec.selector"), pod) && (chosen == NULL || is_ready)) {
            chosen = pod;
            if (is_ready) {
                break;
            }
        }
    }
    if (chosen == NULL) {
        return err_set(err, ERR_NOT_FOUND, "%s/%s has no pods", resource->kind->singular,
                       resource->name);
    }
    *ret_name = mem_strdup(object_name(chosen));
    return 0;
}

int pod_choose(struct invocation *in, const char *text, char **ret_name, struct err *err)
{
    struct resource resource;
    int result = resource_parse(&in->cluster, text, &resource, err);
    if (result == 0 && *resource.name == '\0') {
        result = err_set(err, ERR_INVALID, "'%s' is not KIND/NAME", text);
    }
    if (result != 0) {
        return result;
    }
    if (strcmp(resource.kind->resource, "pods") == 0) {
        *ret_name = mem_strdup(resource.name);
        return 0;
    }
    return choose_of(in, &resource, ret_name, err);
}
