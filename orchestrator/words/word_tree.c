/* word_tree.c - an object with all it owns, and how each is doing; and why a pod waits. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/objects/tree.h"
#include "orchestrator/words/resource.h"
#include "orchestrator/words/workload_words.h"

enum { TREE_DEPTH_MAX = 16 };

/* What can own, or be owned, in the usual trees. */
static const char *const storages[] = {
    "deployments", "replicasets", "statefulsets", "daemonsets",     "cronjobs",
    "jobs",        "pods",        "services",     "endpointslices", "persistentvolumeclaims"};

struct health {
    enum screen_tone tone;
    char text[160];
};

static struct health pod_health(const json_t *pod)
{
    struct health health = {.tone = TONE_WAIT};
    const char *phase = tree_text_or(pod, "status.phase", "Pending");
    const char *reason = tree_text_or(pod, "status.reason", "");
    const json_t *statuses = tree_find(pod, "status.containerStatuses");
    long long restarts = 0;
    for (size_t i = 0; i < json_array_size(statuses); i++) {
        const json_t *status = json_array_get(statuses, i);
        restarts += tree_int(status, "restartCount", 0);
        reason = tree_text_or(status, "state.waiting.reason",
                              tree_text_or(status, "state.terminated.reason", reason));
    }
    bool is_ready = object_condition_is(pod, "Ready", "True");
    bool is_done = strcmp(phase, "Succeeded") == 0;
    if (object_is_deleting(pod)) {
        reason = "Terminating";
    } else if (is_ready || is_done) {
        health.tone = TONE_GOOD;
    } else if (strcmp(phase, "Failed") == 0 || screen_tone_of(reason) == TONE_BAD) {
        health.tone = TONE_BAD;
    }
    char more[32] = "";
    if (restarts > 0) {
        (void)snprintf(more, sizeof(more), ", %lld restarts", restarts);
    }
    (void)snprintf(health.text, sizeof(health.text), "%s%s%s%s, on %s",
                   *reason == '\0' ? phase : reason, is_ready || is_done ? "" : ", not ready", more,
                   "", tree_text_or(pod, "spec.nodeName", "no node"));
    return health;
}

static struct health count_health(long long ready, long long wanted)
{
    struct health health = {.tone = ready >= wanted ? TONE_GOOD : TONE_WAIT};
    (void)snprintf(health.text, sizeof(health.text), "%lld of %lld ready", ready, wanted);
    return health;
}

static struct health health_of(const json_t *object)
{
    const char *kind = tree_text_or(object, "kind", "");
    struct health health = {.tone = TONE_PLAIN};
    if (strcmp(kind, "Pod") == 0) {
        return pod_health(object);
    }
    if (strcmp(kind, "DaemonSet") == 0) {
        return count_health(tree_int(object, "status.numberReady", 0),
                            tree_int(object, "status.desiredNumberScheduled", 0));
    }
    if (strcmp(kind, "Job") == 0) {
        health = count_health(tree_int(object, "status.succeeded", 0),
                              tree_int(object, "spec.completions", 1));
        (void)snprintf(health.text, sizeof(health.text), "%lld of %lld succeeded",
                       (long long)tree_int(object, "status.succeeded", 0),
                       (long long)tree_int(object, "spec.completions", 1));
        health.tone = object_condition_is(object, "Failed", "True") ? TONE_BAD : health.tone;
        return health;
    }
    if (tree_find(object, "spec.replicas") != NULL) {
        return count_health(tree_int(object, "status.readyReplicas", 0),
                            tree_int(object, "spec.replicas", 0));
    }
    if (strcmp(kind, "EndpointSlice") == 0) {
        (void)snprintf(health.text, sizeof(health.text), "%zu endpoints",
                       tree_count(object, "endpoints"));
        return health;
    }
    (void)snprintf(health.text, sizeof(health.text), "%s",
                   tree_text_or(object, "status.phase", ""));
    health.tone = screen_tone_of(health.text);
    return health;
}

static bool is_owned_by(const json_t *object, const char *uid)
{
    const json_t *owners = tree_find(object, "metadata.ownerReferences");
    for (size_t i = 0; i < json_array_size(owners); i++) {
        if (tree_has_text(json_array_get(owners, i), "uid", uid)) {
            return true;
        }
    }
    return false;
}

/* Everything of the namespace that may be in the tree. */
static int read_all(struct invocation *in, json_t *objects, struct err *err)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < sizeof(storages) / sizeof(storages[0]); i++) {
        const struct kind *kind = kinds_find_storage(NULL, storages[i]);
        char api_version[KIND_API_VERSION_SIZE];
        CLEANUP(free) char *path = resource_path(kind, in->namespace, "", "");
        CLEANUP(json) json_t *list = NULL;
        result = cluster_get(&in->cluster, path, &list, err);
        const json_t *items = json_object_get(list, "items");
        for (size_t k = 0; result == 0 && k < json_array_size(items); k++) {
            json_t *object = json_array_get(items, k);
            tree_set_text(object, "kind", kind->kind);
            tree_set_text(object, "apiVersion", kind_api_version(kind, api_version));
            json_array_append(objects, object);
        }
    }
    return result;
}

/* An old ReplicaSet without pods is history, not part of what runs. */
static bool is_history(const json_t *object)
{
    return tree_has_text(object, "kind", "ReplicaSet") &&
           tree_int(object, "spec.replicas", 0) == 0 && tree_int(object, "status.replicas", 0) == 0;
}

