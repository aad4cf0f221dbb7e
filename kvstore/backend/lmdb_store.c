#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "kvstore/backend/lmdb_internal.h"

enum {
    RESERVE_STEP_BYTES = 1 << 20, /* the file grows by whole steps */
    PREFETCH_BYTES_MAX = 1 << 30, /* of a file that is read from end to end at the start */
};

static const struct bytes format_name = {(const uint8_t *)"coracle store 1", 15};

uint64_t lmdb_store_used_bytes(const struct lmdb_store *store)
{
    MDB_envinfo info;
    CHECK(mdb_env_info(store->env, &info) == 0);
    return ((uint64_t)info.me_last_pgno + 1) * store->page_size;
}

static uint64_t map_size(const struct lmdb_store *store)
{
    MDB_envinfo info;
    CHECK(mdb_env_info(store->env, &info) == 0);
    return info.me_mapsize;
}

static int store_fd(const struct lmdb_store *store)
{
    mdb_filehandle_t fd;
    CHECK(mdb_env_get_fd(store->env, &fd) == 0);
    return fd;
}

int lmdb_read_position(struct lmdb_store *store, MDB_txn *txn, struct backend_position *ret,
                       struct err *err)
{
    struct record_key name;
    record_key_of_applied(&name);
    MDB_val key = lmdb_val(record_key_bytes(&name));
    MDB_val stored;
    int rc = mdb_get(txn, store->dbi, &key, &stored);
    if (rc == MDB_NOTFOUND) {
        *ret = (struct backend_position){0, 0};
        return 0;
    }
    if (rc != 0) {
        return lmdb_error(err, rc, "read the applied position");
    }
    struct bytes value;
    bool is_tombstone;
    if (!stored_record_decode(record_key_bytes(&name), lmdb_bytes(stored), &is_tombstone, &value) ||
        !record_decode_position(value, ret)) {
        return err_set(err, ERR_CORRUPT, "the stored applied position is damaged");
    }
    return 0;
}

/* A new file gets the format's name; an old one must have it. */
static int check_format(struct lmdb_store *store, MDB_txn *txn, struct err *err)
{
    struct record_key name;
    record_key_of_format(&name);
    MDB_val key = lmdb_val(record_key_bytes(&name));
    MDB_val stored;
    int rc = mdb_get(txn, store->dbi, &key, &stored);
    if (rc == 0) {
        struct bytes value;
        bool is_tombstone;
        if (!stored_record_decode(record_key_bytes(&name), lmdb_bytes(stored), &is_tombstone,
                                  &value)) {
            return err_set(err, ERR_CORRUPT, "the store's format name is damaged");
        }
        return bytes_equal(value, format_name)
                   ? 0
                   : err_set(err, ERR_UNSUPPORTED, "the store has another format: '%.*s'",
                             (int)(value.size > 40 ? 40 : value.size), (const char *)value.data);
    }
    if (rc != MDB_NOTFOUND) {
        return lmdb_error(err, rc, "read the store's format");
    }
    MDB_stat stat;
    rc = mdb_stat(txn, store->dbi, &stat);
    if (rc != 0 || stat.ms_entries != 0) {
        return err_set(err, ERR_CORRUPT, "the store has entries and no format name");
    }
    uint8_t value[64];
    CHECK(sizeof value >= RECORD_HEADER_SIZE + format_name.size);
    stored_record_encode(value, record_key_bytes(&name), false, format_name);
    MDB_val data = {RECORD_HEADER_SIZE + format_name.size, value};
    rc = mdb_put(txn, store->dbi, &key, &data, 0);
    return rc == 0 ? 0 : lmdb_error(err, rc, "write the store's format");
}

/* A file shorter than its own meta page says would end the process by SIGBUS at the first read of a
 * page that is not there. No page was touched yet. */
static int check_size(const struct lmdb_store *store, const char *name, struct err *err)
{
    struct stat status;
    if (fstat(store_fd(store), &status) != 0) {
        return err_set_errno(err, errno, "stat '%s'", name);
    }
    uint64_t used = lmdb_store_used_bytes(store);
    if ((uint64_t)status.st_size < used) {
        return err_set(err, ERR_CORRUPT, "'%s' is truncated: %lld bytes, %llu are in use", name,
                       (long long)status.st_size, (unsigned long long)used);
    }
    /* Every start rebuilds the index from the whole file: have it read ahead in large pieces. */
    (void)posix_fadvise(store_fd(store), 0,
                        (off_t)(used < PREFETCH_BYTES_MAX ? used : PREFETCH_BYTES_MAX),
                        POSIX_FADV_WILLNEED);
    return 0;
}

