/* Which revision is compacted when: hours of history, or so many revisions. */
#include "kvstore/server/auto_compaction.h"

#include "tests/support/test.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };

/* One revision a minute; looks until the end and checks what each compaction leaves. */
struct run {
    uint64_t first_ms; /* 0: none */
    uint64_t last_ms;
    unsigned count;
    int64_t kept_min; /* revisions behind the present one, at a compaction */
    int64_t kept_max;
};

static struct run run_for(uint64_t period_ms, uint64_t end_ms, bool is_leader)
{
    struct auto_compaction compaction;
    struct run run = {.kept_min = INT64_MAX};
    auto_compaction_init(&compaction, period_ms, 0, 0, 1);
    for (uint64_t now = compaction.look_interval_ms; now <= end_ms;
         now += compaction.look_interval_ms) {
        int64_t revision = 1 + (int64_t)(now / MINUTE);
        int64_t target = auto_compaction_look(&compaction, now, revision, is_leader);
        if (target == 0) {
            continue;
        }
        int64_t kept = revision - target;
        run.first_ms = run.first_ms == 0 ? now : run.first_ms;
        run.last_ms = now;
        run.count += 1;
        run.kept_min = kept < run.kept_min ? kept : run.kept_min;
        run.kept_max = kept > run.kept_max ? kept : run.kept_max;
        auto_compaction_done(&compaction, now, target);
    }
    auto_compaction_deinit(&compaction);
    return run;
}

static void test_a_long_period_waits_for_itself_then_compacts_every_hour(void **state)
{
    (void)state;
    struct run run = run_for(10 * HOUR, 20 * HOUR, true);
    assert_int_equal(run.first_ms, 10 * HOUR);
    assert_int_equal(run.count, 11);
    assert_int_equal(run.kept_min, 600);
    assert_int_equal(run.kept_max, 600);
}

static void test_a_short_period_compacts_as_often_as_it_is_long(void **state)
{
    (void)state;
    struct run run = run_for(10 * MINUTE, 2 * HOUR, true);
    assert_int_equal(run.first_ms, 10 * MINUTE);
    assert_int_equal(run.count, 12);
    assert_int_equal(run.kept_min, 10);
    assert_int_equal(run.kept_max, 10);
}

static void test_only_the_leader_compacts_but_everybody_counts(void **state)
{
    (void)state;
    assert_int_equal(run_for(10 * MINUTE, 2 * HOUR, false).count, 0);
    struct auto_compaction compaction;
    auto_compaction_init(&compaction, 10 * MINUTE, 0, 0, 1);
    for (uint64_t minute = 1; minute <= 30; minute++) {
        assert_int_equal(
            auto_compaction_look(&compaction, minute * MINUTE, 1 + (int64_t)minute, false), 0);
    }
    /* It leads now: what was current ten minutes ago goes at once. */
    assert_int_equal(auto_compaction_look(&compaction, 31 * MINUTE, 32, true), 22);
    auto_compaction_deinit(&compaction);
}

static void test_a_failed_compaction_is_tried_again_and_an_idle_store_is_left_alone(void **state)
{
    (void)state;
    struct auto_compaction compaction;
    auto_compaction_init(&compaction, 10 * MINUTE, 0, 0, 5);
    for (uint64_t minute = 1; minute < 10; minute++) {
        assert_int_equal(auto_compaction_look(&compaction, minute * MINUTE, 5, true), 0);
    }
    assert_int_equal(auto_compaction_look(&compaction, 10 * MINUTE, 5, true), 5);
    for (uint64_t minute = 11; minute < 20; minute++) { /* not done: not before the interval */
        int64_t target = auto_compaction_look(&compaction, minute * MINUTE, 5, true);
        assert_int_equal(target, 5);
    }
    auto_compaction_done(&compaction, 20 * MINUTE, 5);
    for (uint64_t minute = 21; minute < 60; minute++) {
        assert_int_equal(auto_compaction_look(&compaction, minute * MINUTE, 5, true), 0);
    }
    auto_compaction_deinit(&compaction);
}

static void test_revision_mode_keeps_the_newest(void **state)
{
    (void)state;
    struct auto_compaction compaction;
    auto_compaction_init(&compaction, 0, 100, 0, 1);
    assert_int_equal(compaction.look_interval_ms, 5 * MINUTE);
    assert_int_equal(auto_compaction_look(&compaction, 5 * MINUTE, 100, true), 0);
    assert_int_equal(auto_compaction_look(&compaction, 10 * MINUTE, 250, false), 0);
    assert_int_equal(auto_compaction_look(&compaction, 15 * MINUTE, 250, true), 150);
    auto_compaction_done(&compaction, 15 * MINUTE, 150);
    assert_int_equal(auto_compaction_look(&compaction, 20 * MINUTE, 250, true), 0);
    assert_int_equal(auto_compaction_look(&compaction, 25 * MINUTE, 251, true), 151);
    auto_compaction_deinit(&compaction);
    auto_compaction_init(&compaction, 0, 0, 0, 1);
    assert_int_equal(compaction.look_interval_ms, 0);
    auto_compaction_deinit(&compaction);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_long_period_waits_for_itself_then_compacts_every_hour),
        cmocka_unit_test(test_a_short_period_compacts_as_often_as_it_is_long),
        cmocka_unit_test(test_only_the_leader_compacts_but_everybody_counts),
        cmocka_unit_test(test_a_failed_compaction_is_tried_again_and_an_idle_store_is_left_alone),
        cmocka_unit_test(test_revision_mode_keeps_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
