/* cache.h - the objects of the store in memory, and the events of the recent past.
 *
 * Every component looks at the cluster through one of these: the API server answers lists and
 * watches from it, controllers and the scheduler reconcile against it, tests and the simulator fill
 * it by hand. Pure: registry/mirror.h feeds it from the store.
 *
 * Objects are as the API shows them (with apiVersion, kind and metadata.resourceVersion), sorted by
 * namespace and name, shared and never changed: who wants another state makes a copy. */
#ifndef ORCHESTRATOR_CACHE_CACHE_H
#define ORCHESTRATOR_CACHE_CACHE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct cache;

enum { CACHE_HISTORY_COUNT_DEFAULT = 4096 };

/* history_max: events kept for each resource. */
struct cache *cache_new(size_t history_max);
void cache_free(struct cache *cache);

/* The store's revision up to which everything is known. */
uint64_t cache_revision(const struct cache *cache);
void cache_set_revision(struct cache *cache, uint64_t revision); /* never goes back */

/* Writing. storage is kind.storage; namespace is "" for cluster-wide objects. revision is that of
 * the store's change; it never decreases. */
void cache_put(struct cache *cache, const char *storage, const char *namespace, const char *name,
               json_t *take_object, uint64_t revision);
void cache_remove(struct cache *cache, const char *storage, const char *namespace, const char *name,
                  uint64_t revision);
/* A new listing of everything: put each object between these two; what was not put is removed, and
 * what happened meanwhile cannot be replayed (watchers from before get ERR_CLOSED). */
void cache_replace_begin(struct cache *cache);
void cache_replace_end(struct cache *cache, uint64_t revision);

/* Reading. Borrowed until the next write. */
const json_t *cache_find(const struct cache *cache, const char *storage, const char *namespace,
                         const char *name);
size_t cache_count(const struct cache *cache, const char *storage);

/*     for (struct cache_cursor c = cache_list(cache, "pods", "default"); cache_next(&c);) {
 *         use(c.object);
 *     }
 * namespace "" is all of them. */
struct cache_cursor {
    const json_t *object;
    const char *key; /* "namespace/name", or "name" */
    const void *table;
    size_t index;
    char prefix[256];
};
struct cache_cursor cache_list(const struct cache *cache, const char *storage,
                               const char *namespace);
/* Continue behind this key; see cursor.key. */
struct cache_cursor cache_list_after(const struct cache *cache, const char *storage,
                                     const char *namespace, const char *key);
bool cache_next(struct cache_cursor *cursor);

/* The objects as they were at a revision of the past, sorted: the events since then are undone.
 * *ret is a new list. ERR_CLOSED: too old, the events are gone. */
MUST_USE int cache_list_at(const struct cache *cache, const char *storage, const char *namespace,
                           uint64_t revision, json_t **ret);

enum cache_event_type { CACHE_ADDED = 1, CACHE_MODIFIED, CACHE_DELETED };

struct cache_event {
    enum cache_event_type type;
    uint64_t revision;
    const json_t *object;   /* the last state, with this revision, for CACHE_DELETED */
    const json_t *previous; /* NULL for CACHE_ADDED */
};

/* The position from which the events after revision can be read. ERR_CLOSED: too old, they are
 * gone. A revision of the future is fine. */
MUST_USE int cache_position(const struct cache *cache, const char *storage, uint64_t revision,
                            uint64_t *ret_position);
/* The event at *position, which moves on: 1. None yet: 0. ERR_CLOSED: the reader fell too far
 * behind. The event is borrowed until the next write. */
MUST_USE int cache_read(const struct cache *cache, const char *storage, uint64_t *position,
                        struct cache_event *ret_event);

/* Called after each change, inside cache_put and cache_remove: it may read but not write. */
typedef void cache_listener(void *context, const char *storage, const struct cache_event *event);
void cache_set_listener(struct cache *cache, cache_listener *listener, void *context);

#endif
