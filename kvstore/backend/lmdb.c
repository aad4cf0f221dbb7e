#include "kvstore/backend/lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/data_dir.h"
#include "base/mem.h"
#include "kvstore/backend/lmdb_internal.h"

enum { MAP_SIZE_GIB_DEFAULT = 64 };

void lmdb_lock(struct lmdb *lmdb)
{
    CHECK(pthread_mutex_lock(&lmdb->lock) == 0);
}

void lmdb_unlock(struct lmdb *lmdb)
{
    CHECK(pthread_mutex_unlock(&lmdb->lock) == 0);
}

int lmdb_error(struct err *err, int rc, const char *what)
{
    switch (rc) {
    case MDB_NOTFOUND:
        return err_set(err, ERR_NOT_FOUND, "%s: not found", what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_PANIC:
        return err_set(err, ERR_CORRUPT, "%s: %s", what, mdb_strerror(rc));
    case MDB_READERS_FULL:
        return err_set(err, ERR_BUSY, "%s: too many snapshots are open", what);
    case EIO:
    case ENOSPC: /* a commit that gets so far is lost like any other failed write */
    case EFBIG:
    case EDQUOT:
        return err_set(err, ERR_IO, "%s: %s", what, mdb_strerror(rc));
    default:
        return rc > 0 ? err_set_errno(err, rc, "%s", what)
                      : err_set(err, ERR_IO, "%s: %s", what, mdb_strerror(rc));
    }
}

int lmdb_fail(struct lmdb *lmdb, int code)
{
    int none = 0;
    (void)atomic_compare_exchange_strong(&lmdb->failed, &none, code);
    return code;
}

int lmdb_refuse_failed(struct lmdb *lmdb, struct err *err)
{
    int code = atomic_load(&lmdb->failed);
    return code == 0 ? 0 : err_set(err, code, "the store failed before and is not written again");
}

static void close_lmdb(struct backend *backend)
{
    struct lmdb *lmdb = lmdb_of(backend);
    lmdb_restore_cancel(backend);
    lmdb_view_close(lmdb);
    lmdb_lock(lmdb);
    CHECK(lmdb->snapshot_count == 0);
    if (lmdb->current != NULL) {
        lmdb_store_unref_locked(lmdb->current);
    }
    lmdb_unlock(lmdb);
    CHECK(pthread_cond_destroy(&lmdb->changed) == 0);
    CHECK(pthread_mutex_destroy(&lmdb->lock) == 0);
    if (lmdb->directory_fd >= 0) {
        (void)close(lmdb->directory_fd);
    }
    mem_free(lmdb->directory);
    mem_free(lmdb);
}

static const struct backend_operations operations = {
    .close = close_lmdb,
    .renew = lmdb_renew,
    .applied = lmdb_applied,
    .get = lmdb_get,
    .scan = lmdb_scan,
    .meta_get = lmdb_meta_get,
    .meta_scan = lmdb_meta_scan,
    .stats = lmdb_stats,
    .commit = lmdb_commit,
    .sync = lmdb_sync,
    .defragment = lmdb_defragment,
    .restore_start = lmdb_restore_start,
    .restore_write = lmdb_restore_write,
    .restore_finish = lmdb_restore_finish,
    .restore_cancel = lmdb_restore_cancel,
    .snapshot_open = lmdb_snapshot_open,
    .snapshot_close = lmdb_snapshot_close,
    .snapshot_next = lmdb_snapshot_next,
};

static struct lmdb *new_lmdb(const struct backend_lmdb_options *options)
{
    struct lmdb *lmdb = mem_zalloc(sizeof *lmdb);
    lmdb->base.operations = &operations;
    lmdb->options = *options;
    if (lmdb->options.map_size_bytes == 0) {
        lmdb->options.map_size_bytes = (uint64_t)MAP_SIZE_GIB_DEFAULT << 30;
    }
    lmdb->directory = mem_strdup(options->directory);
    lmdb->options.directory = lmdb->directory;
    lmdb->directory_fd = -1;
    lmdb->core = pthread_self();
    CHECK(pthread_mutex_init(&lmdb->lock, NULL) == 0);
    CHECK(pthread_cond_init(&lmdb->changed, NULL) == 0);
    atomic_init(&lmdb->failed, 0);
    return lmdb;
}

static int prepare_directory(struct lmdb *lmdb, struct err *err)
{
    if (mkdir(lmdb->directory, 0700) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "make directory '%s'", lmdb->directory);
    }
    lmdb->directory_fd = open(lmdb->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lmdb->directory_fd < 0) {
        return err_set_errno(err, errno, "open directory '%s'", lmdb->directory);
    }
    int rc = data_dir_check_file_system(lmdb->directory, err);
    return rc != 0 ? rc : lmdb_remove_leftovers(lmdb, err);
}

static int open_all(struct lmdb *lmdb, struct err *err)
{
    int rc = prepare_directory(lmdb, err);
    if (rc != 0) {
        return rc;
    }
    rc = lmdb_store_open(lmdb, LMDB_FILE_NAME, 0, &lmdb->current, err);
    if (rc != 0) {
        return rc;
    }
    /* The new file's name must survive a power loss as its content does. */
    if (!lmdb->options.is_unsafe_no_sync && fsync(lmdb->directory_fd) != 0) {
        return err_set_errno(err, errno, "sync directory '%s'", lmdb->directory);
    }
    rc = lmdb_view_open(lmdb, err);
    if (rc != 0) {
        return rc;
    }
    lmdb->stored = lmdb->view_applied;
    /* After a killed process the newest commits may be in the page cache only. What is found at the
     * start is reported as durable, so it must be. */
    struct backend_position durable;
    return lmdb_sync(&lmdb->base, &durable, err);
}

int backend_lmdb_open(const struct backend_lmdb_options *options, struct backend **ret_backend,
                      struct err *err)
{
    struct lmdb *lmdb = new_lmdb(options);
    int rc = open_all(lmdb, err);
    if (rc != 0) {
        close_lmdb(&lmdb->base);
        return rc;
    }
    *ret_backend = &lmdb->base;
    return 0;
}
