/* garbage.c - objects whose owners are gone go, too (kubernetes-api 2.4).
 *
 * Keys are namespace and "storage/name". The cache holds every resource at one revision, so an
 * owner that is not in it does not exist: no second look at the store is needed. */
#include <string.h>

#include "orchestrator/controllers/controllers.h"

#define FINALIZER_ORPHAN "orphan"
#define FINALIZER_FOREGROUND "foregroundDeletion"

static bool has_finalizer(const json_t *object, const char *finalizer)
{
    return tree_list_has_text(tree_find(object, "metadata.finalizers"), finalizer);
}

static const json_t *reference_to(const json_t *object, const char *uid)
{
    return tree_find_item(tree_find(object, "metadata.ownerReferences"), "uid", uid);
}

static bool is_collected(const struct kind *kind)
{
    return (kind->verbs & VERB_DELETE) != 0 && kind_stored(kind) == kind &&
           strcmp(kind->storage, "events") != 0;
}

typedef void dependent_visit(void *context, const struct kind *kind, const json_t *dependent);

static void visit_dependents(const struct cache *cache, const struct kinds *kinds,
                             const json_t *owner, dependent_visit *visit, void *context)
{
    const char *uid = object_uid(owner);
    for (size_t i = 0; uid != NULL && i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        if (!is_collected(kind)) {
            continue;
        }
        struct cache_cursor c = cache_list(cache, kind->storage, object_namespace(owner));
        while (cache_next(&c)) {
            if (reference_to(c.object, uid) != NULL) {
                visit(context, kind, c.object);
            }
        }
    }
}

enum owner_state { OWNER_SOLID, OWNER_WAITING, OWNER_ABSENT };

/* An owner of a kind that is not served here is never called absent. */
static enum owner_state find_owner(const struct reconcile *in, const json_t *object,
                                   const json_t *reference)
{
    const struct kind *kind = kinds_find_kind(in->kinds, tree_text_or(reference, "apiVersion", ""),
                                              tree_text_or(reference, "kind", ""));
    if (kind == NULL) {
        return OWNER_SOLID;
    }
    bool is_namespaced = kind_has(kind, KIND_NAMESPACED);
    const json_t *owner =
        cache_find(in->cache, kind->storage, is_namespaced ? object_namespace(object) : "",
                   tree_text_or(reference, "name", ""));
    if (owner == NULL ||
        !tree_has_text(owner, "metadata.uid", tree_text_or(reference, "uid", ""))) {
        return OWNER_ABSENT;
    }
    bool waits = object_is_deleting(owner) && has_finalizer(owner, FINALIZER_FOREGROUND);
    return waits ? OWNER_WAITING : OWNER_SOLID;
}

static void check_owners(const struct reconcile *in, const struct kind *kind, const json_t *object,
                         struct actions *out)
{
    const json_t *references = tree_find(object, "metadata.ownerReferences");
    size_t solid = 0;
    size_t waiting = 0;
    CLEANUP(json) json_t *kept = json_array();
    for (size_t i = 0; i < json_array_size(references); i++) {
        json_t *reference = json_array_get(references, i);
        enum owner_state state = find_owner(in, object, reference);
        solid += state == OWNER_SOLID;
        waiting += state == OWNER_WAITING;
        if (state == OWNER_SOLID) {
            json_array_append(kept, reference);
        }
    }
    size_t count = json_array_size(references);
    if (count == 0 || solid == count) {
        return;
    }
    if (solid == 0) {
        actions_delete(out, kind, object, waiting > 0 ? "Foreground" : "Background");
        return;
    }
    actions_patch(out, kind, object,
                  json_pack("{s:{s:s, s:O}}", "metadata", "uid", object_uid(object),
                            "ownerReferences", kept));
}

enum { LOOK_AGAIN_MS = 1 }; /* at dependents that are told to go */

struct walk {
    const struct reconcile *in;
    const json_t *owner;
    struct actions *out;
    size_t blocking;
    size_t count;
};

static void visit_orphan(void *context, const struct kind *kind, const json_t *dependent)
{
    struct walk *walk = context;
    CLEANUP(json) json_t *kept = json_array();
    const json_t *references = tree_find(dependent, "metadata.ownerReferences");
    for (size_t i = 0; i < json_array_size(references); i++) {
        json_t *reference = json_array_get(references, i);
        if (!tree_has_text(reference, "uid", object_uid(walk->owner))) {
            json_array_append(kept, reference);
        }
    }
    walk->count++;
    actions_patch(walk->out, kind, dependent,
                  json_pack("{s:{s:s, s:O}}", "metadata", "uid", object_uid(dependent),
                            "ownerReferences", kept));
}

