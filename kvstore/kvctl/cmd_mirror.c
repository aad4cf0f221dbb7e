/* make-mirror: copy a prefix to another cluster, then follow it. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kvstore/client/key_range.h"
#include "kvstore/client/watch.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/session.h"

enum { PAGE_KEYS = 1000, REPORT_INTERVAL_MS = 30000 };

struct mirror {
    struct invocation *inv;
    struct invocation destination; /* the same command with the other cluster's flags */
    struct bytes source_prefix;
    struct bytes target_prefix;
    size_t ops_max;
    int64_t total;
    uint64_t reported_ms;
    int code;
};

static void report(struct mirror *mirror)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (now_ms >= mirror->reported_ms + REPORT_INTERVAL_MS) {
        mirror->reported_ms = now_ms;
        printf("%lld\n", (long long)mirror->total);
        (void)fflush(stdout);
    }
}

/* The key with the one prefix in place of the other. */
static ProtobufCBinaryData target_key(const struct mirror *mirror, ProtobufCBinaryData key,
                                      struct arena *arena)
{
    size_t skip = mirror->source_prefix.size < key.len ? mirror->source_prefix.size : key.len;
    size_t size = mirror->target_prefix.size + key.len - skip;
    uint8_t *data = arena_alloc(arena, size + 1);
    if (mirror->target_prefix.size > 0) {
        memcpy(data, mirror->target_prefix.data, mirror->target_prefix.size);
    }
    memcpy(data + mirror->target_prefix.size, key.data + skip, key.len - skip);
    return (ProtobufCBinaryData){size, data};
}

static Etcdserverpb__RequestOp *put_op(const struct mirror *mirror, const Mvccpb__KeyValue *kv,
                                       struct arena *arena)
{
    Etcdserverpb__RequestOp *op = arena_alloc(arena, sizeof *op);
    Etcdserverpb__PutRequest *put = arena_alloc(arena, sizeof *put);
    etcdserverpb__request_op__init(op);
    etcdserverpb__put_request__init(put);
    put->key = target_key(mirror, kv->key, arena);
    put->value = kv->value;
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
    return op;
}

static Etcdserverpb__RequestOp *delete_op(const struct mirror *mirror, const Mvccpb__KeyValue *kv,
                                          struct arena *arena)
{
    Etcdserverpb__RequestOp *op = arena_alloc(arena, sizeof *op);
    Etcdserverpb__DeleteRangeRequest *del = arena_alloc(arena, sizeof *del);
    etcdserverpb__request_op__init(op);
    etcdserverpb__delete_range_request__init(del);
    del->key = target_key(mirror, kv->key, arena);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range = del;
    return op;
}

static int write_ops(struct mirror *mirror, Etcdserverpb__RequestOp **ops, size_t count)
{
    if (count == 0) {
        return EXIT_CODE_OK;
    }
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    txn.success = ops;
    txn.n_success = count;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(&mirror->destination, &kv_txn, &txn.base, &answer);
    if (code == EXIT_CODE_OK) {
        mirror->total += (int64_t)count;
        report(mirror);
    }
    return code;
}

static int write_page(struct mirror *mirror, const Etcdserverpb__RangeResponse *page)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__RequestOp **ops = arena_alloc(&arena, (page->n_kvs + 1) * sizeof *ops);
    for (size_t i = 0; i < page->n_kvs; i++) {
        ops[i] = put_op(mirror, page->kvs[i], &arena);
    }
    int code = EXIT_CODE_OK;
    for (size_t i = 0; code == EXIT_CODE_OK && i < page->n_kvs; i += mirror->ops_max) {
        size_t left = page->n_kvs - i;
        code = write_ops(mirror, ops + i, left < mirror->ops_max ? left : mirror->ops_max);
    }
    return code;
}

