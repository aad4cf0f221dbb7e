/* elect: run for leadership, or watch who leads. */
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/client/key_range.h"
#include "kvstore/client/watch.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/queue_key.h"

enum { ELECTION_TTL_S = 60 };

static int campaign(struct invocation *inv)
{
    struct queue_key queue;
    int code = queue_key_open(&queue, inv, inv->arguments[0], ELECTION_TTL_S);
    if (code == EXIT_CODE_OK) {
        code = queue_key_acquire(&queue, inv->arguments[1]);
    }
    if (code == EXIT_CODE_OK && !queue.is_signalled) {
        code = queue_key_show(&queue);
    }
    if (code == EXIT_CODE_OK) {
        queue_key_hold(&queue);
        code = queue.is_expired ? command_fail(EXIT_CODE_ERROR, "elect: session expired")
                                : queue_key_release(&queue);
    }
    queue_key_close(&queue);
    return code;
}

struct observer {
    struct invocation *inv;
    struct kv_watch *watch;
    const char *prefix;
    struct bytes end;
    int64_t shown_revision; /* of the leader's key */
    bool is_changed;
    bool is_lost;
};

static void on_change(void *context, const struct kv_watch_event *event)
{
    struct observer *observer = context;
    observer->is_changed |= event->type == KV_WATCH_EVENTS;
    observer->is_lost |= event->type == KV_WATCH_COMPACTED || event->type == KV_WATCH_CANCELED;
    if (observer->is_changed || observer->is_lost) {
        uv_stop(&observer->inv->session->loop);
    }
}

/* Who is first in line now; print it if it is news. ret_revision: of the store. */
static int show_leader(struct observer *observer, int64_t *ret_revision)
{
    struct invocation *inv = observer->inv;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key =
        (ProtobufCBinaryData){strlen(observer->prefix), (uint8_t *)(uintptr_t)observer->prefix};
    request.range_end =
        (ProtobufCBinaryData){observer->end.size, (uint8_t *)(uintptr_t)observer->end.data};
    request.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    request.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    request.limit = 1;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_range, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__RangeResponse *response = answer.message;
    *ret_revision = response->header == NULL ? 0 : response->header->revision;
    int64_t revision = response->n_kvs == 0 ? 0 : response->kvs[0]->mod_revision;
    if (revision == 0 || revision == observer->shown_revision) {
        return EXIT_CODE_OK;
    }
    observer->shown_revision = revision;
    struct err err;
    int result = print_range(&inv->session->printer, response, &err);
    return session_show(inv, result, &err);
}

static int observe(struct invocation *inv)
{
    struct observer observer = {.inv = inv};
    observer.prefix = arena_printf(inv->arena, "%s/", inv->arguments[0]);
    CLEANUP(buf) struct buf end = BUF_INIT;
    key_range_append_prefix_end(&end, bytes_from_text(observer.prefix));
    observer.end = buf_bytes(&end);
    int64_t revision;
    int code = show_leader(&observer, &revision);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const struct kv_watch_options options = {
        .key = bytes_from_text(observer.prefix),
        .range_end = observer.end,
        .start_revision = revision + 1,
    };
    observer.watch = kv_watch_open(inv->session->client, &options, on_change, &observer);
    while (code == EXIT_CODE_OK && !observer.is_lost) {
        (void)uv_run(&inv->session->loop, UV_RUN_DEFAULT);
        if (observer.is_changed) {
            observer.is_changed = false;
            code = show_leader(&observer, &revision);
        }
    }
    kv_watch_close(observer.watch);
    return code != EXIT_CODE_OK ? code : command_fail(EXIT_CODE_ERROR, "elect: observer lost");
}

static int run_elect(struct invocation *inv)
{
    bool is_listening = flag_bool(&inv->flags, "listen");
    if (inv->argument_count != 1 && inv->argument_count != 2) {
        return command_fail(EXIT_CODE_BAD_ARGS, "elect takes one election name argument and an "
                                                "optional proposal argument");
    }
    if (inv->argument_count == 1 && !is_listening) {
        return command_fail(EXIT_CODE_BAD_ARGS, "no proposal argument but -l not set");
    }
    if (inv->argument_count == 2 && is_listening) {
        return command_fail(EXIT_CODE_BAD_ARGS, "proposal given but -l is set");
    }
    return is_listening ? observe(inv) : campaign(inv);
}

static const struct flag elect_flags[] = {
    {.name = "listen", .letter = 'l', .type = FLAG_BOOL, .help = "only print who leads"},
    {.name = NULL},
};

const struct command elect_commands[] = {
    {
        .path = "elect",
        .group = "coordination",
        .summary = "Take part in an election",
        .arguments = "<election> [proposal]",
        .flags = elect_flags,
        .run = run_elect,
        .examples = "$ kvctl elect scheduler node-1\n"
                    "$ kvctl elect -l scheduler",
    },
    {.path = NULL},
};
