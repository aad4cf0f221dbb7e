/* deployment.c - moves pods from one template to the next: a ReplicaSet for each template. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/names.h"
#include "orchestrator/objects/timestamp.h"

#define LABEL_HASH "pod-template-hash"
#define ANNOTATION_REVISION "deployment.kubernetes.io/revision"
#define ANNOTATION_DESIRED "deployment.kubernetes.io/desired-replicas"
#define ANNOTATION_MAX "deployment.kubernetes.io/max-replicas"

/* One look at a deployment. */
struct rollout {
    const struct reconcile *in;
    const json_t *deployment;
    struct object_list sets; /* all that it owns */
    const json_t *new_set;   /* of the current template; NULL before it is made */
    int64_t wanted;
    int64_t surge_max;   /* pods above wanted */
    int64_t missing_max; /* available pods below wanted */
    int64_t total;       /* spec.replicas of all sets */
    int64_t available;
    struct actions *out;
};

static int64_t set_size(const json_t *set)
{
    return tree_int(set, "spec.replicas", 0);
}

static int64_t revision_of(const json_t *object)
{
    const char *text = object_annotation(object, ANNOTATION_REVISION);
    return text == NULL ? 0 : strtoll(text, NULL, 10);
}

/* The template without the label that the controller adds. */
static json_t *plain_template(const json_t *object)
{
    json_t *template = tree_copy(tree_find(object, "spec.template"));
    json_t *labels = tree_find(template, "metadata.labels");
    (void)json_object_del(labels, LABEL_HASH); /* absent is fine */
    return template;
}

static const json_t *find_new_set(const struct rollout *rollout)
{
    CLEANUP(json) json_t *wanted = plain_template(rollout->deployment);
    const json_t *oldest = NULL;
    for (size_t i = 0; i < rollout->sets.count; i++) {
        const json_t *set = rollout->sets.items[i];
        CLEANUP(json) json_t *template = plain_template(set);
        bool is_older = oldest == NULL || timestamp_at(set, "metadata.creationTimestamp", 0) <
                                              timestamp_at(oldest, "metadata.creationTimestamp", 0);
        if (tree_equal(template, wanted) && is_older) {
            oldest = set;
        }
    }
    return oldest;
}

static void read_limits(struct rollout *rollout)
{
    const json_t *rolling = tree_find(rollout->deployment, "spec.strategy.rollingUpdate");
    int64_t wanted = rollout->wanted;
    rollout->surge_max = scaled_value(json_object_get(rolling, "maxSurge"), wanted, true, 1);
    rollout->missing_max =
        scaled_value(json_object_get(rolling, "maxUnavailable"), wanted, false, 0);
    if (rollout->surge_max == 0 && rollout->missing_max == 0) {
        rollout->missing_max = 1; /* else nothing could ever move */
    }
    if (rollout->missing_max > wanted) {
        rollout->missing_max = wanted;
    }
}

static int64_t last_revision(const struct rollout *rollout)
{
    int64_t last = 0;
    for (size_t i = 0; i < rollout->sets.count; i++) {
        int64_t revision = revision_of(rollout->sets.items[i]);
        if (rollout->sets.items[i] != rollout->new_set && revision > last) {
            last = revision;
        }
    }
    return last;
}

/* Annotations of the deployment that its sets carry, for rollbacks and `rollout history`. */
static bool is_copied_annotation(const char *key)
{
    return strcmp(key, "kubectl.kubernetes.io/last-applied-configuration") != 0 &&
           strcmp(key, ANNOTATION_REVISION) != 0 && strcmp(key, ANNOTATION_DESIRED) != 0 &&
           strcmp(key, ANNOTATION_MAX) != 0;
}

static void set_annotations(const struct rollout *rollout, json_t *set, int64_t revision)
{
    char text[24];
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_find(rollout->deployment, "metadata.annotations"), key, value)
    {
        if (is_copied_annotation(key)) {
            object_set_annotation(set, key, json_string_value(value));
        }
    }
    (void)snprintf(text, sizeof(text), "%lld", (long long)revision);
    object_set_annotation(set, ANNOTATION_REVISION, text);
    (void)snprintf(text, sizeof(text), "%lld", (long long)rollout->wanted);
    object_set_annotation(set, ANNOTATION_DESIRED, text);
    (void)snprintf(text, sizeof(text), "%lld", (long long)(rollout->wanted + rollout->surge_max));
    object_set_annotation(set, ANNOTATION_MAX, text);
}

