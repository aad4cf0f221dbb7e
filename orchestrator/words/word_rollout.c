/* word_rollout.c - scale, rollout, deploy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/words/resource.h"
#include "orchestrator/words/workload_words.h"

enum { POLL_MS = 200, STATUS_WAIT_S = 600 };

#define MERGE "application/merge-patch+json"
#define REVISION "deployment.kubernetes.io/revision"

static int parse_number(const char *what, const char *text, long *ret, struct err *err)
{
    char *end = NULL;
    long value = text == NULL ? -1 : strtol(text, &end, 10);
    if (text == NULL || *text == '\0' || *end != '\0' || value < 0 || value > 1000000) {
        return err_set(err, ERR_INVALID, "%s: '%s' is no number", what, text == NULL ? "" : text);
    }
    *ret = value;
    return 0;
}

static int patch(struct invocation *in, const struct resource *resource, const char *subresource,
                 json_t *take_body, json_t **ret, struct err *err)
{
    CLEANUP(json) json_t *body = take_body;
    CLEANUP(free)
    char *path = resource_path(resource->kind, in->namespace, resource->name, subresource);
    const struct cluster_call call = {
        .method = "PATCH", .path = path, .content_type = MERGE, .body = body};
    return cluster_ask(&in->cluster, &call, NULL, ret, err);
}

int word_scale(struct invocation *in, struct err *err)
{
    const struct arguments *arguments = in->arguments;
    struct resource resource;
    long count = 0;
    const char *text = arguments->replicas != NULL   ? arguments->replicas
                       : arguments->plain_count == 2 ? arguments->plain[1]
                                                     : NULL;
    if (text == NULL || arguments->plain_count == 0) {
        return err_set(err, ERR_INVALID, "usage: kvctl scale KIND/NAME COUNT");
    }
    int result = parse_number("the number of replicas", text, &count, err);
    result =
        result != 0 ? result : resource_parse(&in->cluster, arguments->plain[0], &resource, err);
    if (result == 0) {
        result = patch(in, &resource, "scale",
                       json_pack("{s:{s:i}}", "spec", "replicas", (int)count), NULL, err);
    }
    if (result == 0) {
        CLEANUP(free) char *title = resource_title(resource.kind, resource.name);
        printf("%s scaled to %ld\n", title, count);
    }
    return result;
}

/* How far it is; true: it is done. A workload whose controller has not seen the last change yet is
 * not. */
static bool is_rolled_out(const json_t *object, char *text, size_t size)
{
    bool is_daemon = tree_has_text(object, "kind", "DaemonSet");
    long long wanted = is_daemon ? tree_int(object, "status.desiredNumberScheduled", 0)
                                 : tree_int(object, "spec.replicas", 1);
    long long updated = is_daemon ? tree_int(object, "status.updatedNumberScheduled", 0)
                                  : tree_int(object, "status.updatedReplicas", 0);
    long long available = is_daemon ? tree_int(object, "status.numberAvailable", 0)
                                    : tree_int(object, "status.availableReplicas", 0);
    long long total = is_daemon ? wanted : tree_int(object, "status.replicas", 0);
    bool is_seen = tree_int(object, "status.observedGeneration", 0) >=
                   tree_int(object, "metadata.generation", 0);
    (void)snprintf(text, size, "%lld of %lld updated, %lld available, %lld old", updated, wanted,
                   available, total > updated ? total - updated : 0);
    return is_seen && updated >= wanted && available >= wanted && total <= updated;
}

static bool has_failed(const json_t *object)
{
    const json_t *progressing = object_condition(object, "Progressing");
    return tree_has_text(progressing, "reason", "ProgressDeadlineExceeded");
}

