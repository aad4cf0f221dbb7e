/* RangeStream (etcd 3.7): one Range in messages of a bounded size, all at one revision. Header,
 * `more` and `count` come with the last message only. */
#include "base/pb.h"
#include "kvstore/state/read_internal.h"

enum {
    CHUNK_KEYS_FIRST = 10,
    CHUNK_KEYS_MAX = 65536,
    CHUNK_BYTES = 1 << 20, /* what a message should have, about */
};

/* A target without an order is no custom order to etcd, though it sorts a stream as it does a
 * Range: ascending. etcd sorts each message by itself; here the whole is sorted. */
static enum etcd_error check(const struct range_request *request)
{
    bool is_natural = request->sort_order == SORT_NONE ||
                      (request->sort_order == SORT_ASCEND && request->sort_target == SORT_KEY);
    if (!is_natural) {
        return ETCD_STREAM_SORT;
    }
    bool has_filter = request->min_mod_revision != 0 || request->max_mod_revision != 0 ||
                      request->min_create_revision != 0 || request->max_create_revision != 0;
    return has_filter ? ETCD_STREAM_FILTER : ETCD_OK;
}

/* RangeStreamResponse{range_response = 1}. */
static void wrap(struct kv_read *read, struct buf *reply)
{
    pb_put_message(reply, 1, buf_bytes(&read->part));
    size_t size = buf_size(&read->part);
    if (size < CHUNK_BYTES / 2 && read->chunk_keys < CHUNK_KEYS_MAX) {
        read->chunk_keys *= 2;
    } else if (size > CHUNK_BYTES && read->chunk_keys > 1) {
        read->chunk_keys /= 2;
    }
    buf_clear(&read->part);
}

enum kv_read_state read_step_stream(struct kv_read *read, struct kv_budget budget,
                                    struct buf *reply, enum etcd_error *ret_error)
{
    if (!read->has_range) {
        enum etcd_error error = read_start_range(read);
        error = error != ETCD_OK ? error : check(&read->range.request);
        if (error != ETCD_OK) {
            *ret_error = error;
            return KV_READ_DONE;
        }
        read->now = mvcc_revision(read->kv->mvcc);
        read->chunk_keys = CHUNK_KEYS_FIRST;
    }
    uint32_t items =
        budget.items != 0 && budget.items < read->chunk_keys ? budget.items : read->chunk_keys;
    uint64_t before = read->range.emitted;
    enum range_status status =
        range_step(&read->range, read->kv->mvcc, items, CHUNK_BYTES, &read->part);
    if (status == RANGE_MORE) {
        if (read->range.emitted == before) {
            return KV_READ_MORE; /* only dead keys so far */
        }
        wrap(read, reply);
        return KV_READ_CHUNK;
    }
    if (status == RANGE_OK) {
        reply_header(read->kv, &read->part, read->now);
        pb_put_u64(&read->part, 3, read->range.more);
        pb_put_u64(&read->part, 4, read->range.count);
        wrap(read, reply);
    }
    *ret_error = error_from_range(status);
    return KV_READ_DONE;
}
