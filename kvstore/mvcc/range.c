#include "kvstore/mvcc/range.h"

#include "base/mem.h"
#include "base/pb.h"

enum { RANGE_FIELD_KVS = 2 };

static bool has_filter(const struct range_request *request)
{
    return request->min_mod_revision != 0 || request->max_mod_revision != 0 ||
           request->min_create_revision != 0 || request->max_create_revision != 0;
}

/* Keys come in ascending order by themselves. */
static bool has_sort(const struct range_request *request)
{
    if (request->sort_target == SORT_KEY) {
        return request->sort_order == SORT_DESCEND;
    }
    return true; /* by default ascending */
}

enum range_status range_start(struct range *range, struct mvcc *mvcc,
                              const struct range_request *request, int64_t now)
{
    *range = (struct range){.request = *request};
    range->is_single = !request_range(request->key, request->range_end, &range->keys);
    range->is_ordered = !has_filter(request) && !has_sort(request);
    range->at = request->revision <= 0 ? now : request->revision;
    if (range->at > now) {
        return RANGE_FUTURE;
    }
    if (range->at < mvcc_compact_revision(mvcc)) {
        return RANGE_COMPACTED;
    }
    if (range->at == now && !range->is_single) {
        range->count = key_index_count(mvcc_index(mvcc), &range->keys);
        range->has_count = true;
    }
    return RANGE_OK;
}

void range_deinit(struct range *range)
{
    buf_deinit(&range->last_key);
    buf_deinit(&range->scratch);
    mem_free(range->items);
    range->items = NULL;
}

static bool passes(const struct range_request *request, const struct key_value *record)
{
    return (request->min_mod_revision == 0 || record->mod_revision >= request->min_mod_revision) &&
           (request->max_mod_revision == 0 || record->mod_revision <= request->max_mod_revision) &&
           (request->min_create_revision == 0 ||
            record->create_revision >= request->min_create_revision) &&
           (request->max_create_revision == 0 ||
            record->create_revision <= request->max_create_revision);
}

static int64_t sort_number(const struct range_request *request, const struct key_value *record)
{
    switch (request->sort_target) {
    case SORT_VERSION:
        return record->version;
    case SORT_CREATE:
        return record->create_revision;
    case SORT_MOD:
        return record->mod_revision;
    default:
        return 0;
    }
}

/* What the client sees of a record: with keys_only no value and (unless sorted by value, as etcd
 * 3.7 answers) no lease. */
static struct key_value shown_record(const struct range_request *request, struct key_value record)
{
    if (request->keys_only) {
        record.value = (struct bytes){NULL, 0};
        record.lease = request->sort_target == SORT_VALUE ? record.lease : 0;
    }
    return record;
}

/* Keep a record for sorting or truncating at the end. */
static void collect(struct range *range, const struct key_value *record)
{
    if (range->item_count == range->item_capacity) {
        range->item_capacity = range->item_capacity == 0 ? 64 : range->item_capacity * 2;
        range->items = mem_reallocarray(range->items, range->item_capacity, sizeof *range->items);
    }
    size_t offset = buf_size(&range->scratch);
    key_value_append(&range->scratch, record);
    range->items[range->item_count] = (struct range_item){
        .offset = offset,
        .size = (uint32_t)(buf_size(&range->scratch) - offset),
        .ordinal = range->item_count,
        .number = sort_number(&range->request, record),
    };
    range->item_count += 1;
}

/* The newest revision answers keys_only without touching the store. */
static bool try_keys_only(struct range *range, const struct key_entry *entry, struct buf *out)
{
    if (!range->request.keys_only || entry->mod > range->at || !range->is_ordered) {
        return false;
    }
    struct key_value record = {
        .key = key_entry_key(entry),
        .create_revision = entry->create,
        .mod_revision = entry->mod,
        .version = entry->version,
    };
    pb_put_message_head(out, RANGE_FIELD_KVS, key_value_size(&record));
    key_value_append(out, &record);
    return true;
}

static enum range_status emit(struct range *range, struct mvcc *mvcc, const struct key_entry *entry,
                              struct key_past past, struct buf *out)
{
    if (try_keys_only(range, entry, out)) {
        range->emitted += 1;
        return RANGE_OK;
    }
    struct bytes encoded;
    if (mvcc_get(mvcc, (struct revision){past.main, past.sub}, &encoded) != 0) {
        return RANGE_FAILED;
    }
    range->scanned_bytes += encoded.size;
    if (range->is_ordered && !range->request.keys_only) {
        pb_put_message(out, RANGE_FIELD_KVS, encoded); /* the stored bytes are the answer */
        range->emitted += 1;
        return buf_size(out) > RANGE_REPLY_BYTES_MAX ? RANGE_TOO_LARGE : RANGE_OK;
    }
    struct key_value record;
    if (key_value_decode(encoded, &record) != 0) {
        return RANGE_FAILED;
    }
    if (!passes(&range->request, &record)) {
        return RANGE_OK;
    }
    if (range->is_ordered) {
        struct key_value shown = shown_record(&range->request, record);
        pb_put_message_head(out, RANGE_FIELD_KVS, key_value_size(&shown));
        key_value_append(out, &shown);
        range->emitted += 1;
    } else {
        collect(range, &record);
    }
    return buf_size(&range->scratch) > RANGE_REPLY_BYTES_MAX ? RANGE_TOO_LARGE : RANGE_OK;
}

