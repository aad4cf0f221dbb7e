/* lone_start.h - what --force-new-cluster adds to a log: entries that make its owner the only
 * member. Pure.
 *
 * For a cluster that has lost its majority for good. Everything in the log is kept, also what was
 * not known to be committed: nobody else is left to disagree. The removed members may not run any
 * more; their ids never come back. */
#ifndef KVSTORE_NODE_LONE_START_H
#define KVSTORE_NODE_LONE_START_H

#include "raft/raft.h"

enum { LONE_START_ENTRIES_MAX = RAFT_MEMBERS_MAX };

struct lone_start {
    struct raft_entry entries[LONE_START_ENTRIES_MAX]; /* to be appended; owns their data */
    uint32_t count;                                    /* 0: it is alone already */
    struct raft_hard_state hard_state;                 /* to be stored with them */
};

/* restored has passed raft_restored_check. ERR_NOT_FOUND: self is not a member. */
MUST_USE int lone_start_make(const struct raft_restored *restored, raft_id self,
                             struct lone_start *ret_start);
void lone_start_deinit(struct lone_start *start);

#endif
