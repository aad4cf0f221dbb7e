#include "raft/wal/wal_replay.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void wal_replay_init(struct wal_replay *replay)
{
    *replay = (struct wal_replay){.entries = NULL};
}

static void truncate_entries(struct wal_replay *replay, uint32_t count)
{
    while (replay->entry_count > count) {
        blob_unref(replay->entries[--replay->entry_count].data);
    }
}

void wal_replay_deinit(struct wal_replay *replay)
{
    truncate_entries(replay, 0);
    mem_free(replay->entries);
    replay->entries = NULL;
}

raft_index wal_replay_last_index(const struct wal_replay *replay)
{
    return replay->entry_count == 0 ? replay->snapshot.last.index
                                    : replay->entries[replay->entry_count - 1].at.index;
}

static int replay_segment(struct wal_replay *replay, const struct wal_segment_head *head,
                          struct err *err)
{
    if (head->version != WAL_FORMAT_VERSION) {
        return err_set(err, ERR_UNSUPPORTED, "the log has format version %" PRIu32, head->version);
    }
    if (head->alignment_bytes < WAL_SECTOR_SIZE ||
        (head->alignment_bytes & (head->alignment_bytes - 1)) != 0) {
        return err_set(err, ERR_CORRUPT, "a segment has an impossible alignment");
    }
    replay->alignment_bytes = head->alignment_bytes;
    return 0;
}

static int replay_metadata(struct wal_replay *replay, const struct wal_metadata *metadata,
                           struct err *err)
{
    if (replay->has_metadata && (metadata->cluster_id != replay->metadata.cluster_id ||
                                 metadata->member_id != replay->metadata.member_id ||
                                 metadata->incarnation < replay->metadata.incarnation)) {
        return err_set(err, ERR_CORRUPT, "parts of the log belong to different members");
    }
    replay->metadata = *metadata;
    replay->has_metadata = true;
    return 0;
}

/* If the log has the snapshot's last entry, what follows it stays; else the log starts anew (R35).
 */
static int replay_snapshot(struct wal_replay *replay, const struct raft_snapshot_meta *snapshot,
                           struct err *err)
{
    if (snapshot->last.index < replay->snapshot.last.index) {
        return err_set(err, ERR_CORRUPT, "snapshots go back from %" PRIu64 " to %" PRIu64,
                       replay->snapshot.last.index, snapshot->last.index);
    }
    replay->snapshot = *snapshot;
    if (replay->entry_count == 0) {
        return 0;
    }
    raft_index first = replay->entries[0].at.index;
    raft_index index = snapshot->last.index;
    if (index < first) {
        return 0; /* the oldest segment that is left begins behind it */
    }
    bool is_inside = index <= wal_replay_last_index(replay) &&
                     replay->entries[index - first].at.term == snapshot->last.term;
    if (!is_inside) {
        truncate_entries(replay, 0);
    }
    return 0;
}

static int replay_entry(struct wal_replay *replay, const struct wal_record *record, struct err *err)
{
    raft_index index = record->entry.at.index;
    if (replay->entry_count > 0) {
        raft_index first = replay->entries[0].at.index;
        raft_index next = wal_replay_last_index(replay) + 1;
        if (index > next) {
            return err_set(err, ERR_CORRUPT, "entry %" PRIu64 " does not follow entry %" PRIu64,
                           index, next - 1);
        }
        if (index < next && index <= replay->hard_state.commit) {
            return err_set(err, ERR_CORRUPT, "entry %" PRIu64 " replaces a committed one", index);
        }
        /* Before the first: the segment that held the ones between is released already. */
        truncate_entries(replay, index < first ? 0 : (uint32_t)(index - first));
    }
    if (replay->entry_count > 0 &&
        record->entry.at.term < replay->entries[replay->entry_count - 1].at.term) {
        return err_set(err, ERR_CORRUPT, "entry %" PRIu64 " has a lower term than the one before",
                       index);
    }
    if (replay->entry_count == replay->entry_capacity) {
        replay->entry_capacity = replay->entry_capacity * 2 + 64;
        replay->entries =
            mem_reallocarray(replay->entries, replay->entry_capacity, sizeof *replay->entries);
    }
    struct bytes data = record->entry.data;
    replay->entries[replay->entry_count++] =
        (struct raft_entry){.at = record->entry.at,
                            .type = record->entry.type,
                            .data = data.size == 0 ? NULL : blob_new_copy(data.data, data.size)};
    return 0;
}

