#include <string.h>

#include "raft/core.h"

/* A new random timeout at every attempt (R12), so that rivals part sooner or later. */
void raft_draw_election_timeout(struct raft *raft)
{
    uint32_t timeout = raft->options.election_timeout_ms;
    raft->election_at = raft->now + timeout + prng_below(&raft->prng, timeout);
}

static void forget_leadership(struct raft *raft)
{
    raft->peer_count = 0;
    raft->uncommitted_bytes = 0;
    raft->term_start = 0;
    raft_transfer_stop(raft);
}

static void reset_votes(struct raft *raft)
{
    if (PLANTED(15)) { /* votes of an earlier attempt count */
        return;
    }
    memset(raft->votes, RAFT_VOTE_NONE, sizeof raft->votes);
}

void raft_become_follower(struct raft *raft, raft_term term, raft_id leader)
{
    CHECK(term >= raft->term);
    if (raft->leader != leader || raft->term != term || raft->role == RAFT_LEADER) {
        raft_read_fail_all(raft);
    }
    if (term > raft->term) {
        raft->term = term;
        raft->vote = 0;
        raft->is_hard_state_dirty = true;
    }
    forget_leadership(raft);
    raft->role = RAFT_FOLLOWER;
    raft->leader = leader;
    raft->heard_at = raft->now;
    raft_draw_election_timeout(raft);
}

/* Changes neither term nor vote (R9). */
void raft_become_pre_candidate(struct raft *raft)
{
    CHECK(raft->role != RAFT_LEADER);
    raft_read_fail_all(raft);
    raft->role = RAFT_PRE_CANDIDATE;
    raft->leader = 0;
    reset_votes(raft);
    raft_draw_election_timeout(raft);
}

void raft_become_candidate(struct raft *raft)
{
    CHECK(raft->role != RAFT_LEADER);
    raft_read_fail_all(raft);
    raft->role = RAFT_CANDIDATE;
    raft->leader = 0;
    raft->term++;
    raft->vote = raft->options.id;
    raft->is_hard_state_dirty = true;
    reset_votes(raft);
    raft_draw_election_timeout(raft);
}

static void count_uncommitted(struct raft *raft)
{
    raft->uncommitted_bytes = 0;
    for (raft_index i = raft->commit + 1; i <= raft_log_last_index(&raft->log); i++) {
        raft->uncommitted_bytes += raft_entry_bytes(raft_log_at(&raft->log, i));
    }
}

void raft_become_leader(struct raft *raft)
{
    CHECK(raft->role == RAFT_CANDIDATE && raft->vote == raft->options.id);
    raft->role = RAFT_LEADER;
    raft->leader = raft->options.id;
    raft->quorum_heard_at = raft->now;
    raft->heartbeat_at = raft->now + raft->options.heartbeat_interval_ms;
    raft->peer_count = 0;
    raft_membership_sync_peers(raft);
    count_uncommitted(raft);
    raft->term_start = raft_log_last_index(&raft->log) + 1;
    if (PLANTED(8)) { /* no entry at the start of the term */
        return;
    }
    raft_append_entry(
        raft, &(struct raft_entry){.at = {raft->term_start, raft->term}, .type = RAFT_ENTRY_NOOP});
}

void raft_hear_leader(struct raft *raft, raft_id leader)
{
    if (raft->role != RAFT_FOLLOWER || raft->leader != leader) {
        raft_become_follower(raft, raft->term, leader);
        return;
    }
    raft->heard_at = raft->now;
    raft_draw_election_timeout(raft);
}
