#include "raft/raft.h"

#include <string.h>

#include "base/mem.h"
#include "raft/core.h"

/* Options are the program's own: nonsense is a bug, not bad input. */
static void check_options(const struct raft_options *options)
{
    CHECK(options->id != 0);
    CHECK(options->election_timeout_ms > 0 && options->heartbeat_interval_ms > 0);
    CHECK(options->heartbeat_interval_ms <= options->election_timeout_ms / 2);
    CHECK(options->append_bytes_max > 0 && options->inflight_bytes_max > 0);
    CHECK(options->uncommitted_bytes_max > 0);
    CHECK(options->log_bytes_max / 2 >= options->uncommitted_bytes_max);
}

/* The first entry to use. Entries that the snapshot covers are skipped; if the last of them is not
 * the snapshot's, the whole log belongs to a past that the snapshot has replaced (R35). */
static uint32_t first_usable(const struct raft_restored *restored)
{
    struct raft_position last = restored->snapshot.last;
    uint32_t i = 0;
    while (i < restored->entry_count && restored->entries[i].at.index <= last.index) {
        i++;
    }
    bool is_replaced = i > 0 && (restored->entries[i - 1].at.index != last.index ||
                                 restored->entries[i - 1].at.term != last.term);
    return is_replaced ? restored->entry_count : i;
}

int raft_restored_check(const struct raft_restored *restored, struct err *err)
{
    const struct raft_snapshot_meta *snapshot = &restored->snapshot;
    if (!raft_members_valid(&snapshot->members)) {
        return err_set(err, ERR_CORRUPT, "the snapshot's member set is not valid");
    }
    struct raft_position last = snapshot->last;
    for (uint32_t i = first_usable(restored); i < restored->entry_count; i++) {
        const struct raft_entry *entry = &restored->entries[i];
        if (entry->at.index != last.index + 1 || entry->at.term < last.term) {
            return err_set(err, ERR_CORRUPT,
                           "log entry %llu of term %llu does not follow entry %llu of term %llu",
                           (unsigned long long)entry->at.index, (unsigned long long)entry->at.term,
                           (unsigned long long)last.index, (unsigned long long)last.term);
        }
        struct raft_members members;
        if (entry->type == RAFT_ENTRY_CONFIG &&
            raft_members_decode(blob_bytes(entry->data), &members, NULL) != 0) {
            return err_set(err, ERR_CORRUPT, "the member set in log entry %llu is not valid",
                           (unsigned long long)entry->at.index);
        }
        last = entry->at;
    }
    if (restored->hard_state.commit > last.index || restored->applied > last.index) {
        return err_set(err, ERR_CORRUPT,
                       "the log ends at %llu, but commit %llu and applied %llu were saved: entries "
                       "are lost",
                       (unsigned long long)last.index,
                       (unsigned long long)restored->hard_state.commit,
                       (unsigned long long)restored->applied);
    }
    return 0;
}

static raft_index later(raft_index a, raft_index b)
{
    return a > b ? a : b;
}

static void restore_log(struct raft *raft, const struct raft_restored *restored)
{
    raft_log_init(&raft->log, restored->snapshot.last);
    raft->base_members = restored->snapshot.members;
    raft->members = raft->base_members;
    for (uint32_t i = first_usable(restored); i < restored->entry_count; i++) {
        raft_append_entry(raft, &restored->entries[i]);
    }
    raft->stable = raft_log_last_index(&raft->log);
    raft->unsaved = raft->stable + 1;
    raft->commit =
        later(restored->hard_state.commit, later(restored->applied, restored->snapshot.last.index));
    raft->applied = later(restored->applied, restored->snapshot.last.index);
    raft->applying = raft->applied;
}

