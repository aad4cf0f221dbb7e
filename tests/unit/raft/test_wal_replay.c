/* What records may follow each other, and which end of a log is believed: the rules one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/wal/wal_replay.h"

static int set_up(void **state)
{
    static struct wal_replay replay;
    wal_replay_init(&replay);
    *state = &replay;
    return 0;
}

static int tear_down(void **state)
{
    wal_replay_deinit(*state);
    return 0;
}

static int entry(struct wal_replay *replay, raft_index index, raft_term term)
{
    const struct wal_record record = {
        .type = WAL_RECORD_ENTRY,
        .entry = {.at = {index, term}, .type = RAFT_ENTRY_COMMAND, .data = BYTES_LITERAL("data")}};
    struct err err;
    return wal_replay_record(replay, &record, &err);
}

static int hard_state(struct wal_replay *replay, raft_term term, raft_id vote, raft_index commit)
{
    const struct wal_record record = {.type = WAL_RECORD_HARD_STATE,
                                      .hard_state = {term, vote, commit}};
    struct err err;
    return wal_replay_record(replay, &record, &err);
}

static int snapshot(struct wal_replay *replay, raft_index index, raft_term term)
{
    const struct wal_record record = {.type = WAL_RECORD_SNAPSHOT,
                                      .snapshot = {.last = {index, term}}};
    struct err err;
    return wal_replay_record(replay, &record, &err);
}

static int metadata(struct wal_replay *replay, uint64_t cluster, uint64_t member, uint64_t start)
{
    const struct wal_record record = {.type = WAL_RECORD_METADATA,
                                      .metadata = {cluster, member, start}};
    struct err err;
    return wal_replay_record(replay, &record, &err);
}

static int head(struct wal_replay *replay, uint32_t version, uint32_t alignment)
{
    const struct wal_record record = {.type = WAL_RECORD_SEGMENT,
                                      .segment = {version, alignment, 1}};
    struct err err;
    return wal_replay_record(replay, &record, &err);
}

static int finish(struct wal_replay *replay, raft_index applied)
{
    struct err err;
    return wal_replay_finish(replay, applied, NULL, &err);
}

static void test_entries_must_follow_each_other(void **state)
{
    assert_int_equal(entry(*state, 1, 1), 0);
    assert_int_equal(entry(*state, 2, 1), 0);
    assert_int_equal(entry(*state, 4, 1), ERR_CORRUPT);
    assert_int_equal(entry(*state, 3, 0), ERR_CORRUPT);
    assert_int_equal(entry(*state, 3, 2), 0);
    assert_int_equal(wal_replay_last_index(*state), 3);
}

static void test_an_index_that_goes_back_replaces_what_is_not_committed(void **state)
{
    struct wal_replay *replay = *state;
    for (raft_index i = 1; i <= 5; i++) {
        assert_int_equal(entry(replay, i, 1), 0);
    }
    assert_int_equal(hard_state(replay, 1, 0, 3), 0);
    assert_int_equal(entry(replay, 3, 2), ERR_CORRUPT);
    assert_int_equal(entry(replay, 4, 2), 0);
    assert_int_equal(wal_replay_last_index(replay), 4);
    assert_int_equal(replay->entries[3].at.term, 2);
    assert_int_equal(finish(replay, 3), 0);
}

static void test_term_vote_and_commit_never_go_back(void **state)
{
    assert_int_equal(hard_state(*state, 2, 0, 5), 0);
    assert_int_equal(hard_state(*state, 1, 0, 5), ERR_CORRUPT);
    assert_int_equal(hard_state(*state, 2, 0, 4), ERR_CORRUPT);
    assert_int_equal(hard_state(*state, 2, 7, 5), 0);
    assert_int_equal(hard_state(*state, 2, 8, 5), ERR_CORRUPT); /* a second vote */
    assert_int_equal(hard_state(*state, 2, 0, 5), ERR_CORRUPT); /* a forgotten one */
    assert_int_equal(hard_state(*state, 3, 8, 5), 0);
}

