/* Reads: Range and read-only Txn, in slices when they are long. */
#include "base/check.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/state/kv_internal.h"
#include "kvstore/state/read_internal.h"

static enum kv_read_state fail(struct kv_result *result, enum etcd_error error)
{
    buf_clear(&result->reply);
    result->status = error;
    return KV_READ_DONE;
}

/* --- range ----------------------------------------------------------------------------------- */

static enum etcd_error start_range(struct kv_read *read, struct buf *reply)
{
    struct kv *kv = read->kv;
    struct range_request request;
    if (range_request_decode(read->request, &request) != 0) {
        return ETCD_INVALID_REQUEST;
    }
    enum etcd_error error = check_range_request(&request);
    if (error != ETCD_OK) {
        return error;
    }
    int64_t now = mvcc_revision(kv->mvcc);
    enum range_status status = range_start(&read->range, kv->mvcc, &request, now);
    if (status == RANGE_OK && reply != NULL) {
        reply_header(kv, reply, now);
    }
    read->has_range = true;
    return error_from_range(status);
}

static void finish_range(const struct range *range, struct buf *reply)
{
    pb_put_u64(reply, 3, range->more);
    pb_put_u64(reply, 4, range->count);
}

static enum kv_read_state step_range(struct kv_read *read, struct kv_budget budget,
                                     struct buf *reply, enum etcd_error *ret_error)
{
    enum etcd_error error = read->has_range ? ETCD_OK : start_range(read, reply);
    if (error != ETCD_OK) {
        *ret_error = error;
        return KV_READ_DONE;
    }
    enum range_status status =
        range_step(&read->range, read->kv->mvcc, budget.items, budget.bytes, reply);
    if (status == RANGE_MORE) {
        return KV_READ_MORE;
    }
    if (status == RANGE_OK) {
        finish_range(&read->range, reply);
        read->kv->stats.ranges += 1;
    }
    *ret_error = error_from_range(status);
    return KV_READ_DONE;
}

/* --- read-only transaction ------------------------------------------------------------------- */

static enum etcd_error start_txn(struct kv_read *read, struct buf *reply)
{
    struct kv *kv = read->kv;
    int code = txn_request_decode(read->request, &read->arena, &read->txn);
    if (code != 0) {
        return code == ERR_TOO_LARGE ? ETCD_TXN_TOO_DEEP : ETCD_INVALID_REQUEST;
    }
    enum etcd_error error = check_txn_request(&read->txn, kv->options.txn_ops_max, &read->arena);
    error = error != ETCD_OK ? error : evaluate_compares(kv, &read->txn);
    if (error != ETCD_OK) {
        return error;
    }
    read->ops = read->txn.succeeded ? &read->txn.success : &read->txn.failure;
    read->now = mvcc_revision(kv->mvcc);
    reply_header(kv, reply, read->now);
    pb_put_u64(reply, 2, read->txn.succeeded);
    /* Every operation is pinned, or refused, now. */
    for (uint32_t i = 0; i < read->ops->count; i++) {
        struct txn_op *op = &read->ops->ops[i];
        CHECK(op->kind == TXN_OP_RANGE);
        if (op->range.revision > read->now) {
            return ETCD_FUTURE_REVISION;
        }
        if (op->range.revision > 0 && op->range.revision < mvcc_compact_revision(kv->mvcc)) {
            return ETCD_COMPACTED;
        }
    }
    return ETCD_OK;
}

/* The response of one operation is made apart, because its length goes first. */
static enum range_status step_op(struct kv_read *read, struct kv_budget budget, struct buf *reply)
{
    struct mvcc *mvcc = read->kv->mvcc;
    enum range_status status = RANGE_OK;
    if (!read->has_range) {
        struct range_request request = read->ops->ops[read->op].range;
        if (request.revision <= 0 && read->now != mvcc_revision(mvcc)) {
            request.revision = read->now; /* earlier slices took time */
        }
        buf_clear(&read->part);
        reply_inner_header(&read->part, read->now);
        status = range_start(&read->range, mvcc, &request, mvcc_revision(mvcc));
        read->has_range = true;
    }
    if (status == RANGE_OK) {
        status = range_step(&read->range, mvcc, budget.items, budget.bytes, &read->part);
    }
    if (status == RANGE_OK) {
        finish_range(&read->range, &read->part);
        struct bytes part = buf_bytes(&read->part);
        pb_put_message_head(reply, 3, pb_message_size(1, part.size));
        pb_put_message(reply, 1, part);
        read->op += 1;
    }
    if (status != RANGE_MORE) {
        range_deinit(&read->range);
        read->has_range = false;
    }
    return buf_size(reply) > RANGE_REPLY_BYTES_MAX ? RANGE_TOO_LARGE : status;
}

static enum kv_read_state step_txn(struct kv_read *read, struct kv_budget budget, struct buf *reply,
                                   enum etcd_error *ret_error)
{
    enum etcd_error error = read->ops != NULL ? ETCD_OK : start_txn(read, reply);
    while (error == ETCD_OK && read->op < read->ops->count) {
        enum range_status status = step_op(read, budget, reply);
        if (status == RANGE_MORE) {
            return KV_READ_MORE;
        }
        error = error_from_range(status);
    }
    read->kv->stats.txns += 1;
    *ret_error = error;
    return KV_READ_DONE;
}

/* --- the job --------------------------------------------------------------------------------- */

