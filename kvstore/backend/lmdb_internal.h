/* lmdb_internal.h - shared by the lmdb_*.c files of this folder.
 *
 * A store is one open LMDB file. The backend has a current one; defragment and restore build
 * another file beside it and swap. Old views keep their store alive until they move on, so nobody
 * waits for anybody. A file is opened under a name of its own and renamed afterwards, and its lock
 * file is unlinked once mapped: no process ever has one file open twice, and no stale reader slot
 * survives a restart. The directory lock (base/data_dir.h) keeps other processes out instead. */
#ifndef KVSTORE_BACKEND_LMDB_INTERNAL_H
#define KVSTORE_BACKEND_LMDB_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "kvstore/backend/batch.h"
#include "kvstore/backend/lmdb.h"
#include "kvstore/backend/operations.h"
#include "kvstore/backend/record.h"

struct lmdb_store {
    MDB_env *env;
    MDB_dbi dbi;
    uint32_t page_size;
    uint32_t reference_count; /* under lmdb.lock */
    uint32_t reader_count;    /* open read transactions; under lmdb.lock */
    uint64_t file_size;       /* writer: what has been reserved so far */
};

struct lmdb {
    struct backend base;
    struct backend_lmdb_options options;
    char *directory;
    int directory_fd;
    pthread_t core; /* the thread that reads */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lmdb_store *current; /* changed by the writer */
    bool is_growing;            /* readers are to leave, the map is about to move */
    uint32_t snapshot_count;

    /* The core thread's view. */
    struct lmdb_store *viewed;
    MDB_txn *view;
    MDB_cursor *cursor;
    struct backend_position view_applied;

    /* The writer's. */
    struct backend_position stored;
    struct lmdb_store *restoring;
    struct backend_position restored;
    uint64_t next_file_number;
    atomic_int failed; /* the code that ended all writing */
};

struct lmdb_snapshot {
    struct backend_snapshot base;
    struct lmdb *owner;
    struct lmdb_store *store;
    MDB_txn *txn;
    MDB_cursor *cursor;
    bool is_started;
    uint64_t deadline_ms; /* CLOCK_MONOTONIC; 0: none */
};

static inline struct lmdb *lmdb_of(struct backend *backend)
{
    return (struct lmdb *)(void *)backend;
}

static inline MDB_val lmdb_val(struct bytes bytes)
{
    /* LMDB does not write through it. */
    return (MDB_val){bytes.size, (void *)(uintptr_t)bytes.data};
}

static inline struct bytes lmdb_bytes(MDB_val val)
{
    return bytes_make(val.mv_data, val.mv_size);
}

/* lmdb.c */
void lmdb_lock(struct lmdb *lmdb);
void lmdb_unlock(struct lmdb *lmdb);
/* An LMDB code in our terms, with text; final write errors are remembered by lmdb_fail(). */
int lmdb_error(struct err *err, int rc, const char *what);
int lmdb_fail(struct lmdb *lmdb, int code);
int lmdb_refuse_failed(struct lmdb *lmdb, struct err *err);

/* lmdb_store.c */
int lmdb_store_open(struct lmdb *lmdb, const char *name, unsigned extra_flags,
                    struct lmdb_store **ret_store, struct err *err);
void lmdb_store_unref_locked(struct lmdb_store *store); /* the last one closes it */
uint64_t lmdb_store_used_bytes(const struct lmdb_store *store);
/* Reserve disk space for bytes more; ERR_NO_SPACE. */
int lmdb_store_reserve(struct lmdb *lmdb, struct lmdb_store *store, uint64_t bytes,
                       struct err *err);
int lmdb_read_position(struct lmdb_store *store, MDB_txn *txn, struct backend_position *ret,
                       struct err *err);

/* lmdb_verify.c */
/* ERR_CORRUPT: do not use this file. Reads all of it. */
int lmdb_verify(struct lmdb_store *store, struct err *err);

/* lmdb_write.c */
int lmdb_commit(struct backend *backend, struct backend_batch *const *batches, uint32_t count,
                struct err *err);
int lmdb_sync(struct backend *backend, struct backend_position *ret_durable, struct err *err);
int lmdb_write_batches(struct lmdb *lmdb, struct lmdb_store *store,
                       struct backend_batch *const *batches, uint32_t count,
                       struct backend_position *applied, struct err *err);

/* lmdb_read.c */
int lmdb_view_open(struct lmdb *lmdb, struct err *err);
void lmdb_view_close(struct lmdb *lmdb);
int lmdb_renew(struct backend *backend, struct err *err);
struct backend_position lmdb_applied(const struct backend *backend);
int lmdb_get(struct backend *backend, struct backend_revision revision,
             struct backend_record *ret_record, struct err *err);
int lmdb_scan(struct backend *backend, struct backend_revision from, struct backend_revision end,
              struct backend_record *ret_records, uint32_t capacity, uint32_t *ret_count,
              struct err *err);
int lmdb_meta_get(struct backend *backend, struct bytes key, struct bytes *ret_value,
                  struct err *err);
int lmdb_meta_scan(struct backend *backend, struct bytes prefix, struct bytes after,
                   struct backend_meta *ret_entries, uint32_t capacity, uint32_t *ret_count,
                   struct err *err);
void lmdb_stats(struct backend *backend, struct backend_stats *ret_stats);

/* lmdb_snapshot.c */
int lmdb_snapshot_open(struct backend *backend, uint32_t max_age_ms,
                       struct backend_snapshot **ret_snapshot, struct err *err);
void lmdb_snapshot_close(struct backend_snapshot *snapshot);
int lmdb_snapshot_next(struct backend_snapshot *snapshot, struct backend_item *ret_items,
                       uint32_t capacity, uint32_t *ret_count, struct err *err);

/* lmdb_swap.c */
int lmdb_defragment(struct backend *backend, struct err *err);
int lmdb_restore_start(struct backend *backend, struct err *err);
int lmdb_restore_write(struct backend *backend, struct backend_batch *const *batches,
                       uint32_t count, struct err *err);
int lmdb_restore_finish(struct backend *backend, struct err *err);
void lmdb_restore_cancel(struct backend *backend);
int lmdb_remove_leftovers(struct lmdb *lmdb, struct err *err);

#define LMDB_FILE_NAME "data.mdb"

#endif
