/* Every call by which the store's file is written fails once, then for ever: an error is never
 * swallowed, never retried, and what is found after a restart is exactly what some commit left, at
 * least the last one that was answered.
 *
 * This program's own definitions of the calls stand before libc's, also for LMDB. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/backend/lmdb.h"

static atomic_ullong calls_left; /* until one fails; 0: not armed */
static atomic_bool is_persistent;
static atomic_bool has_failed;
static atomic_int failure_errno;

static bool must_fail(void)
{
    if (atomic_load(&has_failed) && atomic_load(&is_persistent)) {
        errno = atomic_load(&failure_errno);
        return true;
    }
    if (atomic_load(&calls_left) == 0 || atomic_fetch_sub(&calls_left, 1) != 1) {
        return false;
    }
    atomic_store(&has_failed, true);
    errno = atomic_load(&failure_errno);
    return true;
}

int fdatasync(int fd)
{
    return must_fail() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return must_fail() ? -1 : (int)syscall(SYS_fsync, fd);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return must_fail() ? -1 : syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fd > 2 && must_fail() ? -1 : syscall(SYS_writev, fd, parts, count);
}

ssize_t write(int fd, const void *data, size_t size)
{
    return fd > 2 && must_fail() ? -1 : syscall(SYS_write, fd, data, size);
}

int ftruncate(int fd, off_t size)
{
    return must_fail() ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    return must_fail() ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return must_fail() ? -1 : (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
}

static void arm(uint64_t at, int code, bool persistent)
{
    atomic_store(&has_failed, false);
    atomic_store(&is_persistent, persistent);
    atomic_store(&failure_errno, code);
    atomic_store(&calls_left, at);
}

static void disarm(void)
{
    atomic_store(&calls_left, 0);
    atomic_store(&is_persistent, false);
}

/* ---- The history: the content is a function of the applied index ---- */

enum { RESTORED_AT = 100 };

struct history {
    char directory[64];
    struct backend *backend;
    uint64_t acknowledged;
    uint64_t attempted;
};

static struct backend_batch *make_batch(uint64_t index)
{
    struct backend_batch *batch = backend_batch_new(index);
    struct blob *value = blob_new(200 + index % 3 * 4000);
    memset(value->data, (int)index, value->size);
    backend_batch_put(batch, (struct backend_revision){index, 0}, false, value);
    blob_unref(value);
    char text[32];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)index);
    backend_batch_meta_put(batch, BYTES_LITERAL("index"), bytes_from_text(text));
    backend_batch_set_applied(batch, (struct backend_position){index, 1});
    return batch;
}

static int commit_one(struct history *history, uint64_t index, struct err *err)
{
    struct backend_batch *batch = make_batch(index);
    history->attempted = index;
    int rc = backend_commit(history->backend, &batch, 1, err);
    backend_batch_free(batch);
    if (rc != 0) {
        return rc;
    }
    history->acknowledged = index;
    return backend_renew(history->backend, err);
}

static int restore(struct history *history, struct err *err)
{
    struct backend_batch *batch = make_batch(RESTORED_AT);
    int rc = backend_restore_start(history->backend, err);
    if (rc == 0) {
        rc = backend_restore_write(history->backend, &batch, 1, err);
    }
    if (rc == 0) {
        history->attempted = RESTORED_AT;
        rc = backend_restore_finish(history->backend, err);
    }
    backend_batch_free(batch);
    if (rc == 0) {
        history->acknowledged = RESTORED_AT;
        rc = backend_renew(history->backend, err);
    }
    return rc;
}

static int open_store(struct history *history, struct err *err)
{
    const struct backend_lmdb_options options = {.directory = history->directory,
                                                 .map_size_bytes = 64 << 20};
    return backend_lmdb_open(&options, &history->backend, err);
}

