/* kv.h - the replicated state machine: keys with history, leases, watches, alarms, members.
 *
 * Pure: no I/O, no clock, no randomness, no threads, no globals. Log entries go in, replies (as
 * encoded etcdserverpb messages) and immutable write batches come out; reads are served from the
 * in-memory index and the backend's read interface. The same entries give the same state, the same
 * revisions and the same HashKV on every member.
 *
 * Single-owner: one struct kv belongs to the core thread. Requests come as the raw bytes of the
 * client's message (they are decoded here, without copies), replies go out as raw bytes.
 *
 *     leader:    kv_check_request -> kv_entry_encode -> propose
 *     everyone:  kv_apply(committed entry) -> reply if the waiter is here; watch events
 *     then:      kv_take_batch -> backend thread -> kv_on_stored
 *
 * Source of the rules: the public etcd v3 API (KV, Watch, Lease, Cluster, Maintenance services). */
#ifndef KVSTORE_STATE_KV_H
#define KVSTORE_STATE_KV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "kvstore/state/etcd_error.h"

struct backend;
struct auth;
struct auth_caller;
struct backend_batch;
struct cluster;
struct cluster_member;
struct kv;
struct lessor;
struct watch_hub;

#define KV_CLUSTER_VERSION "3.7" /* major and minor of the interface: the only one there is */

/* What an entry or a request asks for. The numbers of replicated operations are the field numbers
 * of etcdserverpb.InternalRaftRequest. */
enum kv_op {
    KV_OP_NONE = 0, /* an entry with a header only: applied, changes nothing */
    KV_OP_RANGE = 3,
    KV_OP_PUT = 4,
    KV_OP_DELETE_RANGE = 5,
    KV_OP_TXN = 6,
    KV_OP_COMPACTION = 7,
    KV_OP_LEASE_GRANT = 8,
    KV_OP_LEASE_REVOKE = 9,
    KV_OP_ALARM = 10,
    KV_OP_LEASE_CHECKPOINT = 11,
    KV_OP_AUTH_ENABLE = 1000, /* the numbers between: kvstore/auth/auth.h, enum auth_op */
    KV_OP_AUTH_DISABLE = 1011,
    KV_OP_AUTH_AUTHENTICATE = 1012,
    KV_OP_AUTH_STATUS = 1013,
    KV_OP_AUTH_USER_ADD = 1100,
    KV_OP_AUTH_USER_DELETE = 1101,
    KV_OP_AUTH_USER_GET = 1102,
    KV_OP_AUTH_USER_CHANGE_PASSWORD = 1103,
    KV_OP_AUTH_USER_GRANT_ROLE = 1104,
    KV_OP_AUTH_USER_REVOKE_ROLE = 1105,
    KV_OP_AUTH_USER_LIST = 1106,
    KV_OP_AUTH_ROLE_LIST = 1107,
    KV_OP_AUTH_ROLE_ADD = 1200,
    KV_OP_AUTH_ROLE_DELETE = 1201,
    KV_OP_AUTH_ROLE_GET = 1202,
    KV_OP_AUTH_ROLE_GRANT_PERMISSION = 1203,
    KV_OP_AUTH_ROLE_REVOKE_PERMISSION = 1204,
    KV_OP_CLUSTER_VERSION_SET = 1300,
    KV_OP_MEMBER_ATTR_SET = 1301,
    KV_OP_DOWNGRADE_INFO_SET = 1302,
    /* Ours, above etcd's numbers: many leases that expired together, in one entry. */
    KV_OP_LEASE_REVOKE_MANY = 20000,
    /* Reads only, never in an entry. */
    KV_OP_RANGE_STREAM = 30000,
    KV_OP_HASH_KV = 30001,
    KV_OP_HASH = 30002,
};

enum {
    KV_TXN_OPS_MAX_DEFAULT = 128,
    KV_TXN_DEPTH_MAX = 16, /* nesting; etcd has no limit, the decoder's stack needs one */
    KV_REQUEST_BYTES_MAX_DEFAULT = 3 * 512 * 1024,
};

struct kv_position {
    uint64_t index; /* 0: nothing was applied yet */
    uint64_t term;
};

struct kv_options {
    struct backend *backend; /* borrowed; holds what was stored before, or nothing */
    uint64_t cluster_id;     /* for reply headers and alarms */
    uint64_t member_id;
    uint32_t txn_ops_max;       /* checked before proposing only; 0: the default, 128 */
    uint32_t request_bytes_max; /* checked before proposing only; 0: the default, 1.5 MiB */
    int64_t quota_bytes;        /* checked before proposing only; 0: 2 GiB, negative: none */
};

