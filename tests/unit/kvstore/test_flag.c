#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/flag.h"
#include "kvstore/kvctl/global_flags.h"
#include "kvstore/kvctl/watch_text.h"

static const struct flag table[] = {
    {.name = "prefix", .letter = 'p', .type = FLAG_BOOL},
    {.name = "limit", .letter = 'n', .type = FLAG_NUMBER},
    {.name = "wait", .type = FLAG_DURATION, .initial = "5s"},
    {.name = "write-out", .letter = 'w', .type = FLAG_TEXT, .initial = "simple"},
    {.name = "endpoints", .type = FLAG_LIST, .initial = "default:1"},
    {.name = NULL},
};

struct parsed {
    struct flag_set set;
    const char *const *arguments;
    int count;
    struct arena arena;
    struct err err;
    int result;
};

static void parse(struct parsed *parsed, const char *const *words, int count)
{
    arena_init(&parsed->arena);
    flag_set_init(&parsed->set);
    flag_set_add(&parsed->set, table);
    parsed->result = flag_set_parse(&parsed->set, words, count, &parsed->arena, &parsed->arguments,
                                    &parsed->count, &parsed->err);
}

#define PARSE(parsed, ...)                                                                         \
    do {                                                                                           \
        const char *const words_[] = {__VA_ARGS__};                                                \
        parse(parsed, words_, (int)(sizeof words_ / sizeof words_[0]));                            \
    } while (0)

static void test_flags_and_arguments_mix(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, "key", "--limit", "5", "-p", "end", "--wait=1m", "-w", "json");
    assert_int_equal(p.result, 0);
    assert_int_equal(p.count, 2);
    assert_string_equal(p.arguments[1], "end");
    assert_true(flag_bool(&p.set, "prefix"));
    assert_int_equal(flag_number(&p.set, "limit"), 5);
    assert_int_equal(flag_duration_ms(&p.set, "wait"), 60000);
    assert_string_equal(flag_text(&p.set, "write-out"), "json");
    arena_deinit(&p.arena);
}

static void test_short_flags_take_values_in_three_ways(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, "-pwjson");
    assert_int_equal(p.result, 0);
    assert_string_equal(flag_text(&p.set, "write-out"), "json");
    assert_true(flag_bool(&p.set, "prefix"));
    arena_deinit(&p.arena);
    PARSE(&p, "-w=table", "-n7");
    assert_string_equal(flag_text(&p.set, "write-out"), "table");
    assert_int_equal(flag_number(&p.set, "limit"), 7);
    arena_deinit(&p.arena);
}

static void test_two_dashes_end_the_flags(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, "key", "--", "--limit", "-p");
    assert_int_equal(p.result, 0);
    assert_int_equal(p.count, 3);
    assert_string_equal(p.arguments[1], "--limit");
    assert_false(flag_is_set(&p.set, "limit"));
    arena_deinit(&p.arena);
    PARSE(&p, "-", "");
    assert_int_equal(p.count, 2); /* one dash, and nothing, are arguments */
    arena_deinit(&p.arena);
}

static void test_a_boolean_takes_no_separate_value(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, "--prefix", "false", "--prefix=false");
    assert_int_equal(p.result, 0);
    assert_int_equal(p.count, 1);
    assert_false(flag_bool(&p.set, "prefix"));
    arena_deinit(&p.arena);
}

static void test_a_list_collects_and_replaces_the_default(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, "--endpoints", "a:1,b:2", "--endpoints=c:3");
    assert_string_equal(flag_text(&p.set, "endpoints"), "a:1,b:2,c:3");
    arena_deinit(&p.arena);
}

static void test_bad_flags_are_named(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, "--nope");
    assert_int_equal(p.result, ERR_INVALID);
    assert_string_equal(p.err.text, "unknown flag: --nope");
    arena_deinit(&p.arena);
    PARSE(&p, "-px");
    assert_string_equal(p.err.text, "unknown shorthand flag: 'x' in -px");
    arena_deinit(&p.arena);
    PARSE(&p, "--limit");
    assert_string_equal(p.err.text, "flag needs an argument: --limit");
    arena_deinit(&p.arena);
    PARSE(&p, "--limit", "many");
    assert_string_equal(p.err.text, "invalid argument \"many\" for \"-n, --limit\" flag: "
                                    "strconv.ParseInt: parsing \"many\": invalid syntax");
    arena_deinit(&p.arena);
    PARSE(&p, "--prefix=maybe");
    assert_int_equal(p.result, ERR_INVALID);
    arena_deinit(&p.arena);
    PARSE(&p, "--=x");
    assert_int_equal(p.result, ERR_INVALID);
    arena_deinit(&p.arena);
    PARSE(&p, "key", "--help");
    assert_int_equal(p.result, ERR_NOT_FOUND);
    arena_deinit(&p.arena);
}

