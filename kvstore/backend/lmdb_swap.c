/* Another file takes the place of the current one: defragment (a compacted copy of it) and restore
 * (a peer's content). The same steps, each safe to die in:
 *
 *   build incoming-N.mdb -> sync it -> rename over data.mdb -> sync the directory -> make it
 * current
 *
 * Before the rename a restart finds the old file and removes the other; after it, the new one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "kvstore/backend/lmdb_internal.h"

#define INCOMING_PREFIX "incoming-"

enum { FREE_RESERVE_BYTES = 64 << 20 /* what a copy leaves for the log and everybody else */ };

static char *next_name(struct lmdb *lmdb)
{
    return mem_printf(INCOMING_PREFIX "%llu.mdb", (unsigned long long)lmdb->next_file_number++);
}

int lmdb_remove_leftovers(struct lmdb *lmdb, struct err *err)
{
    DIR *directory = opendir(lmdb->directory);
    if (directory == NULL) {
        return err_set_errno(err, errno, "read directory '%s'", lmdb->directory);
    }
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, INCOMING_PREFIX, strlen(INCOMING_PREFIX)) == 0 &&
            unlinkat(lmdb->directory_fd, entry->d_name, 0) != 0) {
            rc = err_set_errno(err, errno, "remove '%s/%s'", lmdb->directory, entry->d_name);
        }
    }
    (void)closedir(directory);
    return rc;
}

static void remove_file(struct lmdb *lmdb, const char *name)
{
    (void)unlinkat(lmdb->directory_fd, name, 0); /* else the next start removes it */
}

static int sync_file(struct lmdb *lmdb, const char *name, struct err *err)
{
    CLEANUP(close_fd) int fd = openat(lmdb->directory_fd, name, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open '%s/%s'", lmdb->directory, name);
    }
    if (!lmdb->options.is_unsafe_no_sync && fsync(fd) != 0) {
        return err_set(err, ERR_IO, "sync '%s/%s': %s", lmdb->directory, name, strerror(errno));
    }
    return 0;
}

/* From here on an error is final: it is unknown which of the files a restart would find. */
static int swap_in(struct lmdb *lmdb, const char *name, struct lmdb_store *store, struct err *err)
{
    if (renameat(lmdb->directory_fd, name, lmdb->directory_fd, LMDB_FILE_NAME) != 0) {
        return lmdb_fail(lmdb, err_set(err, ERR_IO, "rename '%s': %s", name, strerror(errno)));
    }
    if (!lmdb->options.is_unsafe_no_sync && fsync(lmdb->directory_fd) != 0) {
        return lmdb_fail(lmdb,
                         err_set(err, ERR_IO, "sync '%s': %s", lmdb->directory, strerror(errno)));
    }
    lmdb_lock(lmdb);
    struct lmdb_store *old = lmdb->current;
    lmdb->current = store;
    lmdb_store_unref_locked(old); /* views of it keep it open until they move on */
    lmdb_unlock(lmdb);
    return 0;
}

static int check_free_space(struct lmdb *lmdb, uint64_t bytes, struct err *err)
{
    struct statvfs info;
    if (fstatvfs(lmdb->directory_fd, &info) != 0) {
        return err_set_errno(err, errno, "statvfs '%s'", lmdb->directory);
    }
    uint64_t available = (uint64_t)info.f_bavail * info.f_frsize;
    if (available < bytes + FREE_RESERVE_BYTES) {
        return err_set(err, ERR_NO_SPACE, "a copy of the store needs %llu bytes, %llu are free",
                       (unsigned long long)bytes, (unsigned long long)available);
    }
    return 0;
}

/* The copy has what the original has. */
static int compare(struct lmdb *lmdb, struct lmdb_store *copy, struct err *err)
{
    MDB_stat stat;
    MDB_stat copied;
    CHECK(mdb_env_stat(lmdb->current->env, &stat) == 0);
    CHECK(mdb_env_stat(copy->env, &copied) == 0);
    MDB_txn *txn;
    int rc = mdb_txn_begin(copy->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return lmdb_error(err, rc, "read the compacted copy");
    }
    struct backend_position position;
    rc = lmdb_read_position(copy, txn, &position, err);
    mdb_txn_abort(txn);
    if (rc != 0) {
        return rc;
    }
    if (stat.ms_entries != copied.ms_entries || position.index != lmdb->stored.index) {
        return err_set(err, ERR_CORRUPT, "the compacted copy differs from the store");
    }
    return 0;
}

