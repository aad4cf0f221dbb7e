#include "base/check.h"
#include "base/mem.h"
#include "raft/wal/wal_internal.h"

struct wal_batch *wal_batch_new(uint64_t sequence, const struct raft_hard_state *hard_state,
                                const struct raft_snapshot_meta *snapshot,
                                const struct raft_entry *entries, uint32_t entry_count)
{
    struct wal_batch *batch = mem_zalloc(sizeof *batch + entry_count * sizeof *entries);
    batch->sequence = sequence;
    if (hard_state != NULL) {
        batch->has_hard_state = true;
        batch->hard_state = *hard_state;
    }
    if (snapshot != NULL) {
        batch->has_snapshot = true;
        batch->snapshot = *snapshot;
    }
    batch->entry_count = entry_count;
    for (uint32_t i = 0; i < entry_count; i++) {
        CHECK(i == 0 || entries[i].at.index == entries[i - 1].at.index + 1);
        batch->entries[i] = entries[i];
        (void)blob_ref(batch->entries[i].data);
    }
    return batch;
}

void wal_batch_free(struct wal_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    for (uint32_t i = 0; i < batch->entry_count; i++) {
        blob_unref(batch->entries[i].data);
    }
    mem_free(batch);
}

uint64_t wal_batch_sequence(const struct wal_batch *batch)
{
    return batch->sequence;
}

uint64_t wal_batch_bytes(const struct wal_batch *batch)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < batch->entry_count; i++) {
        bytes += WAL_RECORD_HEADER_SIZE + blob_bytes(batch->entries[i].data).size;
    }
    bytes += batch->has_hard_state ? WAL_RECORD_HEADER_SIZE + 8 : 0;
    bytes += batch->has_snapshot ? WAL_RECORD_HEADER_SIZE + 9 * RAFT_MEMBERS_MAX : 0;
    return bytes == 0 ? 0 : wal_framed_size(bytes);
}

void wal_batch_encode(const struct wal_batch *batch, struct buf *to, uint32_t *hash)
{
    if (batch->has_snapshot) {
        wal_put_snapshot(to, hash, &batch->snapshot);
    }
    for (uint32_t i = 0; i < batch->entry_count; i++) {
        wal_put_entry(to, hash, &batch->entries[i]);
    }
    if (batch->has_hard_state) {
        wal_put_hard_state(to, hash, &batch->hard_state);
    }
}

void wal_check_order(const struct wal *wal, struct wal_batch *const *batches, uint32_t count)
{
    raft_index last = wal->last_index;
    struct raft_hard_state state = wal->hard_state;
    for (uint32_t i = 0; i < count; i++) {
        const struct wal_batch *batch = batches[i];
        if (batch->has_snapshot && batch->snapshot.last.index > last) {
            last = batch->snapshot.last.index;
        }
        if (batch->entry_count > 0) {
            CHECK(batch->entries[0].at.index <= last + 1); /* no gap (R24) */
            CHECK(batch->entries[0].at.index > 0);
            last = batch->entries[batch->entry_count - 1].at.index;
        }
        if (batch->has_hard_state) {
            CHECK(batch->hard_state.term >= state.term);
            CHECK(batch->hard_state.commit >= state.commit);
            CHECK(batch->hard_state.commit <= last);
            /* One vote a term: a second one must never become durable (R3). */
            CHECK(batch->hard_state.term > state.term || state.vote == 0 ||
                  batch->hard_state.vote == state.vote);
            state = batch->hard_state;
        }
    }
}