static void append_line(const struct screen *screen, struct buf *out, const json_t *object)
{
    struct health health = health_of(object);
    CLEANUP(free) char *kind = mem_strdup(tree_text_or(object, "kind", ""));
    for (char *c = kind; *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    }
    buf_append_format(out, "%s/%s", kind, object_name(object));
    if (*health.text != '\0') {
        buf_append_text(out, "  ");
        screen_append(screen, out, health.tone, health.text);
    }
    buf_append_text(out, "\n");
}

static void append_tree(const struct screen *screen, struct buf *out, const json_t *objects,
                        const json_t *object, const char *indent, size_t depth)
{
    CLEANUP(json) json_t *children = json_array();
    const char *uid = object_uid(object);
    append_line(screen, out, object);
    for (size_t i = 0; uid != NULL && depth < TREE_DEPTH_MAX && i < json_array_size(objects); i++) {
        json_t *child = json_array_get(objects, i);
        if (is_owned_by(child, uid) && !is_history(child)) {
            json_array_append(children, child);
        }
    }
    for (size_t i = 0; i < json_array_size(children); i++) {
        bool is_last = i + 1 == json_array_size(children);
        CLEANUP(free) char *deeper = mem_printf("%s%s", indent, is_last ? "   " : "│  ");
        buf_append_format(out, "%s%s", indent, is_last ? "└─ " : "├─ ");
        append_tree(screen, out, objects, json_array_get(children, i), deeper, depth + 1);
    }
}

int word_tree(struct invocation *in, struct err *err)
{
    struct resource resource;
    CLEANUP(json) json_t *object = NULL;
    CLEANUP(json) json_t *objects = json_array();
    CLEANUP(buf) struct buf out = BUF_INIT;
    if (in->arguments->plain_count != 1) {
        return err_set(err, ERR_INVALID, "usage: kvctl tree KIND/NAME");
    }
    int result = resource_parse_named(&in->cluster, in->arguments->plain[0], &resource, err);
    if (result != 0) {
        return result;
    }
    CLEANUP(free) char *path = resource_path(resource.kind, in->namespace, resource.name, "");
    result = cluster_get(&in->cluster, path, &object, err);
    result = result != 0 ? result : read_all(in, objects, err);
    if (result == 0) {
        append_tree(&in->screen, &out, objects, object, "", 0);
        screen_print(&out);
    }
    return result;
}

/* ---- explain-pending ---- */

static void append_waiting_containers(struct buf *out, const json_t *pod, const char *field)
{
    const json_t *statuses = tree_find(pod, field);
    for (size_t i = 0; i < json_array_size(statuses); i++) {
        const json_t *waiting = tree_find(json_array_get(statuses, i), "state.waiting");
        if (waiting != NULL) {
            buf_append_format(out, "  container %s waits: %s %s\n",
                              tree_text_or(json_array_get(statuses, i), "name", ""),
                              tree_text_or(waiting, "reason", ""),
                              tree_text_or(waiting, "message", ""));
        }
    }
}

/* "0/3 nodes are available: 1 a, 2 b." becomes a line for each reason. */
static void append_reasons(struct buf *out, const char *message)
{
    const char *colon = strstr(message, ": ");
    if (colon == NULL) {
        buf_append_format(out, "  %s\n", message);
        return;
    }
    buf_append_format(out, "  %.*s\n", (int)(colon - message), message);
    for (const char *part = colon + 2; *part != '\0';) {
        /* Reasons begin with a number; commas inside of them are their own. */
        const char *end = strstr(part, ", ");
        while (end != NULL && (end[2] < '0' || end[2] > '9')) {
            end = strstr(end + 2, ", ");
        }
        size_t size = end == NULL ? strlen(part) : (size_t)(end - part);
        buf_append_format(out, "    - %.*s\n", (int)size, part);
        part += size + (end == NULL ? 0 : 2);
    }
}

int word_explain_pending(struct invocation *in, struct err *err)
{
    CLEANUP(json) json_t *pod = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT;
    if (in->arguments->plain_count != 1) {
        return err_set(err, ERR_INVALID, "usage: kvctl explain-pending POD");
    }
    const char *name = in->arguments->plain[0];
    name = strncmp(name, "pod/", 4) == 0 ? name + 4 : name;
    CLEANUP(free) char *path = mem_printf("/api/v1/namespaces/%s/pods/%s", in->namespace, name);
    int result = cluster_get(&in->cluster, path, &pod, err);
    if (result != 0) {
        return result;
    }
    const json_t *scheduled = object_condition(pod, "PodScheduled");
    const char *phase = tree_text_or(pod, "status.phase", "Pending");
    if (tree_text(pod, "spec.nodeName") == NULL) {
        buf_append_format(&out, "pod/%s has no node:\n", name);
        if (tree_count(pod, "spec.schedulingGates") > 0) {
            buf_append_text(&out, "  it has scheduling gates that somebody must remove\n");
        } else {
            append_reasons(
                &out, tree_text_or(scheduled, "message", "the scheduler has not looked at it yet"));
        }
    } else if (strcmp(phase, "Pending") == 0) {
        buf_append_format(&out, "pod/%s is on %s and has not started:\n", name,
                          tree_text_or(pod, "spec.nodeName", ""));
        append_waiting_containers(&out, pod, "status.initContainerStatuses");
        append_waiting_containers(&out, pod, "status.containerStatuses");
    } else {
        buf_append_format(&out, "pod/%s is not pending: %s on %s\n", name, phase,
                          tree_text_or(pod, "spec.nodeName", ""));
    }
    screen_print(&out);
    return 0;
}
