/* housekeeping.c - small duties: quota figures, old events, pods of nodes that are gone. */
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/registry/plan_parts.h"

enum { EVENT_AGE_MS_MAX = 3600 * 1000 };

static void reconcile_quota(const struct reconcile *in, struct actions *out)
{
    const json_t *quota = cache_find(in->cache, "resourcequotas", in->namespace, in->name);
    if (quota == NULL) {
        return;
    }
    const json_t *hard = tree_find(quota, "spec.hard");
    json_t *used = quota_usage(in->cache, in->namespace, quota);
    json_t *status = json_object();
    tree_set(status, "hard", hard == NULL ? json_object() : json_deep_copy(hard));
    tree_set(status, "used", used);
    actions_set_status(out, controller_kind("resourcequotas"), quota, status);
}

static void wake_quota(const struct cache *cache, const char *storage,
                       const struct cache_event *event, const struct wakeups *wakeups)
{
    bool is_counted = event->type != CACHE_MODIFIED || strcmp(storage, "pods") == 0 ||
                      strcmp(storage, "services") == 0;
    if (strcmp(storage, "resourcequotas") == 0) {
        wake_object(wakeups, event->object);
    } else if (is_counted && strcmp(storage, "events") != 0) {
        const char *namespace = object_namespace(event->object);
        struct cache_cursor c = cache_list(cache, "resourcequotas", namespace);
        while (*namespace != '\0' && cache_next(&c)) {
            wake_object(wakeups, c.object);
        }
    }
}

static void reconcile_event(const struct reconcile *in, struct actions *out)
{
    const json_t *event = cache_find(in->cache, "events", in->namespace, in->name);
    if (event == NULL) {
        return;
    }
    int64_t age_ms =
        in->now_ms - timestamp_at(event, "lastTimestamp",
                                  timestamp_at(event, "metadata.creationTimestamp", in->now_ms));
    if (age_ms >= EVENT_AGE_MS_MAX) {
        actions_delete(out, controller_kind("events"), event, NULL);
    } else {
        actions_requeue(out, EVENT_AGE_MS_MAX - age_ms);
    }
}

static void wake_event(const struct cache *cache, const char *storage,
                       const struct cache_event *event, const struct wakeups *wakeups)
{
    (void)cache;
    if (strcmp(storage, "events") == 0 && event->type != CACHE_DELETED) {
        wake_object(wakeups, event->object);
    }
}

/* A pod whose node is gone has nobody who could end it; so has one that never got a node. */
static void reconcile_pod(const struct reconcile *in, struct actions *out)
{
    const json_t *pod = cache_find(in->cache, "pods", in->namespace, in->name);
    const char *node = tree_text_or(pod, "spec.nodeName", "");
    bool is_lost = *node != '\0' && cache_find(in->cache, "nodes", "", node) == NULL;
    bool is_unbound = pod != NULL && *node == '\0' && object_is_deleting(pod);
    if (is_lost || is_unbound) {
        actions_delete_now(out, controller_kind("pods"), pod);
    }
}

static void wake_pod(const struct cache *cache, const char *storage,
                     const struct cache_event *event, const struct wakeups *wakeups)
{
    if (strcmp(storage, "pods") == 0 && event->type != CACHE_DELETED) {
        const char *node = tree_text_or(event->object, "spec.nodeName", "");
        if (object_is_deleting(event->object) ||
            (*node != '\0' && cache_find(cache, "nodes", "", node) == NULL)) {
            wake_object(wakeups, event->object);
        }
    }
    if (strcmp(storage, "nodes") == 0 && event->type == CACHE_DELETED) {
        struct cache_cursor c = cache_list(cache, "pods", "");
        while (cache_next(&c)) {
            if (tree_has_text(c.object, "spec.nodeName", object_name(event->object))) {
                wake_object(wakeups, c.object);
            }
        }
    }
}

/* Volumes and claims in use keep their finalizer while they are; then it goes. */
static bool claim_is_used(const struct reconcile *in)
{
    struct cache_cursor c = cache_list(in->cache, "pods", in->namespace);
    while (cache_next(&c)) {
        const json_t *volumes = tree_find(c.object, "spec.volumes");
        for (size_t i = 0; i < json_array_size(volumes) && !pod_is_finished(c.object); i++) {
            if (tree_has_text(json_array_get(volumes, i), "persistentVolumeClaim.claimName",
                              in->name)) {
                return true;
            }
        }
    }
    return false;
}

static void reconcile_claim(const struct reconcile *in, struct actions *out)
{
    const json_t *claim = cache_find(in->cache, "persistentvolumeclaims", in->namespace, in->name);
    if (claim == NULL || !object_is_deleting(claim) || claim_is_used(in)) {
        return;
    }
    json_t *left = json_array();
    const json_t *finalizers = tree_find(claim, "metadata.finalizers");
    for (size_t i = 0; i < json_array_size(finalizers); i++) {
        json_t *item = json_array_get(finalizers, i);
        if (strcmp(json_string_value(item), "kubernetes.io/pvc-protection") != 0) {
            json_array_append(left, item);
        }
    }
    if (json_array_size(left) == json_array_size(finalizers)) {
        json_decref(left);
        return;
    }
    actions_patch(
        out, controller_kind("persistentvolumeclaims"), claim,
        json_pack("{s:{s:s, s:o}}", "metadata", "uid", object_uid(claim), "finalizers", left));
}

static void wake_claim(const struct cache *cache, const char *storage,
                       const struct cache_event *event, const struct wakeups *wakeups)
{
    (void)cache;
    if (strcmp(storage, "persistentvolumeclaims") == 0) {
        wake_object(wakeups, event->object);
    } else if (strcmp(storage, "pods") == 0) {
        const json_t *volumes = tree_find(event->object, "spec.volumes");
        for (size_t i = 0; i < json_array_size(volumes); i++) {
            const char *name =
                tree_text(json_array_get(volumes, i), "persistentVolumeClaim.claimName");
            if (name != NULL) {
                wake_key(wakeups, object_namespace(event->object), name);
            }
        }
    }
}

const struct controller controller_quota = {.name = "resourcequota-controller",
                                            .storage = "resourcequotas",
                                            .wake = wake_quota,
                                            .reconcile = reconcile_quota};
const struct controller controller_event_ttl = {.name = "event-ttl-controller",
                                                .storage = "events",
                                                .wake = wake_event,
                                                .reconcile = reconcile_event};
const struct controller controller_pod_gc = {.name = "pod-garbage-collector",
                                             .storage = "pods",
                                             .wake = wake_pod,
                                             .reconcile = reconcile_pod};
const struct controller controller_claim_protection = {.name = "pvc-protection-controller",
                                                       .storage = "persistentvolumeclaims",
                                                       .wake = wake_claim,
                                                       .reconcile = reconcile_claim};
