/* Put, DeleteRange and Txn at apply. Everything that can be refused is refused before the first
 * change, so a transaction happens whole or not at all. */
#include "base/check.h"
#include "base/pb.h"
#include "kvstore/mvcc/planted.h"
#include "kvstore/state/kv_internal.h"
#include "kvstore/watch/watch_feed.h"

void end_transaction(struct kv *kv)
{
    uint32_t count = 0;
    const struct mvcc_change *changes = mvcc_end(kv->mvcc, &count);
    kv->stats.events += count;
    if (count > 0) {
        watch_hub_notify(kv->hub, changes, count);
    }
}

static const struct key_entry *find_live(const struct kv *kv, struct bytes key)
{
    const struct key_entry *entry = key_index_find(mvcc_index(kv->mvcc), key);
    return entry == NULL || entry->is_tombstone ? NULL : entry;
}

/* --- put ------------------------------------------------------------------------------------- */

static enum etcd_error validate_put(const struct kv *kv, const struct put_request *put)
{
    if (put->key.size == 0) {
        return ETCD_EMPTY_KEY;
    }
    if (put->lease != 0 && lessor_find(kv->lessor, put->lease) == NULL) {
        return ETCD_LEASE_NOT_FOUND;
    }
    if ((put->ignore_value || put->ignore_lease) && find_live(kv, put->key) == NULL) {
        return ETCD_KEY_NOT_FOUND;
    }
    return ETCD_OK;
}

/* Fields of the present record that the put keeps or returns. */
static enum etcd_error read_previous(struct kv *kv, struct put_request *put, struct buf *reply)
{
    if (!put->ignore_value && !(put->prev_kv && reply != NULL)) {
        return ETCD_OK;
    }
    const struct key_entry *entry = find_live(kv, put->key);
    struct bytes encoded;
    struct key_value record;
    if (entry == NULL) {
        return ETCD_OK;
    }
    if (mvcc_get(kv->mvcc, (struct revision){entry->mod, entry->sub}, &encoded) != 0 ||
        key_value_decode(encoded, &record) != 0) {
        return ETCD_CORRUPT;
    }
    if (put->ignore_value) {
        put->value = record.value;
    }
    if (put->prev_kv && reply != NULL) {
        pb_put_message(reply, 2, encoded);
    }
    return ETCD_OK;
}

/* Inside a transaction; the response's fields behind the header go to reply (may be NULL). */
static enum etcd_error execute_put(struct kv *kv, struct put_request put, struct buf *reply)
{
    enum etcd_error error = read_previous(kv, &put, reply);
    if (error != ETCD_OK) {
        return error;
    }
    int64_t lease = put.ignore_lease ? lessor_lease_of(kv->lessor, put.key) : put.lease;
    struct key_entry before;
    (void)mvcc_put(kv->mvcc, put.key, put.value, lease, &before);
    if (lease != 0 || before.has_lease) {
        lessor_attach(kv->lessor, lease, put.key);
    }
    kv->stats.puts += 1;
    kv->stats.put_bytes += put.key.size + put.value.size;
    return ETCD_OK;
}

enum etcd_error apply_put(struct kv *kv, const struct kv_apply_context *context)
{
    struct put_request put;
    if (put_request_decode(context->request, &put) != 0) {
        return ETCD_INVALID_ENTRY;
    }
    enum etcd_error error = validate_put(kv, &put);
    if (error != ETCD_OK) {
        return error;
    }
    mvcc_begin(kv->mvcc);
    if (context->reply != NULL) {
        reply_header(kv, context->reply, mvcc_revision(kv->mvcc) + 1);
    }
    error = execute_put(kv, put, context->reply);
    end_transaction(kv);
    return error;
}

/* --- delete ---------------------------------------------------------------------------------- */

void delete_entry(struct kv *kv, struct key_entry *entry)
{
    if (entry->has_lease) {
        lessor_detach(kv->lessor, key_entry_key(entry));
    }
    mvcc_delete(kv->mvcc, entry);
    kv->stats.deletes += 1;
}

static enum etcd_error delete_one(struct kv *kv, struct key_entry *entry, bool want_previous,
                                  struct buf *previous)
{
    if (want_previous) {
        struct bytes encoded;
        if (mvcc_get(kv->mvcc, (struct revision){entry->mod, entry->sub}, &encoded) != 0) {
            return ETCD_CORRUPT;
        }
        pb_put_message(previous, 3, encoded);
    }
    delete_entry(kv, entry);
    return ETCD_OK;
}

