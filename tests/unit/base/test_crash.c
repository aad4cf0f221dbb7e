#include "tests/support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/check.h"
#include "base/crash.h"
#include "base/exit_code.h"

static void die_of_check(void)
{
    check_failed("some/file.c", 12, "a \"quoted\" thing");
}

static void die_of_bad_memory(void)
{
    (void)raise(SIGSEGV);
}

/* Runs die() in a child; the line it left. The caller owns it. */
static json_t *last_words(void (*die)(void), int *ret_status)
{
    int ends[2];
    char text[8192] = "";
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        crash_install("test", &ends[1], 1);
        die();
        _exit(0);
    }
    (void)close(ends[1]);
    size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < sizeof text - 1; size += (size_t)(got > 0 ? got : 0)) {
        got = read(ends[0], text + size, sizeof text - 1 - size);
    }
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, ret_status, 0), child);
    assert_non_null(strchr(text, '\n'));
    assert_string_equal(strchr(text, '\n'), "\n"); /* one line */
    json_t *line = json_loads(text, 0, NULL);
    assert_non_null(line);
    return line;
}

static const char *field(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

static void test_a_failed_check_becomes_a_line_of_the_log(void **state)
{
    (void)state;
    int status = 0;
    json_t *line = last_words(die_of_check, &status);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_CRASHED);
    assert_string_equal(field(line, "level"), "fatal");
    assert_string_equal(field(line, "signal"), "SIGABRT");
    assert_string_equal(field(line, "check"), "some/file.c:12: a \"quoted\" thing");
    json_decref(line);
}

static void test_a_fatal_signal_leaves_a_backtrace_within_the_program(void **state)
{
    (void)state;
    int status = 0;
    json_t *line = last_words(die_of_bad_memory, &status);
    assert_int_equal(WEXITSTATUS(status), EXIT_CRASHED);
    assert_string_equal(field(line, "signal"), "SIGSEGV");
    assert_null(field(line, "check"));
    assert_int_equal(json_integer_value(json_object_get(line, "exit-code")), EXIT_CRASHED);
    int own = 0;
    size_t index;
    json_t *frame;
    json_array_foreach(json_object_get(line, "backtrace"), index, frame)
    {
        own += strncmp(json_string_value(frame), "test+0x", 7) == 0;
    }
    assert_true(own > 0);
    const char *time = field(line, "ts");
    assert_int_equal(strlen(time), strlen("2026-01-01T00:00:00.000000Z"));
    assert_int_equal(strncmp(time, "20", 2), 0);
    json_decref(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failed_check_becomes_a_line_of_the_log),
        cmocka_unit_test(test_a_fatal_signal_leaves_a_backtrace_within_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
