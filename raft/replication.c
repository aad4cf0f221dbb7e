/* What a leader does to get its log to the others: thesis 3.5, 3.6.2; pipelining 10.2. */
#include "raft/core.h"

struct raft_progress *raft_peer_find(struct raft *raft, raft_id id)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        if (raft->peers[i].id == id) {
            return &raft->peers[i];
        }
    }
    return NULL;
}

static uint64_t value_of(const struct raft_progress *peer, enum raft_peer_value value)
{
    switch (value) {
    case RAFT_PEER_MATCH:
        return PLANTED(19) ? peer->next - 1 : peer->match; /* match taken from what was sent */
    case RAFT_PEER_CONTACT:
        return peer->contact_at;
    case RAFT_PEER_ROUND:
        return peer->round_acked;
    }
    CHECK_UNREACHABLE();
}

uint64_t raft_replication_quorum(const struct raft *raft, enum raft_peer_value value, uint64_t own)
{
    uint64_t values[RAFT_PEERS_MAX + 1];
    uint32_t count = 0;
    /* A leader that is being removed does not count itself (R33). */
    if (raft_is_voter(raft) || PLANTED(29)) {
        values[count++] = own;
    }
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        if (!peer->leaving && (peer->voter || PLANTED(28))) {
            values[count++] = value_of(peer, value);
        }
    }
    return raft_quorum_value(values, count);
}

/* "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
 * log[N].term == currentTerm: set commitIndex = N." Its own log counts as far as it is durable (R2,
 * R17). */
void raft_replication_advance_commit(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    raft_index own = PLANTED(4) ? raft_log_last_index(&raft->log) : raft->stable;
    raft_index reached = raft_replication_quorum(raft, RAFT_PEER_MATCH, own);
    raft_index lone = raft_membership_lone_commit(raft, own);
    reached = reached < lone ? lone : reached;
    raft_term term = 0;
    if (reached <= raft->commit || !raft_log_find_term(&raft->log, reached, &term)) {
        return;
    }
    if (term == raft->term || PLANTED(5)) { /* commit entries of old terms by count */
        raft_commit_to(raft, reached);
        raft_membership_on_committed(raft);
    }
}

static void send_append(struct raft *raft, struct raft_progress *peer, raft_term previous_term,
                        bool is_empty)
{
    uint64_t bytes = 0;
    uint32_t count = is_empty ? 0
                              : raft_log_fit(&raft->log, peer->next, raft->options.append_bytes_max,
                                             RAFT_APPEND_ENTRIES_MAX, &bytes);
    raft_index end = peer->next - 1 + count;
    raft_send(raft,
              (struct raft_message){
                  .type = RAFT_MESSAGE_APPEND,
                  .to = peer->id,
                  .term = raft->term,
                  .append = {.previous = {peer->next - 1, previous_term},
                             .commit = raft->commit,
                             .entries = count == 0 ? NULL : raft_log_at(&raft->log, peer->next),
                             .count = count},
              });
    raft_progress_on_sent(peer, count, bytes, raft->commit < end ? raft->commit : end);
}

/* Send what the peer's state and window allow. */
static void fill_peer(struct raft *raft, struct raft_progress *peer)
{
    while (peer->state != RAFT_PEER_SNAPSHOT) {
        raft_term previous_term = 0;
        if (!raft_log_find_term(&raft->log, peer->next - 1, &previous_term)) {
            if (!peer->has_snapshot_failed) {
                raft_snapshot_request(raft, peer);
            }
            return;
        }
        bool can_send = raft_progress_can_send(peer, raft->options.inflight_bytes_max);
        bool has_entries = peer->next <= raft_log_last_index(&raft->log);
        raft_index known = raft->commit < peer->next - 1 ? raft->commit : peer->next - 1;
        bool has_commit = peer->state == RAFT_PEER_REPLICATE && peer->commit_sent < known;
        bool is_probe = peer->state == RAFT_PEER_PROBE && can_send;
        if (can_send && has_entries) {
            send_append(raft, peer, previous_term, false);
        } else if (is_probe || has_commit || peer->wants_append) {
            send_append(raft, peer, previous_term, true);
        } else {
            return;
        }
    }
}

/* Called by raft_take_ready(), so that one message carries all that many steps have appended.
 * Entries leave at once, while this server's own disk writes them, too (thesis 10.2.1). */
void raft_replication_fill(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        fill_peer(raft, &raft->peers[i]);
    }
}

static struct raft_progress *note_contact(struct raft *raft, raft_id from)
{
    struct raft_progress *peer = raft_peer_find(raft, from);
    if (peer != NULL) {
        peer->contact_at = raft->now;
        peer->has_contact = true;
    }
    return peer;
}

/* Where to try next: skip our own entries with larger terms than the follower's hint (R20). */
static raft_index next_after_hint(const struct raft *raft, struct raft_position hint)
{
    if (hint.index < raft->log.base.index) {
        return hint.index + 1;
    }
    return raft_log_find_conflict(&raft->log, hint.index, hint.term).index + 1;
}

void raft_replication_on_append_response(struct raft *raft, const struct raft_message *message)
{
    struct raft_progress *peer = note_contact(raft, message->from);
    if (raft->role != RAFT_LEADER || peer == NULL) {
        return;
    }
    raft_index index = message->append_response.index;
    if (index > raft_log_last_index(&raft->log)) {
        return; /* about no entry of ours */
    }
    if (message->append_response.rejected) {
        (void)raft_progress_on_reject(peer, index,
                                      next_after_hint(raft, message->append_response.hint));
        return;
    }
    if (raft_progress_on_ack(peer, index)) {
        raft_replication_advance_commit(raft);
        raft_transfer_advance(raft);
        raft_membership_forget_leaving(raft);
    }
}

void raft_replication_on_heartbeat_response(struct raft *raft, const struct raft_message *message)
{
    struct raft_progress *peer = note_contact(raft, message->from);
    if (raft->role != RAFT_LEADER || peer == NULL) {
        return;
    }
    raft_progress_on_heartbeat(peer, raft_log_last_index(&raft->log));
    uint64_t round = message->heartbeat_response.round;
    if (round > peer->round_acked && round <= raft->reads.round) {
        peer->round_acked = round;
        raft_read_confirm(raft);
    }
}

/* For reads only voters are asked. */
void raft_replication_heartbeat(struct raft *raft, bool is_for_reads)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct raft_progress *peer = &raft->peers[i];
        if (is_for_reads && (!peer->voter || peer->leaving)) {
            continue;
        }
        peer->is_beat_due = peer->is_beat_due || !is_for_reads;
        raft_send(raft, (struct raft_message){
                            .type = RAFT_MESSAGE_HEARTBEAT,
                            .to = peer->id,
                            .term = raft->term,
                            .heartbeat = {.commit = raft->commit < peer->match || PLANTED(7)
                                                        ? raft->commit
                                                        : peer->match,
                                          .round = raft->reads.round},
                        });
    }
}