static int copy_and_swap(struct lmdb *lmdb, const char *name, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("%s/%s", lmdb->directory, name);
    int rc = mdb_env_copy2(lmdb->current->env, path, MDB_CP_COMPACT);
    if (rc != 0) {
        return rc == ENOSPC ? err_set(err, ERR_NO_SPACE, "no space for a compacted copy")
                            : lmdb_error(err, rc, "make a compacted copy");
    }
    rc = sync_file(lmdb, name, err);
    if (rc != 0) {
        return rc;
    }
    struct lmdb_store *store;
    rc = lmdb_store_open(lmdb, name, 0, &store, err);
    if (rc != 0) {
        return rc;
    }
    rc = compare(lmdb, store, err);
    if (rc == 0) {
        rc = swap_in(lmdb, name, store, err);
    }
    if (rc != 0) {
        lmdb_store_unref_locked(store); /* only this thread knows it */
    }
    return rc;
}

int lmdb_defragment(struct backend *backend, struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    int rc = lmdb_refuse_failed(lmdb, err);
    if (rc == 0) {
        rc = check_free_space(lmdb, lmdb_store_used_bytes(lmdb->current), err);
    }
    if (rc != 0) {
        return rc;
    }
    CLEANUP(free) char *name = next_name(lmdb);
    rc = copy_and_swap(lmdb, name, err);
    if (rc != 0) {
        remove_file(lmdb, name);
    }
    return rc;
}

static char *restoring_name(const struct lmdb *lmdb)
{
    return mem_printf(INCOMING_PREFIX "%llu.mdb", (unsigned long long)(lmdb->next_file_number - 1));
}

void lmdb_restore_cancel(struct backend *backend)
{
    struct lmdb *lmdb = lmdb_of(backend);
    if (lmdb->restoring == NULL) {
        return;
    }
    lmdb_lock(lmdb);
    lmdb_store_unref_locked(lmdb->restoring);
    lmdb_unlock(lmdb);
    lmdb->restoring = NULL;
    CLEANUP(free) char *name = restoring_name(lmdb);
    remove_file(lmdb, name);
}

int lmdb_restore_start(struct backend *backend, struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    int rc = lmdb_refuse_failed(lmdb, err);
    if (rc != 0) {
        return rc;
    }
    lmdb_restore_cancel(backend);
    CLEANUP(free) char *name = next_name(lmdb);
    struct lmdb_store *store;
    /* Nobody trusts it before the sync at the end, so its commits need none. */
    rc = lmdb_store_open(lmdb, name, MDB_NOSYNC, &store, err);
    if (rc != 0) {
        remove_file(lmdb, name);
        return rc;
    }
    lmdb->restoring = store;
    lmdb->restored = (struct backend_position){0, 0};
    return 0;
}

int lmdb_restore_write(struct backend *backend, struct backend_batch *const *batches,
                       uint32_t count, struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    CHECK(lmdb->restoring != NULL);
    int rc = lmdb_refuse_failed(lmdb, err);
    if (rc != 0) {
        return rc;
    }
    return lmdb_write_batches(lmdb, lmdb->restoring, batches, count, &lmdb->restored, err);
}

int lmdb_restore_finish(struct backend *backend, struct err *err)
{
    struct lmdb *lmdb = lmdb_of(backend);
    CHECK(lmdb->restoring != NULL);
    int rc = lmdb_refuse_failed(lmdb, err);
    if (rc != 0) {
        return rc;
    }
    struct lmdb_store *store = lmdb->restoring;
    if (!lmdb->options.is_unsafe_no_sync) {
        rc = mdb_env_sync(store->env, 1);
        if (rc != 0) {
            return lmdb_fail(lmdb, lmdb_error(err, rc, "sync the received store"));
        }
        CHECK(mdb_env_set_flags(store->env, MDB_NOSYNC, 0) == 0);
    }
    CLEANUP(free) char *name = restoring_name(lmdb);
    rc = sync_file(lmdb, name, err); /* its size, too */
    if (rc != 0) {
        return lmdb_fail(lmdb, rc);
    }
    rc = swap_in(lmdb, name, store, err);
    if (rc == 0) {
        lmdb->restoring = NULL;
        lmdb->stored = lmdb->restored;
    }
    return rc;
}
