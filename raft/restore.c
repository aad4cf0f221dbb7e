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
    if (raft_is_voter(raft) && raft_members_voter_count(&raft->members) == 1) {
        raft->election_at = now; /* there is nobody to wait for */
    }
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
