/* The index from the backend: one sequential scan in revision order. */
#include "base/check.h"
#include "base/mem.h"
#include "kvstore/mvcc/mvcc_internal.h"

enum { SCAN_RECORDS = 512, LOAD_RECORDS = 65536 };

int mvcc_meta_get_i64(struct backend *backend, struct bytes key, int64_t *ret_value,
                      struct err *err)
{
    struct bytes value;
    int code = backend_meta_get(backend, key, &value, err);
    if (code == ERR_NOT_FOUND) {
        return 0; /* the default stays */
    }
    if (code != 0) {
        return code;
    }
    if (value.size != 8) {
        return err_set(err, ERR_CORRUPT, "stored field '%.*s' has %zu bytes", (int)key.size,
                       (const char *)key.data, value.size);
    }
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++) {
        number = number << 8 | value.data[i];
    }
    *ret_value = (int64_t)number;
    return 0;
}

static void reset(struct mvcc *mvcc, struct backend *backend)
{
    pending_deinit(&mvcc->pending);
    key_index_free(mvcc->index);
    backend_batch_free(mvcc->batch);
    mvcc->batch = NULL;
    mvcc->index = key_index_new();
    mvcc->backend = backend;
    mvcc->revision = 1;
    mvcc->compact_revision = 0;
    mvcc->compacted = 0;
    mvcc->compacted_scanned = 0;
    mvcc->compacted_sequence = 0;
    mvcc->in_transaction = false;
    mvcc->change_count = 0;
}

/* --- one load: many records, inserted in key order -------------------------------------------- */

/* Records come in revision order, which is no order of keys. Sorting some thousand of them before
 * they go into the index makes neighbours in it meet in the processor's cache. */
struct loaded {
    struct bytes key; /* borrowed from the backend */
    uint64_t order;   /* the eight bytes of the key that follow what all keys of the load share */
    struct revision at;
    int64_t create;
    int64_t version;
    bool is_tombstone;
    bool has_lease;
};

struct load {
    struct loaded *items;
    struct loaded *other; /* for merging */
    uint32_t count;
    uint32_t capacity;
};

static void make_room(struct load *load, uint32_t count)
{
    if (load->capacity - load->count >= count) {
        return;
    }
    load->capacity = load->capacity == 0 ? 4096 : load->capacity * 2;
    load->items = mem_reallocarray(load->items, load->capacity, sizeof *load->items);
    load->other = mem_reallocarray(load->other, load->capacity, sizeof *load->other);
}

static int decode_record(struct load *load, const struct backend_record *stored, struct err *err)
{
    struct key_value record;
    int64_t main = (int64_t)stored->revision.main;
    if (key_value_decode(stored->value, &record) != 0 || record.key.size == 0 || main <= 1 ||
        record.mod_revision != main ||
        (!stored->is_tombstone && (record.create_revision <= 0 || record.version <= 0))) {
        return err_set(err, ERR_CORRUPT, "stored record of revision %lld/%u is not a KeyValue",
                       (long long)main, stored->revision.sub);
    }
    load->items[load->count++] = (struct loaded){
        .key = record.key,
        .at = {main, stored->revision.sub},
        .create = record.create_revision,
        .version = record.version,
        .is_tombstone = stored->is_tombstone,
        .has_lease = record.lease != 0,
    };
    return 0;
}

static bool goes_first(const struct loaded *a, const struct loaded *b)
{
    return a->order != b->order ? a->order < b->order : bytes_compare(a->key, b->key) <= 0;
}

static void set_orders(struct load *load)
{
    struct bytes first = load->items[0].key;
    size_t shared = first.size;
    for (uint32_t i = 1; i < load->count; i++) {
        struct bytes key = load->items[i].key;
        shared = key.size < shared ? key.size : shared;
        while (shared > 0 && memcmp(first.data, key.data, shared) != 0) {
            shared -= 1;
        }
    }
    for (uint32_t i = 0; i < load->count; i++) {
        struct bytes key = load->items[i].key;
        uint64_t order = 0;
        for (size_t at = shared; at < shared + 8; at++) {
            order = order << 8 | (at < key.size ? key.data[at] : 0U);
        }
        load->items[i].order = order;
    }
}

/* Stable, so the revisions of a key stay in their order. */
static void sort(struct load *load)
{
    for (uint32_t width = 1; width < load->count; width *= 2) {
        for (uint32_t at = 0; at < load->count; at += 2 * width) {
            uint32_t middle = load->count - at < width ? load->count : at + width;
            uint32_t end = load->count - at < 2 * width ? load->count : at + 2 * width;
            uint32_t a = at;
            uint32_t b = middle;
            for (uint32_t to = at; to < end; to++) {
                bool take_a =
                    a < middle && (b == end || goes_first(&load->items[a], &load->items[b]));
                load->other[to] = take_a ? load->items[a++] : load->items[b++];
            }
        }
        struct loaded *swap = load->items;
        load->items = load->other;
        load->other = swap;
    }
}

