/* migrate_live.h - from a running etcd to a running kvd; shared by migrate_*.c.
 *
 * Three phases. Copy: every key at one revision of the source, in the order in which the source
 * changed them. Follow: each later revision of the source becomes one transaction. Finish: both are
 * compared, the mark is removed. The mark is a key of the target that says which revision of which
 * source it holds; it changes in the same transaction as the keys do, so a migration that was
 * killed anywhere goes on where it was. */
#ifndef KVSTORE_KVCTL_MIGRATE_LIVE_H
#define KVSTORE_KVCTL_MIGRATE_LIVE_H

#include "base/map.h"
#include "kvstore/client/lease_keeper.h"
#include "kvstore/client/watch.h"
#include "kvstore/kvctl/session.h"

enum {
    LIVE_PAGE_KEYS = 1000,
    LIVE_TXN_OPS_MAX = 120,  /* below etcd's and kvd's default of 128, with room for the mark */
    LIVE_IN_FLIGHT_MAX = 64, /* transactions of the copy that wait for their answers */
};

/* Sorts before every usual key. */
#define LIVE_MARK_KEY BYTES_LITERAL("\0kvctl/migrate")

struct live {
    struct invocation *target; /* the command itself: --endpoints and the like */
    struct invocation source;  /* the same flags with --from-* in their places */
    uint64_t source_cluster;
    bool has_mark;
    bool is_copied;        /* the mark says: the copy is complete */
    int64_t revision;      /* of the source; what the target holds, once is_copied */
    struct u64_map leases; /* id -> keeper on the target */
    uint64_t key_count;
    uint64_t event_count;
};

/* All return a command_exit, and have printed what went wrong. */

/* migrate_mark.c */
MUST_USE int live_mark_read(struct live *live);
/* The mark as a put in a transaction. */
Etcdserverpb__RequestOp *live_mark_op(const struct live *live, bool is_copied, int64_t revision,
                                      struct arena *arena);
MUST_USE int live_mark_write(struct live *live, bool is_copied, int64_t revision);
MUST_USE int live_mark_remove(struct live *live);

/* migrate_lease.c: every lease of the source, alive on the target with the same id and TTL */
MUST_USE int live_leases_copy(struct live *live);
/* Does the target have it? Grants it if the source has it. */
MUST_USE int live_lease_need(struct live *live, int64_t id, bool *ret_is_there);
void live_leases_close(struct live *live);

/* migrate_copy.c */
MUST_USE int live_copy(struct live *live);
Etcdserverpb__RequestOp *live_put_op(const Mvccpb__KeyValue *kv, bool has_lease,
                                     struct arena *arena);
Etcdserverpb__RequestOp *live_delete_op(ProtobufCBinaryData key, struct arena *arena);
/* All keys of one side at a revision (0: now), keys only or whole, page by page. *ret_revision:
 * that revision. */
typedef int live_visit(struct live *live, void *context, const Mvccpb__KeyValue *kv);
MUST_USE int live_visit_all(struct live *live, struct invocation *side, int64_t revision,
                            bool keys_only, live_visit *visit, void *context,
                            int64_t *ret_revision);

/* migrate_follow.c: until the target holds revision until of the source; 0: for ever. */
MUST_USE int live_follow(struct live *live, int64_t until);

/* migrate_auth.c: users and roles that the target does not have yet */
MUST_USE int live_auth_copy(struct live *live);

/* migrate_verify.c: the same keys, values, leases and order on both sides */
MUST_USE int live_verify(struct live *live);

#endif
