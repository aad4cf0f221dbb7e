#include "raft/core.h"

/* The commit index is only a hint to save writes after a restart, and must never name an entry that
 * a crash could take (R7): so it is held back to what was durable before this batch, or to the
 * snapshot that the batch begins with. It never goes back. */
static struct raft_hard_state hard_state_now(const struct raft *raft)
{
    raft_index base = raft->log.base.index;
    raft_index held = raft->stable > base ? raft->stable : base;
    return (struct raft_hard_state){
        .term = raft->term,
        .vote = PLANTED(2) ? raft->durable_vote : raft->vote,
        .commit = raft->commit < held ? raft->commit : held,
    };
}

static void take_hard_state(struct raft *raft, struct raft_ready *ready)
{
    raft->hard_state_out = hard_state_now(raft);
    raft->is_hard_state_dirty = false;
    ready->hard_state = &raft->hard_state_out;
}

static void add_batch(struct raft *raft, struct raft_ready *ready, raft_index last)
{
    ready->sequence = raft_batches_add(&raft->batches, &(struct raft_batch){
                                                           .last = last,
                                                           .term = raft->term,
                                                           .vote = raft->vote,
                                                           .taken_at = raft->now,
                                                       });
}

/* A snapshot is a batch of its own: the caller has a state machine to switch before entries that
 * follow the snapshot can be written. Answers wait for the batch with the entries, of which they
 * may speak. */
static void take_snapshot_batch(struct raft *raft, struct raft_ready *ready)
{
    raft->snapshot_out = (struct raft_snapshot_meta){raft->log.base, raft->base_members};
    raft->is_snapshot_unsaved = false;
    ready->snapshot = &raft->snapshot_out;
    take_hard_state(raft, ready);
    add_batch(raft, ready, raft->log.base.index);
}

/* One batch of all that changed since the last one. */
static void take_batch(struct raft *raft, struct raft_ready *ready)
{
    if (raft_batches_is_full(&raft->batches)) {
        return;
    }
    if (raft->is_snapshot_unsaved) {
        take_snapshot_batch(raft, ready);
        return;
    }
    if (!raft_has_unsaved(raft) && raft->outbox_durable.count == 0) {
        return;
    }
    raft_index last = raft_log_last_index(&raft->log);
    if (raft_has_unsaved(raft)) {
        take_hard_state(raft, ready);
    }
    if (raft->unsaved <= last) {
        ready->entries = raft_log_at(&raft->log, raft->unsaved);
        ready->entry_count = (uint32_t)(last - raft->unsaved + 1);
        raft->unsaved = last + 1;
    }
    ready->messages_durable = raft->outbox_durable.messages;
    ready->message_durable_count = raft->outbox_durable.count;
    raft->outbox_durable.is_lent = true;
    add_batch(raft, ready, last);
}

/* Only what is durable here, too: the state machine never runs ahead of its own log. */
static void take_committed(struct raft *raft, struct raft_ready *ready)
{
    raft_index end = raft->commit < raft->stable ? raft->commit : raft->stable;
    if (PLANTED(4)) {
        end = raft->commit;
    }
    if (end <= raft->applying) {
        return;
    }
    raft_index count = end - raft->applying;
    if (count > RAFT_COMMITTED_MAX) {
        count = RAFT_COMMITTED_MAX;
    }
    ready->committed = raft_log_at(&raft->log, raft->applying + 1);
    ready->committed_count = (uint32_t)count;
    raft->applying += count;
}

bool raft_take_ready(struct raft *raft, struct raft_ready *ready)
{
    *ready = (struct raft_ready){0};
    raft_outbox_settle(&raft->outbox);
    raft_outbox_settle(&raft->outbox_durable);
    raft_reads_settle(&raft->reads);
    raft_read_start_round(raft);
    if (raft->role == RAFT_LEADER) {
        raft_replication_fill(raft);
    }
    take_batch(raft, ready);
    take_committed(raft, ready);
    ready->messages = raft->outbox.messages;
    ready->message_count = raft->outbox.count;
    raft->outbox.is_lent = true;
    ready->reads = raft->reads.done;
    ready->read_count = raft->reads.done_count;
    ready->failed_reads = raft->reads.failed;
    ready->failed_read_count = raft->reads.failed_count;
    raft->reads.is_lent = true;
    return ready->message_count > 0 || ready->sequence > 0 || ready->committed_count > 0 ||
           ready->read_count > 0 || ready->failed_read_count > 0;
}
