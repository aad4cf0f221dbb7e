/* node_internal.h - the inside of struct node, shared by the files of this folder only. */
#ifndef KVSTORE_NODE_NODE_INTERNAL_H
#define KVSTORE_NODE_NODE_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "kvstore/node/node.h"

enum {
    NODE_PROPOSAL_BYTES_MAX = 64 << 20, /* waiting to be proposed */
    NODE_PROPOSE_COUNT_MAX = 1024,      /* entries in one raft_step */
    NODE_PROPOSE_BYTES_MAX = 4 << 20,   /* bytes in one raft_step */
    NODE_READ_ITEMS_PER_SLICE = 2000,   /* keys looked at: about a millisecond */
    NODE_READ_BYTES_PER_SLICE = 1 << 20,
    NODE_PROMOTE_LEASES_PER_SLICE = 4000,
    NODE_WORK_ITEMS_PER_SLICE = 1000, /* background: compaction, watchers that catch up */
    NODE_WORK_BYTES_PER_SLICE = 512 << 10,
    NODE_EXPIRED_LEASES_MAX = 500, /* leases revoked by one entry */
    NODE_EXPIRED_KEYS_MAX = 1000,
    NODE_EXPIRED_RETRY_MS = 5000, /* before a lost revocation is proposed again */
    NODE_PEERS_MAX = 2 * RAFT_MEMBERS_MAX,
    NODE_CONNECTED_MIN_MS = 5000, /* strict reconfiguration: etcd's health interval */
    NODE_LEARNER_READY_PERCENT = 90,
    NODE_READ_RETRY_MS = 500,
    NODE_CUTS_MAX = 16
};

/* Who waits for the outcome of a proposal. Owned by the waiters map and the deadline list. */
struct node_waiter {
    struct list by_deadline;
    struct list by_position; /* proposed here as leader, in log order; else alone */
    uint64_t request_id;
    uint64_t token;   /* of a client here; 0: nobody waits any more */
    raft_id peer;     /* forwarded whole request (NODE_FRAME_REQUEST): who waits ... */
    uint64_t peer_id; /* ... and for what */
    enum node_method method;
    raft_time_ms deadline;
    struct raft_position at; /* where it was proposed; index 0: not by this member */
    bool is_sent;            /* handed to raft or to the leader: must never be proposed again */
    int64_t wait_compacted;  /* applied; the answer waits for this physical compaction */
    struct blob *answer;
};

/* An entry that waits for raft to take it. */
struct node_proposal {
    struct list link;
    enum raft_entry_type type;
    struct blob *data;
    uint64_t request_id; /* 0: nobody waits (lease expiry, alarms) */
    raft_id from;        /* forwarded by this peer, which wants to hear of a refusal; 0: own */
};

/* A read: waits for its read point, then runs in slices. */
struct node_read {
    struct list link;
    uint64_t token;
    raft_id peer; /* as in node_waiter */
    uint64_t peer_id;
    enum node_method method;
    raft_time_ms deadline;
    struct blob *body;
    struct blob *username; /* NULL: nobody */
    uint64_t auth_revision;
    bool is_internal;
    struct kv_read *job; /* NULL: not started */
    bool is_parked;      /* a chunk was delivered, node_resume goes on */
};

/* Reads that share one read point. */
struct node_read_batch {
    struct list link;
    struct list reads;
    uint64_t token;
    raft_index index; /* 0: not confirmed yet */
};

/* A request that the leader answers for us (NODE_FRAME_REQUEST). */
struct node_forward {
    struct list link;
    uint64_t id;
    uint64_t token;
    enum node_method method;
    raft_time_ms deadline;
    uint64_t fresh_id;
    struct blob *body;
    raft_index wait_index; /* answered; hold until this is applied here */
    enum etcd_error status;
    struct blob *answer;
    bool is_sent;
    bool is_answered;
};

struct node_peer {
    raft_id id;
    raft_time_ms connected_since;
    bool is_connected;
};

/* MoveLeader in progress. */
struct node_transfer {
    uint64_t token; /* 0: none */
    raft_id target;
    raft_time_ms deadline;
};

struct node {
    struct node_options options;
    struct node_io io;
    struct raft *raft;
    struct kv *kv;
    raft_time_ms now;

    uint64_t next_request_id;
    struct u64_map waiters; /* request id -> struct node_waiter */
    struct list waiters_by_deadline;
    struct list waiters_by_position;
    struct list waiters_for_compaction; /* linked by by_deadline: they have no deadline any more */
    struct list proposals;
    size_t proposal_bytes;

    struct list new_reads;    /* without a read point */
    struct list read_batches; /* struct node_read_batch, oldest first */
    struct list ready_reads;  /* may run */
    uint64_t next_read_token;
    raft_time_ms read_retry_at; /* not before, after a refusal */

    struct list asks; /* node_ask.c */
    struct list forwards;
    uint64_t next_forward_id;

    struct node_peer peers[NODE_PEERS_MAX];
    struct node_transfer transfer;

    enum raft_role role;
    raft_id leader;
    raft_term term;
    bool is_lessor_primary;
    bool is_alarm_proposed; /* NOSPACE is on its way */
    bool is_disk_full;
    bool is_stopped;

    /* Committed entries that raft handed out; empty: apply_next > apply_end. */
    raft_index apply_next;
    raft_index apply_end;
    bool has_apply_reply; /* the entry being applied fills apply_result */
    struct kv_result apply_result;

