/* daemon_set.c - one pod on every node that may have one. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/controllers/revision.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/scheduler/placement.h"

#define LABEL_HASH "controller-revision-hash"

struct daemon {
    const struct reconcile *in;
    const json_t *set;
    struct object_list pods;
    char hash[REVISION_HASH_SIZE];
    json_t *template; /* a pod spec with the tolerations that daemons have */
    int64_t min_ready_s;
    int64_t desired, current, misplaced, ready, available, updated;
    int64_t wait_ms;
    struct actions *out;
};

/* What a daemon tolerates without being told (kubernetes-api 3.2). */
static void add_tolerations(json_t *spec)
{
    static const struct {
        const char *key;
        const char *effect;
    } tolerations[] = {
        {"node.kubernetes.io/not-ready", "NoExecute"},
        {"node.kubernetes.io/unreachable", "NoExecute"},
        {"node.kubernetes.io/disk-pressure", "NoSchedule"},
        {"node.kubernetes.io/memory-pressure", "NoSchedule"},
        {"node.kubernetes.io/pid-pressure", "NoSchedule"},
        {"node.kubernetes.io/unschedulable", "NoSchedule"},
        {"node.kubernetes.io/network-unavailable", "NoSchedule"},
    };
    size_t count = sizeof(tolerations) / sizeof(tolerations[0]);
    count -= tree_bool(spec, "hostNetwork", false) ? 0 : 1;
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(tree_make_list(spec, "tolerations"),
                              json_pack("{s:s, s:s, s:s}", "key", tolerations[i].key, "operator",
                                        "Exists", "effect", tolerations[i].effect));
    }
}

/* The node a pod is for: where it is, or where its affinity sends it. */
static const char *node_of(const json_t *pod)
{
    const char *name = tree_text_or(pod, "spec.nodeName", "");
    if (*name != '\0') {
        return name;
    }
    const json_t *terms = tree_find(pod, "spec.affinity.nodeAffinity."
                                         "requiredDuringSchedulingIgnoredDuringExecution."
                                         "nodeSelectorTerms");
    const json_t *fields = json_object_get(json_array_get(terms, 0), "matchFields");
    const json_t *values = json_object_get(json_array_get(fields, 0), "values");
    const char *wanted = json_string_value(json_array_get(values, 0));
    return wanted == NULL ? "" : wanted;
}

/* The user's own required terms hold for the node already; each is kept, with the node's name. */
static void send_to(json_t *pod, const char *node)
{
    json_t *field =
        json_pack("{s:s, s:s, s:[s]}", "key", "metadata.name", "operator", "In", "values", node);
    tree_set(pod,
             "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
             "nodeSelectorTerms",
             json_pack("[{s:[o]}]", "matchFields", field));
}

static void create_pod(struct daemon *daemon, const char *node)
{
    json_t *pod = pod_from_template(daemon->set, tree_find(daemon->set, "spec.template"));
    tree_set_copy(pod, "spec", daemon->template);
    object_set_label(pod, LABEL_HASH, daemon->hash);
    send_to(pod, node);
    actions_create(daemon->out, controller_kind("pods"), pod);
}

static bool should_run(const struct daemon *daemon, const json_t *node)
{
    return placement_matches_node(daemon->template, node) &&
           placement_untolerated(daemon->template, node, NULL) == NULL;
}

/* Running daemons are moved off only by taints that evict. */
static bool may_stay(const struct daemon *daemon, const json_t *node)
{
    return placement_matches_node(daemon->template, node) &&
           placement_untolerated(daemon->template, node, "NoExecute") == NULL;
}

static bool is_updated(const struct daemon *daemon, const json_t *pod)
{
    const char *label = object_label(pod, LABEL_HASH);
    return label != NULL && strcmp(label, daemon->hash) == 0;
}

static void count_pod(struct daemon *daemon, const json_t *pod)
{
    daemon->current++;
    daemon->updated += is_updated(daemon, pod);
    daemon->ready += pod_is_ready(pod);
    daemon->available +=
        pod_is_available(pod, daemon->min_ready_s, daemon->in->now_ms, &daemon->wait_ms);
}

static void visit_node(struct daemon *daemon, const json_t *node)
{
    const char *name = object_name(node);
    bool runs = should_run(daemon, node);
    bool stays = may_stay(daemon, node);
    const json_t *kept = NULL;
    size_t live = 0;
    for (size_t i = 0; i < daemon->pods.count; i++) {
        const json_t *pod = daemon->pods.items[i];
        if (strcmp(node_of(pod), name) != 0 || object_is_deleting(pod)) {
            live += strcmp(node_of(pod), name) == 0;
            continue;
        }
        live++;
        if (pod_is_finished(pod) || !stays || kept != NULL) {
            actions_delete(daemon->out, controller_kind("pods"), pod, NULL);
            daemon->misplaced += !stays;
            continue;
        }
        kept = pod;
    }
    daemon->desired += runs;
    if (kept != NULL) {
        count_pod(daemon, kept);
    } else if (runs && live == 0) {
        create_pod(daemon, name);
    }
}

