/* What only a file can suffer: damage, truncation, growth, kills, full disks. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/prng.h"
#include "tests/unit/kvstore/store_fixture.h"

static void test_content_survives_a_restart(void **state)
{
    struct store_fixture *fixture = *state;
    for (uint64_t i = 1; i <= 50; i++) {
        store_commit(fixture->backend, store_one_put(i, i, 'x', 500));
    }
    store_close(fixture);
    struct err err;
    assert_int_equal(store_try_open(fixture, &err), 0);
    assert_int_equal(backend_applied(fixture->backend).index, 50);
    assert_int_equal(store_count(fixture->backend), 50);
}

static void test_a_fresh_store_is_small_and_a_few_values_make_it_larger(void **state)
{
    struct store_fixture *fixture = *state;
    struct backend_stats stats;
    enum { ETCD_TEST_QUOTA = 13 * 4096 };
    /* What a member writes at its start, one commit each: members, version, positions. */
    for (uint64_t i = 1; i <= 30; i++) {
        struct backend_batch *batch = backend_batch_new(i);
        char key[32];
        (void)snprintf(key, sizeof key, "member/%llu", (unsigned long long)(i % 5));
        backend_batch_meta_put(batch, bytes_from_text(key), BYTES_LITERAL("name, urls, and so on"));
        backend_batch_set_applied(batch, (struct backend_position){i, 1});
        store_commit(fixture->backend, batch);
    }
    backend_stats(fixture->backend, &stats);
    assert_true(stats.size_bytes < ETCD_TEST_QUOTA - 2 * 4096);
    assert_true(stats.size_in_use_bytes <= stats.size_bytes);
    for (uint64_t i = 31; i <= 36; i++) {
        store_commit(fixture->backend, store_one_put(i, i, 'v', 4096));
    }
    backend_stats(fixture->backend, &stats);
    assert_true(stats.size_bytes > ETCD_TEST_QUOTA);
    struct backend_batch *batch = backend_batch_new(40);
    backend_batch_delete_range(batch, (struct backend_revision){0, 0},
                               (struct backend_revision){36, 0});
    store_commit(fixture->backend, batch);
    struct err err;
    assert_int_equal(backend_defragment(fixture->backend, &err), 0);
    assert_int_equal(backend_renew(fixture->backend, &err), 0);
    backend_stats(fixture->backend, &stats);
    assert_true(stats.size_bytes < ETCD_TEST_QUOTA);
    assert_int_equal(store_count(fixture->backend), 1);
}

/* Find a run of fill bytes in the file and flip one bit of it. */
static void damage_value(const char *path, char fill)
{
    CLEANUP(file) FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    char window[64];
    char wanted[64];
    memset(wanted, fill, sizeof wanted);
    for (long at = 0;; at += 16) {
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_int_equal(fread(window, 1, sizeof window, file), sizeof window);
        if (memcmp(window, wanted, sizeof window) == 0) {
            assert_int_equal(fseek(file, at + 7, SEEK_SET), 0);
            assert_int_equal(fputc(fill ^ 0x10, file), fill ^ 0x10);
            return;
        }
    }
}

static void test_a_value_damaged_under_a_running_store_is_reported_by_every_reader(void **state)
{
    struct store_fixture *fixture = *state;
    store_commit(fixture->backend, store_one_put(1, 1, 'a', 600));
    store_commit(fixture->backend, store_one_put(2, 2, 'b', 600));
    damage_value(fixture->file, 'b'); /* seen through the map */
    struct err err;
    struct backend_record records[4];
    uint32_t count;
    assert_int_equal(store_get(fixture->backend, 1, &records[0]), 0);
    assert_int_equal(store_get(fixture->backend, 2, &records[0]), ERR_CORRUPT);
    assert_int_equal(backend_scan(fixture->backend, (struct backend_revision){0, 0},
                                  BACKEND_REVISION_MAX, records, 4, &count, &err),
                     ERR_CORRUPT);
    struct backend_snapshot *snapshot;
    struct backend_item items[4];
    assert_int_equal(backend_snapshot_open(fixture->backend, 0, &snapshot, &err), 0);
    assert_int_equal(backend_snapshot_next(snapshot, items, 4, &count, &err), ERR_CORRUPT);
    backend_snapshot_close(snapshot);
    store_close(fixture);
    assert_int_equal(store_try_open(fixture, &err), ERR_CORRUPT); /* and by the next start */
}

