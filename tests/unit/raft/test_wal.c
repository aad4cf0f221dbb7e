/* The log's rules one by one; test_wal_crash.c has the exhaustive part. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "raft/wal/disk_real.h"
#include "raft/wal/wal_format.h"
#include "raft/wal/wal_thread.h"
#include "tests/unit/raft/wal_script.h"

struct fixture {
    struct disk *disk;
    struct script script;
    struct wal *wal;
};

static void reopen(struct fixture *fixture)
{
    wal_close(fixture->wal);
    const struct wal_options options = script_options(&fixture->script, fixture->disk);
    struct wal_recovered recovered;
    struct err err;
    int rc = wal_open(&options, &fixture->wal, &recovered, &err);
    if (rc != 0) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, 0);
    assert_true(script_matches(&fixture->script.state, &recovered));
    wal_recovered_deinit(&recovered);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    script_init(&fixture->script, 1);
    fixture->disk = disk_memory_new(1);
    reopen(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    wal_close(fixture->wal);
    disk_memory_free(fixture->disk);
    mem_free(fixture);
    return 0;
}

static void append(struct fixture *fixture, uint32_t count, uint32_t size)
{
    struct wal_batch *batch = script_append_batch(&fixture->script, count, size);
    struct err err;
    assert_int_equal(wal_append(fixture->wal, &batch, 1, &err), 0);
    wal_batch_free(batch);
    script_acknowledge(&fixture->script);
}

/* One entry and nothing else: what is known besides comes from earlier batches. */
static void append_without_hard_state(struct fixture *fixture, uint32_t size)
{
    struct script_state *state = &fixture->script.state;
    const struct raft_position at = {state->snapshot.last.index + state->entry_count + 1,
                                     state->hard_state.term};
    const struct raft_entry entry = {
        .at = at, .type = RAFT_ENTRY_COMMAND, .data = script_data(at, size)};
    struct wal_batch *batch = wal_batch_new(0, NULL, NULL, &entry, 1);
    blob_unref(entry.data);
    assert_int_equal(wal_append(fixture->wal, &batch, 1, NULL), 0);
    wal_batch_free(batch);
    state->entries[state->entry_count++] = at;
}

/* Record a snapshot at index, as the node does after the backend has synced. */
static void record_snapshot(struct fixture *fixture, raft_index index)
{
    struct script_state *state = &fixture->script.state;
    uint32_t dropped = (uint32_t)(index - state->snapshot.last.index);
    state->snapshot.last = state->entries[dropped - 1];
    state->entry_count -= dropped;
    memmove(state->entries, state->entries + dropped, state->entry_count * sizeof *state->entries);
    struct wal_batch *batch = wal_batch_new(0, NULL, &state->snapshot, NULL, 0);
    assert_int_equal(wal_append(fixture->wal, &batch, 1, NULL), 0);
    wal_batch_free(batch);
}

static int try_open(struct wal_options options, struct err *err)
{
    struct wal *wal;
    struct wal_recovered recovered;
    int rc = wal_open(&options, &wal, &recovered, err);
    if (rc == 0) {
        wal_recovered_deinit(&recovered);
        wal_close(wal);
    }
    return rc;
}

static void test_a_missing_log_is_made_only_when_asked_for(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script, 1);
    struct disk *disk = disk_memory_new(1);
    struct wal_options options = script_options(&script, disk);
    struct err err;
    options.is_created = false;
    assert_int_equal(try_open(options, &err), ERR_NOT_FOUND);
    options.is_created = true;
    options.durable_applied_index = 5;
    assert_int_equal(try_open(options, &err), ERR_CORRUPT); /* something was applied: it is lost */
    options.durable_applied_index = 0;
    options.cluster_id = 0;
    assert_int_equal(try_open(options, &err), ERR_INVALID);
    options.cluster_id = 1;
    assert_int_equal(try_open(options, &err), 0);
    disk_memory_free(disk);
}

static void test_another_clusters_or_members_log_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct wal_options options = script_options(&fixture->script, fixture->disk);
    struct err err;
    options.cluster_id++;
    assert_int_equal(try_open(options, &err), ERR_WRONG_CLUSTER);
    options = script_options(&fixture->script, fixture->disk);
    options.member_id++;
    assert_int_equal(try_open(options, &err), ERR_WRONG_CLUSTER);
    options.member_id = 0;
    options.cluster_id = 0;
    assert_int_equal(try_open(options, &err), 0);
}

