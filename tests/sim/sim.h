/* sim.h - whole clusters of the real code in one process and virtual time.
 *
 * Real: raft, the write-ahead log's code (on a disk in memory that loses and tears), the state
 * machine with watches and leases, the node. Simulated: time, network, disks, crashes, clients. One
 * 64-bit seed decides everything; the trace's hash is the same on a second run.
 *
 * A run has two phases. Safety: faults of every kind while clients work. Liveness: all faults end,
 * everyone is started, and the cluster has to get back to work and agree within a bound. Checkers
 * run after each step (what raft promises) and at the end (what clients saw). */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/prng.h"
#include "kvstore/backend/backend.h"
#include "kvstore/node/node.h"
#include "raft/message_codec.h"
#include "raft/wal/wal.h"

enum {
    SIM_FOUNDERS_MAX = 5,
    SIM_MEMBERS_MAX = 10, /* over a run: a removed one never comes back */
    SIM_CLIENTS_MAX = 6,
    SIM_WATCHES = 3,
    SIM_ELECTION_MS = 1000,
    SIM_HEARTBEAT_MS = 100,
    SIM_LIVENESS_MS = 60000, /* everything must be well after this much calm */
    SIM_CLUSTER_ID = 0xc1
};

enum sim_code { SIM_OK, SIM_CRASH, SIM_LIVENESS, SIM_CORRECTNESS };

struct sim_result {
    enum sim_code code;
    char text[400];
    uint64_t trace_hash;
    uint64_t virtual_ms;
    uint64_t operations; /* of clients, acknowledged */
    uint64_t revisions;  /* of the final store */
    uint64_t events;     /* delivered to watches */
    uint64_t faults;
    uint64_t changes; /* of the members, applied */
    uint64_t torn;    /* appends that a power cut interrupted */
    uint64_t full;    /* writes that a full disk refused */
    uint64_t jumps;   /* of clocks */
};

/* Probabilities are in 1/1000; each run draws its own. */
struct sim_dials {
    uint32_t drop;
    uint32_t duplicate;
    uint32_t delay_max_ms;
    uint32_t fault_every_ms;
    uint32_t disk_max_ms;
    uint32_t compact_entries;
    uint32_t change_every_ms; /* of the members; 0: never */
    bool is_strict;           /* changes that endanger the majority are refused */
    bool has_jumps;           /* of clocks */
    bool has_full_disks;
};

enum sim_event_type {
    SIM_RAFT = 1, /* a raft message arrives */
    SIM_FRAME,    /* a node frame arrives */
    SIM_SNAPSHOT, /* a snapshot stream arrives */
    SIM_PERSIST,  /* the oldest batch for the log is written */
    SIM_STORE,    /* the oldest batch for the store is committed */
    SIM_SYNC,
    SIM_INSTALL,
    SIM_TICK,
    SIM_PEER, /* a member learns that a peer is (un)reachable */
    SIM_FAULT,
    SIM_RESTART,
    SIM_RESUME,
    SIM_SPACE, /* a full disk has space again */
    SIM_HEAL,
    SIM_CLIENT,
    SIM_WATCH,
    SIM_ADMIN,
    SIM_END
};

struct sim_event {
    struct heap_node node;
    uint64_t time_us;
    uint64_t order;
    enum sim_event_type type;
    uint32_t member;
    uint32_t from;
    uint32_t epoch; /* of the member it is for; 0: any */
    uint64_t number;
    struct blob *data;
};

struct sim_batch { /* waits for a disk */
    struct list link;
    struct wal_batch *wal;
    struct backend_batch *store;
    uint64_t sequence;
};

struct sim;

struct sim_member {
    struct sim *sim;
    uint32_t index;
    uint32_t epoch; /* of the running process; 0 while it is down */
    uint32_t epochs;
    bool is_paused;
    bool is_leaving; /* its node said that it was removed */
    bool is_removed; /* switched off for good */
    bool is_log_low;
    bool is_store_full;
    uint64_t clock_us; /* its monotonic clock is so much ahead of the simulation's */
    uint64_t disk_seed;
    struct disk *disk;
    struct backend *backend;
    struct wal *wal;
    struct node *node;
    struct list persists; /* struct sim_batch */
    struct list stores;
    bool is_staged;
    uint64_t tick_at_us; /* the earliest tick in the heap */
    uint64_t last_sequence;
    struct raft_decoder decoder;
    struct watch_stream *recorder; /* sees every change: the truth */
    uint64_t hash_at[2];
};

struct sim {
    struct sim_dials dials;
    struct prng prng_net;
    struct prng prng_disk;
    struct prng prng_fault;
    struct prng prng_client;
    struct prng prng_admin;
    struct heap events;
    uint64_t order;
    uint64_t now_us;
    uint64_t trace;
    bool is_calm; /* liveness phase */
    uint64_t calm_since_us;
    bool is_ended;
    uint32_t founder_count;
    uint32_t member_count; /* that were ever started */
    uint64_t admin_requests;
    uint64_t space_ends_us[SIM_MEMBERS_MAX]; /* 0: the disk is not full */
    uint64_t jumped_us;                      /* of all clocks together, so far */
    struct sim_member members[SIM_MEMBERS_MAX];
    bool cut[SIM_MEMBERS_MAX][SIM_MEMBERS_MAX]; /* from -> to */
    struct sim_truth *truth;
    struct sim_clients *clients;
    struct sim_result *result;
};

