/* definition.c - CustomResourceDefinitions: they are established as soon as they are there, and
 * take their objects along when they go. */
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"

#define FINALIZER "customresourcecleanup.apiextensions.k8s.io"

static bool names_conflict(const struct reconcile *in, const json_t *definition)
{
    const char *kind = tree_text_or(definition, "spec.names.kind", "");
    const char *group = tree_text_or(definition, "spec.group", "");
    struct cache_cursor c = cache_list(in->cache, "customresourcedefinitions", "");
    while (cache_next(&c)) {
        bool is_other = strcmp(object_name(c.object), object_name(definition)) != 0;
        if (is_other && tree_has_text(c.object, "spec.group", group) &&
            tree_has_text(c.object, "spec.names.kind", kind) &&
            object_condition_is(c.object, "Established", "True")) {
            return true;
        }
    }
    return false;
}

static void set_status(const struct reconcile *in, const json_t *definition, struct actions *out)
{
    json_t *status = tree_copy(json_object_get(definition, "status"));
    status = status == NULL ? json_object() : status;
    json_t *conditions = tree_make_list(status, "conditions");
    bool conflicts = names_conflict(in, definition);
    (void)condition_set(conditions, "NamesAccepted", conflicts ? "False" : "True",
                        conflicts ? "KindConflict" : "NoConflicts",
                        conflicts ? "another definition has this kind" : "no conflicts found",
                        in->now_ms);
    (void)condition_set(conditions, "Established", conflicts ? "False" : "True",
                        conflicts ? "NotAccepted" : "InitialNamesAccepted",
                        conflicts ? "not all names are accepted"
                                  : "the initial names have been accepted",
                        in->now_ms);
    if (!conflicts) {
        tree_set_copy(status, "acceptedNames", tree_find(definition, "spec.names"));
    }
    json_t *stored = tree_make_list(status, "storedVersions");
    const json_t *versions = tree_find(definition, "spec.versions");
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const json_t *version = json_array_get(versions, i);
        const char *name = tree_text_or(version, "name", "");
        if (tree_bool(version, "storage", false) && !tree_list_has_text(stored, name)) {
            json_array_append_new(stored, json_string(name));
        }
    }
    actions_set_status(out, controller_kind("customresourcedefinitions"), definition, status);
}

static void clean_up(const struct reconcile *in, const json_t *definition, struct actions *out)
{
    const struct kind *kind = kinds_find_storage(in->kinds, in->name);
    size_t left = 0;
    struct cache_cursor c = cache_list(in->cache, in->name, "");
    while (kind != NULL && cache_next(&c)) {
        left++;
        if (!object_is_deleting(c.object)) {
            actions_delete(out, kind, c.object, "Background");
        }
    }
    if (left == 0) {
        actions_patch(
            out, controller_kind("customresourcedefinitions"), definition,
            json_pack("{s:{s:s, s:[]}}", "metadata", "uid", object_uid(definition), "finalizers"));
    }
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *definition = cache_find(in->cache, "customresourcedefinitions", "", in->name);
    if (definition == NULL) {
        return;
    }
    bool is_guarded = tree_list_has_text(tree_find(definition, "metadata.finalizers"), FINALIZER);
    if (object_is_deleting(definition)) {
        clean_up(in, definition, out);
    } else if (!is_guarded) {
        actions_patch(out, controller_kind("customresourcedefinitions"), definition,
                      json_pack("{s:{s:s, s:[s]}}", "metadata", "uid", object_uid(definition),
                                "finalizers", FINALIZER));
    } else {
        set_status(in, definition, out);
    }
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    if (strcmp(storage, "customresourcedefinitions") == 0) {
        wake_object(wakeups, event->object);
    } else if (event->type == CACHE_DELETED &&
               cache_find(cache, "customresourcedefinitions", "", storage) != NULL) {
        wake_key(wakeups, "", storage);
    }
}

const struct controller controller_definition = {.name = "customresourcedefinition-controller",
                                                 .storage = "customresourcedefinitions",
                                                 .wake = wake,
                                                 .reconcile = reconcile};
