/* patch_strategic.c - Kubernetes' strategic merge patch.
 *
 * A merge patch whose lists of objects merge by a key. Directives in the patch: `$patch: replace |
 * delete | merge` in an object or as an item of a list, `$deleteFromPrimitiveList/<field>`,
 * `$setElementOrder/<field>` and `$retainKeys`. */
#include <string.h>

#include "orchestrator/objects/patch.h"

#define DELETE_PREFIX "$deleteFromPrimitiveList/"
#define ORDER_PREFIX "$setElementOrder/"

static json_t *merge_object(const json_t *original, const json_t *patch,
                            const struct schema *schema, json_t **ret_result);

static const char *directive(const json_t *patch)
{
    return tree_text_or(patch, "$patch", "");
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The patch where there is nothing to merge it with: directives have nothing to act on and go. */
static json_t *without_directives(const json_t *patch)
{
    if (json_is_array(patch)) {
        json_t *list = json_array();
        for (size_t i = 0; i < json_array_size(patch); i++) {
            const json_t *item = json_array_get(patch, i);
            if (strcmp(directive(item), "delete") != 0 && strcmp(directive(item), "replace") != 0) {
                json_array_append_new(list, without_directives(item));
            }
        }
        return list;
    }
    if (!json_is_object(patch)) {
        return json_deep_copy(patch);
    }
    json_t *object = json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(patch), key, value)
    {
        if (*key != '$' && !json_is_null(value)) {
            json_object_set_new(object, key, without_directives(value));
        }
    }
    return object;
}

/* The key value of a list item is text or a number; compare what both have. */
static json_t *find_by_key(const json_t *list, const char *key, const json_t *wanted)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        const json_t *value = json_object_get(item, key);
        if (value != NULL && tree_equal(value, wanted)) {
            return item;
        }
    }
    return NULL;
}

static void remove_by_key(json_t *list, const char *key, const json_t *wanted)
{
    for (size_t i = json_array_size(list); i > 0; i--) {
        const json_t *value = json_object_get(json_array_get(list, i - 1), key);
        if (value != NULL && tree_equal(value, wanted)) {
            (void)json_array_remove(list, i - 1);
        }
    }
}

static json_t *merge_item(json_t *list, const json_t *item, const struct schema_field *field)
{
    const json_t *key = json_object_get(item, field->merge_key);
    if (key == NULL) {
        return status_bad_request("map: %s does not contain declared merge key: %s", field->name,
                                  field->merge_key);
    }
    if (strcmp(directive(item), "delete") == 0) {
        remove_by_key(list, field->merge_key, key);
        return NULL;
    }
    json_t *existing = find_by_key(list, field->merge_key, key);
    if (existing == NULL) {
        json_array_append_new(list, without_directives(item));
        return NULL;
    }
    json_t *merged = NULL;
    json_t *refusal = merge_object(existing, item, field->object, &merged);
    if (refusal != NULL) {
        return refusal;
    }
    size_t at = 0;
    while (json_array_get(list, at) != existing) {
        at++;
    }
    (void)json_array_set_new(list, at, merged);
    return NULL;
}

static bool list_is_replaced(const json_t *patch)
{
    for (size_t i = 0; i < json_array_size(patch); i++) {
        if (strcmp(directive(json_array_get(patch, i)), "replace") == 0) {
            return true;
        }
    }
    return false;
}

static void merge_primitives(json_t *list, const json_t *patch)
{
    for (size_t i = 0; i < json_array_size(patch); i++) {
        json_t *item = json_array_get(patch, i);
        bool is_there = false;
        for (size_t j = 0; j < json_array_size(list) && !is_there; j++) {
            is_there = tree_equal(json_array_get(list, j), item);
        }
        if (!is_there) {
            json_array_append_new(list, json_deep_copy(item));
        }
    }
}

static json_t *merge_list(const json_t *original, const json_t *patch,
                          const struct schema_field *field, json_t **ret_result)
{
    bool merges = field != NULL && field->shape == SCHEMA_LIST &&
                  (field->flags & SCHEMA_MERGE) != 0 && json_is_array(original);
    if (!merges || list_is_replaced(patch)) {
        *ret_result = without_directives(patch);
        return NULL;
    }
    CLEANUP(json) json_t *list = json_copy(tree_mutable(original));
    if (field->merge_key == NULL) {
        merge_primitives(list, patch);
        *ret_result = TAKE_PTR(list);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(patch); i++) {
        json_t *refusal = merge_item(list, json_array_get(patch, i), field);
        if (refusal != NULL) {
            return refusal;
        }
    }
    *ret_result = TAKE_PTR(list);
    return NULL;
}

