/* namespace.c - a namespace that is deleted takes everything in it along. */
#include <string.h>

#include "orchestrator/controllers/controllers.h"

enum { RETRY_MS = 1000 };

static bool is_content(const struct kind *kind)
{
    return kind_has(kind, KIND_NAMESPACED) && (kind->verbs & VERB_DELETE) != 0 &&
           kind_stored(kind) == kind;
}

/* How many objects are left. */
static size_t delete_content(const struct reconcile *in, const char *namespace, struct actions *out)
{
    size_t left = 0;
    for (size_t i = 0; i < kinds_count(in->kinds); i++) {
        const struct kind *kind = kinds_at(in->kinds, i);
        struct cache_cursor c = cache_list(in->cache, kind->storage, namespace);
        while (is_content(kind) && cache_next(&c)) {
            left++;
            if (!object_is_deleting(c.object)) {
                actions_delete(out, kind, c.object, "Background");
            }
        }
    }
    return left;
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *namespace = cache_find(in->cache, "namespaces", "", in->name);
    if (namespace == NULL || !object_is_deleting(namespace)) {
        return;
    }
    if (delete_content(in, in->name, out) > 0) {
        actions_requeue(out, RETRY_MS);
        return;
    }
    /* Those of others hold it until they are taken away. */
    if (tree_list_has_text(tree_find(namespace, "spec.finalizers"), NAMESPACE_FINALIZER)) {
        actions_finalize(out, namespace);
    }
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    if (strcmp(storage, "namespaces") == 0) {
        wake_object(wakeups, event->object);
        return;
    }
    /* The last object of a namespace that ends. */
    const char *name = object_namespace(event->object);
    if (event->type == CACHE_DELETED && *name != '\0') {
        const json_t *namespace = cache_find(cache, "namespaces", "", name);
        if (namespace != NULL && object_is_deleting(namespace)) {
            wake_object(wakeups, namespace);
        }
    }
}

const struct controller controller_namespace = {
    .name = "namespace-controller", .storage = "namespaces", .wake = wake, .reconcile = reconcile};