static void test_a_truncated_file_is_refused_and_does_not_kill_the_process(void **state)
{
    struct store_fixture *fixture = *state;
    for (uint64_t i = 1; i <= 200; i++) {
        store_commit(fixture->backend, store_one_put(i, i, 'x', 3000));
    }
    struct backend_stats stats;
    backend_stats(fixture->backend, &stats);
    store_close(fixture);
    struct err err;
    for (uint64_t size = stats.size_bytes - 4096; size > 8192; size /= 2) {
        assert_int_equal(truncate(fixture->file, (off_t)size), 0);
        assert_int_equal(store_try_open(fixture, &err), ERR_CORRUPT);
        assert_null(fixture->backend);
    }
    assert_non_null(strstr(err.text, "truncated"));
    assert_int_equal(truncate(fixture->file, 100), 0);
    assert_int_equal(store_try_open(fixture, &err), ERR_CORRUPT);
}

static void test_a_file_of_something_else_is_refused(void **state)
{
    struct store_fixture *fixture = *state;
    store_close(fixture);
    CLEANUP(file) FILE *file = fopen(fixture->file, "wb");
    assert_non_null(file);
    for (int i = 0; i < 4096; i++) {
        assert_true(fputs("not a store\n", file) >= 0);
    }
    assert_int_equal(fflush(file), 0);
    struct err err;
    assert_int_equal(store_try_open(fixture, &err), ERR_CORRUPT);
}

static void test_leftovers_of_an_interrupted_copy_are_removed(void **state)
{
    struct store_fixture *fixture = *state;
    store_commit(fixture->backend, store_one_put(1, 1, 'x', 10));
    store_close(fixture);
    CLEANUP(free) char *leftover = mem_printf("%s/incoming-3.mdb", fixture->directory);
    FILE *file = fopen(leftover, "wb");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    struct err err;
    assert_int_equal(store_try_open(fixture, &err), 0);
    assert_int_equal(access(leftover, F_OK), -1);
    assert_int_equal(store_count(fixture->backend), 1);
}

static void test_the_map_grows_when_it_must(void **state)
{
    struct store_fixture *fixture = *state;
    store_close(fixture);
    fixture->options.map_size_bytes = 1 << 20;
    struct err err;
    assert_int_equal(store_try_open(fixture, &err), 0);
    for (uint64_t i = 1; i <= 300; i++) {
        store_commit(fixture->backend, store_one_put(i, i, 'x', 20000)); /* 6 MB */
    }
    assert_int_equal(store_count(fixture->backend), 300);
    struct backend_stats stats;
    backend_stats(fixture->backend, &stats);
    assert_true(stats.map_size_bytes >= 8 << 20);
}

static void test_an_old_snapshot_ends_itself(void **state)
{
    struct store_fixture *fixture = *state;
    store_commit(fixture->backend, store_one_put(1, 1, 'x', 10));
    struct backend_snapshot *snapshot;
    struct backend_item items[4];
    uint32_t count;
    struct err err;
    assert_int_equal(backend_snapshot_open(fixture->backend, 1, &snapshot, &err), 0);
    int rc = 0;
    for (uint64_t turn = 0; rc == 0; turn++) { /* ends when the clock has moved by 1 ms */
        rc = backend_snapshot_next(snapshot, items, 4, &count, &err);
    }
    assert_int_equal(rc, ERR_TIMEOUT);
    backend_snapshot_close(snapshot);
}

static void test_a_snapshot_outlives_defragment_and_sees_its_own_state(void **state)
{
    struct store_fixture *fixture = *state;
    for (uint64_t i = 1; i <= 20; i++) {
        store_commit(fixture->backend, store_one_put(i, i, 'x', 100));
    }
    struct backend_snapshot *snapshot;
    struct backend_item items[64];
    uint32_t count;
    struct err err;
    assert_int_equal(backend_snapshot_open(fixture->backend, 0, &snapshot, &err), 0);
    assert_int_equal(backend_defragment(fixture->backend, &err), 0);
    for (uint64_t i = 21; i <= 30; i++) {
        store_commit(fixture->backend, store_one_put(i, i, 'x', 100));
    }
    assert_int_equal(backend_snapshot_next(snapshot, items, 64, &count, &err), 0);
    assert_int_equal(count, 20);
    backend_snapshot_close(snapshot);
    assert_int_equal(store_count(fixture->backend), 30);
}

/* ---- In a child process ---- */

/* Commits forever; each commit's effects are a function of its applied index. */
static _Noreturn void commit_until_killed(struct store_fixture *fixture, uint64_t seed)
{
    struct err err;
    if (store_try_open(fixture, &err) != 0) {
        _exit(9);
    }
    uint64_t index = backend_applied(fixture->backend).index;
    struct prng prng;
    prng_init(&prng, seed);
    for (;;) {
        index++;
        struct backend_batch *batch = backend_batch_new(index);
        store_put_sized(batch, index, (char)('a' + index % 26), 100 + index % 5000);
        if (index > 50) {
            backend_batch_delete(batch, (struct backend_revision){index - 50, 0});
        }
        char text[32];
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)index);
        backend_batch_meta_put(batch, BYTES_LITERAL("index"), bytes_from_text(text));
        backend_batch_set_applied(batch, (struct backend_position){index, 1});
        bool is_defragmented = prng_chance(&prng, 1, 40);
        if (backend_commit(fixture->backend, &batch, 1, &err) != 0 ||
            backend_renew(fixture->backend, &err) != 0 ||
            (is_defragmented && backend_defragment(fixture->backend, &err) != 0)) {
            _exit(8);
        }
        backend_batch_free(batch);
        uint64_t done = index;
        if (write(STDOUT_FILENO, &done, sizeof done) != sizeof done) {
            _exit(7);
        }
    }
}

