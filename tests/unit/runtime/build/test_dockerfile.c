#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/build/dockerfile.h"
#include "runtime/build/expand.h"
#include "runtime/build/glob.h"

static struct arena arena = ARENA_INIT;

static int parse(const char *text, struct dockerfile *ret, struct err *err)
{
    arena_reset(&arena);
    return dockerfile_parse(bytes_from_text(text), "Dockerfile", &arena, ret, err);
}

static void test_lines_are_joined_and_comments_left_out(void **state)
{
    (void)state;
    struct dockerfile file;
    struct err err;
    const char *text = "# syntax=docker/dockerfile:1\n"
                       "# a comment = with an equals sign\n"
                       "ARG V=1\n"
                       "from --platform=linux/amd64 base:$V as One\r\n"
                       "RUN a \\\n"
                       "  # in between\n"
                       "\n"
                       "    b \\  \n"
                       "    c\n"
                       "  CMD [\"x\", \"y z\"]";
    assert_int_equal(parse(text, &file, &err), 0);
    assert_int_equal(file.count, 4);
    assert_int_equal(file.instructions[1].kind, DOCKERFILE_FROM);
    assert_int_equal(file.instructions[1].line, 4);
    assert_string_equal(file.instructions[1].text, "base:$V as One");
    assert_string_equal(dockerfile_flag(&file.instructions[1], "platform"), "linux/amd64");
    assert_null(dockerfile_flag(&file.instructions[1], "plat"));
    assert_string_equal(file.instructions[2].text, "a     b     c");
    assert_int_equal(file.instructions[2].line, 5);
    assert_true(file.instructions[3].is_exec);
    assert_string_equal(file.instructions[3].words[1], "y z");
}

static void test_the_escape_character_can_be_chosen(void **state)
{
    (void)state;
    struct dockerfile file;
    struct err err;
    assert_int_equal(parse("# escape=`\nFROM x\nRUN dir C:\\\nRUN a `\n b\n", &file, &err), 0);
    assert_int_equal(file.count, 3);
    assert_string_equal(file.instructions[1].text, "dir C:\\");
    assert_string_equal(file.instructions[2].text, "a  b");
    assert_int_equal(file.escape, '`');
}

static void test_exec_forms_that_are_not_lists_of_texts_are_shell_forms(void **state)
{
    (void)state;
    struct dockerfile file;
    struct err err;
    assert_int_equal(parse("FROM x\nRUN ['a']\nRUN [1]\nRUN [ -f /x ] && y\nCMD []\n", &file, &err),
                     0);
    assert_false(file.instructions[1].is_exec);
    assert_false(file.instructions[2].is_exec);
    assert_false(file.instructions[3].is_exec);
    assert_true(file.instructions[4].is_exec);
    assert_int_equal(file.instructions[4].word_count, 0);
}

static void test_heredocs_are_taken_whole(void **state)
{
    (void)state;
    struct dockerfile file;
    struct err err;
    const char *text = "FROM x\n"
                       "RUN <<EOF\n"
                       "echo $A\n"
                       "# not a comment\n"
                       "EOF\n"
                       "COPY <<-\"one\" <<two /dir/\n"
                       "\tliteral $A\n"
                       "\tone\n"
                       "\tkept\n"
                       "two\n"
                       "RUN cat <<<word\n"
                       "RUN a << 3\n";
    assert_int_equal(parse(text, &file, &err), 0);
    assert_int_equal(file.count, 5);
    assert_string_equal(file.instructions[1].heredocs[0].body, "echo $A\n# not a comment\n");
    assert_true(file.instructions[1].heredocs[0].expands);
    assert_int_equal(file.instructions[2].heredoc_count, 2);
    assert_string_equal(file.instructions[2].heredocs[0].body, "literal $A\n");
    assert_false(file.instructions[2].heredocs[0].expands);
    assert_string_equal(file.instructions[2].heredocs[1].body, "\tkept\n");
    assert_int_equal(file.instructions[3].heredoc_count, 0);
    assert_int_equal(file.instructions[4].heredoc_count, 0);
}

static void test_bad_files_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *part;
    } bad[] = {
        {"", "no FROM"},
        {"# only\n", "no FROM"},
        {"ARG x\n", "no FROM"},
        {"RUN x\nFROM y\n", "Dockerfile:1: "},
        {"FROM x\nNONSENSE y\n", "Dockerfile:2: "},
        {"FROM\n", "Dockerfile:1: "},
        {"FROM x\nRUN <<EOF\nno end\n", "Dockerfile:2: "},
        {"FROM x\nSHELL sh\n", "Dockerfile:2: "},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct dockerfile file;
        struct err err = {.code = 0};
        assert_int_equal(parse(bad[i].text, &file, &err), ERR_MALFORMED);
        assert_non_null(strstr(err.text, bad[i].part));
    }
}

