/* wal_internal.h - shared by wal.c, wal_recover.c and wal_segment.c. Private to this folder. */
#ifndef RAFT_WAL_WAL_INTERNAL_H
#define RAFT_WAL_WAL_INTERNAL_H

#include "raft/wal/wal_format.h"
#include "raft/wal/wal_replay.h"

#define WAL_SPARE_NAME "spare.wal"
#define WAL_SLOTS_NAME "acknowledged"

enum { WAL_NAME_SIZE = 48, WAL_NO_FILE = -1 };

struct wal_segment {
    uint64_t number; /* 1, 2, 3, ... */
    raft_index first_index;
    raft_index last_index; /* highest entry in it; 0: none */
    uint64_t size;
};

struct wal_batch {
    uint64_t sequence;
    bool has_hard_state;
    bool has_snapshot;
    struct raft_hard_state hard_state;
    struct raft_snapshot_meta snapshot;
    uint32_t entry_count;
    struct raft_entry entries[];
};

struct wal {
    struct disk *disk;
    uint64_t segment_bytes; /* of new segments */
    uint32_t alignment;
    uint64_t (*clock_ns)(void);

    /* What the log says, as of the last durable batch. */
    struct wal_metadata metadata;
    struct raft_hard_state hard_state;
    struct raft_snapshot_meta snapshot;
    raft_index last_index;
    uint64_t sequence; /* of that batch */
    uint32_t hash;     /* of its last record */

    struct wal_segment *segments; /* oldest first; the last is written */
    uint32_t segment_count;
    uint32_t segment_capacity;
    disk_file file; /* the last segment */
    uint64_t offset;

    disk_file spare; /* the next segment, reserved and blank; WAL_NO_FILE: none */
    uint64_t spare_size;
    uint64_t spare_written; /* zeros, so far: see wal_prepare_spare */

    disk_file slots;
    bool is_unsettled; /* the newest slot is written and not synced */

    struct buf records; /* reused from batch to batch */
    struct buf framed;
    int failed; /* 0, or the code that ended it */
    char failed_text[200];

    uint64_t written_bytes;
    uint64_t sync_count;
    uint64_t write_ns;
    uint64_t sync_ns;
};

/* Remember a final error of the disk; returns ERR_IO (or ERR_NO_SPACE untouched, it is not final).
 */
int wal_fail(struct wal *wal, int code, const char *what, struct err *err);
/* Also for a lack of space: where something was written already, or space was reserved. */
int wal_fail_finally(struct wal *wal, int code, const char *what, struct err *err);
int wal_refuse_failed(const struct wal *wal, struct err *err);

/* wal_batch.c */
/* What is written before what depends on it (R34): snapshot, entries, hard state. */
void wal_batch_encode(const struct wal_batch *batch, struct buf *to, uint32_t *hash);
/* CHECK what every batch may rely on, and must leave behind for the next. */
void wal_check_order(const struct wal *wal, struct wal_batch *const *batches, uint32_t count);

/* wal_segment.c */
void wal_segment_name(const struct wal_segment *segment, char name[WAL_NAME_SIZE]);
bool wal_segment_parse_name(const char *name, struct wal_segment *ret_segment);
void wal_add_segment(struct wal *wal, struct wal_segment segment);
/* Reserve the spare with at least this size. ERR_NO_SPACE leaves everything as it was. */
int wal_reserve_spare(struct wal *wal, uint64_t size, struct err *err);
/* Make the spare the last segment; its name is durable on return. */
int wal_rotate(struct wal *wal, raft_index first_index, struct err *err);
int wal_remove_last_segment(struct wal *wal, struct err *err);
int wal_create_slots(struct wal *wal, struct err *err);
/* The highest sequence in the slots; ERR_CORRUPT if neither can be read. */
int wal_read_slots(struct wal *wal, uint64_t *ret_sequence, struct err *err);
int wal_write_slot(struct wal *wal, uint64_t sequence, struct err *err);

/* wal_recover.c */
/* Read everything and get ready to append. ERR_NOT_FOUND: there is no log (an unfinished creation
 * has been cleared away). */
int wal_recover(struct wal *wal, struct wal_replay *replay, uint64_t *ret_torn_bytes,
                struct err *err);

static inline uint64_t wal_align(const struct wal *wal, uint64_t offset)
{
    return (offset + wal->alignment - 1) / wal->alignment * wal->alignment;
}

#endif
