#include "raft/raft.h"

#include "raft/core.h"

static raft_index later(raft_index a, raft_index b)
{
    return a > b ? a : b;
}

static void add_message(struct raft *raft, struct raft_outbox *outbox, struct raft_message *message)
{
    message->from = raft->options.id;
    if (!raft_outbox_add(outbox, message)) {
        raft->messages_dropped++;
    }
}

void raft_send(struct raft *raft, struct raft_message message)
{
    add_message(raft, &raft->outbox, &message);
}

bool raft_has_unsaved(const struct raft *raft)
{
    return raft->is_hard_state_dirty || raft->is_snapshot_unsaved ||
           raft->unsaved <= raft_log_last_index(&raft->log);
}

void raft_send_durable(struct raft *raft, struct raft_message message)
{
    if (!raft_has_unsaved(raft) && raft->batches.count == 0 && raft->outbox_durable.count == 0) {
        raft_send(raft, message); /* all that it speaks of is durable already */
        return;
    }
    add_message(raft, &raft->outbox_durable, &message);
}

bool raft_is_voter(const struct raft *raft)
{
    return raft_members_has_voter(&raft->members, raft->options.id);
}

bool raft_disk_is_stalled(const struct raft *raft)
{
    const struct raft_batch *oldest = raft_batches_find_oldest(&raft->batches);
    return oldest != NULL && raft->now - oldest->taken_at > raft->options.election_timeout_ms;
}

void raft_append_entry(struct raft *raft, const struct raft_entry *entry)
{
    raft_log_append(&raft->log, entry);
    if (raft->role == RAFT_LEADER) {
        raft->uncommitted_bytes += raft_entry_bytes(entry);
    }
    if (entry->type == RAFT_ENTRY_CONFIG) {
        raft_membership_on_appended(raft, entry);
    }
}

void raft_commit_to(struct raft *raft, raft_index index)
{
    CHECK(index <= raft_log_last_index(&raft->log));
    if (raft->role == RAFT_LEADER) {
        for (raft_index i = raft->commit + 1; i <= index; i++) {
            raft->uncommitted_bytes -= raft_entry_bytes(raft_log_at(&raft->log, i));
        }
    }
    if (index > raft->commit) {
        raft->commit = index;
    }
}

static void on_persisted(struct raft *raft, uint64_t sequence)
{
    struct raft_batch batch;
    bool any = false;
    while (raft_batches_take(&raft->batches, sequence, &batch)) {
        any = true;
        raft->durable_term = batch.term;
        raft->durable_vote = batch.vote;
        raft->stable = later(raft->stable, batch.last);
    }
    if (!any) {
        return;
    }
    raft_election_on_vote_durable(raft);
    if (raft->role == RAFT_LEADER) {
        raft_replication_advance_commit(raft);
    }
}

/* Step down before anything else if the majority may have moved on (R38: also after a pause of this
 * process, which shows as a jump of now), or if its own disk no longer answers (R37). */
static void advance_clock(struct raft *raft, raft_time_ms now)
{
    CHECK(now >= raft->now);
    raft->now = now;
    if (raft->role != RAFT_LEADER) {
        return;
    }
    raft_time_ms timeout = raft->options.election_timeout_ms;
    if (now - raft->quorum_heard_at > timeout) {
        raft_time_ms heard =
            PLANTED(17) ? now : raft_replication_quorum(raft, RAFT_PEER_CONTACT, now);
        if (now - heard > timeout) {
            raft_become_follower(raft, raft->term, 0);
            return;
        }
        raft->quorum_heard_at = heard;
    }
    if (raft_disk_is_stalled(raft)) {
        raft_become_follower(raft, raft->term, 0);
    }
}

static void on_tick(struct raft *raft)
{
    raft_read_expire(raft);
    if (raft->role != RAFT_LEADER) {
        if (raft->now >= raft->election_at) {
            raft_election_start(raft, false);
        }
        return;
    }
    if (raft->transfer_to != 0 && raft->now >= raft->transfer_until) {
        raft_transfer_stop(raft);
    }
    raft_membership_forget_leaving(raft);
    if (raft->now >= raft->heartbeat_at) {
        raft->heartbeat_at = raft->now + raft->options.heartbeat_interval_ms;
        raft_replication_heartbeat(raft, false);
    }
}

/* Messages of an older term: their senders learn the new one, or they would never come back (R10).
 */
static void on_older_term(struct raft *raft, const struct raft_message *message)
{
    struct raft_message response = {.to = message->from, .term = raft->term};
    switch (message->type) {
    case RAFT_MESSAGE_APPEND:
    case RAFT_MESSAGE_HEARTBEAT:
    case RAFT_MESSAGE_INSTALL_SNAPSHOT:
        if (PLANTED(16)) {
            return;
        }
        response.type = RAFT_MESSAGE_APPEND_RESPONSE;
        response.append_response.rejected = true;
        break;
    case RAFT_MESSAGE_PRE_VOTE:
        response.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE;
        break;
    case RAFT_MESSAGE_VOTE:
        response.type = RAFT_MESSAGE_VOTE_RESPONSE;
        break;
    default:
        return;
    }
    raft_send_durable(raft, response);
}

