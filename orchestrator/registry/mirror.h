/* mirror.h - keys and values of the store, as objects of the cache. */
#ifndef ORCHESTRATOR_REGISTRY_MIRROR_H
#define ORCHESTRATOR_REGISTRY_MIRROR_H

#include "base/bytes.h"
#include "orchestrator/cache/cache.h"
#include "orchestrator/objects/kinds.h"

/* "/registry/pods/default/web"; the caller frees. */
char *mirror_key(const char *storage, const char *namespace, const char *name);
/* A value of the store as an object with its resourceVersion; NULL when it is none. New. */
json_t *mirror_decode(struct bytes data, uint64_t revision);
/* The bytes to store, without resourceVersion; the caller frees. */
char *mirror_encode(const json_t *object, size_t *ret_size);

void mirror_put(struct cache *cache, const char *key, struct bytes data, uint64_t revision);
void mirror_delete(struct cache *cache, const char *key, uint64_t revision);

#endif
