/* Each later revision of the source, as it comes. */
#include <stdio.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "kvstore/client/key_range.h"
#include "kvstore/kvctl/migrate_live.h"

enum { TICK_MS = 100 };

struct following {
    struct live *live;
    struct buf responses; /* encoded WatchResponses with their sizes: handled outside the loop */
    int64_t seen;         /* everything up to this revision of the source has come */
    uv_timer_t timer;
    char *failure;
};

/* Work that asks the source something must not run inside its loop. */
static void on_event(void *context, const struct kv_watch_event *event)
{
    struct following *following = context;
    if (event->type == KV_WATCH_EVENTS) {
        const Etcdserverpb__WatchResponse *response = event->response;
        size_t size = etcdserverpb__watch_response__get_packed_size(response);
        buf_append(&following->responses, &size, sizeof size);
        uint8_t *room = buf_reserve(&following->responses, size);
        buf_commit(&following->responses, etcdserverpb__watch_response__pack(response, room));
    } else if (event->type == KV_WATCH_PROGRESS) {
        following->seen = event->revision > following->seen ? event->revision : following->seen;
    } else if (event->type == KV_WATCH_COMPACTED) {
        following->failure = mem_printf("the source has compacted revision %lld: its history is "
                                        "gone, empty the target and start again",
                                        (long long)following->live->revision + 1);
    } else if (event->type == KV_WATCH_CANCELED) {
        following->failure = mem_strdup(event->reason);
    }
    uv_stop(&following->live->source.session->loop);
}

/* Leases on the target are renewed on the target's own loop. */
static void on_tick(uv_timer_t *timer)
{
    struct following *following = timer->data;
    (void)uv_run(&following->live->target->session->loop, UV_RUN_NOWAIT);
    kv_client_request_progress(following->live->source.session->client);
    uv_stop(&following->live->source.session->loop);
}

static int write_ops(struct live *live, Etcdserverpb__RequestOp **ops, size_t count)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    txn.success = ops;
    txn.n_success = count;
    CLEANUP(answer) struct answer answer = {0};
    return session_call(live->target, &kv_txn, &txn.base, &answer);
}

/* The events of one revision, with the mark in the last transaction. Repeating them is harmless. */
static int write_revision(struct live *live, Mvccpb__Event **events, size_t count)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__RequestOp *ops[LIVE_TXN_OPS_MAX + 1];
    size_t op_count = 0;
    int code = EXIT_CODE_OK;
    for (size_t i = 0; code == EXIT_CODE_OK && i < count; i++) {
        const Mvccpb__KeyValue *kv = events[i]->kv;
        bool has_lease = false;
        if (op_count == LIVE_TXN_OPS_MAX) {
            code = write_ops(live, ops, op_count);
            op_count = 0;
        }
        if (events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
            ops[op_count++] = live_delete_op(kv->key, &arena);
            continue;
        }
        if (code == EXIT_CODE_OK && kv->lease != 0) {
            code = live_lease_need(live, kv->lease, &has_lease);
        }
        ops[op_count++] = live_put_op(kv, has_lease, &arena);
    }
    int64_t revision = events[0]->kv->mod_revision;
    ops[op_count++] = live_mark_op(live, true, revision, &arena);
    code = code != EXIT_CODE_OK ? code : write_ops(live, ops, op_count);
    if (code == EXIT_CODE_OK) {
        live->revision = revision;
        live->event_count += count;
    }
    return code;
}

static int write_response(struct following *following, const Etcdserverpb__WatchResponse *response)
{
    struct live *live = following->live;
    int code = EXIT_CODE_OK;
    for (size_t at = 0; code == EXIT_CODE_OK && at < response->n_events;) {
        size_t end = at + 1;
        while (end < response->n_events &&
               response->events[end]->kv->mod_revision == response->events[at]->kv->mod_revision) {
            end += 1;
        }
        if (response->events[at]->kv->mod_revision > live->revision) {
            code = write_revision(live, response->events + at, end - at);
        }
        at = end;
    }
    following->seen = live->revision > following->seen ? live->revision : following->seen;
    return code;
}

static int write_waiting(struct following *following)
{
    int code = EXIT_CODE_OK;
    while (code == EXIT_CODE_OK && buf_size(&following->responses) > 0) {
        struct bytes waiting = buf_bytes(&following->responses);
        size_t size;
        CHECK(waiting.data != NULL && waiting.size > sizeof size);
        memcpy(&size, waiting.data, sizeof size);
        Etcdserverpb__WatchResponse *response =
            etcdserverpb__watch_response__unpack(NULL, size, waiting.data + sizeof size);
        code = write_response(following, response);
        etcdserverpb__watch_response__free_unpacked(response, NULL);
        buf_consume(&following->responses, sizeof size + size);
    }
    if (code == EXIT_CODE_OK && following->failure != NULL) {
        code = command_fail(EXIT_CODE_ERROR, "%s", following->failure);
    }
    return code;
}

int live_follow(struct live *live, int64_t until)
{
    struct following following = {.live = live, .seen = live->revision};
    const struct kv_watch_options options = {
        .key = bytes_make("", 1),
        .range_end = key_range_everything_after,
        .start_revision = live->revision + 1,
        .progress_notify = true,
    };
    uv_loop_t *loop = &live->source.session->loop;
    struct kv_watch *watch =
        kv_watch_open(live->source.session->client, &options, on_event, &following);
    following.timer.data = &following;
    int code = uv_timer_init(loop, &following.timer);
    code = code != 0 ? code : uv_timer_start(&following.timer, on_tick, TICK_MS, TICK_MS);
    code = code != 0 ? command_fail(EXIT_CODE_ERROR, "timer: %s", uv_strerror(code)) : EXIT_CODE_OK;
    while (code == EXIT_CODE_OK && (until == 0 || following.seen < until)) {
        (void)uv_run(loop, UV_RUN_DEFAULT);
        code = write_waiting(&following);
    }
    kv_watch_close(watch);
    uv_close((uv_handle_t *)&following.timer, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT); /* the timer's memory is on this stack */
    buf_deinit(&following.responses);
    mem_free(following.failure);
    return code;
}
