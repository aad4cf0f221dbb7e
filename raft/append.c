/* What a follower does with the leader's entries: thesis 3.5, figure 3.1 "AppendEntries RPC". */
#include "raft/core.h"

void raft_append_acknowledge(struct raft *raft, raft_id leader, raft_index match)
{
    struct raft_message response = {
        .type = RAFT_MESSAGE_APPEND_RESPONSE,
        .to = leader,
        .term = raft->term,
        .append_response = {.index = match},
    };
    if (PLANTED(1)) { /* answer before the entries are stored */
        raft_send(raft, response);
        return;
    }
    raft_send_durable(raft, response);
}

/* "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm", and
 * say where it could: skip all of our entries with larger terms (R20). */
static void reject(struct raft *raft, const struct raft_message *message)
{
    struct raft_position previous = message->append.previous;
    raft_send_durable(raft, (struct raft_message){
                                .type = RAFT_MESSAGE_APPEND_RESPONSE,
                                .to = message->from,
                                .term = raft->term,
                                .append_response = {.rejected = true,
                                                    .index = previous.index,
                                                    .hint = raft_log_find_conflict(
                                                        &raft->log, previous.index, previous.term)},
                            });
}

static void truncate_log(struct raft *raft, raft_index from)
{
    CHECK(from > raft->commit || PLANTED(6) || PLANTED(7)); /* R16 */
    raft_log_truncate(&raft->log, from);
    if (!PLANTED(21)) { /* ABA: a late completion covers what replaced the written entries */
        raft_batches_clamp(&raft->batches, from - 1);
    }
    if (raft->stable >= from) {
        raft->stable = from - 1;
    }
    if (raft->unsaved > from) {
        raft->unsaved = from;
    }
    if (raft->config_index >= from && !PLANTED(26)) { /* no return to the member set before */
        raft_membership_on_truncated(raft);
    }
}

/* Skip what is there, cut off at the first entry that conflicts, append the rest (R16). Returns the
 * last index up to which our log is known to be the leader's. */
static raft_index merge(struct raft *raft, raft_index previous, const struct raft_entry *entries,
                        uint32_t count)
{
    uint32_t i = 0;
    while (i < count && raft_log_has(&raft->log, entries[i].at)) {
        i++;
    }
    if (PLANTED(6) && previous + count < raft_log_last_index(&raft->log) &&
        previous + count >= raft->commit) {
        truncate_log(raft, previous + count + 1);
    }
    if (i < count && entries[i].at.index <= raft_log_last_index(&raft->log)) {
        truncate_log(raft, entries[i].at.index);
    }
    for (; i < count; i++) {
        uint64_t bytes = raft_entry_bytes(&entries[i]);
        if (raft->log.count > 0 && raft->log.bytes + bytes > raft->options.log_bytes_max) {
            break; /* full until the next compaction; the leader will send it again */
        }
        raft_append_entry(raft, &entries[i]);
    }
    return previous + i;
}

void raft_append_on_append(struct raft *raft, const struct raft_message *message)
{
    if (raft->role == RAFT_LEADER) {
        return; /* from a second leader of this term: impossible, and not ours to obey */
    }
    raft_hear_leader(raft, message->from);
    struct raft_position previous = message->append.previous;
    const struct raft_entry *entries = message->append.entries;
    uint32_t count = message->append.count;
    if (previous.index < raft->commit) {
        /* An old message: what is committed agrees already. Look at what goes beyond it only. */
        raft_index known = raft->commit - previous.index;
        if (count <= known) {
            raft_append_acknowledge(raft, message->from, raft->commit);
            return;
        }
        entries += known;
        count -= (uint32_t)known;
        previous.index = raft->commit;
        bool found = raft_log_find_term(&raft->log, previous.index, &previous.term);
        CHECK(found);
        if (entries[0].at.term < previous.term) {
            return; /* no honest leader sends this */
        }
    } else if (!raft_log_has(&raft->log, previous)) {
        reject(raft, message);
        return;
    }
    raft_index match = merge(raft, previous.index, entries, count);
    raft_index commit = message->append.commit;
    raft_commit_to(raft, commit < match ? commit : match); /* R18 */
    raft_append_acknowledge(raft, message->from, match);
}

void raft_append_on_heartbeat(struct raft *raft, const struct raft_message *message)
{
    if (raft->role == RAFT_LEADER) {
        return;
    }
    raft_hear_leader(raft, message->from);
    raft_index last = raft_log_last_index(&raft->log);
    if (PLANTED(7)) { /* commit what nobody has compared */
        raft_commit_to(raft, message->heartbeat.commit < last ? message->heartbeat.commit : last);
    } else if (message->heartbeat.commit > last) {
        /* The leader sends no more than this server has acknowledged to it in this very term. */
        raft->has_lost_log = true;
    } else {
        raft_commit_to(raft, message->heartbeat.commit);
    }
    raft_send(raft, (struct raft_message){
                        .type = RAFT_MESSAGE_HEARTBEAT_RESPONSE,
                        .to = message->from,
                        .term = raft->term,
                        .heartbeat_response = {.round = message->heartbeat.round},
                    });
    raft_read_ask_again(raft);
}
