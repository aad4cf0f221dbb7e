/* progress.h - what a leader knows about one peer, and all its transitions.
 *
 *            reject, unreachable
 *      +-----------------------------+
 *      v                             |
 *    PROBE ------ ack ---------> REPLICATE
 *      |  ^                          |
 *      |  | stream ended, or ack     | entries are gone
 *      v  |                          |
 *    SNAPSHOT <----------------------+   (through PROBE)
 *
 * PROBE: one append at a time, until the place where the logs agree is known. REPLICATE: next runs
 * ahead of match, by at most a window of messages and bytes. SNAPSHOT: nothing but heartbeats. */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft/raft.h"

struct raft_inflight {
    raft_index last;
    uint64_t bytes;
};

struct raft_progress {
    raft_id id;
    bool voter;
    bool leaving; /* removed from the members; gets the entry that says so, and counts nowhere */
    enum raft_peer_state state;
    raft_index match; /* durable there, by its own word (R19) */
    raft_index next;  /* the next entry to send; match < next */
    raft_index commit_sent;
    raft_index snapshot_index; /* SNAPSHOT: where the log starts if the stream arrives */
    bool has_snapshot_failed;  /* no other one before a heartbeat is answered */
    bool probe_sent;           /* PROBE: an answer or a heartbeat's answer is awaited */
    bool wants_append;         /* send one even if it is empty or the window is full */
    bool is_beat_due;          /* a heartbeat went out, and no answer has come since */
    bool has_contact;
    raft_time_ms contact_at;
    raft_time_ms leave_until; /* leaving: forgotten then at the latest */
    raft_index leave_index;   /* leaving: the CONFIG entry that removed it */
    uint64_t round_acked;     /* highest read round it has confirmed */
    uint32_t inflight_head;   /* ring: oldest first */
    uint32_t inflight_count;
    uint64_t inflight_bytes;
    struct raft_inflight inflight[RAFT_INFLIGHT_MAX];
};

void raft_progress_init(struct raft_progress *progress, struct raft_member member, raft_index next,
                        raft_time_ms now);
/* Whether an append may be sent now; bytes_max is the window's size. */
bool raft_progress_can_send(const struct raft_progress *progress, uint64_t bytes_max);
/* An append of `count` entries from next on has been sent. */
void raft_progress_on_sent(struct raft_progress *progress, uint32_t count, uint64_t bytes,
                           raft_index commit);
/* The peer's log is durable and agrees up to match. True if that is news. */
bool raft_progress_on_ack(struct raft_progress *progress, raft_index match);
/* The append after `rejected` did not fit; retry after `next_hint`. False if the news is stale. */
bool raft_progress_on_reject(struct raft_progress *progress, raft_index rejected,
                             raft_index next_hint);
/* It answered a heartbeat: whatever was sent before may be lost (R22). Once for each beat of the
 * timer, not for the heartbeats of reads. */
void raft_progress_on_heartbeat(struct raft_progress *progress, raft_index last);
void raft_progress_on_unreachable(struct raft_progress *progress);
/* Entries it needs are gone: wait for a snapshot that ends at index. */
void raft_progress_start_snapshot(struct raft_progress *progress, raft_index index);
void raft_progress_end_snapshot(struct raft_progress *progress, raft_index index, bool ok);
void raft_progress_check(const struct raft_progress *progress, raft_index last);

#endif