static void test_each_start_has_an_incarnation_of_its_own(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script, 1);
    struct disk *disk = disk_memory_new(1);
    const struct wal_options options = script_options(&script, disk);
    for (uint64_t i = 1; i <= 40; i++) { /* enough to fill a segment with nothing else */
        struct wal *wal;
        struct wal_recovered recovered;
        assert_int_equal(wal_open(&options, &wal, &recovered, NULL), 0);
        assert_int_equal(recovered.metadata.incarnation, i);
        assert_int_equal(recovered.metadata.cluster_id, 0xc1);
        assert_int_equal(recovered.is_new, i == 1);
        wal_recovered_deinit(&recovered);
        wal_close(wal);
    }
    disk_memory_free(disk);
}

static void test_merged_batches_cost_one_sync(void **state)
{
    struct fixture *fixture = *state;
    struct wal_batch *batches[5];
    for (int i = 0; i < 5; i++) {
        batches[i] = script_append_batch(&fixture->script, 2, 50);
        script_acknowledge(&fixture->script);
    }
    uint64_t before = wal_stats(fixture->wal).sync_count;
    assert_int_equal(wal_append(fixture->wal, batches, 5, NULL), 0);
    assert_int_equal(wal_stats(fixture->wal).sync_count, before + 1);
    for (int i = 0; i < 5; i++) {
        wal_batch_free(batches[i]);
    }
    reopen(fixture);
}

static void test_an_empty_batch_costs_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint64_t before = disk_memory_call_count(fixture->disk);
    struct wal_batch *batch = wal_batch_new(1, NULL, NULL, NULL, 0);
    assert_int_equal(wal_append(fixture->wal, &batch, 1, NULL), 0);
    wal_batch_free(batch);
    assert_int_equal(disk_memory_call_count(fixture->disk), before);
}

static void test_a_batch_larger_than_a_segment_gets_a_segment_of_its_size(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 3, 100);
    append(fixture, 4, 20000);
    append(fixture, 3, 100);
    reopen(fixture);
    assert_true(wal_stats(fixture->wal).size_bytes > 80000);
}

static void test_segments_below_the_snapshot_are_released(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 30; i++) {
        append(fixture, 1, 1000);
    }
    uint32_t before = wal_stats(fixture->wal).segment_count;
    assert_true(before > 3);
    /* Without a snapshot record nothing may go, whatever the caller says. */
    assert_int_equal(wal_release(fixture->wal, 30, NULL), 0);
    assert_int_equal(wal_stats(fixture->wal).segment_count, before);
    record_snapshot(fixture, 20);
    assert_int_equal(wal_release(fixture->wal, 30, NULL), 0);
    uint32_t after = wal_stats(fixture->wal).segment_count;
    assert_true(after < before && after > 1);
    reopen(fixture);
    append(fixture, 1, 10);
    reopen(fixture);
}

static void test_a_released_log_still_knows_term_vote_and_members(void **state)
{
    struct fixture *fixture = *state;
    struct raft_hard_state *hard = &fixture->script.state.hard_state;
    hard->term = 7;
    hard->vote = 3;
    append(fixture, 1, 10);
    for (int i = 0; i < 30; i++) {
        append_without_hard_state(fixture, 1000);
    }
    fixture->script.state.snapshot.members.count = 1;
    fixture->script.state.snapshot.members.member[0] = (struct raft_member){.id = 9, .voter = true};
    record_snapshot(fixture, 31);
    for (int i = 0; i < 4; i++) {
        append_without_hard_state(fixture, 3000); /* at least one new segment */
    }
    assert_int_equal(wal_release(fixture->wal, 31, NULL), 0);
    assert_true(wal_stats(fixture->wal).segment_count < 4);
    reopen(fixture);
}

static void test_a_log_that_ends_before_what_was_applied_is_refused(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 3, 10);
    struct wal_options options = script_options(&fixture->script, fixture->disk);
    struct err err;
    options.durable_applied_index = 3;
    assert_int_equal(try_open(options, &err), 0);
    options.durable_applied_index = 4;
    assert_int_equal(try_open(options, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "applied"));
}

