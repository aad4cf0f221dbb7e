/* store.h - what the orchestrator asks of a store. Two implementations: the replicated store
 * (store_kv.h) and one in memory for tests and the simulator (store_memory.h).
 *
 * Everything is asynchronous: a completion never runs inside the call that asks for it. */
#ifndef ORCHESTRATOR_REGISTRY_STORE_H
#define ORCHESTRATOR_REGISTRY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct store;

struct store_value {
    struct bytes data;
    uint64_t revision; /* of its last change; 0: there is no such key */
};

/* err is NULL when it went well; err->code says what did not. value and err are valid during the
 * call. revision is the store's when it answered. */
typedef void store_read_done(void *context, const struct err *err, const struct store_value *value,
                             uint64_t revision);

enum { STORE_WRITES_MAX = 64 };

struct store_write {
    const char *key;
    struct bytes data; /* data NULL: the key is deleted */
    /* The revision that the key must have now: 0 that it must not exist, STORE_REVISION_ANY that it
     * does not matter. */
    uint64_t expected;
};

#define STORE_REVISION_ANY UINT64_MAX

struct store_outcome {
    bool is_committed;
    uint64_t revision; /* of the store: the new values' when committed */
    /* When not: the first write's key as it is. */
    struct store_value current;
};
typedef void store_commit_done(void *context, const struct err *err,
                               const struct store_outcome *outcome);

/* What a follower of a prefix is told. A listing comes first, and again whenever the history it
 * needs is gone. */
struct store_follower {
    void (*on_listing_begin)(void *context);
    void (*on_put)(void *context, const char *key, struct bytes data, uint64_t revision);
    void (*on_delete)(void *context, const char *key, uint64_t revision);
    void (*on_listing_end)(void *context, uint64_t revision);
    /* Everything up to revision has been told. */
    void (*on_progress)(void *context, uint64_t revision);
};

struct store_ops {
    void (*read)(struct store *store, const char *key, store_read_done *done, void *context);
    void (*commit)(struct store *store, const struct store_write *writes, size_t count,
                   store_commit_done *done, void *context);
    void (*follow)(struct store *store, const char *prefix, const struct store_follower *follower,
                   void *context);
    void (*request_progress)(struct store *store, uint64_t revision);
};

struct store {
    const struct store_ops *ops;
};

static inline void store_read(struct store *store, const char *key, store_read_done *done,
                              void *context)
{
    store->ops->read(store, key, done, context);
}
/* All writes, or none when one of them finds another revision than it expects. */
static inline void store_commit(struct store *store, const struct store_write *writes, size_t count,
                                store_commit_done *done, void *context)
{
    store->ops->commit(store, writes, count, done, context);
}
/* At most one follower of a store. */
static inline void store_follow(struct store *store, const char *prefix,
                                const struct store_follower *follower, void *context)
{
    store->ops->follow(store, prefix, follower, context);
}
/* The follower needs to know when it has been told everything up to revision: if no event says so,
 * on_progress will, soon. */
static inline void store_request_progress(struct store *store, uint64_t revision)
{
    store->ops->request_progress(store, revision);
}

#endif
