#include "raft/members.h"
#include "tests/support/raft_cluster.h"

static void trace_position(struct buf *out, struct raft_position at)
{
    buf_append_format(out, "%llu/%llu", (unsigned long long)at.index, (unsigned long long)at.term);
}

static void trace_members(struct buf *out, const struct raft_members *members)
{
    buf_append_text(out, "{");
    for (uint32_t i = 0; i < members->count; i++) {
        buf_append_format(out, "%s%llu%s", i == 0 ? "" : " ",
                          (unsigned long long)members->member[i].id,
                          members->member[i].voter ? "" : "L");
    }
    buf_append_text(out, "}");
}

void raft_trace_entries(struct buf *out, const struct raft_entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_entry *entry = &entries[i];
        buf_append_text(out, " ");
        trace_position(out, entry->at);
        if (entry->type == RAFT_ENTRY_NOOP) {
            buf_append_text(out, ":noop");
        } else if (entry->type == RAFT_ENTRY_CONFIG) {
            struct raft_members members = {0};
            if (raft_members_decode(blob_bytes(entry->data), &members, NULL) == 0) {
                buf_append_text(out, ":");
                trace_members(out, &members);
            }
        } else {
            buf_append_text(out, ":");
            buf_append_bytes(out, blob_bytes(entry->data));
        }
    }
}

static void trace_payload(struct buf *out, const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        buf_append_text(out, " last ");
        trace_position(out, message->vote.last);
        buf_append_text(out, message->vote.is_transfer ? " transfer" : "");
        return;
    case RAFT_MESSAGE_PRE_VOTE_RESPONSE:
    case RAFT_MESSAGE_VOTE_RESPONSE:
        buf_append_text(out, message->vote_response.granted ? " granted" : " rejected");
        return;
    case RAFT_MESSAGE_APPEND:
        buf_append_text(out, " after ");
        trace_position(out, message->append.previous);
        buf_append_format(out, " commit %llu", (unsigned long long)message->append.commit);
        raft_trace_entries(out, message->append.entries, message->append.count);
        return;
    case RAFT_MESSAGE_APPEND_RESPONSE:
        if (message->append_response.rejected) {
            buf_append_format(out, " rejected %llu hint ",
                              (unsigned long long)message->append_response.index);
            trace_position(out, message->append_response.hint);
        } else {
            buf_append_format(out, " match %llu",
                              (unsigned long long)message->append_response.index);
        }
        return;
    case RAFT_MESSAGE_HEARTBEAT:
        buf_append_format(out, " commit %llu", (unsigned long long)message->heartbeat.commit);
        return;
    case RAFT_MESSAGE_INSTALL_SNAPSHOT:
        buf_append_text(out, " ");
        trace_position(out, message->install_snapshot.meta.last);
        buf_append_text(out, " ");
        trace_members(out, &message->install_snapshot.meta.members);
        return;
    case RAFT_MESSAGE_READ_INDEX_RESPONSE:
        buf_append_format(out, " index %llu", (unsigned long long)message->read_index.index);
        return;
    case RAFT_MESSAGE_HEARTBEAT_RESPONSE:
    case RAFT_MESSAGE_READ_INDEX:
    case RAFT_MESSAGE_TIMEOUT_NOW:
        return;
    }
}

void raft_trace_message(struct buf *out, const struct raft_message *message)
{
    buf_append_format(out, "%llu -> %llu %s term %llu", (unsigned long long)message->from,
                      (unsigned long long)message->to, raft_message_type_name(message->type),
                      (unsigned long long)message->term);
    trace_payload(out, message);
}

void raft_trace_status(struct buf *out, const struct raft *raft)
{
    static const char *const roles[] = {"follower", "pre-candidate", "candidate", "leader"};
    struct raft_status status;
    raft_get_status(raft, &status);
    buf_append_format(out, "%llu %s term %llu leader %llu last ", (unsigned long long)status.id,
                      roles[status.role], (unsigned long long)status.term,
                      (unsigned long long)status.leader);
    trace_position(out, status.last);
    buf_append_format(out, " commit %llu applied %llu members ", (unsigned long long)status.commit,
                      (unsigned long long)status.applied);
    trace_members(out, raft_members(raft));
}
