#include "raft/batches.h"

#include "base/check.h"

const struct raft_batch *raft_batches_find_oldest(const struct raft_batches *batches)
{
    return batches->count == 0 ? NULL : &batches->batch[batches->head];
}

uint64_t raft_batches_add(struct raft_batches *batches, const struct raft_batch *batch)
{
    CHECK(!raft_batches_is_full(batches));
    struct raft_batch *added = &batches->batch[(batches->head + batches->count) % RAFT_BATCHES_MAX];
    *added = *batch;
    added->sequence = ++batches->last_sequence;
    batches->count++;
    return added->sequence;
}

bool raft_batches_take(struct raft_batches *batches, uint64_t sequence, struct raft_batch *batch)
{
    CHECK(sequence <= batches->last_sequence);
    if (batches->count == 0 || batches->batch[batches->head].sequence > sequence) {
        return false;
    }
    *batch = batches->batch[batches->head];
    batches->head = (batches->head + 1) % RAFT_BATCHES_MAX;
    batches->count--;
    return true;
}

void raft_batches_clamp(struct raft_batches *batches, raft_index last)
{
    for (uint32_t i = 0; i < batches->count; i++) {
        struct raft_batch *batch = &batches->batch[(batches->head + i) % RAFT_BATCHES_MAX];
        if (batch->last > last) {
            batch->last = last;
        }
    }
}
