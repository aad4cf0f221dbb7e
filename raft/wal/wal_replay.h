/* wal_replay.h - from records to the state they describe. Pure.
 *
 * Feed every record in order, then finish: it judges whether what is left is a whole log. */
#ifndef RAFT_WAL_WAL_REPLAY_H
#define RAFT_WAL_WAL_REPLAY_H

#include "raft/wal/wal_format.h"

struct wal_replay {
    struct wal_metadata metadata;
    struct raft_hard_state hard_state;
    struct raft_snapshot_meta snapshot;
    struct raft_entry *entries; /* without gaps; may begin before the snapshot's end */
    uint32_t entry_count;
    uint32_t entry_capacity;
    uint32_t alignment_bytes;
    bool has_metadata;
};

void wal_replay_init(struct wal_replay *replay);
void wal_replay_deinit(struct wal_replay *replay);

/* ERR_CORRUPT: impossible after what came before. ERR_UNSUPPORTED: a newer version. */
MUST_USE int wal_replay_record(struct wal_replay *replay, const struct wal_record *record,
                               struct err *err);

/* Index of the last entry, or of the snapshot. */
raft_index wal_replay_last_index(const struct wal_replay *replay);

/* Drop entries that the snapshot covers; ERR_CORRUPT on a gap, on a commit beyond the end (R7), if
 * the end lies before durable_applied_index (R6 c), or if the snapshot lies after it: then the
 * store has lost what the log gave away. installed: see struct wal_options. */
MUST_USE int wal_replay_finish(struct wal_replay *replay, raft_index durable_applied_index,
                               const struct raft_snapshot_meta *installed, struct err *err);

#endif
