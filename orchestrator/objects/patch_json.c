#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/patch.h"

/* The next reference token of a pointer (RFC 6901), unescaped; the caller frees. Moves *pointer to
 * the next slash or the end. */
static char *read_token(const char **pointer)
{
    CLEANUP(buf) struct buf token = BUF_INIT;
    const char *at = *pointer + 1;
    for (; *at != '\0' && *at != '/'; at++) {
        char c = *at;
        if (c == '~' && (at[1] == '0' || at[1] == '1')) {
            c = at[1] == '0' ? '~' : '/';
            at++;
        }
        buf_append_u8(&token, (uint8_t)c);
    }
    *pointer = at;
    return mem_strdup(buf_text(&token));
}

/* An index without leading zeros and not beyond limit. */
static bool read_index(const char *token, size_t limit, size_t *ret)
{
    if (*token < '0' || *token > '9' || (token[0] == '0' && token[1] != '\0') ||
        strlen(token) > 9) {
        return false;
    }
    char *end = NULL;
    size_t value = strtoul(token, &end, 10);
    if (*end != '\0' || value > limit) {
        return false;
    }
    *ret = value;
    return true;
}

static json_t *child_of(const json_t *parent, const char *token)
{
    size_t index = 0;
    if (json_is_array(parent)) {
        return read_index(token, json_array_size(parent), &index) ? json_array_get(parent, index)
                                                                  : NULL;
    }
    return json_object_get(parent, token);
}

/* Walk to the parent of what pointer names; *ret_token is its last token (the caller frees). */
static json_t *find_parent(json_t *root, const char *pointer, char **ret_token)
{
    json_t *value = root;
    while (value != NULL) {
        char *token = read_token(&pointer);
        if (*pointer == '\0') {
            *ret_token = token;
            return value;
        }
        value = child_of(value, token);
        mem_free(token);
    }
    return NULL;
}

static json_t *find_value(json_t *root, const char *pointer)
{
    if (*pointer == '\0') {
        return root;
    }
    CLEANUP(free) char *token = NULL;
    json_t *parent = find_parent(root, pointer, &token);
    return parent == NULL ? NULL : child_of(parent, token);
}

/* Each step takes the reference to value, and says whether the target was there. */
static bool add_value(json_t **root, const char *pointer, json_t *take_value)
{
    CLEANUP(json) json_t *value = take_value;
    if (*pointer == '\0') {
        json_decref(*root);
        *root = TAKE_PTR(value);
        return true;
    }
    CLEANUP(free) char *token = NULL;
    json_t *parent = find_parent(*root, pointer, &token);
    if (json_is_object(parent)) {
        return json_object_set(parent, token, value) == 0;
    }
    if (!json_is_array(parent)) {
        return false;
    }
    size_t index = json_array_size(parent);
    if (strcmp(token, "-") != 0 && !read_index(token, json_array_size(parent), &index)) {
        return false;
    }
    return json_array_insert(parent, index, value) == 0;
}

static bool remove_value(json_t *root, const char *pointer)
{
    CLEANUP(free) char *token = NULL;
    json_t *parent = *pointer == '\0' ? NULL : find_parent(root, pointer, &token);
    size_t index = 0;
    if (json_is_array(parent)) {
        return read_index(token, json_array_size(parent), &index) &&
               json_array_remove(parent, index) == 0;
    }
    return json_is_object(parent) && json_object_del(parent, token) == 0;
}

static bool replace_value(json_t **root, const char *pointer, json_t *take_value)
{
    CLEANUP(json) json_t *value = take_value;
    if (*pointer == '\0') {
        return add_value(root, pointer, json_incref(value));
    }
    CLEANUP(free) char *token = NULL;
    json_t *parent = find_parent(*root, pointer, &token);
    if (parent == NULL || child_of(parent, token) == NULL) {
        return false;
    }
    size_t index = 0;
    if (json_is_array(parent)) {
        return read_index(token, json_array_size(parent), &index) &&
               json_array_set(parent, index, value) == 0;
    }
    return json_object_set(parent, token, value) == 0;
}

static bool move_value(json_t **root, const char *from, const char *pointer, bool keeps)
{
    json_t *found = find_value(*root, from);
    if (found == NULL) {
        return false;
    }
    CLEANUP(json) json_t *value = json_deep_copy(found);
    if (!keeps && !remove_value(*root, from)) {
        return false;
    }
    return add_value(root, pointer, TAKE_PTR(value));
}

static bool is_pointer(const char *text)
{
    return text != NULL && (*text == '\0' || *text == '/');
}

static json_t *not_applicable(const char *operation, const char *pointer)
{
    return status_new(422, "Invalid",
                      "the server rejected our request due to an error in our request: JSON patch "
                      "operation '%s' does not apply at '%s'",
                      operation, pointer);
}

static json_t *apply_operation(json_t **root, const json_t *operation)
{
    const char *op = tree_text_or(operation, "op", "");
    const char *pointer = tree_text(operation, "path");
    const char *from = tree_text(operation, "from");
    const json_t *value = json_object_get(operation, "value");
    bool needs_from = strcmp(op, "move") == 0 || strcmp(op, "copy") == 0;
    bool needs_value =
        strcmp(op, "add") == 0 || strcmp(op, "replace") == 0 || strcmp(op, "test") == 0;
    if (!is_pointer(pointer) || (needs_from && !is_pointer(from)) ||
        (needs_value && value == NULL) ||
        (!needs_from && !needs_value && strcmp(op, "remove") != 0)) {
        return status_bad_request("error decoding patch: malformed JSON patch operation '%s'", op);
    }
    bool is_done = false;
    if (strcmp(op, "add") == 0) {
        is_done = add_value(root, pointer, json_deep_copy(value));
    } else if (strcmp(op, "replace") == 0) {
        is_done = replace_value(root, pointer, json_deep_copy(value));
    } else if (strcmp(op, "remove") == 0) {
        is_done = remove_value(*root, pointer);
    } else if (strcmp(op, "test") == 0) {
        is_done = tree_equal(find_value(*root, pointer), value);
    } else {
        is_done = move_value(root, from, pointer, strcmp(op, "copy") == 0);
    }
    return is_done ? NULL : not_applicable(op, pointer);
}

json_t *patch_json(const json_t *document, const json_t *operations, json_t **ret_result)
{
    if (!json_is_array(operations)) {
        return status_bad_request("error decoding patch: a JSON patch is a list of operations");
    }
    size_t count = json_array_size(operations);
    if (count > PATCH_OPERATIONS_MAX) {
        return status_new(413, "RequestEntityTooLarge",
                          "The allowed maximum operations in a JSON patch is %d, got %zu",
                          PATCH_OPERATIONS_MAX, count);
    }
    CLEANUP(json) json_t *result = json_deep_copy(document);
    for (size_t i = 0; i < count; i++) {
        json_t *refusal = apply_operation(&result, json_array_get(operations, i));
        if (refusal != NULL) {
            return refusal;
        }
    }
    *ret_result = TAKE_PTR(result);
    return NULL;
}

json_t *patch_merge(const json_t *document, const json_t *patch)
{
    if (!json_is_object(patch)) {
        return json_deep_copy(patch);
    }
    json_t *result = json_is_object(document) ? json_copy(tree_mutable(document)) : json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(patch), key, value)
    {
        if (json_is_null(value)) {
            (void)json_object_del(result, key); /* absent is fine */
        } else {
            json_object_set_new(result, key, patch_merge(json_object_get(result, key), value));
        }
    }
    return result;
}
