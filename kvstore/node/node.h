/* node.h - one member of the replicated store: drives raft and the state machine, keeps the waiting
 * requests, and says what is to be sent, written and answered.
 *
 * Pure: no I/O, no clock, no threads, no globals. The world is a struct node_io and the functions
 * node_on_*; kvd (kvstore/server) connects them to sockets and disks, the simulator (tests/sim) to
 * virtual ones. Single-owner: everything here belongs to the core thread.
 *
 *     requests   node_submit ---> check ---> propose / forward / read point ---> apply --->
 * io.reply disk       io.persist -> node_on_persisted      io.store -> node_on_stored peers
 * io.send, io.send_frame -> node_on_message, node_on_frame of the other
 *
 * Functions of struct node_io run inside node_submit, node_on_* and node_advance: they queue work
 * and never call back into the node. */
#ifndef KVSTORE_NODE_NODE_H
#define KVSTORE_NODE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "kvstore/auth/authorize.h"
#include "kvstore/state/etcd_error.h"
#include "kvstore/state/kv.h"
#include "raft/message.h"
#include "raft/raft.h"

struct backend;
struct backend_batch;
struct node;

/* What a client can ask of a node. Bodies are encoded etcdserverpb request messages. */
enum node_method {
    NODE_RANGE = 1,
    NODE_RANGE_STREAM,
    NODE_PUT,
    NODE_DELETE_RANGE,
    NODE_TXN,
    NODE_COMPACT,
    NODE_LEASE_GRANT,
    NODE_LEASE_REVOKE,
    NODE_LEASE_KEEP_ALIVE,
    NODE_LEASE_TIME_TO_LIVE,
    NODE_LEASE_LEASES,
    NODE_MEMBER_ADD,
    NODE_MEMBER_REMOVE,
    NODE_MEMBER_UPDATE,
    NODE_MEMBER_LIST,
    NODE_MEMBER_PROMOTE,
    NODE_ALARM,
    NODE_STATUS,
    NODE_HASH,
    NODE_HASH_KV,
    NODE_MOVE_LEADER,
    NODE_DOWNGRADE,
    NODE_AUTH_ENABLE,
    NODE_AUTH_DISABLE,
    NODE_AUTH_STATUS,
    NODE_AUTHENTICATE, /* InternalAuthenticateRequest: the password was checked before */
    NODE_USER_ADD,     /* with the hashed password in place of the password */
    NODE_USER_GET,
    NODE_USER_LIST,
    NODE_USER_DELETE,
    NODE_USER_CHANGE_PASSWORD,
    NODE_USER_GRANT_ROLE,
    NODE_USER_REVOKE_ROLE,
    NODE_ROLE_ADD,
    NODE_ROLE_GET,
    NODE_ROLE_LIST,
    NODE_ROLE_DELETE,
    NODE_ROLE_GRANT_PERMISSION,
    NODE_ROLE_REVOKE_PERMISSION,
    NODE_MEMBER_ATTR_SET, /* InternalRaftRequest's: a member publishes its name and client URLs */
    NODE_CLUSTER_VERSION_SET,
    NODE_METHOD_COUNT
};

struct node_request {
    uint64_t token; /* the caller's, unique among its open requests, not 0 */
    enum node_method method;
    struct bytes body;
    uint64_t fresh_id; /* random, 1..INT64_MAX: the id of a lease or a member that gets one */
    struct auth_caller caller; /* who asks; borrowed for the call */
    raft_id member;   /* who is to answer; 0: whoever can. Others only tell NODE_HASH_KV. */
    bool is_internal; /* by this process itself, or authorised before: nobody is asked */
};

struct node_reply {
    enum etcd_error status; /* ETCD_OK: body is the encoded response */
    struct bytes body;      /* borrowed for the call */
    bool more;              /* NODE_RANGE_STREAM: another follows after node_resume */
};

/* One batch that must be durable, in this order: snapshot, entries, hard state (raft/raft.h). */
struct node_persist {
    uint64_t sequence;
    const struct raft_hard_state *hard_state;  /* NULL: unchanged */
    const struct raft_snapshot_meta *snapshot; /* NULL: none */
    const struct raft_entry *entries;
    uint32_t entry_count;
};

enum node_stop {
    NODE_STOP_REMOVED = 1, /* the cluster removed this member */
    NODE_STOP_LOST_LOG,    /* the leader knows entries that this member once had (R7) */
    NODE_STOP_CORRUPT      /* the stored state cannot be read */
};

struct node_io {
    void *context;
    /* A raft message to a peer; borrowed. May be lost. INSTALL_SNAPSHOT asks for a stream. */
    void (*send)(void *context, const struct raft_message *message);
    /* A frame of our own to a peer: forwarded requests and their answers. May be lost. */
    void (*send_frame)(void *context, raft_id to, struct bytes frame);
    /* Make durable, then node_on_persisted. Everything is borrowed. */
    void (*persist)(void *context, const struct node_persist *batch);
    /* Store; the batch is the callee's. Then node_on_stored. */
    void (*store)(void *context, struct backend_batch *batch);
    /* The write-ahead log may forget entries at and below meta.last once it has recorded meta. */
    void (*compact_log)(void *context, const struct raft_snapshot_meta *meta);
    /* Switch to the staged state with this meta, then node_on_installed. Nothing is asked of the
     * node's disk in between. */
    void (*install_snapshot)(void *context, const struct raft_snapshot_meta *meta);
    /* For tests that follow what is applied; may be NULL. */
    void (*applied)(void *context, const struct raft_entry *entry);
    void (*reply)(void *context, uint64_t token, const struct node_reply *reply);
    /* The stream (its context) has watch responses to take. */
    void (*watch_ready)(void *context, void *stream);
    void (*role_changed)(void *context, enum raft_role role, raft_id leader, raft_term term);
    void (*members_changed)(void *context);
    /* This member must stop. What it has replied since node_advance began must not be sent, unless
     * the reason is NODE_STOP_REMOVED. text: more for people, or "". */
    void (*stop)(void *context, enum node_stop reason, const char *text);
};