static bool is_sorted(const struct load *load)
{
    for (uint32_t i = 1; i < load->count; i++) {
        if (!goes_first(&load->items[i - 1], &load->items[i])) {
            return false;
        }
    }
    return true;
}

static void insert_load(struct mvcc *mvcc, struct load *load)
{
    if (load->count == 0) {
        return;
    }
    int64_t newest = load->items[load->count - 1].at.main;
    mvcc->revision = newest > mvcc->revision ? newest : mvcc->revision;
    set_orders(load);
    if (!is_sorted(load)) {
        sort(load);
    }
    for (uint32_t i = 0; i < load->count; i++) {
        const struct loaded *item = &load->items[i];
        key_index_load(mvcc->index, item->key, item->at, item->is_tombstone, item->create,
                       item->version, item->has_lease);
    }
    load->count = 0;
}

static int scan_records(struct mvcc *mvcc, struct load *load, struct backend_record *records,
                        struct err *err)
{
    struct backend_revision from = {0, 0};
    uint32_t count = SCAN_RECORDS;
    int code = 0;
    while (code == 0 && count == SCAN_RECORDS) {
        code = backend_scan(mvcc->backend, from, BACKEND_REVISION_MAX, records, SCAN_RECORDS,
                            &count, err);
        make_room(load, SCAN_RECORDS);
        for (uint32_t i = 0; code == 0 && i < count; i++) {
            code = decode_record(load, &records[i], err);
        }
        if (code == 0 && count > 0) {
            from = backend_revision_next(records[count - 1].revision);
        }
        if (code == 0 && load->count + SCAN_RECORDS > LOAD_RECORDS) {
            insert_load(mvcc, load);
        }
    }
    if (code == 0) {
        insert_load(mvcc, load);
    }
    return code;
}

static int load_records(struct mvcc *mvcc, struct err *err)
{
    struct backend_record *records = mem_reallocarray(NULL, SCAN_RECORDS, sizeof *records);
    struct load load = {0};
    int code = scan_records(mvcc, &load, records, err);
    mem_free(load.items);
    mem_free(load.other);
    mem_free(records);
    return code;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int visit_leases(struct mvcc *mvcc, mvcc_visit_lease *visit_lease, void *context,
                        struct err *err)
{
    struct key_cursor cursor = key_index_seek(mvcc->index, (struct bytes){NULL, 0});
    for (struct key_entry *entry = key_cursor_next_live(&cursor); entry != NULL;
         entry = key_cursor_next_live(&cursor)) {
        if (!entry->has_lease) {
            continue;
        }
        struct bytes encoded;
        struct key_value record;
        int code = mvcc_get(mvcc, (struct revision){entry->mod, entry->sub}, &encoded);
        if (code == 0) {
            code = key_value_decode(encoded, &record);
        }
        if (code != 0) {
            return err_set(err, code, "cannot read the lease of a key at revision %lld",
                           (long long)entry->mod);
        }
        visit_lease(context, record.lease, record.key);
    }
    return 0;
}

int mvcc_restore(struct mvcc *mvcc, struct backend *backend, mvcc_visit_lease *visit_lease,
                 void *context, struct err *err)
{
    reset(mvcc, backend);
    int code = mvcc_meta_get_i64(backend, MVCC_META_REVISION, &mvcc->revision, err);
    if (code == 0) {
        code = mvcc_meta_get_i64(backend, MVCC_META_COMPACT, &mvcc->compact_revision, err);
    }
    if (code == 0) {
        code = mvcc_meta_get_i64(backend, MVCC_META_COMPACTED, &mvcc->compacted, err);
    }
    if (code == 0) {
        code = load_records(mvcc, err);
    }
    if (code != 0) {
        return code;
    }
    if (mvcc->compacted > mvcc->compact_revision || mvcc->compact_revision > mvcc->revision ||
        mvcc->compacted < 0) {
        return err_set(err, ERR_CORRUPT, "stored revisions contradict each other: %lld %lld %lld",
                       (long long)mvcc->compacted, (long long)mvcc->compact_revision,
                       (long long)mvcc->revision);
    }
    mvcc->compacted_scanned = mvcc->compacted;
    mvcc->compact_cursor = (struct revision){mvcc->compacted, 0};
    return visit_leases(mvcc, visit_lease, context, err);
}