static bool is_recreate(const struct rollout *rollout)
{
    return tree_has_text(rollout->deployment, "spec.strategy.type", "Recreate");
}

/* How large the new set may be now. */
static int64_t new_set_size(const struct rollout *rollout)
{
    int64_t size = rollout->new_set == NULL ? 0 : set_size(rollout->new_set);
    if (is_recreate(rollout)) {
        return rollout->wanted;
    }
    int64_t room = rollout->wanted + rollout->surge_max - rollout->total;
    if (size >= rollout->wanted) {
        return rollout->wanted;
    }
    if (room <= 0) {
        return size;
    }
    return size + room > rollout->wanted ? rollout->wanted : size + room;
}

static void create_new_set(struct rollout *rollout)
{
    const json_t *deployment = rollout->deployment;
    CLEANUP(json) json_t *template = plain_template(deployment);
    char hash[HASH_NAME_SIZE];
    uint64_t seed = (uint64_t)tree_int(deployment, "status.collisionCount", 0);
    (void)name_from_hash(object_hash(template) + seed * 0x9e3779b97f4a7c15ULL, hash);
    CLEANUP(free) char *name = mem_printf("%s-%s", object_name(deployment), hash);
    json_t *set = json_object();
    tree_set_text(set, "metadata.name", name);
    tree_set_text(set, "metadata.namespace", object_namespace(deployment));
    tree_set_copy(set, "metadata.labels", tree_find(template, "metadata.labels"));
    object_set_label(set, LABEL_HASH, hash);
    tree_set(set, "metadata.ownerReferences", json_pack("[o]", owner_reference(deployment)));
    tree_set_copy(set, "spec.template", template);
    json_object_set_new(tree_make_object(set, "spec.template.metadata.labels"), LABEL_HASH,
                        json_string(hash));
    tree_set_copy(set, "spec.selector", tree_find(deployment, "spec.selector"));
    json_object_set_new(tree_make_object(set, "spec.selector.matchLabels"), LABEL_HASH,
                        json_string(hash));
    tree_set_copy(set, "spec.minReadySeconds", tree_find(deployment, "spec.minReadySeconds"));
    int64_t size = new_set_size(rollout);
    tree_set_int(set, "spec.replicas", size);
    set_annotations(rollout, set, last_revision(rollout) + 1);
    actions_event(rollout->out, rollout->in, deployment, "Normal", "ScalingReplicaSet",
                  "Scaled up replica set %s from 0 to %lld", name, (long long)size);
    actions_create(rollout->out, controller_kind("replicasets"), set);
}

static void resize(struct rollout *rollout, const json_t *set, int64_t size)
{
    if (set_size(set) == size) {
        return;
    }
    json_t *next = json_deep_copy(set);
    bool grows = size > set_size(set);
    tree_set_int(next, "spec.replicas", size);
    set_annotations(rollout, next, revision_of(set));
    actions_event(rollout->out, rollout->in, rollout->deployment, "Normal", "ScalingReplicaSet",
                  "Scaled %s replica set %s from %lld to %lld", grows ? "up" : "down",
                  object_name(set), (long long)set_size(set), (long long)size);
    actions_update(rollout->out, controller_kind("replicasets"), next);
}

static int compare_age(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a;
    const json_t *y = *(const json_t *const *)b;
    int64_t ages = timestamp_at(x, "metadata.creationTimestamp", 0) -
                   timestamp_at(y, "metadata.creationTimestamp", 0);
    if (ages != 0) {
        return ages < 0 ? -1 : 1;
    }
    return strcmp(object_name(x), object_name(y));
}

