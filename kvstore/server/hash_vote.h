/* hash_vote.h - whose store is wrong, when members gave different hashes of the same revision.
 * Pure. The majority of all members (not of those who answered) is right; without one nobody knows.
 * Source: etcd's CompactHashCheck. */
#ifndef KVSTORE_SERVER_HASH_VOTE_H
#define KVSTORE_SERVER_HASH_VOTE_H

#include <stdbool.h>
#include <stdint.h>

struct hash_vote {
    uint64_t member;
    uint32_t hash;
};

/* Members to accuse into ret_accused (room for count of them), how many is returned. A single 0:
 * they differ, and it cannot be said who is wrong. */
uint32_t hash_vote_accuse(const struct hash_vote *votes, uint32_t count, uint32_t member_count,
                          uint64_t *ret_accused);

#endif
