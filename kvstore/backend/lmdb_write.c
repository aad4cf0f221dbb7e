#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "kvstore/backend/lmdb_internal.h"

enum {
    TREE_PAGES = 64,     /* what one transaction touches besides its own records */
    DELETE_PAGES = 4,    /* per deletion: the path to its leaf and its part of the free list */
    MAP_HEADROOM_DIV = 8 /* the map grows when less than an eighth is left */
};

/* An upper bound of the new pages of one transaction, in bytes. */
static uint64_t estimate(const struct lmdb_store *store, struct backend_batch *const *batches,
                         uint32_t count)
{
    uint64_t pages = TREE_PAGES;
    for (uint32_t i = 0; i < count; i++) {
        const struct backend_batch *batch = batches[i];
        pages += 2 * batch->bytes / store->page_size;
        for (uint32_t j = 0; j < batch->count; j++) {
            const struct backend_change *change = &batch->changes[j];
            bool is_put =
                change->type == BACKEND_CHANGE_PUT || change->type == BACKEND_CHANGE_PUT_TOMBSTONE;
            if (!is_put) {
                pages += DELETE_PAGES;
            } else if (change->value->size > store->page_size / 4) {
                pages += 2; /* an overflow run rounds up */
            }
        }
    }
    return pages * store->page_size;
}

static int put_record(struct lmdb_store *store, MDB_txn *txn, struct bytes name, unsigned flags,
                      bool is_tombstone, struct bytes value)
{
    MDB_val key = lmdb_val(name);
    MDB_val data = {RECORD_HEADER_SIZE + value.size, NULL};
    int rc = mdb_put(txn, store->dbi, &key, &data, flags | MDB_RESERVE);
    if (rc == MDB_KEYEXIST && (flags & MDB_APPEND) != 0) {
        data.mv_size = RECORD_HEADER_SIZE + value.size;
        rc = mdb_put(txn, store->dbi, &key, &data, MDB_RESERVE); /* not the newest: replay */
    }
    if (rc == 0) {
        stored_record_encode(data.mv_data, name, is_tombstone, value);
    }
    return rc;
}

static int delete_one(struct lmdb_store *store, MDB_txn *txn, struct bytes name)
{
    MDB_val key = lmdb_val(name);
    int rc = mdb_del(txn, store->dbi, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool is_inside(struct bytes key, struct bytes prefix, struct bytes end)
{
    return end.size > 0 ? bytes_compare(key, end) < 0 : bytes_has_prefix(key, prefix);
}

/* Every key from `from` on, while below end (if given) or starting with from. */
static int delete_many(struct lmdb_store *store, MDB_txn *txn, struct bytes from, struct bytes end)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, store->dbi, &cursor);
    if (rc != 0) {
        return rc;
    }
    MDB_val key = lmdb_val(from);
    MDB_val data;
    rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    while (rc == 0 && is_inside(lmdb_bytes(key), from, end)) {
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0) {
            rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT); /* the one after the deleted */
        }
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int apply_change(struct lmdb_store *store, MDB_txn *txn, const struct backend_change *change)
{
    struct record_key key;
    struct record_key end;
    switch (change->type) {
    case BACKEND_CHANGE_PUT:
    case BACKEND_CHANGE_PUT_TOMBSTONE:
        record_key_of_revision(change->from, &key);
        return put_record(store, txn, record_key_bytes(&key), MDB_APPEND,
                          change->type == BACKEND_CHANGE_PUT_TOMBSTONE, blob_bytes(change->value));
    case BACKEND_CHANGE_DELETE:
        record_key_of_revision(change->from, &key);
        return delete_one(store, txn, record_key_bytes(&key));
    case BACKEND_CHANGE_DELETE_RANGE:
        record_key_of_revision(change->from, &key);
        record_key_of_revision(change->end, &end);
        return delete_many(store, txn, record_key_bytes(&key), record_key_bytes(&end));
    case BACKEND_CHANGE_META_PUT:
        record_key_of_meta(change->key, &key);
        return put_record(store, txn, record_key_bytes(&key), 0, false, change->meta_value);
    case BACKEND_CHANGE_META_DELETE:
        record_key_of_meta(change->key, &key);
        return delete_one(store, txn, record_key_bytes(&key));
    case BACKEND_CHANGE_META_DELETE_PREFIX:
        record_key_of_meta(change->key, &key);
        return delete_many(store, txn, record_key_bytes(&key), bytes_make(NULL, 0));
    }
    CHECK_UNREACHABLE();
}

static int put_position(struct lmdb_store *store, MDB_txn *txn, struct backend_position position)
{
    struct record_key key;
    record_key_of_applied(&key);
    uint8_t value[16];
    record_encode_position(position, value);
    return put_record(store, txn, record_key_bytes(&key), 0, false,
                      bytes_make(value, sizeof value));
}