static int first_transaction(struct lmdb *lmdb, struct lmdb_store *store, struct err *err)
{
    int rc = lmdb_store_reserve(lmdb, store, RESERVE_STEP_BYTES / 2, err);
    if (rc != 0) {
        return rc;
    }
    MDB_txn *txn;
    rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0) {
        return lmdb_error(err, rc, "begin the first transaction");
    }
    rc = mdb_dbi_open(txn, NULL, 0, &store->dbi);
    if (rc != 0) {
        rc = lmdb_error(err, rc, "open the table");
    } else {
        rc = check_format(store, txn, err);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn); /* writes nothing if the format was there */
    return rc == 0 ? 0 : lmdb_error(err, rc, "commit the first transaction");
}

/* Twice what is used, at least what was asked for. No transaction exists yet. */
static int set_map_size(struct lmdb *lmdb, struct lmdb_store *store, struct err *err)
{
    uint64_t wanted = lmdb->options.map_size_bytes;
    uint64_t used = lmdb_store_used_bytes(store);
    while (wanted < used * 2) {
        wanted *= 2;
    }
    if (map_size(store) == wanted) {
        return 0;
    }
    int rc = mdb_env_set_mapsize(store->env, wanted);
    return rc == 0 ? 0 : lmdb_error(err, rc, "size the map");
}

static int open_env(struct lmdb *lmdb, struct lmdb_store *store, const char *name, unsigned flags,
                    struct err *err)
{
    CLEANUP(free) char *path = mem_printf("%s/%s", lmdb->directory, name);
    CLEANUP(free) char *lock_path = mem_printf("%s-lock", path);
    /* Slots in a left-over lock file belong to readers that are long gone. */
    if (unlink(lock_path) != 0 && errno != ENOENT) {
        return err_set_errno(err, errno, "unlink '%s'", lock_path);
    }
    int rc = mdb_env_create(&store->env);
    if (rc != 0) {
        return lmdb_error(err, rc, "create the environment");
    }
    rc = mdb_env_set_mapsize(store->env, lmdb->options.map_size_bytes);
    if (rc != 0) {
        return lmdb_error(err, rc, "size the map");
    }
    flags |=
        MDB_NOSUBDIR | MDB_NOTLS | (lmdb->options.is_unsafe_no_sync ? MDB_NOSYNC : MDB_NOMETASYNC);
    rc = mdb_env_open(store->env, path, flags, 0600);
    (void)unlink(lock_path); /* mapped; the name is not needed, and without it nothing goes stale */
    if (rc != 0) {
        (void)lmdb_error(err, rc, "open the store");
        return err == NULL ? (rc > 0 ? -rc : ERR_CORRUPT) : err_prefix(err, "'%s'", path);
    }
    MDB_stat stat;
    CHECK(mdb_env_stat(store->env, &stat) == 0);
    store->page_size = stat.ms_psize;
    return check_size(store, path, err);
}

int lmdb_store_open(struct lmdb *lmdb, const char *name, unsigned extra_flags,
                    struct lmdb_store **ret_store, struct err *err)
{
    struct lmdb_store *store = mem_zalloc(sizeof *store);
    store->reference_count = 1;
    int rc = open_env(lmdb, store, name, extra_flags, err);
    if (rc == 0) {
        rc = set_map_size(lmdb, store, err);
    }
    if (rc == 0) {
        rc = first_transaction(lmdb, store, err);
    }
    if (rc == 0) {
        rc = lmdb_verify(store, err);
    }
    if (rc != 0) {
        lmdb_store_unref_locked(store); /* nobody else knows it */
        return rc;
    }
    *ret_store = store;
    return 0;
}

void lmdb_store_unref_locked(struct lmdb_store *store)
{
    CHECK(store->reference_count > 0);
    if (--store->reference_count > 0) {
        return;
    }
    CHECK(store->reader_count == 0);
    if (store->env != NULL) {
        mdb_env_close(store->env);
    }
    mem_free(store);
}

/* Blocks that are there before LMDB writes them: a full disk is found out here, where nothing is
 * lost, and not in a commit, where it is a failed write (LMDB reports EIO for it). */
int lmdb_store_reserve(struct lmdb *lmdb, struct lmdb_store *store, uint64_t bytes, struct err *err)
{
    (void)lmdb;
    uint64_t wanted = lmdb_store_used_bytes(store) + bytes;
    if (wanted <= store->file_size) {
        return 0;
    }
    wanted = (wanted + RESERVE_STEP_BYTES - 1) / RESERVE_STEP_BYTES * RESERVE_STEP_BYTES;
    int rc;
    do {
        rc = fallocate(store_fd(store), 0, 0, (off_t)wanted);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0 && errno == EOPNOTSUPP) {
        rc = ftruncate(store_fd(store), (off_t)wanted); /* no promise, but the size check holds */
    }
    if (rc != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
        return err_set(err, ERR_NO_SPACE, "no space to let the store grow to %llu bytes",
                       (unsigned long long)wanted);
    }
    if (rc != 0) {
        return err_set_errno(err, errno, "let the store grow to %llu bytes",
                             (unsigned long long)wanted);
    }
    store->file_size = wanted;
    return 0;
}
