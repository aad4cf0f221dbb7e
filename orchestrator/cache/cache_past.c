/* cache_past.c - the state of a moment that has passed, for the later pages of a list. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/cache/cache.h"
#include "orchestrator/objects/tree.h"

struct past_item {
    char *key;
    json_t *object; /* NULL: it did not exist then */
};

static char *key_of(const json_t *object)
{
    const char *namespace = object_namespace(object);
    return *namespace == '\0' ? mem_strdup(object_name(object))
                              : mem_printf("%s/%s", namespace, object_name(object));
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct past_item *)a)->key, ((const struct past_item *)b)->key);
}

/* What changed since then, each with its state before the first change. */
static int collect_changes(const struct cache *cache, const char *storage, uint64_t revision,
                           json_t *changes)
{
    uint64_t position = 0;
    struct cache_event event;
    int result = cache_position(cache, storage, revision, &position);
    while (result == 0 && (result = cache_read(cache, storage, &position, &event)) == 1) {
        char *key = key_of(event.object);
        if (json_object_get(changes, key) == NULL) {
            json_object_set_new(changes, key,
                                event.previous == NULL ? json_null()
                                                       : json_incref(tree_mutable(event.previous)));
        }
        mem_free(key);
        result = 0;
    }
    return result;
}

static void add_item(struct past_item **items, size_t *count, const char *key, const json_t *object)
{
    *items = mem_reallocarray(*items, *count + 1, sizeof((*items)[0]));
    (*items)[(*count)++] =
        (struct past_item){.key = mem_strdup(key), .object = tree_mutable(object)};
}

static bool is_in(const char *key, const char *namespace)
{
    size_t size = strlen(namespace);
    return size == 0 || (strncmp(key, namespace, size) == 0 && key[size] == '/');
}

int cache_list_at(const struct cache *cache, const char *storage, const char *namespace,
                  uint64_t revision, json_t **ret)
{
    CLEANUP(json) json_t *changes = json_object();
    int result = collect_changes(cache, storage, revision, changes);
    if (result < 0) {
        return result;
    }
    struct past_item *items = NULL;
    size_t count = 0;
    struct cache_cursor c = cache_list(cache, storage, namespace);
    while (cache_next(&c)) {
        if (json_object_get(changes, c.key) == NULL) {
            add_item(&items, &count, c.key, c.object);
        }
    }
    const char *key = NULL;
    json_t *object = NULL;
    json_object_foreach(changes, key, object)
    {
        if (json_is_object(object) && is_in(key, namespace)) {
            add_item(&items, &count, key, object);
        }
    }
    if (count > 1) {
        qsort(items, count, sizeof(items[0]), compare_keys);
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append(list, items[i].object);
        mem_free(items[i].key);
    }
    mem_free(items);
    *ret = list;
    return 0;
}