/* Old sets shrink: what never became ready first, then as many as may be missing. */
static void shrink_old_sets(struct rollout *rollout)
{
    int64_t available_min = rollout->wanted - rollout->missing_max;
    int64_t new_size = rollout->new_set == NULL ? 0 : set_size(rollout->new_set);
    int64_t new_available =
        rollout->new_set == NULL ? 0 : tree_int(rollout->new_set, "status.availableReplicas", 0);
    int64_t removable = rollout->total - available_min - (new_size - new_available);
    int64_t healthy = rollout->available - available_min;
    for (size_t i = 0; i < rollout->sets.count; i++) {
        const json_t *set = rollout->sets.items[i];
        int64_t size = set_size(set);
        if (set == rollout->new_set || size == 0 || removable <= 0) {
            continue;
        }
        int64_t unhealthy = size - tree_int(set, "status.availableReplicas", 0);
        unhealthy = unhealthy < 0 ? 0 : unhealthy;
        int64_t less = unhealthy < removable ? unhealthy : removable;
        int64_t more = removable - less;
        more = more > healthy ? healthy : more;
        more = more > size - less ? size - less : more;
        more = more < 0 ? 0 : more;
        healthy -= more;
        removable -= less + more;
        resize(rollout, set, size - less - more);
    }
}

/* Paused or between templates, a changed replica count is shared in proportion. */
static void scale_in_proportion(struct rollout *rollout)
{
    const json_t *only = NULL;
    size_t active = 0;
    for (size_t i = 0; i < rollout->sets.count; i++) {
        if (set_size(rollout->sets.items[i]) > 0) {
            only = rollout->sets.items[i];
            active++;
        }
    }
    if (active == 0) {
        only = rollout->new_set;
    }
    if (active <= 1 && only != NULL) {
        resize(rollout, only, rollout->wanted);
        return;
    }
    int64_t allowed = rollout->wanted + rollout->surge_max;
    int64_t change = allowed - rollout->total;
    for (size_t i = 0; i < rollout->sets.count && rollout->total > 0; i++) {
        const json_t *set = rollout->sets.items[i];
        const char *text = object_annotation(set, ANNOTATION_MAX);
        int64_t before = text == NULL ? allowed : strtoll(text, NULL, 10);
        int64_t size = set_size(set);
        if (size == 0 || before == 0 || before == allowed || change == 0) {
            continue;
        }
        int64_t share = (size * allowed + before / 2) / before - size;
        share = llabs(share) > llabs(change) ? change : share;
        change -= share;
        resize(rollout, set, size + share < 0 ? 0 : size + share);
    }
}

static bool old_pods_are_gone(const struct rollout *rollout)
{
    for (size_t i = 0; i < rollout->sets.count; i++) {
        const json_t *set = rollout->sets.items[i];
        struct cache_cursor c = cache_list(rollout->in->cache, "pods", rollout->in->namespace);
        while (set != rollout->new_set && cache_next(&c)) {
            if (object_is_controlled_by(c.object, set) && !pod_is_finished(c.object)) {
                return false;
            }
        }
    }
    return true;
}

static void recreate(struct rollout *rollout)
{
    for (size_t i = 0; i < rollout->sets.count; i++) {
        if (rollout->sets.items[i] != rollout->new_set) {
            resize(rollout, rollout->sets.items[i], 0);
        }
    }
    if (!old_pods_are_gone(rollout)) {
        return;
    }
    if (rollout->new_set == NULL) {
        create_new_set(rollout);
    } else {
        resize(rollout, rollout->new_set, rollout->wanted);
    }
}

static void prune_history(struct rollout *rollout)
{
    int64_t limit = tree_int(rollout->deployment, "spec.revisionHistoryLimit", 10);
    int64_t idle = 0;
    for (size_t i = 0; i < rollout->sets.count; i++) {
        idle += rollout->sets.items[i] != rollout->new_set;
    }
    for (size_t i = 0; i < rollout->sets.count && idle > limit; i++) {
        const json_t *set = rollout->sets.items[i];
        bool is_empty = set_size(set) == 0 && tree_int(set, "status.replicas", 0) == 0;
        if (set != rollout->new_set && is_empty && !object_is_deleting(set)) {
            actions_delete(rollout->out, controller_kind("replicasets"), set, NULL);
            idle--;
        }
    }
}

/* The set of the current template is the newest revision, also after a rollback to an old one. True
 * when that had to be written down. */
