#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/words/health.h"

static const struct health_rules rules = {.interval_ms = 10000, .timeout_ms = 1000, .retries = 3};

static void test_the_first_success_is_healthy(void **state)
{
    (void)state;
    struct health_state health = {.status = HEALTH_STARTING};
    int64_t pause = health_advance(&rules, &health, 50, false);
    assert_int_equal(health.status, HEALTH_STARTING);
    assert_true(pause <= 200); /* soon again */
    assert_int_equal(health_advance(&rules, &health, 200, true), rules.interval_ms);
    assert_int_equal(health.status, HEALTH_HEALTHY);
}

static void test_failures_count_as_if_they_came_every_interval(void **state)
{
    (void)state;
    struct health_state health = {.status = HEALTH_STARTING};
    int64_t now = 0;
    while (health.status == HEALTH_STARTING && now < 1000000) {
        now += health_advance(&rules, &health, now, false);
    }
    assert_int_equal(health.status, HEALTH_UNHEALTHY);
    assert_true(now >= rules.retries * rules.interval_ms); /* not earlier than Docker */
}

static void test_failures_within_the_start_period_do_not_count(void **state)
{
    (void)state;
    struct health_rules slow = rules;
    struct health_state health = {.status = HEALTH_STARTING};
    slow.start_period_ms = 60000;
    for (int64_t now = 0; now < 60000; now += 5000) {
        (void)health_advance(&slow, &health, now, false);
    }
    assert_int_equal(health.status, HEALTH_STARTING);
    assert_int_equal(health.streak, 0);
}

static void test_a_healthy_one_needs_retries_to_become_unhealthy(void **state)
{
    (void)state;
    struct health_state health = {.status = HEALTH_STARTING};
    (void)health_advance(&rules, &health, 0, true);
    for (int i = 1; i < rules.retries; i++) {
        (void)health_advance(&rules, &health, i * rules.interval_ms, false);
        assert_int_equal(health.status, HEALTH_HEALTHY);
    }
    (void)health_advance(&rules, &health, rules.retries * rules.interval_ms, false);
    assert_int_equal(health.status, HEALTH_UNHEALTHY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_success_is_healthy),
        cmocka_unit_test(test_failures_count_as_if_they_came_every_interval),
        cmocka_unit_test(test_failures_within_the_start_period_do_not_count),
        cmocka_unit_test(test_a_healthy_one_needs_retries_to_become_unhealthy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
