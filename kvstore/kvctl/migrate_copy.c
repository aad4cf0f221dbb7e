/* Every key at one revision: names first, sorted by when they were changed, then values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/migrate_live.h"

struct name {
    uint8_t *key;
    size_t size;
    int64_t mod_revision;
};

struct copying {
    struct live *live;
    struct name *names;
    size_t count;
    size_t capacity;
    int64_t revision;
    unsigned in_flight;
    char *failure;
};

Etcdserverpb__RequestOp *live_put_op(const Mvccpb__KeyValue *kv, bool has_lease,
                                     struct arena *arena)
{
    Etcdserverpb__RequestOp *op = arena_alloc(arena, sizeof *op);
    Etcdserverpb__PutRequest *put = arena_alloc(arena, sizeof *put);
    etcdserverpb__request_op__init(op);
    etcdserverpb__put_request__init(put);
    put->key = kv->key;
    put->value = kv->value;
    put->lease = has_lease ? kv->lease : 0;
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
    return op;
}

Etcdserverpb__RequestOp *live_delete_op(ProtobufCBinaryData key, struct arena *arena)
{
    Etcdserverpb__RequestOp *op = arena_alloc(arena, sizeof *op);
    Etcdserverpb__DeleteRangeRequest *del = arena_alloc(arena, sizeof *del);
    etcdserverpb__request_op__init(op);
    etcdserverpb__delete_range_request__init(del);
    del->key = key;
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range = del;
    return op;
}

int live_visit_all(struct live *live, struct invocation *side, int64_t revision, bool keys_only,
                   live_visit *visit, void *context, int64_t *ret_revision)
{
    CLEANUP(buf) struct buf next = BUF_INIT;
    uint8_t everything = 0;
    buf_append_u8(&next, 0);
    for (bool is_more = true; is_more;) {
        struct bytes key = buf_bytes(&next);
        Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
        request.key = (ProtobufCBinaryData){key.size, (uint8_t *)(uintptr_t)key.data};
        request.range_end = (ProtobufCBinaryData){1, &everything};
        request.limit = LIVE_PAGE_KEYS;
        request.revision = revision;
        request.keys_only = keys_only;
        CLEANUP(answer) struct answer answer = {0};
        int code = session_call(side, &kv_range, &request.base, &answer);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        const Etcdserverpb__RangeResponse *page = answer.message;
        revision = revision == 0 ? page->header->revision : revision;
        for (size_t i = 0; code == EXIT_CODE_OK && i < page->n_kvs; i++) {
            struct bytes found = bytes_make(page->kvs[i]->key.data, page->kvs[i]->key.len);
            code = bytes_equal(found, LIVE_MARK_KEY) ? code : visit(live, context, page->kvs[i]);
        }
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

static int add_name(struct live *live, void *context, const Mvccpb__KeyValue *kv)
{
    struct copying *copying = context;
    (void)live;
    if (copying->count == copying->capacity) {
        copying->capacity = copying->capacity == 0 ? 1024 : copying->capacity * 2;
        copying->names =
            mem_reallocarray(copying->names, copying->capacity, sizeof *copying->names);
    }
    copying->names[copying->count++] = (struct name){
        .key = mem_dup(kv->key.data, kv->key.len),
        .size = kv->key.len,
        .mod_revision = kv->mod_revision,
    };
    return EXIT_CODE_OK;
}

static int compare_changes(const void *a, const void *b)
{
    const struct name *left = a;
    const struct name *right = b;
    if (left->mod_revision != right->mod_revision) {
        return left->mod_revision < right->mod_revision ? -1 : 1;
    }
    return bytes_compare(bytes_make(left->key, left->size), bytes_make(right->key, right->size));
}

/* --- values ---------------------------------------------------------------------------------- */

static int read_values(struct copying *copying, size_t first, size_t count, struct answer *answer)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp **ops = arena_alloc(&arena, count * sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        const struct name *name = &copying->names[first + i];
        Etcdserverpb__RangeRequest *range = arena_alloc(&arena, sizeof *range);
        etcdserverpb__range_request__init(range);
        range->key = (ProtobufCBinaryData){name->size, name->key};
        range->revision = copying->revision;
        ops[i] = arena_alloc(&arena, sizeof *ops[i]);
        etcdserverpb__request_op__init(ops[i]);
        ops[i]->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        ops[i]->request_range = range;
    }
    txn.success = ops;
    txn.n_success = count;
    return session_call(&copying->live->source, &kv_txn, &txn.base, answer);
}

static void on_written(void *context, const struct kv_reply *reply)
{
    struct copying *copying = context;
    copying->in_flight -= 1;
    if (reply->status != GRPC_OK && copying->failure == NULL) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        kv_error_append_text(&text, reply->status, reply->text);
        copying->failure = mem_strdup(buf_text(&text));
    }
}

static void wait_for_room(struct copying *copying, unsigned in_flight_max)
{
    while (copying->in_flight > in_flight_max) {
        (void)uv_run(&copying->live->target->session->loop, UV_RUN_ONCE);
    }
}

