/* The index from the backend: one sequential scan in revision order. */
#include "base/check.h"
#include "base/mem.h"
#include "kvstore/mvcc/mvcc_internal.h"

enum { SCAN_RECORDS = 512 };

static int meta_get_i64(struct backend *backend, struct bytes key, int64_t *ret_value,
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

static int load_record(struct mvcc *mvcc, const struct backend_record *stored, struct err *err)
{
    struct key_value record;
    int64_t main = (int64_t)stored->revision.main;
    if (key_value_decode(stored->value, &record) != 0 || record.key.size == 0 || main <= 1 ||
        record.mod_revision != main ||
        (!stored->is_tombstone && (record.create_revision <= 0 || record.version <= 0))) {
        return err_set(err, ERR_CORRUPT, "stored record of revision %lld/%u is not a KeyValue",
                       (long long)main, stored->revision.sub);
    }
    key_index_load(mvcc->index, record.key, (struct revision){main, stored->revision.sub},
                   stored->is_tombstone, record.create_revision, record.version, record.lease != 0);
    if (main > mvcc->revision) {
        mvcc->revision = main;
    }
    return 0;
}

static int load_records(struct mvcc *mvcc, struct err *err)
{
    struct backend_record *records = mem_reallocarray(NULL, SCAN_RECORDS, sizeof *records);
    struct backend_revision from = {0, 0};
    uint32_t count = SCAN_RECORDS;
    int code = 0;
    while (code == 0 && count == SCAN_RECORDS) {
        code = backend_scan(mvcc->backend, from, BACKEND_REVISION_MAX, records, SCAN_RECORDS,
                            &count, err);
        for (uint32_t i = 0; code == 0 && i < count; i++) {
            code = load_record(mvcc, &records[i], err);
        }
        if (code == 0 && count > 0) {
            from = backend_revision_next(records[count - 1].revision);
        }
    }
    mem_free(records);
    return code;
}

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
    CHECK(!mvcc->in_transaction);
    reset(mvcc, backend);
    int code = meta_get_i64(backend, MVCC_META_REVISION, &mvcc->revision, err);
    if (code == 0) {
        code = meta_get_i64(backend, MVCC_META_COMPACT, &mvcc->compact_revision, err);
    }
    if (code == 0) {
        code = meta_get_i64(backend, MVCC_META_COMPACTED, &mvcc->compacted, err);
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
