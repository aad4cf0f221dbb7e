#include "raft/core.h"

static raft_time_ms earlier(raft_time_ms a, raft_time_ms b)
{
    return a < b ? a : b;
}

static raft_time_ms leader_deadline(const struct raft *raft)
{
    raft_time_ms timeout = raft->options.election_timeout_ms;
    raft_time_ms deadline = raft->heartbeat_at;
    deadline = earlier(deadline, raft->quorum_heard_at + timeout + 1);
    const struct raft_batch *oldest = raft_batches_find_oldest(&raft->batches);
    if (oldest != NULL) {
        deadline = earlier(deadline, oldest->taken_at + timeout + 1);
    }
    if (raft->transfer_to != 0) {
        deadline = earlier(deadline, raft->transfer_until);
    }
    return deadline;
}

raft_time_ms raft_deadline(const struct raft *raft)
{
    raft_time_ms deadline = raft->role == RAFT_LEADER ? leader_deadline(raft) : raft->election_at;
    return earlier(deadline, raft_read_deadline(raft));
}

enum raft_role raft_role(const struct raft *raft)
{
    return raft->role;
}

raft_id raft_leader(const struct raft *raft)
{
    return raft->leader;
}

raft_term raft_term_current(const struct raft *raft)
{
    return raft->term;
}

raft_index raft_commit(const struct raft *raft)
{
    return raft->commit;
}

struct raft_position raft_last(const struct raft *raft)
{
    return raft_log_last(&raft->log);
}

struct raft_hard_state raft_hard_state(const struct raft *raft)
{
    return (struct raft_hard_state){raft->term, raft->vote, raft->commit};
}

const struct raft_members *raft_members(const struct raft *raft)
{
    return &raft->members;
}

bool raft_find_term(const struct raft *raft, raft_index index, raft_term *term)
{
    return raft_log_find_term(&raft->log, index, term);
}

const struct raft_entry *raft_find_entry(const struct raft *raft, raft_index index)
{
    bool is_here = index > raft->log.base.index && index <= raft_log_last_index(&raft->log);
    return is_here ? raft_log_at(&raft->log, index) : NULL;
}

static void get_peer(const struct raft_progress *peer, struct raft_peer_status *status)
{
    *status = (struct raft_peer_status){
        .id = peer->id,
        .voter = peer->voter && !peer->leaving,
        .state = peer->state,
        .match = peer->match,
        .next = peer->next,
        .contact_at = peer->contact_at,
        .has_contact = peer->has_contact,
        .inflight = peer->inflight_count,
        .inflight_bytes = peer->inflight_bytes,
    };
}

void raft_get_status(const struct raft *raft, struct raft_status *status)
{
    *status = (struct raft_status){
        .id = raft->options.id,
        .role = raft->role,
        .leader = raft->leader,
        .term = raft->term,
        .vote = raft->vote,
        .first = raft_log_first_index(&raft->log),
        .stable = raft->stable,
        .commit = raft->commit,
        .applied = raft->applied,
        .last = raft_log_last(&raft->log),
        .log_bytes = raft->log.bytes,
        .uncommitted_bytes = raft->uncommitted_bytes,
        .batches = raft->batches.count,
        .pending_reads = raft->reads.count,
        .transfer_to = raft->transfer_to,
        .config_index = raft->config_index,
        .config_pending = raft->config_index > raft->commit,
        .is_member = raft_members_find(&raft->members, raft->options.id) != NULL,
        .is_voter = raft_is_voter(raft),
        .has_lost_log = raft->has_lost_log,
        .messages_dropped = raft->messages_dropped,
        .peer_count = raft->peer_count,
    };
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        get_peer(&raft->peers[i], &status->peer[i]);
    }
}
