#include "raft/outbox.h"

#include "base/check.h"
#include "base/mem.h"

void raft_outbox_deinit(struct raft_outbox *outbox)
{
    mem_free(outbox->messages);
    *outbox = (struct raft_outbox){0};
}

void raft_outbox_settle(struct raft_outbox *outbox)
{
    if (outbox->is_lent) {
        outbox->count = 0;
        outbox->is_lent = false;
    }
}

/* A burst of appends is answered once: the later acknowledgement says all that the earlier did. */
static bool supersedes(const struct raft_message *later, const struct raft_message *earlier)
{
    if (later->type != earlier->type || later->to != earlier->to || later->term != earlier->term) {
        return false;
    }
    if (later->type == RAFT_MESSAGE_APPEND_RESPONSE) {
        return !later->append_response.rejected && !earlier->append_response.rejected &&
               later->append_response.index >= earlier->append_response.index;
    }
    return later->type == RAFT_MESSAGE_HEARTBEAT_RESPONSE &&
           later->heartbeat_response.round >= earlier->heartbeat_response.round;
}

bool raft_outbox_add(struct raft_outbox *outbox, const struct raft_message *message)
{
    CHECK(!outbox->is_lent);
    if (outbox->count > 0 && supersedes(message, &outbox->messages[outbox->count - 1])) {
        outbox->messages[outbox->count - 1] = *message;
        return true;
    }
    if (outbox->count == RAFT_MESSAGES_MAX) {
        return false;
    }
    if (outbox->count == outbox->capacity) {
        outbox->capacity = outbox->capacity == 0 ? 32 : outbox->capacity * 2;
        outbox->messages =
            mem_reallocarray(outbox->messages, outbox->capacity, sizeof *outbox->messages);
    }
    outbox->messages[outbox->count++] = *message;
    return true;
}
