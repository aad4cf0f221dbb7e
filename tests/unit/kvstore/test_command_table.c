#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/completion.h"
#include "kvstore/kvctl/global_flags.h"
#include "kvstore/kvctl/help.h"
#include "kvstore/kvctl/metrics_fetch.h"
#include "kvstore/kvctl/progress_bar.h"
#include "kvstore/kvctl/sibling.h"

#define MATCH(match, ...)                                                                          \
    do {                                                                                           \
        static const char *const words_[] = {__VA_ARGS__};                                         \
        command_table_match(words_, (int)(sizeof words_ / sizeof words_[0]), global_flags, arena,  \
                            match);                                                                \
    } while (0)

static int set_up(void **state)
{
    struct arena *arena = mem_zalloc(sizeof *arena);
    arena_init(arena);
    *state = arena;
    return 0;
}

static int tear_down(void **state)
{
    arena_deinit(*state);
    mem_free(*state);
    return 0;
}

static void test_commands_are_found_among_flags(void **state)
{
    struct arena *arena = *state;
    struct command_match match;
    MATCH(&match, "--endpoints", "a:1", "-w", "json", "--debug", "get", "key", "--prefix");
    assert_string_equal(match.command->path, "get");
    assert_int_equal(match.rest_count, 7);
    assert_string_equal(match.rest[5], "key");
    MATCH(&match, "lease", "--endpoints=a:1", "grant", "10");
    assert_string_equal(match.command->path, "lease grant");
    assert_int_equal(match.rest_count, 2);
}

static void test_groups_and_strangers_are_told_apart(void **state)
{
    struct arena *arena = *state;
    struct command_match match;
    MATCH(&match, "lease");
    assert_null(match.command);
    assert_string_equal(match.group, "lease");
    assert_null(match.unknown);
    MATCH(&match, "lease", "borrow");
    assert_string_equal(match.unknown, "lease borrow");
    MATCH(&match, "gett", "x");
    assert_string_equal(match.unknown, "gett");
    MATCH(&match, "--help");
    assert_true(match.wants_help);
    assert_null(match.command);
    MATCH(&match, "watch", "--", "get");
    assert_string_equal(match.command->path, "watch");
    assert_int_equal(match.rest_count, 2);
}

static void test_a_misspelt_command_suggests_the_nearest(void **state)
{
    (void)state;
    const struct command *near[4];
    assert_int_equal(command_table_suggest("gett", near, 4), 1);
    assert_string_equal(near[0]->path, "get");
    assert_int_equal(command_table_suggest("lease gran", near, 4), 1);
    assert_string_equal(near[0]->path, "lease grant");
    assert_int_equal(command_table_suggest("zzzzzzzz", near, 4), 0);
    assert_true(command_table_suggest("snap", near, 4) == 3);
    CLEANUP(buf) struct buf text = BUF_INIT;
    help_append_unknown(&text, "putt");
    assert_string_equal(buf_text(&text), "Error: unknown command \"putt\" for \"kvctl\"\n\nDid you "
                                         "mean this?\n\tput\n\nRun 'kvctl help' for usage.\n");
}

static void test_every_command_is_described_and_unique(void **state)
{
    (void)state;
    size_t cursor = 0;
    for (const struct command *command = command_table_next(&cursor); command != NULL;
         command = command_table_next(&cursor)) {
        assert_ptr_equal(command_table_find(command->path), command);
        assert_non_null(command->summary);
        assert_non_null(command->group);
        assert_null(strchr(command->summary, '\n'));
        if (command->run != NULL && !command->is_hidden) {
            assert_non_null(command->examples);
        }
        struct flag_set set;
        flag_set_init(&set);
        flag_set_add(&set, command->flags);
        size_t own = set.count;
        flag_set_add(&set, global_flags);
        for (size_t i = 0; i < own; i++) { /* no flag hides a global one */
            for (size_t k = i + 1; k < set.count; k++) {
                assert_string_not_equal(set.values[i].flag->name, set.values[k].flag->name);
            }
        }
    }
}

static void test_help_shows_examples_before_usage_and_three_families(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf text = BUF_INIT;
    help_append_command(&text, command_table_find("lease grant"));
    const char *shown = buf_text(&text);
    assert_true(strstr(shown, "Examples:") < strstr(shown, "Usage:"));
    assert_non_null(strstr(shown, "kvctl lease grant <ttl>"));
    buf_clear(&text);
    help_append_overview(&text);
    shown = buf_text(&text);
    const char *store = strstr(shown, "The store:");
    const char *containers = strstr(shown, "Containers on this machine:");
    const char *workloads = strstr(shown, "Workloads on the cluster:");
    assert_non_null(store);
    assert_true(store < containers && containers < workloads);
    assert_null(strstr(shown, "completion man"));
}

