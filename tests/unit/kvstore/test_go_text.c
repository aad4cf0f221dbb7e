#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/argify.h"
#include "kvstore/kvctl/go_text.h"

static void expect_text(struct buf *got, const char *wanted)
{
    assert_string_equal(buf_text(got), wanted);
    buf_clear(got);
}

static void test_quoting_is_that_of_strconv_quote(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf out = BUF_INIT;
    go_text_append_quoted(&out, BYTES_LITERAL("plain"));
    expect_text(&out, "\"plain\"");
    go_text_append_quoted(&out, BYTES_LITERAL("a\"b\\c\n\t\a\x01\x7f"));
    expect_text(&out, "\"a\\\"b\\\\c\\n\\t\\a\\x01\\x7f\"");
    go_text_append_quoted(&out, BYTES_LITERAL("gr\xc3\xbc\xc3\x9f"));
    expect_text(&out, "\"gr\xc3\xbc\xc3\x9f\"");
    go_text_append_quoted(&out, BYTES_LITERAL("\xc2\xa0\xe2\x80\xa8\xf3\xa0\x80\x81"));
    expect_text(&out, "\"\\u00a0\\u2028\\U000e0001\"");
    go_text_append_quoted(&out, BYTES_LITERAL("\xff\xc3"));
    expect_text(&out, "\"\\xff\\xc3\"");
    go_text_append_quoted(&out, BYTES_LITERAL("\0"));
    expect_text(&out, "\"\\x00\"");
}

static void test_json_strings_are_those_of_encoding_json(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf out = BUF_INIT;
    go_text_append_json(&out, BYTES_LITERAL("<a href=\"x\">&\x7f\x01\xff"));
    expect_text(&out, "\"\\u003ca href=\\\"x\\\"\\u003e\\u0026\x7f\\u0001\\ufffd\"");
    go_text_append_json(&out, BYTES_LITERAL("\xe2\x80\xa8\b\f"));
    expect_text(&out, "\"\\u2028\\b\\f\"");
}

static void test_base64_pads_every_length(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf out = BUF_INIT;
    static const char *const wanted[] = {"\"\"", "\"Zg==\"", "\"Zm8=\"", "\"Zm9v\"",
                                         "\"Zm9vYg==\""};
    for (size_t i = 0; i < 5; i++) {
        go_text_append_json_base64(&out, bytes_make("foob", i));
        expect_text(&out, wanted[i]);
    }
    go_text_append_json_base64(&out, BYTES_LITERAL("\xfb\xff\xfe"));
    expect_text(&out, "\"+//+\"");
}

static void test_unquoting_reverses_quoting(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf quoted = BUF_INIT;
    CLEANUP(buf) struct buf value = BUF_INIT;
    uint8_t all[256];
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = (uint8_t)i;
    }
    go_text_append_quoted(&quoted, bytes_make(all, sizeof all));
    struct bytes rest = buf_bytes(&quoted);
    assert_int_equal(go_text_unquote(&rest, &value), 0);
    assert_int_equal(rest.size, 0);
    assert_int_equal(buf_size(&value), sizeof all);
    assert_memory_equal(buf_bytes(&value).data, all, sizeof all);
}

static void test_unquoting_refuses_what_go_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "\"",       "\"abc",    "abc",
                                      "\"a\\\"",   "\"\\x1\"", "\"\\q\"",  "\"\\ud800\"",
                                      "\"\\400\"", "`raw",     "\"a\nb\"", "\"\\U00110000\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP(buf) struct buf value = BUF_INIT;
        struct bytes rest = bytes_from_text(bad[i]);
        assert_int_equal(go_text_unquote(&rest, &value), ERR_INVALID);
    }
    CLEANUP(buf) struct buf value = BUF_INIT;
    struct bytes rest = bytes_from_text("`raw \\n` tail");
    assert_int_equal(go_text_unquote(&rest, &value), 0);
    assert_string_equal(buf_text(&value), "raw \\n");
    assert_int_equal(rest.size, 5);
}

