#include "orchestrator/objects/timestamp.h"
#include "tests/unit/orchestrator/cunit.h"

static void test_times_survive_a_round_trip(void **state)
{
    (void)state;
    static const int64_t seconds[] = {0, 951782400, 1709164800, 1795460123, 4102444799, -86400};
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        char text[TIMESTAMP_SIZE];
        int64_t back = 0;
        (void)timestamp_format(seconds[i] * 1000, text);
        assert_int_equal(timestamp_parse(text, &back), 0);
        assert_int_equal(back, seconds[i] * 1000);
    }
    char text[TIMESTAMP_SIZE];
    assert_string_equal(timestamp_format(1709164800000, text), "2024-02-29T00:00:00Z");
    assert_string_equal(timestamp_format_micro(1500, text), "1970-01-01T00:00:01.500000Z");
}

static void test_offsets_and_fractions_are_understood(void **state)
{
    (void)state;
    int64_t time_ms = 0;
    assert_int_equal(timestamp_parse("1970-01-01T01:00:00.25+01:00", &time_ms), 0);
    assert_int_equal(time_ms, 250);
    assert_int_equal(timestamp_parse("1969-12-31T23:30:00-00:30", &time_ms), 0);
    assert_int_equal(time_ms, 0);
}

static void test_malformed_times_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "now",
                                      "2024-13-01T00:00:00Z",
                                      "2024-01-01 00:00:00Z",
                                      "2024-01-01T00:00:00",
                                      "2024-01-01T25:00:00Z",
                                      "2024-01-01T00:00:00Zx"};
    int64_t time_ms = 5;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(timestamp_parse(bad[i], &time_ms), ERR_MALFORMED);
        assert_int_equal(time_ms, 5);
    }
}

static void test_the_weekday_is_known(void **state)
{
    (void)state;
    assert_int_equal(civil_from_seconds(0).weekday, 4); /* a Thursday */
    assert_int_equal(civil_from_seconds(-86400).weekday, 3);
    assert_int_equal(civil_from_seconds(1795460123).weekday, 1); /* 2026-11-23 */
}

static void test_ages_are_short(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } ages[] = {{0, "0s"},
                {5, "5s"},
                {119, "119s"},
                {120, "2m"},
                {185, "3m5s"},
                {3600, "60m"},
                {3 * 3600, "3h"},
                {3 * 3600 + 60, "3h1m"},
                {9 * 3600, "9h"},
                {47 * 3600, "47h"},
                {49 * 3600, "2d1h"},
                {10 * 86400, "10d"},
                {3 * 365 * 86400, "3y"},
                {-10, "<invalid>"}};
    for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
        char text[DURATION_TEXT_SIZE];
        assert_string_equal(duration_format_short(ages[i].seconds * 1000, text), ages[i].text);
    }
}

static void test_durations_are_read_as_go_writes_them(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_int_equal(duration_parse("1h2m3.5s", &ms), 0);
    assert_int_equal(ms, 3723500);
    assert_int_equal(duration_parse("-150ms", &ms), 0);
    assert_int_equal(ms, -150);
    assert_int_equal(duration_parse("0", &ms), 0);
    assert_int_equal(ms, 0);
    static const char *const bad[] = {"", "5", "s", "1h2", "1d", "99999999999999999h"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(duration_parse(bad[i], &ms), ERR_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_survive_a_round_trip),
        cmocka_unit_test(test_offsets_and_fractions_are_understood),
        cmocka_unit_test(test_malformed_times_are_refused),
        cmocka_unit_test(test_the_weekday_is_known),
        cmocka_unit_test(test_ages_are_short),
        cmocka_unit_test(test_durations_are_read_as_go_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