static int replay_hard_state(struct wal_replay *replay, const struct raft_hard_state *hard_state,
                             struct err *err)
{
    const struct raft_hard_state *old = &replay->hard_state;
    bool is_back = hard_state->term < old->term || hard_state->commit < old->commit;
    bool is_second_vote =
        hard_state->term == old->term && old->vote != 0 && hard_state->vote != old->vote;
    if (is_back || is_second_vote) {
        return err_set(err, ERR_CORRUPT, "term, vote or commit index go back in the log");
    }
    replay->hard_state = *hard_state;
    return 0;
}

int wal_replay_record(struct wal_replay *replay, const struct wal_record *record, struct err *err)
{
    switch (record->type) {
    case WAL_RECORD_SEGMENT:
        return replay_segment(replay, &record->segment, err);
    case WAL_RECORD_METADATA:
        return replay_metadata(replay, &record->metadata, err);
    case WAL_RECORD_SNAPSHOT:
        return replay_snapshot(replay, &record->snapshot, err);
    case WAL_RECORD_ENTRY:
        return replay_entry(replay, record, err);
    case WAL_RECORD_HARD_STATE:
        return replay_hard_state(replay, &record->hard_state, err);
    }
    CHECK_UNREACHABLE();
}

static void drop_covered(struct wal_replay *replay)
{
    uint32_t covered = 0;
    while (covered < replay->entry_count &&
           replay->entries[covered].at.index <= replay->snapshot.last.index) {
        blob_unref(replay->entries[covered].data);
        covered++;
    }
    if (covered > 0) {
        replay->entry_count -= covered;
        memmove(replay->entries, replay->entries + covered,
                replay->entry_count * sizeof *replay->entries);
    }
}

int wal_replay_finish(struct wal_replay *replay, raft_index durable_applied_index,
                      const struct raft_snapshot_meta *installed, struct err *err)
{
    raft_index last = wal_replay_last_index(replay);
    if (installed != NULL && installed->last.index > last &&
        installed->last.index == durable_applied_index) {
        int rc = replay_snapshot(replay, installed, err);
        if (rc != 0) {
            return rc;
        }
        last = installed->last.index;
    }
    drop_covered(replay);
    if (replay->entry_count > 0 && replay->entries[0].at.index != replay->snapshot.last.index + 1) {
        return err_set(err, ERR_CORRUPT,
                       "entries %" PRIu64 " to %" PRIu64 " are missing from the log",
                       replay->snapshot.last.index + 1, replay->entries[0].at.index - 1);
    }
    if (replay->snapshot.last.index > durable_applied_index) {
        return err_set(err, ERR_CORRUPT,
                       "the log begins after entry %" PRIu64
                       ", but the store has only entry %" PRIu64
                       ": it has lost what the log no longer holds",
                       replay->snapshot.last.index, durable_applied_index);
    }
    if (last < durable_applied_index) {
        return err_set(err, ERR_CORRUPT,
                       "the log ends at entry %" PRIu64 ", but entry %" PRIu64 " was applied", last,
                       durable_applied_index);
    }
    if (last < replay->hard_state.commit) {
        return err_set(err, ERR_CORRUPT,
                       "the log ends at entry %" PRIu64 ", but entry %" PRIu64 " was committed",
                       last, replay->hard_state.commit);
    }
    return 0;
}