static bool is_full(const struct range *range)
{
    return range->request.count_only || (range->is_ordered && range->request.limit > 0 &&
                                         range->emitted >= (uint64_t)range->request.limit);
}

/* One key that exists at the revision. */
static enum range_status visit(struct range *range, struct mvcc *mvcc,
                               const struct key_entry *entry, struct key_past past, struct buf *out)
{
    range->count += range->has_count ? 0 : 1;
    return is_full(range) ? RANGE_OK : emit(range, mvcc, entry, past, out);
}

static void finish_sorted(struct range *range, struct buf *out)
{
    const struct range_request *request = &range->request;
    bool by_value = request->sort_target == SORT_VALUE;
    struct bytes scratch = buf_bytes(&range->scratch);
    for (uint32_t i = 0; i < range->item_count; i++) {
        struct key_value record;
        struct range_item *item = &range->items[i];
        int code = key_value_decode(bytes_make(scratch.data + item->offset, item->size), &record);
        item->value =
            code == 0 ? record.value : (struct bytes){NULL, 0}; /* it was decoded before */
        if (request->sort_target == SORT_KEY) {
            item->number = i;
        }
    }
    if (has_sort(request)) {
        range_items_sort(range->items, range->item_count, by_value,
                         request->sort_order == SORT_DESCEND);
    }
    uint32_t count = range->item_count;
    if (request->limit > 0 && count > (uint64_t)request->limit) {
        count = (uint32_t)request->limit;
        range->more = true;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct range_item *item = &range->items[i];
        struct bytes encoded = bytes_make(scratch.data + item->offset, item->size);
        struct key_value record;
        if (!request->keys_only) {
            pb_put_message(out, RANGE_FIELD_KVS, encoded);
        } else if (key_value_decode(encoded, &record) == 0) {
            struct key_value shown = shown_record(request, record);
            pb_put_message_head(out, RANGE_FIELD_KVS, key_value_size(&shown));
            key_value_append(out, &shown);
        }
    }
}

static enum range_status finish(struct range *range, struct buf *out)
{
    if (range->request.count_only) {
        return RANGE_OK;
    }
    if (range->is_ordered) {
        range->more = range->request.limit > 0 && range->count > range->emitted;
    } else {
        finish_sorted(range, out);
    }
    return buf_size(out) > RANGE_REPLY_BYTES_MAX ? RANGE_TOO_LARGE : RANGE_OK;
}

static enum range_status step_single(struct range *range, struct mvcc *mvcc, struct buf *out)
{
    const struct key_entry *entry = key_index_find(mvcc_index(mvcc), range->request.key);
    struct key_past past;
    if (entry != NULL && key_entry_at(entry, range->at, &past) && !past.is_tombstone) {
        enum range_status status = visit(range, mvcc, entry, past, out);
        if (status != RANGE_OK) {
            return status;
        }
    }
    return finish(range, out);
}

/* Where the slice begins: at the start, or behind the last key of the slice before. */
static struct key_cursor seek(const struct range *range, const struct mvcc *mvcc)
{
    if (!range->has_last) {
        return key_index_seek(mvcc_index(mvcc), range->keys.start);
    }
    struct bytes last = buf_bytes(&range->last_key);
    struct key_cursor cursor = key_index_seek(mvcc_index(mvcc), last);
    struct key_cursor ahead = cursor;
    const struct key_entry *entry = key_cursor_next(&ahead);
    return entry != NULL && bytes_equal(key_entry_key(entry), last) ? ahead : cursor;
}

static void remember(struct range *range, const struct key_entry *entry)
{
    buf_clear(&range->last_key);
    buf_append(&range->last_key, entry->key, entry->key_size);
    range->has_last = true;
}

enum range_status range_step(struct range *range, struct mvcc *mvcc, uint32_t items, uint32_t bytes,
                             struct buf *out)
{
    if (range->at < mvcc_compact_revision(mvcc)) {
        return RANGE_COMPACTED; /* history below it may be gone already */
    }
    if (range->is_single) {
        return step_single(range, mvcc, out);
    }
    if (range->has_count && (range->request.count_only || range->count == 0)) {
        return finish(range, out);
    }
    bool only_live = range->at >= mvcc_now(mvcc);
    uint64_t bytes_end = range->scanned_bytes + bytes;
    struct key_cursor cursor = seek(range, mvcc);
    for (uint32_t looked = 0;; looked++) {
        const struct key_entry *entry =
            only_live ? key_cursor_next_live(&cursor) : key_cursor_next(&cursor);
        if (entry == NULL || (range->has_count && is_full(range)) ||
            (!range->keys.is_unbounded &&
             bytes_compare(key_entry_key(entry), range->keys.end) >= 0)) {
            return finish(range, out);
        }
        struct key_past past;
        if (key_entry_at(entry, range->at, &past) && !past.is_tombstone) {
            enum range_status status = visit(range, mvcc, entry, past, out);
            if (status != RANGE_OK) {
                return status;
            }
        }
        if ((items != 0 && looked + 1 >= items) ||
            (bytes != 0 && range->scanned_bytes >= bytes_end)) {
            remember(range, entry);
            return RANGE_MORE;
        }
    }
}
