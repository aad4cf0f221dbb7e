/* kv_internal.h - what the files of the state machine share. */
#ifndef KVSTORE_STATE_KV_INTERNAL_H
#define KVSTORE_STATE_KV_INTERNAL_H

#include "base/arena.h"
#include "base/pb.h"
#include "kvstore/auth/authorize.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/mvcc/mvcc.h"
#include "kvstore/mvcc/range.h"
#include "kvstore/mvcc/request.h"
#include "kvstore/state/alarms.h"
#include "kvstore/state/kv.h"
#include "kvstore/watch/watch_hub.h"

/* What an apply function gets: the request of one entry. reply is NULL where nobody waits. */
struct kv_apply_context {
    struct bytes request;
    const struct kv_entry_header *header;
    struct buf *reply;
    struct kv_result *result; /* NULL with reply */
};

/* The deletion of a range, as far as it got. */
struct delete_run {
    struct key_range range;
    struct key_cursor cursor; /* stays good: a deletion leaves the tree's shape as it is */
    bool is_single;
    bool wants_previous;
    struct bytes key;
    struct buf previous; /* prev_kvs, encoded */
    uint64_t deleted;
};

/* One level of nested transactions: the next operation, and where its parent's messages began. */
struct txn_frame {
    const struct txn_request *txn;
    uint32_t next;
    size_t response_mark;
    size_t body_mark;
};

struct txn_run {
    struct txn_request txn;
    struct txn_frame frames[REQUEST_TXN_DEPTH_MAX + 2];
    uint32_t depth;
    bool is_deleting; /* the present operation of the top frame */
    size_t response_mark;
    size_t body_mark;
};

struct revoke_run {
    struct pb_reader ids;
    bool is_single; /* one id, not in ids */
    int64_t id;     /* 0: take the next one */
    enum { REVOKE_SORT, REVOKE_DELETE, REVOKE_FORGET } phase;
    uint32_t position;
};

/* One slice of an entry's work, up to *items small things; true: done, with *error. */
typedef bool kv_job_step(struct kv *kv, uint32_t *items, enum etcd_error *error);

/* The entry that is being applied. Between two slices the state is neither the old nor the new. */
struct kv_job {
    bool is_open;
    kv_job_step *step; /* NULL: applied at once */
    struct kv_position at;
    struct kv_entry_header header;
    struct kv_apply_context context;
    struct delete_run delete_run;
    struct txn_run txn;
    struct revoke_run revoke;
};

enum { COMPACT_HASHES_MAX = 10 /* as etcd */, COMPACT_HASHES_WAITING_MAX = 16 };

/* Of the last compactions, oldest first. */
struct compact_hashes {
    struct kv_kept_hash kept[COMPACT_HASHES_MAX];
    uint32_t kept_count;
    struct kv_kept_hash waiting[COMPACT_HASHES_WAITING_MAX]; /* nothing is removed meanwhile */
    uint32_t waiting_count;
    struct kv_read *job; /* of the first that waits; NULL: not started */
};

struct kv {
    struct kv_options options;
    struct mvcc *mvcc;
    struct lessor *lessor;
    struct watch_hub *hub;
    struct cluster *cluster;
    struct auth *auth;
    struct alarms alarms;
    struct compact_hashes compact_hashes;

    uint64_t raft_term;
    struct kv_position applied;
    struct kv_position stored;
    struct {
        uint64_t sequence;
        struct kv_position position;
    } taken[64]; /* batches that are not stored yet, oldest first */
    uint32_t taken_count;
    uint64_t db_size_bytes; /* at the last look */

    struct kv_job job;

    struct arena auth_arena;     /* of one decision */
    struct arena check_arena;    /* of one request, while an apply may be half done */
    struct arena arena;          /* of one apply */
    struct buf scratch;          /* of one apply */
    enum etcd_error reply_error; /* of one apply: the state is right, its reply cannot be made */
    struct kv_stats stats;
};

/* --- reply.c: the encoded parts of responses ---------------------------------------------- */

/* Field 1 of every response. */
void reply_header(const struct kv *kv, struct buf *out, int64_t revision);
/* Inside a transaction only the revision is set. */
void reply_inner_header(struct buf *out, int64_t revision);

/* --- write.c: put, delete range, compaction -------------------------------------------------- */

