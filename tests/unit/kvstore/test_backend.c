/* The same suite for both implementations of backend.h, then what only one of them has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/prng.h"
#include "kvstore/backend/lmdb.h"
#include "kvstore/backend/memory.h"

struct fixture {
    char directory[64];
    bool is_lmdb;
    struct backend *backend;
};

static struct backend *open_lmdb(const char *directory, uint64_t map_size_bytes)
{
    const struct backend_lmdb_options options = {
        .directory = directory, .map_size_bytes = map_size_bytes, .is_unsafe_no_sync = true};
    struct backend *backend = NULL;
    struct err err;
    int rc = backend_lmdb_open(&options, &backend, &err);
    if (rc != 0) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, 0);
    return backend;
}

static int set_up(void **state, bool is_lmdb)
{
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    fixture->is_lmdb = is_lmdb;
    if (is_lmdb) {
        strcpy(fixture->directory, "/tmp/coracle-test-XXXXXX");
        assert_non_null(mkdtemp(fixture->directory));
        fixture->backend = open_lmdb(fixture->directory, 0);
    } else {
        fixture->backend = backend_memory_new();
    }
    *state = fixture;
    return 0;
}

static int set_up_memory(void **state)
{
    return set_up(state, false);
}

static int set_up_lmdb(void **state)
{
    return set_up(state, true);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    backend_close(fixture->backend);
    if (fixture->is_lmdb) {
        CLEANUP(free) char *path = mem_printf("%s/data.mdb", fixture->directory);
        (void)remove(path);
        assert_int_equal(rmdir(fixture->directory), 0); /* nothing else was left behind */
    }
    mem_free(fixture);
    return 0;
}

static void put(struct backend_batch *batch, uint64_t main, uint32_t sub, const char *text)
{
    struct blob *value = blob_new_copy(text, strlen(text));
    backend_batch_put(batch, (struct backend_revision){main, sub}, text[0] == '!', value);
    blob_unref(value);
}

static void commit(struct backend *backend, struct backend_batch *batch)
{
    struct err err;
    int rc = backend_commit(backend, &batch, 1, &err);
    assert_int_equal(rc, 0);
    backend_batch_free(batch);
    assert_int_equal(backend_renew(backend, &err), 0);
}

