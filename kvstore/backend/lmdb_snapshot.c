#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "kvstore/backend/lmdb_internal.h"

static int begin(struct lmdb_snapshot *snapshot, struct err *err)
{
    struct lmdb_store *store = snapshot->store;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &snapshot->txn);
    if (rc != 0) {
        snapshot->txn = NULL;
        return lmdb_error(err, rc, "open a snapshot");
    }
    rc = mdb_cursor_open(snapshot->txn, store->dbi, &snapshot->cursor);
    if (rc != 0) {
        snapshot->cursor = NULL;
        return lmdb_error(err, rc, "open a snapshot");
    }
    MDB_stat stat;
    rc = mdb_stat(snapshot->txn, store->dbi, &stat);
    if (rc != 0) {
        return lmdb_error(err, rc, "open a snapshot");
    }
    snapshot->base.size_bytes =
        (uint64_t)(stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
        stat.ms_psize;
    return lmdb_read_position(store, snapshot->txn, &snapshot->base.applied, err);
}

int lmdb_snapshot_open(struct backend *backend, uint32_t max_age_ms,
                       struct backend_snapshot **ret_snapshot, struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    lmdb_lock(lmdb);
    if (lmdb->is_growing) {
        lmdb_unlock(lmdb);
        return err_set(err, ERR_BUSY, "the store is about to grow");
    }
    struct lmdb_snapshot *snapshot = mem_zalloc(sizeof *snapshot);
    snapshot->base.operations = lmdb->base.operations;
    snapshot->owner = lmdb;
    snapshot->store = lmdb->current;
    snapshot->store->reference_count++;
    snapshot->store->reader_count++;
    lmdb->snapshot_count++;
    lmdb_unlock(lmdb);
    snapshot->deadline_ms = max_age_ms == 0 ? 0 : clock_monotonic_ms() + max_age_ms;
    int rc = begin(snapshot, err);
    if (rc != 0) {
        lmdb_snapshot_close(&snapshot->base);
        return rc;
    }
    *ret_snapshot = &snapshot->base;
    return 0;
}

void lmdb_snapshot_close(struct backend_snapshot *base)
{
    struct lmdb_snapshot *snapshot = (struct lmdb_snapshot *)(void *)base;
    struct lmdb *lmdb = snapshot->owner;
    if (snapshot->cursor != NULL) {
        mdb_cursor_close(snapshot->cursor);
    }
    if (snapshot->txn != NULL) {
        mdb_txn_abort(snapshot->txn);
    }
    lmdb_lock(lmdb);
    snapshot->store->reader_count--;
    lmdb_store_unref_locked(snapshot->store);
    lmdb->snapshot_count--;
    bool is_last_before_growth = lmdb->is_growing && lmdb->snapshot_count == 0;
    CHECK(pthread_cond_broadcast(&lmdb->changed) == 0);
    lmdb_unlock(lmdb);
    mem_free(snapshot);
    /* The core may have renewed in vain while this snapshot was open. */
    if (is_last_before_growth && lmdb->options.renew_wanted != NULL) {
        lmdb->options.renew_wanted(lmdb->options.context);
    }
}

static int check_life(struct lmdb_snapshot *snapshot, struct err *err)
{
    if (snapshot->deadline_ms != 0 && clock_monotonic_ms() >= snapshot->deadline_ms) {
        return err_set(err, ERR_TIMEOUT, "the snapshot was open for too long");
    }
    lmdb_lock(snapshot->owner);
    bool is_growing = snapshot->owner->is_growing;
    lmdb_unlock(snapshot->owner);
    return is_growing ? err_set(err, ERR_CANCELLED, "the store must grow") : 0;
}

/* False: not for the reader (the format, the applied position). */
static bool is_item(struct bytes key)
{
    return key.size > 1 && (key.data[0] == 'm' || key.data[0] == 'r');
}

static int decode(struct bytes key, struct bytes stored, struct backend_item *ret_item,
                  struct err *err)
{
    struct backend_record *record = &ret_item->record;
    ret_item->is_meta = key.data[0] == 'm';
    if (!ret_item->is_meta) {
        if (!record_parse_revision_key(key, &record->revision)) {
            return err_set(err, ERR_CORRUPT, "a key among the revisions is damaged");
        }
        return stored_record_decode(key, stored, &record->is_tombstone, &record->value)
                   ? 0
                   : record_corrupt(record->revision, err);
    }
    bool is_tombstone;
    ret_item->meta.key = bytes_make(key.data + 1, key.size - 1);
    return stored_record_decode(key, stored, &is_tombstone, &ret_item->meta.value)
               ? 0
               : record_meta_corrupt(ret_item->meta.key, err);
}

int lmdb_snapshot_next(struct backend_snapshot *base, struct backend_item *ret_items,
                       uint32_t capacity, uint32_t *ret_count, struct err *err)
{
    struct lmdb_snapshot *snapshot = (struct lmdb_snapshot *)(void *)base;
    int rc = check_life(snapshot, err);
    if (rc != 0) {
        return rc;
    }
    uint32_t count = 0;
    while (count < capacity) {
        MDB_val key;
        MDB_val stored;
        rc = mdb_cursor_get(snapshot->cursor, &key, &stored,
                            snapshot->is_started ? MDB_NEXT : MDB_FIRST);
        snapshot->is_started = true;
        if (rc == MDB_NOTFOUND) {
            break;
        }
        if (rc != 0) {
            return lmdb_error(err, rc, "read a snapshot");
        }
        if (!is_item(lmdb_bytes(key))) {
            continue;
        }
        rc = decode(lmdb_bytes(key), lmdb_bytes(stored), &ret_items[count], err);
        if (rc != 0) {
            return rc;
        }
        count++;
    }
    *ret_count = count;
    return 0;
}
