#include "raft/core.h"

/* A first entry is let in whatever its size, so that none can be refused for ever. */
static bool has_room(const struct raft *raft, uint64_t bytes)
{
    if (raft->uncommitted_bytes > 0 &&
        raft->uncommitted_bytes + bytes > raft->options.uncommitted_bytes_max) {
        return false;
    }
    return raft->log.count == 0 || raft->log.bytes + bytes <= raft->options.log_bytes_max;
}

/* All of them or none. */
int raft_propose(struct raft *raft, const struct raft_entry *entries, uint32_t count)
{
    if (raft->role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    if (raft->transfer_to != 0) {
        return ERR_BUSY;
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        CHECK(entries[i].type == RAFT_ENTRY_COMMAND || entries[i].type == RAFT_ENTRY_CONFIG);
        CHECK(entries[i].type == RAFT_ENTRY_COMMAND || count == 1);
        bytes += raft_entry_bytes(&entries[i]);
    }
    if (!has_room(raft, bytes)) {
        return ERR_BUSY;
    }
    if (count == 1 && entries[0].type == RAFT_ENTRY_CONFIG) {
        int rc = raft_membership_check_proposal(raft, &entries[0]);
        if (rc != 0) {
            return rc;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        struct raft_entry entry = entries[i];
        entry.at = (struct raft_position){raft_log_last_index(&raft->log) + 1, raft->term};
        raft_append_entry(raft, &entry);
    }
    return 0;
}
