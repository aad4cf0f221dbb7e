/* watch.h - watches that outlive connections.
 *
 * All watches of a client share one gRPC stream. When it breaks they are created again, on whatever
 * endpoint is healthy, from the revision after the last one each has seen: nothing is lost, doubled
 * or reordered, as long as the history is still there. If it was compacted meanwhile, the watch
 * ends with KV_WATCH_COMPACTED, and the caller must list again. */
#ifndef KVSTORE_CLIENT_WATCH_H
#define KVSTORE_CLIENT_WATCH_H

#include "kvstore/client/client.h"

struct kv_watch;

enum kv_watch_event_type {
    KV_WATCH_CREATED,   /* the first time only, not after a resume */
    KV_WATCH_EVENTS,    /* whole revisions, in order; fragments are put together */
    KV_WATCH_PROGRESS,  /* everything up to revision has been delivered */
    KV_WATCH_COMPACTED, /* last: start_revision is gone, compact_revision is the oldest left */
    KV_WATCH_CANCELED,  /* last: the server refused or ended it, see status and reason */
};

struct kv_watch_event {
    enum kv_watch_event_type type;
    int64_t revision;         /* of the store, from the header; with PROGRESS a promise */
    int64_t compact_revision; /* KV_WATCH_COMPACTED */
    enum grpc_status status;  /* KV_WATCH_CANCELED: GRPC_OK if the server gave only a reason */
    const char *reason;       /* KV_WATCH_CANCELED; never NULL */
    /* The message, for its events and header; NULL if the client itself ended the watch. */
    const Etcdserverpb__WatchResponse *response;
};
typedef void kv_watch_notify(void *context, const struct kv_watch_event *event);

struct kv_watch_options {
    struct bytes key;       /* empty: "\0" */
    struct bytes range_end; /* empty: the key alone; "\0": from the key on */
    int64_t start_revision; /* 0: from now */
    bool prev_kv;
    bool progress_notify;
    bool no_put;
    bool no_delete;
    bool fragment; /* let the server split what exceeds its message limit */
};

/* Never NULL; refusals come as KV_WATCH_CANCELED. After COMPACTED or CANCELED nothing more comes,
 * but the watch must still be closed. */
struct kv_watch *kv_watch_open(struct kv_client *client, const struct kv_watch_options *options,
                               kv_watch_notify *notify, void *context);
/* No notification comes after this; allowed inside one. */
void kv_watch_close(struct kv_watch *watch);
/* Ask for KV_WATCH_PROGRESS on all watches. The server answers only if none of them is catching up;
 * ask again if it does not. Does nothing while there is no stream. */
void kv_client_request_progress(struct kv_client *client);

/* The revision to resume from: start a new watch there to miss nothing. 0 before "now" is known. */
int64_t kv_watch_next_revision(const struct kv_watch *watch);

#endif