/* The answer to one request. Zero-initialise, kv_result_deinit when done; a result may be used
 * again after kv_result_clear (the buffer keeps its memory). */
struct kv_result {
    enum etcd_error status; /* ETCD_OK: reply is the encoded response message */
    struct buf reply;       /* empty unless ETCD_OK */
    /* Compaction with physical=true: hold the reply until kv_compacted() reaches this. 0: no. */
    int64_t wait_compacted;
    /* kv_check_request answered ETCD_NO_SPACE because of the quota, not the alarm: propose an
     * ALARM entry (kv_encode_alarm). */
    bool raise_no_space;
    /* The applied entry was a membership change that removed this very member. */
    bool removed_self;
};

void kv_result_clear(struct kv_result *result);
void kv_result_deinit(struct kv_result *result);

/* How much one slice of long work may do. Whichever limit is met first ends the slice. */
struct kv_budget {
    uint32_t items; /* keys or revisions looked at; 0: without limit */
    uint32_t bytes; /* bytes read; 0: without limit */
};

/* --- life -------------------------------------------------------------------------------- */

/* Empty state; nothing is read yet. */
struct kv *kv_new(const struct kv_options *options);
void kv_free(struct kv *kv); /* NULL is fine; the backend stays */

/* Load everything from the backend by one sequential scan. Call after kv_new, and again with
 * another backend (not NULL) after a snapshot replaced the store: watchers then go on from their
 * positions, leases and members are the new ones. Returns 0, ERR_CORRUPT or the backend's error;
 * after a failure only kv_free is allowed. */
MUST_USE int kv_restore(struct kv *kv, struct backend *backend, struct err *err);

void kv_set_term(struct kv *kv, uint64_t raft_term); /* for reply headers */

/* 0, or the error of a backend read that failed (ERR_CORRUPT, ERR_IO): stop this member. Look after
 * each round of applying, reading and kv_step; replies made since the last look must not be sent.
 */
int kv_failure(const struct kv *kv, struct err *err);

/* A first start, before anything is applied: a member of the initial cluster. */
void kv_add_initial_member(struct kv *kv, const struct cluster_member *member);

struct kv_position kv_applied(const struct kv *kv);
int64_t kv_revision(const struct kv *kv);         /* 1 for a fresh store */
int64_t kv_compact_revision(const struct kv *kv); /* 0 before the first compaction */
uint64_t kv_cluster_id(const struct kv *kv);
uint64_t kv_member_id(const struct kv *kv);

/* The parts with an interface of their own; borrowed, live as long as kv. */
struct auth *kv_auth(struct kv *kv);           /* kvstore/auth/auth.h */
struct lessor *kv_lessor(struct kv *kv);       /* kvstore/lease/lessor.h */
struct watch_hub *kv_watch_hub(struct kv *kv); /* kvstore/watch/watch_hub.h */
struct cluster *kv_cluster(struct kv *kv);     /* kvstore/cluster/cluster.h */

/* --- authorisation ----------------------------------------------------------------------- */

/* May the caller make this request now (kvstore/auth/authorize.h: rpc is an enum auth_rpc)? Entries
 * are asked again when they are applied, against the caller in their header. */
enum etcd_error kv_authorize(struct kv *kv, const struct auth_caller *caller, int rpc,
                             struct bytes request);

/* --- before proposing -------------------------------------------------------------------- */

/* What etcd answers without asking the log: decodes and validates (empty key, too many operations,
 * duplicate key, ...), then size, quota and alarms. ETCD_OK: propose it. result is optional; only
 * raise_no_space is ever set in it. */
enum etcd_error kv_check_request(struct kv *kv, enum kv_op op, struct bytes request,
                                 struct kv_result *result);

/* Who asked, in the entry's header. */
struct kv_entry_header {
    uint64_t request_id; /* unique in a member's life */
    struct bytes username;
    uint64_t auth_revision;
};

/* Append the entry to out: header, then the client's own bytes spliced behind tag and length. */
void kv_entry_encode(struct buf *out, const struct kv_entry_header *header, enum kv_op op,
                     struct bytes request);

/* The request of a lease grant with everything decided that must be equal on all members: an id
 * for one of 0 (fresh_id: random, positive) and the smallest TTL of this cluster. Returns
 * ETCD_OK or the etcd error. */
enum etcd_error kv_prepare_lease_grant(struct kv *kv, struct bytes request, int64_t fresh_id,
                                       int64_t min_ttl_s, struct buf *out);