static void test_a_log_that_begins_after_what_the_store_has_is_refused(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 9, 10);
    record_snapshot(fixture, 5);
    struct wal_options options = script_options(&fixture->script, fixture->disk);
    struct err err;
    options.durable_applied_index = 4; /* an emptied or older store: entry 5 is nowhere */
    assert_int_equal(try_open(options, &err), ERR_CORRUPT);
    options.durable_applied_index = 0;
    assert_int_equal(try_open(options, &err), ERR_CORRUPT);
    options.durable_applied_index = 5;
    assert_int_equal(try_open(options, &err), 0);
}

static void test_an_installed_snapshot_that_was_not_recorded_is_taken_over(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 3, 10);
    const struct raft_snapshot_meta installed = {.last = {.index = 50, .term = 2},
                                                 .members = {.count = 1, .member = {{.id = 4}}}};
    struct wal_options options = script_options(&fixture->script, fixture->disk);
    options.durable_applied_index = 50;
    options.installed = &installed;
    for (int i = 0; i < 2; i++) { /* recorded by the first: then the log itself says so */
        struct wal *wal;
        struct wal_recovered recovered;
        assert_int_equal(wal_open(&options, &wal, &recovered, NULL), 0);
        assert_int_equal(recovered.snapshot.last.index, 50);
        assert_int_equal(recovered.snapshot.members.member[0].id, 4);
        assert_int_equal(recovered.entry_count, 0);
        wal_recovered_deinit(&recovered);
        wal_close(wal);
        options.installed = NULL;
    }
    options.installed = &installed;
    options.durable_applied_index = 51; /* something was applied after it: that is lost */
    struct err err;
    assert_int_equal(try_open(options, &err), ERR_CORRUPT);
}

static void test_a_missing_segment_is_corruption(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 30; i++) {
        append(fixture, 1, 1000);
    }
    wal_close(fixture->wal);
    fixture->wal = NULL;
    char name[64];
    const struct wal_options options = script_options(&fixture->script, fixture->disk);
    struct err err;
    for (unsigned number = 1; number <= 4; number++) {
        struct disk *copy = disk_memory_clone(fixture->disk);
        struct wal_options copied = options;
        copied.disk = copy;
        bool is_removed = false;
        for (unsigned first = 1; first <= 31 && !is_removed; first++) {
            (void)snprintf(name, sizeof name, "%016x-%016x.wal", number, first);
            is_removed = disk_unlink(copy, name) == 0;
        }
        assert_true(is_removed);
        assert_int_equal(try_open(copied, &err), ERR_CORRUPT);
        disk_memory_free(copy);
    }
    assert_int_equal(disk_unlink(fixture->disk, "acknowledged"), 0);
    assert_int_equal(try_open(options, &err), ERR_CORRUPT);
}

static void test_a_full_disk_refuses_before_anything_is_written(void **state)
{
    struct fixture *fixture = *state;
    struct wal_capacity capacity = wal_capacity(fixture->wal);
    assert_true(capacity.is_spare_ready);
    assert_true(capacity.available_bytes > 8192);
    disk_memory_set_capacity(fixture->disk, 1); /* nothing grows any more */
    int rc = 0;
    struct wal_batch *batch = NULL;
    struct err err;
    uint64_t written = 0;
    while (rc == 0) {
        wal_batch_free(batch);
        batch = script_append_batch(&fixture->script, 1, 400);
        rc = wal_append(fixture->wal, &batch, 1, &err);
        if (rc == 0) {
            script_acknowledge(&fixture->script);
            written += wal_batch_bytes(batch);
        }
    }
    assert_int_equal(rc, ERR_NO_SPACE);
    assert_true(written + 1024 >= capacity.available_bytes / 2); /* what was promised was there */
    assert_false(wal_capacity(fixture->wal).is_spare_ready);
    assert_int_equal(wal_reserve(fixture->wal, &err), ERR_NO_SPACE);
    disk_memory_set_capacity(fixture->disk, 0);
    assert_int_equal(wal_append(fixture->wal, &batch, 1, &err), 0); /* not final */
    script_acknowledge(&fixture->script);
    wal_batch_free(batch);
    reopen(fixture);
}