static void assert_value(struct backend *backend, uint64_t main, uint32_t sub, const char *text)
{
    struct backend_record record;
    struct err err;
    int rc = backend_get(backend, (struct backend_revision){main, sub}, &record, &err);
    if (text == NULL) {
        assert_int_equal(rc, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(record.revision.main, main);
    assert_int_equal(record.revision.sub, sub);
    assert_int_equal(record.is_tombstone, text[0] == '!');
    assert_true(bytes_equal(record.value, bytes_from_text(text)));
}

static void assert_meta(struct backend *backend, const char *key, const char *text)
{
    struct bytes value;
    struct err err;
    int rc = backend_meta_get(backend, bytes_from_text(key), &value, &err);
    if (text == NULL) {
        assert_int_equal(rc, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(rc, 0);
    assert_true(bytes_equal(value, bytes_from_text(text)));
}

static void meta_put(struct backend_batch *batch, const char *key, const char *value)
{
    backend_batch_meta_put(batch, bytes_from_text(key), bytes_from_text(value));
}

static uint32_t count_from(struct backend *backend, uint64_t from, uint64_t end)
{
    struct backend_record records[64];
    uint32_t count;
    struct err err;
    assert_int_equal(backend_scan(backend, (struct backend_revision){from, 0},
                                  (struct backend_revision){end, 0}, records, 64, &count, &err),
                     0);
    return count;
}

static void test_a_new_store_is_empty(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(backend_applied(fixture->backend).index, 0);
    assert_value(fixture->backend, 1, 0, NULL);
    assert_meta(fixture->backend, "members", NULL);
    assert_int_equal(count_from(fixture->backend, 0, UINT64_MAX), 0);
}

static void test_a_batch_becomes_visible_at_the_next_renew(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    put(batch, 2, 0, "two");
    put(batch, 2, 1, "!gone");
    meta_put(batch, "compact", "1");
    backend_batch_set_applied(batch, (struct backend_position){7, 3});
    struct err err;
    assert_int_equal(backend_commit(fixture->backend, &batch, 1, &err), 0);
    backend_batch_free(batch);
    assert_value(fixture->backend, 2, 0, NULL);
    assert_int_equal(backend_applied(fixture->backend).index, 0);
    assert_int_equal(backend_renew(fixture->backend, &err), 0);
    assert_value(fixture->backend, 2, 0, "two");
    assert_value(fixture->backend, 2, 1, "!gone");
    assert_value(fixture->backend, 2, 2, NULL);
    assert_meta(fixture->backend, "compact", "1");
    assert_int_equal(backend_applied(fixture->backend).index, 7);
    assert_int_equal(backend_applied(fixture->backend).term, 3);
}

static void test_revisions_are_scanned_in_order_in_slices(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    for (uint64_t main = 2; main < 300; main++) { /* crosses a byte of the big-endian key */
        put(batch, main, 0, "a");
        put(batch, main, 1, "b");
    }
    commit(fixture->backend, batch);
    struct backend_revision next = {10, 1};
    struct backend_revision expected = next;
    uint32_t total = 0;
    for (;;) {
        struct backend_record records[7];
        uint32_t count;
        struct err err;
        assert_int_equal(backend_scan(fixture->backend, next, (struct backend_revision){280, 1},
                                      records, 7, &count, &err),
                         0);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(backend_revision_compare(records[i].revision, expected), 0);
            expected = expected.sub == 1 ? (struct backend_revision){expected.main + 1, 0}
                                         : (struct backend_revision){expected.main, 1};
        }
        total += count;
        if (count < 7) {
            break;
        }
        next = backend_revision_next(records[count - 1].revision);
    }
    assert_int_equal(total, 1 + 269 * 2 + 1);
}

static void test_deletions_of_one_and_of_ranges_take_effect_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    for (uint64_t main = 2; main <= 40; main++) {
        put(batch, main, 0, "v");
    }
    commit(fixture->backend, batch);
    batch = backend_batch_new(2);
    backend_batch_delete(batch, (struct backend_revision){5, 0});
    backend_batch_delete(batch, (struct backend_revision){500, 0});
    backend_batch_delete_range(batch, (struct backend_revision){10, 0},
                               (struct backend_revision){20, 0});
    put(batch, 15, 0, "again");
    put(batch, 41, 0, "short-lived");
    backend_batch_delete(batch, (struct backend_revision){41, 0});
    commit(fixture->backend, batch);
    assert_value(fixture->backend, 5, 0, NULL);
    assert_value(fixture->backend, 9, 0, "v");
    assert_value(fixture->backend, 10, 0, NULL);
    assert_value(fixture->backend, 15, 0, "again");
    assert_value(fixture->backend, 19, 0, NULL);
    assert_value(fixture->backend, 20, 0, "v");
    assert_value(fixture->backend, 41, 0, NULL);
    assert_int_equal(count_from(fixture->backend, 0, UINT64_MAX), 39 - 1 - 10 + 1);
}

static void test_meta_is_scanned_by_prefix_in_the_order_of_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    meta_put(batch, "lease/3", "c");
    meta_put(batch, "lease/1", "a");
    meta_put(batch, "leasf", "no");
    meta_put(batch, "lease/2", "b");
    meta_put(batch, "a", "");
    meta_put(batch, "zzz", "last");
    commit(fixture->backend, batch);
    struct backend_meta entries[2];
    uint32_t count;
    struct err err;
    struct bytes prefix = BYTES_LITERAL("lease/");
    assert_int_equal(
        backend_meta_scan(fixture->backend, prefix, bytes_make(NULL, 0), entries, 2, &count, &err),
        0);
    assert_int_equal(count, 2);
    assert_true(bytes_equal(entries[0].key, BYTES_LITERAL("lease/1")));
    assert_true(bytes_equal(entries[1].value, BYTES_LITERAL("b")));
    assert_int_equal(
        backend_meta_scan(fixture->backend, prefix, entries[1].key, entries, 2, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_true(bytes_equal(entries[0].key, BYTES_LITERAL("lease/3")));
    struct backend_meta all[8];
    assert_int_equal(backend_meta_scan(fixture->backend, bytes_make(NULL, 0), bytes_make(NULL, 0),
                                       all, 8, &count, &err),
                     0);
    assert_int_equal(count, 6);
    assert_int_equal(all[0].value.size, 0);
    assert_int_equal(backend_meta_scan(fixture->backend, bytes_make(NULL, 0),
                                       BYTES_LITERAL("leasez"), all, 8, &count, &err),
                     0);
    assert_int_equal(count, 2); /* "leasf" and "zzz" */
}

static void test_meta_entries_are_replaced_and_deleted_alone_or_by_prefix(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    meta_put(batch, "user/a", "1");
    meta_put(batch, "user/b", "1");
    meta_put(batch, "user0", "1");
    meta_put(batch, "role/a", "1");
    meta_put(batch, "user/a", "2");
    commit(fixture->backend, batch);
    assert_meta(fixture->backend, "user/a", "2");
    batch = backend_batch_new(2);
    backend_batch_meta_delete(batch, BYTES_LITERAL("role/a"));
    backend_batch_meta_delete(batch, BYTES_LITERAL("role/b"));
    backend_batch_meta_delete_prefix(batch, BYTES_LITERAL("user/"));
    commit(fixture->backend, batch);
    assert_meta(fixture->backend, "user/a", NULL);
    assert_meta(fixture->backend, "user/b", NULL);
    assert_meta(fixture->backend, "role/a", NULL);
    assert_meta(fixture->backend, "user0", "1");
}

static void test_many_batches_are_one_commit(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batches[3];
    for (uint64_t i = 0; i < 3; i++) {
        batches[i] = backend_batch_new(i + 1);
        put(batches[i], i + 2, 0, "x");
        backend_batch_set_applied(batches[i], (struct backend_position){i + 10, 1});
    }
    struct err err;
    assert_int_equal(backend_commit(fixture->backend, batches, 3, &err), 0);
    assert_int_equal(backend_renew(fixture->backend, &err), 0);
    for (uint64_t i = 0; i < 3; i++) {
        backend_batch_free(batches[i]);
        assert_value(fixture->backend, i + 2, 0, "x");
    }
    assert_int_equal(backend_applied(fixture->backend).index, 12);
}

static void test_a_sync_reports_the_position_that_is_durable(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    backend_batch_set_applied(batch, (struct backend_position){5, 2});
    commit(fixture->backend, batch);
    struct backend_position durable;
    struct err err;
    assert_int_equal(backend_sync(fixture->backend, &durable, &err), 0);
    assert_int_equal(durable.index, 5);
    assert_int_equal(durable.term, 2);
}

static void test_large_values_and_empty_ones_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct prng prng;
    prng_init(&prng, 1);
    enum { LARGE = 3 << 20 };
    struct blob *large = blob_new(LARGE);
    for (size_t i = 0; i < LARGE; i++) {
        large->data[i] = (uint8_t)prng_next(&prng);
    }
    struct backend_batch *batch = backend_batch_new(1);
    backend_batch_put(batch, (struct backend_revision){2, 0}, false, large);
    put(batch, 3, 0, "");
    commit(fixture->backend, batch);
    struct backend_record record;
    struct err err;
    assert_int_equal(backend_get(fixture->backend, (struct backend_revision){2, 0}, &record, &err),
                     0);
    assert_true(bytes_equal(record.value, blob_bytes(large)));
    assert_value(fixture->backend, 3, 0, "");
    blob_unref(large);
}

static void drain(struct backend_snapshot *snapshot, uint32_t *ret_metas, uint32_t *ret_records)
{
    struct backend_item items[5];
    uint32_t count;
    struct err err;
    *ret_metas = 0;
    *ret_records = 0;
    do {
        assert_int_equal(backend_snapshot_next(snapshot, items, 5, &count, &err), 0);
        for (uint32_t i = 0; i < count; i++) {
            *(items[i].is_meta ? ret_metas : ret_records) += 1;
            assert_true(items[i].is_meta ? *ret_records == 0 : true);
        }
    } while (count > 0);
}

static void test_a_snapshot_does_not_see_later_commits(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    for (uint64_t i = 2; i < 22; i++) {
        put(batch, i, 0, "old");
    }
    meta_put(batch, "a", "1");
    meta_put(batch, "b", "2");
    backend_batch_set_applied(batch, (struct backend_position){4, 1});
    commit(fixture->backend, batch);
    struct backend_snapshot *snapshot;
    struct err err;
    assert_int_equal(backend_snapshot_open(fixture->backend, 0, &snapshot, &err), 0);
    batch = backend_batch_new(2);
    backend_batch_delete_range(batch, (struct backend_revision){0, 0}, BACKEND_REVISION_MAX);
    backend_batch_meta_delete(batch, BYTES_LITERAL("a"));
    backend_batch_set_applied(batch, (struct backend_position){5, 1});
    commit(fixture->backend, batch);
    uint32_t metas;
    uint32_t records;
    drain(snapshot, &metas, &records);
    assert_int_equal(metas, 2);
    assert_int_equal(records, 20);
    assert_int_equal(backend_snapshot_applied(snapshot).index, 4);
    struct backend_stats stats;
    backend_stats(fixture->backend, &stats);
    assert_int_equal(stats.snapshot_count, 1);
    backend_snapshot_close(snapshot);
}

static void test_a_restore_replaces_everything_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    put(batch, 2, 0, "old");
    meta_put(batch, "old", "1");
    backend_batch_set_applied(batch, (struct backend_position){100, 9});
    commit(fixture->backend, batch);
    struct err err;
    assert_int_equal(backend_restore_start(fixture->backend, &err), 0);
    for (uint64_t i = 0; i < 3; i++) {
        batch = backend_batch_new(i);
        put(batch, 50 + i, 0, "new");
        if (i == 2) {
            meta_put(batch, "new", "1");
            backend_batch_set_applied(batch, (struct backend_position){200, 10});
        }
        assert_int_equal(backend_restore_write(fixture->backend, &batch, 1, &err), 0);
        backend_batch_free(batch);
    }
    assert_value(fixture->backend, 2, 0, "old");
    assert_int_equal(backend_restore_finish(fixture->backend, &err), 0);
    assert_int_equal(backend_renew(fixture->backend, &err), 0);
    assert_value(fixture->backend, 2, 0, NULL);
    assert_value(fixture->backend, 50, 0, "new");
    assert_value(fixture->backend, 52, 0, "new");
    assert_meta(fixture->backend, "old", NULL);
    assert_meta(fixture->backend, "new", "1");
    assert_int_equal(backend_applied(fixture->backend).index, 200);
    batch = backend_batch_new(2);
    put(batch, 60, 0, "after");
    backend_batch_set_applied(batch, (struct backend_position){201, 10});
    commit(fixture->backend, batch);
    assert_value(fixture->backend, 60, 0, "after");
}

static void test_a_cancelled_restore_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    put(batch, 2, 0, "old");
    commit(fixture->backend, batch);
    struct err err;
    assert_int_equal(backend_restore_start(fixture->backend, &err), 0);
    batch = backend_batch_new(2);
    put(batch, 3, 0, "new");
    assert_int_equal(backend_restore_write(fixture->backend, &batch, 1, &err), 0);
    backend_batch_free(batch);
    backend_restore_cancel(fixture->backend);
    backend_restore_cancel(fixture->backend);
    assert_int_equal(backend_renew(fixture->backend, &err), 0);
    assert_value(fixture->backend, 2, 0, "old");
    assert_value(fixture->backend, 3, 0, NULL);
}

