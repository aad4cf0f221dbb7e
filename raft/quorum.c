#include "raft/quorum.h"

#include "base/check.h"
#include "raft/raft.h"

uint32_t raft_quorum_size(uint32_t count)
{
    return count / 2 + 1;
}

uint64_t raft_quorum_value(const uint64_t *values, uint32_t count)
{
    CHECK(count <= RAFT_MEMBERS_MAX);
    if (count == 0) {
        return 0;
    }
    uint64_t descending[RAFT_MEMBERS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = i;
        while (place > 0 && descending[place - 1] < values[i]) {
            descending[place] = descending[place - 1];
            place--;
        }
        descending[place] = values[i];
    }
    return descending[raft_quorum_size(count) - 1];
}

enum raft_quorum_result raft_quorum_vote(uint32_t granted, uint32_t rejected, uint32_t count)
{
    CHECK(granted + rejected <= count);
    uint32_t needed = raft_quorum_size(count);
    if (granted >= needed) {
        return RAFT_QUORUM_WON;
    }
    return granted + (count - granted - rejected) < needed && count > 0 ? RAFT_QUORUM_LOST
                                                                        : RAFT_QUORUM_PENDING;
}
