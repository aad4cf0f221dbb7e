/* word_nodes.c - nodes, and drain. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/words/resource.h"
#include "orchestrator/words/usage.h"
#include "orchestrator/words/workload_words.h"

enum { POLL_MS = 200, DRAIN_WAIT_S = 600 };

static struct usage requested_on(const json_t *pods, const char *node)
{
    struct usage sum = {0};
    for (size_t i = 0; i < json_array_size(pods); i++) {
        const json_t *pod = json_array_get(pods, i);
        if (tree_has_text(pod, "spec.nodeName", node) && usage_is_active(pod)) {
            struct usage one = usage_of_pod(pod);
            sum.cpu_milli += one.cpu_milli;
            sum.memory_bytes += one.memory_bytes;
            sum.pods++;
        }
    }
    return sum;
}

static const char *address_of(const json_t *node)
{
    return tree_text_or(tree_find_item(tree_find(node, "status.addresses"), "type", "InternalIP"),
                        "address", "-");
}

static void add_node(struct screen_table *table, const json_t *node, const json_t *pods)
{
    char text[4][USAGE_TEXT_SIZE];
    struct usage used = requested_on(pods, object_name(node));
    struct usage has = usage_of(tree_find(node, "status.allocatable"));
    bool is_ready = object_condition_is(node, "Ready", "True");
    bool is_closed = tree_bool(node, "spec.unschedulable", false);
    screen_table_add(table, "%s", object_name(node));
    screen_table_add(table, "%s%s", is_ready ? "Ready" : "NotReady",
                     is_closed ? ",SchedulingDisabled" : "");
    screen_table_add(table, "%lld/%lld", (long long)used.pods, (long long)has.pods);
    screen_table_add(table, "%s/%s", usage_cpu_text(used.cpu_milli, text[0]),
                     usage_cpu_text(has.cpu_milli, text[1]));
    screen_table_add(table, "%s/%s", usage_memory_text(used.memory_bytes, text[2]),
                     usage_memory_text(has.memory_bytes, text[3]));
    screen_table_add(table, "%s", address_of(node));
    screen_table_add(table, "%s", tree_text_or(node, "spec.podCIDR", "-"));
}

int word_nodes(struct invocation *in, struct err *err)
{
    static const char *const titles[] = {
        "NODE", "STATUS", "PODS", "CPU REQUESTED", "MEMORY REQUESTED", "ADDRESS", "POD RANGE"};
    CLEANUP(json) json_t *nodes = NULL;
    CLEANUP(json) json_t *pods = NULL;
    int result = cluster_get(&in->cluster, "/api/v1/nodes", &nodes, err);
    result = result != 0 ? result : cluster_get(&in->cluster, "/api/v1/pods", &pods, err);
    if (result != 0) {
        return result;
    }
    CLEANUP(screen_table) struct screen_table table;
    CLEANUP(buf) struct buf out = BUF_INIT;
    screen_table_init(&table, 7);
    for (size_t i = 0; i < 7; i++) {
        screen_table_add(&table, "%s", titles[i]);
    }
    const json_t *items = json_object_get(nodes, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        add_node(&table, json_array_get(items, i), json_object_get(pods, "items"));
    }
    screen_table_append(&table, &in->screen, &out);
    screen_print(&out);
    return 0;
}

static int set_closed(struct invocation *in, const char *node, bool is_closed, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("/api/v1/nodes/%s", node);
    CLEANUP(json)
    json_t *body = is_closed ? json_pack("{s:{s:b}}", "spec", "unschedulable", 1)
                             : json_pack("{s:{s:n}}", "spec", "unschedulable");
    const struct cluster_call call = {.method = "PATCH",
                                      .path = path,
                                      .content_type = "application/merge-patch+json",
                                      .body = body};
    return cluster_ask(&in->cluster, &call, NULL, NULL, err);
}

/* Pods of daemon sets come back at once, static pods are not the API's, finished ones use nothing.
 */
static bool must_leave(const json_t *pod, const char *node)
{
    const json_t *owner = object_controller(pod);
    return tree_has_text(pod, "spec.nodeName", node) && usage_is_active(pod) &&
           !tree_has_text(owner, "kind", "DaemonSet") &&
           object_annotation(pod, "kubernetes.io/config.mirror") == NULL;
}

/* 0, or ERR_BUSY when a disruption budget does not allow it now. */
static int evict(struct invocation *in, const json_t *pod, struct err *err)
{
    CLEANUP(free)
    char *path = mem_printf("/api/v1/namespaces/%s/pods/%s/eviction", object_namespace(pod),
                            object_name(pod));
    CLEANUP(json)
    json_t *body =
        json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "policy/v1", "kind", "Eviction",
                  "metadata", "name", object_name(pod), "namespace", object_namespace(pod));
    const struct cluster_call call = {.method = "POST", .path = path, .body = body};
    int result = cluster_ask(&in->cluster, &call, NULL, NULL, err);
    if (result == 0) {
        printf("pod/%s leaves\n", object_name(pod));
        (void)fflush(stdout);
    }
    return result == ERR_NOT_FOUND ? 0 : result;
}

/* *ret_left: pods that are still there. */
static int drain_round(struct invocation *in, const char *node, json_t *told, size_t *ret_left,
                       struct err *err)
{
    CLEANUP(json) json_t *list = NULL;
    int result = cluster_get(&in->cluster, "/api/v1/pods", &list, err);
    const json_t *items = json_object_get(list, "items");
    *ret_left = 0;
    for (size_t i = 0; result == 0 && i < json_array_size(items); i++) {
        const json_t *pod = json_array_get(items, i);
        if (!must_leave(pod, node)) {
            continue;
        }
        ++*ret_left;
        if (object_controller(pod) == NULL && !in->arguments->force) {
            return err_set(err, ERR_DENIED,
                           "pod/%s has no controller that would make it again; --force to remove "
                           "it all the same",
                           object_name(pod));
        }
        if (object_is_deleting(pod) || json_object_get(told, object_uid(pod)) != NULL) {
            continue;
        }
        result = evict(in, pod, err);
        if (result == 0) {
            json_object_set_new(told, object_uid(pod), json_true());
        } else if (result == ERR_BUSY) {
            result = 0; /* a budget: somebody else must be ready first */
        }
    }
    return result;
}

int word_drain(struct invocation *in, struct err *err)
{
    if (in->arguments->plain_count != 1) {
        return err_set(err, ERR_INVALID, "usage: kvctl drain NODE [--force] | --undo NODE");
    }
    const char *node = in->arguments->plain[0];
    node = strncmp(node, "node/", 5) == 0 ? node + 5 : node;
    int result = set_closed(in, node, !in->arguments->undo, err);
    if (result != 0 || in->arguments->undo) {
        if (result == 0) {
            printf("node/%s takes pods again\n", node);
        }
        return result;
    }
    printf("node/%s takes no new pods\n", node);
    CLEANUP(json) json_t *told = json_object();
    uint64_t end_ms = clock_monotonic_ns() / 1000000 + DRAIN_WAIT_S * 1000ULL;
    for (;;) {
        size_t left = 0;
        result = drain_round(in, node, told, &left, err);
        if (result != 0) {
            return result;
        }
        if (left == 0) {
            printf("node/%s is empty\n", node);
            return 0;
        }
        if (clock_monotonic_ns() / 1000000 > end_ms) {
            return err_set(err, ERR_TIMEOUT, "%zu pods have not left node/%s after %d s", left,
                           node, DRAIN_WAIT_S);
        }
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
}
