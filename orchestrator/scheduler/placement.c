#include "orchestrator/scheduler/placement.h"

#include <string.h>

#include "orchestrator/objects/selector.h"

static bool field_matches(const json_t *term, const json_t *node)
{
    CLEANUP(json) json_t *fields = json_pack("{s:s}", "metadata.name", object_name(node));
    return selector_term_matches(term, fields);
}

bool placement_term_matches(const json_t *term, const json_t *node)
{
    const json_t *expressions = json_object_get(term, "matchExpressions");
    const json_t *fields = json_object_get(term, "matchFields");
    if (json_array_size(expressions) == 0 && json_array_size(fields) == 0) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(expressions); i++) {
        if (!selector_term_matches(json_array_get(expressions, i), object_labels(node))) {
            return false;
        }
    }
    for (size_t i = 0; i < json_array_size(fields); i++) {
        if (!field_matches(json_array_get(fields, i), node)) {
            return false;
        }
    }
    return true;
}

bool placement_selector_matches(const json_t *node_selector, const json_t *node)
{
    const json_t *terms = json_object_get(node_selector, "nodeSelectorTerms");
    if (node_selector == NULL) {
        return true;
    }
    for (size_t i = 0; i < json_array_size(terms); i++) {
        if (placement_term_matches(json_array_get(terms, i), node)) {
            return true;
        }
    }
    return false;
}

bool placement_matches_node(const json_t *pod_spec, const json_t *node)
{
    const json_t *selector = json_object_get(pod_spec, "nodeSelector");
    if (json_object_size(selector) > 0 && !label_map_matches(selector, object_labels(node))) {
        return false;
    }
    return placement_selector_matches(
        tree_find(pod_spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"),
        node);
}

bool placement_tolerates(const json_t *toleration, const json_t *taint)
{
    const char *effect = tree_text_or(toleration, "effect", "");
    const char *key = tree_text_or(toleration, "key", "");
    if (*effect != '\0' && !tree_has_text(taint, "effect", effect)) {
        return false;
    }
    if (*key != '\0' && !tree_has_text(taint, "key", key)) {
        return false;
    }
    return tree_has_text(toleration, "operator", "Exists") ||
           (*key != '\0' &&
            strcmp(tree_text_or(toleration, "value", ""), tree_text_or(taint, "value", "")) == 0);
}

static bool tolerates_any(const json_t *pod_spec, const json_t *taint)
{
    const json_t *list = json_object_get(pod_spec, "tolerations");
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (placement_tolerates(json_array_get(list, i), taint)) {
            return true;
        }
    }
    return false;
}

const json_t *placement_untolerated(const json_t *pod_spec, const json_t *node, const char *effect)
{
    const json_t *taints = tree_find(node, "spec.taints");
    for (size_t i = 0; i < json_array_size(taints); i++) {
        const json_t *taint = json_array_get(taints, i);
        const char *found = tree_text_or(taint, "effect", "");
        bool is_meant = effect == NULL
                            ? strcmp(found, "NoSchedule") == 0 || strcmp(found, "NoExecute") == 0
                            : strcmp(found, effect) == 0;
        if (is_meant && !tolerates_any(pod_spec, taint)) {
            return taint;
        }
    }
    return NULL;
}
