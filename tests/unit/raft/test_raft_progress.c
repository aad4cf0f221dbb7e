#include "tests/support/test.h"

#include "raft/progress.h"

static struct raft_progress make(raft_index next)
{
    struct raft_progress progress;
    raft_progress_init(&progress, (struct raft_member){2, true}, next, 1000);
    return progress;
}

static struct raft_progress make_replicating(raft_index match)
{
    struct raft_progress progress = make(match + 1);
    assert_true(raft_progress_on_ack(&progress, match));
    assert_int_equal(progress.state, RAFT_PEER_REPLICATE);
    return progress;
}

static void test_a_new_peer_is_probed_one_append_at_a_time(void **state)
{
    (void)state;
    struct raft_progress progress = make(6);
    assert_int_equal(progress.state, RAFT_PEER_PROBE);
    assert_true(raft_progress_can_send(&progress, 100));
    raft_progress_on_sent(&progress, 3, 30, 0);
    assert_int_equal(progress.next, 6); /* a probe promises nothing */
    assert_false(raft_progress_can_send(&progress, 100));
    raft_progress_check(&progress, 10);
}

static void test_an_ack_starts_the_pipeline(void **state)
{
    (void)state;
    struct raft_progress progress = make(6);
    raft_progress_on_sent(&progress, 3, 30, 0);
    assert_true(raft_progress_on_ack(&progress, 8));
    assert_int_equal(progress.state, RAFT_PEER_REPLICATE);
    assert_int_equal(progress.match, 8);
    assert_int_equal(progress.next, 9);
}

static void test_the_window_is_bounded_by_count(void **state)
{
    (void)state;
    struct raft_progress progress = make_replicating(1);
    for (uint32_t i = 0; i < RAFT_INFLIGHT_MAX; i++) {
        assert_true(raft_progress_can_send(&progress, UINT64_MAX));
        raft_progress_on_sent(&progress, 1, 1, 0);
    }
    assert_false(raft_progress_can_send(&progress, UINT64_MAX));
    assert_true(raft_progress_on_ack(&progress, 2));
    assert_true(raft_progress_can_send(&progress, UINT64_MAX));
    raft_progress_check(&progress, 1 + RAFT_INFLIGHT_MAX);
}

static void test_the_window_is_bounded_by_bytes(void **state)
{
    (void)state;
    struct raft_progress progress = make_replicating(1);
    raft_progress_on_sent(&progress, 1, 60, 0);
    assert_true(raft_progress_can_send(&progress, 100));
    raft_progress_on_sent(&progress, 1, 60, 0);
    assert_false(raft_progress_can_send(&progress, 100));
    assert_true(raft_progress_on_ack(&progress, 3)); /* frees both */
    assert_int_equal(progress.inflight_bytes, 0);
    assert_int_equal(progress.inflight_count, 0);
}

static void test_empty_appends_take_no_place_in_the_window(void **state)
{
    (void)state;
    struct raft_progress progress = make_replicating(1);
    raft_progress_on_sent(&progress, 0, 0, 1);
    assert_int_equal(progress.inflight_count, 0);
    assert_int_equal(progress.next, 2);
}

static void test_a_rejection_goes_back_to_the_hint(void **state)
{
    (void)state;
    struct raft_progress progress = make_replicating(4);
    raft_progress_on_sent(&progress, 6, 60, 0);
    assert_true(raft_progress_on_reject(&progress, 9, 7));
    assert_int_equal(progress.state, RAFT_PEER_PROBE);
    assert_int_equal(progress.next, 7);
    assert_int_equal(progress.inflight_count, 0);
}

static void test_a_hint_never_goes_below_match(void **state)
{
    (void)state;
    struct raft_progress progress = make_replicating(4);
    raft_progress_on_sent(&progress, 6, 60, 0);
    assert_true(raft_progress_on_reject(&progress, 9, 1));
    assert_int_equal(progress.next, 5);
}

static void test_a_stale_rejection_is_ignored(void **state)
{
    (void)state;
    struct raft_progress progress = make_replicating(4);
    assert_false(raft_progress_on_reject(&progress, 4, 1)); /* acknowledged since */
    assert_int_equal(progress.state, RAFT_PEER_REPLICATE);
    struct raft_progress probing = make(6);
    raft_progress_on_sent(&probing, 1, 1, 0);
    assert_false(raft_progress_on_reject(&probing, 3, 1)); /* the probe was after 5 */
    assert_int_equal(probing.next, 6);
}

