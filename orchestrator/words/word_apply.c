/* word_apply.c - apply -f and delete. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/words/manifest.h"
#include "orchestrator/words/resource.h"
#include "orchestrator/words/workload_words.h"

enum { DELETE_WAIT_MS = 120 * 1000, POLL_MS = 100 };

static int read_files(const struct arguments *arguments, json_t *objects, struct err *err)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < arguments->file_count; i++) {
        result = manifest_read(arguments->files[i], objects, err);
    }
    return result;
}

static const char *namespace_of(const struct invocation *in, const json_t *object)
{
    const char *own = object_namespace(object);
    return *own == '\0' ? in->namespace : own;
}

/* Server-side apply; what the object was before says which word describes it. */
static int apply_object(struct invocation *in, const json_t *object, struct err *err)
{
    struct resource resource;
    int result = resource_of_object(&in->cluster, object, &resource, err);
    if (result != 0) {
        return result;
    }
    if (*resource.name == '\0') {
        return err_set(err, ERR_INVALID, "a %s in the manifest has no metadata.name",
                       resource.kind->kind);
    }
    CLEANUP(free) char *title = resource_title(resource.kind, resource.name);
    CLEANUP(free)
    char *plain = resource_path(resource.kind, namespace_of(in, object), resource.name, "");
    CLEANUP(free)
    char *path = mem_printf("%s?fieldManager=kvctl&force=true&fieldValidation=Strict%s", plain,
                            in->arguments->dry_run ? "&dryRun=All" : "");
    CLEANUP(json) json_t *before = NULL;
    CLEANUP(json) json_t *after = NULL;
    struct err ignored;
    err_ignore(cluster_get(&in->cluster, plain, &before, &ignored)); /* it need not be there */
    const struct cluster_call call = {.method = "PATCH",
                                      .path = path,
                                      .content_type = "application/apply-patch+yaml",
                                      .body = object};
    long code = 0;
    result = cluster_ask(&in->cluster, &call, &code, &after, err);
    if (result != 0) {
        return err_prefix(err, "%s", title);
    }
    bool is_same = tree_has_text(before, "metadata.resourceVersion",
                                 tree_text_or(after, "metadata.resourceVersion", "-"));
    printf("%s %s%s\n", title,
           code == 201 || before == NULL ? "created"
           : is_same                     ? "unchanged"
                                         : "configured",
           in->arguments->dry_run ? " (dry run)" : "");
    return 0;
}

int apply_objects(struct invocation *in, const json_t *objects, struct err *err)
{
    /* One bad object does not keep the others from their place; the first failure is the answer. */
    int first = 0;
    for (size_t i = 0; i < json_array_size(objects); i++) {
        struct err own = {0};
        int status = apply_object(in, json_array_get(objects, i), &own);
        if (status != 0 && first != 0) {
            fprintf(stderr, "Error: %s\n", own.text);
        } else if (status != 0) {
            first = status;
            *err = own;
        }
    }
    return first;
}

int word_apply(struct invocation *in, struct err *err)
{
    CLEANUP(json) json_t *objects = json_array();
    if (in->arguments->file_count == 0) {
        return err_set(err, ERR_INVALID, "usage: kvctl apply -f FILE [-n NAMESPACE] [--dry-run]");
    }
    int result = read_files(in->arguments, objects, err);
    return result != 0 ? result : apply_objects(in, objects, err);
}

static int wait_gone(struct invocation *in, const char *path, const char *title, const char *uid,
                     struct err *err)
{
    uint64_t end_ms = clock_monotonic_ns() / 1000000 + DELETE_WAIT_MS;
    for (;;) {
        CLEANUP(json) json_t *object = NULL;
        int result = cluster_get(&in->cluster, path, &object, err);
        if (result == ERR_NOT_FOUND ||
            (result == 0 && !tree_has_text(object, "metadata.uid", uid))) {
            return 0;
        }
        if (result != 0) {
            return result;
        }
        if (clock_monotonic_ns() / 1000000 > end_ms) {
            return err_set(err, ERR_TIMEOUT, "%s is marked for deletion and still there", title);
        }
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
}

/* *waits gets [path, title, uid] of what was deleted. */
static int delete_one(struct invocation *in, const struct kind *kind, const char *namespace,
                      const char *name, json_t *waits, struct err *err)
{
    CLEANUP(free) char *title = resource_title(kind, name);
    CLEANUP(free) char *path = resource_path(kind, namespace, name, "");
    CLEANUP(json) json_t *answer = NULL;
    CLEANUP(json) json_t *options = json_pack("{s:s}", "propagationPolicy", "Background");
    if (in->arguments->force) {
        json_object_set_new(options, "gracePeriodSeconds", json_integer(0));
    }
    const struct cluster_call call = {.method = "DELETE", .path = path, .body = options};
    int result = cluster_ask(&in->cluster, &call, NULL, &answer, err);
    if (result != 0) {
        return result;
    }
    printf("%s deleted\n", title);
    const char *uid = tree_text(answer, "metadata.uid");
    uid = uid == NULL ? tree_text_or(answer, "details.uid", "") : uid;
    json_array_append_new(waits, json_pack("[s, s, s]", path, title, uid));
    return 0;
}

static int delete_files(struct invocation *in, json_t *waits, struct err *err)
{
    CLEANUP(json) json_t *objects = json_array();
    int result = read_files(in->arguments, objects, err);
    /* Backwards: what was made last stands on what was made first. */
    for (size_t i = json_array_size(objects); result == 0 && i > 0; i--) {
        const json_t *object = json_array_get(objects, i - 1);
        struct resource resource;
        result = resource_of_object(&in->cluster, object, &resource, err);
        if (result == 0) {
            result =
                delete_one(in, resource.kind, namespace_of(in, object), resource.name, waits, err);
            if (result == ERR_NOT_FOUND) {
                printf("%s is not there\n", resource.name);
                result = 0;
            }
        }
    }
    return result;
}

int word_delete(struct invocation *in, struct err *err)
{
    const struct arguments *arguments = in->arguments;
    CLEANUP(json) json_t *waits = json_array();
    if (arguments->file_count == 0 && arguments->plain_count == 0) {
        return err_set(err, ERR_INVALID,
                       "usage: kvctl delete KIND/NAME... | -f FILE [--force] [--no-wait]");
    }
    int result = delete_files(in, waits, err);
    for (size_t i = 0; result == 0 && i < arguments->plain_count; i++) {
        struct resource resource;
        result = resource_parse_named(&in->cluster, arguments->plain[i], &resource, err);
        if (result == 0) {
            result = delete_one(in, resource.kind, in->namespace, resource.name, waits, err);
        }
    }
    (void)fflush(stdout);
    for (size_t i = 0; result == 0 && !arguments->no_wait && i < json_array_size(waits); i++) {
        const json_t *item = json_array_get(waits, i);
        result = wait_gone(in, json_string_value(json_array_get(item, 0)),
                           json_string_value(json_array_get(item, 1)),
                           json_string_value(json_array_get(item, 2)), err);
    }
    return result;
}
