#include "kvstore/server/hash_vote.h"

static uint32_t count_of(const struct hash_vote *votes, uint32_t count, uint32_t hash)
{
    uint32_t same = 0;
    for (uint32_t i = 0; i < count; i++) {
        same += votes[i].hash == hash ? 1 : 0;
    }
    return same;
}

uint32_t hash_vote_accuse(const struct hash_vote *votes, uint32_t count, uint32_t member_count,
                          uint64_t *ret_accused)
{
    if (count == 0 || count_of(votes, count, votes[0].hash) == count) {
        return 0;
    }
    uint32_t quorum = member_count / 2 + 1;
    for (uint32_t i = 0; i < count; i++) {
        if (count_of(votes, count, votes[i].hash) < quorum) {
            continue;
        }
        uint32_t accused = 0;
        for (uint32_t j = 0; j < count; j++) {
            if (votes[j].hash != votes[i].hash) {
                ret_accused[accused++] = votes[j].member;
            }
        }
        return accused;
    }
    ret_accused[0] = 0;
    return 1;
}