/* Inside a transaction; the response's fields behind the header go to reply (may be NULL). */
static enum etcd_error execute_delete(struct kv *kv, const struct delete_request *request,
                                      struct buf *reply)
{
    struct key_range range;
    bool want_previous = request->prev_kv && reply != NULL;
    struct buf previous = BUF_INIT;
    uint64_t deleted = 0;
    enum etcd_error error = ETCD_OK;
    if (!request_range(request->key, request->range_end, &range)) {
        struct key_entry *entry = key_index_find(mvcc_index(kv->mvcc), request->key);
        if (entry != NULL && !entry->is_tombstone) {
            error = delete_one(kv, entry, want_previous, &previous);
            deleted = 1;
        }
    } else if (range.is_unbounded || bytes_compare(range.start, range.end) < 0) {
        /* A deletion leaves the tree's shape as it is, so the cursor stays good. */
        struct key_cursor cursor = key_index_seek(mvcc_index(kv->mvcc), range.start);
        for (struct key_entry *entry = key_cursor_next_live(&cursor);
             error == ETCD_OK && entry != NULL && key_range_contains(&range, key_entry_key(entry));
             entry = key_cursor_next_live(&cursor)) {
            error = delete_one(kv, entry, want_previous, &previous);
            deleted += 1;
        }
    }
    if (reply != NULL) {
        pb_put_u64(reply, 2, deleted);
        buf_append_bytes(reply, buf_bytes(&previous));
    }
    buf_deinit(&previous);
    return error;
}

enum etcd_error apply_delete_range(struct kv *kv, const struct kv_apply_context *context)
{
    struct delete_request request;
    if (delete_request_decode(context->request, &request) != 0) {
        return ETCD_INVALID_ENTRY;
    }
    if (request.key.size == 0) {
        return ETCD_EMPTY_KEY;
    }
    struct buf *body = context->reply == NULL ? NULL : &kv->scratch;
    buf_clear(&kv->scratch);
    mvcc_begin(kv->mvcc);
    enum etcd_error error = execute_delete(kv, &request, body);
    end_transaction(kv);
    if (body != NULL) {
        reply_header(kv, context->reply, mvcc_revision(kv->mvcc));
        buf_append_bytes(context->reply, buf_bytes(body));
    }
    return error;
}

/* --- txn ------------------------------------------------------------------------------------- */

static const struct txn_ops *chosen(const struct txn_request *txn)
{
    return txn->succeeded ? &txn->success : &txn->failure;
}

static enum etcd_error validate_puts(struct kv *kv, const struct txn_request *txn)
{
    const struct txn_ops *ops = chosen(txn);
    enum etcd_error error = ETCD_OK;
    for (uint32_t i = 0; error == ETCD_OK && i < ops->count; i++) {
        if (ops->ops[i].kind == TXN_OP_PUT) {
            error = validate_put(kv, &ops->ops[i].put);
        } else if (ops->ops[i].kind == TXN_OP_TXN) {
            error = validate_puts(kv, ops->ops[i].txn);
        }
    }
    return error;
}

static enum etcd_error validate_ranges(struct kv *kv, const struct txn_request *txn)
{
    const struct txn_ops *ops = chosen(txn);
    for (uint32_t i = 0; i < ops->count; i++) {
        enum etcd_error error = ETCD_OK;
        if (ops->ops[i].kind == TXN_OP_TXN) {
            error = validate_ranges(kv, ops->ops[i].txn);
        } else if (ops->ops[i].kind == TXN_OP_RANGE && ops->ops[i].range.revision > 0) {
            int64_t revision = ops->ops[i].range.revision;
            error = revision > mvcc_revision(kv->mvcc)           ? ETCD_FUTURE_REVISION
                    : revision < mvcc_compact_revision(kv->mvcc) ? ETCD_COMPACTED
                                                                 : ETCD_OK;
        }
        if (error != ETCD_OK) {
            return error;
        }
    }
    return ETCD_OK;
}

static enum etcd_error execute_range(struct kv *kv, const struct range_request *request,
                                     struct buf *reply)
{
    if (reply == NULL) {
        return ETCD_OK; /* it changes nothing */
    }
    struct range range;
    int64_t now = PLANTED(49) ? mvcc_revision(kv->mvcc) : mvcc_now(kv->mvcc);
    reply_inner_header(reply, now);
    enum range_status status = range_start(&range, kv->mvcc, request, now);
    if (status == RANGE_OK) {
        status = range_step(&range, kv->mvcc, 0, 0, reply);
    }
    if (status == RANGE_OK) {
        pb_put_u64(reply, 3, range.more);
        pb_put_u64(reply, 4, range.count);
    }
    range_deinit(&range);
    if (status == RANGE_TOO_LARGE) {
        kv->reply_error = ETCD_REPLY_TOO_LARGE; /* only this reply fails, the writes go on */
        return ETCD_OK;
    }
    return error_from_range(status);
}

static enum etcd_error execute_txn(struct kv *kv, const struct txn_request *txn, struct buf *reply);

