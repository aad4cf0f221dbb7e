/* raft_chaos.h - random runs of a Raft cluster: first everything may fail and nothing may go wrong,
 * then everything is repaired and must work again. One seed, one run, always the same. */
#ifndef TESTS_SUPPORT_RAFT_CHAOS_H
#define TESTS_SUPPORT_RAFT_CHAOS_H

#include "tests/support/raft_cluster.h"

struct raft_chaos_result {
    char violation[256]; /* empty: none */
    uint64_t trace_hash; /* equal for equal seeds */
    uint64_t simulated_ms;
    uint64_t proposals;
    uint64_t reads_answered;
    uint32_t chosen_count;
    uint32_t crashes;
    uint32_t changes; /* of the membership, accepted */
    uint32_t installs;
    uint32_t terms;
};

void raft_chaos_run(uint64_t seed, uint32_t rounds, struct raft_chaos_result *result);

#endif
