/* pending.h - revisions that are applied and not yet readable from the backend, in order. */
#ifndef KVSTORE_MVCC_PENDING_H
#define KVSTORE_MVCC_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "kvstore/mvcc/revision.h"

struct pending_item {
    struct revision at;
    bool is_tombstone;
    uint64_t sequence; /* of the batch that stores it */
    struct blob *kv;
};

/* A ring: in at the back, out at the front. */
struct pending {
    struct pending_item *items;
    uint32_t capacity; /* 0 or a power of two */
    uint32_t first;
    uint32_t count;
    uint64_t bytes;
};

void pending_deinit(struct pending *pending);
/* Takes over the reference. Revisions only grow. */
void pending_push(struct pending *pending, struct pending_item item);
/* Drop everything that batches up to this sequence have stored. */
void pending_drop(struct pending *pending, uint64_t sequence);
/* How many items come before this revision. */
uint32_t pending_position(const struct pending *pending, struct revision at);
const struct pending_item *pending_item(const struct pending *pending, uint32_t position);
const struct pending_item *pending_find(const struct pending *pending, struct revision at);

#endif
