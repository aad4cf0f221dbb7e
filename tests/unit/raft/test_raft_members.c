#include "tests/support/test.h"

#include "base/prng.h"
#include "raft/members.h"

/* "1 2 3L" */
static struct raft_members make(const char *text)
{
    struct raft_members members = {0};
    for (; *text != '\0'; text++) {
        if (*text >= '1' && *text <= '9') {
            assert_int_equal(raft_members_put(&members, (raft_id)(*text - '0'), text[1] != 'L'), 0);
        }
    }
    return members;
}

static void test_put_keeps_the_order_and_changes_a_vote(void **state)
{
    (void)state;
    struct raft_members members = make("5 1 3L");
    assert_int_equal(members.count, 3);
    assert_int_equal(members.member[0].id, 1);
    assert_int_equal(members.member[2].id, 5);
    assert_false(raft_members_has_voter(&members, 3));
    assert_int_equal(raft_members_put(&members, 3, true), 0);
    assert_true(raft_members_has_voter(&members, 3));
    assert_int_equal(members.count, 3);
    assert_true(raft_members_valid(&members));
}

static void test_put_refuses_more_than_the_limit(void **state)
{
    (void)state;
    struct raft_members members = make("1 2 3 4 5 6 7 8 9");
    assert_int_equal(raft_members_put(&members, 10, false), ERR_TOO_LARGE);
    assert_int_equal(members.count, 9);
}

static void test_remove_closes_the_gap(void **state)
{
    (void)state;
    struct raft_members members = make("1 2 3");
    assert_int_equal(raft_members_remove(&members, 2), 0);
    assert_int_equal(members.count, 2);
    assert_int_equal(members.member[1].id, 3);
    assert_int_equal(raft_members_remove(&members, 2), ERR_NOT_FOUND);
}

static void test_one_change_is_one_server(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
        bool is_one;
    } cases[] = {
        {"1 2 3", "1 2 3", true},
        {"1 2 3", "1 2 3 4", true},
        {"1 2 3", "1 2 3 4L", true},
        {"1 2 3L", "1 2 3", true},
        {"1 2 3", "1 2", true},
        {"1 2L", "1", true},
        {"1 2 3", "1 2 3L", false},
        {"1 2 3", "1 2 4", false},
        {"1 2 3", "1 2 3 4 5", false},
        {"1 2 3 4", "1 2", false},
        {"1 2L 3L", "1 2 3", false},
        {"1 2L", "1 2 3L", false},
        {"1", "", false},
        {"", "1", true},
        {"1 2L", "2L", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raft_members from = make(cases[i].from);
        struct raft_members to = make(cases[i].to);
        assert_int_equal(raft_members_is_one_change(&from, &to), cases[i].is_one);
    }
}

/* All sets of up to five servers, absent, learner or voter: after one change every majority of the
 * one set meets every majority of the other. */
static void test_majorities_of_sets_one_change_apart_always_meet(void **state)
{
    (void)state;
    enum { SERVERS = 5, SETS = 243 };
    uint32_t pairs = 0;
    for (uint32_t a = 0; a < SETS; a++) {
        for (uint32_t b = 0; b < SETS; b++) {
            struct raft_members sets[2] = {{0}, {0}};
            uint32_t codes[2] = {a, b};
            uint32_t voters[2] = {0, 0};
            for (int s = 0; s < 2; s++) {
                for (uint32_t i = 0; i < SERVERS; i++, codes[s] /= 3) {
                    if (codes[s] % 3 == 0) {
                        continue;
                    }
                    bool voter = codes[s] % 3 == 2;
                    assert_int_equal(raft_members_put(&sets[s], i + 1, voter), 0);
                    voters[s] |= voter ? 1U << i : 0;
                }
            }
            if (voters[0] == 0 || !raft_members_is_one_change(&sets[0], &sets[1])) {
                continue;
            }
            pairs++;
            for (uint32_t p = 0; p < 32; p++) {
                for (uint32_t q = 0; q < 32; q++) {
                    bool p_wins =
                        2 * __builtin_popcount(p & voters[0]) > __builtin_popcount(voters[0]);
                    bool q_wins =
                        2 * __builtin_popcount(q & voters[1]) > __builtin_popcount(voters[1]);
                    if (p_wins && q_wins) {
                        assert_true((p & voters[0] & q & voters[1]) != 0);
                    }
                }
            }
        }
    }
    assert_true(pairs > 1000);
}

static void test_a_set_survives_encoding_with_its_rest(void **state)
{
    (void)state;
    struct raft_members members = make("1 4L 9");
    struct blob *blob = raft_members_encode(&members, BYTES_LITERAL("names and urls"));
    struct raft_members back;
    struct bytes rest;
    assert_int_equal(raft_members_decode(blob_bytes(blob), &back, &rest), 0);
    assert_true(raft_members_equal(&members, &back));
    assert_true(bytes_equal(rest, BYTES_LITERAL("names and urls")));
    blob_unref(blob);
}

static void test_every_cut_of_an_encoded_set_is_refused(void **state)
{
    (void)state;
    struct raft_members members = make("1 4L 9");
    struct blob *blob = raft_members_encode(&members, (struct bytes){NULL, 0});
    struct raft_members back;
    for (size_t size = 0; size < blob->size; size++) {
        assert_int_equal(raft_members_decode(bytes_make(blob->data, size), &back, NULL),
                         ERR_MALFORMED);
    }
    blob_unref(blob);
}

static void test_sets_without_order_voters_or_with_wild_flags_are_refused(void **state)
{
    (void)state;
    static const uint8_t bad[][20] = {
        {2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1},                            /* version */
        {1, 10},                                                      /* too many */
        {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1},                            /* id 0 */
        {1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0},                            /* no voter */
        {1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2},                            /* flags */
        {1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1}, /* order */
        {1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1}, /* twice */
    };
    struct raft_members back;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(raft_members_decode(bytes_make(bad[i], sizeof bad[i]), &back, NULL),
                         ERR_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_keeps_the_order_and_changes_a_vote),
        cmocka_unit_test(test_put_refuses_more_than_the_limit),
        cmocka_unit_test(test_remove_closes_the_gap),
        cmocka_unit_test(test_one_change_is_one_server),
        cmocka_unit_test(test_majorities_of_sets_one_change_apart_always_meet),
        cmocka_unit_test(test_a_set_survives_encoding_with_its_rest),
        cmocka_unit_test(test_every_cut_of_an_encoded_set_is_refused),
        cmocka_unit_test(test_sets_without_order_voters_or_with_wild_flags_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
