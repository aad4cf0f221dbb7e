/* One committed entry after the other, the same on every member. */
#include "base/check.h"
#include "base/pb.h"
#include "kvstore/state/kv_internal.h"

enum { SCRATCH_BYTES_KEPT = 1 << 20 };

static void check_next(const struct kv *kv, struct kv_position at)
{
    CHECK(!kv->job.is_open);
    CHECK(at.index > kv->applied.index);
    CHECK(at.term >= kv->applied.term);
}

static void move_to(struct kv *kv, struct kv_position at)
{
    check_next(kv, at);
    kv->applied = at;
    (void)mvcc_batch(kv->mvcc); /* the position itself has to be stored */
}

void kv_apply_nothing(struct kv *kv, struct kv_position at)
{
    move_to(kv, at);
}

/* With a CORRUPT alarm that names no member nobody may rely on the data (a member that is named
 * refuses by itself, and the others go on); with NOSPACE nothing may be added. */
static enum etcd_error check_alarms(const struct kv *kv, enum kv_op op)
{
    bool is_write = op == KV_OP_PUT || op == KV_OP_LEASE_GRANT;
    bool is_other = op == KV_OP_TXN || op == KV_OP_DELETE_RANGE || op == KV_OP_COMPACTION ||
                    op == KV_OP_LEASE_REVOKE || op == KV_OP_LEASE_REVOKE_MANY;
    if ((is_write || is_other) &&
        alarms_has(&kv->alarms, (struct kv_alarm_member){0, KV_ALARM_CORRUPT})) {
        return ETCD_CORRUPT;
    }
    return is_write && alarms_any(&kv->alarms, KV_ALARM_NO_SPACE) ? ETCD_NO_SPACE : ETCD_OK;
}

static enum etcd_error apply_member(struct kv *kv, enum kv_op op,
                                    const struct kv_apply_context *context)
{
    struct backend_batch *batch = mvcc_batch(kv->mvcc);
    if (op == KV_OP_DOWNGRADE_INFO_SET) {
        int code = cluster_apply_downgrade(kv->cluster, context->request, batch);
        if (code == 0 && context->reply != NULL) {
            reply_downgrade(kv, context->reply);
        }
        return code == 0 ? ETCD_OK : ETCD_INVALID_ENTRY;
    }
    int code = op == KV_OP_MEMBER_ATTR_SET
                   ? cluster_apply_attributes(kv->cluster, context->request, batch)
                   : cluster_apply_version(kv->cluster, context->request, batch);
    if (code == 0 && context->reply != NULL) {
        reply_header(kv, context->reply, 0);
    }
    return code == 0 ? ETCD_OK : ETCD_INVALID_ENTRY;
}

static enum etcd_error dispatch(struct kv *kv, enum kv_op op,
                                const struct kv_apply_context *context)
{
    enum etcd_error error = check_alarms(kv, op);
    error = error != ETCD_OK ? error : authorize_entry(kv, op, context);
    if (error != ETCD_OK) {
        return error;
    }
    switch (op) {
    case KV_OP_PUT:
        return apply_put(kv, context);
    case KV_OP_DELETE_RANGE:
        return apply_delete_range(kv, context);
    case KV_OP_TXN:
        return apply_txn(kv, context);
    case KV_OP_COMPACTION:
        return apply_compaction(kv, context);
    case KV_OP_LEASE_GRANT:
        return apply_lease_grant(kv, context);
    case KV_OP_LEASE_REVOKE:
        return apply_lease_revoke(kv, context);
    case KV_OP_LEASE_REVOKE_MANY:
        return apply_lease_revoke_many(kv, context);
    case KV_OP_LEASE_CHECKPOINT:
        return apply_lease_checkpoint(kv, context);
    case KV_OP_ALARM:
        return apply_alarm(kv, context);
    case KV_OP_MEMBER_ATTR_SET:
    case KV_OP_CLUSTER_VERSION_SET:
    case KV_OP_DOWNGRADE_INFO_SET:
        return apply_member(kv, op, context);
    case KV_OP_NONE:
        return ETCD_OK;
    default:
        return is_auth_op(op) ? apply_auth(kv, op, context) : ETCD_INVALID_ENTRY;
    }
}

