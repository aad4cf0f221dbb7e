/* stateful_set.c - pods with a number, a name and storage of their own, one after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/controllers/revision.h"

#define LABEL_HASH "controller-revision-hash"
#define LABEL_NAME "statefulset.kubernetes.io/pod-name"
#define LABEL_INDEX "apps.kubernetes.io/pod-index"

struct stateful {
    const struct reconcile *in;
    const json_t *set;
    struct object_list pods;
    char hash[REVISION_HASH_SIZE];
    char current_hash[REVISION_HASH_SIZE]; /* what pods below the partition have */
    int64_t start;
    int64_t wanted;
    bool is_parallel;
    int64_t min_ready_s;
    struct actions *out;
};

static int64_t ordinal_of(const struct stateful *stateful, const json_t *pod)
{
    const char *name = object_name(pod);
    const char *dash = strrchr(name, '-');
    const char *set_name = object_name(stateful->set);
    if (dash == NULL || (size_t)(dash - name) != strlen(set_name) ||
        strncmp(name, set_name, strlen(set_name)) != 0 || dash[1] < '0' || dash[1] > '9') {
        return -1;
    }
    return strtoll(dash + 1, NULL, 10);
}

static const json_t *find_pod(const struct stateful *stateful, int64_t ordinal)
{
    for (size_t i = 0; i < stateful->pods.count; i++) {
        if (ordinal_of(stateful, stateful->pods.items[i]) == ordinal) {
            return stateful->pods.items[i];
        }
    }
    return NULL;
}

static char *claim_name(const struct stateful *stateful, const json_t *template, int64_t ordinal)
{
    return mem_printf("%s-%s-%lld", object_name(template), object_name(stateful->set),
                      (long long)ordinal);
}

static void make_claims(struct stateful *stateful, json_t *pod, int64_t ordinal)
{
    const json_t *templates = tree_find(stateful->set, "spec.volumeClaimTemplates");
    for (size_t i = 0; i < json_array_size(templates); i++) {
        const json_t *template = json_array_get(templates, i);
        CLEANUP(free) char *name = claim_name(stateful, template, ordinal);
        json_t *volumes = tree_make_list(pod, "spec.volumes");
        json_array_append_new(volumes, json_pack("{s:s, s:{s:s}}", "name", object_name(template),
                                                 "persistentVolumeClaim", "claimName", name));
        if (cache_find(stateful->in->cache, "persistentvolumeclaims", stateful->in->namespace,
                       name) != NULL) {
            continue;
        }
        json_t *claim = json_deep_copy(template);
        tree_remove(claim, "status");
        tree_set_text(claim, "metadata.name", name);
        tree_set_text(claim, "metadata.namespace", stateful->in->namespace);
        const json_t *labels = tree_find(stateful->set, "spec.selector.matchLabels");
        json_object_update(tree_make_object(claim, "metadata.labels"), tree_mutable(labels));
        actions_create(stateful->out, controller_kind("persistentvolumeclaims"), claim);
    }
}

static int64_t partition(const struct stateful *stateful)
{
    return tree_int(stateful->set, "spec.updateStrategy.rollingUpdate.partition", 0);
}

static void create_pod(struct stateful *stateful, int64_t ordinal)
{
    const json_t *template = tree_find(stateful->set, "spec.template");
    const char *hash = stateful->hash;
    if (ordinal - stateful->start < partition(stateful)) {
        const json_t *old = revision_template(stateful->in, stateful->set, stateful->current_hash);
        template = old == NULL ? template : old;
        hash = old == NULL ? hash : stateful->current_hash;
    }
    json_t *pod = pod_from_template(stateful->set, template);
    char index[24];
    (void)snprintf(index, sizeof(index), "%lld", (long long)ordinal);
    CLEANUP(free) char *name = mem_printf("%s-%s", object_name(stateful->set), index);
    tree_remove(pod, "metadata.generateName");
    tree_set_text(pod, "metadata.name", name);
    object_set_label(pod, LABEL_NAME, name);
    object_set_label(pod, LABEL_INDEX, index);
    object_set_label(pod, LABEL_HASH, hash);
    tree_set_text(pod, "spec.hostname", name);
    const char *service = tree_text_or(stateful->set, "spec.serviceName", "");
    if (*service != '\0') {
        tree_set_text(pod, "spec.subdomain", service);
    }
    make_claims(stateful, pod, ordinal);
    actions_create(stateful->out, controller_kind("pods"), pod);
}