static const char *lookup(void *context, const char *name, size_t size)
{
    (void)context;
    if (size == 1 && name[0] == 'a') {
        return "A";
    }
    if (size == 5 && memcmp(name, "empty", 5) == 0) {
        return "";
    }
    return NULL;
}

static void test_variables_are_expanded_as_the_reference_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *result;
    } cases[] = {
        {"$a-${a}", "A-A"},       {"$none|", "|"},     {"${none:-w}", "w"},
        {"${empty:-w}", "w"},     {"${empty-w}", ""},  {"${none-w}", "w"},
        {"${a:+w}", "w"},         {"${empty:+w}", ""}, {"${empty+w}", "w"},
        {"${none:-${a}x}", "Ax"}, {"\\$a", "$a"},      {"'$a'", "$a"},
        {"\"$a b\"", "A b"},      {"a$", "a$"},        {"$1", "$1"},
        {"\"a\\b\"", "a\\b"},     {"a\\ b", "a b"},
    };
    const struct expand expand = {.lookup = lookup, .escape = '\\', .arena = &arena};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *result = NULL;
        struct err err;
        assert_int_equal(expand_text(&expand, cases[i].text, &result, &err), 0);
        assert_string_equal(result, cases[i].result);
    }
    static const char *const bad[] = {"${a", "${}", "${a:?x}", "\"open", "${a:}", "${-x}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *result = NULL;
        struct err err;
        assert_int_equal(expand_text(&expand, bad[i], &result, &err), ERR_MALFORMED);
    }
    const char *words[4];
    uint32_t count = 0;
    struct err err;
    assert_int_equal(expand_words(&expand, " x=\"$a b\"  y='c d' z ", words, 4, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_string_equal(words[0], "x=A b");
    assert_string_equal(words[1], "y=c d");
}

static void test_patterns_match_as_in_go(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *path;
        bool is_match;
    } cases[] = {
        {"*.go", "a.go", true},    {"*.go", "d/a.go", false}, {"**/*.go", "d/e/a.go", true},
        {"**/*.go", "a.go", true}, {"a?c", "abc", true},      {"a?c", "a/c", false},
        {"[a-c]x", "bx", true},    {"[^a-c]x", "bx", false},  {"[]a]", "]", true},
        {"\\*", "*", true},        {"\\*", "x", false},       {"[", "[", false},
        {"d/**", "d/a/b", true},   {"a*b*c", "aXbYc", true},  {"", "", true},
        {"*", "", true},           {"?", "", false},          {"a**b", "axxb", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) - 1; i++) {
        assert_int_equal(glob_match(cases[i].pattern, cases[i].path), cases[i].is_match);
    }
    char stars[200];
    memset(stars, '*', sizeof(stars) - 1);
    for (size_t i = 1; i < sizeof(stars) - 1; i += 2) {
        stars[i] = 'a';
    }
    stars[sizeof(stars) - 1] = '\0';
    assert_false(
        glob_match(stars, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
}

static void test_the_last_ignore_rule_that_matches_decides(void **state)
{
    (void)state;
    struct ignore ignore;
    const char *text =
        "# comment\n\n/node_modules/\n*.log\n!keep.log\n**/tmp\nsecret*\n!secret.pub\n";
    ignore_parse(bytes_from_text(text), &arena, &ignore);
    assert_int_equal(ignore.count, 6);
    assert_true(ignore_matches(&ignore, "node_modules"));
    assert_true(ignore_matches(&ignore, "node_modules/a/b"));
    assert_true(ignore_matches(&ignore, "x.log"));
    assert_false(ignore_matches(&ignore, "keep.log"));
    assert_false(ignore_matches(&ignore, "d/x.log"));
    assert_true(ignore_matches(&ignore, "a/b/tmp/c"));
    assert_true(ignore_matches(&ignore, "secret.key"));
    assert_false(ignore_matches(&ignore, "secret.pub"));
    assert_false(ignore_matches(&ignore, "src/main.c"));
}

static int drop_arena(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_joined_and_comments_left_out),
        cmocka_unit_test(test_the_escape_character_can_be_chosen),
        cmocka_unit_test(test_exec_forms_that_are_not_lists_of_texts_are_shell_forms),
        cmocka_unit_test(test_heredocs_are_taken_whole),
        cmocka_unit_test(test_bad_files_are_refused_with_their_line),
        cmocka_unit_test(test_variables_are_expanded_as_the_reference_says),
        cmocka_unit_test(test_patterns_match_as_in_go),
        cmocka_unit_test(test_the_last_ignore_rule_that_matches_decides),
    };
    return cmocka_run_group_tests(tests, NULL, drop_arena);
}
