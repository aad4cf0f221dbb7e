/* watch_client.h - one watch call as a client sees it: requests by arguments, decoded responses. */
#ifndef TESTS_UNIT_KVSTORE_WATCH_CLIENT_H
#define TESTS_UNIT_KVSTORE_WATCH_CLIENT_H

#include "kvstore/watch/watch_hub.h"
#include "tests/unit/kvstore/kv_world.h"

struct watch_create {
    const char *key;
    const char *range_end; /* NULL: one key */
    int64_t start_revision;
    int64_t watch_id;
    bool progress_notify;
    bool no_put;
    bool no_delete;
    bool prev_kv;
    bool fragment;
};

int watch_client_create(struct watch_stream *stream, const struct watch_create *create);
int watch_client_cancel(struct watch_stream *stream, int64_t watch_id);
int watch_client_progress(struct watch_stream *stream);

enum { WATCH_CLIENT_RESPONSES_MAX = 20000 };

struct watch_responses {
    Etcdserverpb__WatchResponse *response[WATCH_CLIENT_RESPONSES_MAX];
    size_t count;
};

/* Take up to max_bytes and decode; free with watch_responses_clear. */
void watch_client_take(struct watch_stream *stream, size_t max_bytes,
                       struct watch_responses *responses);
void watch_responses_clear(struct watch_responses *responses);

#endif
