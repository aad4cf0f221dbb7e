#include "orchestrator/controllers/cron.h"
#include "orchestrator/objects/timestamp.h"
#include "tests/unit/orchestrator/cunit.h"

static void assert_next(const char *schedule, const char *from, const char *expected)
{
    struct cron cron;
    int64_t from_ms = 0;
    char text[TIMESTAMP_SIZE];
    assert_int_equal(cron_parse(schedule, &cron), 0);
    assert_int_equal(timestamp_parse(from, &from_ms), 0);
    int64_t next = cron_next(&cron, from_ms / 1000);
    assert_string_equal(next < 0 ? "never" : timestamp_format(next * 1000, text), expected);
}

static void test_schedules_name_the_next_time(void **state)
{
    (void)state;
    assert_next("* * * * *", "2026-11-23T10:00:30Z", "2026-11-23T10:01:00Z");
    assert_next("*/15 * * * *", "2026-11-23T10:50:00Z", "2026-11-23T11:00:00Z");
    assert_next("0 3 * * *", "2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z");
    assert_next("30 2 1 * *", "2026-12-15T00:00:00Z", "2027-01-01T02:30:00Z");
    assert_next("0 0 * * mon-fri", "2026-11-27T12:00:00Z", "2026-11-30T00:00:00Z");
    assert_next("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z");
    assert_next("@weekly", "2026-11-23T00:00:00Z", "2026-11-29T00:00:00Z");
    assert_next("0 0 13 * 5", "2026-11-23T00:00:00Z", "2026-11-27T00:00:00Z");
    assert_next("0 12 * JAN,jul *", "2026-11-23T00:00:00Z", "2027-01-01T12:00:00Z");
    assert_next("0 0 31 2 *", "2026-11-23T00:00:00Z", "never");
    assert_next("5-10/2 0 * * 7", "2026-11-23T00:00:00Z", "2026-11-29T00:05:00Z");
}

static void test_malformed_schedules_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "* * * *",   "60 * * * *",  "* 24 * * *",  "* * 0 * *",   "* * * 13 *",
        "* * * * 8", "a * * * *", "*/0 * * * *", "5-1 * * * *", "* * * * * *", "@never"};
    struct cron cron;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (cron_parse(bad[i], &cron) != ERR_MALFORMED) {
            fail_msg("'%s' is accepted", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules_name_the_next_time),
        cmocka_unit_test(test_malformed_schedules_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