/* Everything under the prefix at one revision, page by page. */
static int copy_all(struct mirror *mirror, struct bytes end, int64_t *ret_revision)
{
    CLEANUP(buf) struct buf next = BUF_INIT;
    buf_append_bytes(&next, mirror->source_prefix);
    if (mirror->source_prefix.size == 0) {
        buf_append_u8(&next, 0);
    }
    int64_t revision = 0;
    for (bool is_more = true; is_more;) {
        struct bytes key = buf_bytes(&next);
        Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
        request.key = (ProtobufCBinaryData){key.size, (uint8_t *)(uintptr_t)key.data};
        request.range_end = (ProtobufCBinaryData){end.size, (uint8_t *)(uintptr_t)end.data};
        request.limit = PAGE_KEYS;
        request.revision = revision;
        CLEANUP(answer) struct answer answer = {0};
        int code = session_call(mirror->inv, &kv_range, &request.base, &answer);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        const Etcdserverpb__RangeResponse *page = answer.message;
        if (revision == 0 && page->header != NULL) {
            revision = page->header->revision;
        }
        code = write_page(mirror, page);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        is_more = page->more && page->n_kvs > 0;
        if (is_more) {
            ProtobufCBinaryData last = page->kvs[page->n_kvs - 1]->key;
            buf_clear(&next);
            buf_append(&next, last.data, last.len);
            buf_append_u8(&next, 0); /* the smallest key after it */
        }
    }
    *ret_revision = revision;
    return EXIT_CODE_OK;
}

/* One source revision stays one transaction, unless it has more operations than one may have. */
static int write_events(struct mirror *mirror, const Etcdserverpb__WatchResponse *response)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__RequestOp **ops = arena_alloc(&arena, (response->n_events + 1) * sizeof *ops);
    size_t count = 0;
    int64_t last_revision = 0;
    int code = EXIT_CODE_OK;
    for (size_t i = 0; code == EXIT_CODE_OK && i < response->n_events; i++) {
        const Mvccpb__Event *event = response->events[i];
        bool is_next = last_revision != 0 && event->kv->mod_revision > last_revision;
        if (is_next || count == mirror->ops_max) {
            code = write_ops(mirror, ops, count);
            count = 0;
        }
        last_revision = event->kv->mod_revision;
        bool is_delete = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
        ops[count++] =
            is_delete ? delete_op(mirror, event->kv, &arena) : put_op(mirror, event->kv, &arena);
    }
    return code == EXIT_CODE_OK ? write_ops(mirror, ops, count) : code;
}

static void on_event(void *context, const struct kv_watch_event *event)
{
    struct mirror *mirror = context;
    if (event->type == KV_WATCH_EVENTS) {
        mirror->code = write_events(mirror, event->response);
    } else if (event->type == KV_WATCH_COMPACTED) {
        mirror->code =
            command_fail(EXIT_CODE_ERROR, "etcdserver: mvcc: required revision has been compacted");
    } else if (event->type == KV_WATCH_CANCELED) {
        mirror->code = command_fail(EXIT_CODE_ERROR, "%s", event->reason);
    }
    if (mirror->code != EXIT_CODE_OK) {
        uv_stop(&mirror->inv->session->loop);
    }
}

static void copy_flag(struct mirror *mirror, const char *from, const char *to)
{
    const struct flag_value *source = flag_set_find(&mirror->inv->flags, from);
    struct flag_value *target = flag_set_find(&mirror->destination.flags, to);
    target->text = source->text;
    target->is_set = source->is_set;
}

/* The destination is a second invocation: the same flags, with the --dest- ones in their places. */
static void make_destination(struct mirror *mirror)
{
    mirror->destination = *mirror->inv;
    mirror->destination.session = NULL;
    static const char *const names[] = {"cert", "key",     "cacert", "insecure-transport",
                                        "user", "password"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        copy_flag(mirror, arena_printf(mirror->inv->arena, "dest-%s", names[i]), names[i]);
    }
    struct flag_value *endpoints = flag_set_find(&mirror->destination.flags, "endpoints");
    endpoints->text = mirror->inv->arguments[0];
}

