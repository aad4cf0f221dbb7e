/* Who is wrong when hashes differ. */
#include "kvstore/server/hash_vote.h"

#include "tests/support/test.h"

static uint32_t accuse(const struct hash_vote *votes, uint32_t count, uint32_t members,
                       uint64_t *accused)
{
    return hash_vote_accuse(votes, count, members, accused);
}

static void test_equal_hashes_accuse_nobody(void **state)
{
    (void)state;
    uint64_t accused[3];
    const struct hash_vote votes[] = {{1, 7}, {2, 7}, {3, 7}};
    assert_int_equal(accuse(votes, 3, 3, accused), 0);
    assert_int_equal(accuse(votes, 1, 3, accused), 0);
    assert_int_equal(accuse(votes, 0, 3, accused), 0);
}

static void test_the_minority_is_accused_even_if_it_leads(void **state)
{
    (void)state;
    uint64_t accused[5];
    const struct hash_vote follower[] = {{1, 7}, {2, 8}, {3, 7}};
    assert_int_equal(accuse(follower, 3, 3, accused), 1);
    assert_int_equal(accused[0], 2);
    const struct hash_vote leader[] = {{1, 9}, {2, 8}, {3, 8}};
    assert_int_equal(accuse(leader, 3, 3, accused), 1);
    assert_int_equal(accused[0], 1);
    const struct hash_vote two[] = {{1, 9}, {2, 8}, {3, 8}, {4, 7}, {5, 8}};
    assert_int_equal(accuse(two, 5, 5, accused), 2);
    assert_int_equal(accused[0], 1);
    assert_int_equal(accused[1], 4);
}

static void test_without_a_majority_of_all_members_nobody_can_be_named(void **state)
{
    (void)state;
    uint64_t accused[5];
    const struct hash_vote pair[] = {{1, 7}, {2, 8}};
    assert_int_equal(accuse(pair, 2, 3, accused), 1); /* one of three is down */
    assert_int_equal(accused[0], 0);
    const struct hash_vote all[] = {{1, 7}, {2, 8}, {3, 9}};
    assert_int_equal(accuse(all, 3, 3, accused), 1);
    assert_int_equal(accused[0], 0);
    const struct hash_vote some[] = {{1, 7}, {2, 8}, {3, 7}};
    assert_int_equal(accuse(some, 3, 5, accused), 1); /* two of five are not the majority */
    assert_int_equal(accused[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_hashes_accuse_nobody),
        cmocka_unit_test(test_the_minority_is_accused_even_if_it_leads),
        cmocka_unit_test(test_without_a_majority_of_all_members_nobody_can_be_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
