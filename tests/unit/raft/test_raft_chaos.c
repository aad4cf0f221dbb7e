/* Random runs by seed. `test_raft_chaos <first seed> <count> [rounds]` soaks by hand. */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/raft_chaos.h"

static void test_random_faults_never_break_safety_and_repair_brings_progress(void **state)
{
    (void)state;
    uint64_t chosen = 0;
    uint64_t reads = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct raft_chaos_result result;
        raft_chaos_run(seed, 300, &result);
        if (result.violation[0] != '\0') {
            fail_msg("seed %llu: %s", (unsigned long long)seed, result.violation);
        }
        chosen += result.chosen_count;
        reads += result.reads_answered;
    }
    assert_true(chosen > 5000); /* the runs do reach something */
    assert_true(reads > 500);
}

static void test_equal_seeds_make_equal_runs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct raft_chaos_result first;
        struct raft_chaos_result second;
        raft_chaos_run(seed, 200, &first);
        raft_chaos_run(seed, 200, &second);
        assert_int_equal(first.trace_hash, second.trace_hash);
        assert_int_equal(first.simulated_ms, second.simulated_ms);
    }
}

static int soak(uint64_t first, uint64_t count, uint32_t rounds)
{
    int failures = 0;
    struct raft_chaos_result total = {0};
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct raft_chaos_result result;
        raft_chaos_run(seed, rounds, &result);
        if (result.violation[0] != '\0') {
            printf("seed %llu: %s\n", (unsigned long long)seed, result.violation);
            failures++;
        }
        total.simulated_ms += result.simulated_ms;
        total.proposals += result.proposals;
        total.chosen_count += result.chosen_count;
        total.reads_answered += result.reads_answered;
        total.crashes += result.crashes;
        total.changes += result.changes;
        total.installs += result.installs;
        total.terms += result.terms;
    }
    printf("%llu seeds, %llu simulated s, %llu proposed, %u applied, %llu reads, %u crashes, "
           "%u changes, %u installs, %u terms, %d failures\n",
           (unsigned long long)count, (unsigned long long)total.simulated_ms / 1000,
           (unsigned long long)total.proposals, total.chosen_count,
           (unsigned long long)total.reads_answered, total.crashes, total.changes, total.installs,
           total.terms, failures);
    return failures == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc >= 3) {
        return soak(strtoull(argv[1], NULL, 0), strtoull(argv[2], NULL, 0),
                    argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) : 300);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_faults_never_break_safety_and_repair_brings_progress),
        cmocka_unit_test(test_equal_seeds_make_equal_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
