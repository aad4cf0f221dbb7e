#include "orchestrator/registry/mirror.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/registry/registry.h"

char *mirror_key(const char *storage, const char *namespace, const char *name)
{
    return *namespace == '\0' ? mem_printf(REGISTRY_PREFIX "%s/%s", storage, name)
                              : mem_printf(REGISTRY_PREFIX "%s/%s/%s", storage, namespace, name);
}

json_t *mirror_decode(struct bytes data, uint64_t revision)
{
    json_t *object = json_loadb((const char *)data.data, data.size, 0, NULL);
    if (!json_is_object(object) || !json_is_object(json_object_get(object, "metadata"))) {
        json_decref(object);
        return NULL;
    }
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)revision);
    tree_set_text(object, "metadata.resourceVersion", text);
    return object;
}

char *mirror_encode(const json_t *object, size_t *ret_size)
{
    json_t *copy = json_copy(tree_mutable(object));
    json_t *metadata = json_copy(json_object_get(object, "metadata"));
    (void)json_object_del(metadata, "resourceVersion"); /* absent is fine */
    json_object_set_new(copy, "metadata", metadata);
    char *text = json_dumps(copy, JSON_COMPACT);
    json_decref(copy);
    *ret_size = text == NULL ? 0 : strlen(text);
    return text;
}

/* The parts of a key; false for keys that hold no objects. namespace is "" for two parts. */
struct key_parts {
    char storage[256];
    char namespace[256];
    char name[256];
};

static bool split_key(const char *key, struct key_parts *parts)
{
    size_t prefix = strlen(REGISTRY_PREFIX);
    if (strncmp(key, REGISTRY_PREFIX, prefix) != 0 || strlen(key) - prefix > 700) {
        return false;
    }
    *parts = (struct key_parts){0};
    int count = sscanf(key + prefix, "%255[^/]/%255[^/]/%255[^/]", parts->storage, parts->namespace,
                       parts->name);
    if (count == 2) {
        memcpy(parts->name, parts->namespace, sizeof(parts->name));
        parts->namespace[0] = '\0';
    }
    return count >= 2 && strcmp(parts->storage, "ranges") != 0;
}

void mirror_put(struct cache *cache, const char *key, struct bytes data, uint64_t revision)
{
    struct key_parts parts;
    json_t *object = split_key(key, &parts) ? mirror_decode(data, revision) : NULL;
    if (object != NULL) {
        cache_put(cache, parts.storage, parts.namespace, parts.name, object, revision);
    }
    /* The revision of this event is complete only when the next one, or progress, comes: a
     * transaction may have written more keys. The caller advances the cache. */
}

void mirror_delete(struct cache *cache, const char *key, uint64_t revision)
{
    struct key_parts parts;
    if (split_key(key, &parts)) {
        cache_remove(cache, parts.storage, parts.namespace, parts.name, revision);
    }
}
