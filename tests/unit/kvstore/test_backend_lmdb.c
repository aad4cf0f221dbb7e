/* What only a file can suffer: damage, truncation, growth, kills, full disks; and the thread. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/prng.h"
#include "kvstore/backend/backend_thread.h"
#include "kvstore/backend/lmdb.h"

struct fixture {
    char directory[64];
    char *file;
    struct backend_lmdb_options options;
    struct backend *backend;
};

static int try_open(struct fixture *fixture, struct err *err)
{
    return backend_lmdb_open(&fixture->options, &fixture->backend, err);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    strcpy(fixture->directory, "/tmp/coracle-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->file = mem_printf("%s/data.mdb", fixture->directory);
    fixture->options = (struct backend_lmdb_options){.directory = fixture->directory};
    struct err err;
    assert_int_equal(try_open(fixture, &err), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    backend_close(fixture->backend);
    (void)remove(fixture->file);
    assert_int_equal(rmdir(fixture->directory), 0);
    mem_free(fixture->file);
    mem_free(fixture);
    return 0;
}

static void close_backend(struct fixture *fixture)
{
    backend_close(fixture->backend);
    fixture->backend = NULL;
}

static void put_sized(struct backend_batch *batch, uint64_t main, char fill, size_t size)
{
    struct blob *value = blob_new(size);
    memset(value->data, fill, size);
    backend_batch_put(batch, (struct backend_revision){main, 0}, false, value);
    blob_unref(value);
}

static struct backend_batch *one_put(uint64_t sequence, uint64_t main, char fill, size_t size)
{
    struct backend_batch *batch = backend_batch_new(sequence);
    put_sized(batch, main, fill, size);
    backend_batch_set_applied(batch, (struct backend_position){main, 1});
    return batch;
}

static void commit(struct backend *backend, struct backend_batch *batch)
{
    struct err err;
    int rc = backend_commit(backend, &batch, 1, &err);
    if (rc != 0) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, 0);
    backend_batch_free(batch);
    assert_int_equal(backend_renew(backend, &err), 0);
}

static int get(struct backend *backend, uint64_t main, struct backend_record *ret_record)
{
    struct err err;
    return backend_get(backend, (struct backend_revision){main, 0}, ret_record, &err);
}

static uint64_t count_all(struct backend *backend)
{
    struct backend_record records[100];
    struct backend_revision from = {0, 0};
    uint64_t total = 0;
    uint32_t count;
    struct err err;
    do {
        assert_int_equal(
            backend_scan(backend, from, BACKEND_REVISION_MAX, records, 100, &count, &err), 0);
        total += count;
        from = count == 0 ? from : backend_revision_next(records[count - 1].revision);
    } while (count == 100);
    return total;
}

static void test_content_survives_a_restart(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t i = 1; i <= 50; i++) {
        commit(fixture->backend, one_put(i, i, 'x', 500));
    }
    close_backend(fixture);
    struct err err;
    assert_int_equal(try_open(fixture, &err), 0);
    assert_int_equal(backend_applied(fixture->backend).index, 50);
    assert_int_equal(count_all(fixture->backend), 50);
}

static void test_a_fresh_store_is_small_and_a_few_values_make_it_larger(void **state)
{
    struct fixture *fixture = *state;
    struct backend_stats stats;
    enum { ETCD_TEST_QUOTA = 13 * 4096 };
    /* What a member writes at its start, one commit each: members, version, positions. */
    for (uint64_t i = 1; i <= 30; i++) {
        struct backend_batch *batch = backend_batch_new(i);
        char key[32];
        (void)snprintf(key, sizeof key, "member/%llu", (unsigned long long)(i % 5));
        backend_batch_meta_put(batch, bytes_from_text(key), BYTES_LITERAL("name, urls, and so on"));
        backend_batch_set_applied(batch, (struct backend_position){i, 1});
        commit(fixture->backend, batch);
    }
    backend_stats(fixture->backend, &stats);
    assert_true(stats.size_bytes < ETCD_TEST_QUOTA - 2 * 4096);
    assert_true(stats.size_in_use_bytes <= stats.size_bytes);
    for (uint64_t i = 31; i <= 36; i++) {
        commit(fixture->backend, one_put(i, i, 'v', 4096));
    }
    backend_stats(fixture->backend, &stats);
    assert_true(stats.size_bytes > ETCD_TEST_QUOTA);
    struct backend_batch *batch = backend_batch_new(40);
    backend_batch_delete_range(batch, (struct backend_revision){0, 0},
                               (struct backend_revision){36, 0});
    commit(fixture->backend, batch);
    struct err err;
    assert_int_equal(backend_defragment(fixture->backend, &err), 0);
    assert_int_equal(backend_renew(fixture->backend, &err), 0);
    backend_stats(fixture->backend, &stats);
    assert_true(stats.size_bytes < ETCD_TEST_QUOTA);
    assert_int_equal(count_all(fixture->backend), 1);
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

