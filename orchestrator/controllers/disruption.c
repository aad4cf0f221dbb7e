/* disruption.c - how many pods of a PodDisruptionBudget may be evicted now. */
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/timestamp.h"

enum { DISRUPTED_MS_MAX = 2 * 60 * 1000 };

/* What the controllers of these pods want in all, as far as it is known. */
static int64_t expected_count(const struct reconcile *in, const struct object_list *pods)
{
    int64_t expected = 0;
    CLEANUP(json) json_t *seen = json_object();
    for (size_t i = 0; i < pods->count; i++) {
        const json_t *owner = object_controller(pods->items[i]);
        const char *uid = tree_text(owner, "uid");
        if (uid == NULL) {
            expected++;
            continue;
        }
        if (json_object_get(seen, uid) != NULL) {
            continue;
        }
        json_object_set_new(seen, uid, json_true());
        const struct kind *kind = kinds_find_kind(in->kinds, tree_text_or(owner, "apiVersion", ""),
                                                  tree_text_or(owner, "kind", ""));
        const json_t *set = kind == NULL ? NULL
                                         : cache_find(in->cache, kind->storage, in->namespace,
                                                      tree_text_or(owner, "name", ""));
        expected += tree_int(set, "spec.replicas", 1);
    }
    return expected;
}

/* Evicted pods count as gone until they are, for at most two minutes. */
static json_t *live_disrupted(const struct reconcile *in, const json_t *budget)
{
    json_t *left = json_object();
    const json_t *disrupted = tree_find(budget, "status.disruptedPods");
    const char *name = NULL;
    json_t *time = NULL;
    json_object_foreach(tree_mutable(disrupted), name, time)
    {
        const json_t *pod = cache_find(in->cache, "pods", in->namespace, name);
        int64_t at_ms = 0;
        bool is_fresh = json_is_string(time) &&
                        timestamp_parse(json_string_value(time), &at_ms) == 0 &&
                        in->now_ms - at_ms < DISRUPTED_MS_MAX;
        if (pod != NULL && !object_is_deleting(pod) && is_fresh) {
            json_object_set(left, name, time);
        }
    }
    return left;
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *budget = cache_find(in->cache, "poddisruptionbudgets", in->namespace, in->name);
    if (budget == NULL) {
        return;
    }
    CLEANUP(object_list) struct object_list pods = {0};
    CLEANUP(json) json_t *disrupted = live_disrupted(in, budget);
    int64_t healthy = 0;
    struct cache_cursor c = cache_list(in->cache, "pods", in->namespace);
    while (cache_next(&c)) {
        if (!label_selector_object_matches(tree_find(budget, "spec.selector"),
                                           object_labels(c.object)) ||
            pod_is_finished(c.object)) {
            continue;
        }
        object_list_add(&pods, c.object);
        healthy += pod_is_ready(c.object) && !object_is_deleting(c.object) &&
                   json_object_get(disrupted, object_name(c.object)) == NULL;
    }
    int64_t expected = expected_count(in, &pods);
    const json_t *min = tree_find(budget, "spec.minAvailable");
    const json_t *max = tree_find(budget, "spec.maxUnavailable");
    int64_t desired = 1;
    if (max != NULL) {
        desired = expected - scaled_value(max, expected, true, 0);
    } else if (min != NULL) {
        desired = scaled_value(min, expected, true, 1);
        expected = json_is_integer(min) ? (int64_t)pods.count : expected;
    }
    desired = desired < 0 ? 0 : desired;
    int64_t allowed = pods.count == 0 || healthy < desired ? 0 : healthy - desired;
    json_t *status = tree_copy(json_object_get(budget, "status"));
    status = status == NULL ? json_object() : status;
    tree_set_int(status, "disruptionsAllowed", allowed);
    tree_set_int(status, "currentHealthy", healthy);
    tree_set_int(status, "desiredHealthy", desired);
    tree_set_int(status, "expectedPods", expected);
    tree_set_int(status, "observedGeneration", tree_int(budget, "metadata.generation", 0));
    if (json_object_size(disrupted) > 0) {
        json_object_set(status, "disruptedPods", disrupted);
        actions_requeue(out, DISRUPTED_MS_MAX);
    } else {
        tree_remove(status, "disruptedPods");
    }
    (void)condition_set(tree_make_list(status, "conditions"), "DisruptionAllowed",
                        allowed > 0 ? "True" : "False",
                        allowed > 0 ? "SufficientPods" : "InsufficientPods", "", in->now_ms);
    actions_set_status(out, controller_kind("poddisruptionbudgets"), budget, status);
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    if (strcmp(storage, "poddisruptionbudgets") == 0) {
        wake_object(wakeups, event->object);
    } else if (strcmp(storage, "pods") == 0) {
        struct cache_cursor c =
            cache_list(cache, "poddisruptionbudgets", object_namespace(event->object));
        while (cache_next(&c)) {
            wake_object(wakeups, c.object);
        }
    }
}

const struct controller controller_disruption = {.name = "disruption-controller",
                                                 .storage = "poddisruptionbudgets",
                                                 .wake = wake,
                                                 .reconcile = reconcile};
