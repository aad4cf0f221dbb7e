/* Golden scenarios: each tests/scenario/<name>.txt must give the trace that it expects.
 *
 *   test_scenario                  all of them, as ctest runs it
 *   test_scenario --rewrite        write the traces that come out; review the difference, then
 * commit
 */
#include "tests/support/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/support/raft_scenario.h"

#define FOLDER "tests/scenario/"

enum { SCENARIOS_MAX = 128 };

static char *names[SCENARIOS_MAX];
static int name_count;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void find_scenarios(void)
{
    DIR *folder = opendir(FOLDER);
    if (folder == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        size_t size = strlen(entry->d_name);
        if (size > 4 && strcmp(entry->d_name + size - 4, ".txt") == 0 &&
            strcmp(entry->d_name, "CMakeLists.txt") != 0 && name_count < SCENARIOS_MAX) {
            names[name_count++] = mem_printf(FOLDER "%s", entry->d_name);
        }
    }
    (void)closedir(folder);
    qsort(names, (size_t)name_count, sizeof names[0], by_name);
}

static void read_file(const char *path, struct buf *out)
{
    CLEANUP(file) FILE *file = fopen(path, "re");
    assert_non_null(file);
    char chunk[4096];
    size_t size = 0;
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0) {
        buf_append(out, chunk, size);
    }
}

static void print_difference(const char *path, const char *wanted, const char *got)
{
    int line = 1;
    while (*wanted != '\0' && *wanted == *got) {
        line += *wanted == '\n' ? 1 : 0;
        wanted++;
        got++;
    }
    printf("%s:%d: wanted '%.*s', got '%.*s' (from where they differ)\n", path, line,
           (int)strcspn(wanted, "\n"), wanted, (int)strcspn(got, "\n"), got);
}

static void test_every_scenario_gives_the_trace_it_expects(void **state)
{
    (void)state;
    int wrong = 0;
    for (int i = 0; i < name_count; i++) {
        CLEANUP(buf) struct buf wanted = BUF_INIT;
        CLEANUP(buf) struct buf got = BUF_INIT;
        struct err err;
        read_file(names[i], &wanted);
        if (raft_scenario_run(buf_text(&wanted), &got, &err) != 0) {
            printf("%s: %s\n", names[i], err.text);
            wrong++;
            continue;
        }
        if (!bytes_equal(buf_bytes(&wanted), buf_bytes(&got))) {
            print_difference(names[i], buf_text(&wanted), buf_text(&got));
            wrong++;
        }
    }
    assert_true(name_count >= 12);
    assert_int_equal(wrong, 0);
}

static int rewrite(void)
{
    for (int i = 0; i < name_count; i++) {
        CLEANUP(buf) struct buf before = BUF_INIT;
        CLEANUP(buf) struct buf after = BUF_INIT;
        struct err err;
        read_file(names[i], &before);
        if (raft_scenario_run(buf_text(&before), &after, &err) != 0) {
            printf("%s: %s\n", names[i], err.text);
            return 1;
        }
        if (bytes_equal(buf_bytes(&before), buf_bytes(&after))) {
            continue;
        }
        CLEANUP(file) FILE *file = fopen(names[i], "we");
        if (file == NULL ||
            fwrite(buf_text(&after), 1, buf_size(&after), file) < buf_size(&after)) {
            return 1;
        }
        printf("rewrote %s\n", names[i]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    find_scenarios();
    if (argc == 2 && strcmp(argv[1], "--rewrite") == 0) {
        return rewrite();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_scenario_gives_the_trace_it_expects),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < name_count; i++) {
        mem_free(names[i]);
    }
    return rc;
}
