/* Exhaustive over small domains: the arithmetic is what everything else stands on. */
#include "tests/support/test.h"

#include "raft/quorum.h"
#include "raft/raft.h"

/* By definition: the largest value that more than half of the voters have reached. */
static uint64_t by_definition(const uint64_t *values, uint32_t count)
{
    uint64_t best = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t reached = 0;
        for (uint32_t k = 0; k < count; k++) {
            reached += values[k] >= values[i] ? 1 : 0;
        }
        if (2 * reached > count && values[i] > best) {
            best = values[i];
        }
    }
    return best;
}

static void test_value_is_what_a_majority_has_reached_for_all_small_inputs(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= RAFT_MEMBERS_MAX; count++) {
        uint32_t base = count <= 5 ? 5 : 3;
        uint64_t total = 1;
        for (uint32_t i = 0; i < count; i++) {
            total *= base;
        }
        for (uint64_t code = 0; code < total; code++) {
            uint64_t values[RAFT_MEMBERS_MAX];
            uint64_t rest = code;
            for (uint32_t i = 0; i < count; i++) {
                values[i] = rest % base;
                rest /= base;
            }
            assert_int_equal(raft_quorum_value(values, count), by_definition(values, count));
        }
    }
}

static void test_value_of_no_voters_is_0(void **state)
{
    (void)state;
    assert_int_equal(raft_quorum_value(NULL, 0), 0);
}

static void test_vote_is_won_by_more_than_half_and_lost_when_that_is_out_of_reach(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= RAFT_MEMBERS_MAX; count++) {
        for (uint32_t granted = 0; granted <= count; granted++) {
            for (uint32_t rejected = 0; granted + rejected <= count; rejected++) {
                enum raft_quorum_result expected = RAFT_QUORUM_PENDING;
                if (2 * granted > count) {
                    expected = RAFT_QUORUM_WON;
                } else if (2 * (count - rejected) <= count) {
                    expected = RAFT_QUORUM_LOST;
                }
                assert_int_equal(raft_quorum_vote(granted, rejected, count), expected);
            }
        }
    }
}

static void test_nobody_elects_nobody(void **state)
{
    (void)state;
    assert_int_equal(raft_quorum_vote(0, 0, 0), RAFT_QUORUM_PENDING);
    assert_int_equal(raft_quorum_size(0), 1);
}

static void test_any_two_majorities_meet(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= RAFT_MEMBERS_MAX; count++) {
        assert_true(2 * raft_quorum_size(count) > count);
        assert_true(2 * (raft_quorum_size(count) - 1) <= count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_is_what_a_majority_has_reached_for_all_small_inputs),
        cmocka_unit_test(test_value_of_no_voters_is_0),
        cmocka_unit_test(test_vote_is_won_by_more_than_half_and_lost_when_that_is_out_of_reach),
        cmocka_unit_test(test_nobody_elects_nobody),
        cmocka_unit_test(test_any_two_majorities_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