static void test_a_flipped_bit_in_a_value_is_reported_by_every_reader(void **state)
{
    struct fixture *fixture = *state;
    commit(fixture->backend, one_put(1, 1, 'a', 600));
    commit(fixture->backend, one_put(2, 2, 'b', 600));
    close_backend(fixture);
    damage_value(fixture->file, 'b');
    struct err err;
    assert_int_equal(try_open(fixture, &err), 0);
    struct backend_record records[4];
    uint32_t count;
    assert_int_equal(get(fixture->backend, 1, &records[0]), 0);
    assert_int_equal(get(fixture->backend, 2, &records[0]), ERR_CORRUPT);
    assert_int_equal(backend_scan(fixture->backend, (struct backend_revision){0, 0},
                                  BACKEND_REVISION_MAX, records, 4, &count, &err),
                     ERR_CORRUPT);
    struct backend_snapshot *snapshot;
    struct backend_item items[4];
    assert_int_equal(backend_snapshot_open(fixture->backend, 0, &snapshot, &err), 0);
    assert_int_equal(backend_snapshot_next(snapshot, items, 4, &count, &err), ERR_CORRUPT);
    backend_snapshot_close(snapshot);
}

static void test_a_truncated_file_is_refused_and_does_not_kill_the_process(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t i = 1; i <= 200; i++) {
        commit(fixture->backend, one_put(i, i, 'x', 3000));
    }
    struct backend_stats stats;
    backend_stats(fixture->backend, &stats);
    close_backend(fixture);
    struct err err;
    for (uint64_t size = stats.size_bytes - 4096; size > 8192; size /= 2) {
        assert_int_equal(truncate(fixture->file, (off_t)size), 0);
        assert_int_equal(try_open(fixture, &err), ERR_CORRUPT);
        assert_null(fixture->backend);
    }
    assert_non_null(strstr(err.text, "truncated"));
    assert_int_equal(truncate(fixture->file, 100), 0);
    assert_int_equal(try_open(fixture, &err), ERR_CORRUPT);
}

static void test_a_file_of_something_else_is_refused(void **state)
{
    struct fixture *fixture = *state;
    close_backend(fixture);
    CLEANUP(file) FILE *file = fopen(fixture->file, "wb");
    assert_non_null(file);
    for (int i = 0; i < 4096; i++) {
        assert_true(fputs("not a store\n", file) >= 0);
    }
    assert_int_equal(fflush(file), 0);
    struct err err;
    assert_int_equal(try_open(fixture, &err), ERR_CORRUPT);
}

static void test_leftovers_of_an_interrupted_copy_are_removed(void **state)
{
    struct fixture *fixture = *state;
    commit(fixture->backend, one_put(1, 1, 'x', 10));
    close_backend(fixture);
    CLEANUP(free) char *leftover = mem_printf("%s/incoming-3.mdb", fixture->directory);
    FILE *file = fopen(leftover, "wb");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    struct err err;
    assert_int_equal(try_open(fixture, &err), 0);
    assert_int_equal(access(leftover, F_OK), -1);
    assert_int_equal(count_all(fixture->backend), 1);
}

