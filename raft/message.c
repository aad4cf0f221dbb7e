#include "raft/message.h"

#include "raft/members.h"

const char *raft_message_type_name(enum raft_message_type type)
{
    switch (type) {
#define X(name, number, text)                                                                      \
    case RAFT_MESSAGE_##name:                                                                      \
        return text;
        RAFT_MESSAGE_MAP(X)
#undef X
    }
    return "?";
}

static int malformed(struct err *err, const struct raft_message *message, const char *why)
{
    return err_set(err, ERR_MALFORMED, "%s message from %llx: %s",
                   raft_message_type_name(message->type), (unsigned long long)message->from, why);
}

/* Index 0 and term 0 go together: both mean "before the log". */
static bool is_position(struct raft_position position, raft_term term)
{
    return (position.index == 0) == (position.term == 0) && position.term <= term &&
           position.index < UINT64_MAX / 2;
}

static int check_entries(const struct raft_message *message, struct err *err)
{
    if (message->append.count > RAFT_APPEND_ENTRIES_MAX) {
        return malformed(err, message, "too many entries");
    }
    struct raft_position before = message->append.previous;
    for (uint32_t i = 0; i < message->append.count; i++) {
        const struct raft_entry *entry = &message->append.entries[i];
        if (entry->at.index != before.index + 1 || entry->at.term < before.term ||
            entry->at.term == 0 || entry->at.term > message->term) {
            return malformed(err, message, "entries with a gap or of a wrong term");
        }
        if (entry->type < RAFT_ENTRY_COMMAND || entry->type > RAFT_ENTRY_NOOP) {
            return malformed(err, message, "entry of an unknown type");
        }
        struct raft_members members;
        if (entry->type == RAFT_ENTRY_CONFIG &&
            (raft_members_decode(blob_bytes(entry->data), &members, NULL) != 0 ||
             members.count == 0)) {
            return malformed(err, message, "entry with a bad member set");
        }
        before = entry->at;
    }
    return 0;
}

static int check_payload(const struct raft_message *message, struct err *err)
{
    const struct raft_snapshot_meta *meta = &message->install_snapshot.meta;
    switch (message->type) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        if (!is_position(message->vote.last, message->term)) {
            return malformed(err, message, "last position");
        }
        return 0;
    case RAFT_MESSAGE_APPEND:
        if (!is_position(message->append.previous, message->term)) {
            return malformed(err, message, "previous position");
        }
        return check_entries(message, err);
    case RAFT_MESSAGE_APPEND_RESPONSE:
        if (message->append_response.rejected &&
            !is_position(message->append_response.hint, UINT64_MAX)) {
            return malformed(err, message, "hint");
        }
        return 0;
    case RAFT_MESSAGE_INSTALL_SNAPSHOT:
        if (!is_position(meta->last, message->term) || meta->last.index == 0) {
            return malformed(err, message, "snapshot position");
        }
        if (!raft_members_valid(&meta->members) || meta->members.count == 0) {
            return malformed(err, message, "snapshot member set");
        }
        return 0;
    case RAFT_MESSAGE_PRE_VOTE_RESPONSE:
    case RAFT_MESSAGE_VOTE_RESPONSE:
    case RAFT_MESSAGE_HEARTBEAT:
    case RAFT_MESSAGE_HEARTBEAT_RESPONSE:
    case RAFT_MESSAGE_READ_INDEX:
    case RAFT_MESSAGE_READ_INDEX_RESPONSE:
    case RAFT_MESSAGE_TIMEOUT_NOW:
        return 0;
    }
    return malformed(err, message, "unknown type");
}

int raft_message_check(const struct raft_message *message, struct err *err)
{
    if (message->from == 0 || message->to == 0 || message->from == message->to) {
        return malformed(err, message, "addresses");
    }
    if (message->term == 0 || message->term >= UINT64_MAX / 2) {
        return malformed(err, message, "term");
    }
    return check_payload(message, err);
}