static void test_defragment_keeps_the_content_and_later_commits_work(void **state)
{
    struct fixture *fixture = *state;
    struct backend_batch *batch = backend_batch_new(1);
    for (uint64_t i = 2; i < 2000; i++) {
        put(batch, i, 0, "a value that takes some space in the file, so that much can be freed");
    }
    meta_put(batch, "kept", "yes");
    commit(fixture->backend, batch);
    batch = backend_batch_new(2);
    backend_batch_delete_range(batch, (struct backend_revision){2, 0},
                               (struct backend_revision){1990, 0});
    backend_batch_set_applied(batch, (struct backend_position){3, 1});
    commit(fixture->backend, batch);
    struct backend_stats before;
    backend_stats(fixture->backend, &before);
    struct err err;
    assert_int_equal(backend_defragment(fixture->backend, &err), 0);
    assert_int_equal(backend_renew(fixture->backend, &err), 0);
    struct backend_stats after;
    backend_stats(fixture->backend, &after);
    assert_true(after.size_bytes <= before.size_bytes);
    assert_true(!fixture->is_lmdb || after.size_bytes < before.size_bytes / 4);
    assert_int_equal(count_from(fixture->backend, 0, UINT64_MAX), 10);
    assert_meta(fixture->backend, "kept", "yes");
    assert_int_equal(backend_applied(fixture->backend).index, 3);
    batch = backend_batch_new(3);
    put(batch, 3000, 0, "after");
    commit(fixture->backend, batch);
    assert_int_equal(count_from(fixture->backend, 0, UINT64_MAX), 11);
}