static int run_history(struct history *history, struct err *err)
{
    struct backend_position durable;
    int rc = open_store(history, err);
    for (uint64_t index = 1; rc == 0 && index <= 4; index++) {
        rc = commit_one(history, index, err);
    }
    rc = rc != 0 ? rc : backend_sync(history->backend, &durable, err);
    rc = rc != 0 ? rc : backend_defragment(history->backend, err);
    rc = rc != 0 ? rc : commit_one(history, 5, err);
    rc = rc != 0 ? rc : restore(history, err);
    rc = rc != 0 ? rc : commit_one(history, RESTORED_AT + 1, err);
    return rc != 0 ? rc : backend_sync(history->backend, &durable, err);
}

/* Whether the store holds exactly what belongs to its applied index. */
static bool is_consistent(struct backend *backend)
{
    uint64_t applied = backend_applied(backend).index;
    uint64_t first = applied >= RESTORED_AT ? RESTORED_AT : 1;
    struct backend_record records[16];
    uint32_t count;
    struct err err;
    if (backend_scan(backend, (struct backend_revision){0, 0}, BACKEND_REVISION_MAX, records, 16,
                     &count, &err) != 0 ||
        count != (applied == 0 ? 0 : applied - first + 1)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t index = first + i;
        if (records[i].revision.main != index || records[i].value.size != 200 + index % 3 * 4000 ||
            records[i].value.data[0] != (uint8_t)index) {
            return false;
        }
    }
    return true;
}

/* A failed write is final; a full disk is not. */
static void check_refusal(struct history *history, int rc)
{
    struct err err;
    struct backend_position durable;
    if (history->backend == NULL || rc == ERR_NO_SPACE) {
        return;
    }
    struct backend_batch *batch = make_batch(history->attempted + 1);
    int again = backend_commit(history->backend, &batch, 1, &err);
    backend_batch_free(batch);
    if (again == 0) {
        /* Only a copy suffered (defragment, the start of a restore): nothing was lost. */
        history->acknowledged = ++history->attempted;
        return;
    }
    assert_int_equal(again, rc);
    assert_int_equal(backend_sync(history->backend, &durable, &err), rc);
    assert_int_equal(backend_defragment(history->backend, &err), rc);
}

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.') {
            assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
        }
    }
    assert_int_equal(closedir(directory), 0);
    assert_int_equal(rmdir(path), 0);
}

/* True: no call was left to fail. */
static bool fail_one(uint64_t at, int code, bool persistent)
{
    struct history history = {.directory = "/tmp/coracle-test-XXXXXX"};
    struct err err;
    assert_non_null(mkdtemp(history.directory));
    arm(at, code, persistent);
    int rc = run_history(&history, &err);
    bool is_finished = !atomic_load(&has_failed);
    disarm();
    if (!is_finished && rc == 0) {
        print_error("the failure of call %llu was swallowed\n", (unsigned long long)at);
    }
    assert_true(is_finished == (rc == 0));
    if (rc != 0) {
        check_refusal(&history, rc);
    }
    backend_close(history.backend);
    history.backend = NULL;
    int opened = open_store(&history, &err);
    if (opened != 0) {
        print_error("call %llu: cannot open again: %s\n", (unsigned long long)at, err.text);
    }
    assert_int_equal(opened, 0);
    uint64_t applied = backend_applied(history.backend).index;
    assert_true(applied >= history.acknowledged && applied <= history.attempted);
    assert_true(is_consistent(history.backend));
    backend_close(history.backend);
    remove_directory(history.directory);
    return is_finished;
}

static void fail_all(int code, bool persistent)
{
    uint64_t at = 1;
    while (!fail_one(at, code, persistent)) {
        at++;
    }
    assert_true(at > 30); /* the calls were really reached */
}

static void test_every_failing_call_is_reported_and_final(void **state)
{
    (void)state;
    fail_all(EIO, false);
}

static void test_a_disk_that_stays_broken_is_reported_and_final(void **state)
{
    (void)state;
    fail_all(EIO, true);
}

static void test_a_full_disk_loses_nothing_wherever_it_shows(void **state)
{
    (void)state;
    fail_all(ENOSPC, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_failing_call_is_reported_and_final),
        cmocka_unit_test(test_a_disk_that_stays_broken_is_reported_and_final),
        cmocka_unit_test(test_a_full_disk_loses_nothing_wherever_it_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
