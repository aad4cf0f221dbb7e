/* core_internal.h - the inside of struct core: core.c and core_open.c only. */
#ifndef KVSTORE_SERVER_CORE_INTERNAL_H
#define KVSTORE_SERVER_CORE_INTERNAL_H

#include <stdatomic.h>

#include "kvstore/backend/backend_thread.h"
#include "kvstore/server/core.h"
#include "kvstore/server/peer_registry.h"
#include "raft/wal/disk_real.h"
#include "raft/wal/wal_thread.h"

struct core {
    struct core_options options;
    uint64_t cluster_id;
    uint64_t member_id;
    bool is_first_start;
    uint64_t log_id;
    uint64_t incarnation;
    struct peer_registry *registry;

    int data_dir_fd;
    struct disk *disk;
    struct wal_thread *wal_thread;
    struct backend *backend;
    struct backend_thread *backend_thread;
    struct node *node;

    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_timer_t timer;
    uv_async_t async;
    raft_time_ms timer_deadline;

    struct metric_child *apply_time;
    struct list inbox; /* calls not taken up yet */
    bool is_dirty;     /* something arrived: run in this iteration's prepare phase */
    bool is_running;
    bool is_log_full;              /* or nearly */
    bool is_store_full;            /* its commits wait for space */
    uint64_t compaction_logged_ms; /* when the last line about it was written */
    bool is_staging;               /* a snapshot is being received */
    bool is_staged;                /* it is complete and waits for the node's word */
    core_stage_room *stage_room;
    void *stage_data;
    bool is_room_wanted; /* stage_room is to be called */
    atomic_bool is_renew_wanted;
    uint64_t last_sequence; /* of a batch for the log */

    uint64_t last_store_sequence;          /* of a batch handed to the store */
    struct list store_waiters;             /* struct core_store_waiter */
    core_defragment_done *defragment_done; /* NULL: none runs */
    void *defragment_data;
};

/* core.c: the loop's handles, started last and closed first. */
void core_start_loop(struct core *core);
/* freed runs when the last handle is closed; handle->data is the core. */
void core_stop_loop(struct core *core, uv_close_cb freed);
void core_wake_from_thread(void *context);
void core_renew_wanted(void *context);
/* The node's way out. */
struct node_io core_node_io(struct core *core);

#endif