/* An AlarmRequest{ACTIVATE, member, NOSPACE}, as kv_result.raise_no_space asks for. */
void kv_encode_alarm_no_space(const struct kv *kv, struct buf *out);

/* Decode the header and the operation of an entry; 0 or ERR_MALFORMED. */
MUST_USE int kv_entry_decode(struct bytes entry, struct kv_entry_header *ret_header,
                             enum kv_op *ret_op, struct bytes *ret_request);

/* --- apply ------------------------------------------------------------------------------- */

/* Apply one committed command entry. at.index must be the successor of kv_applied().index or any
 * higher one (raft's own entries lie between). result may be NULL where nobody waits: no reply is
 * built then. An entry that cannot be decoded changes nothing and gives
 * ETCD_INVALID_ENTRY everywhere. Watch events are queued in the hub before this returns. */
void kv_apply(struct kv *kv, struct kv_position at, struct bytes entry, struct kv_result *result);

/* The same in slices, for entries that delete a million keys. True: it is applied. False: go on
 * with kv_apply_step, about *items keys at a time (what was used is taken off); entry and result
 * must stay where they are. Until it is applied, only the functions that prepare or check a request
 * may be called, and kv_restore, which drops it. */
MUST_USE bool kv_apply_start(struct kv *kv, struct kv_position at, struct bytes entry,
                             struct kv_result *result);
MUST_USE bool kv_apply_step(struct kv *kv, uint32_t *items);
bool kv_is_applying(const struct kv *kv);

/* Apply the opaque part of a committed configuration entry (kvstore/cluster/cluster.h encodes it);
 * the reply is the encoded Member*Response. */
void kv_apply_config(struct kv *kv, struct kv_position at, struct bytes change,
                     struct kv_result *result);

/* An entry that says nothing (raft's no-op): only the position moves. */
void kv_apply_nothing(struct kv *kv, struct kv_position at);

/* --- storing ----------------------------------------------------------------------------- */

/* The writes of all entries applied since the last call as one immutable batch, together with the
 * position they lead to; NULL when there is nothing to store, or when 64 batches are not stored
 * yet. The batch belongs to the caller, who
 * hands it to the backend thread; batches must be stored in sequence order. */
struct backend_batch *kv_take_batch(struct kv *kv, uint64_t *ret_sequence);
/* How much waits for kv_take_batch, to decide when to take it. */
uint64_t kv_unstored_bytes(const struct kv *kv);
/* The batch with this sequence, and all before it, are committed: renews the backend's view and
 * lets their copies in memory go. 0 or the backend's error (stop then). */
MUST_USE int kv_on_stored(struct kv *kv, uint64_t sequence, struct err *err);
/* The backend's size has changed by itself (it was defragmented): the quota counts from it. */
void kv_look_at_size(struct kv *kv);
/* The position that is stored: the write-ahead log may be cut below it. */
struct kv_position kv_stored(const struct kv *kv);

/* --- reads ------------------------------------------------------------------------------- */

/* HashKV of a revision that was compacted at: what it was before anything was removed. */
struct kv_kept_hash {
    int64_t revision;
    int64_t compact_revision; /* of the compaction before */
    uint32_t hash;
};

enum kv_kept_state {
    KV_KEPT_NONE, /* compute it by a read */
    KV_KEPT_SOON, /* being computed by kv_step: ask again */
    KV_KEPT_HERE  /* result is the answer */
};

/* For a HashKVRequest. Kept since kv_new, for the last ten compactions. */
enum kv_kept_state kv_kept_hash(struct kv *kv, struct bytes request, struct kv_result *result);
/* The newest first, at most max; returns how many. */
uint32_t kv_kept_hashes(const struct kv *kv, struct kv_kept_hash *ret_hashes, uint32_t max);

/* A read that may take many slices. It is pinned to the revision at its start; when a compaction
 * passes that revision, the read fails with ETCD_COMPACTED instead of giving a wrong answer. */
struct kv_read;

enum kv_read_state {
    KV_READ_MORE,  /* the slice is over, the work is not: step again */
    KV_READ_CHUNK, /* RANGE_STREAM only: result holds one message; send it, clear, step again */
    KV_READ_DONE,  /* result is the answer (or the last message of a stream); free the read */
};

/* op: KV_OP_RANGE, KV_OP_TXN (read-only ones, see kv_txn_is_read_only), KV_OP_RANGE_STREAM,
 * KV_OP_HASH_KV, KV_OP_HASH. The request is copied. Never NULL: errors come from the first step. */