struct raft *raft_new(const struct raft_options *options, const struct raft_restored *restored,
                      raft_time_ms now)
{
    check_options(options);
    CHECK(raft_restored_check(restored, NULL) == 0);
    struct raft *raft = mem_zalloc(sizeof *raft);
    raft->options = *options;
    raft->now = now;
    raft->peers = mem_calloc(RAFT_PEERS_MAX, sizeof *raft->peers);
    prng_init(&raft->prng, options->seed ^ (options->id * 0x9e3779b97f4a7c15ULL) ^ now);
    raft->reads.round = prng_next(&raft->prng) >> 2;
    raft->term = restored->hard_state.term;
    raft->vote = restored->hard_state.vote;
    restore_log(raft, restored);
    /* A crash can keep entries or a snapshot and lose the hard state of the same batch. No vote of
     * that term was given, for the batch was not reported durable. */
    raft_term last_term = raft_log_last(&raft->log).term;
    raft->durable_term = raft->term;
    raft->durable_vote = raft->vote;
    if (last_term > raft->term) {
        raft->term = last_term;
        raft->vote = 0;
        raft->is_hard_state_dirty = true;
    }
    raft->role = RAFT_FOLLOWER;
    raft_draw_election_timeout(raft);
    return raft;
}

void raft_free(struct raft *raft)
{
    if (raft == NULL) {
        return;
    }
    raft_log_deinit(&raft->log);
    raft_reads_deinit(&raft->reads);
    raft_outbox_deinit(&raft->outbox);
    raft_outbox_deinit(&raft->outbox_durable);
    mem_free(raft->peers);
    mem_free(raft);
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

static bool has_unsaved(const struct raft *raft)
{
    return raft->is_hard_state_dirty || raft->is_snapshot_unsaved ||
           raft->unsaved <= raft_log_last_index(&raft->log);
}

void raft_send_durable(struct raft *raft, struct raft_message message)
{
    if (!has_unsaved(raft) && raft->batches.count == 0 && raft->outbox_durable.count == 0) {
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

/* The commit index is only a hint to save writes after a restart, and must never name an entry that
 * a crash could take (R7): so it is held back to what was durable before this batch. */
static struct raft_hard_state hard_state_now(const struct raft *raft)
{
    return (struct raft_hard_state){
        .term = raft->term,
        .vote = PLANTED(2) ? raft->durable_vote : raft->vote,
        .commit = raft->commit < raft->stable ? raft->commit : raft->stable,
    };
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
    if (now - raft->quorum_heard_at > timeout && !PLANTED(17)) {
        raft_time_ms heard = raft_replication_quorum(raft, RAFT_PEER_CONTACT, now);
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

/* One batch of all that changed since the last one. */
static void take_batch(struct raft *raft, struct raft_ready *ready)
{
    bool has_work = has_unsaved(raft) || raft->outbox_durable.count > 0;
    if (!has_work || raft_batches_is_full(&raft->batches)) {
        return;
    }
    raft_index last = raft_log_last_index(&raft->log);
    if (has_unsaved(raft)) {
        raft->hard_state_out = hard_state_now(raft);
        ready->hard_state = &raft->hard_state_out;
    }
    if (raft->is_snapshot_unsaved) {
        raft->snapshot_out = (struct raft_snapshot_meta){raft->log.base, raft->base_members};
        ready->snapshot = &raft->snapshot_out;
    }
    if (raft->unsaved <= last) {
        ready->entries = raft_log_at(&raft->log, raft->unsaved);
        ready->entry_count = (uint32_t)(last - raft->unsaved + 1);
    }
    ready->messages_durable = raft->outbox_durable.messages;
    ready->message_durable_count = raft->outbox_durable.count;
    raft->outbox_durable.is_lent = true;
    ready->sequence = raft_batches_add(&raft->batches, &(struct raft_batch){
                                                           .last = last,
                                                           .term = raft->term,
                                                           .vote = raft->vote,
                                                           .taken_at = raft->now,
                                                       });
    raft->unsaved = last + 1;
    raft->is_hard_state_dirty = false;
    raft->is_snapshot_unsaved = false;
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