static void test_a_torn_batch_is_cut_off_and_reported(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 2, 100);
    struct wal_batch *batch = script_append_batch(&fixture->script, 3, 1000);
    assert_int_equal(wal_append(fixture->wal, &batch, 1, NULL), 0);
    wal_batch_free(batch);
    wal_close(fixture->wal);
    fixture->wal = NULL;
    /* As if its third sector, and the record that it was acknowledged, had not reached the disk. */
    const char *name = "0000000000000001-0000000000000001.wal";
    uint64_t size;
    const uint8_t *data = disk_memory_find(fixture->disk, name, &size);
    uint64_t end = size;
    while (data[end - 505] == 0) { /* the magic number of the sector before end */
        end -= 512;
    }
    for (uint64_t bit = (end - 1024) * 8; bit < (end - 512) * 8; bit++) {
        if ((data[bit / 8] >> (bit % 8) & 1) != 0) {
            assert_true(disk_memory_flip_bit(fixture->disk, name, bit));
        }
    }
    for (uint64_t slot = 0; slot < 2; slot++) {
        uint64_t sequence;
        const uint8_t *slots = disk_memory_find(fixture->disk, "acknowledged", &size);
        if (wal_decode_slot(slots + slot * WAL_SLOT_DISTANCE, &sequence) && sequence == 3) {
            assert_true(
                disk_memory_flip_bit(fixture->disk, "acknowledged", slot * WAL_SLOT_DISTANCE * 8));
        }
    }
    const struct wal_options options = script_options(&fixture->script, fixture->disk);
    struct wal_recovered recovered;
    struct err err;
    int rc = wal_open(&options, &fixture->wal, &recovered, &err);
    if (rc != 0) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, 0);
    assert_true(recovered.torn_bytes > 1000);
    assert_true(script_matches(&fixture->script.state, &recovered));
    wal_recovered_deinit(&recovered);
    append(fixture, 1, 10);
    reopen(fixture);
}

/* ---- The thread, on a real disk ---- */

struct waker {
    int fd;
};

static void wake(void *context)
{
    struct waker *waker = context;
    uint64_t one = 1;
    if (write(waker->fd, &one, sizeof one) != sizeof one) {
        abort();
    }
}

static struct wal_done wait_for_done(struct wal_thread *thread, struct waker *waker)
{
    struct wal_done done;
    while (!wal_thread_take_done(thread, &done)) {
        struct pollfd poll_fd = {.fd = waker->fd, .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, 30000), 1);
        uint64_t count;
        assert_int_equal(read(waker->fd, &count, sizeof count), sizeof count);
    }
    return done;
}

static void remove_entry(void *context, const char *name)
{
    struct disk *disk = context;
    assert_int_equal(disk_unlink(disk, name), 0);
}

static void test_the_thread_writes_in_order_and_answers(void **state)
{
    (void)state;
    char directory[] = "/tmp/coracle-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    static struct script script;
    script_init(&script, 3);
    struct disk *disk;
    assert_int_equal(disk_real_open(directory, NULL, &disk, NULL), 0);
    struct wal_options options = script_options(&script, disk);
    options.segment_bytes = 65536;
    options.alignment_bytes = 4096;
    options.clock_ns = clock_monotonic_ns;
    for (int round = 0; round < 2; round++) {
        struct wal *wal;
        struct wal_recovered recovered;
        assert_int_equal(wal_open(&options, &wal, &recovered, NULL), 0);
        assert_true(script_matches(&script.state, &recovered));
        wal_recovered_deinit(&recovered);
        struct waker waker = {.fd = eventfd(0, EFD_CLOEXEC)};
        const struct wal_thread_options thread_options = {.wake = wake, .context = &waker};
        struct wal_thread *thread;
        assert_int_equal(wal_thread_start(wal, &thread_options, &thread, NULL), 0);
        uint64_t last = 0;
        for (int i = 0; i < 100; i++) {
            struct wal_batch *batch = script_append_batch(&script, 1, 1000);
            last = wal_batch_sequence(batch);
            wal_thread_take_batch(thread, batch);
            script_acknowledge(&script);
        }
        uint64_t answered = 0;
        while (answered < last) {
            struct wal_done done = wait_for_done(thread, &waker);
            assert_int_equal(done.code, 0);
            assert_true(done.sequence > answered);
            answered = done.sequence;
        }
        assert_int_equal(wal_thread_oldest_ms(thread), 0);
        wal_thread_release(thread, 10); /* no snapshot: nothing happens */
        /* What is handed over before the end is written before the end. */
        wal_thread_take_batch(thread, script_append_batch(&script, 1, 1000));
        script_acknowledge(&script);
        wal_thread_stop(thread);
        assert_int_equal(close(waker.fd), 0);
    }
    assert_int_equal(disk_list(disk, remove_entry, disk), 0);
    disk_real_close(disk);
    assert_int_equal(rmdir(directory), 0);
}