static void test_an_old_ack_does_not_lower_match(void **state)
{
    (void)state;
    struct raft_progress progress = make_replicating(8);
    assert_false(raft_progress_on_ack(&progress, 3));
    assert_int_equal(progress.match, 8);
}

static void test_unreachable_falls_back_to_probe(void **state)
{
    (void)state;
    struct raft_progress progress = make_replicating(4);
    raft_progress_on_sent(&progress, 6, 60, 0);
    raft_progress_on_unreachable(&progress);
    assert_int_equal(progress.state, RAFT_PEER_PROBE);
    assert_int_equal(progress.next, 5);
}

static void test_a_heartbeat_answer_wakes_a_stalled_peer_once(void **state)
{
    (void)state;
    struct raft_progress probing = make(6);
    raft_progress_on_sent(&probing, 1, 1, 0);
    probing.is_beat_due = true;
    raft_progress_on_heartbeat(&probing, 9);
    assert_true(raft_progress_can_send(&probing, 100));
    struct raft_progress progress = make_replicating(4);
    raft_progress_on_sent(&progress, 5, 50, 0);
    progress.is_beat_due = true;
    raft_progress_on_heartbeat(&progress, 9);
    assert_true(progress.wants_append);
    raft_progress_on_sent(&progress, 0, 0, 0);
    raft_progress_on_heartbeat(&progress, 9); /* of a read, not of the timer */
    assert_false(progress.wants_append);
}

static void test_a_snapshot_silences_appends_until_it_ends(void **state)
{
    (void)state;
    struct raft_progress progress = make(6);
    raft_progress_start_snapshot(&progress, 20);
    assert_false(raft_progress_can_send(&progress, UINT64_MAX));
    assert_false(raft_progress_on_reject(&progress, 19, 3));
    raft_progress_end_snapshot(&progress, 25, true);
    assert_int_equal(progress.state, RAFT_PEER_PROBE);
    assert_int_equal(progress.next, 26);
    assert_false(raft_progress_can_send(&progress, UINT64_MAX)); /* its answer comes first */
}

static void test_a_failed_snapshot_is_not_repeated_at_once(void **state)
{
    (void)state;
    struct raft_progress progress = make(6);
    raft_progress_start_snapshot(&progress, 20);
    raft_progress_end_snapshot(&progress, 20, false);
    assert_int_equal(progress.next, 1);
    assert_false(raft_progress_can_send(&progress, UINT64_MAX));
}

static void test_an_ack_beyond_the_snapshot_ends_the_wait(void **state)
{
    (void)state;
    struct raft_progress progress = make(6);
    raft_progress_start_snapshot(&progress, 20);
    assert_true(raft_progress_on_ack(&progress, 19));
    assert_int_equal(progress.state, RAFT_PEER_SNAPSHOT);
    assert_true(raft_progress_on_ack(&progress, 22));
    assert_int_equal(progress.state, RAFT_PEER_REPLICATE);
    assert_int_equal(progress.next, 23);
    raft_progress_end_snapshot(&progress, 20, true); /* the report comes late */
    assert_int_equal(progress.state, RAFT_PEER_REPLICATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_peer_is_probed_one_append_at_a_time),
        cmocka_unit_test(test_an_ack_starts_the_pipeline),
        cmocka_unit_test(test_the_window_is_bounded_by_count),
        cmocka_unit_test(test_the_window_is_bounded_by_bytes),
        cmocka_unit_test(test_empty_appends_take_no_place_in_the_window),
        cmocka_unit_test(test_a_rejection_goes_back_to_the_hint),
        cmocka_unit_test(test_a_hint_never_goes_below_match),
        cmocka_unit_test(test_a_stale_rejection_is_ignored),
        cmocka_unit_test(test_an_old_ack_does_not_lower_match),
        cmocka_unit_test(test_unreachable_falls_back_to_probe),
        cmocka_unit_test(test_a_heartbeat_answer_wakes_a_stalled_peer_once),
        cmocka_unit_test(test_a_snapshot_silences_appends_until_it_ends),
        cmocka_unit_test(test_a_failed_snapshot_is_not_repeated_at_once),
        cmocka_unit_test(test_an_ack_beyond_the_snapshot_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
