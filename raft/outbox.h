/* outbox.h - messages that wait for the next raft_take_ready(). Bounded: what does not fit is
 * dropped, which the protocol takes for a loss on the network. */
#ifndef RAFT_OUTBOX_H
#define RAFT_OUTBOX_H

#include "raft/message.h"

struct raft_outbox {
    struct raft_message *messages;
    uint32_t count;
    uint32_t capacity;
    bool is_lent; /* given out by raft_take_ready(): emptied before the next use */
};

void raft_outbox_deinit(struct raft_outbox *outbox);
/* False if it was dropped. An acknowledgement replaces the one before it to the same peer. */
bool raft_outbox_add(struct raft_outbox *outbox, const struct raft_message *message);
/* Empty it if its messages were lent. */
void raft_outbox_settle(struct raft_outbox *outbox);

#endif
