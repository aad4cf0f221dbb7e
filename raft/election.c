/* Elections: thesis 3.4, with pre-vote (9.6), a shield for living leaders (4.2.3, 6.2), transfer
 * (3.10). */
#include "raft/core.h"

bool raft_election_is_shielded(const struct raft *raft)
{
    if (raft->role == RAFT_LEADER) {
        return true; /* it steps down by itself when it has lost its majority */
    }
    return raft->leader != 0 && raft->now < raft->heard_at + raft->options.election_timeout_ms;
}

static void send_vote_requests(struct raft *raft, bool is_transfer)
{
    bool is_pre = raft->role == RAFT_PRE_CANDIDATE;
    for (uint32_t i = 0; i < raft->members.count; i++) {
        const struct raft_member *member = &raft->members.member[i];
        if (!member->voter || member->id == raft->options.id) {
            continue;
        }
        struct raft_message message = {
            .type = is_pre ? RAFT_MESSAGE_PRE_VOTE : RAFT_MESSAGE_VOTE,
            .to = member->id,
            .term = is_pre ? raft->term + 1 : raft->term,
            .vote = {.last = raft_log_last(&raft->log), .is_transfer = is_transfer},
        };
        /* A candidate that forgot its vote could campaign twice in one term with two different
         * logs: its request, too, leaves only after its vote is stored. */
        if (is_pre || PLANTED(2) || PLANTED(3)) {
            raft_send(raft, message);
        } else {
            raft_send_durable(raft, message);
        }
    }
}

static enum raft_quorum_result count_votes(const struct raft *raft)
{
    uint32_t granted = 0;
    uint32_t rejected = 0;
    uint32_t voters = 0;
    for (uint32_t i = 0; i < raft->members.count; i++) {
        if (!raft->members.member[i].voter && !PLANTED(28)) {
            continue;
        }
        voters++;
        granted += raft->votes[i] == RAFT_VOTE_GRANTED ? 1 : 0;
        rejected += raft->votes[i] == RAFT_VOTE_REJECTED ? 1 : 0;
    }
    return raft_quorum_vote(granted, rejected, voters);
}

static void start_candidacy(struct raft *raft, bool is_transfer);

/* The first answer of a voter counts; answers of others do not. */
static void record_vote(struct raft *raft, raft_id from, bool granted)
{
    const struct raft_member *member = raft_members_find(&raft->members, from);
    if (member == NULL) {
        return;
    }
    size_t place = (size_t)(member - raft->members.member);
    if (raft->votes[place] == RAFT_VOTE_NONE) {
        raft->votes[place] = granted ? RAFT_VOTE_GRANTED : RAFT_VOTE_REJECTED;
    }
    switch (count_votes(raft)) {
    case RAFT_QUORUM_PENDING:
        return;
    case RAFT_QUORUM_LOST:
        raft_become_follower(raft, raft->term, 0);
        return;
    case RAFT_QUORUM_WON:
        if (raft->role == RAFT_PRE_CANDIDATE) {
            start_candidacy(raft, false);
        } else {
            raft_become_leader(raft);
        }
        return;
    }
}

static void start_candidacy(struct raft *raft, bool is_transfer)
{
    raft_become_candidate(raft);
    send_vote_requests(raft, is_transfer);
    /* Its own vote counts when it is stored: raft_election_on_vote_durable(). */
    if (PLANTED(2) || PLANTED(3)) {
        record_vote(raft, raft->options.id, true);
    }
}

void raft_election_start(struct raft *raft, bool is_transfer)
{
    CHECK(raft->role != RAFT_LEADER);
    raft_draw_election_timeout(raft);
    if (!raft_membership_may_campaign(raft)) {
        raft_become_follower(raft, raft->term, 0);
        return;
    }
    if (raft_disk_is_stalled(raft)) {
        return; /* it could not store its vote, let alone lead (R37) */
    }
    if (is_transfer) {
        start_candidacy(raft, true);
        return;
    }
    raft_become_pre_candidate(raft);
    send_vote_requests(raft, false);
    record_vote(raft, raft->options.id, true);
}

void raft_election_on_vote_durable(struct raft *raft)
{
    if (raft->role == RAFT_CANDIDATE && raft->durable_term == raft->term &&
        raft->durable_vote == raft->options.id) {
        record_vote(raft, raft->options.id, true);
    }
}

/* Thesis 3.6.1: the log with the later last term, or with the same and more entries, is more up to
 * date.
 */
static bool is_up_to_date(struct raft_position theirs, struct raft_position ours)
{
    return theirs.term > ours.term || (theirs.term == ours.term && theirs.index >= ours.index);
}

/* PRE_VOTE and VOTE. The caller has handled terms: a VOTE has ours, a PRE_VOTE ours or a higher
 * one. Learners answer, too: they may have been promoted and not know it yet (R14). */
void raft_election_on_vote(struct raft *raft, const struct raft_message *message)
{
    bool is_pre = message->type == RAFT_MESSAGE_PRE_VOTE;
    bool is_free = raft->vote == message->from || (raft->vote == 0 && raft->leader == 0) ||
                   (is_pre && message->term > raft->term);
    bool granted = is_free && is_up_to_date(message->vote.last, raft_log_last(&raft->log)) &&
                   !(PLANTED(27) && raft->members.count > 0 && !raft_is_voter(raft));
    struct raft_message response = {
        .type = is_pre ? RAFT_MESSAGE_PRE_VOTE_RESPONSE : RAFT_MESSAGE_VOTE_RESPONSE,
        .to = message->from,
        .term = granted && !PLANTED(14) ? message->term : raft->term,
        .vote_response = {.granted = granted},
    };
    if (granted && !is_pre) {
        if (raft->vote != message->from) {
            raft->vote = message->from;
            raft->is_hard_state_dirty = true;
        }
        raft_draw_election_timeout(raft);
    }
    if (PLANTED(3)) { /* the vote is stored after the answer */
        raft_send(raft, response);
        return;
    }
    raft_send_durable(raft, response);
}

void raft_election_on_vote_response(struct raft *raft, const struct raft_message *message)
{
    bool is_pre = message->type == RAFT_MESSAGE_PRE_VOTE_RESPONSE;
    if (raft->role != (is_pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE)) {
        return;
    }
    bool granted = message->vote_response.granted;
    if (is_pre && granted && message->term != raft->term + 1) {
        return; /* an answer to an earlier attempt */
    }
    record_vote(raft, message->from, granted);
}
