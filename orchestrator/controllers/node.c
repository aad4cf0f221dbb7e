/* node.c - nodes that fall silent, their taints, and the pods that must leave them.
 *
 * Keys are node names. A node is silent when neither its lease nor its Ready condition was renewed
 * within the grace period. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/scheduler/placement.h"

#define TAINT_NOT_READY "node.kubernetes.io/not-ready"
#define TAINT_UNREACHABLE "node.kubernetes.io/unreachable"
#define TAINT_UNSCHEDULABLE "node.kubernetes.io/unschedulable"

enum { CHECK_MS = 5000 };

static int64_t last_heartbeat(const struct reconcile *in, const json_t *node)
{
    const json_t *lease = cache_find(in->cache, "leases", "kube-node-lease", in->name);
    int64_t renewed_ms = timestamp_at(lease, "spec.renewTime", 0);
    int64_t ready_ms = timestamp_at(object_condition(node, "Ready"), "lastHeartbeatTime",
                                    timestamp_at(node, "metadata.creationTimestamp", in->now_ms));
    return renewed_ms > ready_ms ? renewed_ms : ready_ms;
}

static void set_unknown(const struct reconcile *in, const json_t *node, struct actions *out)
{
    static const char *const types[] = {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"};
    json_t *status = tree_copy(json_object_get(node, "status"));
    status = status == NULL ? json_object() : status;
    json_t *conditions = tree_make_list(status, "conditions");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        (void)condition_set(conditions, types[i], "Unknown", "NodeStatusUnknown",
                            "Kubelet stopped posting node status.", in->now_ms);
    }
    actions_event(out, in, node, "Normal", "NodeNotReady", "Node %s status is now: NodeNotReady",
                  in->name);
    actions_set_status(out, controller_kind("nodes"), node, status);
}

static void set_taint(json_t *taints, const char *key, const char *effect, bool is_wanted,
                      int64_t now_ms)
{
    size_t at = 0;
    while (at < json_array_size(taints)) {
        const json_t *taint = json_array_get(taints, at);
        if (tree_has_text(taint, "key", key) && tree_has_text(taint, "effect", effect)) {
            break;
        }
        at++;
    }
    bool is_there = at < json_array_size(taints);
    if (is_there && !is_wanted) {
        (void)json_array_remove(taints, at);
    } else if (!is_there && is_wanted) {
        char time[TIMESTAMP_SIZE];
        json_t *taint = json_pack("{s:s, s:s}", "key", key, "effect", effect);
        if (strcmp(effect, "NoExecute") == 0) {
            tree_set_text(taint, "timeAdded", timestamp_format(now_ms, time));
        }
        json_array_append_new(taints, taint);
    }
}

static void sync_taints(const struct reconcile *in, const json_t *node, struct actions *out)
{
    static const struct {
        const char *condition;
        const char *taint;
    } pressures[] = {{"MemoryPressure", "node.kubernetes.io/memory-pressure"},
                     {"DiskPressure", "node.kubernetes.io/disk-pressure"},
                     {"PIDPressure", "node.kubernetes.io/pid-pressure"},
                     {"NetworkUnavailable", "node.kubernetes.io/network-unavailable"}};
    const json_t *ready = object_condition(node, "Ready");
    bool is_unknown = ready != NULL && tree_has_text(ready, "status", "Unknown");
    bool is_bad = ready == NULL || tree_has_text(ready, "status", "False");
    const json_t *old = tree_find(node, "spec.taints");
    CLEANUP(json) json_t *taints = old == NULL ? json_array() : json_deep_copy(old);
    set_taint(taints, TAINT_NOT_READY, "NoSchedule", is_bad, in->now_ms);
    set_taint(taints, TAINT_NOT_READY, "NoExecute", is_bad && ready != NULL, in->now_ms);
    set_taint(taints, TAINT_UNREACHABLE, "NoSchedule", is_unknown, in->now_ms);
    set_taint(taints, TAINT_UNREACHABLE, "NoExecute", is_unknown, in->now_ms);
    set_taint(taints, TAINT_UNSCHEDULABLE, "NoSchedule",
              tree_bool(node, "spec.unschedulable", false), in->now_ms);
    for (size_t i = 0; i < sizeof(pressures) / sizeof(pressures[0]); i++) {
        set_taint(taints, pressures[i].taint, "NoSchedule",
                  object_condition_is(node, pressures[i].condition, "True"), in->now_ms);
    }
    bool is_same = tree_equal(old, taints) || (old == NULL && json_array_size(taints) == 0);
    if (!is_same) {
        actions_patch(out, controller_kind("nodes"), node,
                      json_pack("{s:{s:s}, s:{s:O}}", "metadata", "resourceVersion",
                                tree_text_or(node, "metadata.resourceVersion", ""), "spec",
                                "taints", taints));
    }
}

/* Milliseconds a pod may stay with a taint that evicts; -1: for ever, 0: not at all. */
static int64_t tolerated_ms(const json_t *pod, const json_t *taint)
{
    int64_t longest_ms = 0;
    const json_t *list = tree_find(pod, "spec.tolerations");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *toleration = json_array_get(list, i);
        if (!placement_tolerates(toleration, taint)) {
            continue;
        }
        if (tree_find(toleration, "tolerationSeconds") == NULL) {
            return -1;
        }
        int64_t ms = tree_int(toleration, "tolerationSeconds", 0) * 1000;
        longest_ms = ms > longest_ms ? ms : longest_ms;
    }
    return longest_ms;
}