static void test_a_snapshot_keeps_what_follows_it_only_if_the_log_agrees(void **state)
{
    struct wal_replay *replay = *state;
    for (raft_index i = 1; i <= 5; i++) {
        assert_int_equal(entry(replay, i, 2), 0);
    }
    assert_int_equal(snapshot(replay, 3, 2), 0);
    assert_int_equal(wal_replay_last_index(replay), 5);
    assert_int_equal(snapshot(replay, 4, 3), 0); /* another history: the rest is void */
    assert_int_equal(wal_replay_last_index(replay), 4);
    assert_int_equal(replay->entry_count, 0);
    assert_int_equal(snapshot(replay, 3, 3), ERR_CORRUPT); /* goes back */
    assert_int_equal(snapshot(replay, 90, 3), 0);
    assert_int_equal(entry(replay, 91, 3), 0);
    assert_int_equal(finish(replay, 90), 0);
    assert_int_equal(replay->entry_count, 1);
}

static void test_entries_that_the_snapshot_covers_are_dropped(void **state)
{
    struct wal_replay *replay = *state;
    for (raft_index i = 4; i <= 9; i++) {
        assert_int_equal(entry(replay, i, 1), 0);
    }
    assert_int_equal(snapshot(replay, 6, 1), 0);
    assert_int_equal(finish(replay, 6), 0);
    assert_int_equal(replay->entry_count, 3);
    assert_int_equal(replay->entries[0].at.index, 7);
}

static void test_a_gap_between_snapshot_and_entries_is_corruption(void **state)
{
    assert_int_equal(snapshot(*state, 3, 1), 0);
    assert_int_equal(entry(*state, 5, 1), 0);
    assert_int_equal(finish(*state, 3), ERR_CORRUPT);
}

static void test_a_log_that_starts_behind_nothing_is_corruption(void **state)
{
    assert_int_equal(entry(*state, 5, 1), 0);
    assert_int_equal(finish(*state, 0), ERR_CORRUPT);
}

static void test_a_commit_beyond_the_end_is_corruption(void **state)
{
    assert_int_equal(entry(*state, 1, 1), 0);
    assert_int_equal(hard_state(*state, 1, 0, 1), 0);
    assert_int_equal(finish(*state, 0), 0);
    assert_int_equal(hard_state(*state, 1, 0, 2), 0);
    assert_int_equal(finish(*state, 0), ERR_CORRUPT);
}

static void test_an_end_before_what_was_applied_is_corruption(void **state)
{
    assert_int_equal(entry(*state, 1, 1), 0);
    assert_int_equal(finish(*state, 1), 0);
    assert_int_equal(finish(*state, 2), ERR_CORRUPT);
}

static void test_parts_of_another_members_log_are_corruption(void **state)
{
    assert_int_equal(metadata(*state, 1, 2, 5), 0);
    assert_int_equal(metadata(*state, 1, 2, 6), 0);
    assert_int_equal(metadata(*state, 1, 3, 7), ERR_CORRUPT);
    assert_int_equal(metadata(*state, 2, 2, 7), ERR_CORRUPT);
    assert_int_equal(metadata(*state, 1, 2, 4), ERR_CORRUPT);
}

static void test_a_newer_version_is_refused_and_a_strange_alignment_is_corruption(void **state)
{
    assert_int_equal(head(*state, WAL_FORMAT_VERSION, 4096), 0);
    assert_int_equal(head(*state, WAL_FORMAT_VERSION + 1, 4096), ERR_UNSUPPORTED);
    assert_int_equal(head(*state, WAL_FORMAT_VERSION, 0), ERR_CORRUPT);
    assert_int_equal(head(*state, WAL_FORMAT_VERSION, 256), ERR_CORRUPT);
    assert_int_equal(head(*state, WAL_FORMAT_VERSION, 3 * 512), ERR_CORRUPT);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_entries_must_follow_each_other),
        TEST(test_an_index_that_goes_back_replaces_what_is_not_committed),
        TEST(test_term_vote_and_commit_never_go_back),
        TEST(test_a_snapshot_keeps_what_follows_it_only_if_the_log_agrees),
        TEST(test_entries_that_the_snapshot_covers_are_dropped),
        TEST(test_a_gap_between_snapshot_and_entries_is_corruption),
        TEST(test_a_log_that_starts_behind_nothing_is_corruption),
        TEST(test_a_commit_beyond_the_end_is_corruption),
        TEST(test_an_end_before_what_was_applied_is_corruption),
        TEST(test_parts_of_another_members_log_are_corruption),
        TEST(test_a_newer_version_is_refused_and_a_strange_alignment_is_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