static void test_numbers_parse_with_bases_and_limits(void **state)
{
    (void)state;
    struct err err;
    int64_t value;
    assert_int_equal(go_text_parse_i64("0x1F", 0, &value, &err), 0);
    assert_int_equal(value, 31);
    assert_int_equal(go_text_parse_i64("-017", 0, &value, &err), 0);
    assert_int_equal(value, -15);
    assert_int_equal(go_text_parse_i64("9223372036854775807", 10, &value, &err), 0);
    assert_int_equal(go_text_parse_i64("-9223372036854775808", 10, &value, &err), 0);
    assert_true(value == INT64_MIN);
    assert_int_equal(go_text_parse_i64("9223372036854775808", 10, &value, &err), ERR_INVALID);
    assert_string_equal(err.text,
                        "strconv.ParseInt: parsing \"9223372036854775808\": value out of range");
    assert_int_equal(go_text_parse_i64("x", 10, &value, &err), ERR_INVALID);
    assert_string_equal(err.text, "strconv.ParseInt: parsing \"x\": invalid syntax");
    assert_int_equal(go_text_parse_i64("", 10, &value, &err), ERR_INVALID);
    assert_int_equal(go_text_parse_i64("1f", 10, &value, &err), ERR_INVALID);
    uint64_t unsigned_value;
    assert_int_equal(go_text_parse_u64("8e9e05c52164694d", 16, &unsigned_value, &err), 0);
    assert_true(unsigned_value == UINT64_C(0x8e9e05c52164694d));
    assert_int_equal(go_text_parse_u64("18446744073709551616", 10, &unsigned_value, &err),
                     ERR_INVALID);
}

static void test_durations_parse_and_print_as_go_does(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
        const char *printed;
    } cases[] = {
        {"0", 0, "0s"},
        {"5s", UINT64_C(5000000000), "5s"},
        {"1.5s", UINT64_C(1500000000), "1.5s"},
        {"1m30s", UINT64_C(90000000000), "1m30s"},
        {"90m", UINT64_C(5400000000000), "1h30m0s"},
        {"200ms", 200000000, "200ms"},
        {"2.214611ms", 2214611, "2.214611ms"},
        {"15us", 15000, "15\xc2\xb5s"},
        {"1ns", 1, "1ns"},
    };
    CLEANUP(buf) struct buf out = BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ns = 1;
        assert_int_equal(go_text_parse_duration_ns(cases[i].text, &ns), 0);
        assert_int_equal(ns, cases[i].ns);
        go_text_append_duration(&out, ns);
        expect_text(&out, cases[i].printed);
    }
    static const char *const bad[] = {"", "5", "s", "5x", "-1s", ".", "1.s2", "9999999999h"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ns;
        assert_int_equal(go_text_parse_duration_ns(bad[i], &ns), ERR_INVALID);
    }
}

static void test_sizes_are_rounded_as_humanize_does(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        const char *text;
    } cases[] = {{0, "0 B"},
                 {9, "9 B"},
                 {10, "10 B"},
                 {999, "999 B"},
                 {1000, "1.0 kB"},
                 {1050, "1.1 kB"},
                 {20480, "20 kB"},
                 {9950, "10 kB"},
                 {1048576, "1.0 MB"},
                 {16777216, "17 MB"},
                 {UINT64_C(2147483648), "2.1 GB"}};
    CLEANUP(buf) struct buf out = BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        go_text_append_size(&out, cases[i].size);
        expect_text(&out, cases[i].text);
    }
}

static void test_a_line_becomes_words(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct err err;
    const char *const *words;
    int count;
    assert_int_equal(argify("put  key1 \"two words\\n\" 'single \\n' a\"b --prefix", &arena, &words,
                            &count, &err),
                     0);
    assert_int_equal(count, 6);
    assert_string_equal(words[1], "key1");
    assert_string_equal(words[2], "two words\n");
    assert_string_equal(words[3], "single \\n");
    assert_string_equal(words[4], "a\"b");
    assert_string_equal(words[5], "--prefix");
    assert_int_equal(argify("get \"no end", &arena, &words, &count, &err), 0);
    assert_int_equal(count, 3); /* the lone quote separates */
    assert_int_equal(argify("", &arena, &words, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(argify("get \"\\q\"", &arena, &words, &count, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quoting_is_that_of_strconv_quote),
        cmocka_unit_test(test_json_strings_are_those_of_encoding_json),
        cmocka_unit_test(test_base64_pads_every_length),
        cmocka_unit_test(test_unquoting_reverses_quoting),
        cmocka_unit_test(test_unquoting_refuses_what_go_refuses),
        cmocka_unit_test(test_numbers_parse_with_bases_and_limits),
        cmocka_unit_test(test_durations_parse_and_print_as_go_does),
        cmocka_unit_test(test_sizes_are_rounded_as_humanize_does),
        cmocka_unit_test(test_a_line_becomes_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
