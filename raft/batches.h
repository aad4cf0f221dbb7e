/* batches.h - the batches that the caller is making durable, oldest first.
 *
 * A completion names a sequence number, never a log position. What a batch proves about the log is
 * kept here, and shrinks when the log is truncated after the batch was taken: so a late completion
 * can never declare entries durable that replaced the written ones (R21, the ABA race). */
#ifndef RAFT_BATCHES_H
#define RAFT_BATCHES_H

#include "raft/raft.h"

struct raft_batch {
    uint64_t sequence;
    raft_index last; /* of the present log, all up to here is durable with this batch; 0: none */
    raft_term term;  /* hard state as of this batch */
    raft_id vote;
    raft_time_ms taken_at;
};

struct raft_batches {
    uint64_t last_sequence; /* given out */
    uint32_t head;
    uint32_t count;
    struct raft_batch batch[RAFT_BATCHES_MAX];
};

static inline bool raft_batches_is_full(const struct raft_batches *batches)
{
    return batches->count == RAFT_BATCHES_MAX;
}

/* The oldest one that is not durable; NULL if there is none. */
const struct raft_batch *raft_batches_find_oldest(const struct raft_batches *batches);
/* Add one; returns its sequence number. Must not be full. */
uint64_t raft_batches_add(struct raft_batches *batches, const struct raft_batch *batch);
/* Take the oldest if it is covered by sequence; false if there is none. */
bool raft_batches_take(struct raft_batches *batches, uint64_t sequence, struct raft_batch *batch);
/* The log was truncated: no batch proves anything after `last` any more. */
void raft_batches_clamp(struct raft_batches *batches, raft_index last);

#endif
