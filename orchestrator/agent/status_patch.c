#include "orchestrator/agent/status_patch.h"

#include "orchestrator/objects/tree.h"

/* The API leaves out what is null or an empty object: both are as good as absent. */
static bool is_nothing(const json_t *value)
{
    return value == NULL || json_is_null(value) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static bool is_same(const json_t *a, const json_t *b)
{
    if (is_nothing(a) || is_nothing(b)) {
        return is_nothing(a) && is_nothing(b);
    }
    if (json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b)) {
        for (size_t i = 0; i < json_array_size(a); i++) {
            if (!is_same(json_array_get(a, i), json_array_get(b, i))) {
                return false;
            }
        }
        return true;
    }
    if (!json_is_object(a) || !json_is_object(b)) {
        return tree_equal(a, b);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(a), key, value)
    {
        if (!is_same(value, json_object_get(b, key))) {
            return false;
        }
    }
    json_object_foreach(tree_mutable(b), key, value)
    {
        if (!is_same(json_object_get(a, key), value)) {
            return false;
        }
    }
    return true;
}

json_t *status_patch_make(const json_t *before, const json_t *after)
{
    json_t *patch = json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(after), key, value)
    {
        if (!is_same(json_object_get(before, key), value)) {
            json_object_set(patch, key, value);
        }
    }
    json_object_foreach(tree_mutable(before), key, value)
    {
        if (json_object_get(after, key) == NULL && !is_nothing(value)) {
            json_object_set_new(patch, key, json_null());
        }
    }
    return patch;
}
