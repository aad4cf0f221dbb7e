/* core.h - the core thread of kvd: a libuv loop that owns the node, and the two disk threads' work.
 *
 * Whoever serves a connection asks with core_submit and gets answers by callback, always from the
 * loop and never inside the call that asked. One run of the core handles everything that arrived
 * in a loop iteration: one batch for the log, one frame for each peer, one write a connection. */
#ifndef KVSTORE_SERVER_CORE_H
#define KVSTORE_SERVER_CORE_H

#include <uv.h>

#include "base/list.h"
#include "kvstore/backend/backend.h"
#include "kvstore/node/node.h"
#include "kvstore/server/bootstrap.h"
#include "kvstore/server/metric.h"

struct core;
struct core_call;

/* A reply; for a stream (reply->more) several. After the last one the call is the caller's again.
 */
typedef void core_reply(struct core_call *call, const struct node_reply *reply);

/* Embedded in what asks. Set method, body, fresh_id and on_reply. */
struct core_call {
    struct list link;
    enum node_method method;
    struct bytes body; /* valid until the call was taken up; then not needed */
    uint64_t fresh_id;
    raft_id member;            /* see node_request */
    struct auth_caller caller; /* as body */
    bool is_internal;
    core_reply *on_reply;
    bool is_submitted; /* taken up by the node, answer outstanding */
};

/* What the outside does for the core. */
struct core_events {
    void *context;
    void (*send)(void *context, const struct raft_message *message);
    void (*send_frame)(void *context, raft_id to, struct bytes frame);
    void (*flush)(void *context); /* end of a run: what was sent may leave */
    void (*watch_ready)(void *context, void *stream);
    void (*role_changed)(void *context, enum raft_role role, raft_id leader, raft_term term);
    void (*members_changed)(void *context);
    /* The process must end with this exit code; text says why. */
    void (*failed)(void *context, int exit_code, const char *text);
};

struct core_options {
    uv_loop_t *loop;
    const char *data_dir; /* with member/wal and member/store below */
    const char *wal_dir;  /* NULL: inside data_dir */
    uint64_t cluster_id;  /* 0: what the log says */
    uint64_t member_id;
    /* Of a new cluster: its members. NULL: this member joins and waits to be contacted. */
    const struct bootstrap *initial;
    bool is_new; /* make a log if there is none */
    bool is_unsafe_no_sync;
    bool is_forced_alone; /* --force-new-cluster: drop all other members */
    uint32_t election_timeout_ms;
    uint32_t heartbeat_interval_ms;
    uint32_t txn_ops_max;
    uint32_t request_bytes_max;
    int64_t quota_bytes;
    uint64_t compact_entries;
    uint64_t catchup_entries;
    uint32_t max_learners;
    bool strict_reconfig_check;
    const char *version;
    struct metrics *metrics;
    struct core_events events;
};

/* Open the log and the store, recover, start the threads. *err.code and the result tell the errors
 * of wal.h and lmdb.h apart; *ret_exit_code is what the process should exit with. */
MUST_USE int core_open(const struct core_options *options, struct core **ret_core,
                       int *ret_exit_code, struct err *err);
/* Writes what waits, ends the threads, frees. Calls without an answer get none. The loop's handles
 * are closed: run the loop once more before it is freed. */
void core_close(struct core *core);

void core_submit(struct core *core, struct core_call *call);
/* Nobody reads the answer any more: work stops where it can. on_reply still comes exactly once. */
void core_abandon(struct core *core, struct core_call *call);
void core_resume(struct core *core, struct core_call *call); /* see node_resume */

/* From peers. */
void core_on_message(struct core *core, const struct raft_message *message);
void core_on_frame(struct core *core, raft_id from, struct bytes frame);
void core_on_peer(struct core *core, raft_id peer, bool is_connected);
void core_on_snapshot_sent(struct core *core, raft_id peer, raft_index index, bool ok);

/* Receiving a snapshot: start, batches, then finish with the message that introduced it. While
 * core_stage_is_full, hand over no more; has_room(data) says when to go on. */
typedef void core_stage_room(void *data);
void core_stage_start(struct core *core, core_stage_room *has_room, void *data);
/* True: wait for has_room, which will be called. The store's own backlog counts, too. */
bool core_stage_is_full(struct core *core);
void core_stage_take_batch(struct core *core, struct backend_batch *batch);
void core_stage_finish(struct core *core, const struct raft_message *message);
void core_stage_cancel(struct core *core);
bool core_is_staging(const struct core *core);

/* Compact the store's file; done(data, code) runs when it is finished. ERR_BUSY: one runs. */
typedef void core_defragment_done(void *data, int code, const char *text);
MUST_USE int core_defragment(struct core *core, core_defragment_done *done, void *data);

/* Everything applied by now is in the store, durably, when done(data) runs: for a snapshot that
 * must not miss what was acknowledged. Embedded in the caller's object. */
struct core_store_waiter {
    struct list link;
    uint64_t sequence; /* of the last batch it waits for; UINT64_MAX: not handed over yet */
    void (*done)(struct core_store_waiter *waiter);
};
void core_store_all(struct core *core, struct core_store_waiter *waiter);
void core_store_cancel(struct core_store_waiter *waiter);

void core_wake(struct core *core); /* run soon: state changed outside a call */
struct node *core_node(struct core *core);
struct backend *core_backend(struct core *core);
uint64_t core_cluster_id(const struct core *core);
uint64_t core_member_id(const struct core *core);
uint64_t core_log_id(const struct core *core); /* of this disk, see peer_registry.h */
uint64_t core_incarnation(const struct core *core);
struct peer_registry *core_registry(struct core *core);
/* The log is new: this member has never run. */
bool core_is_first_start(const struct core *core);
uint64_t core_now(const struct core *core); /* ms, the loop's clock */
/* How long the oldest write has been with the log's thread; 0: nothing waits. */
uint64_t core_log_wait_ms(const struct core *core);

#endif
