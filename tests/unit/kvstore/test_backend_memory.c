/* What only the backend in memory has: crashes, injected failures and damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kvstore/backend/memory.h"

static int set_up(void **state)
{
    *state = backend_memory_new();
    return 0;
}

static int tear_down(void **state)
{
    backend_close(*state);
    return 0;
}

static void put(struct backend_batch *batch, uint64_t main, const char *text)
{
    struct blob *value = blob_new_copy(text, strlen(text));
    backend_batch_put(batch, (struct backend_revision){main, 0}, false, value);
    blob_unref(value);
}

static void commit(struct backend *backend, struct backend_batch *batch)
{
    struct err err;
    assert_int_equal(backend_commit(backend, &batch, 1, &err), 0);
    backend_batch_free(batch);
    assert_int_equal(backend_renew(backend, &err), 0);
}

static void assert_value(struct backend *backend, uint64_t main, const char *text)
{
    struct backend_record record;
    struct err err;
    int rc = backend_get(backend, (struct backend_revision){main, 0}, &record, &err);
    assert_int_equal(rc, text == NULL ? ERR_NOT_FOUND : 0);
    assert_true(text == NULL || bytes_equal(record.value, bytes_from_text(text)));
}

static void test_memory_crash_keeps_a_prefix_of_the_commits(void **state)
{
    struct backend *backend = *state;
    struct backend_position durable;
    struct err err;
    for (uint64_t i = 2; i < 8; i++) {
        struct backend_batch *batch = backend_batch_new(i);
        put(batch, i, "v");
        backend_batch_set_applied(batch, (struct backend_position){i, 1});
        commit(backend, batch);
        if (i == 3) {
            assert_int_equal(backend_sync(backend, &durable, &err), 0);
        }
    }
    assert_int_equal(backend_memory_unsynced_count(backend), 4);
    backend_memory_crash(backend, 2);
    assert_int_equal(backend_applied(backend).index, 5);
    assert_value(backend, 5, "v");
    assert_value(backend, 6, NULL);
    backend_memory_crash(backend, 0);
    assert_int_equal(backend_applied(backend).index, 5);
}

static void test_memory_failures_are_final_unless_they_are_about_space(void **state)
{
    struct backend *backend = *state;
    struct err err;
    struct backend_position durable;
    struct backend_batch *batch = backend_batch_new(1);
    put(batch, 2, "v");
    backend_memory_fail_next(backend, ERR_NO_SPACE);
    assert_int_equal(backend_commit(backend, &batch, 1, &err), ERR_NO_SPACE);
    assert_int_equal(backend_commit(backend, &batch, 1, &err), 0);
    backend_memory_fail_next(backend, ERR_IO);
    assert_int_equal(backend_sync(backend, &durable, &err), ERR_IO);
    assert_int_equal(backend_commit(backend, &batch, 1, &err), ERR_IO);
    backend_batch_free(batch);
    backend_memory_crash(backend, 0);
    assert_value(backend, 2, NULL);
}

static void test_memory_reports_a_flipped_bit(void **state)
{
    struct backend *backend = *state;
    struct backend_batch *batch = backend_batch_new(1);
    put(batch, 2, "value");
    put(batch, 3, "other");
    commit(backend, batch);
    assert_true(backend_memory_flip_bit(backend, (struct backend_revision){2, 0}, 9));
    assert_false(backend_memory_flip_bit(backend, (struct backend_revision){9, 0}, 0));
    struct backend_record record;
    struct err err;
    assert_int_equal(backend_get(backend, (struct backend_revision){2, 0}, &record, &err),
                     ERR_CORRUPT);
    assert_value(backend, 3, "other");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_memory_crash_keeps_a_prefix_of_the_commits),
        TEST(test_memory_failures_are_final_unless_they_are_about_space),
        TEST(test_memory_reports_a_flipped_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
