/* quorum.h - majority arithmetic over at most RAFT_MEMBERS_MAX voters. Pure functions of numbers.
 */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include <stdint.h>

enum raft_quorum_result { RAFT_QUORUM_PENDING, RAFT_QUORUM_WON, RAFT_QUORUM_LOST };

/* Voters that make a majority of `count`; 1 for none, so that nothing is ever decided by nobody. */
uint32_t raft_quorum_size(uint32_t count);

/* The largest value that a majority of the voters has reached. 0 without voters. */
uint64_t raft_quorum_value(const uint64_t *values, uint32_t count);

/* Outcome of an election among `count` voters, granted and rejected of which have answered. */
enum raft_quorum_result raft_quorum_vote(uint32_t granted, uint32_t rejected, uint32_t count);

#endif
