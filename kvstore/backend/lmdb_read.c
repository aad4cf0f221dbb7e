#include "base/check.h"
#include "kvstore/backend/lmdb_internal.h"

static int begin_view(struct lmdb *lmdb, struct err *err)
{
    struct lmdb_store *store = lmdb->viewed;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &lmdb->view);
    if (rc != 0) {
        lmdb->view = NULL;
        return lmdb_error(err, rc, "begin reading");
    }
    rc = mdb_cursor_open(lmdb->view, store->dbi, &lmdb->cursor);
    if (rc != 0) {
        mdb_txn_abort(lmdb->view);
        lmdb->view = NULL;
        lmdb->cursor = NULL;
        return lmdb_error(err, rc, "begin reading");
    }
    return lmdb_read_position(store, lmdb->view, &lmdb->view_applied, err);
}

int lmdb_view_open(struct lmdb *lmdb, struct err *err)
{
    CHECK(lmdb->viewed == NULL);
    lmdb_lock(lmdb);
    /* For microseconds: nobody reads any more. With snapshots open the writer waits for them, and
     * the core must not. */
    while (lmdb->is_growing && lmdb->snapshot_count == 0) {
        CHECK(pthread_cond_wait(&lmdb->changed, &lmdb->lock) == 0);
    }
    lmdb->viewed = lmdb->current;
    lmdb->viewed->reference_count++;
    lmdb->viewed->reader_count++;
    lmdb_unlock(lmdb);
    return begin_view(lmdb, err);
}

void lmdb_view_close(struct lmdb *lmdb)
{
    if (lmdb->viewed == NULL) {
        return;
    }
    if (lmdb->view != NULL) {
        mdb_cursor_close(lmdb->cursor);
        mdb_txn_abort(lmdb->view);
    }
    lmdb->cursor = NULL;
    lmdb->view = NULL;
    lmdb_lock(lmdb);
    lmdb->viewed->reader_count--;
    lmdb_store_unref_locked(lmdb->viewed);
    lmdb->viewed = NULL;
    CHECK(pthread_cond_broadcast(&lmdb->changed) == 0);
    lmdb_unlock(lmdb);
}

int lmdb_renew(struct backend *backend, struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    lmdb_lock(lmdb);
    /* While snapshots keep the old map in place the writer waits for them, not for us. */
    bool is_reopened = lmdb->viewed != lmdb->current || lmdb->view == NULL ||
                       (lmdb->is_growing && lmdb->snapshot_count == 0);
    lmdb_unlock(lmdb);
    if (is_reopened) {
        lmdb_view_close(lmdb);
        return lmdb_view_open(lmdb, err);
    }
    mdb_txn_reset(lmdb->view);
    int rc = mdb_txn_renew(lmdb->view);
    if (rc == 0) {
        rc = mdb_cursor_renew(lmdb->view, lmdb->cursor);
    }
    if (rc != 0) {
        return lmdb_error(err, rc, "renew the view");
    }
    return lmdb_read_position(lmdb->viewed, lmdb->view, &lmdb->view_applied, err);
}

struct backend_position lmdb_applied(const struct backend *backend)
{
    return ((const struct lmdb *)(const void *)backend)->view_applied;
}

static int decode_revision(struct bytes key, struct bytes stored, struct backend_record *ret_record,
                           struct err *err)
{
    if (!record_parse_revision_key(key, &ret_record->revision)) {
        return err_set(err, ERR_CORRUPT, "a key among the revisions is damaged");
    }
    if (!stored_record_decode(key, stored, &ret_record->is_tombstone, &ret_record->value)) {
        return record_corrupt(ret_record->revision, err);
    }
    return 0;
}

int lmdb_get(struct backend *backend, struct backend_revision revision,
             struct backend_record *ret_record, struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    struct record_key name;
    record_key_of_revision(revision, &name);
    MDB_val key = lmdb_val(record_key_bytes(&name));
    MDB_val stored;
    int rc = mdb_get(lmdb->view, lmdb->viewed->dbi, &key, &stored);
    if (rc != 0) {
        return lmdb_error(err, rc, "read a revision");
    }
    struct backend_record record;
    rc = decode_revision(record_key_bytes(&name), lmdb_bytes(stored), &record, err);
    if (rc == 0) {
        *ret_record = record;
    }
    return rc;
}

int lmdb_scan(struct backend *backend, struct backend_revision from, struct backend_revision end,
              struct backend_record *ret_records, uint32_t capacity, uint32_t *ret_count,
              struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    struct record_key name;
    record_key_of_revision(from, &name);
    MDB_val key = lmdb_val(record_key_bytes(&name));
    MDB_val stored;
    uint32_t count = 0;
    int rc = mdb_cursor_get(lmdb->cursor, &key, &stored, MDB_SET_RANGE);
    while (rc == 0) {
        int code = decode_revision(lmdb_bytes(key), lmdb_bytes(stored), &ret_records[count], err);
        if (code != 0) {
            return code;
        }
        if (backend_revision_compare(ret_records[count].revision, end) >= 0) {
            break;
        }
        count++;
        if (count == capacity) {
            break;
        }
        rc = mdb_cursor_get(lmdb->cursor, &key, &stored, MDB_NEXT);
    }
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return lmdb_error(err, rc, "read revisions");
    }
    *ret_count = count;
    return 0;
}