static bool update_revision(struct rollout *rollout)
{
    bool has_changed = false;
    int64_t last = last_revision(rollout);
    int64_t revision = revision_of(rollout->new_set);
    if (revision <= last) {
        revision = last + 1;
        json_t *next = json_deep_copy(rollout->new_set);
        set_annotations(rollout, next, revision);
        actions_update(rollout->out, controller_kind("replicasets"), next);
        has_changed = true;
    }
    if (revision_of(rollout->deployment) != revision) {
        CLEANUP(free) char *text = mem_printf("%lld", (long long)revision);
        actions_patch(
            rollout->out, controller_kind("deployments"), rollout->deployment,
            json_pack("{s:{s:{s:s}}}", "metadata", "annotations", ANNOTATION_REVISION, text));
        has_changed = true;
    }
    return has_changed;
}

static void set_progress(const struct rollout *rollout, json_t *status, bool has_moved)
{
    const json_t *deployment = rollout->deployment;
    json_t *conditions = tree_make_list(status, "conditions");
    int64_t updated = tree_int(status, "updatedReplicas", 0);
    bool is_complete = updated == rollout->wanted &&
                       tree_int(status, "replicas", 0) == rollout->wanted &&
                       tree_int(status, "availableReplicas", 0) == rollout->wanted;
    const char *name = rollout->new_set == NULL ? "" : object_name(rollout->new_set);
    int64_t deadline_s = tree_int(deployment, "spec.progressDeadlineSeconds", 600);
    char time[TIMESTAMP_SIZE];
    (void)timestamp_format(rollout->in->now_ms, time);
    json_t *progressing = tree_find_item(conditions, "type", "Progressing");
    if (is_complete) {
        CLEANUP(free)
        char *message = mem_printf("ReplicaSet \"%s\" has successfully progressed.", name);
        if (condition_set(conditions, "Progressing", "True", "NewReplicaSetAvailable", message,
                          rollout->in->now_ms)) {
            tree_set_text(tree_find_item(conditions, "type", "Progressing"), "lastUpdateTime",
                          time);
        }
        return;
    }
    int64_t last_ms = timestamp_at(progressing, "lastUpdateTime", rollout->in->now_ms);
    bool was_complete = tree_has_text(progressing, "reason", "NewReplicaSetAvailable");
    bool is_late = !has_moved && progressing != NULL && !was_complete &&
                   rollout->in->now_ms - last_ms >= deadline_s * 1000;
    if (is_late && !tree_bool(deployment, "spec.paused", false)) {
        CLEANUP(free)
        char *message = mem_printf("ReplicaSet \"%s\" has timed out progressing.", name);
        (void)condition_set(conditions, "Progressing", "False", "ProgressDeadlineExceeded", message,
                            rollout->in->now_ms);
        return;
    }
    if (tree_has_text(progressing, "reason", "ProgressDeadlineExceeded") && !has_moved) {
        return;
    }
    CLEANUP(free) char *message = mem_printf("ReplicaSet \"%s\" is progressing.", name);
    bool is_changed = condition_set(conditions, "Progressing", "True", "ReplicaSetUpdated", message,
                                    rollout->in->now_ms);
    if (is_changed || has_moved) {
        tree_set_text(tree_find_item(conditions, "type", "Progressing"), "lastUpdateTime", time);
    }
    actions_requeue(rollout->out, deadline_s * 1000);
}

static void set_available(const struct rollout *rollout, json_t *status)
{
    json_t *conditions = tree_make_list(status, "conditions");
    bool is_available = rollout->available >= rollout->wanted - rollout->missing_max;
    char time[TIMESTAMP_SIZE];
    bool is_changed =
        condition_set(conditions, "Available", is_available ? "True" : "False",
                      is_available ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                      is_available ? "Deployment has minimum availability."
                                   : "Deployment does not have minimum availability.",
                      rollout->in->now_ms);
    if (is_changed) {
        tree_set_text(tree_find_item(conditions, "type", "Available"), "lastUpdateTime",
                      timestamp_format(rollout->in->now_ms, time));
    }
}

static void set_or_remove(json_t *status, const char *name, int64_t value)
{
    if (value == 0) {
        tree_remove(status, name);
    } else {
        tree_set_int(status, name, value);
    }
}

