/* autoscaler.c - HorizontalPodAutoscaler: as many pods as their use of a resource asks for.
 *
 * The use comes from PodMetrics objects that the agents leave in the cache's "metrics.pods";
 * without them the replicas stay within their bounds and nothing more. */
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/timestamp.h"

enum { INTERVAL_MS = 15 * 1000, STABLE_MS = 5 * 60 * 1000, TOLERANCE_PERCENT = 10 };

static quantity usage_of(const json_t *metrics, const char *resource)
{
    quantity sum = 0;
    const json_t *containers = json_object_get(metrics, "containers");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        sum += quantity_in(json_object_get(json_array_get(containers, i), "usage"), resource);
    }
    return sum;
}

static quantity request_of(const json_t *pod, const char *resource)
{
    quantity sum = 0;
    const json_t *containers = tree_find(pod, "spec.containers");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        sum +=
            quantity_in(tree_find(json_array_get(containers, i), "resources.requests"), resource);
    }
    return sum;
}

/* Use in percent of what the pods request; -1 when nothing is known. */
static int64_t utilization(const struct reconcile *in, const json_t *target, const char *resource)
{
    quantity used = 0;
    quantity requested = 0;
    struct cache_cursor c = cache_list(in->cache, "pods", in->namespace);
    while (cache_next(&c)) {
        const json_t *metrics =
            cache_find(in->cache, "metrics.pods", in->namespace, object_name(c.object));
        if (metrics != NULL && pod_is_active(c.object) &&
            label_selector_object_matches(tree_find(target, "spec.selector"),
                                          object_labels(c.object))) {
            used += usage_of(metrics, resource);
            requested += request_of(c.object, resource);
        }
    }
    return requested <= 0 ? -1 : (int64_t)(used * 100 / requested);
}

static int64_t wanted_replicas(const struct reconcile *in, const json_t *scaler,
                               const json_t *target, int64_t current, json_t *metrics_status)
{
    int64_t wanted = -1;
    const json_t *metrics = tree_find(scaler, "spec.metrics");
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const json_t *metric = json_array_get(metrics, i);
        const char *resource = tree_text_or(metric, "resource.name", "");
        int64_t goal = tree_int(metric, "resource.target.averageUtilization", 0);
        int64_t now = goal > 0 ? utilization(in, target, resource) : -1;
        if (now < 0) {
            continue;
        }
        json_array_append_new(metrics_status,
                              json_pack("{s:s, s:{s:s, s:{s:I}}}", "type", "Resource", "resource",
                                        "name", resource, "current", "averageUtilization",
                                        (json_int_t)now));
        bool is_close = now * 100 >= goal * (100 - TOLERANCE_PERCENT) &&
                        now * 100 <= goal * (100 + TOLERANCE_PERCENT);
        int64_t needed = is_close ? current : (current * now + goal - 1) / goal;
        wanted = needed > wanted ? needed : wanted;
    }
    return wanted < 0 ? current : wanted;
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *scaler =
        cache_find(in->cache, "horizontalpodautoscalers", in->namespace, in->name);
    if (scaler == NULL || object_is_deleting(scaler)) {
        return;
    }
    const json_t *reference = tree_find(scaler, "spec.scaleTargetRef");
    const struct kind *kind =
        kinds_find_kind(in->kinds, tree_text_or(reference, "apiVersion", "apps/v1"),
                        tree_text_or(reference, "kind", ""));
    const json_t *target = kind == NULL ? NULL
                                        : cache_find(in->cache, kind->storage, in->namespace,
                                                     tree_text_or(reference, "name", ""));
    json_t *status = tree_copy(json_object_get(scaler, "status"));
    status = status == NULL ? json_object() : status;
    json_t *conditions = tree_make_list(status, "conditions");
    actions_requeue(out, INTERVAL_MS);
    if (target == NULL) {
        (void)condition_set(conditions, "AbleToScale", "False", "FailedGetScale",
                            "the target of the autoscaler was not found", in->now_ms);
        actions_set_status(out, controller_kind("horizontalpodautoscalers"), scaler, status);
        return;
    }
    char time[TIMESTAMP_SIZE];
    int64_t current = tree_int(target, "spec.replicas", 1);
    int64_t least = tree_int(scaler, "spec.minReplicas", 1);
    int64_t most = tree_int(scaler, "spec.maxReplicas", 1);
    CLEANUP(json) json_t *metrics = json_array();
    int64_t wanted = wanted_replicas(in, scaler, target, current, metrics);
    int64_t last_ms = timestamp_at(status, "lastScaleTime", 0);
    if (wanted < current && in->now_ms - last_ms < STABLE_MS) {
        wanted = current; /* not down so soon after a change */
    }
    wanted = wanted < least ? least : wanted;
    wanted = wanted > most ? most : wanted;
    wanted = current == 0 ? 0 : wanted; /* zero switches autoscaling off */
    bool knows = json_array_size(metrics) > 0;
    (void)condition_set(conditions, "AbleToScale", "True", "ReadyForNewScale",
                        "recommended size matches current size", in->now_ms);
    (void)condition_set(conditions, "ScalingActive", knows ? "True" : "False",
                        knows ? "ValidMetricFound" : "FailedGetResourceMetric",
                        knows ? "the autoscaler was able to calculate a replica count"
                              : "no metrics are known of the pods",
                        in->now_ms);
    tree_set_int(status, "currentReplicas", current);
    tree_set_int(status, "desiredReplicas", wanted);
    tree_set_int(status, "observedGeneration", tree_int(scaler, "metadata.generation", 0));
    if (knows) {
        json_object_set(status, "currentMetrics", metrics);
    }
    if (wanted != current) {
        tree_set_text(status, "lastScaleTime", timestamp_format(in->now_ms, time));
        actions_event(out, in, scaler, "Normal", "SuccessfulRescale", "New size: %lld",
                      (long long)wanted);
        actions_patch(out, kind, target,
                      json_pack("{s:{s:I}}", "spec", "replicas", (json_int_t)wanted));
    }
    actions_set_status(out, controller_kind("horizontalpodautoscalers"), scaler, status);
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    (void)cache;
    bool is_new = event->previous == NULL || !tree_equal(json_object_get(event->object, "spec"),
                                                         json_object_get(event->previous, "spec"));
    if (strcmp(storage, "horizontalpodautoscalers") == 0 && is_new) {
        wake_object(wakeups, event->object);
    }
}

const struct controller controller_autoscaler = {.name = "horizontal-pod-autoscaler",
                                                 .storage = "horizontalpodautoscalers",
                                                 .wake = wake,
                                                 .reconcile = reconcile};