static const char *fake_environment(const char *name)
{
    if (strcmp(name, "ETCDCTL_ENDPOINTS") == 0) {
        return "from-etcdctl:1";
    }
    if (strcmp(name, "KVCTL_ENDPOINTS") == 0) {
        return "from-kvctl:1";
    }
    if (strcmp(name, "ETCDCTL_COMMAND_TIMEOUT") == 0) {
        return "7s";
    }
    return strcmp(name, "KVCTL_WRITE_OUT") == 0 ? "json" : NULL;
}

static void test_the_environment_fills_what_the_command_line_left_open(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct flag_set set;
    struct err err;
    const char *const words[] = {"-w", "fields"};
    const char *const *arguments;
    int count;
    flag_set_init(&set);
    flag_set_add(&set, global_flags);
    assert_int_equal(flag_set_parse(&set, words, 2, &arena, &arguments, &count, &err), 0);
    assert_int_equal(global_flags_read_environment(&set, fake_environment, &arena, &err), 0);
    assert_string_equal(flag_text(&set, "endpoints"), "from-kvctl:1");
    assert_int_equal(flag_duration_ms(&set, "command-timeout"), 7000);
    assert_string_equal(flag_text(&set, "write-out"), "fields");
}

static const char *bad_environment(const char *name)
{
    return strcmp(name, "ETCDCTL_DIAL_TIMEOUT") == 0 ? "soon" : NULL;
}

static void test_a_bad_variable_is_named(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct flag_set set;
    struct err err;
    flag_set_init(&set);
    flag_set_add(&set, global_flags);
    assert_int_equal(global_flags_read_environment(&set, bad_environment, &arena, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.text, "ETCDCTL_DIAL_TIMEOUT: "));
}

static int build_watch(const char *const *words, int count, const char *key, const char *end,
                       struct arena *arena, struct watch_request *ret)
{
    struct err err;
    return watch_request_build(words, count, key, end, NULL, arena, ret, &err);
}

static void test_watch_arguments_split_at_two_dashes(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct watch_request request;
    const char *const full[] = {"foo", "--rev", "4", "bar", "--", "echo", "--prefix"};
    assert_int_equal(build_watch(full, 7, NULL, NULL, &arena, &request), 0);
    assert_true(bytes_equal(request.options.key, BYTES_LITERAL("foo")));
    assert_true(bytes_equal(request.options.range_end, BYTES_LITERAL("bar")));
    assert_int_equal(request.options.start_revision, 4);
    assert_string_equal(request.command[1], "--prefix");
    assert_null(request.command[2]);
    const char *const prefix[] = {"--prefix", "fo"};
    assert_int_equal(build_watch(prefix, 2, NULL, NULL, &arena, &request), 0);
    assert_true(bytes_equal(request.options.range_end, BYTES_LITERAL("fp")));
    assert_null(request.command);
    const char *const command[] = {"--", "echo"};
    assert_int_equal(build_watch(command, 2, "k", "l", &arena, &request), 0);
    assert_true(bytes_equal(request.options.range_end, BYTES_LITERAL("l")));
}

static void test_bad_watch_arguments_are_refused(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct watch_request request;
    const char *const none[] = {"--"};
    assert_int_equal(build_watch(none, 0, NULL, NULL, &arena, &request), ERR_INVALID);
    assert_int_equal(build_watch(none, 1, NULL, NULL, &arena, &request), ERR_INVALID);
    const char *const dangling[] = {"foo", "--"};
    assert_int_equal(build_watch(dangling, 2, NULL, NULL, &arena, &request), ERR_INVALID);
    assert_int_equal(build_watch(dangling, 1, "k", NULL, &arena, &request), ERR_INVALID);
    const char *const both[] = {"a", "b", "--prefix"};
    assert_int_equal(build_watch(both, 3, NULL, NULL, &arena, &request), ERR_INVALID);
    const char *const many[] = {"a", "b", "c"};
    assert_int_equal(build_watch(many, 3, NULL, NULL, &arena, &request), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_and_arguments_mix),
        cmocka_unit_test(test_short_flags_take_values_in_three_ways),
        cmocka_unit_test(test_two_dashes_end_the_flags),
        cmocka_unit_test(test_a_boolean_takes_no_separate_value),
        cmocka_unit_test(test_a_list_collects_and_replaces_the_default),
        cmocka_unit_test(test_bad_flags_are_named),
        cmocka_unit_test(test_the_environment_fills_what_the_command_line_left_open),
        cmocka_unit_test(test_a_bad_variable_is_named),
        cmocka_unit_test(test_watch_arguments_split_at_two_dashes),
        cmocka_unit_test(test_bad_watch_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
