/* raft_solo.h - one Raft core and a test that plays the world: it sends messages, keeps what comes
 * out, and decides when the disk is done. */
#ifndef TESTS_SUPPORT_RAFT_SOLO_H
#define TESTS_SUPPORT_RAFT_SOLO_H

#include "raft/message.h"
#include "raft/raft.h"

enum { SOLO_SENT_MAX = 256, SOLO_ENTRIES_MAX = 1024 };

struct raft_solo {
    struct raft *raft;
    raft_time_ms now;
    bool is_disk_held; /* batches wait for raft_solo_persist() */

    struct raft_message sent[SOLO_SENT_MAX]; /* in order, without those that were taken */
    struct raft_message taken;               /* the last one */
    uint32_t sent_count;
    struct raft_message waiting[SOLO_SENT_MAX]; /* for the disk */
    uint32_t waiting_count;
    struct raft_entry copied[SOLO_ENTRIES_MAX]; /* entries of sent messages */
    uint32_t copied_count;

    uint64_t sequence; /* of the last batch */
    uint32_t batch_count;
    struct raft_hard_state hard_state; /* of the last batch that had one */
    struct raft_snapshot_meta installed;
    uint32_t install_count;
    raft_index written_from; /* entries of the last batch that had any */
    raft_index written_to;
    raft_index applied;
    struct raft_read reads[64];
    uint32_t read_count;
    uint64_t failed[64];
    uint32_t failed_count;
};

/* Server 1 of `voters` voters, with a log of entries of these terms (0 ends them) from index 1 on.
 */
struct raft_solo *raft_solo_new(uint32_t voters, const raft_term *terms, raft_term term,
                                raft_index commit);
struct raft_solo *raft_solo_new_from(const struct raft_options *options,
                                     const struct raft_restored *restored);
void raft_solo_free(struct raft_solo *solo);

int raft_solo_step(struct raft_solo *solo, struct raft_event event);
/* `to` is filled in; the message must pass raft_message_check(). */
void raft_solo_receive(struct raft_solo *solo, struct raft_message message);
/* An append from `from`: entries of these terms (0 ends them) after previous. */
void raft_solo_append(struct raft_solo *solo, raft_id from, raft_term term,
                      struct raft_position previous, const raft_term *terms, raft_index commit);
void raft_solo_ack(struct raft_solo *solo, raft_id from, raft_index match);
void raft_solo_tick(struct raft_solo *solo); /* let its deadline pass */
void raft_solo_persist(struct raft_solo *solo);
int raft_solo_propose(struct raft_solo *solo, const char *text);
/* Win an election among `voters`; forgets what was sent for it but the first appends. */
void raft_solo_lead(struct raft_solo *solo, uint32_t voters);

/* The first message of this type to that server (0: to any) that was sent and not yet taken; NULL
 * if there is none. Valid until the next one is taken. */
const struct raft_message *raft_solo_take(struct raft_solo *solo, enum raft_message_type type,
                                          raft_id to);
void raft_solo_forget(struct raft_solo *solo); /* all that was sent */

raft_term raft_solo_term_at(const struct raft_solo *solo, raft_index index); /* 0: no entry */

#endif
