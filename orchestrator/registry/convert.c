/* convert.c - kinds of two versions that are stored as one: autoscaling/v1 as v2, events.k8s.io as
 * core events. */
#include <string.h>

#include "orchestrator/registry/plan_parts.h"

/* from-path and to-path of fields that only move. */
struct move {
    const char *stored;
    const char *shown;
};

static const struct move event_moves[] = {
    {"message", "note"},
    {"involvedObject", "regarding"},
    {"reportingComponent", "reportingController"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
    {"source", "deprecatedSource"},
};
enum { EVENT_MOVE_COUNT = sizeof(event_moves) / sizeof(event_moves[0]) };

static void move_field(json_t *object, const char *from, const char *to)
{
    json_t *value = json_object_get(object, from);
    if (value != NULL) {
        json_object_set(object, to, value);
        (void)json_object_del(object, from);
    }
}

static bool is_version(const struct kind *kind, const char *group, const char *version)
{
    return strcmp(kind->group, group) == 0 && strcmp(kind->version, version) == 0;
}

static void autoscaler_to_v2(json_t *object)
{
    json_t *target = tree_find(object, "spec.targetCPUUtilizationPercentage");
    if (target != NULL) {
        tree_set(object, "spec.metrics",
                 json_pack("[{s:s, s:{s:s, s:{s:s, s:O}}}]", "type", "Resource", "resource", "name",
                           "cpu", "target", "type", "Utilization", "averageUtilization", target));
        tree_remove(object, "spec.targetCPUUtilizationPercentage");
    }
    tree_remove(object, "status.currentCPUUtilizationPercentage");
}

static void autoscaler_to_v1(json_t *object)
{
    const json_t *metrics = tree_find(object, "spec.metrics");
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const json_t *metric = json_array_get(metrics, i);
        if (tree_has_text(metric, "resource.name", "cpu")) {
            tree_set_copy(object, "spec.targetCPUUtilizationPercentage",
                          tree_find(metric, "resource.target.averageUtilization"));
        }
    }
    tree_remove(object, "spec.metrics");
    tree_remove(object, "spec.behavior");
    const json_t *current = json_array_get(tree_find(object, "status.currentMetrics"), 0);
    tree_set_copy(object, "status.currentCPUUtilizationPercentage",
                  tree_find(current, "resource.current.averageUtilization"));
    tree_remove(object, "status.currentMetrics");
    tree_remove(object, "status.conditions");
}

static void set_type(json_t *object, const struct kind *kind)
{
    char text[KIND_API_VERSION_SIZE];
    json_object_set_new(object, "apiVersion", json_string(kind_api_version(kind, text)));
    json_object_set_new(object, "kind", json_string(kind->kind));
}

json_t *convert_to_stored(const json_t *object, const struct kind *kind)
{
    json_t *stored = json_deep_copy(object);
    if (is_version(kind, "autoscaling", "v1")) {
        autoscaler_to_v2(stored);
    } else if (is_version(kind, "events.k8s.io", "v1")) {
        for (size_t i = 0; i < EVENT_MOVE_COUNT; i++) {
            move_field(stored, event_moves[i].shown, event_moves[i].stored);
        }
    }
    set_type(stored, kind_stored(kind));
    return stored;
}

json_t *convert_from_stored(const json_t *object, const struct kind *kind)
{
    json_t *shown = json_deep_copy(object);
    if (is_version(kind, "autoscaling", "v1")) {
        autoscaler_to_v1(shown);
    } else if (is_version(kind, "events.k8s.io", "v1")) {
        for (size_t i = 0; i < EVENT_MOVE_COUNT; i++) {
            move_field(shown, event_moves[i].stored, event_moves[i].shown);
        }
    }
    set_type(shown, kind);
    return shown;
}
