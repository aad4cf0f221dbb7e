#include "raft/core.h"

static void check_log(const struct raft *raft)
{
    uint64_t bytes = 0;
    struct raft_position before = raft->log.base;
    raft_index config = 0;
    for (raft_index i = raft_log_first_index(&raft->log); i <= raft_log_last_index(&raft->log);
         i++) {
        const struct raft_entry *entry = raft_log_at(&raft->log, i);
        CHECK(entry->at.index == before.index + 1); /* R24 */
        CHECK(entry->at.term >= before.term);
        before = entry->at;
        bytes += raft_entry_bytes(entry);
        config = entry->type == RAFT_ENTRY_CONFIG ? i : config;
    }
    CHECK(bytes == raft->log.bytes);
    CHECK(before.term <= raft->term);
    CHECK(config == raft->config_index);
    CHECK(raft_members_valid(&raft->members));
}

static void check_indexes(const struct raft *raft)
{
    raft_index last = raft_log_last_index(&raft->log);
    CHECK(raft->log.base.index <= raft->applied);
    CHECK(raft->applied <= raft->applying);
    CHECK(raft->applying <= raft->commit);
    CHECK(raft->commit <= last);
    CHECK(raft->stable <= last);
    CHECK(raft->unsaved <= last + 1);
    CHECK(raft->stable < raft->unsaved);
    for (uint32_t i = 0; i < raft->batches.count; i++) {
        const struct raft_batch *batch =
            &raft->batches.batch[(raft->batches.head + i) % RAFT_BATCHES_MAX];
        CHECK(batch->last < raft->unsaved);
        CHECK(batch->term <= raft->term);
    }
}

static void check_leader(const struct raft *raft)
{
    CHECK(raft->leader == raft->options.id && raft->vote == raft->options.id);
    uint64_t uncommitted = 0;
    for (raft_index i = raft->commit + 1; i <= raft_log_last_index(&raft->log); i++) {
        uncommitted += raft_entry_bytes(raft_log_at(&raft->log, i));
    }
    CHECK(uncommitted == raft->uncommitted_bytes);
    CHECK(raft->term_start > 0);
    uint32_t members = 0;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        CHECK(peer->id != raft->options.id);
        raft_progress_check(peer, raft_log_last_index(&raft->log));
        const struct raft_member *member = raft_members_find(&raft->members, peer->id);
        CHECK(peer->leaving == (member == NULL));
        CHECK(member == NULL || member->voter == peer->voter);
        CHECK(peer->round_acked <= raft->reads.round);
        members += peer->leaving ? 0 : 1;
    }
    bool is_member = raft_members_find(&raft->members, raft->options.id) != NULL;
    CHECK(members + (is_member ? 1 : 0) == raft->members.count);
}

static void check_reads(const struct raft *raft)
{
    const struct raft_reads *reads = &raft->reads;
    CHECK(reads->started <= reads->count);
    CHECK(reads->count <= RAFT_READS_MAX);
    for (uint32_t i = 0; i < reads->count; i++) {
        const struct raft_pending_read *read = &reads->pending[reads->head + i];
        CHECK(read->round <= reads->round);
        CHECK(i >= reads->started || read->round != 0);
        CHECK(i == 0 || i >= reads->started || read[-1].round <= read->round);
    }
}

void raft_check(const struct raft *raft)
{
    check_log(raft);
    check_indexes(raft);
    check_reads(raft);
    CHECK(raft->durable_term <= raft->term);
    if (raft->role == RAFT_LEADER) {
        check_leader(raft);
        return;
    }
    CHECK(raft->peer_count == 0 && raft->transfer_to == 0);
    CHECK(raft->leader != raft->options.id);
    CHECK(raft->role == RAFT_FOLLOWER || raft->leader == 0);
    CHECK(raft->role != RAFT_CANDIDATE || raft->vote == raft->options.id);
    CHECK(raft->leader != 0 || raft->reads.count == 0);
}
