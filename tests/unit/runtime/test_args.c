#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/container/args.h"

struct parsed {
    const char *root;
    bool debug;
    struct text_list env;
    char *word_items[16];
    struct text_list words;
};

static int parse(struct parsed *parsed, bool stop_at_word, int argc, char **argv, int *at,
                 struct err *err)
{
    memset(parsed, 0, sizeof *parsed);
    parsed->words.items = parsed->word_items;
    const struct args_option options[] = {
        {"root", 0, ARGS_TEXT, &parsed->root},
        {"debug", 'd', ARGS_BOOL, &parsed->debug},
        {"env", 'e', ARGS_LIST, &parsed->env},
        {"ignored", 0, ARGS_TEXT, NULL},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    *at = 0;
    return args_parse(argc, argv, at, options, stop_at_word, &parsed->words, err);
}

static char root_value[] = "--root=/x", root[] = "--root", go_root[] = "-root", x[] = "/x",
            debug[] = "--debug", d[] = "-d", debug_off[] = "--debug=false", e[] = "-e", a[] = "A=1",
            word[] = "id", dashes[] = "--", unknown[] = "--nope", ignored[] = "--ignored";

static void test_both_spellings_are_understood(void **state)
{
    (void)state;
    char *all[][3] = {{root_value, d, NULL}, {root, x, debug}, {go_root, x, d}};
    for (size_t i = 0; i < 3; i++) {
        struct parsed parsed;
        int at = 0;
        struct err err = {.code = 0};
        assert_int_equal(parse(&parsed, false, all[i][2] == NULL ? 2 : 3, all[i], &at, &err), 0);
        assert_string_equal(parsed.root, "/x");
        assert_true(parsed.debug);
    }
}

static void test_words_and_the_end_of_options(void **state)
{
    (void)state;
    char *argv[] = {e, a, word, debug, debug_off, ignored, x, dashes, unknown};
    struct parsed parsed;
    int at = 0;
    struct err err = {.code = 0};
    assert_int_equal(parse(&parsed, false, 9, argv, &at, &err), 0);
    assert_int_equal(parsed.words.count, 2);
    assert_string_equal(parsed.words.items[1], "--nope");
    assert_false(parsed.debug);
    assert_int_equal(parsed.env.count, 1);
    mem_free(parsed.env.items);
    assert_int_equal(parse(&parsed, true, 9, argv, &at, &err), 0);
    assert_int_equal(at, 2);
    mem_free(parsed.env.items);
}

static void test_mistakes_are_told(void **state)
{
    (void)state;
    struct parsed parsed;
    int at = 0;
    struct err err = {.code = 0};
    char *no_such[] = {unknown};
    assert_int_equal(parse(&parsed, false, 1, no_such, &at, &err), ERR_INVALID);
    assert_string_equal(err.text, "flag provided but not defined: --nope");
    char *no_value[] = {root};
    assert_int_equal(parse(&parsed, false, 1, no_value, &at, &err), ERR_INVALID);
    assert_string_equal(err.text, "flag needs an argument: --root");
}

static void test_signals_by_any_name(void **state)
{
    (void)state;
    assert_int_equal(args_signal("KILL"), SIGKILL);
    assert_int_equal(args_signal("SIGTERM"), SIGTERM);
    assert_int_equal(args_signal("sigusr1"), SIGUSR1);
    assert_int_equal(args_signal("9"), 9);
    assert_int_equal(args_signal("0"), 0);
    assert_int_equal(args_signal("RTMIN+1"), SIGRTMIN + 1);
    assert_int_equal(args_signal("RTMAX-1"), SIGRTMAX - 1);
    assert_int_equal(args_signal(""), -1);
    assert_int_equal(args_signal("9x"), -1);
    assert_int_equal(args_signal("65"), -1);
    assert_int_equal(args_signal("-9"), -1);
    assert_int_equal(args_signal("RTMIN+99"), -1);
}

static void test_sizes(void **state)
{
    (void)state;
    long long value = 0;
    assert_true(args_size("64m", &value) && value == 64 << 20);
    assert_true(args_size("1G", &value) && value == 1 << 30);
    assert_true(args_size("2KiB", &value) && value == 2048);
    assert_true(args_size("-1", &value) && value == -1);
    assert_true(args_size("5", &value) && value == 5);
    assert_false(args_size("", &value));
    assert_false(args_size("m", &value));
    assert_false(args_size("5x", &value));
    assert_false(args_size(" 5", &value));
    assert_false(args_size("9223372036854775807k", &value));
    assert_true(args_number("-7", &value) && value == -7);
    assert_false(args_number("7 ", &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_spellings_are_understood),
        cmocka_unit_test(test_words_and_the_end_of_options),
        cmocka_unit_test(test_mistakes_are_told),
        cmocka_unit_test(test_signals_by_any_name),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