/* A model: arrays of what must be there. Small keys, so that every kind of collision happens. */
static void test_random_changes_agree_with_a_model(void **state)
{
    struct fixture *fixture = *state;
    enum { KEYS = 60, ROUNDS = 300 };
    char model[KEYS];
    memset(model, 0, sizeof model);
    struct prng prng;
    prng_init(&prng, 42);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        struct backend_batch *batch = backend_batch_new(round);
        for (uint64_t n = prng_below(&prng, 8); n > 0; n--) {
            uint64_t key = prng_below(&prng, KEYS);
            uint64_t kind = prng_below(&prng, 4);
            if (kind < 2) {
                char text[2] = {(char)('a' + prng_below(&prng, 26)), 0};
                put(batch, key, 0, text);
                model[key] = text[0];
            } else if (kind == 2) {
                backend_batch_delete(batch, (struct backend_revision){key, 0});
                model[key] = 0;
            } else {
                uint64_t end = prng_between(&prng, key, KEYS);
                backend_batch_delete_range(batch, (struct backend_revision){key, 0},
                                           (struct backend_revision){end, 0});
                memset(model + key, 0, end - key);
            }
        }
        backend_batch_set_applied(batch, (struct backend_position){round, 1});
        commit(fixture->backend, batch);
        struct backend_record records[KEYS];
        uint32_t count;
        struct err err;
        assert_int_equal(backend_scan(fixture->backend, (struct backend_revision){0, 0},
                                      BACKEND_REVISION_MAX, records, KEYS, &count, &err),
                         0);
        uint32_t at = 0;
        for (uint64_t key = 0; key < KEYS; key++) {
            if (model[key] != 0) {
                assert_true(at < count);
                assert_int_equal(records[at].revision.main, key);
                assert_int_equal(records[at++].value.data[0], model[key]);
            }
        }
        assert_int_equal(at, count);
    }
}

#define BOTH(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, set_up_memory, tear_down),                               \
        cmocka_unit_test_setup_teardown(test, set_up_lmdb, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_a_new_store_is_empty),
        BOTH(test_a_batch_becomes_visible_at_the_next_renew),
        BOTH(test_revisions_are_scanned_in_order_in_slices),
        BOTH(test_deletions_of_one_and_of_ranges_take_effect_in_order),
        BOTH(test_meta_is_scanned_by_prefix_in_the_order_of_bytes),
        BOTH(test_meta_entries_are_replaced_and_deleted_alone_or_by_prefix),
        BOTH(test_many_batches_are_one_commit),
        BOTH(test_a_sync_reports_the_position_that_is_durable),
        BOTH(test_large_values_and_empty_ones_come_back),
        BOTH(test_a_snapshot_does_not_see_later_commits),
        BOTH(test_a_restore_replaces_everything_at_once),
        BOTH(test_a_cancelled_restore_changes_nothing),
        BOTH(test_defragment_keeps_the_content_and_later_commits_work),
        BOTH(test_random_changes_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
