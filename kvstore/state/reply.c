#include "base/pb.h"
#include "kvstore/state/kv_internal.h"

void reply_header(const struct kv *kv, struct buf *out, int64_t revision)
{
    size_t mark = pb_begin_message(out, 1);
    pb_put_u64(out, 1, kv->options.cluster_id);
    pb_put_u64(out, 2, kv->options.member_id);
    pb_put_i64(out, 3, revision);
    pb_put_u64(out, 4, kv->raft_term);
    pb_end_message(out, mark);
}

void reply_inner_header(struct buf *out, int64_t revision)
{
    size_t mark = pb_begin_message(out, 1);
    pb_put_i64(out, 3, revision);
    pb_end_message(out, mark);
}

void kv_result_clear(struct kv_result *result)
{
    struct buf reply = result->reply;
    buf_clear(&reply);
    *result = (struct kv_result){.reply = reply};
}

void kv_result_deinit(struct kv_result *result)
{
    buf_deinit(&result->reply);
    *result = (struct kv_result){0};
}

enum etcd_error error_from_range(enum range_status status)
{
    switch (status) {
    case RANGE_OK:
    case RANGE_MORE:
        return ETCD_OK;
    case RANGE_COMPACTED:
        return ETCD_COMPACTED;
    case RANGE_FUTURE:
        return ETCD_FUTURE_REVISION;
    case RANGE_FAILED:
        return ETCD_CORRUPT;
    case RANGE_TOO_LARGE:
        return ETCD_REPLY_TOO_LARGE;
    }
    return ETCD_CORRUPT;
}