static enum etcd_error execute_delete_op(struct kv *kv, const struct delete_request *request,
                                         struct buf *reply)
{
    if (reply == NULL) {
        return execute_delete(kv, request, NULL);
    }
    struct buf body = BUF_INIT;
    enum etcd_error error = execute_delete(kv, request, &body);
    reply_inner_header(reply, mvcc_now(kv->mvcc));
    buf_append_bytes(reply, buf_bytes(&body));
    buf_deinit(&body);
    return error;
}

/* The response of one operation, without its place in ResponseOp. */
static enum etcd_error execute_op_body(struct kv *kv, const struct txn_op *op, struct buf *reply)
{
    switch (op->kind) {
    case TXN_OP_RANGE:
        return execute_range(kv, &op->range, reply);
    case TXN_OP_PUT:
        if (reply != NULL) {
            reply_inner_header(reply, mvcc_revision(kv->mvcc) + 1);
        }
        return execute_put(kv, op->put, reply);
    case TXN_OP_DELETE:
        return execute_delete_op(kv, &op->delete_range, reply);
    case TXN_OP_TXN:
        return execute_txn(kv, op->txn, reply);
    case TXN_OP_NONE:
        break;
    }
    return ETCD_OK;
}

/* The kinds are numbered like the fields of RequestOp and ResponseOp. */
static enum etcd_error execute_op(struct kv *kv, const struct txn_op *op, struct buf *reply)
{
    if (reply == NULL || op->kind == TXN_OP_NONE) {
        return execute_op_body(kv, op, reply);
    }
    size_t response = pb_begin_message(reply, 3);
    size_t body = pb_begin_message(reply, (uint32_t)op->kind);
    enum etcd_error error = execute_op_body(kv, op, reply);
    pb_end_message(reply, body);
    pb_end_message(reply, response);
    return error;
}

/* Fields 2 and 3 of TxnResponse; a nested one has no header. */
static enum etcd_error execute_txn(struct kv *kv, const struct txn_request *txn, struct buf *reply)
{
    const struct txn_ops *ops = chosen(txn);
    if (reply != NULL) {
        pb_put_u64(reply, 2, txn->succeeded);
    }
    for (uint32_t i = 0; i < ops->count; i++) {
        enum etcd_error error = execute_op(kv, &ops->ops[i], reply);
        if (error != ETCD_OK) {
            return error;
        }
    }
    return ETCD_OK;
}

enum etcd_error apply_txn(struct kv *kv, const struct kv_apply_context *context)
{
    struct txn_request txn;
    if (txn_request_decode(context->request, &kv->arena, &txn) != 0) {
        return ETCD_INVALID_ENTRY;
    }
    if (txn_cost(&txn) > 0 && alarms_any(&kv->alarms, KV_ALARM_NO_SPACE)) {
        return ETCD_NO_SPACE;
    }
    enum etcd_error error = evaluate_compares(kv, &txn);
    error = error != ETCD_OK ? error : validate_puts(kv, &txn);
    error = error != ETCD_OK ? error : validate_ranges(kv, &txn);
    if (error != ETCD_OK) {
        return error;
    }
    struct buf *body = context->reply == NULL ? NULL : &kv->scratch;
    buf_clear(&kv->scratch);
    kv->reply_error = ETCD_OK;
    mvcc_begin(kv->mvcc);
    error = execute_txn(kv, &txn, body);
    end_transaction(kv);
    kv->stats.txns += 1;
    if (error == ETCD_OK) {
        error = kv->reply_error;
    }
    if (body != NULL) {
        reply_header(kv, context->reply, mvcc_revision(kv->mvcc));
        buf_append_bytes(context->reply, buf_bytes(body));
    }
    return error;
}

/* --- compaction ------------------------------------------------------------------------------ */

enum etcd_error apply_compaction(struct kv *kv, const struct kv_apply_context *context)
{
    int64_t revision = 0;
    bool physical = false;
    struct pb_reader reader = pb_reader_make(context->request);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            revision = (int64_t)field.value;
        } else if (field.key == PB_VARINT(2)) {
            physical = field.value != 0;
        }
    }
    if (reader.failed) {
        return ETCD_INVALID_ENTRY;
    }
    if (revision <= mvcc_compact_revision(kv->mvcc)) {
        return ETCD_COMPACTED;
    }
    if (revision > mvcc_revision(kv->mvcc)) {
        return ETCD_FUTURE_REVISION;
    }
    compact_hash_add(kv, mvcc_compact_revision(kv->mvcc), revision);
    mvcc_compact(kv->mvcc, revision);
    watch_hub_compacted(kv->hub);
    if (context->result != NULL) {
        context->result->wait_compacted = physical ? revision : 0;
        reply_header(kv, context->reply, mvcc_revision(kv->mvcc));
    }
    return ETCD_OK;
}
