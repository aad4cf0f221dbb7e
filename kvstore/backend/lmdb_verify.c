/* One pass over a file before it is believed. The records' own checksums find damaged content; this
 * finds damaged structure, which LMDB would follow silently:
 *
 *   - keys strictly ascend, and their number is what the root says: no record vanished, none came;
 *   - the first and the last record of each leaf page are found by a search from the root. Every
 *     search between them takes the same way, so damaged inner pages are found without looking up
 *     every record;
 *   - the list of free pages ascends by transaction, names each page once and none out of range:
 *     a page that is taken for free would be overwritten. */
#include <string.h>

#include "base/mem.h"
#include "kvstore/backend/lmdb_internal.h"

struct verification {
    struct lmdb_store *store;
    MDB_txn *txn;
    struct record_key previous; /* of the record before; size 0: none */
    uintptr_t previous_page;
    uint64_t count;
};

static int damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the store is damaged: %s", what);
}

static int check_found(struct verification *verification, struct bytes name, struct err *err)
{
    MDB_val key = lmdb_val(name);
    MDB_val value;
    int rc = mdb_get(verification->txn, verification->store->dbi, &key, &value);
    return rc == 0 ? 0 : damaged(err, "a record is not where it is looked for");
}

static int check_record(struct verification *verification, MDB_val key, MDB_val value,
                        struct err *err)
{
    struct bytes name = lmdb_bytes(key);
    struct record_key *previous = &verification->previous;
    bool is_tombstone;
    struct bytes content;
    if (name.size == 0 || name.size > RECORD_KEY_SIZE_MAX ||
        !stored_record_decode(name, lmdb_bytes(value), &is_tombstone, &content)) {
        return damaged(err, "a record has a wrong checksum");
    }
    if (previous->size > 0 && bytes_compare(record_key_bytes(previous), name) >= 0) {
        return damaged(err, "records are out of order");
    }
    uintptr_t page = (uintptr_t)key.mv_data / verification->store->page_size;
    if (page != verification->previous_page) {
        int rc =
            previous->size > 0 ? check_found(verification, record_key_bytes(previous), err) : 0;
        rc = rc != 0 ? rc : check_found(verification, name, err);
        if (rc != 0) {
            return rc;
        }
    }
    memcpy(previous->data, name.data, name.size);
    previous->size = name.size;
    verification->previous_page = page;
    verification->count++;
    return 0;
}

static int verify_records(struct verification *verification, struct err *err)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(verification->txn, verification->store->dbi, &cursor);
    if (rc != 0) {
        return lmdb_error(err, rc, "verify the store");
    }
    int code = 0;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0 && code == 0) {
        code = check_record(verification, key, value, err);
        rc = code == 0 ? mdb_cursor_get(cursor, &key, &value, MDB_NEXT) : rc;
    }
    mdb_cursor_close(cursor);
    if (code != 0) {
        return code;
    }
    if (rc != MDB_NOTFOUND) {
        return lmdb_error(err, rc, "verify the store");
    }
    MDB_stat stat;
    rc = mdb_stat(verification->txn, verification->store->dbi, &stat);
    if (rc != 0 || stat.ms_entries != verification->count) {
        return damaged(err, "the number of records is wrong");
    }
    return verification->count == 0
               ? 0
               : check_found(verification, record_key_bytes(&verification->previous), err);
}

/* One list: its length, then page numbers, descending. LMDB's own format (IDL). */
static int check_free_list(struct bytes list, uint64_t page_count, uint8_t *seen, struct err *err)
{
    size_t count;
    if (list.size < sizeof count) {
        return damaged(err, "a list of free pages is cut short");
    }
    memcpy(&count, list.data, sizeof count);
    if (count > list.size / sizeof count - 1) {
        return damaged(err, "a list of free pages is cut short");
    }
    for (size_t i = 1; i <= count; i++) {
        size_t page;
        memcpy(&page, list.data + i * sizeof page, sizeof page);
        if (page < 2 || page >= page_count || (seen[page / 8] >> (page % 8) & 1) != 0) {
            return damaged(err, "a list of free pages names a wrong page");
        }
        seen[page / 8] |= (uint8_t)(1U << (page % 8));
    }
    return 0;
}

static int verify_free_lists(struct verification *verification, struct err *err)
{
    enum { FREE_LIST = 0 };
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    uint64_t page_count =
        lmdb_store_used_bytes(verification->store) / verification->store->page_size;
    int rc = mdb_cursor_open(verification->txn, FREE_LIST, &cursor);
    if (rc != 0) {
        return lmdb_error(err, rc, "verify the store");
    }
    uint8_t *seen = mem_zalloc(page_count / 8 + 1);
    int code = 0;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0 && code == 0) {
        code = check_free_list(lmdb_bytes(value), page_count, seen, err);
        rc = code == 0 ? mdb_cursor_get(cursor, &key, &value, MDB_NEXT) : rc;
    }
    mem_free(seen);
    mdb_cursor_close(cursor);
    if (code == 0 && rc != MDB_NOTFOUND) {
        return lmdb_error(err, rc, "verify the store");
    }
    return code;
}

int lmdb_verify(struct lmdb_store *store, struct err *err)
{
    struct verification verification = {.store = store, .previous = {.size = 0}};
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &verification.txn);
    if (rc != 0) {
        return lmdb_error(err, rc, "verify the store");
    }
    rc = verify_records(&verification, err);
    if (rc == 0) {
        rc = verify_free_lists(&verification, err);
    }
    mdb_txn_abort(verification.txn);
    return rc;
}
