/* The thread that writes the backend: order, merging, completions, growth under a reading core,
 * failures. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvstore/backend/backend_thread.h"
#include "kvstore/backend/memory.h"
#include "tests/unit/kvstore/store_fixture.h"

static void wake(void *context)
{
    uint64_t one = 1;
    if (write(*(int *)context, &one, sizeof one) != sizeof one) {
        abort();
    }
}

struct threaded {
    struct store_fixture *fixture;
    int fd;
    struct backend_thread *thread;
};

static void start(struct threaded *threaded, struct store_fixture *fixture, uint32_t interval_ms,
                  uint64_t map_size_bytes)
{
    threaded->fixture = fixture;
    threaded->fd = eventfd(0, EFD_CLOEXEC);
    store_close(fixture);
    fixture->options.renew_wanted = wake;
    fixture->options.context = &threaded->fd;
    fixture->options.map_size_bytes = map_size_bytes;
    struct err err;
    assert_int_equal(store_try_open(fixture, &err), 0);
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
        backend_thread_take_batch(threaded.thread, store_one_put(i, i, 'x', 100));
    }
    struct backend_done done;
    do {
        done = wait_for(&threaded, BACKEND_DONE_COMMIT);
        assert_int_equal(done.code, 0);
        assert_int_equal(backend_applied(backend).index >= done.applied.index, 1);
    } while (done.sequence < 200);
    assert_int_equal(store_count(backend), 200);
    assert_int_equal(backend_thread_pending_bytes(threaded.thread), 0);
    backend_thread_sync(threaded.thread);
    done = wait_for(&threaded, BACKEND_DONE_SYNC);
    assert_int_equal(done.durable.index, 200);
    backend_thread_take_batch(threaded.thread, store_one_put(201, 201, 'x', 100));
    stop(&threaded); /* stores it */
    struct err err;
    assert_int_equal(backend_renew(backend, &err), 0);
    assert_int_equal(store_count(backend), 201);
}

static void test_the_thread_waits_for_company_but_not_before_a_sync(void **state)
{
    struct threaded threaded;
    start(&threaded, *state, 3600 * 1000, 0); /* an hour */
    for (uint64_t i = 1; i <= 5; i++) {
        backend_thread_take_batch(threaded.thread, store_one_put(i, i, 'x', 100));
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
        backend_thread_take_batch(threaded.thread, store_one_put(i, i, 'x', 5000));
    }
    backend_thread_defragment(threaded.thread);
    struct backend_done done = wait_for(&threaded, BACKEND_DONE_DEFRAGMENT);
    assert_int_equal(done.code, 0);
    assert_int_equal(done.sequence, 50);
    assert_int_equal(store_count(backend), 50);
    backend_thread_restore_start(threaded.thread);
    for (uint64_t i = 1; i <= 3; i++) {
        backend_thread_restore_take_batch(threaded.thread, store_one_put(i, 1000 + i, 'y', 50));
    }
    backend_thread_restore_finish(threaded.thread);
    done = wait_for(&threaded, BACKEND_DONE_RESTORE);
    assert_int_equal(done.code, 0);
    assert_int_equal(done.applied.index, 1003);
    assert_int_equal(done.durable.index, 1003);
    assert_int_equal(store_count(backend), 3);
    assert_int_equal(backend_applied(backend).index, 1003);
    backend_thread_restore_start(threaded.thread);
    backend_thread_restore_take_batch(threaded.thread, store_one_put(9, 2000, 'z', 50));
    backend_thread_restore_cancel(threaded.thread);
    backend_thread_take_batch(threaded.thread, store_one_put(60, 1004, 'y', 50));
    done = wait_for(&threaded, BACKEND_DONE_COMMIT);
    assert_int_equal(done.applied.index, 1004);
    assert_int_equal(store_count(backend), 4);
    stop(&threaded);
}

static void test_the_map_grows_under_a_reading_core_and_cancels_snapshots(void **state)
{
    struct threaded threaded;
    start(&threaded, *state, 0, 1 << 20);
    struct backend *backend = threaded.fixture->backend;
    struct err err;
    backend_thread_take_batch(threaded.thread, store_one_put(1, 1, 'x', 1000));
    (void)wait_for(&threaded, BACKEND_DONE_COMMIT);
    struct backend_snapshot *snapshot;
    assert_int_equal(backend_snapshot_open(backend, 0, &snapshot, &err), 0);
    backend_thread_take_batch(threaded.thread, store_one_put(2, 2, 'x', 4 << 20));
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
    assert_int_equal(store_count(backend), 2);
    assert_int_equal(backend_snapshot_open(backend, 0, &snapshot, &err), 0);
    backend_snapshot_close(snapshot);
    stop(&threaded);
}

static void test_stopping_while_the_map_must_grow_does_not_wait_for_ever(void **state)
{
    struct threaded threaded;
    start(&threaded, *state, 0, 1 << 20);
    backend_thread_take_batch(threaded.thread, store_one_put(1, 1, 'x', 4 << 20));
    stop(&threaded); /* the loop that would have renewed is over */
    struct err err;
    assert_int_equal(backend_renew(threaded.fixture->backend, &err), 0);
    assert_int_equal(store_count(threaded.fixture->backend), 1);
}