static void test_the_map_grows_when_it_must(void **state)
{
    struct fixture *fixture = *state;
    close_backend(fixture);
    fixture->options.map_size_bytes = 1 << 20;
    struct err err;
    assert_int_equal(try_open(fixture, &err), 0);
    for (uint64_t i = 1; i <= 300; i++) {
        commit(fixture->backend, one_put(i, i, 'x', 20000)); /* 6 MB */
    }
    assert_int_equal(count_all(fixture->backend), 300);
    struct backend_stats stats;
    backend_stats(fixture->backend, &stats);
    assert_true(stats.map_size_bytes >= 8 << 20);
}

static void test_an_old_snapshot_ends_itself(void **state)
{
    struct fixture *fixture = *state;
    commit(fixture->backend, one_put(1, 1, 'x', 10));
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
    struct fixture *fixture = *state;
    for (uint64_t i = 1; i <= 20; i++) {
        commit(fixture->backend, one_put(i, i, 'x', 100));
    }
    struct backend_snapshot *snapshot;
    struct backend_item items[64];
    uint32_t count;
    struct err err;
    assert_int_equal(backend_snapshot_open(fixture->backend, 0, &snapshot, &err), 0);
    assert_int_equal(backend_defragment(fixture->backend, &err), 0);
    for (uint64_t i = 21; i <= 30; i++) {
        commit(fixture->backend, one_put(i, i, 'x', 100));
    }
    assert_int_equal(backend_snapshot_next(snapshot, items, 64, &count, &err), 0);
    assert_int_equal(count, 20);
    backend_snapshot_close(snapshot);
    assert_int_equal(count_all(fixture->backend), 30);
}

/* ---- In a child process ---- */

/* Commits forever; each commit's effects are a function of its applied index. */
static _Noreturn void commit_until_killed(struct fixture *fixture, uint64_t seed)
{
    struct err err;
    if (try_open(fixture, &err) != 0) {
        _exit(9);
    }
    uint64_t index = backend_applied(fixture->backend).index;
    struct prng prng;
    prng_init(&prng, seed);
    for (;;) {
        index++;
        struct backend_batch *batch = backend_batch_new(index);
        put_sized(batch, index, (char)('a' + index % 26), 100 + index % 5000);
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

static void check_effects(struct fixture *fixture, uint64_t acknowledged)
{
    struct err err;
    assert_int_equal(try_open(fixture, &err), 0);
    uint64_t index = backend_applied(fixture->backend).index;
    assert_true(index >= acknowledged); /* only the process died */
    struct bytes value;
    assert_int_equal(backend_meta_get(fixture->backend, BYTES_LITERAL("index"), &value, &err), 0);
    char text[32];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)index);
    assert_true(bytes_equal(value, bytes_from_text(text)));
    assert_int_equal(count_all(fixture->backend), index < 50 ? index : 50);
    for (uint64_t i = index > 50 ? index - 49 : 1; i <= index; i++) {
        struct backend_record record;
        assert_int_equal(get(fixture->backend, i, &record), 0);
        assert_int_equal(record.value.size, 100 + i % 5000);
        assert_int_equal(record.value.data[0], 'a' + i % 26);
    }
    close_backend(fixture);
}