/* One transaction; a connection keeps their order. */
static int write_ops(struct copying *copying, Etcdserverpb__RequestOp **ops, size_t count)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    if (count == 0) {
        return EXIT_CODE_OK;
    }
    txn.success = ops;
    txn.n_success = count;
    wait_for_room(copying, LIVE_IN_FLIGHT_MAX - 1);
    copying->in_flight += 1;
    (void)kv_client_call(copying->live->target->session->client, &kv_txn, &txn.base, NULL,
                         on_written, copying);
    copying->live->key_count += count;
    return copying->failure == NULL ? EXIT_CODE_OK
                                    : command_fail(EXIT_CODE_ERROR, "%s", copying->failure);
}

/* What one source revision changed stays one transaction. */
static int write_values(struct copying *copying, const Etcdserverpb__TxnResponse *values)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__RequestOp *ops[LIVE_TXN_OPS_MAX];
    size_t count = 0;
    int64_t mod_revision = 0;
    int code = EXIT_CODE_OK;
    for (size_t i = 0; code == EXIT_CODE_OK && i < values->n_responses; i++) {
        const Etcdserverpb__ResponseOp *response = values->responses[i];
        if (response->response_case != ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE ||
            response->response_range->n_kvs != 1) {
            return command_fail(EXIT_CODE_ERROR, "the source lost a key at its own revision");
        }
        const Mvccpb__KeyValue *kv = response->response_range->kvs[0];
        bool has_lease = false;
        if (kv->lease != 0) {
            code = live_lease_need(copying->live, kv->lease, &has_lease);
        }
        if (code == EXIT_CODE_OK && count > 0 && kv->mod_revision != mod_revision) {
            code = write_ops(copying, ops, count);
            count = 0;
        }
        mod_revision = kv->mod_revision;
        ops[count++] = live_put_op(kv, has_lease, &arena);
    }
    return code != EXIT_CODE_OK ? code : write_ops(copying, ops, count);
}

/* The end of a batch that splits no revision, unless one revision alone is larger. */
static size_t batch_size(const struct copying *copying, size_t first)
{
    size_t left = copying->count - first;
    size_t size = left < LIVE_TXN_OPS_MAX ? left : LIVE_TXN_OPS_MAX;
    size_t whole = size;
    while (whole > 0 && first + whole < copying->count &&
           copying->names[first + whole - 1].mod_revision ==
               copying->names[first + whole].mod_revision) {
        whole -= 1;
    }
    return whole > 0 ? whole : size;
}

static int copy_values(struct copying *copying)
{
    int code = EXIT_CODE_OK;
    for (size_t at = 0; code == EXIT_CODE_OK && at < copying->count;) {
        size_t size = batch_size(copying, at);
        CLEANUP(answer) struct answer answer = {0};
        code = read_values(copying, at, size, &answer);
        code = code != EXIT_CODE_OK ? code : write_values(copying, answer.message);
        at += size;
    }
    wait_for_room(copying, 0);
    if (code == EXIT_CODE_OK && copying->failure != NULL) {
        code = command_fail(EXIT_CODE_ERROR, "%s", copying->failure);
    }
    return code;
}

/* --- an earlier copy that was cut short ------------------------------------------------------ */

static int compare_keys(const void *key, const void *element)
{
    const struct name *name = element;
    const struct bytes *bytes = key;
    return bytes_compare(*bytes, bytes_make(name->key, name->size));
}

/* The names are still in the order of their keys. */
static int drop_stale(struct live *live, void *context, const Mvccpb__KeyValue *kv)
{
    struct copying *copying = context;
    struct bytes key = bytes_make(kv->key.data, kv->key.len);
    if (copying->count > 0 && bsearch(&key, copying->names, copying->count, sizeof *copying->names,
                                      compare_keys) != NULL) {
        return EXIT_CODE_OK;
    }
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = kv->key;
    CLEANUP(answer) struct answer answer = {0};
    return session_call(live->target, &kv_delete_range, &request.base, &answer);
}

int live_copy(struct live *live)
{
    struct copying copying = {.live = live};
    int64_t target_revision;
    bool is_again = live->has_mark;
    int code = live_mark_write(live, false, 0);
    code = code != EXIT_CODE_OK ? code
                                : live_visit_all(live, &live->source, 0, true, add_name, &copying,
                                                 &copying.revision);
    if (code == EXIT_CODE_OK && is_again) {
        code = live_visit_all(live, live->target, 0, true, drop_stale, &copying, &target_revision);
    }
    if (code == EXIT_CODE_OK && copying.count > 0) {
        qsort(copying.names, copying.count, sizeof *copying.names, compare_changes);
    }
    code = code != EXIT_CODE_OK ? code : copy_values(&copying);
    code = code != EXIT_CODE_OK ? code : live_mark_write(live, true, copying.revision);
    if (code == EXIT_CODE_OK) {
        printf("Copied %zu keys of revision %lld\n", copying.count, (long long)copying.revision);
        (void)fflush(stdout);
    }
    for (size_t i = 0; i < copying.count; i++) {
        mem_free(copying.names[i].key);
    }
    mem_free(copying.names);
    mem_free(copying.failure);
    return code;
}