/* A thread on the memory backend, which fails on request. Only the thread touches it. */
static struct backend_thread *start_on_memory(struct backend *memory, int *ret_fd)
{
    *ret_fd = eventfd(0, EFD_CLOEXEC);
    const struct backend_thread_options options = {.wake = wake, .context = ret_fd};
    struct backend_thread *thread;
    struct err err;
    assert_int_equal(backend_thread_start(memory, &options, &thread, &err), 0);
    return thread;
}

static struct backend_done next_done(struct backend_thread *thread, int fd)
{
    struct backend_done done;
    while (!backend_thread_take_done(thread, &done)) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, 30000), 1);
        uint64_t count;
        assert_int_equal(read(fd, &count, sizeof count), sizeof count);
    }
    return done;
}

static void test_the_thread_reports_a_failed_commit_once_and_writes_no_more(void **state)
{
    (void)state;
    int fd;
    struct backend *memory = backend_memory_new();
    backend_memory_fail_next(memory, ERR_IO);
    struct backend_thread *thread = start_on_memory(memory, &fd);
    backend_thread_take_batch(thread, store_one_put(1, 1, 'x', 10));
    struct backend_done done = next_done(thread, fd);
    assert_int_equal(done.type, BACKEND_DONE_FAILED);
    assert_int_equal(done.code, ERR_IO);
    assert_int_equal(done.sequence, 0);
    backend_thread_take_batch(thread, store_one_put(2, 2, 'x', 10));
    backend_thread_sync(thread);
    backend_thread_stop(thread);
    assert_int_equal(backend_memory_unsynced_count(memory), 0);
    assert_int_equal(store_count(memory), 0);
    backend_close(memory);
    assert_int_equal(close(fd), 0);
}

static void test_the_thread_waits_for_space_and_goes_on_by_itself(void **state)
{
    (void)state;
    int fd;
    struct backend *memory = backend_memory_new();
    backend_memory_fail_next(memory, ERR_NO_SPACE);
    struct backend_thread *thread = start_on_memory(memory, &fd);
    backend_thread_take_batch(thread, store_one_put(1, 1, 'x', 10));
    struct backend_done done = next_done(thread, fd);
    assert_int_equal(done.type, BACKEND_DONE_NO_SPACE);
    assert_int_equal(done.sequence, 0);
    backend_thread_take_batch(thread, store_one_put(2, 2, 'x', 10));
    done = next_done(thread, fd); /* a second later */
    assert_int_equal(done.type, BACKEND_DONE_COMMIT);
    assert_int_equal(done.sequence, 2);
    backend_thread_stop(thread);
    backend_close(memory);
    assert_int_equal(close(fd), 0);
}

static void test_the_thread_gives_up_a_failed_restore_and_goes_on(void **state)
{
    (void)state;
    int fd;
    struct backend *memory = backend_memory_new();
    backend_memory_fail_next(memory, ERR_NO_SPACE);
    struct backend_thread *thread = start_on_memory(memory, &fd);
    backend_thread_restore_start(thread);
    backend_thread_restore_take_batch(thread, store_one_put(1, 1000, 'x', 10));
    backend_thread_restore_finish(thread);
    backend_thread_take_batch(thread, store_one_put(2, 5, 'x', 10));
    struct backend_done done = next_done(thread, fd);
    assert_int_equal(done.type, BACKEND_DONE_RESTORE);
    assert_int_equal(done.code, ERR_NO_SPACE);
    done = next_done(thread, fd);
    assert_int_equal(done.type, BACKEND_DONE_COMMIT);
    assert_int_equal(done.applied.index, 5);
    backend_thread_stop(thread);
    struct err err;
    assert_int_equal(backend_renew(memory, &err), 0);
    assert_int_equal(store_count(memory), 1);
    backend_close(memory);
    assert_int_equal(close(fd), 0);
}

static void test_the_thread_reports_a_failed_defragment_and_stops_writing(void **state)
{
    (void)state;
    int fd;
    struct backend *memory = backend_memory_new();
    backend_memory_fail_next(memory, ERR_IO);
    struct backend_thread *thread = start_on_memory(memory, &fd);
    backend_thread_defragment(thread);
    struct backend_done done = next_done(thread, fd);
    assert_int_equal(done.type, BACKEND_DONE_DEFRAGMENT);
    assert_int_equal(done.code, ERR_IO);
    done = next_done(thread, fd);
    assert_int_equal(done.type, BACKEND_DONE_FAILED);
    backend_thread_stop(thread);
    backend_close(memory);
    assert_int_equal(close(fd), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_set_up, store_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_thread_stores_in_order_and_reports_what_is_durable),
        TEST(test_the_thread_waits_for_company_but_not_before_a_sync),
        TEST(test_the_thread_defragments_and_restores),
        TEST(test_the_map_grows_under_a_reading_core_and_cancels_snapshots),
        TEST(test_stopping_while_the_map_must_grow_does_not_wait_for_ever),
        cmocka_unit_test(test_the_thread_reports_a_failed_commit_once_and_writes_no_more),
        cmocka_unit_test(test_the_thread_waits_for_space_and_goes_on_by_itself),
        cmocka_unit_test(test_the_thread_gives_up_a_failed_restore_and_goes_on),
        cmocka_unit_test(test_the_thread_reports_a_failed_defragment_and_stops_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
