#include "runtime/compose/merge.h"

#include <stdbool.h>
#include <string.h>

#include "runtime/compose/yaml_text.h"
#include "runtime/image/json.h"

static json_t *special(json_t *value, const char *tag)
{
    return json_is_object(value) && json_object_size(value) == 1 ? json_object_get(value, tag)
                                                                 : NULL;
}

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key)) ||
           (json_object_get(a, key) == NULL && json_object_get(b, key) == NULL);
}

static const char *target_of(const json_t *value, const char *fallback_key)
{
    const char *target = json_get_text(value, "target", NULL);
    return target != NULL || fallback_key == NULL ? target : json_get_text(value, fallback_key, "");
}

/* Two items that stand for the same thing: the later one counts. */
static bool is_same(const char *list, const json_t *a, const json_t *b)
{
    if (strcmp(list, "ports") == 0) {
        return same_text(a, b, "target") && same_text(a, b, "published") &&
               same_text(a, b, "host_ip") && same_text(a, b, "protocol");
    }
    if (strcmp(list, "volumes") == 0 || strcmp(list, "secrets") == 0 ||
        strcmp(list, "configs") == 0) {
        const char *key = strcmp(list, "volumes") == 0 ? NULL : "source";
        const char *first = target_of(a, key);
        const char *second = target_of(b, key);
        return first != NULL && second != NULL && strcmp(first, second) == 0;
    }
    return json_equal(a, b);
}

static json_t *merge_lists(const char *key, const json_t *base, const json_t *over)
{
    json_t *out = json_array();
    json_array_extend(out, (json_t *)(uintptr_t)base);
    for (size_t i = 0; i < json_array_size(over); i++) {
        json_t *item = json_array_get(over, i);
        size_t place = 0;
        while (place < json_array_size(out) && !is_same(key, json_array_get(out, place), item)) {
            place++;
        }
        if (place < json_array_size(out)) {
            json_array_set(out, place, item);
        } else {
            json_array_append(out, item);
        }
    }
    return out;
}

static void merge_objects(json_t *base, json_t *over, bool is_service);

static bool is_replaced(const char *key)
{
    return strcmp(key, "command") == 0 || strcmp(key, "entrypoint") == 0 ||
           strcmp(key, "test") == 0;
}

/* base is changed only where it is an object of its own; shared ones are copied first. */
static void merge_key(json_t *base, const char *key, json_t *value, bool is_service)
{
    json_t *old = json_object_get(base, key);
    json_t *override = special(value, YAML_TEXT_OVERRIDE);
    if (special(value, YAML_TEXT_RESET) != NULL) {
        json_object_del(base, key);
        return;
    }
    bool other_driver =
        is_service && strcmp(key, "logging") == 0 &&
        strcmp(json_get_text(old, "driver", ""),
               json_get_text(value, "driver", json_get_text(old, "driver", ""))) != 0;
    if (override != NULL || old == NULL || is_replaced(key) || other_driver) {
        json_object_set(base, key, override != NULL ? override : value);
    } else if (json_is_object(old) && json_is_object(value)) {
        json_t *copy = json_copy(old);
        merge_objects(copy, value, false);
        json_object_set_new(base, key, copy);
    } else if (json_is_array(old) && json_is_array(value)) {
        json_object_set_new(base, key, merge_lists(key, old, value));
    } else {
        json_object_set(base, key, value);
    }
}

static void merge_objects(json_t *base, json_t *over, bool is_service)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(over, key, value)
    {
        merge_key(base, key, value, is_service);
    }
}

void merge_service(json_t *base, json_t *over)
{
    merge_objects(base, over, true);
}

void merge_file(json_t *base, json_t *over)
{
    const char *section = NULL;
    json_t *value = NULL;
    json_object_foreach(over, section, value)
    {
        json_t *old = json_object_get(base, section);
        if (strcmp(section, "services") != 0 || !json_is_object(old) ||
            special(value, YAML_TEXT_RESET) != NULL || special(value, YAML_TEXT_OVERRIDE) != NULL) {
            merge_key(base, section, value, false);
            continue;
        }
        const char *name = NULL;
        json_t *service = NULL;
        json_object_foreach(value, name, service)
        {
            json_t *mine = json_object_get(old, name);
            if (mine == NULL || special(service, YAML_TEXT_RESET) != NULL ||
                special(service, YAML_TEXT_OVERRIDE) != NULL) {
                merge_key(old, name, service, false);
                continue;
            }
            json_t *copy = json_copy(mine);
            merge_service(copy, service);
            json_object_set_new(old, name, copy);
        }
    }
}

void merge_settle(json_t *tree)
{
    const char *key = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe(tree, next, key, value)
    {
        json_t *override = special(value, YAML_TEXT_OVERRIDE);
        if (special(value, YAML_TEXT_RESET) != NULL) {
            json_object_del(tree, key);
            continue;
        }
        if (override != NULL) {
            json_object_set(tree, key, override);
        }
        merge_settle(json_object_get(tree, key));
    }
    for (size_t i = 0; i < json_array_size(tree); i++) {
        merge_settle(json_array_get(tree, i));
    }
}