/* Items that order names take its order; each other item stays behind the one it followed. */
static json_t *reorder(const json_t *list, const json_t *order, const char *merge_key)
{
    size_t count = json_array_size(list);
    json_t *result = json_array();
    bool *is_placed = mem_calloc(count + 1, sizeof(is_placed[0]));
    /* First what stands before any named item and is not named itself. */
    for (size_t o = 0; o <= json_array_size(order); o++) {
        const json_t *wanted = o == 0 ? NULL : json_array_get(order, o - 1);
        bool follows = o == 0;
        for (size_t i = 0; i < count; i++) {
            json_t *item = json_array_get(list, i);
            const json_t *value = merge_key == NULL ? item : json_object_get(item, merge_key);
            bool is_named = false;
            for (size_t k = 0; k < json_array_size(order) && !is_named; k++) {
                const json_t *name = json_array_get(order, k);
                name = merge_key == NULL ? name : json_object_get(name, merge_key);
                is_named = tree_equal(value, name);
            }
            const json_t *target =
                wanted != NULL && merge_key != NULL ? json_object_get(wanted, merge_key) : wanted;
            if (is_named) {
                follows = o > 0 && tree_equal(value, target);
            }
            if (follows && !is_placed[i]) {
                json_array_append(result, item);
                is_placed[i] = true;
            }
        }
    }
    mem_free(is_placed);
    return result;
}

static void remove_primitives(json_t *result, const char *name, const json_t *removed)
{
    const json_t *original = json_object_get(result, name);
    if (!json_is_array(original)) {
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(original); i++) {
        json_t *item = json_array_get(original, i);
        bool is_removed = false;
        for (size_t j = 0; j < json_array_size(removed) && !is_removed; j++) {
            is_removed = tree_equal(item, json_array_get(removed, j));
        }
        if (!is_removed) {
            json_array_append(list, item);
        }
    }
    json_object_set_new(result, name, list);
}

static void retain_keys(json_t *result, const json_t *kept)
{
    const char *key = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe(result, next, key, value)
    {
        if (!tree_list_has_text(kept, key)) {
            (void)json_object_del(result, key);
        }
    }
}

static const struct schema_field *find_field(const struct schema *schema, const char *name)
{
    return schema == NULL ? NULL : schema_field_find(schema, name);
}

/* One field of the patch into result. */
static json_t *merge_field(json_t *result, const char *key, const json_t *value,
                           const struct schema *schema)
{
    const struct schema_field *field = find_field(schema, key);
    const json_t *original = json_object_get(result, key);
    json_t *merged = NULL;
    json_t *refusal = NULL;
    if (json_is_null(value)) {
        (void)json_object_del(result, key); /* absent is fine */
        return NULL;
    }
    bool is_replaced = field != NULL && (field->flags & SCHEMA_REPLACE) != 0;
    if (json_is_object(value) && json_is_object(original) && !is_replaced) {
        refusal = merge_object(original, value, field == NULL ? NULL : field->object, &merged);
    } else if (json_is_array(value)) {
        refusal = merge_list(original, value, field, &merged);
    } else {
        merged = without_directives(value);
    }
    if (refusal == NULL) {
        json_object_set_new(result, key, merged);
    }
    return refusal;
}

/* Directives that act on lists after they are merged. */
static void finish_lists(json_t *result, const json_t *patch, const struct schema *schema)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(patch), key, value)
    {
        if (!has_prefix(key, ORDER_PREFIX)) {
            continue;
        }
        const char *name = key + strlen(ORDER_PREFIX);
        const struct schema_field *field = find_field(schema, name);
        const json_t *list = json_object_get(result, name);
        if (field != NULL && json_is_array(list)) {
            json_object_set_new(result, name, reorder(list, value, field->merge_key));
        }
    }
}

static json_t *merge_object(const json_t *original, const json_t *patch,
                            const struct schema *schema, json_t **ret_result)
{
    if (strcmp(directive(patch), "replace") == 0) {
        *ret_result = without_directives(patch);
        return NULL;
    }
    if (strcmp(directive(patch), "delete") == 0) {
        *ret_result = json_object();
        return NULL;
    }
    CLEANUP(json)
    json_t *result = json_is_object(original) ? json_copy(tree_mutable(original)) : json_object();
    const json_t *kept = json_object_get(patch, "$retainKeys");
    if (kept != NULL) {
        retain_keys(result, kept);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(patch), key, value)
    {
        if (has_prefix(key, DELETE_PREFIX)) {
            remove_primitives(result, key + strlen(DELETE_PREFIX), value);
        } else if (*key != '$') {
            json_t *refusal = merge_field(result, key, value, schema);
            if (refusal != NULL) {
                return refusal;
            }
        }
    }
    finish_lists(result, patch, schema);
    *ret_result = TAKE_PTR(result);
    return NULL;
}

json_t *patch_strategic(const json_t *document, const json_t *patch, const struct schema *schema,
                        json_t **ret_result)
{
    if (!json_is_object(patch)) {
        return status_bad_request("error decoding patch: a strategic merge patch is an object");
    }
    return merge_object(document, patch, schema, ret_result);
}
