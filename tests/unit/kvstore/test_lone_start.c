/* What --force-new-cluster appends to a log. */
#include "kvstore/node/lone_start.h"

#include "base/blob.h"
#include "kvstore/cluster/cluster.h"
#include "raft/members.h"
#include "tests/support/test.h"

static struct raft_restored restored_of(const struct raft_members *members)
{
    return (struct raft_restored){
        .hard_state = {.term = 7, .vote = 3, .commit = 90},
        .snapshot = {.last = {.index = 100, .term = 6}, .members = *members},
    };
}

static struct cluster_change change_of(const struct raft_entry *entry, struct raft_members *members)
{
    struct cluster_change change;
    struct bytes rest;
    assert_int_equal(entry->type, RAFT_ENTRY_CONFIG);
    assert_int_equal(raft_members_decode(blob_bytes(entry->data), members, &rest), 0);
    assert_int_equal(cluster_change_decode(rest, &change), 0);
    return change;
}

static void test_everybody_else_is_removed_one_by_one(void **state)
{
    (void)state;
    const struct raft_members members = {.count = 3, .member = {{1, true}, {2, true}, {3, false}}};
    struct raft_restored restored = restored_of(&members);
    struct lone_start start;
    assert_int_equal(lone_start_make(&restored, 2, &start), 0);
    assert_int_equal(start.count, 2);
    assert_int_equal(start.hard_state.term, 8);
    assert_int_equal(start.hard_state.vote, 0);
    assert_int_equal(start.hard_state.commit, 90);
    for (uint32_t i = 0; i < start.count; i++) {
        struct raft_members left;
        struct cluster_change change = change_of(&start.entries[i], &left);
        assert_int_equal(start.entries[i].at.index, 101 + i);
        assert_int_equal(start.entries[i].at.term, 8);
        assert_int_equal(change.kind, CLUSTER_REMOVE);
        assert_int_equal(change.member.id, i == 0 ? 1 : 3);
        assert_int_equal(left.count, 2 - i);
        assert_true(raft_members_has_voter(&left, 2));
        cluster_change_deinit(&change);
    }
    lone_start_deinit(&start);
}

static void test_a_learner_is_promoted_first(void **state)
{
    (void)state;
    const struct raft_members members = {.count = 2, .member = {{1, true}, {2, false}}};
    struct raft_restored restored = restored_of(&members);
    struct lone_start start;
    struct raft_members left;
    assert_int_equal(lone_start_make(&restored, 2, &start), 0);
    assert_int_equal(start.count, 2);
    struct cluster_change change = change_of(&start.entries[0], &left);
    assert_int_equal(change.kind, CLUSTER_PROMOTE);
    cluster_change_deinit(&change);
    change = change_of(&start.entries[1], &left);
    assert_int_equal(left.count, 1);
    assert_true(raft_members_has_voter(&left, 2));
    cluster_change_deinit(&change);
    lone_start_deinit(&start);
}

static void test_who_is_alone_changes_nothing_and_a_stranger_is_refused(void **state)
{
    (void)state;
    const struct raft_members members = {.count = 1, .member = {{5, true}}};
    struct raft_restored restored = restored_of(&members);
    struct lone_start start;
    assert_int_equal(lone_start_make(&restored, 5, &start), 0);
    assert_int_equal(start.count, 0);
    assert_int_equal(start.hard_state.vote, 3);
    assert_int_equal(lone_start_make(&restored, 6, &start), ERR_NOT_FOUND);
}

static void test_the_last_member_set_in_the_log_counts(void **state)
{
    (void)state;
    const struct raft_members members = {.count = 1, .member = {{1, true}}};
    const struct raft_members later = {.count = 2, .member = {{1, true}, {2, true}}};
    struct raft_restored restored = restored_of(&members);
    struct raft_entry entry = {.at = {.index = 101, .term = 9},
                               .type = RAFT_ENTRY_CONFIG,
                               .data = raft_members_encode(&later, (struct bytes){NULL, 0})};
    restored.entries = &entry;
    restored.entry_count = 1;
    struct lone_start start;
    assert_int_equal(lone_start_make(&restored, 1, &start), 0);
    assert_int_equal(start.count, 1);
    assert_int_equal(start.entries[0].at.index, 102);
    assert_int_equal(start.entries[0].at.term, 10);
    lone_start_deinit(&start);
    blob_unref(entry.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everybody_else_is_removed_one_by_one),
        cmocka_unit_test(test_a_learner_is_promoted_first),
        cmocka_unit_test(test_who_is_alone_changes_nothing_and_a_stranger_is_refused),
        cmocka_unit_test(test_the_last_member_set_in_the_log_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
