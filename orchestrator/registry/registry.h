/* registry.h - requests against the store: reads, writes planned by plan.h, and the cache that
 * follows it.
 *
 * One per process and loop; the API server's connections, the controllers and the scheduler all
 * submit to it. A write is answered when the cache has it too, so that whoever was told of a change
 * also sees it. Not pure, but without sockets: time comes from options, the store is an interface.
 */
#ifndef ORCHESTRATOR_REGISTRY_REGISTRY_H
#define ORCHESTRATOR_REGISTRY_REGISTRY_H

#include "orchestrator/registry/plan.h"
#include "orchestrator/registry/store.h"

#define REGISTRY_PREFIX "/registry/"

struct registry;

struct registry_options {
    struct store *store; /* borrowed */
    struct plan_settings settings;
    uint64_t seed;
    size_t history_max;               /* events kept per resource; 0: the default */
    int64_t (*now_ms)(void *context); /* since 1970, UTC */
    void *context;
};

struct registry *registry_new(const struct registry_options *options);
void registry_free(struct registry *registry); /* the store makes no more calls */

/* What everybody may look at; changes between callbacks only. */
const struct cache *registry_cache(const struct registry *registry);
const struct kinds *registry_kinds(const struct registry *registry);
bool registry_is_synced(const struct registry *registry); /* the first listing is complete */
int64_t registry_now_ms(const struct registry *registry);

/* The answer of a request. body is an object, a Scale or a Status; borrowed. */
struct registry_reply {
    int code; /* of HTTP */
    const json_t *body;
    const json_t *warnings; /* list of texts; NULL for none */
};
typedef void registry_done(void *context, const struct registry_reply *reply);

/* Get, create, update, patch, apply and delete of one object. The request is copied. done runs
 * exactly once, never inside this call. */
void registry_submit(struct registry *registry, const struct request *request, registry_done *done,
                     void *context);
/* done runs when the cache has everything that was in the store when this was called: what reads it
 * then is linearizable. status is NULL, or why not. */
typedef void registry_sync_done(void *context, const json_t *status);
void registry_sync(struct registry *registry, registry_sync_done *done, void *context);

/* Called for every change in the cache, in order, and with NULL after a new listing. */
typedef void registry_listener(void *context, const char *storage, const struct cache_event *event);
void registry_add_listener(struct registry *registry, registry_listener *listener, void *context);
/* The cache moved on to a revision, with or without a change. */
typedef void registry_progress(void *context, uint64_t revision);
void registry_add_progress(struct registry *registry, registry_progress *progress, void *context);

#endif