/* sim.c */
extern bool sim_is_verbose; /* a failure is described on standard output */
int sim_run(uint64_t seed, uint32_t safety_ms, struct sim_result *result);
void sim_fail(struct sim *sim, enum sim_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct sim_event *sim_schedule(struct sim *sim, uint64_t after_us, enum sim_event_type type,
                               uint32_t member);
void sim_trace(struct sim *sim, uint64_t value);
uint64_t sim_member_id(uint32_t index);

/* sim_member.c */
void sim_member_init(struct sim *sim, uint32_t index);
void sim_member_deinit(struct sim_member *member);
void sim_member_start(struct sim_member *member);
void sim_member_crash(struct sim_member *member);
void sim_member_retire(struct sim_member *member);
void sim_member_handle(struct sim_member *member, struct sim_event *event);
void sim_member_run(struct sim_member *member);
uint64_t sim_member_now(const struct sim_member *member); /* ms of its own clock */

/* sim_disk.c: what the node asks of its disks, and the disks' completions */
void sim_disk_persist(void *context, const struct node_persist *batch);
void sim_disk_compact_log(void *context, const struct raft_snapshot_meta *meta);
void sim_disk_store(void *context, struct backend_batch *batch);
void sim_disk_on_persist(struct sim_member *member);
bool sim_disk_on_store(struct sim_member *member); /* false: no space, it waits */
void sim_disk_retry_store(struct sim_member *member);
void sim_disk_schedule_sync(struct sim_member *member);
void sim_disk_on_sync(struct sim_member *member);
void sim_disk_forget(struct sim_member *member); /* the process is gone */
/* The power fails in the middle of the append that is due: some of its sectors are written. */
void sim_disk_tear(struct sim_member *member);
void sim_disk_fill(struct sim_member *member, uint64_t for_us);
void sim_disk_free_space(struct sim_member *member);

/* sim_net.c */
void sim_net_send(struct sim_member *from, const struct raft_message *message);
void sim_net_send_frame(struct sim_member *from, raft_id to, struct bytes frame);
void sim_net_tell(struct sim *sim, uint32_t about); /* it came or went */

/* sim_admin.c */
void sim_admin_step(struct sim *sim);
bool sim_admin_owns(uint64_t token);
void sim_admin_reply(struct sim_member *member, uint64_t token, enum etcd_error status);
struct sim_member *sim_newest(struct sim *sim);      /* has applied most; NULL: nobody runs */
bool sim_is_member(struct sim *sim, uint32_t index); /* as far as the newest knows */

/* sim_fault.c */
void sim_fault_inject(struct sim *sim);
void sim_fault_heal(struct sim *sim);

/* sim_truth.c: what was applied, and by whom */
struct sim_truth *sim_truth_new(struct sim *sim);
void sim_truth_free(struct sim_truth *truth);
void sim_truth_applied(struct sim_truth *truth, uint32_t member, const struct raft_entry *entry);
void sim_truth_record(struct sim_truth *truth, struct sim_member *member);
void sim_truth_role(struct sim_truth *truth, uint32_t member, enum raft_role role, raft_term term);
int64_t sim_truth_revision(const struct sim_truth *truth);
/* A client asked at this time, when clocks had jumped so far, to keep the lease alive, and a member
 * said that it lives. */
void sim_truth_renewed(struct sim_truth *truth, int64_t lease, uint64_t asked_us,
                       uint64_t asked_jumped_us);
/* The value and mod revision of a key at a revision; NULL: it did not exist then. */
const struct blob *sim_truth_value(const struct sim_truth *truth, struct bytes key,
                                   int64_t revision, int64_t *ret_mod);
/* The revision at which this value was put under this key; 0: never. Values are unique. */
int64_t sim_truth_find(const struct sim_truth *truth, struct bytes key, struct bytes value);
/* Calls visit for each change with revision >= from in order, until it returns false. */
struct sim_change {
    int64_t revision;
    uint32_t sub;
    bool is_delete;
    struct blob *key;
    struct blob *value;
};
const struct sim_change *sim_truth_at(const struct sim_truth *truth, size_t position);
size_t sim_truth_seek(const struct sim_truth *truth, int64_t revision);
size_t sim_truth_count(const struct sim_truth *truth);

/* sim_client.c */
struct sim_clients *sim_clients_new(struct sim *sim);
void sim_clients_free(struct sim_clients *clients);
void sim_clients_step(struct sim_clients *clients, uint32_t index);
void sim_clients_reply(struct sim_clients *clients, uint64_t token, const struct node_reply *reply);
/* The member died: whoever waits for it will never know. */
void sim_clients_member_gone(struct sim_clients *clients, uint32_t member);
void sim_clients_watch(struct sim_clients *clients, uint32_t index);
void sim_clients_watch_ready(struct sim_clients *clients, void *stream);
uint64_t sim_clients_acknowledged(const struct sim_clients *clients);
/* History against the truth. */
void sim_clients_check(struct sim_clients *clients);

#endif