static void check_effects(struct store_fixture *fixture, uint64_t acknowledged)
{
    struct err err;
    assert_int_equal(store_try_open(fixture, &err), 0);
    uint64_t index = backend_applied(fixture->backend).index;
    assert_true(index >= acknowledged); /* only the process died */
    struct bytes value;
    assert_int_equal(backend_meta_get(fixture->backend, BYTES_LITERAL("index"), &value, &err), 0);
    char text[32];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)index);
    assert_true(bytes_equal(value, bytes_from_text(text)));
    assert_int_equal(store_count(fixture->backend), index < 50 ? index : 50);
    for (uint64_t i = index > 50 ? index - 49 : 1; i <= index; i++) {
        struct backend_record record;
        assert_int_equal(store_get(fixture->backend, i, &record), 0);
        assert_int_equal(record.value.size, 100 + i % 5000);
        assert_int_equal(record.value.data[0], 'a' + i % 26);
    }
    store_close(fixture);
}

static void test_a_killed_process_leaves_exactly_the_applied_effects(void **state)
{
    struct store_fixture *fixture = *state;
    store_close(fixture);
    struct prng prng;
    prng_init(&prng, 99);
    uint64_t acknowledged = 0;
    for (uint64_t round = 0; round < 12; round++) {
        int pipe_fds[2];
        assert_int_equal(pipe(pipe_fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)dup2(pipe_fds[1], STDOUT_FILENO);
            commit_until_killed(fixture, round);
        }
        assert_int_equal(close(pipe_fds[1]), 0);
        uint64_t wanted = prng_between(&prng, 1, 60);
        for (uint64_t i = 0; i < wanted; i++) {
            assert_int_equal(read(pipe_fds[0], &acknowledged, sizeof acknowledged),
                             sizeof acknowledged);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(close(pipe_fds[0]), 0);
        check_effects(fixture, acknowledged);
    }
}

/* Exit code of the child: 0 is good, else the step that went wrong. */
static int fill_disk(struct store_fixture *fixture)
{
    struct err err;
    struct backend_position durable;
    if (store_try_open(fixture, &err) != 0) {
        return 1;
    }
    const struct rlimit limit = {.rlim_cur = 4 << 20, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 2;
    }
    int rc = 0;
    uint64_t index = 0;
    struct backend_batch *batch = NULL;
    while (rc == 0 && index < 1000) {
        backend_batch_free(batch);
        index++;
        batch = store_one_put(index, index, 'x', 20000);
        rc = backend_commit(fixture->backend, &batch, 1, &err);
    }
    if (rc != ERR_NO_SPACE) {
        return 3;
    }
    /* Reading goes on, a small deletion fits, and after space came back so does the batch. */
    struct backend_record record;
    if (backend_renew(fixture->backend, &err) != 0 ||
        store_get(fixture->backend, 1, &record) != 0) {
        return 4;
    }
    const struct rlimit unlimited = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &unlimited) != 0) {
        return 5;
    }
    rc = backend_commit(fixture->backend, &batch, 1, &err);
    backend_batch_free(batch);
    if (rc != 0 || backend_sync(fixture->backend, &durable, &err) != 0 || durable.index != index) {
        return 6;
    }
    store_close(fixture);
    return 0;
}

static void test_a_full_disk_is_refused_without_harm_and_not_for_ever(void **state)
{
    struct store_fixture *fixture = *state;
    store_close(fixture);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(fill_disk(fixture));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    struct err err;
    assert_int_equal(store_try_open(fixture, &err), 0);
    assert_int_equal(store_count(fixture->backend), backend_applied(fixture->backend).index);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_set_up, store_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_content_survives_a_restart),
        TEST(test_a_fresh_store_is_small_and_a_few_values_make_it_larger),
        TEST(test_a_value_damaged_under_a_running_store_is_reported_by_every_reader),
        TEST(test_a_truncated_file_is_refused_and_does_not_kill_the_process),
        TEST(test_a_file_of_something_else_is_refused),
        TEST(test_leftovers_of_an_interrupted_copy_are_removed),
        TEST(test_the_map_grows_when_it_must),
        TEST(test_an_old_snapshot_ends_itself),
        TEST(test_a_snapshot_outlives_defragment_and_sees_its_own_state),
        TEST(test_a_killed_process_leaves_exactly_the_applied_effects),
        TEST(test_a_full_disk_is_refused_without_harm_and_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
