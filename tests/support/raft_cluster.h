/* raft_cluster.h - a cluster of Raft cores in one process, with virtual time, network and disks.
 *
 * Two ways to drive it. By hand (scenarios, paper tests): nothing happens but what the test asks
 * for; raft_cluster_deliver() lets disks finish and messages arrive until all is quiet. By the
 * clock (random tests): raft_cluster_run() picks the earliest of message, disk and deadline, with
 * delays, losses and crashes drawn from the seed.
 *
 * After every step the cluster checks raft_check(), election safety, leader completeness,
 * state-machine safety and read freshness. A violation is recorded in `violation`, the first one
 * wins. Messages pass through the codec. */
#ifndef TESTS_SUPPORT_RAFT_CLUSTER_H
#define TESTS_SUPPORT_RAFT_CLUSTER_H

#include "base/buf.h"
#include "base/prng.h"
#include "raft/message_codec.h"
#include "raft/raft.h"

enum {
    CLUSTER_NODES_MAX = 12, /* ids 1 .. 11 */
    CLUSTER_TERMS_MAX = 4096,
    CLUSTER_READS_MAX = 4096,
};

enum cluster_link { CLUSTER_LINK_OPEN, CLUSTER_LINK_CUT, CLUSTER_LINK_HELD };

/* A state machine that keeps nothing but what it has seen. */
struct cluster_machine {
    struct raft_position at;
    uint64_t hash; /* over all entries so far */
    struct raft_members members;
};

struct cluster_batch {
    uint64_t sequence;
    raft_time_ms done_at;
    bool has_hard_state;
    struct raft_hard_state hard_state;
    bool has_snapshot;
    struct raft_snapshot_meta snapshot;
    struct raft_entry *entries;
    uint32_t entry_count;
    struct raft_message *messages; /* none of them borrows entries */
    uint32_t message_count;
};

struct cluster_node {
    raft_id id;
    bool exists;
    struct raft *raft; /* NULL while crashed */
    uint64_t starts;

    /* On disk. */
    struct raft_hard_state hard_state;
    struct raft_snapshot_meta snapshot;
    struct raft_entry *entries;
    uint32_t entry_count;
    uint32_t entry_capacity;
    struct cluster_machine stored; /* the state machine's own durable copy */
    bool stored_is_installed;      /* it came from a peer, and the log may not say so yet */

    /* In memory. */
    struct cluster_machine machine;
    struct cluster_batch *batches;
    uint32_t batch_count;
    bool is_disk_held;
    bool is_paused; /* the process stands still while the world goes on */
    bool has_staged;
    struct cluster_machine staged;

    enum raft_role role_seen;
    raft_term term_seen;
    raft_id leader_seen;
    raft_index commit_seen;
};

/* A message under way, or a snapshot stream (then with the state). */
struct cluster_wire {
    raft_id from;
    raft_id to;
    raft_time_ms at;
    uint64_t order;
    struct blob *bytes;
    bool is_stream;
    struct cluster_machine state;
};

struct cluster_faults {
    uint32_t loss_percent;
    uint32_t duplicate_percent;
    raft_time_ms delay_max;
    raft_time_ms disk_delay_max;
};

struct cluster_read {
    uint64_t token;
    raft_id node;
    raft_index at_least; /* committed somewhere when it was asked */
    bool is_open;
};

struct raft_cluster {
    raft_time_ms now;
    struct raft_options options; /* id and seed are set for each node */
    struct prng prng;
    struct cluster_faults faults;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    enum cluster_link links[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX];
    struct cluster_wire *wires;
    uint32_t wire_count;
    uint32_t wire_capacity;
    uint64_t next_order;
    uint64_t next_token;
    struct raft_decoder decoder;
    struct buf scratch;
    struct buf *trace; /* NULL: none */