/* Figure 2: "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert
 * to follower", but for pre-votes (R9). False: ignore the message. */
static bool on_newer_term(struct raft *raft, const struct raft_message *message)
{
    bool is_request = message->type == RAFT_MESSAGE_VOTE || message->type == RAFT_MESSAGE_PRE_VOTE;
    if (is_request && !message->vote.is_transfer && raft_election_is_shielded(raft)) {
        return false;
    }
    if (message->type == RAFT_MESSAGE_PRE_VOTE && !PLANTED(13)) {
        return true;
    }
    if (message->type == RAFT_MESSAGE_PRE_VOTE_RESPONSE && message->vote_response.granted) {
        return true;
    }
    bool is_leader = message->type == RAFT_MESSAGE_APPEND ||
                     message->type == RAFT_MESSAGE_HEARTBEAT ||
                     message->type == RAFT_MESSAGE_INSTALL_SNAPSHOT;
    raft_become_follower(raft, message->term, is_leader ? message->from : 0);
    return true;
}

static void dispatch(struct raft *raft, const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        raft_election_on_vote(raft, message);
        return;
    case RAFT_MESSAGE_PRE_VOTE_RESPONSE:
    case RAFT_MESSAGE_VOTE_RESPONSE:
        raft_election_on_vote_response(raft, message);
        return;
    case RAFT_MESSAGE_APPEND:
        raft_append_on_append(raft, message);
        return;
    case RAFT_MESSAGE_APPEND_RESPONSE:
        raft_replication_on_append_response(raft, message);
        return;
    case RAFT_MESSAGE_HEARTBEAT:
        raft_append_on_heartbeat(raft, message);
        return;
    case RAFT_MESSAGE_HEARTBEAT_RESPONSE:
        raft_replication_on_heartbeat_response(raft, message);
        return;
    case RAFT_MESSAGE_INSTALL_SNAPSHOT:
        raft_snapshot_on_install(raft, message);
        return;
    case RAFT_MESSAGE_READ_INDEX:
        raft_read_on_read_index(raft, message);
        return;
    case RAFT_MESSAGE_READ_INDEX_RESPONSE:
        raft_read_on_read_index_response(raft, message);
        return;
    case RAFT_MESSAGE_TIMEOUT_NOW:
        raft_transfer_on_timeout_now(raft, message);
        return;
    }
}

static void on_received(struct raft *raft, const struct raft_message *message)
{
    if (message->to != raft->options.id || message->from == raft->options.id) {
        return; /* the transport delivered it to the wrong place */
    }
    if (message->term < raft->term) {
        bool is_old_ack = message->type == RAFT_MESSAGE_APPEND_RESPONSE;
        if (!(PLANTED(20) && is_old_ack)) { /* accept an acknowledgement of an old term */
            on_older_term(raft, message);
            return;
        }
    }
    if (message->term > raft->term && !on_newer_term(raft, message)) {
        return;
    }
    dispatch(raft, message);
}

static void on_applied(struct raft *raft, raft_index index)
{
    CHECK(index <= raft->applying); /* nothing else was handed out */
    raft->applied = later(raft->applied, index);
}

int raft_step(struct raft *raft, const struct raft_event *event)
{
    raft_outbox_settle(&raft->outbox);
    raft_outbox_settle(&raft->outbox_durable);
    raft_reads_settle(&raft->reads);
    advance_clock(raft, event->now);
    switch (event->type) {
    case RAFT_TICK:
        on_tick(raft);
        return 0;
    case RAFT_RECEIVED:
        on_received(raft, event->received);
        return 0;
    case RAFT_PROPOSE:
        return raft_propose(raft, event->propose.entries, event->propose.count);
    case RAFT_READ:
        return raft_read_request(raft, event->read.token);
    case RAFT_PERSISTED:
        on_persisted(raft, event->persisted.sequence);
        return 0;
    case RAFT_APPLIED:
        on_applied(raft, event->applied.index);
        return 0;
    case RAFT_COMPACTED:
        raft_snapshot_compact(raft, event->compacted.index);
        return 0;
    case RAFT_PEER_UNREACHABLE: {
        struct raft_progress *peer = raft_peer_find(raft, event->unreachable.peer);
        if (peer != NULL) {
            raft_progress_on_unreachable(peer);
        }
        return 0;
    }
    case RAFT_SNAPSHOT_SENT:
        raft_snapshot_on_sent(raft, event->snapshot_sent.peer, event->snapshot_sent.index,
                              event->snapshot_sent.ok);
        return 0;
    case RAFT_TRANSFER:
        return raft_transfer_start(raft, event->transfer.peer);
    }
    CHECK_UNREACHABLE();
}