static void delete_homeless(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->pods.count; i++) {
        const json_t *pod = daemon->pods.items[i];
        const char *name = node_of(pod);
        if (*name != '\0' && cache_find(daemon->in->cache, "nodes", "", name) == NULL &&
            !object_is_deleting(pod)) {
            actions_delete(daemon->out, controller_kind("pods"), pod, NULL);
        }
    }
}

/* Old pods go while enough of the others are there: the broken ones first, they cost nothing. */
static void roll(struct daemon *daemon)
{
    if (!tree_has_text(daemon->set, "spec.updateStrategy.type", "RollingUpdate")) {
        return;
    }
    const json_t *limit =
        tree_find(daemon->set, "spec.updateStrategy.rollingUpdate.maxUnavailable");
    int64_t missing_max = scaled_value(limit, daemon->desired, true, 1);
    missing_max = missing_max < 1 ? 1 : missing_max;
    int64_t missing = daemon->desired - daemon->available;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < daemon->pods.count; i++) {
            const json_t *pod = daemon->pods.items[i];
            bool is_there = pod_is_available(pod, daemon->min_ready_s, daemon->in->now_ms, NULL);
            if (!pod_is_active(pod) || is_updated(daemon, pod) || is_there != (pass == 1)) {
                continue;
            }
            if (pass == 1 && missing >= missing_max) {
                continue;
            }
            missing += is_there;
            actions_delete(daemon->out, controller_kind("pods"), pod, NULL);
        }
    }
}

static void set_status(struct daemon *daemon)
{
    json_t *status = tree_copy(json_object_get(daemon->set, "status"));
    status = status == NULL ? json_object() : status;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"currentNumberScheduled", daemon->current},
        {"numberMisscheduled", daemon->misplaced},
        {"desiredNumberScheduled", daemon->desired},
        {"numberReady", daemon->ready},
        {"updatedNumberScheduled", daemon->updated},
        {"numberAvailable", daemon->available},
        {"numberUnavailable", daemon->desired - daemon->available},
        {"observedGeneration", tree_int(daemon->set, "metadata.generation", 0)},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (i >= 4 && numbers[i].value <= 0) {
            tree_remove(status, numbers[i].name);
        } else {
            tree_set_int(status, numbers[i].name, numbers[i].value);
        }
    }
    actions_set_status(daemon->out, controller_kind("daemonsets"), daemon->set, status);
}

static void sync_revisions(struct daemon *daemon)
{
    CLEANUP(json) json_t *live = json_array();
    for (size_t i = 0; i < daemon->pods.count; i++) {
        const char *hash = object_label(daemon->pods.items[i], LABEL_HASH);
        if (hash != NULL && !tree_list_has_text(live, hash)) {
            json_array_append_new(live, json_string(hash));
        }
    }
    revision_sync(daemon->in, daemon->set, live, daemon->out);
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *set = cache_find(in->cache, "daemonsets", in->namespace, in->name);
    if (set == NULL || object_is_deleting(set)) {
        return;
    }
    struct daemon daemon = {.in = in, .set = set, .out = out};
    daemon.min_ready_s = tree_int(set, "spec.minReadySeconds", 0);
    daemon.template = tree_copy(tree_find(set, "spec.template.spec"));
    add_tolerations(daemon.template);
    (void)revision_hash(set, daemon.hash);
    owned_objects(in, set, "pods", &daemon.pods, out);
    sync_revisions(&daemon);
    struct cache_cursor c = cache_list(in->cache, "nodes", "");
    while (cache_next(&c)) {
        visit_node(&daemon, c.object);
    }
    delete_homeless(&daemon);
    roll(&daemon);
    set_status(&daemon);
    if (daemon.wait_ms > 0) {
        actions_requeue(out, daemon.wait_ms);
    }
    json_decref(daemon.template);
    object_list_deinit(&daemon.pods);
}

/* Nodes change with every heartbeat; only what decides about placement matters here. */
static bool placement_changed(const struct cache_event *event)
{
    if (event->previous == NULL || event->type == CACHE_DELETED) {
        return true;
    }
    return !tree_equal(object_labels(event->object), object_labels(event->previous)) ||
           !tree_equal(json_object_get(event->object, "spec"),
                       json_object_get(event->previous, "spec"));
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    if (strcmp(storage, "daemonsets") == 0) {
        wake_object(wakeups, event->object);
    } else if (strcmp(storage, "pods") == 0) {
        wake_controller_of(wakeups, event->object, "DaemonSet");
    } else if (strcmp(storage, "nodes") == 0 && placement_changed(event)) {
        struct cache_cursor c = cache_list(cache, "daemonsets", "");
        while (cache_next(&c)) {
            wake_object(wakeups, c.object);
        }
    }
}

const struct controller controller_daemon_set = {
    .name = "daemonset-controller", .storage = "daemonsets", .wake = wake, .reconcile = reconcile};
