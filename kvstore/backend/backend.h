/* backend.h - where the applied state lives: two ordered tables and one applied position.
 *
 *   revisions  (main, sub) -> the encoded mvccpb.KeyValue of that change; appended in order
 *   meta       bytes -> bytes: members, leases, users, alarms, the compact revision, ...
 *
 * Two implementations: LMDB (kvstore/backend/lmdb.h) and memory (kvstore/backend/memory.h, pure,
 * for tests and the simulator). Every stored value carries a CRC-32C over its key and itself and is
 * verified by each read: a flipped bit is ERR_CORRUPT, never a wrong answer.
 *
 * Threads. Reads belong to the core thread. backend_commit() and its kin belong to the backend
 * thread (backend_thread.h). Snapshots are opened on the core thread and then belong to one thread
 * of the reader's choice. In tests and tools one thread may do everything; then a commit also ends
 * the life of borrowed bytes.
 *
 * Errors: ERR_NOT_FOUND, ERR_CORRUPT (the file cannot be trusted: stop), ERR_IO (a failed write or
 * sync, final: every later call is refused with it), ERR_NO_SPACE (nothing was written, may be
 * tried again), ERR_BUSY, ERR_TIMEOUT and ERR_CANCELLED (snapshots only). */
#ifndef KVSTORE_BACKEND_BACKEND_H
#define KVSTORE_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    BACKEND_META_KEY_SIZE_MAX = 500, /* bytes; LMDB stops at 511. Longer names must be hashed */
};

/* Ordered by main, then sub. {0, 0} sorts before every revision that exists. */
struct backend_revision {
    uint64_t main;
    uint32_t sub;
};

#define BACKEND_REVISION_MAX ((struct backend_revision){UINT64_MAX, UINT32_MAX})

/* <0, 0, >0 */
static inline int backend_revision_compare(struct backend_revision a, struct backend_revision b)
{
    if (a.main != b.main) {
        return a.main < b.main ? -1 : 1;
    }
    return (a.sub > b.sub) - (a.sub < b.sub);
}

/* The one that follows directly. */
static inline struct backend_revision backend_revision_next(struct backend_revision revision)
{
    return revision.sub == UINT32_MAX ? (struct backend_revision){revision.main + 1, 0}
                                      : (struct backend_revision){revision.main, revision.sub + 1};
}

/* The log position whose effects are in the store: written in the same transaction as they are. */
struct backend_position {
    uint64_t index;
    uint64_t term;
};

struct backend_record {
    struct backend_revision revision;
    bool is_tombstone;  /* this revision deleted its key */
    struct bytes value; /* encoded mvccpb.KeyValue (of a tombstone: only its key) */
};

struct backend_meta {
    struct bytes key;
    struct bytes value;
};

struct backend;       /* opaque; opened by backend_lmdb_open() or backend_memory_new() */
struct backend_batch; /* below */
struct backend_snapshot;

/* Close it, after the thread and all snapshots are gone. NULL is fine. */
void backend_close(struct backend *backend);

/* ---- Reads: the core thread -------------------------------------------------------------------
 * They see the state at the last backend_renew(); returned bytes are borrowed until the next one.
 */

/* Move the view to the newest commit. Call it when a completion says that a batch is stored. */
MUST_USE int backend_renew(struct backend *backend, struct err *err);

/* {0, 0} in a new store. */
struct backend_position backend_applied(const struct backend *backend);

/* ERR_NOT_FOUND, ERR_CORRUPT. */
MUST_USE int backend_get(struct backend *backend, struct backend_revision revision,
                         struct backend_record *ret_record, struct err *err);

/* Up to capacity records with from <= revision < end, in order. Fewer than capacity: that was all.
 * Go on with backend_revision_next(last). */
MUST_USE int backend_scan(struct backend *backend, struct backend_revision from,
                          struct backend_revision end, struct backend_record *ret_records,
                          uint32_t capacity, uint32_t *ret_count, struct err *err);

MUST_USE int backend_meta_get(struct backend *backend, struct bytes key, struct bytes *ret_value,
                              struct err *err);

/* Up to capacity entries whose key starts with prefix and is greater than after (empty: from the
 * first), in the order of their bytes. */
MUST_USE int backend_meta_scan(struct backend *backend, struct bytes prefix, struct bytes after,
                               struct backend_meta *ret_entries, uint32_t capacity,
                               uint32_t *ret_count, struct err *err);

struct backend_stats {
    uint64_t size_bytes; /* pages used so far x page size: etcd's dbSize; shrinks by defragment */
    uint64_t size_in_use_bytes; /* without free pages: etcd's dbSizeInUse */
    uint64_t map_size_bytes;    /* what LMDB may grow to before the map must grow; 0 in memory */
    uint64_t entry_count;       /* revisions and meta entries */
    uint32_t snapshot_count;    /* open snapshots */
};

