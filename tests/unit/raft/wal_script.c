#include "tests/unit/raft/wal_script.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void script_init(struct script *script, uint64_t seed)
{
    memset(script, 0, sizeof *script);
    prng_init(&script->prng, seed);
    script->state.hard_state.term = 1;
    script->attempted = script->state;
}

struct blob *script_data(struct raft_position at, uint32_t size)
{
    if (size == 0) {
        return NULL;
    }
    struct blob *blob = blob_new(size);
    for (uint32_t i = 0; i < size; i++) {
        blob->data[i] = (uint8_t)(at.index * 31 + at.term * 7 + i);
    }
    return blob;
}

static raft_index last_index(const struct script_state *state)
{
    return state->snapshot.last.index + state->entry_count;
}

static struct wal_batch *make_batch(struct script *script, raft_index first, uint32_t count,
                                    uint32_t size, const struct raft_snapshot_meta *snapshot,
                                    bool has_hard_state)
{
    struct script_state *state = &script->attempted;
    struct raft_entry entries[32] = {{.type = RAFT_ENTRY_COMMAND}};
    CHECK(count <= 32);
    state->entry_count = (uint32_t)(first - state->snapshot.last.index - 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_position at = {first + i, state->hard_state.term};
        CHECK(state->entry_count < SCRIPT_ENTRIES_MAX);
        state->entries[state->entry_count++] = at;
        entries[i] = (struct raft_entry){
            .at = at, .type = RAFT_ENTRY_COMMAND, .data = script_data(at, size)};
    }
    struct wal_batch *batch = wal_batch_new(
        ++script->sequence, has_hard_state ? &state->hard_state : NULL, snapshot, entries, count);
    for (uint32_t i = 0; i < count; i++) {
        blob_unref(entries[i].data);
    }
    return batch;
}

/* A compaction: the log starts later, what follows stays. */
static void compact(struct script_state *state, raft_index index)
{
    uint32_t dropped = (uint32_t)(index - state->snapshot.last.index);
    state->snapshot.last = state->entries[dropped - 1];
    state->snapshot.members = (struct raft_members){.count = 1, .member = {{.id = 1, .voter = 1}}};
    state->entry_count -= dropped;
    memmove(state->entries, state->entries + dropped, state->entry_count * sizeof *state->entries);
}

/* A snapshot from a peer, beyond the log's end: everything before it goes. */
static void install(struct script_state *state, raft_index index)
{
    state->snapshot.last = (struct raft_position){index, state->hard_state.term};
    state->snapshot.members =
        (struct raft_members){.count = 2, .member = {{.id = 1, .voter = 1}, {.id = 2, .voter = 0}}};
    state->entry_count = 0;
    state->hard_state.commit = index;
}

struct wal_batch *script_next_batch(struct script *script, uint32_t data_bytes_max)
{
    struct prng *prng = &script->prng;
    script->attempted = script->state;
    struct script_state *state = &script->attempted;
    struct raft_hard_state *hard = &state->hard_state;
    uint64_t kind = prng_below(prng, 20);
    raft_index first = last_index(state) + 1;
    const struct raft_snapshot_meta *snapshot = NULL;
    bool has_hard_state = prng_chance(prng, 1, 2);
    if (kind == 0) { /* a new term; a new leader's log replaces the end of ours */
        hard->term++;
        hard->vote = prng_between(prng, 1, 3);
        has_hard_state = true;
        first = prng_between(prng, hard->commit + 1, first);
    } else if (kind == 1 && hard->commit > state->snapshot.last.index) {
        compact(state, prng_between(prng, state->snapshot.last.index + 1, hard->commit));
        snapshot = &state->snapshot;
    } else if (kind == 2) {
        install(state, first + prng_below(prng, 5));
        first = last_index(state) + 1;
        snapshot = &state->snapshot;
        has_hard_state = true;
    }
    uint32_t count = (uint32_t)prng_below(prng, 4) + (has_hard_state || snapshot != NULL ? 0 : 1);
    if (kind == 0) {
        count += 1; /* the truncation is implied by the entry that replaces */
    }
    uint32_t size = (uint32_t)prng_below(prng, data_bytes_max + 1);
    if (has_hard_state && kind != 2) {
        raft_index low =
            hard->commit > state->snapshot.last.index ? hard->commit : state->snapshot.last.index;
        hard->commit = prng_between(prng, low, first + count - 1);
    }
    return make_batch(script, first, count, size, snapshot, has_hard_state);
}

struct wal_batch *script_append_batch(struct script *script, uint32_t count, uint32_t size)
{
    script->attempted = script->state;
    return make_batch(script, last_index(&script->state) + 1, count, size, NULL, true);
}

void script_acknowledge(struct script *script)
{
    script->state = script->attempted;
}

static bool data_matches(const struct raft_entry *entry)
{
    struct bytes data = blob_bytes(entry->data);
    struct blob *wanted = script_data(entry->at, (uint32_t)data.size);
    bool is_equal = bytes_equal(data, blob_bytes(wanted));
    blob_unref(wanted);
    return is_equal;
}

static bool members_match(const struct raft_members *a, const struct raft_members *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->member[i].id != b->member[i].id || a->member[i].voter != b->member[i].voter) {
            return false;
        }
    }
    return true;
}

bool script_matches(const struct script_state *state, const struct wal_recovered *recovered)
{
    const struct raft_hard_state *hard = &recovered->hard_state;
    /* The first term is never written by itself. */
    bool is_hard_equal = (hard->term == state->hard_state.term ||
                          (hard->term == 0 && state->hard_state.term == 1)) &&
                         hard->vote == state->hard_state.vote &&
                         hard->commit == state->hard_state.commit;
    if (!is_hard_equal || recovered->snapshot.last.index != state->snapshot.last.index ||
        recovered->snapshot.last.term != state->snapshot.last.term ||
        !members_match(&recovered->snapshot.members, &state->snapshot.members) ||
        recovered->entry_count != state->entry_count) {
        return false;
    }
    for (uint32_t i = 0; i < state->entry_count; i++) {
        if (recovered->entries[i].at.index != state->entries[i].index ||
            recovered->entries[i].at.term != state->entries[i].term ||
            !data_matches(&recovered->entries[i])) {
            return false;
        }
    }
    return true;
}

bool script_adopted(const struct script *script, struct script_state *ret_state)
{
    if (script->attempted.snapshot.last.index <= last_index(&script->state)) {
        return false;
    }
    *ret_state = script->state;
    ret_state->snapshot = script->attempted.snapshot;
    ret_state->entry_count = 0;
    return true;
}

struct wal_options script_options(const struct script *script, struct disk *disk)
{
    const struct raft_snapshot_meta *snapshot = &script->attempted.snapshot;
    if (snapshot->last.index < script->state.snapshot.last.index) {
        snapshot = &script->state.snapshot;
    }
    return (struct wal_options){.disk = disk,
                                .is_created = true,
                                .cluster_id = 0xc1,
                                .member_id = 0x17,
                                .segment_bytes = 8192,
                                .alignment_bytes = 512,
                                .durable_applied_index = snapshot->last.index,
                                .installed = snapshot->last.index > 0 ? snapshot : NULL};
}