static int run_mirror(struct mirror *mirror)
{
    struct invocation *inv = mirror->inv;
    CLEANUP(buf) struct buf end = BUF_INIT;
    key_range_append_prefix_end(&end, mirror->source_prefix);
    struct bytes end_bytes = buf_bytes(&end);
    int64_t next_revision = flag_number(&inv->flags, "rev");
    int code = session_connect(inv);
    if (code == EXIT_CODE_OK) {
        code = session_connect(&mirror->destination);
    }
    if (code == EXIT_CODE_OK && next_revision <= 0) {
        code = copy_all(mirror, end_bytes, &next_revision);
        next_revision += 1;
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const struct kv_watch_options options = {
        .key = mirror->source_prefix,
        .range_end = end_bytes,
        .start_revision = next_revision,
    };
    struct kv_watch *watch = kv_watch_open(inv->session->client, &options, on_event, mirror);
    (void)uv_run(&inv->session->loop, UV_RUN_DEFAULT);
    kv_watch_close(watch);
    return mirror->code;
}

static int run_make_mirror(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "make-mirror takes one destination argument");
    }
    bool is_rootless = flag_bool(&inv->flags, "no-dest-prefix");
    const char *target = flag_text(&inv->flags, "dest-prefix");
    if (is_rootless && *target != '\0') {
        return command_fail(EXIT_CODE_BAD_ARGS, "`--dest-prefix` and `--no-dest-prefix` cannot be "
                                                "set at the same time, choose one");
    }
    int64_t ops_max = flag_number(&inv->flags, "max-txn-ops");
    if (ops_max < 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "--max-txn-ops must be at least 1");
    }
    struct mirror mirror = {.inv = inv, .ops_max = (size_t)ops_max};
    mirror.source_prefix = bytes_from_text(flag_text(&inv->flags, "prefix"));
    mirror.target_prefix =
        is_rootless || *target != '\0' ? bytes_from_text(target) : mirror.source_prefix;
    mirror.reported_ms = clock_monotonic_ms();
    make_destination(&mirror);
    int code = run_mirror(&mirror);
    session_close(&mirror.destination);
    return code;
}

static const struct flag mirror_flags[] = {
    {.name = "prefix", .type = FLAG_TEXT, .help = "mirror only the keys with that prefix"},
    {.name = "rev", .type = FLAG_NUMBER, .help = "do not copy, follow from this revision on"},
    {.name = "max-txn-ops",
     .type = FLAG_NUMBER,
     .initial = "128",
     .help = "operations the destination allows in one transaction"},
    {.name = "dest-prefix", .type = FLAG_TEXT, .help = "prefix to put in place of --prefix"},
    {.name = "no-dest-prefix", .type = FLAG_BOOL, .help = "put nothing in place of --prefix"},
    {.name = "dest-cert", .type = FLAG_TEXT, .help = "certificate to show to the destination"},
    {.name = "dest-key", .type = FLAG_TEXT, .help = "its key"},
    {.name = "dest-cacert", .type = FLAG_TEXT, .help = "authorities to trust there"},
    {.name = "dest-insecure-transport",
     .type = FLAG_BOOL,
     .initial = "true",
     .help = "no TLS to the destination"},
    {.name = "dest-user", .type = FLAG_TEXT, .help = "username[:password] there"},
    {.name = "dest-password", .type = FLAG_TEXT, .help = "password there"},
    {.name = NULL},
};

const struct command mirror_commands[] = {
    {
        .path = "make-mirror",
        .group = "maintenance",
        .summary = "Copy keys to another cluster, go on with changes",
        .arguments = "<destination>",
        .flags = mirror_flags,
        .run = run_make_mirror,
        .examples = "$ kvctl make-mirror --prefix /jobs/ 10.1.0.1:2379",
    },
    {.path = NULL},
};