static void test_a_killed_process_leaves_exactly_the_applied_effects(void **state)
{
    struct fixture *fixture = *state;
    close_backend(fixture);
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
static int fill_disk(struct fixture *fixture)
{
    struct err err;
    struct backend_position durable;
    if (try_open(fixture, &err) != 0) {
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
        batch = one_put(index, index, 'x', 20000);
        rc = backend_commit(fixture->backend, &batch, 1, &err);
    }
    if (rc != ERR_NO_SPACE) {
        return 3;
    }
    /* Reading goes on, a small deletion fits, and after space came back so does the batch. */
    struct backend_record record;
    if (backend_renew(fixture->backend, &err) != 0 || get(fixture->backend, 1, &record) != 0) {
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
    close_backend(fixture);
    return 0;
}

static void test_a_full_disk_is_refused_without_harm_and_not_for_ever(void **state)
{
    struct fixture *fixture = *state;
    close_backend(fixture);
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
    assert_int_equal(try_open(fixture, &err), 0);
    assert_int_equal(count_all(fixture->backend), backend_applied(fixture->backend).index);
}

/* ---- The thread ---- */

static void wake(void *context)
{
    uint64_t one = 1;
    if (write(*(int *)context, &one, sizeof one) != sizeof one) {
        abort();
    }
}

struct threaded {
    struct fixture *fixture;
    int fd;
    struct backend_thread *thread;
};

static void start(struct threaded *threaded, struct fixture *fixture, uint32_t interval_ms,
                  uint64_t map_size_bytes)
{
    threaded->fixture = fixture;
    threaded->fd = eventfd(0, EFD_CLOEXEC);
    close_backend(fixture);
    fixture->options.renew_wanted = wake;
    fixture->options.context = &threaded->fd;
    fixture->options.map_size_bytes = map_size_bytes;
    struct err err;
    assert_int_equal(try_open(fixture, &err), 0);
    const struct backend_thread_options options = {
        .batch_interval_ms = interval_ms, .wake = wake, .context = &threaded->fd};
    assert_int_equal(backend_thread_start(fixture->backend, &options, &threaded->thread, &err), 0);
}

static void stop(struct threaded *threaded)
{
    backend_thread_stop(threaded->thread);
    assert_int_equal(close(threaded->fd), 0);
    threaded->fixture->options.renew_wanted = NULL;
}

/* The next completion, as a core's loop waits for it: renewing whenever it is woken. */
static struct backend_done wait_for(struct threaded *threaded, enum backend_done_type type)
{
    struct backend_done done;
    struct err err;
    for (;;) {
        while (backend_thread_take_done(threaded->thread, &done)) {
            assert_int_equal(backend_renew(threaded->fixture->backend, &err), 0);
            if (done.type == type) {
                return done;
            }
            assert_int_not_equal(done.type, BACKEND_DONE_FAILED);
        }
        struct pollfd poll_fd = {.fd = threaded->fd, .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, 30000), 1);
        uint64_t count;
        assert_int_equal(read(threaded->fd, &count, sizeof count), sizeof count);
        assert_int_equal(backend_renew(threaded->fixture->backend, &err), 0);
    }
}

static void test_the_thread_stores_in_order_and_reports_what_is_durable(void **state)
{
    struct threaded threaded;
    start(&threaded, *state, 0, 0);
    struct backend *backend = threaded.fixture->backend;
    for (uint64_t i = 1; i <= 200; i++) {
        backend_thread_take_batch(threaded.thread, one_put(i, i, 'x', 100));
    }
    struct backend_done done;
    do {
        done = wait_for(&threaded, BACKEND_DONE_COMMIT);
        assert_int_equal(done.code, 0);
        assert_int_equal(backend_applied(backend).index >= done.applied.index, 1);
    } while (done.sequence < 200);
    assert_int_equal(count_all(backend), 200);
    assert_int_equal(backend_thread_pending_bytes(threaded.thread), 0);
    backend_thread_sync(threaded.thread);
    done = wait_for(&threaded, BACKEND_DONE_SYNC);
    assert_int_equal(done.durable.index, 200);
    backend_thread_take_batch(threaded.thread, one_put(201, 201, 'x', 100));
    stop(&threaded); /* stores it */
    struct err err;
    assert_int_equal(backend_renew(backend, &err), 0);
    assert_int_equal(count_all(backend), 201);
}

static void test_the_thread_waits_for_company_but_not_before_a_sync(void **state)
{
    struct threaded threaded;
    start(&threaded, *state, 3600 * 1000, 0); /* an hour */
    for (uint64_t i = 1; i <= 5; i++) {
        backend_thread_take_batch(threaded.thread, one_put(i, i, 'x', 100));
    }
    backend_thread_sync(threaded.thread);
    struct backend_done done = wait_for(&threaded, BACKEND_DONE_COMMIT);
    assert_int_equal(done.sequence, 5); /* all in one */
    done = wait_for(&threaded, BACKEND_DONE_SYNC);
    assert_int_equal(done.durable.index, 5);
    stop(&threaded);
}

static void test_the_thread_defragments_and_restores(void **state)
{
    struct threaded threaded;
    start(&threaded, *state, 0, 0);
    struct backend *backend = threaded.fixture->backend;
    for (uint64_t i = 1; i <= 50; i++) {
        backend_thread_take_batch(threaded.thread, one_put(i, i, 'x', 5000));
    }
    backend_thread_defragment(threaded.thread);
    struct backend_done done = wait_for(&threaded, BACKEND_DONE_DEFRAGMENT);
    assert_int_equal(done.code, 0);
    assert_int_equal(done.sequence, 50);
    assert_int_equal(count_all(backend), 50);
    backend_thread_restore_start(threaded.thread);
    for (uint64_t i = 1; i <= 3; i++) {
        backend_thread_restore_take_batch(threaded.thread, one_put(i, 1000 + i, 'y', 50));
    }
    backend_thread_restore_finish(threaded.thread);
    done = wait_for(&threaded, BACKEND_DONE_RESTORE);
    assert_int_equal(done.code, 0);
    assert_int_equal(done.applied.index, 1003);
    assert_int_equal(done.durable.index, 1003);
    assert_int_equal(count_all(backend), 3);
    assert_int_equal(backend_applied(backend).index, 1003);
    backend_thread_restore_start(threaded.thread);
    backend_thread_restore_take_batch(threaded.thread, one_put(9, 2000, 'z', 50));
    backend_thread_restore_cancel(threaded.thread);
    backend_thread_take_batch(threaded.thread, one_put(60, 1004, 'y', 50));
    done = wait_for(&threaded, BACKEND_DONE_COMMIT);
    assert_int_equal(done.applied.index, 1004);
    assert_int_equal(count_all(backend), 4);
    stop(&threaded);
}

static void test_the_map_grows_under_a_reading_core_and_cancels_snapshots(void **state)
{
    struct threaded threaded;
    start(&threaded, *state, 0, 1 << 20);
    struct backend *backend = threaded.fixture->backend;
    struct err err;
    backend_thread_take_batch(threaded.thread, one_put(1, 1, 'x', 1000));
    (void)wait_for(&threaded, BACKEND_DONE_COMMIT);
    struct backend_snapshot *snapshot;
    assert_int_equal(backend_snapshot_open(backend, 0, &snapshot, &err), 0);
    backend_thread_take_batch(threaded.thread, one_put(2, 2, 'x', 4 << 20));
    /* The snapshot's reader meets the end of its life; then nothing holds the old map. */
    struct backend_item items[1];
    uint32_t count;
    int rc = 0;
    while (rc == 0) {
        rc = backend_snapshot_next(snapshot, items, 1, &count, &err);
        assert_int_equal(backend_renew(backend, &err), 0);
    }
    assert_int_equal(rc, ERR_CANCELLED);
    backend_snapshot_close(snapshot);
    struct backend_done done = wait_for(&threaded, BACKEND_DONE_COMMIT);
    assert_int_equal(done.sequence, 2);
    assert_int_equal(count_all(backend), 2);
    assert_int_equal(backend_snapshot_open(backend, 0, &snapshot, &err), 0);
    backend_snapshot_close(snapshot);
    stop(&threaded);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_content_survives_a_restart),
        TEST(test_a_fresh_store_is_small_and_a_few_values_make_it_larger),
        TEST(test_a_flipped_bit_in_a_value_is_reported_by_every_reader),
        TEST(test_a_truncated_file_is_refused_and_does_not_kill_the_process),
        TEST(test_a_file_of_something_else_is_refused),
        TEST(test_leftovers_of_an_interrupted_copy_are_removed),
        TEST(test_the_map_grows_when_it_must),
        TEST(test_an_old_snapshot_ends_itself),
        TEST(test_a_snapshot_outlives_defragment_and_sees_its_own_state),
        TEST(test_a_killed_process_leaves_exactly_the_applied_effects),
        TEST(test_a_full_disk_is_refused_without_harm_and_not_for_ever),
        TEST(test_the_thread_stores_in_order_and_reports_what_is_durable),
        TEST(test_the_thread_waits_for_company_but_not_before_a_sync),
        TEST(test_the_thread_defragments_and_restores),
        TEST(test_the_map_grows_under_a_reading_core_and_cancels_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
