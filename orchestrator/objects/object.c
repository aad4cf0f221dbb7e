/* object.c - what every object has: names, labels, owners, conditions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/objects/tree.h"

const char *object_name(const json_t *object)
{
    return tree_text(object, "metadata.name");
}

const char *object_namespace(const json_t *object)
{
    return tree_text_or(object, "metadata.namespace", "");
}

const char *object_uid(const json_t *object)
{
    return tree_text(object, "metadata.uid");
}

json_t *object_labels(const json_t *object)
{
    return tree_find(object, "metadata.labels");
}

const char *object_label(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object_labels(object), key));
}

const char *object_annotation(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(tree_find(object, "metadata.annotations"), key));
}

bool object_is_deleting(const json_t *object)
{
    return tree_text(object, "metadata.deletionTimestamp") != NULL;
}

uint64_t object_revision(const json_t *object)
{
    const char *text = tree_text(object, "metadata.resourceVersion");
    if (text == NULL || *text < '0' || *text > '9') {
        return 0;
    }
    char *end = NULL;
    errno = 0;
    uint64_t revision = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 ? revision : 0;
}

const json_t *object_controller(const json_t *object)
{
    const json_t *owners = tree_find(object, "metadata.ownerReferences");
    for (size_t i = 0; i < json_array_size(owners); i++) {
        const json_t *owner = json_array_get(owners, i);
        if (tree_bool(owner, "controller", false)) {
            return owner;
        }
    }
    return NULL;
}

bool object_is_controlled_by(const json_t *object, const json_t *owner)
{
    const json_t *controller = object_controller(object);
    const char *uid = object_uid(owner);
    return controller != NULL && uid != NULL && tree_has_text(controller, "uid", uid);
}

static void set_in_map(json_t *object, const char *map_path, const char *key, const char *text)
{
    if (text != NULL) {
        json_object_set_new(tree_make_object(object, map_path), key, json_string_nocheck(text));
        return;
    }
    json_t *map = tree_find(object, map_path);
    if (map != NULL) {
        (void)json_object_del(map, key); /* absent is fine */
        if (json_object_size(map) == 0) {
            tree_remove(object, map_path);
        }
    }
}

void object_set_annotation(json_t *object, const char *key, const char *text)
{
    set_in_map(object, "metadata.annotations", key, text);
}

void object_set_label(json_t *object, const char *key, const char *text)
{
    set_in_map(object, "metadata.labels", key, text);
}

json_t *object_condition(const json_t *object, const char *type)
{
    return tree_find_item(tree_find(object, "status.conditions"), "type", type);
}

bool object_condition_is(const json_t *object, const char *type, const char *status)
{
    const json_t *condition = object_condition(object, type);
    return condition != NULL && tree_has_text(condition, "status", status);
}
