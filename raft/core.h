/* core.h - the inside of struct raft, and what its files call in each other. Private to raft/. */
#ifndef RAFT_CORE_H
#define RAFT_CORE_H

#include "base/check.h"
#include "base/prng.h"
#include "raft/batches.h"
#include "raft/log.h"
#include "raft/members.h"
#include "raft/message.h"
#include "raft/outbox.h"
#include "raft/planted.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/raft.h"
#include "raft/read.h"

/* Members and those that are leaving. */
enum { RAFT_PEERS_MAX = 2 * RAFT_MEMBERS_MAX };

enum raft_vote { RAFT_VOTE_NONE, RAFT_VOTE_GRANTED, RAFT_VOTE_REJECTED };

struct raft {
    struct raft_options options;
    struct prng prng;
    raft_time_ms now;

    /* Figure 2, persistent state; log entries beyond `stable` and a dirty hard state are not
     * durable yet. Invariant: applied <= applying <= commit <= last; stable <= last. */
    raft_term term;
    raft_id vote;
    bool is_hard_state_dirty; /* term or vote differ from the last batch */
    raft_term durable_term;
    raft_id durable_vote;
    struct raft_log log;
    raft_index stable;
    raft_index unsaved; /* the first entry that is in no batch yet */
    bool is_snapshot_unsaved;
    struct raft_batches batches;
    bool has_lost_log;

    /* In force: the newest CONFIG entry's, at config_index; or the base's (config_index 0). */
    struct raft_members base_members;
    struct raft_members members;
    raft_index config_index;

    /* Figure 2, volatile state. */
    enum raft_role role;
    raft_id leader;
    raft_index commit;
    raft_index applying; /* handed out in ready.committed */
    raft_index applied;

    raft_time_ms election_at;        /* not leader: when to campaign */
    raft_time_ms heard_at;           /* from `leader` */
    uint8_t votes[RAFT_MEMBERS_MAX]; /* enum raft_vote, as in members; (pre-)candidate */

    /* Leader only. */
    raft_index term_start; /* its NOOP */
    struct raft_progress *peers;
    uint32_t peer_count;
    raft_time_ms heartbeat_at;
    raft_time_ms quorum_heard_at; /* a majority has answered since; may be older than the truth */
    uint64_t uncommitted_bytes;
    raft_id transfer_to; /* 0: none */
    bool transfer_sent;
    raft_time_ms transfer_until;

    struct raft_reads reads;
    struct raft_outbox outbox;
    struct raft_outbox outbox_durable;
    uint64_t messages_dropped;

    /* What ready points to. */
    struct raft_hard_state hard_state_out;
    struct raft_snapshot_meta snapshot_out;
};

/* raft.c */
void raft_send(struct raft *raft, struct raft_message message);
/* After everything that this server has said to have stored is stored (R1). */
void raft_send_durable(struct raft *raft, struct raft_message message);
bool raft_is_voter(const struct raft *raft);
void raft_commit_to(struct raft *raft, raft_index index);
/* Append to the log and take notice of a member set. */
void raft_append_entry(struct raft *raft, const struct raft_entry *entry);
bool raft_disk_is_stalled(const struct raft *raft);
bool raft_has_unsaved(const struct raft *raft); /* something that is in no batch yet */

/* role.c: the only places where the role changes. */
void raft_become_follower(struct raft *raft, raft_term term, raft_id leader);
void raft_become_pre_candidate(struct raft *raft);
void raft_become_candidate(struct raft *raft);
void raft_become_leader(struct raft *raft);
void raft_hear_leader(struct raft *raft, raft_id leader);
void raft_draw_election_timeout(struct raft *raft);

/* election.c */
void raft_election_start(struct raft *raft, bool is_transfer);
void raft_election_on_vote(struct raft *raft, const struct raft_message *message);
void raft_election_on_vote_response(struct raft *raft, const struct raft_message *message);
void raft_election_on_vote_durable(struct raft *raft);
/* Whether a leader is alive for all this server knows, so that candidates are ignored (R10). */
bool raft_election_is_shielded(const struct raft *raft);

/* append.c: the follower's side of replication. */
void raft_append_on_append(struct raft *raft, const struct raft_message *message);
void raft_append_on_heartbeat(struct raft *raft, const struct raft_message *message);
void raft_append_acknowledge(struct raft *raft, raft_id leader, raft_index match);

/* replication.c: the leader's side. */
struct raft_progress *raft_peer_find(struct raft *raft, raft_id id);
void raft_replication_fill(struct raft *raft);
void raft_replication_on_append_response(struct raft *raft, const struct raft_message *message);
void raft_replication_on_heartbeat_response(struct raft *raft, const struct raft_message *message);
void raft_replication_heartbeat(struct raft *raft, bool is_for_reads);
void raft_replication_advance_commit(struct raft *raft);
/* Of the values that voters have (this server's own is given), the one a majority has reached. */
enum raft_peer_value { RAFT_PEER_MATCH, RAFT_PEER_CONTACT, RAFT_PEER_ROUND };
uint64_t raft_replication_quorum(const struct raft *raft, enum raft_peer_value value, uint64_t own);

/* propose.c */
MUST_USE int raft_propose(struct raft *raft, const struct raft_entry *entries, uint32_t count);

/* membership.c */
MUST_USE int raft_membership_check_proposal(const struct raft *raft,
                                            const struct raft_entry *entry);
void raft_membership_on_appended(struct raft *raft, const struct raft_entry *entry);
void raft_membership_on_truncated(struct raft *raft);
bool raft_membership_may_campaign(const struct raft *raft);
raft_index raft_membership_lone_commit(const struct raft *raft, raft_index own);
void raft_membership_sync_peers(struct raft *raft);
void raft_membership_forget_leaving(struct raft *raft);
void raft_membership_on_committed(struct raft *raft);

/* snapshot.c */
void raft_snapshot_request(struct raft *raft, struct raft_progress *peer);
void raft_snapshot_on_install(struct raft *raft, const struct raft_message *message);
void raft_snapshot_on_sent(struct raft *raft, raft_id peer, raft_index index, bool ok);
void raft_snapshot_compact(struct raft *raft, raft_index upto);

/* transfer.c */
MUST_USE int raft_transfer_start(struct raft *raft, raft_id peer);
void raft_transfer_advance(struct raft *raft);
void raft_transfer_stop(struct raft *raft);
void raft_transfer_hand_over(struct raft *raft);
void raft_transfer_on_timeout_now(struct raft *raft, const struct raft_message *message);

#endif
