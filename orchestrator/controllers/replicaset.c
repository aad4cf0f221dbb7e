/* replicaset.c - as many pods as are wanted: ReplicaSet and ReplicationController. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/timestamp.h"

enum { BURST_MAX = 500 };

/* Which pods go first: not assigned, pending, not ready, then the younger ones. */
static int deletion_rank(const json_t *pod)
{
    int rank = 0;
    rank += *tree_text_or(pod, "spec.nodeName", "") == '\0' ? 0 : 1;
    rank += tree_has_text(pod, "status.phase", "Pending") ? 0 : 2;
    rank += pod_is_ready(pod) ? 4 : 0;
    return rank;
}

static int64_t deletion_cost(const json_t *pod)
{
    const char *text = object_annotation(pod, "controller.kubernetes.io/pod-deletion-cost");
    return text == NULL ? 0 : strtoll(text, NULL, 10);
}

static int64_t restarts(const json_t *pod)
{
    int64_t count = 0;
    const json_t *statuses = tree_find(pod, "status.containerStatuses");
    for (size_t i = 0; i < json_array_size(statuses); i++) {
        count += tree_int(json_array_get(statuses, i), "restartCount", 0);
    }
    return count;
}

static int compare_for_deletion(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a;
    const json_t *y = *(const json_t *const *)b;
    int ranks = deletion_rank(x) - deletion_rank(y);
    if (ranks != 0) {
        return ranks;
    }
    int64_t costs = deletion_cost(x) - deletion_cost(y);
    if (costs != 0) {
        return costs < 0 ? -1 : 1;
    }
    int64_t counts = restarts(y) - restarts(x);
    if (counts != 0) {
        return counts < 0 ? -1 : 1;
    }
    int64_t ages = timestamp_at(y, "metadata.creationTimestamp", 0) -
                   timestamp_at(x, "metadata.creationTimestamp", 0);
    if (ages != 0) {
        return ages < 0 ? -1 : 1;
    }
    return strcmp(object_name(x), object_name(y));
}

static void create_pods(const struct reconcile *in, const json_t *set, int64_t count,
                        struct actions *out)
{
    (void)in;
    for (int64_t i = 0; i < count && i < BURST_MAX; i++) {
        actions_create(out, controller_kind("pods"),
                       pod_from_template(set, tree_find(set, "spec.template")));
    }
}

static void delete_pods(struct object_list *active, int64_t count, struct actions *out)
{
    object_list_sort(active, compare_for_deletion);
    for (int64_t i = 0; i < count && i < (int64_t)active->count; i++) {
        actions_delete(out, controller_kind("pods"), active->items[i], NULL);
    }
}

static void set_status(const struct reconcile *in, const struct kind *kind, const json_t *set,
                       const struct object_list *active, struct actions *out)
{
    int64_t min_ready_s = tree_int(set, "spec.minReadySeconds", 0);
    int64_t ready = 0;
    int64_t available = 0;
    int64_t labeled = 0;
    int64_t wait_ms = 0;
    const json_t *labels = tree_find(set, "spec.template.metadata.labels");
    for (size_t i = 0; i < active->count; i++) {
        const json_t *pod = active->items[i];
        ready += pod_is_ready(pod);
        available += pod_is_available(pod, min_ready_s, in->now_ms, &wait_ms);
        labeled += label_map_matches(labels, object_labels(pod));
    }
    json_t *status = tree_copy(json_object_get(set, "status"));
    status = status == NULL ? json_object() : status;
    tree_set_int(status, "replicas", (int64_t)active->count);
    tree_set_int(status, "fullyLabeledReplicas", labeled);
    tree_set_int(status, "readyReplicas", ready);
    tree_set_int(status, "availableReplicas", available);
    tree_set_int(status, "observedGeneration", tree_int(set, "metadata.generation", 0));
    static const char *const optional[] = {"fullyLabeledReplicas", "readyReplicas",
                                           "availableReplicas"};
    for (size_t i = 0; i < 3; i++) {
        if (tree_int(status, optional[i], 0) == 0) {
            tree_remove(status, optional[i]);
        }
    }
    actions_set_status(out, kind, set, status);
    if (wait_ms > 0) {
        actions_requeue(out, wait_ms);
    }
}

static void reconcile_set(const struct reconcile *in, const char *storage, struct actions *out)
{
    const struct kind *kind = controller_kind(storage);
    const json_t *set = cache_find(in->cache, storage, in->namespace, in->name);
    if (set == NULL) {
        return;
    }
    CLEANUP(object_list) struct object_list owned = {0};
    CLEANUP(object_list) struct object_list active = {0};
    owned_objects(in, set, "pods", &owned, out);
    for (size_t i = 0; i < owned.count; i++) {
        if (pod_is_active(owned.items[i])) {
            object_list_add(&active, owned.items[i]);
        }
    }
    int64_t wanted = tree_int(set, "spec.replicas", 1);
    int64_t difference = wanted - (int64_t)active.count;
    set_status(in, kind, set, &active, out);
    if (object_is_deleting(set)) {
        return;
    }
    if (difference > 0) {
        create_pods(in, set, difference, out);
    } else if (difference < 0) {
        delete_pods(&active, -difference, out);
    }
}

static void reconcile_replica_set(const struct reconcile *in, struct actions *out)
{
    reconcile_set(in, "replicasets", out);
}

static void reconcile_controller(const struct reconcile *in, struct actions *out)
{
    reconcile_set(in, "replicationcontrollers", out);
}

/* A pod wakes its set; an orphan wakes every set, one of which may adopt it. */
static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups, const char *own_storage, const char *kind)
{
    if (strcmp(storage, own_storage) == 0) {
        wake_object(wakeups, event->object);
    }
    if (strcmp(storage, "pods") != 0) {
        return;
    }
    wake_controller_of(wakeups, event->object, kind);
    if (event->previous != NULL) {
        wake_controller_of(wakeups, event->previous, kind);
    }
    if (object_controller(event->object) == NULL &&
        json_object_size(object_labels(event->object))) {
        struct cache_cursor c = cache_list(cache, own_storage, object_namespace(event->object));
        while (cache_next(&c)) {
            wake_object(wakeups, c.object);
        }
    }
}

static void wake_replica_set(const struct cache *cache, const char *storage,
                             const struct cache_event *event, const struct wakeups *wakeups)
{
    wake(cache, storage, event, wakeups, "replicasets", "ReplicaSet");
}

static void wake_replication(const struct cache *cache, const char *storage,
                             const struct cache_event *event, const struct wakeups *wakeups)
{
    wake(cache, storage, event, wakeups, "replicationcontrollers", "ReplicationController");
}

const struct controller controller_replica_set = {.name = "replicaset-controller",
                                                  .storage = "replicasets",
                                                  .wake = wake_replica_set,
                                                  .reconcile = reconcile_replica_set};
const struct controller controller_replication = {.name = "replication-controller",
                                                  .storage = "replicationcontrollers",
                                                  .wake = wake_replication,
                                                  .reconcile = reconcile_controller};
