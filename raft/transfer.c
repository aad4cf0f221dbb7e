/* Leadership transfer: thesis 3.10. */
#include "raft/core.h"

int raft_transfer_start(struct raft *raft, raft_id peer)
{
    if (raft->role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    const struct raft_member *member = raft_members_find(&raft->members, peer);
    if (member == NULL) {
        return ERR_NOT_FOUND;
    }
    if (!member->voter) {
        return ERR_INVALID;
    }
    if (peer == raft->options.id) {
        return 0;
    }
    if (raft->transfer_to != 0) {
        return raft->transfer_to == peer ? 0 : ERR_BUSY;
    }
    raft->transfer_to = peer;
    raft->transfer_sent = false;
    raft->transfer_until = raft->now + raft->options.election_timeout_ms;
    raft_transfer_advance(raft);
    return 0;
}

static void send_timeout_now(struct raft *raft, raft_id to)
{
    raft_send(raft, (struct raft_message){
                        .type = RAFT_MESSAGE_TIMEOUT_NOW, .to = to, .term = raft->term});
}

/* "The prior leader fully updates the target server's log to match its own", then sends TimeoutNow.
 */
void raft_transfer_advance(struct raft *raft)
{
    if (raft->transfer_to == 0 || raft->transfer_sent) {
        return;
    }
    const struct raft_progress *peer = raft_peer_find(raft, raft->transfer_to);
    CHECK(peer != NULL && peer->voter && !peer->leaving); /* nothing is proposed meanwhile */
    if (peer->match < raft_log_last_index(&raft->log)) {
        return;
    }
    send_timeout_now(raft, peer->id);
    raft->transfer_sent = true;
    raft_read_fail_all(raft); /* R27: let them be asked again of whoever leads next */
}

/* "If leadership transfer does not complete after about an election timeout, the prior leader
 * aborts the transfer and resumes accepting client requests." */
void raft_transfer_stop(struct raft *raft)
{
    raft->transfer_to = 0;
    raft->transfer_sent = false;
    raft->transfer_until = 0;
}

void raft_transfer_hand_over(struct raft *raft)
{
    const struct raft_progress *best = NULL;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        if (peer->voter && !peer->leaving && (best == NULL || peer->match > best->match)) {
            best = peer;
        }
    }
    if (best != NULL) {
        send_timeout_now(raft, best->id);
    }
}

void raft_transfer_on_timeout_now(struct raft *raft, const struct raft_message *message)
{
    if (raft->role == RAFT_FOLLOWER && raft->leader == message->from && raft_is_voter(raft)) {
        raft_election_start(raft, true);
    }
}