/* Only a failed request has no body. */
static void finish(struct kv_result *result, enum etcd_error error)
{
    if (result == NULL) {
        return;
    }
    result->status = error;
    if (error != ETCD_OK) {
        buf_clear(&result->reply);
        result->wait_compacted = 0;
    }
}

static void complete(struct kv *kv, enum etcd_error error)
{
    struct kv_job *job = &kv->job;
    kv->applied = job->at;
    job->is_open = false;
    job->step = NULL;
    finish(job->context.result, error);
    if (kv->scratch.capacity > SCRATCH_BYTES_KEPT) {
        buf_deinit(&kv->scratch); /* one large reply must not cost memory for ever */
    }
}

bool kv_apply_start(struct kv *kv, struct kv_position at, struct bytes entry,
                    struct kv_result *result)
{
    struct kv_job *job = &kv->job;
    enum kv_op op;
    check_next(kv, at);
    (void)mvcc_batch(kv->mvcc); /* the position itself has to be stored */
    job->is_open = true;
    job->step = NULL;
    job->at = at;
    job->context = (struct kv_apply_context){
        .reply = result == NULL ? NULL : &result->reply,
        .result = result,
        .header = &job->header,
    };
    if (kv_entry_decode(entry, &job->header, &op, &job->context.request) != 0) {
        complete(kv, ETCD_INVALID_ENTRY);
        return true;
    }
    arena_reset(&kv->arena);
    enum etcd_error error = dispatch(kv, op, &job->context);
    if (error == ETCD_OK && job->step != NULL) {
        return false;
    }
    complete(kv, error);
    return true;
}

bool kv_apply_step(struct kv *kv, uint32_t *items)
{
    CHECK(kv->job.is_open && kv->job.step != NULL);
    enum etcd_error error = ETCD_OK;
    if (!kv->job.step(kv, items, &error)) {
        return false;
    }
    complete(kv, error);
    return true;
}

bool kv_is_applying(const struct kv *kv)
{
    return kv->job.is_open;
}

void kv_apply(struct kv *kv, struct kv_position at, struct bytes entry, struct kv_result *result)
{
    bool is_done = kv_apply_start(kv, at, entry, result);
    while (!is_done) {
        uint32_t items = UINT32_MAX;
        is_done = kv_apply_step(kv, &items);
    }
}

/* --- membership ------------------------------------------------------------------------------ */

/* MemberAddResponse names the new member before the list, the others only have the list. */
static void reply_member_change(struct kv *kv, const struct cluster_change *change,
                                struct buf *reply)
{
    bool is_add = change->kind == CLUSTER_ADD;
    reply_header(kv, reply, 0);
    if (is_add) {
        size_t mark = pb_begin_message(reply, 2);
        cluster_member_encode(reply, &change->member);
        pb_end_message(reply, mark);
    }
    cluster_append_members(kv->cluster, reply, is_add ? 3 : 2);
}

void kv_apply_config(struct kv *kv, struct kv_position at, struct bytes change,
                     struct kv_result *result)
{
    struct cluster_change decoded;
    move_to(kv, at);
    if (change.size == 0) {
        finish(result, ETCD_OK); /* raft's part only */
        return;
    }
    if (cluster_change_decode(change, &decoded) != 0) {
        finish(result, ETCD_INVALID_ENTRY);
        return;
    }
    enum etcd_error error = cluster_apply(kv->cluster, &decoded, mvcc_batch(kv->mvcc));
    if (result != NULL) {
        if (error == ETCD_OK) {
            reply_member_change(kv, &decoded, &result->reply);
        }
        result->removed_self = error == ETCD_OK && decoded.kind == CLUSTER_REMOVE &&
                               decoded.member.id == kv->options.member_id;
    }
    cluster_change_deinit(&decoded);
    finish(result, error);
}

void kv_list_members(struct kv *kv, struct kv_result *result)
{
    result->status = ETCD_OK;
    reply_header(kv, &result->reply, 0);
    cluster_append_members(kv->cluster, &result->reply, 2);
}
