#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kvstore/client/picker.h"

static void test_the_first_endpoint_is_dialled_and_the_next_after_the_stagger(void **state)
{
    (void)state;
    struct picker picker;
    uint64_t wake;
    picker_init(&picker, 3, 1, false);
    assert_int_equal(picker_choose(&picker, 1000), -1);
    assert_int_equal(picker_dial(&picker, 1000, &wake), 0);
    picker_on_dialled(&picker, 0, 1000);
    assert_int_equal(picker_dial(&picker, 1000, &wake), -1);
    assert_int_equal(wake, 1000 + PICKER_STAGGER_MS);
    assert_int_equal(picker_dial(&picker, wake, &wake), 1);
}

static void test_a_failure_lets_the_next_one_go_at_once(void **state)
{
    (void)state;
    struct picker picker;
    uint64_t wake;
    picker_init(&picker, 2, 1, false);
    picker_on_dialled(&picker, 0, 0);
    picker_on_failed(&picker, 0, 1);
    assert_int_equal(picker_dial(&picker, 1, &wake), 1);
}

static void test_the_current_endpoint_is_kept_while_it_is_healthy(void **state)
{
    (void)state;
    struct picker picker;
    picker_init(&picker, 3, 1, false);
    picker_on_ready(&picker, 1);
    assert_int_equal(picker_choose(&picker, 0), 1);
    picker_on_ready(&picker, 0);
    picker_on_ready(&picker, 2);
    for (uint64_t now = 0; now < 100; now++) {
        assert_int_equal(picker_choose(&picker, now), 1);
    }
    picker_on_lost(&picker, 1);
    assert_int_equal(picker_choose(&picker, 100), 2);
}

static void test_a_member_that_refuses_is_shunned_for_a_while(void **state)
{
    (void)state;
    struct picker picker;
    uint64_t wake;
    picker_init(&picker, 2, 1, false);
    picker_on_ready(&picker, 0);
    picker_on_refused(&picker, 0, 50);
    assert_int_equal(picker_choose(&picker, 51), -1); /* the other has not been tried */
    assert_int_equal(picker_dial(&picker, 51, &wake), 1);
    picker_on_dialled(&picker, 1, 51);
    picker_on_failed(&picker, 1, 52);
    assert_int_equal(picker_choose(&picker, 53), 0); /* better than none */
    picker_on_ready(&picker, 1);
    picker_on_refused(&picker, 0, 60);
    assert_int_equal(picker_choose(&picker, 61), 1);
}

static void test_backoff_grows_with_jitter_and_ends_with_success(void **state)
{
    (void)state;
    struct picker picker;
    uint64_t wake;
    uint64_t now = 0;
    picker_init(&picker, 1, 99, false);
    uint64_t longest = 0;
    for (int i = 0; i < 12; i++) {
        picker_on_dialled(&picker, 0, now);
        picker_on_failed(&picker, 0, now);
        assert_int_equal(picker_dial(&picker, now, &wake), -1);
        uint64_t delay = wake - now;
        assert_in_range(delay, PICKER_BACKOFF_MIN_MS / 2, PICKER_BACKOFF_MAX_MS);
        longest = delay > longest ? delay : longest;
        now = wake;
        assert_int_equal(picker_dial(&picker, now, &wake), 0);
    }
    assert_true(longest > PICKER_BACKOFF_MAX_MS / 2);
    assert_true(picker_all_failed(&picker));
    picker_on_ready(&picker, 0);
    picker_on_lost(&picker, 0);
    assert_int_equal(picker_dial(&picker, now, &wake), 0);
    picker_on_dialled(&picker, 0, now);
    picker_on_failed(&picker, 0, now);
    (void)picker_dial(&picker, now, &wake);
    assert_true(wake - now <= PICKER_BACKOFF_MIN_MS);
}

static void test_different_seeds_begin_at_different_endpoints(void **state)
{
    (void)state;
    bool seen[8] = {false};
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct picker picker;
        uint64_t wake;
        picker_init(&picker, 8, seed, true);
        int index = picker_dial(&picker, 0, &wake);
        assert_in_range(index, 0, 7);
        seen[index] = true;
    }
    for (size_t i = 0; i < 8; i++) {
        assert_true(seen[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_endpoint_is_dialled_and_the_next_after_the_stagger),
        cmocka_unit_test(test_a_failure_lets_the_next_one_go_at_once),
        cmocka_unit_test(test_the_current_endpoint_is_kept_while_it_is_healthy),
        cmocka_unit_test(test_a_member_that_refuses_is_shunned_for_a_while),
        cmocka_unit_test(test_backoff_grows_with_jitter_and_ends_with_success),
        cmocka_unit_test(test_different_seeds_begin_at_different_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
