/* batch.h - the inside of a batch. Private to this folder; the public half is in backend.h. */
#ifndef KVSTORE_BACKEND_BATCH_H
#define KVSTORE_BACKEND_BATCH_H

#include "base/arena.h"
#include "base/list.h"
#include "kvstore/backend/backend.h"

enum backend_change_type {
    BACKEND_CHANGE_PUT = 1,
    BACKEND_CHANGE_PUT_TOMBSTONE,
    BACKEND_CHANGE_DELETE,
    BACKEND_CHANGE_DELETE_RANGE,
    BACKEND_CHANGE_META_PUT,
    BACKEND_CHANGE_META_DELETE,
    BACKEND_CHANGE_META_DELETE_PREFIX,
};

struct backend_change {
    enum backend_change_type type;
    union {
        struct {
            struct backend_revision from; /* of DELETE and PUT: the revision */
            struct backend_revision end;  /* of DELETE_RANGE */
            struct blob *value;           /* of PUT; referenced */
        };
        struct {
            struct bytes key; /* of META_*; in the arena */
            struct bytes meta_value;
        };
    };
};

struct backend_batch {
    struct list link; /* in a queue of the thread, or of the memory backend */
    uint64_t sequence;
    struct backend_change *changes;
    uint32_t count;
    uint32_t capacity;
    uint64_t bytes;
    bool has_applied;
    struct backend_position applied;
    struct arena arena;
};

/* A copy that shares the values. */
struct backend_batch *backend_batch_copy(const struct backend_batch *batch);

#endif
