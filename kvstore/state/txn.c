/* Txn at apply. Everything that can be refused is refused before the first change, so a transaction
 * happens whole or not at all. */
#include "base/check.h"
#include "base/pb.h"
#include "kvstore/mvcc/planted.h"
#include "kvstore/state/kv_internal.h"

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

/* The transaction in kv->job.txn goes through its operations with a stack of its own, so that it
 * can stop between any two of them, and inside the deletion of a range. */

static void push_frame(struct txn_run *run, const struct txn_request *txn, struct buf *reply)
{
    CHECK(run->depth < sizeof run->frames / sizeof run->frames[0]);
    run->frames[run->depth++] = (struct txn_frame){
        .txn = txn, .response_mark = run->response_mark, .body_mark = run->body_mark};
    if (reply != NULL) {
        pb_put_u64(reply, 2, txn->succeeded);
    }
}

static void begin_response(struct txn_run *run, enum txn_op_kind kind, struct buf *reply)
{
    /* The kinds are numbered like the fields of RequestOp and ResponseOp. */
    if (reply != NULL && kind != TXN_OP_NONE) {
        run->response_mark = pb_begin_message(reply, 3);
        run->body_mark = pb_begin_message(reply, (uint32_t)kind);
    }
}

static void end_response(size_t response_mark, size_t body_mark, struct buf *reply)
{
    if (reply != NULL) {
        pb_end_message(reply, body_mark);
        pb_end_message(reply, response_mark);
    }
}

static void finish_delete_op(struct kv *kv, struct buf *reply)
{
    struct txn_run *run = &kv->job.txn;
    run->is_deleting = false;
    if (reply != NULL) {
        reply_inner_header(reply, mvcc_now(kv->mvcc));
    }
    delete_run_finish(kv, reply);
    end_response(run->response_mark, run->body_mark, reply);
}

/* Begin the operation; those that need no slices are done on return. */
static enum etcd_error start_op(struct kv *kv, const struct txn_op *op, struct buf *reply)
{
    struct txn_run *run = &kv->job.txn;
    enum etcd_error error = ETCD_OK;
    begin_response(run, op->kind, reply);
    switch (op->kind) {
    case TXN_OP_RANGE:
        error = execute_range(kv, &op->range, reply);
        break;
    case TXN_OP_PUT:
        if (reply != NULL) {
            reply_inner_header(reply, mvcc_revision(kv->mvcc) + 1);
        }
        error = execute_put(kv, op->put, reply);
        break;
    case TXN_OP_DELETE:
        delete_run_start(kv, &op->delete_range, reply != NULL);
        run->is_deleting = true;
        return ETCD_OK;
    case TXN_OP_TXN:
        push_frame(run, op->txn, reply);
        return ETCD_OK;
    case TXN_OP_NONE:
        return ETCD_OK;
    }
    end_response(run->response_mark, run->body_mark, reply);
    return error;
}

/* True: all operations are done, or *error. */
static bool run_txn(struct kv *kv, uint32_t *items, struct buf *reply, enum etcd_error *error)
{
    struct txn_run *run = &kv->job.txn;
    while (*error == ETCD_OK && run->depth > 0) {
        if (run->is_deleting) {
            if (!delete_run_step(kv, items, error)) {
                return false;
            }
            finish_delete_op(kv, reply);
            continue;
        }
        struct txn_frame *frame = &run->frames[run->depth - 1];
        const struct txn_ops *ops = chosen(frame->txn);
        if (frame->next == ops->count) {
            run->depth -= 1;
            if (run->depth > 0) {
                end_response(frame->response_mark, frame->body_mark, reply);
            }
            continue;
        }
        if (!take_item(items)) {
            return false;
        }
        *error = start_op(kv, &ops->ops[frame->next++], reply);
    }
    return true;
}

static bool step_txn(struct kv *kv, uint32_t *items, enum etcd_error *error)
{
    struct buf *reply = kv->job.context.reply;
    struct buf *body = reply == NULL ? NULL : &kv->scratch;
    if (!run_txn(kv, items, body, error)) {
        return false;
    }
    end_transaction(kv);
    kv->stats.txns += 1;
    if (*error == ETCD_OK) {
        *error = kv->reply_error;
    }
    if (reply != NULL) {
        reply_header(kv, reply, mvcc_revision(kv->mvcc));
        buf_append_bytes(reply, buf_bytes(body));
    }
    return true;
}

enum etcd_error apply_txn(struct kv *kv, const struct kv_apply_context *context)
{
    struct txn_run *run = &kv->job.txn;
    run->depth = 0;
    run->is_deleting = false;
    if (txn_request_decode(context->request, &kv->arena, &run->txn) != 0) {
        return ETCD_INVALID_ENTRY;
    }
    if (txn_cost(&run->txn) > 0 && alarms_any(&kv->alarms, KV_ALARM_NO_SPACE)) {
        return ETCD_NO_SPACE;
    }
    enum etcd_error error = evaluate_compares(kv, &run->txn);
    error = error != ETCD_OK ? error : validate_puts(kv, &run->txn);
    error = error != ETCD_OK ? error : validate_ranges(kv, &run->txn);
    if (error != ETCD_OK) {
        return error;
    }
    buf_clear(&kv->scratch);
    kv->reply_error = ETCD_OK;
    mvcc_begin(kv->mvcc);
    push_frame(run, &run->txn, context->reply == NULL ? NULL : &kv->scratch);
    kv->job.step = step_txn;
    return ETCD_OK;
}