    raft_index durable_index;
    raft_index compacted_index;                    /* in memory */
    struct raft_snapshot_meta cuts[NODE_CUTS_MAX]; /* not told to the log on disk; oldest first */
    uint32_t cut_count;
    raft_time_ms store_at; /* when waiting changes go to the store; RAFT_TIME_NEVER: none wait */
    bool has_background_work;
    bool is_promoting; /* leases still get their deadlines */

    /* A snapshot is being installed: what must become durable after it. */
    bool is_installing;
    uint64_t install_sequence;
    struct raft_snapshot_meta install_meta;
    struct raft_hard_state install_hard_state;
    bool has_install_hard_state;

    /* Messages that may leave only when their batch is durable, encoded. */
    struct list held; /* struct node_held, oldest first */

    struct kv_result result; /* reused for every read */
    struct buf scratch;
    struct node_stats stats;
};

/* node_reply.c */
void node_reply_status(struct node *node, uint64_t token, raft_id peer, uint64_t peer_id,
                       enum etcd_error status);
void node_reply_bytes(struct node *node, uint64_t token, raft_id peer, uint64_t peer_id,
                      struct bytes body);

/* node_propose.c: a proposal with somebody who waits for it. entry is copied. */
void node_propose(struct node *node, const struct node_request *request, raft_id peer,
                  uint64_t peer_id, enum kv_op op, struct bytes body);
void node_propose_config(struct node *node, const struct node_request *request, raft_id peer,
                         uint64_t peer_id, struct blob *data);
/* Nobody waits; data is the caller's reference and is taken. */
void node_propose_silently(struct node *node, struct blob *data);
void node_take_forwarded_proposal(struct node *node, raft_id from, uint64_t request_id,
                                  struct bytes entry);
void node_flush_proposals(struct node *node);
struct node_waiter *node_waiter_find(struct node *node, uint64_t request_id);
/* The waiter is answered (or nobody is there any more): forget it. */
void node_waiter_free(struct node *node, struct node_waiter *waiter);
void node_fail_lost_proposals(struct node *node);
void node_fail_unknown_proposals(struct node *node);
void node_expire_waiters(struct node *node);
raft_time_ms node_waiters_deadline(const struct node *node);

/* node_read.c */
void node_read_start(struct node *node, const struct node_request *request, raft_id peer,
                     uint64_t peer_id, bool is_linearizable);
void node_flush_reads(struct node *node);
void node_on_read_point(struct node *node, const struct raft_read *read);
void node_on_read_failed(struct node *node, uint64_t token);
void node_release_reads(struct node *node); /* read points that are applied now */
bool node_run_reads(struct node *node);     /* true: more to do */
void node_expire_reads(struct node *node);
raft_time_ms node_reads_deadline(const struct node *node);
void node_free_reads(struct node *node);

/* node_apply.c */
void node_apply_committed(struct node *node, const struct raft_entry *entries, uint32_t count);
/* Go on with what is committed; true: an entry needs another slice. */
bool node_apply_more(struct node *node);
/* Another state replaces this one: what was handed out is not applied. */
void node_apply_abandon(struct node *node);
void node_store(struct node *node, bool is_forced);

/* node_compact.c */
void node_cut_log(struct node *node);
void node_forget_cuts(struct node *node); /* the state is another one now */

/* node_forward.c */
void node_forward_request(struct node *node, const struct node_request *request);
void node_send_reply_frame(struct node *node, raft_id to, uint64_t id, enum etcd_error status,
                           struct bytes body);
void node_send_proposal_frame(struct node *node, raft_id to, uint64_t request_id,
                              struct bytes entry);
void node_send_refusal_frame(struct node *node, raft_id to, uint64_t request_id,
                             enum etcd_error status);
void node_send_request_frame(struct node *node, raft_id to, uint64_t id, enum node_method method,
                             struct bytes body);
void node_flush_forwards(struct node *node);
void node_release_forwards(struct node *node);
void node_expire_forwards(struct node *node);
raft_time_ms node_forwards_deadline(const struct node *node);
void node_free_forwards(struct node *node);

/* node_ask.c */
bool node_is_askable(enum node_method method);
void node_ask(struct node *node, const struct node_request *request);
bool node_ask_on_reply(struct node *node, raft_id from, uint64_t id, enum etcd_error status,
                       struct bytes body);
void node_ask_on_lost_peer(struct node *node, raft_id member);
void node_expire_asks(struct node *node);
raft_time_ms node_asks_deadline(const struct node *node);
void node_free_asks(struct node *node);

/* node_submit.c: on this member, for a client or (peer not 0) for a peer's client */
void node_execute(struct node *node, const struct node_request *request, raft_id peer,
                  uint64_t peer_id);

/* node_authorize.c */
enum etcd_error node_authorize(struct node *node, const struct node_request *request);
/* Before anything is done for a client: what need not wait for an entry or a read point. */
enum etcd_error node_authorize_early(struct node *node, const struct node_request *request);

/* node_member.c */
void node_member_change(struct node *node, const struct node_request *request, raft_id peer,
                        uint64_t peer_id);

/* node_status.c */
raft_id node_decode_move_leader(struct node *node, struct bytes body);
bool node_decode_is_linearizable(struct node *node, const struct node_request *request);
bool node_decode_is_alarm_get(struct node *node, struct bytes body);
void node_rehead(struct node *node, struct bytes answer, struct buf *out);
void node_status_reply(struct node *node, uint64_t token);

/* True for this member itself. */
bool node_peer_is_connected(const struct node *node, raft_id id);

static inline bool node_leads(const struct node *node)
{
    return raft_role(node->raft) == RAFT_LEADER;
}

#endif
