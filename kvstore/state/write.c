/* Put, DeleteRange and Compaction at apply. */
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

enum etcd_error validate_put(const struct kv *kv, const struct put_request *put)
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

enum etcd_error execute_put(struct kv *kv, struct put_request put, struct buf *reply)
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

/* Delete the live entry and its lease's claim on it. */
static enum etcd_error delete_one(struct kv *kv, struct key_entry *entry)
{
    struct delete_run *run = &kv->job.delete_run;
    if (run->wants_previous) {
        struct bytes encoded;
        if (mvcc_get(kv->mvcc, (struct revision){entry->mod, entry->sub}, &encoded) != 0) {
            return ETCD_CORRUPT;
        }
        pb_put_message(&run->previous, 3, encoded);
    }
    if (entry->has_lease) {
        lessor_detach(kv->lessor, key_entry_key(entry));
    }
    mvcc_delete(kv->mvcc, entry);
    kv->stats.deletes += 1;
    run->deleted += 1;
    return ETCD_OK;
}

void delete_run_start(struct kv *kv, const struct delete_request *request, bool has_reply)
{
    struct delete_run *run = &kv->job.delete_run;
    *run = (struct delete_run){
        .wants_previous = request->prev_kv && has_reply, .key = request->key, .previous = BUF_INIT};
    run->is_single = !request_range(request->key, request->range_end, &run->range);
    if (!run->is_single) {
        run->cursor = key_index_seek(mvcc_index(kv->mvcc), run->range.start);
    }
}

bool delete_run_step(struct kv *kv, uint32_t *items, enum etcd_error *error)
{
    struct delete_run *run = &kv->job.delete_run;
    if (run->is_single) {
        struct key_entry *entry = key_index_find(mvcc_index(kv->mvcc), run->key);
        *error = entry == NULL || entry->is_tombstone ? ETCD_OK : delete_one(kv, entry);
        return true;
    }
    if (!run->range.is_unbounded && bytes_compare(run->range.start, run->range.end) >= 0) {
        return true; /* nothing lies between */
    }
    while (take_item(items)) {
        struct key_entry *entry = key_cursor_next_live(&run->cursor);
        if (entry == NULL || !key_range_contains(&run->range, key_entry_key(entry))) {
            return true;
        }
        *error = delete_one(kv, entry);
        if (*error != ETCD_OK) {
            return true;
        }
    }
    return false;
}

void delete_run_finish(struct kv *kv, struct buf *reply)
{
    struct delete_run *run = &kv->job.delete_run;
    if (reply != NULL) {
        pb_put_u64(reply, 2, run->deleted);
        buf_append_bytes(reply, buf_bytes(&run->previous));
    }
    buf_deinit(&run->previous);
}

static bool step_delete_range(struct kv *kv, uint32_t *items, enum etcd_error *error)
{
    if (!delete_run_step(kv, items, error)) {
        return false;
    }
    end_transaction(kv);
    struct buf *reply = kv->job.context.reply;
    if (reply != NULL) {
        reply_header(kv, reply, mvcc_revision(kv->mvcc));
    }
    delete_run_finish(kv, reply);
    return true;
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
    mvcc_begin(kv->mvcc);
    delete_run_start(kv, &request, context->reply != NULL);
    kv->job.step = step_delete_range;
    return ETCD_OK;
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
