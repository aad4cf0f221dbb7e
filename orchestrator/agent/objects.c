#include "orchestrator/agent/objects.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "orchestrator/objects/tree.h"

struct objects {
    struct api *api;
    struct bytes_map entries; /* "resource/namespace/name" to struct entry */
    void (*on_change)(void *context, const char *resource, const char *namespace, const char *name);
    void *context;
};

struct entry {
    struct objects *objects;
    char *key;
    char *resource;
    char *namespace;
    char *name;
    struct api_watch *watch;
    json_t *object; /* NULL: not known; json_null(): none */
    bool is_marked;
};

static void entry_free(struct entry *entry)
{
    api_watch_free(entry->watch);
    json_decref(entry->object);
    mem_free(entry->key);
    mem_free(entry->resource);
    mem_free(entry->namespace);
    mem_free(entry->name);
    mem_free(entry);
}

static void set_object(struct entry *entry, const json_t *object)
{
    json_t *old = entry->object;
    entry->object = object == NULL ? json_null() : json_incref(tree_mutable(object));
    bool is_same = old != NULL && json_equal(old, entry->object);
    json_decref(old);
    if (!is_same) {
        entry->objects->on_change(entry->objects->context, entry->resource, entry->namespace,
                                  entry->name);
    }
}

static void on_list(void *context, const json_t *items)
{
    set_object(context, json_array_get(items, 0));
}

static void on_change(void *context, const json_t *object, bool is_deleted)
{
    set_object(context, is_deleted ? NULL : object);
}

static const struct api_watch_events watch_events = {.on_list = on_list, .on_change = on_change};

static char *make_key(const char *resource, const char *namespace, const char *name)
{
    return mem_printf("%s/%s/%s", resource, namespace, name);
}

static struct entry *entry_new(struct objects *objects, const char *resource, const char *namespace,
                               const char *name)
{
    struct entry *entry = mem_zalloc(sizeof(*entry));
    entry->objects = objects;
    entry->key = make_key(resource, namespace, name);
    entry->resource = mem_strdup(resource);
    entry->namespace = mem_strdup(namespace);
    entry->name = mem_strdup(name);
    entry->is_marked = true;
    CLEANUP(free)
    char *path = *namespace == '\0' ? mem_printf("/api/v1/%s", resource)
                                    : mem_printf("/api/v1/namespaces/%s/%s", namespace, resource);
    CLEANUP(free) char *query = mem_printf("fieldSelector=metadata.name%%3D%s", name);
    (void)bytes_map_set(&objects->entries, bytes_from_text(entry->key), entry);
    entry->watch = api_watch_new(objects->api, path, query, &watch_events, entry);
    return entry;
}

const json_t *objects_find(struct objects *objects, const char *resource, const char *namespace,
                           const char *name)
{
    CLEANUP(free) char *key = make_key(resource, namespace, name);
    struct entry *entry = bytes_map_find(&objects->entries, bytes_from_text(key));
    if (entry == NULL) {
        entry = entry_new(objects, resource, namespace, name);
    }
    return entry->object;
}

void objects_begin_marks(struct objects *objects)
{
    size_t cursor = 0;
    void *value = NULL;
    struct bytes key;
    while (bytes_map_next(&objects->entries, &cursor, &key, &value)) {
        ((struct entry *)value)->is_marked = false;
    }
}

void objects_mark(struct objects *objects, const char *resource, const char *namespace,
                  const char *name)
{
    CLEANUP(free) char *key = make_key(resource, namespace, name);
    struct entry *entry = bytes_map_find(&objects->entries, bytes_from_text(key));
    if (entry != NULL) {
        entry->is_marked = true;
    }
}

/* One that is not marked; NULL when there is none. */
static struct entry *find_unmarked(const struct objects *objects)
{
    size_t cursor = 0;
    void *value = NULL;
    struct bytes key;
    while (bytes_map_next(&objects->entries, &cursor, &key, &value)) {
        if (!((struct entry *)value)->is_marked) {
            return value;
        }
    }
    return NULL;
}

void objects_sweep(struct objects *objects)
{
    for (struct entry *entry; (entry = find_unmarked(objects)) != NULL;) {
        (void)bytes_map_remove(&objects->entries, bytes_from_text(entry->key));
        entry_free(entry);
    }
}

struct objects *objects_new(struct api *api,
                            void (*changed)(void *context, const char *resource,
                                            const char *namespace, const char *name),
                            void *context)
{
    struct objects *objects = mem_zalloc(sizeof(*objects));
    objects->api = api;
    objects->on_change = changed;
    objects->context = context;
    bytes_map_init(&objects->entries);
    return objects;
}

void objects_free(struct objects *objects)
{
    if (objects != NULL) {
        objects_begin_marks(objects);
        objects_sweep(objects);
        bytes_map_deinit(&objects->entries);
        mem_free(objects);
    }
}
