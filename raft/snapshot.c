/* Snapshots as metadata: thesis chapter 5. The hand-shake with the caller is described in raft.h.
 */
#include "raft/core.h"

/* The entries that this peer needs are gone. Ask for a stream only if the peer is alive: to prepare
 * one for a dead server would be work for nothing, again and again. */
void raft_snapshot_request(struct raft *raft, struct raft_progress *peer)
{
    bool is_alive =
        peer->has_contact && raft->now - peer->contact_at <= raft->options.election_timeout_ms;
    if (!is_alive) {
        return;
    }
    raft_progress_start_snapshot(peer, raft->log.base.index);
    raft_send(raft, (struct raft_message){
                        .type = RAFT_MESSAGE_INSTALL_SNAPSHOT,
                        .to = peer->id,
                        .term = raft->term,
                        .install_snapshot = {.meta = {raft->log.base, raft->base_members}},
                    });
}

void raft_snapshot_on_sent(struct raft *raft, raft_id id, raft_index index, bool ok)
{
    struct raft_progress *peer = raft_peer_find(raft, id);
    if (peer == NULL) {
        return; /* no longer the leader, or no longer a member */
    }
    raft_index last = raft_log_last_index(&raft->log);
    raft_progress_end_snapshot(peer, index < last ? index : last, ok);
}

bool raft_wants_snapshot(const struct raft *raft, struct raft_position last)
{
    return last.index > raft->commit && !raft_log_has(&raft->log, last);
}

/* The state machine becomes the staged state; the log starts after it, empty (R35). */
static void restore(struct raft *raft, const struct raft_snapshot_meta *meta)
{
    raft_log_reset(&raft->log, meta->last);
    raft->base_members = meta->members;
    raft->members = meta->members;
    raft->config_index = 0;
    raft->commit = meta->last.index;
    raft->applying = meta->last.index;
    raft->applied = meta->last.index;
    raft->stable = 0; /* until the batch with the snapshot is durable */
    raft_batches_clamp(&raft->batches, 0);
    raft->unsaved = meta->last.index + 1;
    raft->is_snapshot_unsaved = true;
}

void raft_snapshot_on_install(struct raft *raft, const struct raft_message *message)
{
    if (raft->role == RAFT_LEADER) {
        return;
    }
    raft_hear_leader(raft, message->from);
    if (raft_batches_is_full(&raft->batches)) {
        return; /* it could not be handed out with the next ready; the leader will try again */
    }
    const struct raft_snapshot_meta *meta = &message->install_snapshot.meta;
    if (meta->last.index <= raft->commit && !PLANTED(31)) {
        raft_append_acknowledge(raft, message->from, raft->commit);
        return;
    }
    bool is_in_log = raft_log_has(&raft->log, meta->last) ||
                     (PLANTED(32) && meta->last.index <= raft_log_last_index(&raft->log));
    if (is_in_log && !PLANTED(31)) {
        /* "If existing log entry has same index and term as the snapshot's last included entry,
         * retain log entries following it": then the entries themselves are here, too. */
        raft_commit_to(raft, meta->last.index);
    } else {
        restore(raft, meta);
    }
    raft_append_acknowledge(raft, message->from, meta->last.index);
}

void raft_snapshot_compact(struct raft *raft, raft_index upto)
{
    CHECK(upto <= raft->applied);
    if (upto <= raft->log.base.index || upto > raft->stable) {
        return; /* the latter only right after an installed snapshot: next time, then */
    }
    raft->base_members = raft_members_at(raft, upto);
    raft_log_compact(&raft->log, upto);
    if (raft->config_index <= upto) {
        raft->config_index = 0;
    }
}
