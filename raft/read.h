/* read.h - linearizable reads without a write (ReadIndex, thesis 6.4).
 *
 * Leader: a read waits for a round. A round takes the commit index and gets a number that no
 * earlier round had; heartbeats carry it, and answers to them confirm every round up to the number
 * (R26). All reads that arrive before raft_take_ready() share one round. No round starts before an
 * entry of the leader's own term is committed (R25). Follower: all reads that arrive before
 * raft_take_ready() share one READ_INDEX message. The answer to a question is good for every read
 * that was asked before that question was. */
#ifndef RAFT_READ_H
#define RAFT_READ_H

#include "raft/raft.h"

struct raft_message;

struct raft_pending_read {
    uint64_t token; /* the caller's, or the asking server's id */
    raft_id from;   /* 0: the caller */
    uint64_t round; /* leader: its round; follower: its question; 0: none yet */
    raft_index index;
    raft_time_ms since;
};

/* First in, first out; the first `started` ones have a round. */
struct raft_reads {
    struct raft_pending_read *pending; /* live: pending[head] .. */
    uint32_t head;
    uint32_t count;
    uint32_t capacity;
    uint32_t started;
    uint64_t round;        /* the last one, as a leader or as a follower; never reused */
    raft_time_ms asked_at; /* follower: the last question */

    struct raft_read *done; /* for ready.reads */
    uint32_t done_count;
    uint32_t done_capacity;
    uint64_t *failed; /* for ready.failed_reads */
    uint32_t failed_count;
    uint32_t failed_capacity;
    bool is_lent;
};

void raft_reads_deinit(struct raft_reads *reads);
void raft_reads_settle(struct raft_reads *reads); /* empty what was lent by raft_take_ready() */

MUST_USE int raft_read_request(struct raft *raft, uint64_t token);
void raft_read_on_read_index(struct raft *raft, const struct raft_message *message);
void raft_read_on_read_index_response(struct raft *raft, const struct raft_message *message);
/* Start a round, or ask the leader, for what has arrived since the last call. */
void raft_read_start_round(struct raft *raft);
/* Leader: a peer confirmed a round. Follower: the leader lives, so lost questions are asked again.
 */
void raft_read_confirm(struct raft *raft);
void raft_read_ask_again(struct raft *raft);
/* Give up on all that wait: the leader or the term has changed. */
void raft_read_fail_all(struct raft *raft);
void raft_read_expire(struct raft *raft);
raft_time_ms raft_read_deadline(const struct raft *raft);

#endif