enum etcd_error apply_put(struct kv *kv, const struct kv_apply_context *context);
enum etcd_error apply_delete_range(struct kv *kv, const struct kv_apply_context *context);
enum etcd_error apply_compaction(struct kv *kv, const struct kv_apply_context *context);
enum etcd_error validate_put(const struct kv *kv, const struct put_request *put);
/* Inside a transaction; the response's fields behind the header go to reply (may be NULL). */
enum etcd_error execute_put(struct kv *kv, struct put_request put, struct buf *reply);
/* The deletion in kv->job.delete_run, inside a transaction. True: done, or *error. */
void delete_run_start(struct kv *kv, const struct delete_request *request, bool has_reply);
bool delete_run_step(struct kv *kv, uint32_t *items, enum etcd_error *error);
/* Append the response's fields behind the header; reply may be NULL. */
void delete_run_finish(struct kv *kv, struct buf *reply);
/* Take one of the items that fit this slice; false: the slice is over. */
static inline bool take_item(uint32_t *items)
{
    if (*items == 0) {
        return false;
    }
    *items -= 1;
    return true;
}
/* Close the transaction and tell the watchers. */
void end_transaction(struct kv *kv);

/* --- txn.c ------------------------------------------------------------------------------------ */

enum etcd_error apply_txn(struct kv *kv, const struct kv_apply_context *context);

/* --- compact_hash.c ------------------------------------------------------------------------- */

/* A compaction from before to revision was decided. */
void compact_hash_add(struct kv *kv, int64_t before, int64_t revision);
bool compact_hash_step(struct kv *kv, struct kv_budget budget); /* true: physical removal waits */
void compact_hash_clear(struct kv *kv);
void reply_hash(const struct kv *kv, const struct kv_kept_hash *hash, struct buf *reply);

/* --- compare.c ------------------------------------------------------------------------------ */

/* Evaluate all compares, those of the nested transactions on the chosen path too, against the
 * present state. */
enum etcd_error evaluate_compares(struct kv *kv, struct txn_request *txn);

/* --- lease_apply.c -------------------------------------------------------------------------- */

enum etcd_error apply_lease_grant(struct kv *kv, const struct kv_apply_context *context);
enum etcd_error apply_lease_revoke(struct kv *kv, const struct kv_apply_context *context);
enum etcd_error apply_lease_revoke_many(struct kv *kv, const struct kv_apply_context *context);
enum etcd_error apply_lease_checkpoint(struct kv *kv, const struct kv_apply_context *context);
MUST_USE int restore_leases(struct kv *kv, struct backend *backend, struct err *err);

/* --- alarm_apply.c -------------------------------------------------------------------------- */

enum etcd_error apply_alarm(struct kv *kv, const struct kv_apply_context *context);
MUST_USE int restore_alarms(struct kv *kv, struct backend *backend, struct err *err);

/* --- auth_apply.c --------------------------------------------------------------------------- */

bool is_auth_op(enum kv_op op);
enum etcd_error apply_auth(struct kv *kv, enum kv_op op, const struct kv_apply_context *context);
/* Is the entry's caller allowed to have it applied now? */
enum etcd_error authorize_entry(struct kv *kv, enum kv_op op,
                                const struct kv_apply_context *context);

/* --- member_apply.c ------------------------------------------------------------------------- */

enum etcd_error apply_member_attributes(struct kv *kv, const struct kv_apply_context *context);
enum etcd_error apply_cluster_version(struct kv *kv, const struct kv_apply_context *context);

/* --- downgrade.c ---------------------------------------------------------------------------- */

void reply_downgrade(const struct kv *kv, struct buf *reply);

/* --- check.c -------------------------------------------------------------------------------- */

enum etcd_error check_range_request(const struct range_request *request);
enum etcd_error check_put_request(const struct put_request *request);
enum etcd_error check_delete_request(const struct delete_request *request);
enum etcd_error check_txn_request(const struct txn_request *request, uint32_t ops_max,
                                  struct arena *arena);
/* Rules about keys that one branch touches twice; kvstore/state/duplicate.c. */
enum etcd_error check_duplicate_keys(const struct txn_request *request, struct arena *arena);
/* Bytes that a put would add to the store, as the quota counts them; nested ones too. */
uint64_t put_cost(const struct put_request *request);
uint64_t txn_cost(const struct txn_request *request);

enum etcd_error error_from_range(enum range_status status);

#endif
