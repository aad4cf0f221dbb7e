#include "orchestrator/objects/tree.h"

#include <stdlib.h>
#include <string.h>

enum { STEP_SIZE_MAX = 256 };

/* The next step of a path into step; the rest of the path, or NULL after the last one. */
static const char *next_step(const char *path, char step[STEP_SIZE_MAX])
{
    const char *dot = strchr(path, '.');
    size_t size = dot == NULL ? strlen(path) : (size_t)(dot - path);
    if (size >= STEP_SIZE_MAX) {
        size = STEP_SIZE_MAX - 1;
    }
    memcpy(step, path, size);
    step[size] = '\0';
    return dot == NULL ? NULL : dot + 1;
}

json_t *tree_find(const json_t *root, const char *path)
{
    char step[STEP_SIZE_MAX];
    const json_t *value = root;
    while (path != NULL && value != NULL) {
        path = next_step(path, step);
        value = json_object_get(value, step);
    }
    return tree_mutable(value);
}

const char *tree_text(const json_t *root, const char *path)
{
    return json_string_value(tree_find(root, path));
}

const char *tree_text_or(const json_t *root, const char *path, const char *fallback)
{
    const char *text = tree_text(root, path);
    return text == NULL ? fallback : text;
}

int64_t tree_int(const json_t *root, const char *path, int64_t fallback)
{
    const json_t *value = tree_find(root, path);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

bool tree_bool(const json_t *root, const char *path, bool fallback)
{
    const json_t *value = tree_find(root, path);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

size_t tree_count(const json_t *root, const char *path)
{
    const json_t *value = tree_find(root, path);
    return json_is_array(value) ? json_array_size(value) : json_object_size(value);
}

bool tree_has_text(const json_t *root, const char *path, const char *text)
{
    const char *found = tree_text(root, path);
    return found != NULL && strcmp(found, text) == 0;
}

/* The parent object of the last step, made where absent; the last step is left in step. */
static json_t *make_parent(json_t *root, const char *path, char step[STEP_SIZE_MAX])
{
    json_t *value = root;
    for (;;) {
        path = next_step(path, step);
        if (path == NULL) {
            return value;
        }
        json_t *child = json_object_get(value, step);
        if (!json_is_object(child)) {
            child = json_object();
            json_object_set_new(value, step, child);
        }
        value = child;
    }
}

json_t *tree_make_object(json_t *root, const char *path)
{
    char step[STEP_SIZE_MAX];
    json_t *parent = make_parent(root, path, step);
    json_t *value = json_object_get(parent, step);
    if (!json_is_object(value)) {
        value = json_object();
        json_object_set_new(parent, step, value);
    }
    return value;
}

json_t *tree_make_list(json_t *root, const char *path)
{
    char step[STEP_SIZE_MAX];
    json_t *parent = make_parent(root, path, step);
    json_t *value = json_object_get(parent, step);
    if (!json_is_array(value)) {
        value = json_array();
        json_object_set_new(parent, step, value);
    }
    return value;
}

void tree_set(json_t *root, const char *path, json_t *take_value)
{
    char step[STEP_SIZE_MAX];
    json_t *parent = make_parent(root, path, step);
    json_object_set_new(parent, step, take_value);
}

void tree_set_text(json_t *root, const char *path, const char *text)
{
    tree_set(root, path, json_string_nocheck(text));
}

void tree_set_int(json_t *root, const char *path, int64_t value)
{
    tree_set(root, path, json_integer(value));
}

void tree_set_bool(json_t *root, const char *path, bool value)
{
    tree_set(root, path, json_boolean(value));
}

void tree_set_copy(json_t *root, const char *path, const json_t *value)
{
    if (value == NULL) {
        tree_remove(root, path);
        return;
    }
    tree_set(root, path, json_deep_copy(value));
}

void tree_remove(json_t *root, const char *path)
{
    char step[STEP_SIZE_MAX];
    json_t *value = root;
    while (value != NULL) {
        path = next_step(path, step);
        if (path == NULL) {
            (void)json_object_del(value, step); /* absent is fine */
            return;
        }
        value = json_object_get(value, step);
    }
}

json_t *tree_copy(const json_t *value)
{
    return value == NULL ? NULL : json_deep_copy(value);
}

static bool objects_are_equal(const json_t *a, const json_t *b)
{
    if (json_object_size(a) != json_object_size(b)) {
        return false;
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(a), key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (other == NULL || !tree_equal(value, other)) {
            return false;
        }
    }
    return true;
}

bool tree_equal(const json_t *a, const json_t *b)
{
    if (a == b) {
        return true;
    }
    if (a == NULL || b == NULL) {
        return false;
    }
    if (json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b)) {
        double difference = json_number_value(a) - json_number_value(b);
        return !(difference < 0) && !(difference > 0);
    }
    if (json_is_object(a) && json_is_object(b)) {
        return objects_are_equal(a, b);
    }
    if (json_is_array(a) && json_is_array(b)) {
        size_t count = json_array_size(a);
        if (count != json_array_size(b)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            if (!tree_equal(json_array_get(a, i), json_array_get(b, i))) {
                return false;
            }
        }
        return true;
    }
    return json_equal(a, b) != 0;
}

bool tree_is_empty(const json_t *value)
{
    if (value == NULL) {
        return true;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_INTEGER:
        return json_integer_value(value) == 0;
    case JSON_REAL:
        return !(json_real_value(value) < 0) && !(json_real_value(value) > 0);
    case JSON_TRUE:
        return false;
    case JSON_FALSE:
    case JSON_NULL:
        return true;
    }
    return true;
}

json_t *tree_find_item(const json_t *list, const char *key, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        const char *found = json_string_value(json_object_get(item, key));
        if (found != NULL && strcmp(found, text) == 0) {
            return item;
        }
    }
    return NULL;
}

bool tree_list_has_text(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *found = json_string_value(json_array_get(list, i));
        if (found != NULL && strcmp(found, text) == 0) {
            return true;
        }
    }
    return false;
}