struct node_options {
    struct raft_options raft;
    struct kv_options kv;
    struct node_io io;
    /* High bits of request ids: unique for each start of each member of the cluster. */
    uint64_t request_id_base;
    uint32_t request_timeout_ms; /* 0: 5 s and two election timeouts, as etcd */
    uint32_t applied_gap_max;    /* committed and not applied; beyond it requests are refused */
    uint64_t catchup_entries;    /* kept for slow followers after a log compaction */
    uint64_t compact_entries;    /* entries between two log compactions */
    uint64_t compact_bytes;      /* in memory, if a follower that answers needs them; 0: 32 MiB */
    uint64_t recent_bytes; /* in memory when none does, between that and twice that; 0: 2 MiB */
    uint32_t store_interval_ms; /* longest time that applied changes wait for the store; 0: 100 */
    uint64_t store_bytes_max;   /* ... or until so much waits; 0: 1 MiB */
    uint32_t apply_items;       /* keys that one entry deletes in one slice; 0: 2000 */
    uint32_t max_learners;
    bool strict_reconfig_check;
    const char *version; /* "3.7.1": for Status */
};

/* restored has passed raft_restored_check(). The backend was opened by the caller, who closes it
 * after node_free. Loads the state machine. */
MUST_USE int node_new(const struct node_options *options, const struct raft_restored *restored,
                      raft_time_ms now, struct node **ret_node, struct err *err);
void node_free(struct node *node); /* open requests get ETCD_STOPPED; NULL is fine */

/* --- inputs ------------------------------------------------------------------------------- */

/* Exactly one final reply follows, now or later, unless the node is freed before. */
void node_submit(struct node *node, raft_time_ms now, const struct node_request *request);
/* Nobody reads the answer any more: a read ends with ETCD_REQUEST_CANCELED, now; what was proposed
 * goes on. The one final reply comes in any case. */
void node_cancel(struct node *node, uint64_t token);
/* The chunk of a NODE_RANGE_STREAM has been taken: make the next. */
void node_resume(struct node *node, uint64_t token);

void node_on_message(struct node *node, raft_time_ms now, const struct raft_message *message);
void node_on_frame(struct node *node, raft_time_ms now, raft_id from, struct bytes frame);
void node_on_persisted(struct node *node, raft_time_ms now, uint64_t sequence);
/* Every batch up to sequence is committed by the backend; renews its view. */
void node_on_stored(struct node *node, raft_time_ms now, uint64_t sequence);
/* The backend holds everything up to index across a power loss. */
void node_on_durable(struct node *node, raft_time_ms now, raft_index index);
/* io.install_snapshot was done: the backend has the new content. */
void node_on_installed(struct node *node, raft_time_ms now, struct backend *backend);
void node_on_snapshot_sent(struct node *node, raft_time_ms now, raft_id peer, raft_index index,
                           bool ok);
/* A stream to the peer was established, or lost. */
void node_on_peer(struct node *node, raft_time_ms now, raft_id peer, bool is_connected);
/* The log's disk is nearly full (writes are refused until it is not). */
/* Hand what is applied to the store now, without waiting for more. */
void node_store_now(struct node *node, raft_time_ms now);
void node_set_disk_full(struct node *node, bool is_full);

/* Do what is due. Call after a group of inputs and when node_deadline has come; true: call again
 * soon, there is more work than fits one slice. */
bool node_advance(struct node *node, raft_time_ms now);
raft_time_ms node_deadline(const struct node *node);

/* Give up leadership to the best follower (a shutdown); false: this member does not lead, or there
 * is nobody. */
bool node_hand_over(struct node *node, raft_time_ms now);

/* --- facts -------------------------------------------------------------------------------- */

struct kv *node_kv(struct node *node);
raft_id node_id(const struct node *node);
raft_id node_leader(const struct node *node); /* 0: unknown */
bool node_is_leader(const struct node *node);
bool node_is_learner(const struct node *node);
/* Changes whenever a member connects or is lost. */
uint64_t node_connections(const struct node *node);
void node_get_status(const struct node *node, struct raft_status *status);
raft_index node_applied(const struct node *node);
/* The members in force at an index of raft's log (for a snapshot's metadata). */
struct raft_members node_members_at(const struct node *node, raft_index index);
bool node_wants_snapshot(const struct node *node, struct raft_position last);
/* Between io.install_snapshot and node_on_installed. Staged state that is complete, was told to the
 * node by node_on_message, and does not lead here in the next node_advance, is of no use: drop it.
 */
bool node_is_installing(const struct node *node);

struct node_stats {
    uint64_t proposals_pending;
    uint64_t proposals_failed;
    uint64_t read_indexes_failed;
    uint64_t leader_changes;
    uint64_t lease_expired;
};
void node_get_stats(const struct node *node, struct node_stats *ret_stats);

/* Abort if an invariant is broken. O(size). */
void node_check(const struct node *node);

#endif
