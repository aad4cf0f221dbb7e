#include "orchestrator/cache/work_queue.h"
#include "tests/unit/orchestrator/cunit.h"

static void test_a_key_that_is_added_twice_is_worked_on_once(void **state)
{
    (void)state;
    struct work_queue *queue = work_queue_new(5, 100);
    work_queue_add(queue, "a", 0);
    work_queue_add(queue, "b", 0);
    work_queue_add(queue, "a", 0);
    assert_string_equal(work_queue_take(queue, 0), "a");
    assert_string_equal(work_queue_take(queue, 0), "b");
    assert_null(work_queue_take(queue, 0));
    work_queue_done(queue, "a", 0);
    work_queue_done(queue, "b", 0);
    assert_true(work_queue_is_idle(queue));
    work_queue_free(queue);
}

static void test_a_key_that_is_added_while_it_is_worked_on_comes_again(void **state)
{
    (void)state;
    struct work_queue *queue = work_queue_new(5, 100);
    work_queue_add(queue, "a", 0);
    const char *key = work_queue_take(queue, 0);
    work_queue_add(queue, "a", 1);
    assert_null(work_queue_take(queue, 1));
    work_queue_done(queue, key, 2);
    assert_string_equal(work_queue_take(queue, 2), "a");
    work_queue_free(queue);
}

static void test_failures_wait_longer_each_time_up_to_the_limit(void **state)
{
    (void)state;
    struct work_queue *queue = work_queue_new(5, 30);
    static const uint64_t delays[] = {5, 10, 20, 30, 30};
    uint64_t now = 0;
    work_queue_add(queue, "a", now);
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        const char *key = work_queue_take(queue, now);
        assert_non_null(key);
        work_queue_retry(queue, key, now);
        assert_int_equal(work_queue_deadline(queue), now + delays[i]);
        assert_null(work_queue_take(queue, now + delays[i] - 1));
        now += delays[i];
    }
    const char *key = work_queue_take(queue, now);
    work_queue_done(queue, key, now);
    work_queue_add(queue, "a", now);
    key = work_queue_take(queue, now);
    work_queue_retry(queue, key, now);
    assert_int_equal(work_queue_deadline(queue), now + 5);
    work_queue_free(queue);
}

static void test_the_earliest_wish_counts(void **state)
{
    (void)state;
    struct work_queue *queue = work_queue_new(5, 30);
    work_queue_add_after(queue, "a", 0, 100);
    work_queue_add_after(queue, "a", 0, 10);
    work_queue_add_after(queue, "a", 0, 50);
    assert_int_equal(work_queue_deadline(queue), 10);
    assert_null(work_queue_take(queue, 9));
    assert_string_equal(work_queue_take(queue, 10), "a");
    assert_int_equal(work_queue_deadline(queue), UINT64_MAX);
    work_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_that_is_added_twice_is_worked_on_once),
        cmocka_unit_test(test_a_key_that_is_added_while_it_is_worked_on_comes_again),
        cmocka_unit_test(test_failures_wait_longer_each_time_up_to_the_limit),
        cmocka_unit_test(test_the_earliest_wish_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
