#include "orchestrator/controllers/pods.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/timestamp.h"

bool pod_is_finished(const json_t *pod)
{
    return tree_has_text(pod, "status.phase", "Succeeded") ||
           tree_has_text(pod, "status.phase", "Failed");
}

bool pod_is_active(const json_t *pod)
{
    return !pod_is_finished(pod) && !object_is_deleting(pod);
}

bool pod_is_ready(const json_t *pod)
{
    return object_condition_is(pod, "Ready", "True");
}

bool pod_is_available(const json_t *pod, int64_t min_ready_s, int64_t now_ms, int64_t *ret_wait_ms)
{
    if (!pod_is_ready(pod)) {
        return false;
    }
    const json_t *ready = object_condition(pod, "Ready");
    int64_t since_ms = timestamp_at(ready, "lastTransitionTime", now_ms);
    int64_t wait_ms = since_ms + min_ready_s * 1000 - now_ms;
    if (min_ready_s > 0 && wait_ms > 0) {
        if (ret_wait_ms != NULL && (*ret_wait_ms == 0 || wait_ms < *ret_wait_ms)) {
            *ret_wait_ms = wait_ms;
        }
        return false;
    }
    return true;
}

void object_list_add(struct object_list *list, const json_t *object)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        list->items = mem_reallocarray(list->items, list->capacity, sizeof(list->items[0]));
    }
    list->items[list->count++] = object;
}

void object_list_sort(struct object_list *list, int (*compare)(const void *a, const void *b))
{
    if (list->count > 1) {
        qsort(list->items, list->count, sizeof(list->items[0]), compare);
    }
}

void object_list_deinit(struct object_list *list)
{
    mem_free(list->items);
    *list = (struct object_list){0};
}

json_t *owner_reference(const json_t *owner)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "apiVersion",
                     tree_text_or(owner, "apiVersion", ""), "kind", tree_text_or(owner, "kind", ""),
                     "name", object_name(owner), "uid", object_uid(owner), "controller", 1,
                     "blockOwnerDeletion", 1);
}

static bool selects(const json_t *owner, const json_t *object)
{
    const json_t *selector = tree_find(owner, "spec.selector");
    bool is_map = tree_has_text(owner, "kind", "ReplicationController");
    return is_map ? label_map_matches(selector, object_labels(object))
                  : label_selector_object_matches(selector, object_labels(object));
}

static void adopt(const json_t *owner, const json_t *object, const struct kind *kind,
                  struct actions *out)
{
    json_t *owners = tree_copy(tree_find(object, "metadata.ownerReferences"));
    owners = owners == NULL ? json_array() : owners;
    json_array_append_new(owners, owner_reference(owner));
    actions_patch(out, kind, object,
                  json_pack("{s:{s:s, s:s, s:o}}", "metadata", "uid", object_uid(object),
                            "resourceVersion", tree_text_or(object, "metadata.resourceVersion", ""),
                            "ownerReferences", owners));
}

static void release(const json_t *owner, const json_t *object, const struct kind *kind,
                    struct actions *out)
{
    json_t *left = json_array();
    const json_t *owners = tree_find(object, "metadata.ownerReferences");
    for (size_t i = 0; i < json_array_size(owners); i++) {
        json_t *reference = json_array_get(owners, i);
        if (!tree_has_text(reference, "uid", object_uid(owner))) {
            json_array_append(left, reference);
        }
    }
    actions_patch(out, kind, object,
                  json_pack("{s:{s:s, s:o}}", "metadata", "uid", object_uid(object),
                            "ownerReferences", left));
}

void owned_objects(const struct reconcile *in, const json_t *owner, const char *storage,
                   struct object_list *ret, struct actions *out)
{
    const struct kind *kind = controller_kind(storage);
    struct cache_cursor c = cache_list(in->cache, storage, object_namespace(owner));
    while (cache_next(&c)) {
        bool is_selected = selects(owner, c.object);
        bool is_mine = object_is_controlled_by(c.object, owner);
        bool is_orphan = object_controller(c.object) == NULL;
        if (is_mine && (is_selected || object_is_deleting(c.object))) {
            object_list_add(ret, c.object);
        } else if (is_mine) {
            release(owner, c.object, kind, out);
        } else if (is_orphan && is_selected && !object_is_deleting(owner) &&
                   !object_is_deleting(c.object)) {
            adopt(owner, c.object, kind, out);
            object_list_add(ret, c.object);
        }
    }
}

json_t *pod_from_template(const json_t *owner, const json_t *template)
{
    json_t *pod = json_object();
    tree_set_copy(pod, "metadata.labels", tree_find(template, "metadata.labels"));
    tree_set_copy(pod, "metadata.annotations", tree_find(template, "metadata.annotations"));
    tree_set_copy(pod, "metadata.finalizers", tree_find(template, "metadata.finalizers"));
    CLEANUP(free) char *base = mem_printf("%s-", object_name(owner));
    tree_set_text(pod, "metadata.generateName", base);
    tree_set_text(pod, "metadata.namespace", object_namespace(owner));
    tree_set(pod, "metadata.ownerReferences", json_pack("[o]", owner_reference(owner)));
    tree_set_copy(pod, "spec", json_object_get(template, "spec"));
    return pod;
}

int64_t scaled_value(const json_t *value, int64_t total, bool rounds_up, int64_t fallback)
{
    if (json_is_integer(value)) {
        return json_integer_value(value);
    }
    const char *text = json_string_value(value);
    int64_t percent = 0;
    if (text == NULL || *text < '0' || *text > '9') {
        return fallback;
    }
    for (; *text >= '0' && *text <= '9' && percent < 1000000; text++) {
        percent = percent * 10 + (*text - '0');
    }
    return (total * percent + (rounds_up ? 99 : 0)) / 100;
}

uint64_t object_hash(const json_t *value)
{
    CLEANUP(free) char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    uint64_t hash = 14695981039346656037ULL;
    for (const char *c = text == NULL ? "" : text; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 1099511628211ULL;
    }
    return hash;
}

bool condition_set(json_t *conditions, const char *type, const char *status, const char *reason,
                   const char *message, int64_t now_ms)
{
    char time[TIMESTAMP_SIZE];
    (void)timestamp_format(now_ms, time);
    json_t *condition = tree_find_item(conditions, "type", type);
    if (condition == NULL) {
        condition = json_pack("{s:s}", "type", type);
        json_array_append_new(conditions, condition);
    }
    if (tree_has_text(condition, "status", status) && tree_has_text(condition, "reason", reason) &&
        tree_has_text(condition, "message", message)) {
        return false;
    }
    if (!tree_has_text(condition, "status", status)) {
        tree_set_text(condition, "lastTransitionTime", time);
    }
    tree_set_text(condition, "status", status);
    tree_set_text(condition, "reason", reason);
    tree_set_text(condition, "message", message);
    return true;
}
