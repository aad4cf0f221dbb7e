/* The checkers of histories accept good ones and see what is wrong with bad ones. */
#include "tests/support/test.h"

#include <string.h>

#include "base/cleanup.h"
#include "tests/fault/history.h"

static void parse(const char *text, struct history *history)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(file);
    assert_int_equal(history_read(history, file), 0);
    (void)fclose(file);
}

static void expect(const char *text, bool by_revision, bool by_search)
{
    struct history history = {0};
    char problem[HISTORY_PROBLEM_SIZE] = "";
    parse(text, &history);
    assert_int_equal(history_check_revisions(&history, problem), by_revision);
    assert_int_equal(history_check_search(&history, problem), by_search);
    history_deinit(&history);
}

static void test_a_sequential_history_is_fine(void **state)
{
    (void)state;
    expect("0 get k - - 10 20 ok 1 0\n"
           "0 put k a - 30 40 ok 2 0\n"
           "0 get k a - 50 60 ok 2 2\n"
           "0 cas k b a 70 80 ok 3 0\n"
           "0 cas k c a 90 95 failed 3 0\n"
           "0 get k b - 96 99 ok 3 3\n",
           true, true);
}

static void test_concurrent_writes_may_take_either_order(void **state)
{
    (void)state;
    expect("0 put k a - 10 50 ok 3 0\n"
           "1 put k b - 10 50 ok 2 0\n"
           "0 get k a - 60 70 ok 3 3\n",
           true, true);
}

static void test_a_lost_write_is_found(void **state)
{
    (void)state;
    expect("0 put k a - 10 20 ok 2 0\n"
           "0 put k b - 30 40 ok 3 0\n"
           "1 get k a - 50 60 ok 4 2\n",
           false, false);
    expect("0 put k a - 10 20 ok 2 0\n"
           "1 get k - - 50 60 ok 4 0\n",
           false, false);
}

static void test_a_stale_read_is_found(void **state)
{
    (void)state;
    /* Right for its revision, but from before a write that had ended. */
    expect("0 put k a - 10 20 ok 2 0\n"
           "0 put k b - 30 40 ok 3 0\n"
           "1 get k a - 50 60 ok 2 2\n",
           false, false);
}

static void test_an_unknown_write_may_happen_late_or_never(void **state)
{
    (void)state;
    expect("0 put k a - 10 0 unknown 0 0\n"
           "1 put k b - 20 30 ok 2 0\n"
           "1 get k b - 40 50 ok 2 2\n"
           "1 get k a - 60 70 ok 3 3\n",
           true, true);
    expect("0 put k a - 10 0 unknown 0 0\n"
           "1 put k b - 20 30 ok 2 0\n"
           "1 get k b - 40 50 ok 2 2\n",
           true, true);
}

static void test_an_unknown_write_cannot_be_undone(void **state)
{
    (void)state;
    expect("0 put k a - 10 0 unknown 0 0\n"
           "1 put k b - 20 30 ok 2 0\n"
           "1 get k a - 40 50 ok 3 3\n"
           "1 get k b - 60 70 ok 3 2\n",
           false, false);
}

static void test_a_value_that_nobody_wrote_is_found(void **state)
{
    (void)state;
    expect("1 get k x - 40 50 ok 3 3\n", false, false);
}

static void test_a_wrong_comparison_is_found(void **state)
{
    (void)state;
    expect("0 put k a - 10 20 ok 2 0\n"
           "0 put k b - 30 40 ok 3 0\n"
           "1 cas k c a 50 60 ok 4 0\n",
           false, false);
    expect("0 put k a - 10 20 ok 2 0\n"
           "1 cas k c a 50 60 failed 2 0\n",
           false, false);
}

static void test_an_unknown_write_explains_a_failed_comparison(void **state)
{
    (void)state;
    expect("0 put k a - 10 20 ok 2 0\n"
           "1 put k b - 30 0 unknown 0 0\n"
           "2 cas k c a 50 60 failed 3 0\n",
           true, true);
}

static void test_two_winners_of_one_comparison_are_found(void **state)
{
    (void)state;
    expect("0 put k a - 10 20 ok 2 0\n"
           "1 cas k b a 30 60 ok 3 0\n"
           "2 cas k c a 30 60 ok 4 0\n",
           false, false);
}

static void test_one_revision_for_two_writes_is_found(void **state)
{
    (void)state;
    expect("0 put k a - 10 20 ok 2 0\n"
           "1 put l b - 10 20 ok 2 0\n",
           false, true);
}

static void test_a_line_that_is_no_operation_is_named(void **state)
{
    (void)state;
    static const char *const lines[] = {"0 put k a - 10 20 ok 2\n", "0 pat k a - 10 20 ok 2 0\n",
                                        "0 put k a - 10 20 yes 2 0\n",
                                        "0 put k a - 30 20 ok 2 0\n", "\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct history history = {0};
        FILE *file = fmemopen((void *)(uintptr_t)lines[i], strlen(lines[i]), "r");
        assert_int_equal(history_read(&history, file), 1);
        (void)fclose(file);
        history_deinit(&history);
    }
}

static void test_what_is_written_can_be_read(void **state)
{
    (void)state;
    const struct history_operation operation = {.client = 7,
                                                .kind = HISTORY_CAS,
                                                .key = "k",
                                                .value = "v",
                                                .expected = "e",
                                                .invoke_ns = 1,
                                                .return_ns = 2,
                                                .outcome = HISTORY_FAILED,
                                                .revision = 3};
    char text[256] = "";
    FILE *file = fmemopen(text, sizeof text, "w");
    history_write(file, &operation);
    (void)fclose(file);
    struct history history = {0};
    parse(text, &history);
    assert_int_equal(history.count, 1);
    assert_memory_equal(&history.operations[0], &operation, sizeof operation);
    history_deinit(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sequential_history_is_fine),
        cmocka_unit_test(test_concurrent_writes_may_take_either_order),
        cmocka_unit_test(test_a_lost_write_is_found),
        cmocka_unit_test(test_a_stale_read_is_found),
        cmocka_unit_test(test_an_unknown_write_may_happen_late_or_never),
        cmocka_unit_test(test_an_unknown_write_cannot_be_undone),
        cmocka_unit_test(test_a_value_that_nobody_wrote_is_found),
        cmocka_unit_test(test_a_wrong_comparison_is_found),
        cmocka_unit_test(test_an_unknown_write_explains_a_failed_comparison),
        cmocka_unit_test(test_two_winners_of_one_comparison_are_found),
        cmocka_unit_test(test_one_revision_for_two_writes_is_found),
        cmocka_unit_test(test_a_line_that_is_no_operation_is_named),
        cmocka_unit_test(test_what_is_written_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