int rollout_wait(struct invocation *in, const struct resource *resource, struct err *err)
{
    long limit_s = STATUS_WAIT_S;
    char last[160] = "";
    CLEANUP(free) char *path = resource_path(resource->kind, in->namespace, resource->name, "");
    if (in->arguments->timeout != NULL) {
        CLEANUP(free)
        char *seconds =
            mem_printf("%.*s", (int)strcspn(in->arguments->timeout, "s"), in->arguments->timeout);
        int result = parse_number("--timeout (seconds)", seconds, &limit_s, err);
        if (result != 0) {
            return result;
        }
    }
    uint64_t end_ms = clock_monotonic_ns() / 1000000 + (uint64_t)limit_s * 1000;
    for (;;) {
        CLEANUP(json) json_t *object = NULL;
        char text[160];
        int result = cluster_get(&in->cluster, path, &object, err);
        if (result != 0) {
            return result;
        }
        bool is_done = is_rolled_out(object, text, sizeof(text));
        if (strcmp(text, last) != 0) {
            printf("%s\n", text);
            (void)fflush(stdout);
            memcpy(last, text, sizeof(text));
        }
        if (is_done) {
            printf("%s is rolled out\n", resource->name);
            return 0;
        }
        if (has_failed(object)) {
            return err_set(err, ERR_TIMEOUT, "%s made no progress within its deadline",
                           resource->name);
        }
        if (clock_monotonic_ns() / 1000000 > end_ms) {
            return err_set(err, ERR_TIMEOUT, "%s is not rolled out after %ld s", resource->name,
                           limit_s);
        }
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
}

static int get_replica_sets(struct invocation *in, const struct resource *resource,
                            json_t **ret_deployment, json_t **ret_sets, struct err *err)
{
    CLEANUP(free) char *path = resource_path(resource->kind, in->namespace, resource->name, "");
    CLEANUP(free)
    char *sets_path = mem_printf("/apis/apps/v1/namespaces/%s/replicasets", in->namespace);
    CLEANUP(json) json_t *deployment = NULL;
    CLEANUP(json) json_t *list = NULL;
    if (strcmp(resource->kind->resource, "deployments") != 0) {
        return err_set(err, ERR_INVALID, "only deployments keep a history that this word reads");
    }
    int result = cluster_get(&in->cluster, path, &deployment, err);
    result = result != 0 ? result : cluster_get(&in->cluster, sets_path, &list, err);
    if (result != 0) {
        return result;
    }
    *ret_sets = json_array();
    const json_t *items = json_object_get(list, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (object_is_controlled_by(json_array_get(items, i), deployment)) {
            json_array_append(*ret_sets, json_array_get(items, i));
        }
    }
    *ret_deployment = json_incref(deployment);
    return 0;
}

static long revision_of(const json_t *object)
{
    const char *text = object_annotation(object, REVISION);
    return text == NULL ? 0 : strtol(text, NULL, 10);
}

static int print_history(struct invocation *in, const struct resource *resource, struct err *err)
{
    CLEANUP(json) json_t *deployment = NULL;
    CLEANUP(json) json_t *sets = NULL;
    int result = get_replica_sets(in, resource, &deployment, &sets, err);
    if (result != 0) {
        return result;
    }
    CLEANUP(screen_table) struct screen_table table;
    CLEANUP(buf) struct buf out = BUF_INIT;
    screen_table_init(&table, 4);
    static const char *const titles[] = {"REVISION", "PODS", "REPLICASET", "IMAGES"};
    for (size_t i = 0; i < 4; i++) {
        screen_table_add(&table, "%s", titles[i]);
    }
    long last = 0;
    for (;;) { /* in the order of revisions */
        const json_t *next = NULL;
        for (size_t i = 0; i < json_array_size(sets); i++) {
            const json_t *set = json_array_get(sets, i);
            if (revision_of(set) > last && (next == NULL || revision_of(set) < revision_of(next))) {
                next = set;
            }
        }
        if (next == NULL) {
            break;
        }
        last = revision_of(next);
        CLEANUP(buf) struct buf images = BUF_INIT;
        const json_t *containers = tree_find(next, "spec.template.spec.containers");
        for (size_t i = 0; i < json_array_size(containers); i++) {
            buf_append_format(&images, "%s%s", i == 0 ? "" : ",",
                              tree_text_or(json_array_get(containers, i), "image", ""));
        }
        screen_table_add(&table, "%ld", last);
        screen_table_add(&table, "%lld", (long long)tree_int(next, "status.replicas", 0));
        screen_table_add(&table, "%s", object_name(next));
        screen_table_add(&table, "%s", buf_text(&images));
    }
    screen_table_append(&table, &in->screen, &out);
    screen_print(&out);
    return 0;
}

/* The template of an earlier revision becomes the template again. */
static int undo(struct invocation *in, const struct resource *resource, struct err *err)
{
    CLEANUP(json) json_t *deployment = NULL;
    CLEANUP(json) json_t *sets = NULL;
    long wanted = 0;
    int result = get_replica_sets(in, resource, &deployment, &sets, err);
    if (result == 0 && in->arguments->revision != NULL) {
        result = parse_number("--to-revision", in->arguments->revision, &wanted, err);
    }
    if (result != 0) {
        return result;
    }
    const json_t *found = NULL;
    long present = revision_of(deployment);
    for (size_t i = 0; i < json_array_size(sets); i++) {
        const json_t *set = json_array_get(sets, i);
        long revision = revision_of(set);
        if (wanted != 0 ? revision == wanted
                        : revision < present && (found == NULL || revision > revision_of(found))) {
            found = set;
        }
    }
    if (found == NULL) {
        return err_set(err, ERR_NOT_FOUND, "%s has no %s revision to go back to", resource->name,
                       wanted == 0 ? "earlier" : "such");
    }
    CLEANUP(json) json_t *template = tree_copy(tree_find(found, "spec.template"));
    tree_remove(tree_find(template, "metadata.labels"), "pod-template-hash");
    CLEANUP(json)
    json_t *operations = json_pack("[{s:s, s:s, s:O}]", "op", "replace", "path", "/spec/template",
                                   "value", template);
    CLEANUP(free) char *path = resource_path(resource->kind, in->namespace, resource->name, "");
    const struct cluster_call call = {.method = "PATCH",
                                      .path = path,
                                      .content_type = "application/json-patch+json",
                                      .body = operations};
    result = cluster_ask(&in->cluster, &call, NULL, NULL, err);
    if (result == 0) {
        printf("%s goes back to revision %ld\n", resource->name, revision_of(found));
    }
    return result;
}

static int restart(struct invocation *in, const struct resource *resource, struct err *err)
{
    char time[TIMESTAMP_SIZE];
    (void)timestamp_format(clock_realtime_ms(), time);
    return patch(in, resource, "",
                 json_pack("{s:{s:{s:{s:{s:s}}}}}", "spec", "template", "metadata", "annotations",
                           "kubectl.kubernetes.io/restartedAt", time),
                 NULL, err);
}

int word_rollout(struct invocation *in, struct err *err)
{
    const struct arguments *arguments = in->arguments;
    struct resource resource;
    if (arguments->plain_count != 2) {
        return err_set(err, ERR_INVALID,
                       "usage: kvctl rollout status|history|undo|restart|pause|resume KIND/NAME");
    }
    const char *command = arguments->plain[0];
    int result = resource_parse(&in->cluster, arguments->plain[1], &resource, err);
    if (result == 0 && *resource.name == '\0') {
        result = err_set(err, ERR_INVALID, "'%s' is not KIND/NAME", arguments->plain[1]);
    }
    if (result != 0) {
        return result;
    }
    if (strcmp(command, "status") == 0) {
        return rollout_wait(in, &resource, err);
    }
    if (strcmp(command, "history") == 0) {
        return print_history(in, &resource, err);
    }
    if (strcmp(command, "undo") == 0) {
        return undo(in, &resource, err);
    }
    bool pauses = strcmp(command, "pause") == 0;
    if (strcmp(command, "restart") == 0) {
        result = restart(in, &resource, err);
    } else if (pauses || strcmp(command, "resume") == 0) {
        result =
            patch(in, &resource, "", json_pack("{s:{s:b}}", "spec", "paused", pauses), NULL, err);
    } else {
        return err_set(err, ERR_INVALID, "rollout has no '%s'", command);
    }
    if (result == 0) {
        printf("%s: %s\n", resource.name, command);
    }
    return result;
}