static int fail_syncs(void *context, enum disk_call call, uint64_t number)
{
    (void)context;
    (void)number;
    return call == DISK_CALL_SYNC ? -EIO : 0;
}

static void test_the_thread_reports_a_failed_sync_and_writes_no_more(void **state)
{
    struct fixture *fixture = *state;
    disk_memory_set_hook(fixture->disk, fail_syncs, NULL);
    struct waker waker = {.fd = eventfd(0, EFD_CLOEXEC)};
    const struct wal_thread_options options = {.wake = wake, .context = &waker};
    struct wal_thread *thread;
    assert_int_equal(wal_thread_start(fixture->wal, &options, &thread, NULL), 0);
    fixture->wal = NULL;
    wal_thread_take_batch(thread, script_append_batch(&fixture->script, 1, 10));
    struct wal_done done = wait_for_done(thread, &waker);
    assert_int_equal(done.code, ERR_IO);
    assert_int_equal(done.sequence, 0);
    wal_thread_take_batch(thread, script_append_batch(&fixture->script, 1, 10));
    wal_thread_stop(thread);
    assert_int_equal(close(waker.fd), 0);
}

static void test_the_thread_goes_on_by_itself_when_space_returns(void **state)
{
    struct fixture *fixture = *state;
    struct waker waker = {.fd = eventfd(0, EFD_CLOEXEC)};
    const struct wal_thread_options options = {.wake = wake, .context = &waker};
    /* The limit is set before the thread exists and lifted after it said so and waits. */
    disk_memory_set_capacity(fixture->disk, 1);
    struct wal_thread *thread;
    assert_int_equal(wal_thread_start(fixture->wal, &options, &thread, NULL), 0);
    fixture->wal = NULL;
    wal_thread_take_batch(thread, script_append_batch(&fixture->script, 3, 30000));
    struct wal_done done = wait_for_done(thread, &waker);
    assert_int_equal(done.code, ERR_NO_SPACE);
    assert_int_equal(done.sequence, 0);
    disk_memory_set_capacity(fixture->disk, 0);
    wal_thread_release(thread, 0); /* hands the change over to the thread */
    done = wait_for_done(thread, &waker);
    assert_int_equal(done.code, 0);
    assert_int_equal(done.sequence, fixture->script.sequence);
    wal_thread_stop(thread);
    assert_int_equal(close(waker.fd), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_missing_log_is_made_only_when_asked_for),
        TEST(test_another_clusters_or_members_log_is_refused),
        cmocka_unit_test(test_each_start_has_an_incarnation_of_its_own),
        TEST(test_merged_batches_cost_one_sync),
        TEST(test_an_empty_batch_costs_nothing),
        TEST(test_a_batch_larger_than_a_segment_gets_a_segment_of_its_size),
        TEST(test_segments_below_the_snapshot_are_released),
        TEST(test_a_released_log_still_knows_term_vote_and_members),
        TEST(test_a_log_that_ends_before_what_was_applied_is_refused),
        TEST(test_a_log_that_begins_after_what_the_store_has_is_refused),
        TEST(test_an_installed_snapshot_that_was_not_recorded_is_taken_over),
        TEST(test_a_missing_segment_is_corruption),
        TEST(test_a_full_disk_refuses_before_anything_is_written),
        TEST(test_a_torn_batch_is_cut_off_and_reported),
        cmocka_unit_test(test_the_thread_writes_in_order_and_answers),
        TEST(test_the_thread_reports_a_failed_sync_and_writes_no_more),
        TEST(test_the_thread_goes_on_by_itself_when_space_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