static void test_the_committed_man_page_is_the_generated_one(void **state)
{
    (void)state;
    CLEANUP(file) FILE *file = fopen("docs/man/kvctl.1", "rb");
    assert_non_null(file);
    CLEANUP(buf) struct buf committed = BUF_INIT;
    size_t size = 1;
    while (size > 0) {
        size = fread(buf_reserve(&committed, 65536), 1, 65536, file);
        buf_commit(&committed, size);
    }
    CLEANUP(buf) struct buf made = BUF_INIT;
    help_append_man_page(&made);
    /* If this fails: build/dev/bin/kvctl completion man > docs/man/kvctl.1 */
    assert_string_equal(buf_text(&committed), buf_text(&made));
}

static void expect_candidates(const char *const *words, int count, const char *wanted)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    completion_append_candidates(&text, words, count);
    assert_string_equal(buf_text(&text), wanted);
}

static void test_completion_knows_words_flags_and_values(void **state)
{
    (void)state;
    expect_candidates((const char *const[]){"mem"}, 1, "member\n");
    expect_candidates((const char *const[]){"lease", ""}, 2,
                      "grant\nrevoke\ntimetolive\nlist\nkeep-alive\n");
    expect_candidates((const char *const[]){"endpoint", "h"}, 2, "health\nhashkv\n");
    expect_candidates((const char *const[]){"get", "key", "--co"}, 3,
                      "--consistency\n--count-only\n--command-timeout\n");
    expect_candidates((const char *const[]){"get", "-w", ""}, 3,
                      "fields\njson\nprotobuf\nsimple\ntable\n");
    expect_candidates((const char *const[]){"get", "--order", "D"}, 3, "DESCEND\n");
    expect_candidates((const char *const[]){"get", "key", ""}, 3, "");
    expect_candidates((const char *const[]){"nonsense", ""}, 2, "");
    CLEANUP(buf) struct buf script = BUF_INIT;
    assert_int_equal(completion_append_script(&script, "bash"), 0);
    assert_int_equal(completion_append_script(&script, "tcsh"), ERR_INVALID);
}

static const char *program_for(const char *path, const char *first, const char *second)
{
    const char *const arguments[] = {first, second};
    return sibling_program(command_table_find(path), arguments, second == NULL ? 1 : 2);
}

static void test_shared_words_go_where_their_target_is(void **state)
{
    (void)state;
    assert_string_equal(program_for("run", "alpine", NULL), "kvctl-container");
    assert_string_equal(program_for("scale", "deployment/web", "3"), "kvctl-workload");
    assert_string_equal(program_for("logs", "web", NULL), "kvctl-container");
    assert_string_equal(program_for("logs", "-f", "pod/web"), "kvctl-workload");
    assert_string_equal(program_for("exec", "web", "bin/sh"), "kvctl-container");
    assert_string_equal(program_for("exec", "pod/web", "sh"), "kvctl-workload");
    assert_string_equal(program_for("cp", "./a", "pod/web:/tmp"), "kvctl-workload");
    assert_string_equal(program_for("cp", "web:/etc/hosts", "/tmp/x"), "kvctl-container");
}

static void test_a_metric_is_found_by_its_whole_name(void **state)
{
    (void)state;
    double value = 0;
    struct bytes page = BYTES_LITERAL("# HELP rss x\nrss_bytes 5\nrss 2.5e+07\nlast 1");
    assert_int_equal(metrics_find_number(page, "rss", &value), 0);
    assert_true(value > 24999999 && value < 25000001);
    assert_int_equal(metrics_find_number(page, "last", &value), 0);
    assert_int_equal(metrics_find_number(page, "absent", &value), ERR_NOT_FOUND);
    assert_int_equal(metrics_find_number(BYTES_LITERAL("rss x\n"), "rss", &value), ERR_MALFORMED);
}

static void test_a_progress_bar_fills_with_what_is_done(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf text = BUF_INIT;
    const struct progress_bar bar = {.total = 200, .start_ms = 1000};
    progress_bar_append(&text, &bar, 50, 1100, 37);
    assert_string_equal(buf_text(&text), "[#####...............] 50 of 200, 25%");
    buf_clear(&text);
    progress_bar_append(&text, &bar, 200, 3000, 10);
    assert_string_equal(buf_text(&text), "[##########] 200 of 200, 100%, 100/s");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_commands_are_found_among_flags),
        TEST(test_groups_and_strangers_are_told_apart),
        TEST(test_a_misspelt_command_suggests_the_nearest),
        TEST(test_every_command_is_described_and_unique),
        TEST(test_help_shows_examples_before_usage_and_three_families),
        TEST(test_the_committed_man_page_is_the_generated_one),
        TEST(test_completion_knows_words_flags_and_values),
        TEST(test_shared_words_go_where_their_target_is),
        TEST(test_a_metric_is_found_by_its_whole_name),
        TEST(test_a_progress_bar_fills_with_what_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