static bool is_good(const struct stateful *stateful, const json_t *pod)
{
    int64_t wait_ms = 0;
    bool available = !object_is_deleting(pod) &&
                     pod_is_available(pod, stateful->min_ready_s, stateful->in->now_ms, &wait_ms);
    if (wait_ms > 0) {
        actions_requeue(stateful->out, wait_ms);
    }
    return available;
}

/* Upwards: the next pod only when those before it are good. True when all are there and good. */
static bool grow(struct stateful *stateful)
{
    bool all_good = true;
    for (int64_t i = 0; i < stateful->wanted; i++) {
        int64_t ordinal = stateful->start + i;
        const json_t *pod = find_pod(stateful, ordinal);
        if (pod == NULL) {
            create_pod(stateful, ordinal);
            all_good = false;
        } else if (pod_is_finished(pod) && !object_is_deleting(pod)) {
            actions_delete(stateful->out, controller_kind("pods"), pod, NULL);
            all_good = false;
        } else if (!is_good(stateful, pod)) {
            all_good = false;
        }
        if (!all_good && !stateful->is_parallel) {
            return false;
        }
    }
    return all_good;
}

static int compare_ordinals_down(const void *a, const void *b)
{
    const char *x = object_name(*(const json_t *const *)a);
    const char *y = object_name(*(const json_t *const *)b);
    int64_t difference =
        strtoll(strrchr(y, '-') + 1, NULL, 10) - strtoll(strrchr(x, '-') + 1, NULL, 10);
    return difference < 0 ? -1 : difference > 0;
}

/* Downwards from the highest; one after the other unless parallel. True when nothing is to go. */
static bool shrink(struct stateful *stateful)
{
    bool is_done = true;
    for (size_t i = 0; i < stateful->pods.count; i++) {
        const json_t *pod = stateful->pods.items[i];
        int64_t ordinal = ordinal_of(stateful, pod);
        bool is_wanted = ordinal >= stateful->start && ordinal < stateful->start + stateful->wanted;
        if (is_wanted) {
            continue;
        }
        is_done = false;
        if (!object_is_deleting(pod)) {
            actions_delete(stateful->out, controller_kind("pods"), pod, NULL);
        }
        if (!stateful->is_parallel) {
            return false;
        }
    }
    return is_done;
}

static bool has_hash(const json_t *pod, const char *hash)
{
    const char *label = object_label(pod, LABEL_HASH);
    return label != NULL && strcmp(label, hash) == 0;
}

/* From the highest ordinal down to the partition, one pod at a time. */
static void roll(struct stateful *stateful)
{
    if (!tree_has_text(stateful->set, "spec.updateStrategy.type", "RollingUpdate")) {
        return;
    }
    for (int64_t i = stateful->wanted - 1; i >= partition(stateful) && i >= 0; i--) {
        const json_t *pod = find_pod(stateful, stateful->start + i);
        if (pod == NULL) {
            return;
        }
        if (!has_hash(pod, stateful->hash)) {
            if (!object_is_deleting(pod)) {
                actions_delete(stateful->out, controller_kind("pods"), pod, NULL);
            }
            return;
        }
        if (!is_good(stateful, pod)) {
            return;
        }
    }
}

