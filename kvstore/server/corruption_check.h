/* corruption_check.h - do all members hold the same data? The leader compares hashes, always:
 *
 *   every 60 s (--corrupt-check-time makes it more often), at the present revision;
 *   when a member has come (back), so at its start;
 *   after each compaction, at its revision (kv_kept_hash).
 *
 *   IDLE --> own hash --> ask every other, again while it is behind --> vote --> alarms --> IDLE
 *
 * Who differs from the majority gets a CORRUPT alarm, which fences it (kv_is_fenced). */
#ifndef KVSTORE_SERVER_CORRUPTION_CHECK_H
#define KVSTORE_SERVER_CORRUPTION_CHECK_H

#include "kvstore/cluster/cluster.h"
#include "kvstore/server/core.h"
#include "kvstore/server/hash_vote.h"

enum {
    CORRUPTION_CHECK_MAX_MS = 60000,  /* between two checks */
    CORRUPTION_CHECK_PAUSE_MS = 2000, /* at least, whatever happens */
    CORRUPTION_CHECK_TRIES = 30       /* of one member that is behind, a tick apart */
};

struct corruption_ask {
    struct core_call call;
    struct corruption_check *check;
    uint64_t member;
    unsigned tries;
    bool is_open;    /* under way */
    bool is_waiting; /* behind: to be asked again */
    bool has_hash;
    uint32_t hash;
};

struct corruption_check {
    struct core *core;
    struct metrics *metrics;
    uint64_t interval_ms;
    bool is_running;
    uint64_t started_ms;
    uint64_t connections;       /* node_connections at the last start */
    int64_t checked_compaction; /* kept hashes up to here were compared, by who could */

    bool is_of_compaction; /* this check */
    int64_t revision;
    int64_t compact_revision;
    struct core_call own_call;
    struct buf body;
    struct corruption_ask asks[CLUSTER_MEMBERS_MAX];
    uint32_t ask_count;
    struct hash_vote own;

    struct core_call alarm_call;
    struct buf alarm_body;
    uint64_t accused[CLUSTER_MEMBERS_MAX];
    uint32_t accused_count;
};

void corruption_check_init(struct corruption_check *check, struct core *core,
                           struct metrics *metrics, uint64_t interval_ms);
void corruption_check_deinit(struct corruption_check *check);
/* Call about every second. */
void corruption_check_tick(struct corruption_check *check);

#endif