    /* Checkers. */
    char violation[256]; /* empty: none */
    raft_id leader_of_term[CLUSTER_TERMS_MAX];
    struct raft_position *chosen; /* by index - 1: what was applied there first */
    uint64_t *chosen_hash;
    raft_term *chosen_in; /* the term of the server that applied it first */
    uint32_t chosen_count;
    uint32_t chosen_capacity;
    raft_index commit_max;
    struct cluster_read reads[CLUSTER_READS_MAX];
    uint64_t reads_answered;
    uint64_t reads_failed;
};

/* Options with small limits and an election timeout of 100 ms. */
struct raft_options raft_cluster_options(void);
/* Nodes 1 .. voters start as voters, the next `learners` as learners. */
struct raft_cluster *raft_cluster_new(uint32_t voters, uint32_t learners, uint64_t seed,
                                      const struct raft_options *options);
void raft_cluster_free(struct raft_cluster *cluster);
struct cluster_node *raft_cluster_node(struct raft_cluster *cluster, raft_id id);
struct raft *raft_cluster_raft(struct raft_cluster *cluster, raft_id id); /* must be running */
raft_id raft_cluster_leader(const struct raft_cluster *cluster); /* of the highest term; 0: none */

/* By hand. */
int raft_cluster_step(struct raft_cluster *cluster, raft_id id, struct raft_event event);
/* Advance the time to the node's deadline and let it act. */
void raft_cluster_tick(struct raft_cluster *cluster, raft_id id);
void raft_cluster_deliver(struct raft_cluster *cluster);
bool raft_cluster_deliver_one(struct raft_cluster *cluster, raft_id from, raft_id to);
void raft_cluster_drop(struct raft_cluster *cluster, raft_id from, raft_id to);
void raft_cluster_disk_finish(struct raft_cluster *cluster, raft_id id, uint32_t count);
/* Tick a node and deliver until it leads; it must be able to. */
void raft_cluster_elect(struct raft_cluster *cluster, raft_id id);
int raft_cluster_propose(struct raft_cluster *cluster, raft_id id, const char *text);
int raft_cluster_change(struct raft_cluster *cluster, raft_id id,
                        const struct raft_members *members);
uint64_t raft_cluster_read(struct raft_cluster *cluster, raft_id id, int *ret_rc);
void raft_cluster_set_link(struct raft_cluster *cluster, raft_id from, raft_id to,
                           enum cluster_link link);
/* Both ways between the node and all others. */
void raft_cluster_isolate(struct raft_cluster *cluster, raft_id id);
void raft_cluster_heal(struct raft_cluster *cluster);
/* Store the state machine up to what it has applied and drop the log up to index. */
void raft_cluster_compact(struct raft_cluster *cluster, raft_id id, raft_index index);

/* `keep` of the batches under way reach the disk, of the next one `keep_entries` entries; the rest
 * is lost. */
void raft_cluster_crash(struct raft_cluster *cluster, raft_id id, uint32_t keep,
                        uint32_t keep_entries);
void raft_cluster_restart(struct raft_cluster *cluster, raft_id id);
/* An empty server that waits to be contacted. */
void raft_cluster_join(struct raft_cluster *cluster, raft_id id);

/* By the clock: run events until the time is reached, or a violation. */
void raft_cluster_run(struct raft_cluster *cluster, raft_time_ms until);

void raft_cluster_fail(struct raft_cluster *cluster, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* raft_cluster_check.c */
void raft_cluster_check_node(struct raft_cluster *cluster, struct cluster_node *node);
void raft_cluster_check_applied(struct raft_cluster *cluster, const struct cluster_node *node,
                                const struct raft_entry *entry, uint64_t hash);
void raft_cluster_check_read(struct raft_cluster *cluster, raft_id id,
                             const struct raft_read *read);
/* Log matching over all pairs: slow, for the end of a test. */
void raft_cluster_check_logs(struct raft_cluster *cluster);

/* raft_trace.c: lines of a golden trace. */
void raft_trace_message(struct buf *out, const struct raft_message *message);
void raft_trace_entries(struct buf *out, const struct raft_entry *entries, uint32_t count);
void raft_trace_status(struct buf *out, const struct raft *raft);

#endif