struct kv_read *kv_read_new(struct kv *kv, enum kv_op op, struct bytes request);
enum kv_read_state kv_read_step(struct kv_read *read, struct kv_budget budget,
                                struct kv_result *result);
void kv_read_free(struct kv_read *read); /* NULL is fine; any time before kv_free */

/* The common case in one call: answer now if budget allows, with no allocation for a point read.
 * Returns NULL if result is complete, else the read to go on with. */
struct kv_read *kv_read_now(struct kv *kv, enum kv_op op, struct bytes request,
                            struct kv_budget budget, struct kv_result *result);

/* True if a TxnRequest may be answered by a read (all operations are ranges); serializable: and
 * all of them are serializable, so it needs no read index. Malformed: both false. */
bool kv_txn_is_read_only(struct bytes request, bool *ret_serializable);
/* The serializable flag of a RangeRequest; false if malformed. */
bool kv_range_is_serializable(struct bytes request);

/* Small answers that never need slices. request: the encoded request; 0 sized is the default. */
void kv_alarm_get(struct kv *kv, struct bytes request, struct kv_result *result);
void kv_lease_list(struct kv *kv, struct kv_result *result);
/* On the leader (kvstore/lease/lessor.h: deadlines are known there); now_ms is its clock. */
void kv_lease_remaining(struct kv *kv, struct bytes request, uint64_t now_ms,
                        struct kv_result *result);
/* Renew on the leader: an unknown lease gives TTL 0, not an error. */
void kv_lease_keep_alive(struct kv *kv, struct bytes request, uint64_t now_ms,
                         struct kv_result *result);
/* A DowngradeRequest that may be made now: result is the answer, or ret_proposal is the request of
 * the entry (KV_OP_DOWNGRADE_INFO_SET) whose application answers. */
void kv_request_downgrade(struct kv *kv, struct bytes request, struct kv_result *result,
                          struct buf *ret_proposal);
void kv_list_members(struct kv *kv, struct kv_result *result);

/* A leader's entry for leases that are due: fills out with the request of
 * KV_OP_LEASE_REVOKE_MANY, at most leases_max leases and about keys_max keys. Returns how many
 * leases it names; 0: nothing is due. The leases named are not named again for retry_ms. */
uint32_t kv_prepare_expired(struct kv *kv, uint64_t now_ms, uint32_t leases_max, uint32_t keys_max,
                            uint64_t retry_ms, struct buf *out);

/* --- background work --------------------------------------------------------------------- */

/* One slice of: physical removal of compacted revisions, watchers that catch up. Returns true if
 * more work is left now. Deletions come out with the next batch. */
bool kv_step(struct kv *kv, struct kv_budget budget);
/* Everything at and below this revision is removed and stored. */
int64_t kv_compacted(const struct kv *kv);

/* --- facts ------------------------------------------------------------------------------- */

enum kv_alarm { KV_ALARM_NO_SPACE = 1, KV_ALARM_CORRUPT = 2 };

struct kv_alarm_member {
    uint64_t member_id;
    enum kv_alarm alarm;
};

/* This member's data cannot be relied on, or (an alarm without a member) nobody's can: it answers
 * no request about keys. */
bool kv_is_fenced(const struct kv *kv);
/* An AlarmRequest{ACTIVATE, member, CORRUPT}; member 0: it is not known whose data is wrong. */
void kv_encode_alarm_corrupt(uint64_t member_id, struct buf *out);

/* Copies at most max alarms, ordered by alarm then member id; returns how many there are. */
uint32_t kv_alarms(const struct kv *kv, struct kv_alarm_member *ret_alarms, uint32_t max);

/* Counters since kv_new, for metrics; gauges are present values. */
struct kv_stats {
    uint64_t ranges;
    uint64_t puts;
    uint64_t deletes;
    uint64_t txns;
    uint64_t events;
    uint64_t put_bytes;
    uint64_t compacted_revisions;
    uint64_t keys;          /* gauge: live keys */
    uint64_t pending_count; /* gauge: revisions applied and not stored */
    uint64_t pending_bytes; /* gauge */
    uint64_t leases;        /* gauge */
    uint64_t leases_granted;
    uint64_t leases_revoked;
    uint64_t leases_renewed; /* by this member as leader */
    uint64_t index_bytes;    /* gauge: memory of the key index, about */
};
void kv_stats(const struct kv *kv, struct kv_stats *ret_stats);

/* Abort if an invariant is broken: index counts, pending order, lease back references. O(n). */
void kv_check(const struct kv *kv);

#endif
