/* members.h - sets of servers, and how a CONFIG entry carries one.
 *
 * Data of a CONFIG entry: version (1 byte: 1), count (1 byte), then for each member its id (8
 * bytes, little-endian) and flags (1 byte: bit 0 voter); ids ascending. What follows is the state
 * machine's own (names, addresses) and opaque here. */
#ifndef RAFT_MEMBERS_H
#define RAFT_MEMBERS_H

#include "base/bytes.h"
#include "base/err.h"
#include "raft/raft.h"

enum { RAFT_MEMBERS_ENCODED_MAX = 2 + 9 * RAFT_MEMBERS_MAX };

/* Whether ids ascend, none is 0, the count fits, and there is a voter (or nobody at all). */
bool raft_members_valid(const struct raft_members *members);
const struct raft_member *raft_members_find(const struct raft_members *members, raft_id id);
bool raft_members_has_voter(const struct raft_members *members, raft_id id);
uint32_t raft_members_voter_count(const struct raft_members *members);
bool raft_members_equal(const struct raft_members *a, const struct raft_members *b);

/* Insert, keeping the order, or change the vote of a member that is there. ERR_TOO_LARGE when full.
 */
MUST_USE int raft_members_put(struct raft_members *members, raft_id id, bool voter);
/* ERR_NOT_FOUND if it is not there. */
MUST_USE int raft_members_remove(struct raft_members *members, raft_id id);

/* Whether one change leads from one set to the other: at most one member added, removed or promoted
 * (nothing at all is fine: the opaque rest may have changed), no voter demoted, a voter left. Any
 * two such sets have overlapping majorities (thesis 4.1). */
bool raft_members_is_one_change(const struct raft_members *from, const struct raft_members *to);

/* A CONFIG entry's data: members and then rest. The caller owns the blob. */
struct blob *raft_members_encode(const struct raft_members *members, struct bytes rest);
/* Read it back; rest (may be NULL) is borrowed from data. ERR_MALFORMED. */
MUST_USE int raft_members_decode(struct bytes data, struct raft_members *members,
                                 struct bytes *rest);

#endif
