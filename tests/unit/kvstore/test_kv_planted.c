/* The random runs find each planted bug (kvstore/mvcc/planted.h), so they would find such a bug
 * that nobody planted. */
#include "kvstore/mvcc/planted.h"
#include "tests/unit/kvstore/kv_model.h"
#include "tests/unit/kvstore/kv_world.h"
#include "tests/unit/kvstore/watch_model.h"

int planted_bug;

enum { SEEDS = 60 };

static bool is_found(const char *(*run)(uint64_t seed, uint32_t steps), int bug)
{
    planted_bug = bug;
    const char *violation = NULL;
    for (uint64_t seed = 1; seed <= SEEDS && violation == NULL; seed++) {
        violation = run(seed, 1500);
    }
    planted_bug = 0;
    if (violation != NULL) {
        print_message("bug %d: %s\n", bug, violation);
    }
    return violation != NULL;
}

static void test_the_store_without_a_bug_passes(void **state)
{
    (void)state;
    assert_false(is_found(kv_model_run, 0));
}

static void test_a_stale_read_in_a_transaction_is_found(void **state)
{
    (void)state;
    assert_true(is_found(kv_model_run, 49));
}

static void test_a_revision_without_a_change_is_found(void **state)
{
    (void)state;
    assert_true(is_found(kv_model_run, 55));
}

static void test_events_from_before_the_start_are_found(void **state)
{
    (void)state;
    assert_true(is_found(watch_model_run, 50));
    assert_true(is_found(watch_model_run, 54));
}

static void test_progress_before_events_is_found(void **state)
{
    (void)state;
    assert_true(is_found(watch_model_run, 51));
}

static void test_lost_events_are_found(void **state)
{
    (void)state;
    assert_true(is_found(watch_model_run, 52));
    assert_true(is_found(watch_model_run, 53));
}

static void test_a_split_revision_is_found(void **state)
{
    (void)state;
    assert_true(is_found(watch_model_run, 56));
}

/* Bug 57 needs a leader that comes back; the deadline it had would be in the past. */
static void test_a_lease_that_ends_early_is_found(void **state)
{
    (void)state;
    for (int bug = 0; bug <= 57; bug += 57) {
        planted_bug = bug;
        struct lessor *lessor = lessor_new();
        lessor_promote(lessor, 0, 0);
        assert_true(lessor_promote_step(lessor, UINT32_MAX));
        assert_int_equal(lessor_grant(lessor, 1, 10), 0);
        lessor_demote(lessor);
        lessor_promote(lessor, 20000, 0);
        assert_true(lessor_promote_step(lessor, UINT32_MAX));
        assert_int_equal(lessor_take_expired(lessor, 20000, 1) != NULL, bug == 57);
        lessor_free(lessor);
    }
    planted_bug = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_store_without_a_bug_passes),
        cmocka_unit_test(test_a_stale_read_in_a_transaction_is_found),
        cmocka_unit_test(test_a_revision_without_a_change_is_found),
        cmocka_unit_test(test_events_from_before_the_start_are_found),
        cmocka_unit_test(test_progress_before_events_is_found),
        cmocka_unit_test(test_lost_events_are_found),
        cmocka_unit_test(test_a_split_revision_is_found),
        cmocka_unit_test(test_a_lease_that_ends_early_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