static void evict_pods(const struct reconcile *in, const json_t *node, const json_t *taint,
                       struct actions *out)
{
    struct cache_cursor c = cache_list(in->cache, "pods", "");
    while (cache_next(&c)) {
        if (!tree_has_text(c.object, "spec.nodeName", in->name) || object_is_deleting(c.object)) {
            continue;
        }
        int64_t allowed_ms = tolerated_ms(c.object, taint);
        int64_t left_ms = timestamp_at(taint, "timeAdded", in->now_ms) + allowed_ms - in->now_ms;
        if (allowed_ms < 0) {
            continue;
        }
        if (left_ms > 0) {
            actions_requeue(out, left_ms);
            continue;
        }
        actions_event(out, in, c.object, "Normal", "TaintManagerEviction",
                      "Marking for deletion Pod %s/%s", object_namespace(c.object),
                      object_name(c.object));
        actions_delete(out, controller_kind("pods"), c.object, NULL);
    }
    (void)node;
}

/* Nobody on a silent node can say that its pods do not answer. */
static void unready_pods(const struct reconcile *in, struct actions *out)
{
    struct cache_cursor c = cache_list(in->cache, "pods", "");
    while (cache_next(&c)) {
        if (tree_has_text(c.object, "spec.nodeName", in->name) && pod_is_ready(c.object)) {
            json_t *status = tree_copy(json_object_get(c.object, "status"));
            (void)condition_set(tree_make_list(status, "conditions"), "Ready", "False",
                                "NodeNotReady", "The node of this pod does not answer", in->now_ms);
            actions_set_status(out, controller_kind("pods"), c.object, status);
        }
    }
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *node = cache_find(in->cache, "nodes", "", in->name);
    if (node == NULL) {
        return;
    }
    const json_t *ready = object_condition(node, "Ready");
    bool is_silent = in->now_ms - last_heartbeat(in, node) > in->settings->node_grace_ms;
    bool is_unknown = ready != NULL && tree_has_text(ready, "status", "Unknown");
    actions_requeue(out, CHECK_MS);
    if (is_silent && ready != NULL && !is_unknown) {
        set_unknown(in, node, out);
        return; /* the taints follow when it is written */
    }
    sync_taints(in, node, out);
    if (is_unknown) {
        unready_pods(in, out);
    }
    const json_t *taints = tree_find(node, "spec.taints");
    for (size_t i = 0; i < json_array_size(taints); i++) {
        if (tree_has_text(json_array_get(taints, i), "effect", "NoExecute")) {
            evict_pods(in, node, json_array_get(taints, i), out);
        }
    }
}

/* A heartbeat alone is no reason to look; the clock is. */
static bool is_news(const struct cache_event *event)
{
    if (event->previous == NULL || event->type == CACHE_DELETED) {
        return true;
    }
    const json_t *ready = object_condition(event->object, "Ready");
    const json_t *before = object_condition(event->previous, "Ready");
    return !tree_equal(json_object_get(event->object, "spec"),
                       json_object_get(event->previous, "spec")) ||
           !tree_equal(json_object_get(ready, "status"), json_object_get(before, "status"));
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    (void)cache;
    if (strcmp(storage, "nodes") == 0 && is_news(event)) {
        wake_object(wakeups, event->object);
    }
}

const struct controller controller_node = {
    .name = "node-controller", .storage = "nodes", .wake = wake, .reconcile = reconcile};