static void visit_foreground(void *context, const struct kind *kind, const json_t *dependent)
{
    struct walk *walk = context;
    const json_t *reference = reference_to(dependent, object_uid(walk->owner));
    walk->blocking += tree_bool(reference, "blockOwnerDeletion", false);
    if (!object_is_deleting(dependent)) {
        /* One with another owner that stays only loses this reference. */
        walk->count++;
        check_owners(walk->in, kind, dependent, walk->out);
    }
}

static void drop_finalizer(const struct kind *kind, const json_t *object, const char *finalizer,
                           struct actions *out)
{
    json_t *left = json_array();
    const json_t *finalizers = tree_find(object, "metadata.finalizers");
    for (size_t i = 0; i < json_array_size(finalizers); i++) {
        json_t *item = json_array_get(finalizers, i);
        if (strcmp(json_string_value(item), finalizer) != 0) {
            json_array_append(left, item);
        }
    }
    actions_patch(out, kind, object,
                  json_pack("{s:{s:s, s:s, s:o}}", "metadata", "uid", object_uid(object),
                            "resourceVersion", tree_text_or(object, "metadata.resourceVersion", ""),
                            "finalizers", left));
}

static void end_object(const struct reconcile *in, const struct kind *kind, const json_t *object,
                       struct actions *out)
{
    struct walk walk = {.in = in, .owner = object, .out = out};
    if (has_finalizer(object, FINALIZER_ORPHAN)) {
        visit_dependents(in->cache, in->kinds, object, visit_orphan, &walk);
        if (walk.count == 0) {
            drop_finalizer(kind, object, FINALIZER_ORPHAN, out);
        } else {
            actions_requeue(out, LOOK_AGAIN_MS);
        }
    } else if (has_finalizer(object, FINALIZER_FOREGROUND)) {
        visit_dependents(in->cache, in->kinds, object, visit_foreground, &walk);
        if (walk.blocking == 0) {
            drop_finalizer(kind, object, FINALIZER_FOREGROUND, out);
        } else if (walk.count > 0) {
            actions_requeue(out, LOOK_AGAIN_MS);
        }
    }
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const char *slash = strchr(in->name, '/');
    if (slash == NULL) {
        return;
    }
    CLEANUP(free) char *storage = mem_printf("%.*s", (int)(slash - in->name), in->name);
    const json_t *object = cache_find(in->cache, storage, in->namespace, slash + 1);
    const struct kind *kind = kinds_find_storage(in->kinds, storage);
    if (object == NULL || kind == NULL) {
        return;
    }
    if (object_is_deleting(object)) {
        end_object(in, kind, object, out);
    } else {
        check_owners(in, kind, object, out);
    }
}

static void wake_self(const struct wakeups *wakeups, const char *storage, const json_t *object)
{
    CLEANUP(free) char *name = mem_printf("%s/%s", storage, object_name(object));
    wake_key(wakeups, object_namespace(object), name);
}

static void visit_wake(void *context, const struct kind *kind, const json_t *dependent)
{
    wake_self(context, kind->storage, dependent);
}

/* Owners that wait for this one to be gone. */
static void wake_owners(const struct wakeups *wakeups, const json_t *object)
{
    const json_t *references = tree_find(object, "metadata.ownerReferences");
    for (size_t i = 0; i < json_array_size(references); i++) {
        const json_t *reference = json_array_get(references, i);
        const struct kind *kind = kinds_find_kind(NULL, tree_text_or(reference, "apiVersion", ""),
                                                  tree_text_or(reference, "kind", ""));
        if (kind != NULL) {
            CLEANUP(free)
            char *name = mem_printf("%s/%s", kind->storage, tree_text_or(reference, "name", ""));
            wake_key(wakeups, kind_has(kind, KIND_NAMESPACED) ? object_namespace(object) : "",
                     name);
        }
    }
}

/* Few kinds own others; most deletions need no search for dependents. */
static bool may_own(const char *storage)
{
    static const char *const never[] = {"events",  "endpointslices", "endpoints", "configmaps",
                                        "secrets", "leases",         "bindings"};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        if (strcmp(storage, never[i]) == 0) {
            return false;
        }
    }
    return true;
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    struct wakeups copy = *wakeups;
    if (event->type == CACHE_DELETED) {
        wake_owners(wakeups, event->object);
        if (may_own(storage)) {
            visit_dependents(cache, NULL, event->object, visit_wake, &copy);
        }
        return;
    }
    bool has_owner = tree_count(event->object, "metadata.ownerReferences") > 0;
    bool is_ending =
        object_is_deleting(event->object) && (has_finalizer(event->object, FINALIZER_ORPHAN) ||
                                              has_finalizer(event->object, FINALIZER_FOREGROUND));
    bool is_new = event->type == CACHE_ADDED;
    if ((has_owner && is_new) || is_ending) {
        wake_self(wakeups, storage, event->object);
    }
}

const struct controller controller_garbage = {
    .name = "generic-garbage-collector", .storage = "", .wake = wake, .reconcile = reconcile};
