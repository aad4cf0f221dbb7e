/* remote.h - an API server as its clients on a loop see it: one HTTP/2 connection that comes back
 * by itself, requests on it, and followers that keep a resource in a cache.
 *
 * Proxy and DNS live on this. It sends JSON and understands JSON. */
#ifndef ORCHESTRATOR_REMOTE_REMOTE_H
#define ORCHESTRATOR_REMOTE_REMOTE_H

#include "orchestrator/cache/cache.h"
#include "orchestrator/remote/kubeconfig.h"
#include "proto/wire_loop.h"

enum {
    REMOTE_BACKOFF_MS_MIN = 100,
    REMOTE_BACKOFF_MS_MAX = 5000,
    REMOTE_KEEPALIVE_MS = 10 * 1000,
    REMOTE_BODY_SIZE_MAX = 512 * 1024 * 1024, /* a listing; one watch line is far smaller */
};

struct remote;

struct remote_options {
    struct wire_loop *wire;          /* borrowed */
    const struct kubeconfig *config; /* borrowed */
    const char *user_agent;          /* borrowed; its first word manages the fields it writes */
    struct cache *cache;             /* what is followed is kept here; borrowed */
    /* The cache changed, and it holds every resource that is followed. Once for all changes that
     * arrive together. */
    void (*on_change)(void *context);
    /* The connection came (reason NULL) or went. May be NULL. */
    void (*on_state)(void *context, const char *reason);
    void *context;
};

/* ERR_* and a text when the certificates cannot be used. Connects at once, and for ever. */
struct remote *remote_new(const struct remote_options *options, struct err *err);
/* Requests under way are forgotten, no callback comes any more. */
void remote_free(struct remote *remote);

/* Keep all objects of path ("/api/v1/services") in the cache as storage ("services"). Before the
 * loop runs. At most REMOTE_FOLLOWS_MAX. */
enum { REMOTE_FOLLOWS_MAX = 8 };
void remote_follow(struct remote *remote, const char *path, const char *storage);
/* Every followed resource was listed at least once. */
bool remote_is_synced(const struct remote *remote);

/* code is of HTTP, 0 when there was no answer (the connection broke, or there is none). body is
 * borrowed, NULL when the answer was not JSON. */
typedef void remote_done(void *context, int code, const json_t *body);
/* body may be NULL. done runs exactly once, never inside this call. */
void remote_request(struct remote *remote, const char *method, const char *path,
                    const char *content_type, const json_t *body, remote_done *done, void *context);

#endif