static void set_status(struct stateful *stateful)
{
    json_t *status = tree_copy(json_object_get(stateful->set, "status"));
    status = status == NULL ? json_object() : status;
    int64_t replicas = 0;
    int64_t ready = 0;
    int64_t available = 0;
    int64_t updated = 0;
    int64_t current = 0;
    for (size_t i = 0; i < stateful->pods.count; i++) {
        const json_t *pod = stateful->pods.items[i];
        replicas++;
        ready += pod_is_ready(pod) && !object_is_deleting(pod);
        available += is_good(stateful, pod);
        updated += has_hash(pod, stateful->hash) && !object_is_deleting(pod);
        current += has_hash(pod, stateful->current_hash) && !object_is_deleting(pod);
    }
    CLEANUP(free) char *update = mem_printf("%s-%s", object_name(stateful->set), stateful->hash);
    bool is_complete = updated == stateful->wanted && replicas == stateful->wanted &&
                       ready == stateful->wanted && partition(stateful) == 0;
    if (is_complete) {
        current = updated;
        tree_set_text(status, "currentRevision", update);
    } else if (tree_text(status, "currentRevision") == NULL) {
        tree_set_text(status, "currentRevision", update);
    }
    tree_set_text(status, "updateRevision", update);
    tree_set_int(status, "observedGeneration", tree_int(stateful->set, "metadata.generation", 0));
    tree_set_int(status, "replicas", replicas);
    tree_set_int(status, "availableReplicas", available);
    tree_set_int(status, "collisionCount", 0);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"readyReplicas", ready}, {"updatedReplicas", updated}, {"currentReplicas", current}};
    for (size_t i = 0; i < 3; i++) {
        if (numbers[i].value == 0) {
            tree_remove(status, numbers[i].name);
        } else {
            tree_set_int(status, numbers[i].name, numbers[i].value);
        }
    }
    actions_set_status(stateful->out, controller_kind("statefulsets"), stateful->set, status);
}

static void read_hashes(struct stateful *stateful)
{
    (void)revision_hash(stateful->set, stateful->hash);
    const char *current = tree_text_or(stateful->set, "status.currentRevision", "");
    const char *dash = strrchr(current, '-');
    const char *hash = dash == NULL ? stateful->hash : dash + 1;
    if (strlen(hash) < REVISION_HASH_SIZE) {
        memcpy(stateful->current_hash, hash, strlen(hash) + 1);
    }
}

static void sync_revisions(struct stateful *stateful)
{
    CLEANUP(json) json_t *live = json_pack("[s]", stateful->current_hash);
    for (size_t i = 0; i < stateful->pods.count; i++) {
        const char *hash = object_label(stateful->pods.items[i], LABEL_HASH);
        if (hash != NULL && !tree_list_has_text(live, hash)) {
            json_array_append_new(live, json_string(hash));
        }
    }
    revision_sync(stateful->in, stateful->set, live, stateful->out);
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *set = cache_find(in->cache, "statefulsets", in->namespace, in->name);
    if (set == NULL || object_is_deleting(set)) {
        return;
    }
    struct stateful stateful = {
        .in = in,
        .set = set,
        .out = out,
        .start = tree_int(set, "spec.ordinals.start", 0),
        .wanted = tree_int(set, "spec.replicas", 1),
        .is_parallel = tree_has_text(set, "spec.podManagementPolicy", "Parallel"),
        .min_ready_s = tree_int(set, "spec.minReadySeconds", 0),
    };
    CLEANUP(object_list) struct object_list owned = {0};
    owned_objects(in, set, "pods", &owned, out);
    for (size_t i = 0; i < owned.count; i++) {
        if (ordinal_of(&stateful, owned.items[i]) >= 0) {
            object_list_add(&stateful.pods, owned.items[i]);
        }
    }
    object_list_sort(&stateful.pods, compare_ordinals_down);
    read_hashes(&stateful);
    sync_revisions(&stateful);
    if (grow(&stateful) || stateful.is_parallel) {
        if (shrink(&stateful)) {
            roll(&stateful);
        }
    } else {
        /* A pod of an old template that never became good must not block its own repair. */
        roll(&stateful);
    }
    set_status(&stateful);
    object_list_deinit(&stateful.pods);
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    (void)cache;
    if (strcmp(storage, "statefulsets") == 0) {
        wake_object(wakeups, event->object);
    } else if (strcmp(storage, "pods") == 0) {
        wake_controller_of(wakeups, event->object, "StatefulSet");
    }
}

const struct controller controller_stateful_set = {.name = "statefulset-controller",
                                                   .storage = "statefulsets",
                                                   .wake = wake,
                                                   .reconcile = reconcile};