int lmdb_meta_get(struct backend *backend, struct bytes meta_key, struct bytes *ret_value,
                  struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    if (meta_key.size > BACKEND_META_KEY_SIZE_MAX) {
        return err_set(err, ERR_NOT_FOUND, "no such meta entry");
    }
    struct record_key name;
    record_key_of_meta(meta_key, &name);
    MDB_val key = lmdb_val(record_key_bytes(&name));
    MDB_val stored;
    int rc = mdb_get(lmdb->view, lmdb->viewed->dbi, &key, &stored);
    if (rc != 0) {
        return lmdb_error(err, rc, "read a meta entry");
    }
    struct bytes value;
    bool is_tombstone;
    if (!stored_record_decode(record_key_bytes(&name), lmdb_bytes(stored), &is_tombstone, &value)) {
        return record_meta_corrupt(meta_key, err);
    }
    *ret_value = value;
    return 0;
}

/* The first stored meta entry to look at. */
static int seek_meta(MDB_cursor *cursor, struct bytes prefix, struct bytes after, MDB_val *ret_key,
                     MDB_val *ret_stored)
{
    bool is_after = after.size > 0 && bytes_compare(after, prefix) >= 0;
    struct record_key name;
    record_key_of_meta(is_after ? after : prefix, &name);
    *ret_key = lmdb_val(record_key_bytes(&name));
    int rc = mdb_cursor_get(cursor, ret_key, ret_stored, MDB_SET_RANGE);
    if (rc == 0 && is_after && bytes_equal(lmdb_bytes(*ret_key), record_key_bytes(&name))) {
        rc = mdb_cursor_get(cursor, ret_key, ret_stored, MDB_NEXT);
    }
    return rc;
}

int lmdb_meta_scan(struct backend *backend, struct bytes prefix, struct bytes after,
                   struct backend_meta *ret_entries, uint32_t capacity, uint32_t *ret_count,
                   struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    struct record_key wanted;
    record_key_of_meta(prefix, &wanted);
    MDB_val key;
    MDB_val stored;
    uint32_t count = 0;
    int rc = seek_meta(lmdb->cursor, prefix, after, &key, &stored);
    while (rc == 0 && bytes_has_prefix(lmdb_bytes(key), record_key_bytes(&wanted))) {
        struct backend_meta *entry = &ret_entries[count];
        bool is_tombstone;
        entry->key = bytes_make((const uint8_t *)key.mv_data + 1, key.mv_size - 1);
        if (!stored_record_decode(lmdb_bytes(key), lmdb_bytes(stored), &is_tombstone,
                                  &entry->value)) {
            return record_meta_corrupt(entry->key, err);
        }
        count++;
        if (count == capacity) {
            break;
        }
        rc = mdb_cursor_get(lmdb->cursor, &key, &stored, MDB_NEXT);
    }
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return lmdb_error(err, rc, "read meta entries");
    }
    *ret_count = count;
    return 0;
}

void lmdb_stats(struct backend *backend, struct backend_stats *ret_stats)
{
    enum { FREE_LIST = 0, META_PAGES = 2 };
    struct lmdb *lmdb = lmdb_of(backend);
    lmdb_lock(lmdb);
    struct lmdb_store *store = lmdb->current;
    store->reference_count++;
    uint32_t snapshot_count = lmdb->snapshot_count;
    lmdb_unlock(lmdb);
    MDB_stat stat;
    MDB_stat free_list = {.ms_psize = 0};
    MDB_envinfo info;
    CHECK(mdb_env_stat(store->env, &stat) == 0);
    CHECK(mdb_env_info(store->env, &info) == 0);
    if (lmdb->view != NULL && lmdb->viewed == store) {
        CHECK(mdb_stat(lmdb->view, FREE_LIST, &free_list) == 0);
    }
    uint64_t pages = META_PAGES + stat.ms_branch_pages + stat.ms_leaf_pages +
                     stat.ms_overflow_pages + free_list.ms_branch_pages + free_list.ms_leaf_pages +
                     free_list.ms_overflow_pages;
    *ret_stats =
        (struct backend_stats){.size_bytes = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize,
                               .size_in_use_bytes = pages * stat.ms_psize,
                               .map_size_bytes = info.me_mapsize,
                               .entry_count = stat.ms_entries,
                               .snapshot_count = snapshot_count};
    lmdb_lock(lmdb);
    lmdb_store_unref_locked(store);
    lmdb_unlock(lmdb);
}