static void set_status(struct rollout *rollout)
{
    json_t *status = tree_copy(json_object_get(rollout->deployment, "status"));
    status = status == NULL ? json_object() : status;
    int64_t replicas = 0;
    int64_t ready = 0;
    for (size_t i = 0; i < rollout->sets.count; i++) {
        replicas += tree_int(rollout->sets.items[i], "status.replicas", 0);
        ready += tree_int(rollout->sets.items[i], "status.readyReplicas", 0);
    }
    int64_t updated =
        rollout->new_set == NULL ? 0 : tree_int(rollout->new_set, "status.replicas", 0);
    int64_t before_updated = tree_int(status, "updatedReplicas", 0);
    int64_t before_available = tree_int(status, "availableReplicas", 0);
    int64_t before_ready = tree_int(status, "readyReplicas", 0);
    int64_t missing = rollout->total - rollout->available;
    bool has_moved =
        updated > before_updated || rollout->available > before_available || ready > before_ready;
    tree_set_int(status, "observedGeneration",
                 tree_int(rollout->deployment, "metadata.generation", 0));
    set_or_remove(status, "replicas", replicas);
    set_or_remove(status, "updatedReplicas", updated);
    set_or_remove(status, "readyReplicas", ready);
    set_or_remove(status, "availableReplicas", rollout->available);
    set_or_remove(status, "unavailableReplicas", missing < 0 ? 0 : missing);
    set_available(rollout, status);
    set_progress(rollout, status, has_moved);
    actions_set_status(rollout->out, controller_kind("deployments"), rollout->deployment, status);
}

static void move(struct rollout *rollout)
{
    bool is_paused = tree_bool(rollout->deployment, "spec.paused", false);
    const char *desired =
        rollout->new_set == NULL ? NULL : object_annotation(rollout->new_set, ANNOTATION_DESIRED);
    bool is_resized = desired != NULL && strtoll(desired, NULL, 10) != rollout->wanted;
    if (is_paused || is_resized) {
        scale_in_proportion(rollout);
        return;
    }
    if (is_recreate(rollout)) {
        recreate(rollout);
    } else if (rollout->new_set == NULL) {
        create_new_set(rollout);
    } else {
        int64_t size = new_set_size(rollout);
        if (size != set_size(rollout->new_set)) {
            resize(rollout, rollout->new_set, size);
        } else {
            shrink_old_sets(rollout);
        }
    }
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *deployment = cache_find(in->cache, "deployments", in->namespace, in->name);
    if (deployment == NULL) {
        return;
    }
    struct rollout rollout = {.in = in,
                              .deployment = deployment,
                              .wanted = tree_int(deployment, "spec.replicas", 1),
                              .out = out};
    owned_objects(in, deployment, "replicasets", &rollout.sets, out);
    object_list_sort(&rollout.sets, compare_age);
    for (size_t i = 0; i < rollout.sets.count; i++) {
        rollout.total += set_size(rollout.sets.items[i]);
        rollout.available += tree_int(rollout.sets.items[i], "status.availableReplicas", 0);
    }
    rollout.new_set = find_new_set(&rollout);
    read_limits(&rollout);
    if (!object_is_deleting(deployment)) {
        if (rollout.new_set != NULL && update_revision(&rollout)) {
            object_list_deinit(&rollout.sets);
            return; /* the change wakes this again */
        }
        move(&rollout);
        prune_history(&rollout);
    }
    set_status(&rollout);
    object_list_deinit(&rollout.sets);
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    (void)cache;
    if (strcmp(storage, "deployments") == 0) {
        wake_object(wakeups, event->object);
    } else if (strcmp(storage, "replicasets") == 0) {
        wake_controller_of(wakeups, event->object, "Deployment");
    } else if (strcmp(storage, "pods") == 0 && event->type == CACHE_DELETED) {
        /* Recreate waits for the last old pod: find the deployment behind its set. */
        const json_t *owner = object_controller(event->object);
        const json_t *set = cache_find(cache, "replicasets", object_namespace(event->object),
                                       tree_text_or(owner, "name", ""));
        if (set != NULL) {
            wake_controller_of(wakeups, set, "Deployment");
        }
    }
}

const struct controller controller_deployment = {.name = "deployment-controller",
                                                 .storage = "deployments",
                                                 .wake = wake,
                                                 .reconcile = reconcile};