/* Figures of the newest commit. Core thread. */
void backend_stats(struct backend *backend, struct backend_stats *ret_stats);

/* ---- Batches: built by the core thread, then immutable ----------------------------------------
 * One object is one unit of atomicity. Changes take effect in the order they were added. */

/* sequence is the caller's, increasing; completions name it. */
struct backend_batch *backend_batch_new(uint64_t sequence);
void backend_batch_free(struct backend_batch *batch); /* NULL is fine */

/* The blob is referenced, not copied. */
void backend_batch_put(struct backend_batch *batch, struct backend_revision revision,
                       bool is_tombstone, struct blob *value);
/* Absent revisions are fine. */
void backend_batch_delete(struct backend_batch *batch, struct backend_revision revision);
/* Every revision with from <= revision < end. */
void backend_batch_delete_range(struct backend_batch *batch, struct backend_revision from,
                                struct backend_revision end);
/* Key and value are copied. The key is 1..BACKEND_META_KEY_SIZE_MAX bytes. */
void backend_batch_meta_put(struct backend_batch *batch, struct bytes key, struct bytes value);
void backend_batch_meta_delete(struct backend_batch *batch, struct bytes key);
void backend_batch_meta_delete_prefix(struct backend_batch *batch, struct bytes prefix);
/* Never lower than the one that is stored: CHECKed at commit. Omit it to leave it unchanged. */
void backend_batch_set_applied(struct backend_batch *batch, struct backend_position applied);

uint64_t backend_batch_sequence(const struct backend_batch *batch);
uint64_t backend_batch_bytes(const struct backend_batch *batch); /* keys and values, for limits */
uint32_t backend_batch_count(const struct backend_batch *batch); /* changes */

/* ---- Writes: the backend thread ---------------------------------------------------------------
 */

/* Store batches as one transaction: all or nothing. The process may die at any moment; a power loss
 * may lose the newest commits, never damage older ones. */
MUST_USE int backend_commit(struct backend *backend, struct backend_batch *const *batches,
                            uint32_t count, struct err *err);

/* Make every commit so far survive a power loss. *ret_durable is then the applied position that
 * lets the write-ahead log be released. */
MUST_USE int backend_sync(struct backend *backend, struct backend_position *ret_durable,
                          struct err *err);

/* Replace the file by a compacted copy of itself. Reads and clients' writes go on; commits wait.
 * Crash-safe at every point. The core's view moves over at its next backend_renew(). */
MUST_USE int backend_defragment(struct backend *backend, struct err *err);

/* Install a snapshot received from a peer: start, any number of writes, then finish swaps the whole
 * content in (fsync and rename) and is durable on return; cancel, or a crash before the end, leaves
 * the old content untouched. */
MUST_USE int backend_restore_start(struct backend *backend, struct err *err);
MUST_USE int backend_restore_write(struct backend *backend, struct backend_batch *const *batches,
                                   uint32_t count, struct err *err);
MUST_USE int backend_restore_finish(struct backend *backend, struct err *err);
void backend_restore_cancel(struct backend *backend); /* none started is fine */

/* ---- Snapshots: a frozen view that another thread may read ------------------------------------
 */

/* The view is the newest commit. max_age_ms bounds how long it may pin old pages (0: no bound;
 * memory has no clock and ignores it). ERR_BUSY: the map is about to grow, try later. */
MUST_USE int backend_snapshot_open(struct backend *backend, uint32_t max_age_ms,
                                   struct backend_snapshot **ret_snapshot, struct err *err);
void backend_snapshot_close(struct backend_snapshot *snapshot); /* NULL is fine */

struct backend_position backend_snapshot_applied(const struct backend_snapshot *snapshot);
uint64_t backend_snapshot_size_bytes(const struct backend_snapshot *snapshot); /* an estimate */

struct backend_item {
    bool is_meta;
    struct backend_meta meta;     /* when is_meta */
    struct backend_record record; /* otherwise */
};

/* The next items: all of meta by key, then all revisions in order. *ret_count 0: the end. Bytes are
 * borrowed until the next call. ERR_TIMEOUT: too old; ERR_CANCELLED: the map must grow; start over.
 * The applied position is not among them: see backend_snapshot_applied(). */
MUST_USE int backend_snapshot_next(struct backend_snapshot *snapshot,
                                   struct backend_item *ret_items, uint32_t capacity,
                                   uint32_t *ret_count, struct err *err);

#endif
