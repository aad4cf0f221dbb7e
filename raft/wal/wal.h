/* wal.h - the write-ahead log: entries, hard state and snapshot metadata, durable in order.
 *
 * docs/wal.md has the format and the reasoning. In short: one batch is one write and one fdatasync;
 * every 512-byte sector proves its own content and place, so that after a crash a write that never
 * finished can be told from damage to an acknowledged one. The first is cut off, with
 * wal_recovered.torn_bytes to log; the second is ERR_CORRUPT and never repaired by guessing.
 *
 * Errors that a caller must tell apart:
 *   ERR_CORRUPT        damage, or the log is shorter than what was applied or committed; the member
 *                      may not vote until it was repaired from its peers
 *   ERR_WRONG_CLUSTER  the directory belongs to another cluster or member
 *   ERR_NOT_FOUND      no log here, and wal_options.is_created is false
 *   ERR_NO_SPACE       nothing was written; may be tried again when there is space
 *   ERR_UNSUPPORTED    written by a newer version
 *   ERR_IO             a write or sync failed. Final: every later call returns it too. Never
 *                      retried, because what the disk holds is then unknown; exit and start again.
 *
 * Single-owner: one struct wal belongs to one thread (see wal_thread.h). */
#ifndef RAFT_WAL_WAL_H
#define RAFT_WAL_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "raft/raft.h"
#include "raft/wal/disk.h"

/* Whose log this is. */
struct wal_metadata {
    uint64_t cluster_id;
    uint64_t member_id;
    uint64_t incarnation; /* how often this log was opened; starts at 1 */
};

struct wal_options {
    struct disk *disk; /* the log's own directory; borrowed, outlives the wal */
    bool is_created;   /* make a new log if there is none */

    /* 0: take what the log says. A new log needs both. */
    uint64_t cluster_id;
    uint64_t member_id;

    uint64_t segment_bytes;   /* 0: 16 MiB. Multiple of alignment_bytes. For new segments */
    uint32_t alignment_bytes; /* 0: 4096. Batches start there; a power of two, at least 512 */

    /* What the backend has durably applied. A log that ends before it has lost something, and a log
     * that begins after it belongs to a backend that has. */
    uint64_t durable_applied_index;
    /* Set if the backend's content came from a peer's snapshot (not by applying) and the process
     * may have died before that snapshot was recorded here: the log then continues from it. */
    const struct raft_snapshot_meta *installed;

    uint64_t (*clock_ns)(void); /* for the durations in wal_stats; NULL: they stay 0 */
};

/* What was read back. Free with wal_recovered_deinit(). */
struct wal_recovered {
    struct wal_metadata metadata;
    struct raft_hard_state hard_state;
    struct raft_snapshot_meta snapshot; /* last.index 0: none */
    struct raft_entry *entries;         /* from snapshot.last.index + 1 on, without gaps */
    uint32_t entry_count;
    bool is_new;         /* the log was created by this open */
    uint64_t torn_bytes; /* an unfinished last batch of this size was cut off; 0: none */
};

void wal_recovered_deinit(struct wal_recovered *recovered);

/* The unit of durability: what one raft_take_ready() asks for. */
struct wal_batch;

/* The sequence is the caller's; it may repeat for what Raft did not ask for (a compaction's
 * snapshot record). A snapshot record keeps the entries after it if the log has its last entry with
 * that term, else the log starts anew behind it. Copies everything; entry data is referenced.
 * hard_state and snapshot may be NULL. Entries follow each other; the first replaces the log from
 * its index on, and is at most the log's end + 1. */
struct wal_batch *wal_batch_new(uint64_t sequence, const struct raft_hard_state *hard_state,
                                const struct raft_snapshot_meta *snapshot,
                                const struct raft_entry *entries, uint32_t entry_count);
void wal_batch_free(struct wal_batch *batch); /* NULL is fine */
uint64_t wal_batch_sequence(const struct wal_batch *batch);
uint64_t wal_batch_bytes(const struct wal_batch *batch); /* about what it takes on disk */

struct wal;

/* Recover what is there and be ready to append. Opening writes one batch (the new incarnation). */
MUST_USE int wal_open(const struct wal_options *options, struct wal **ret_wal,
                      struct wal_recovered *ret_recovered, struct err *err);
/* Closes without losing anything that was acknowledged. NULL is fine. */
void wal_close(struct wal *wal);

/* Write count batches as one: one write, one fdatasync. On return 0 all of them are durable. On
 * ERR_NO_SPACE none was written; on ERR_IO any of them may or may not be found after a restart. */
MUST_USE int wal_append(struct wal *wal, struct wal_batch *const *batches, uint32_t count,
                        struct err *err);

/* The backend has everything up to index durably: drop segments that hold nothing later. Keeps what
 * the last snapshot record does not cover, whatever index says. */
MUST_USE int wal_release(struct wal *wal, raft_index index, struct err *err);

/* Nothing has been appended for a while: make the record of the last acknowledgement durable, too.
 * Costs one fdatasync at most, nothing if there is nothing to do. */
MUST_USE int wal_settle(struct wal *wal, struct err *err);

/* Bytes of batches that can be appended for sure, from space that is reserved on the disk already.
 * A node refuses clients' writes when it falls below its limit, before the disk is full. */
struct wal_capacity {
    uint64_t available_bytes;
    bool is_spare_ready; /* a whole free segment is reserved */
};
struct wal_capacity wal_capacity(const struct wal *wal);

/* Try to reserve the spare segment again, after ERR_NO_SPACE or when is_spare_ready is false. */
MUST_USE int wal_reserve(struct wal *wal, struct err *err);

/* Write zeros to some more of the spare segment: a later sync of a batch in it then has no metadata
 * to write. Only a matter of speed. *ret_is_done: nothing is left to do. */
MUST_USE int wal_prepare_spare(struct wal *wal, uint64_t bytes, bool *ret_is_done, struct err *err);

struct wal_stats {
    uint32_t segment_count;
    uint64_t size_bytes; /* of all segments and the spare */
    raft_index first_index;
    raft_index last_index; /* 0: no entries */
    uint64_t written_bytes;
    uint64_t sync_count;
    uint64_t write_ns; /* spent in all writes and syncs of batches */
    uint64_t sync_ns;
};
struct wal_stats wal_stats(const struct wal *wal);

#endif
