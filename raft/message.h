/* message.h - what Raft servers say to each other.
 *
 * In every message `term` is the sender's current term, but for two: a PRE_VOTE carries the term
 * the sender would campaign in, and so does the PRE_VOTE_RESPONSE that grants it (R9). */
#ifndef RAFT_MESSAGE_H
#define RAFT_MESSAGE_H

#include "base/err.h"
#include "raft/raft.h"

/* The numbers are part of the wire format (raft/message_codec.h): never reuse one. */
#define RAFT_MESSAGE_MAP(X)                                                                        \
    X(PRE_VOTE, 1, "pre-vote")                                                                     \
    X(PRE_VOTE_RESPONSE, 2, "pre-vote-response")                                                   \
    X(VOTE, 3, "vote")                                                                             \
    X(VOTE_RESPONSE, 4, "vote-response")                                                           \
    X(APPEND, 5, "append")                                                                         \
    X(APPEND_RESPONSE, 6, "append-response")                                                       \
    X(HEARTBEAT, 7, "heartbeat")                                                                   \
    X(HEARTBEAT_RESPONSE, 8, "heartbeat-response")                                                 \
    X(INSTALL_SNAPSHOT, 9, "install-snapshot")                                                     \
    X(READ_INDEX, 10, "read-index")                                                                \
    X(READ_INDEX_RESPONSE, 11, "read-index-response")                                              \
    X(TIMEOUT_NOW, 12, "timeout-now")

enum raft_message_type {
#define X(name, number, text) RAFT_MESSAGE_##name = (number),
    RAFT_MESSAGE_MAP(X)
#undef X
};

struct raft_message {
    enum raft_message_type type;
    raft_id from;
    raft_id to;
    raft_term term;
    union {
        struct {
            struct raft_position last; /* of the candidate's log */
            bool is_transfer; /* the leader asked for it: do not shield that leader (R10) */
        } vote;               /* PRE_VOTE, VOTE */
        struct {
            bool granted;
        } vote_response; /* PRE_VOTE_RESPONSE, VOTE_RESPONSE */
        struct {
            struct raft_position previous; /* of the entry before entries[0] */
            raft_index commit;
            const struct raft_entry *entries; /* borrowed */
            uint32_t count;
        } append;
        struct {
            bool rejected;
            raft_index index;          /* rejected: previous.index of the append; else: the match */
            struct raft_position hint; /* rejected: where to try next (R20) */
        } append_response;             /* also the answer to INSTALL_SNAPSHOT */
        struct {
            raft_index commit; /* at most what the receiver has acknowledged */
            uint64_t round;    /* of read confirmation, counted by the leader (R26) */
        } heartbeat;
        struct {
            uint64_t round; /* as received */
        } heartbeat_response;
        struct {
            struct raft_snapshot_meta meta;
        } install_snapshot;
        struct {
            uint64_t id;      /* made by the asking server, unique over its restarts */
            raft_index index; /* READ_INDEX_RESPONSE; 0: refused */
        } read_index;         /* READ_INDEX, READ_INDEX_RESPONSE */
    };
};

const char *raft_message_type_name(enum raft_message_type type); /* "vote"; "?" if unknown */

/* Whether a message makes sense by itself: known type, addressed, entries without gaps and with
 * terms that fit, member sets that decode. Everything from a peer passes here before raft_step().
 * 0, or ERR_MALFORMED with a text. */
MUST_USE int raft_message_check(const struct raft_message *message, struct err *err);

#endif
