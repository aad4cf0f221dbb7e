#include <string.h>

#include "orchestrator/objects/selector.h"
#include "orchestrator/registry/plan_parts.h"

/* Paths of a custom kind are JSON paths that begin with a dot. */
static const char *custom_path(const struct kind *kind, const char *name, const char *fallback)
{
    const json_t *scale = tree_find(kind->custom, "subresources.scale");
    const char *path = tree_text(scale, name);
    if (path == NULL) {
        return scale == NULL ? fallback : NULL;
    }
    return *path == '.' ? path + 1 : path;
}

json_t *scale_from_object(const json_t *object, const struct kind *kind)
{
    const char *spec_path = custom_path(kind, "specReplicasPath", "spec.replicas");
    const char *status_path = custom_path(kind, "statusReplicasPath", "status.replicas");
    json_t *scale =
        json_pack("{s:s, s:s, s:{}}", "kind", "Scale", "apiVersion", "autoscaling/v1", "metadata");
    static const char *const fields[] = {"name", "namespace", "uid", "resourceVersion",
                                         "creationTimestamp"};
    json_t *metadata = json_object_get(scale, "metadata");
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        tree_set_copy(metadata, fields[i],
                      json_object_get(json_object_get(object, "metadata"), fields[i]));
    }
    tree_set_int(scale, "spec.replicas", tree_int(object, spec_path, 0));
    tree_set_int(scale, "status.replicas", tree_int(object, status_path, 0));
    const json_t *selector = tree_find(object, "spec.selector");
    bool is_map = strcmp(kind->storage, "replicationcontrollers") == 0;
    if (kind_has(kind, KIND_CUSTOM)) {
        const char *selector_path = custom_path(kind, "labelSelectorPath", NULL);
        const char *text = selector_path == NULL ? NULL : tree_text(object, selector_path);
        if (text != NULL) {
            tree_set_text(scale, "status.selector", text);
        }
        return scale;
    }
    CLEANUP(free)
    char *text = is_map ? label_map_text(selector) : label_selector_object_text(selector);
    tree_set_text(scale, "status.selector", text);
    return scale;
}

void scale_to_object(const json_t *scale, json_t *object, const struct kind *kind)
{
    const char *path = custom_path(kind, "specReplicasPath", "spec.replicas");
    tree_set_int(object, path, tree_int(scale, "spec.replicas", 0));
}