/* All changes and the position they lead to: one function, one transaction, nothing else writes. */
static int apply_batches(struct lmdb_store *store, MDB_txn *txn,
                         struct backend_batch *const *batches, uint32_t count,
                         struct backend_position *applied)
{
    bool has_applied = false;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < batches[i]->count; j++) {
            int rc = apply_change(store, txn, &batches[i]->changes[j]);
            if (rc != 0) {
                return rc;
            }
        }
        if (batches[i]->has_applied) {
            CHECK(batches[i]->applied.index >= applied->index);
            *applied = batches[i]->applied;
            has_applied = true;
        }
    }
    return has_applied ? put_position(store, txn, *applied) : 0;
}

static int try_write(struct lmdb_store *store, struct backend_batch *const *batches, uint32_t count,
                     struct backend_position *applied)
{
    struct backend_position position = *applied;
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    rc = apply_batches(store, txn, batches, count, &position);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc == 0) {
        *applied = position;
    }
    return rc;
}

/* Move to a larger map. Every reader of this store must be gone: the core hands its view over in
 * backend_renew(), snapshots are cancelled. */
static int grow_map(struct lmdb *lmdb, struct lmdb_store *store, uint64_t wanted, struct err *err)
{
    bool is_own_view = store == lmdb->viewed && pthread_equal(pthread_self(), lmdb->core) != 0;
    lmdb_lock(lmdb);
    lmdb->is_growing = true;
    lmdb_unlock(lmdb);
    if (is_own_view) {
        lmdb_view_close(lmdb);
    } else if (lmdb->options.renew_wanted != NULL) {
        lmdb->options.renew_wanted(lmdb->options.context);
    }
    lmdb_lock(lmdb);
    while (store->reader_count > 0) {
        CHECK(pthread_cond_wait(&lmdb->changed, &lmdb->lock) == 0);
    }
    int rc = mdb_env_set_mapsize(store->env, wanted);
    lmdb->is_growing = false;
    CHECK(pthread_cond_broadcast(&lmdb->changed) == 0);
    lmdb_unlock(lmdb);
    if (rc != 0) {
        return lmdb_error(err, rc, "grow the map");
    }
    return is_own_view ? lmdb_view_open(lmdb, err) : 0;
}

static int ensure_map(struct lmdb *lmdb, struct lmdb_store *store, uint64_t bytes, struct err *err)
{
    MDB_envinfo info;
    CHECK(mdb_env_info(store->env, &info) == 0);
    uint64_t needed = lmdb_store_used_bytes(store) + bytes;
    if (needed <= info.me_mapsize - info.me_mapsize / MAP_HEADROOM_DIV) {
        return 0;
    }
    uint64_t wanted = info.me_mapsize;
    while (wanted - wanted / MAP_HEADROOM_DIV < needed) {
        wanted *= 2;
    }
    return grow_map(lmdb, store, wanted, err);
}

int lmdb_write_batches(struct lmdb *lmdb, struct lmdb_store *store,
                       struct backend_batch *const *batches, uint32_t count,
                       struct backend_position *applied, struct err *err)
{
    uint64_t bytes = estimate(store, batches, count);
    for (int attempt = 0;; attempt++) {
        int rc = lmdb_store_reserve(lmdb, store, bytes, err);
        if (rc == ERR_NO_SPACE) {
            return rc;
        }
        if (rc == 0) {
            rc = ensure_map(lmdb, store, bytes, err);
        }
        if (rc != 0) {
            return lmdb_fail(lmdb, rc);
        }
        rc = try_write(store, batches, count, applied);
        if (rc == 0) {
            return 0;
        }
        if (rc != MDB_MAP_FULL || attempt > 4) {
            return lmdb_fail(lmdb, lmdb_error(err, rc, "write to the store"));
        }
        bytes *= 4; /* the estimate was too low: nothing was written */
    }
}

int lmdb_commit(struct backend *backend, struct backend_batch *const *batches, uint32_t count,
                struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    int rc = lmdb_refuse_failed(lmdb, err);
    if (rc != 0) {
        return rc;
    }
    /* Only the writer changes `current`, so it may read it without the lock. */
    return lmdb_write_batches(lmdb, lmdb->current, batches, count, &lmdb->stored, err);
}

int lmdb_sync(struct backend *backend, struct backend_position *ret_durable, struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    int rc = lmdb_refuse_failed(lmdb, err);
    if (rc != 0) {
        return rc;
    }
    rc = lmdb->options.is_unsafe_no_sync ? 0 : mdb_env_sync(lmdb->current->env, 1);
    if (rc != 0) {
        return lmdb_fail(lmdb, lmdb_error(err, rc, "sync the store"));
    }
    *ret_durable = lmdb->stored;
    return 0;
}