static void read_init(struct kv_read *read, struct kv *kv, enum kv_op op, struct bytes request)
{
    *read = (struct kv_read){.kv = kv, .op_kind = op, .request = request};
    arena_init(&read->arena);
}

static void read_deinit(struct kv_read *read)
{
    if (read->has_range) {
        range_deinit(&read->range);
    }
    arena_deinit(&read->arena);
    buf_deinit(&read->part);
    buf_deinit(&read->reply);
    mem_free(read->owned);
}

static enum kv_read_state step(struct kv_read *read, struct kv_budget budget, struct buf *reply,
                               enum etcd_error *ret_error)
{
    *ret_error = ETCD_OK;
    if (kv_is_fenced(read->kv) && read->op_kind != KV_OP_HASH_KV && read->op_kind != KV_OP_HASH) {
        *ret_error = ETCD_CORRUPT;
        return KV_READ_DONE;
    }
    switch (read->op_kind) {
    case KV_OP_RANGE:
        return step_range(read, budget, reply, ret_error);
    case KV_OP_TXN:
        return step_txn(read, budget, reply, ret_error);
    case KV_OP_RANGE_STREAM:
        return read_step_stream(read, budget, reply, ret_error);
    case KV_OP_HASH_KV:
    case KV_OP_HASH:
        return read_step_hash(read, budget, reply, ret_error);
    default:
        CHECK_UNREACHABLE();
    }
}

static enum kv_read_state finish(enum kv_read_state state, enum etcd_error error,
                                 struct kv_result *result)
{
    if (state != KV_READ_DONE) {
        return state;
    }
    if (error != ETCD_OK) {
        return fail(result, error);
    }
    result->status = ETCD_OK;
    return KV_READ_DONE;
}

enum etcd_error read_start_range(struct kv_read *read)
{
    return start_range(read, NULL);
}

/* Between slices everything that was borrowed from the caller has to be the job's own. */
static struct kv_read *keep(const struct kv_read *read)
{
    struct kv_read *kept = mem_dup(read, sizeof *read);
    return kept;
}

struct kv_read *kv_read_new(struct kv *kv, enum kv_op op, struct bytes request)
{
    struct kv_read read;
    uint8_t *owned =
        mem_dup(request.data == NULL ? (const uint8_t *)"" : request.data, request.size);
    read_init(&read, kv, op, bytes_make(owned, request.size));
    read.owned = owned;
    return keep(&read);
}

enum kv_read_state kv_read_step(struct kv_read *read, struct kv_budget budget,
                                struct kv_result *result)
{
    enum etcd_error error;
    /* The reply grows in the job until it is whole. */
    enum kv_read_state state = step(read, budget, &read->reply, &error);
    if (state == KV_READ_MORE) {
        return state;
    }
    struct buf empty = result->reply;
    result->reply = read->reply;
    read->reply = empty;
    buf_clear(&read->reply);
    return finish(state, error, result);
}

void kv_read_free(struct kv_read *read)
{
    if (read == NULL) {
        return;
    }
    read_deinit(read);
    mem_free(read);
}

/* A point read needs no job: the request stays with the caller. */
static bool try_point(struct kv *kv, struct bytes request, struct kv_result *result)
{
    struct kv_read read;
    struct range_request decoded;
    if (range_request_decode(request, &decoded) != 0 || decoded.range_end.size != 0) {
        return false;
    }
    enum etcd_error error;
    read_init(&read, kv, KV_OP_RANGE, request);
    enum kv_read_state state = step(&read, (struct kv_budget){0}, &result->reply, &error);
    CHECK(state == KV_READ_DONE);
    (void)finish(state, error, result);
    read_deinit(&read);
    return true;
}

struct kv_read *kv_read_now(struct kv *kv, enum kv_op op, struct bytes request,
                            struct kv_budget budget, struct kv_result *result)
{
    if (op == KV_OP_RANGE && try_point(kv, request, result)) {
        return NULL;
    }
    struct kv_read *read = kv_read_new(kv, op, request);
    if (kv_read_step(read, budget, result) == KV_READ_DONE) {
        kv_read_free(read);
        return NULL;
    }
    return read;
}

/* --- questions about requests ---------------------------------------------------------------- */

bool kv_range_is_serializable(struct bytes request)
{
    struct range_request decoded;
    return range_request_decode(request, &decoded) == 0 && decoded.serializable;
}

static bool op_is_range(struct bytes op, bool *serializable)
{
    struct pb_reader reader = pb_reader_make(op);
    struct pb_field field;
    bool is_range = false;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_BYTES(1)) {
            is_range = true;
            *serializable = *serializable && kv_range_is_serializable(field.bytes);
        } else if (field.key == PB_BYTES(2) || field.key == PB_BYTES(3) ||
                   field.key == PB_BYTES(4)) {
            return false;
        }
    }
    return is_range && !reader.failed;
}

bool kv_txn_is_read_only(struct bytes request, bool *ret_serializable)
{
    struct pb_reader reader = pb_reader_make(request);
    struct pb_field field;
    bool serializable = true;
    *ret_serializable = false;
    while (pb_next(&reader, &field)) {
        bool is_op = field.key == PB_BYTES(2) || field.key == PB_BYTES(3);
        if (is_op && !op_is_range(field.bytes, &serializable)) {
            return false;
        }
    }
    if (reader.failed) {
        return false;
    }
    *ret_serializable = serializable;
    return true;
}
