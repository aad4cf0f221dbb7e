/* Crash at every call of the log's disk, keep every kind of subset of what was not synced, flip
 * every bit, fail every call: recovery must give exactly what was acknowledged, or say CORRUPT. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "raft/wal/wal_format.h"
#include "tests/unit/raft/wal_script.h"

enum { POWER_OFF = -ESHUTDOWN };

/* Stop the world at call number `at` (and at every later one). */
struct stopper {
    uint64_t at;
    uint64_t count;
};

static int stop_at(void *context, enum disk_call call, uint64_t number)
{
    struct stopper *stopper = context;
    (void)call;
    (void)number;
    return ++stopper->count >= stopper->at ? POWER_OFF : 0;
}

enum { STEPS = 30 };

/* Run the history until the end or an error. True: every step was acknowledged. */
static bool run_script(struct script *script, struct disk *disk, uint32_t data_bytes_max)
{
    const struct wal_options options = script_options(script, disk);
    struct wal *wal;
    struct wal_recovered recovered;
    script->attempted = script->state;
    if (wal_open(&options, &wal, &recovered, NULL) != 0) {
        return false;
    }
    wal_recovered_deinit(&recovered);
    int rc = 0;
    for (int step = 0; rc == 0 && step < STEPS; step++) {
        struct wal_batch *batch = script_next_batch(script, data_bytes_max);
        rc = wal_append(wal, &batch, 1, NULL);
        if (rc == ERR_NO_SPACE) {
            rc = wal_append(wal, &batch, 1, NULL); /* nothing was written: it may be repeated */
        }
        wal_batch_free(batch);
        if (rc == 0) {
            script_acknowledge(script);
            rc = step % 5 == 4 ? wal_release(wal, script->state.snapshot.last.index, NULL) : 0;
            script->attempted = script->state;
        }
        if (rc == 0 && step % 3 == 2) {
            rc = wal_reserve(wal, NULL);
        }
    }
    wal_close(wal);
    return rc == 0;
}

static bool find_state(const struct script *script, const struct wal_recovered *recovered,
                       struct script_state *ret_state)
{
    static struct script_state adopted;
    bool has_adopted = script_adopted(script, &adopted);
    if (script_matches(&script->attempted, recovered)) {
        *ret_state = script->attempted;
    } else if (has_adopted && script_matches(&adopted, recovered)) {
        *ret_state = adopted;
    } else if (!has_adopted && script_matches(&script->state, recovered)) {
        *ret_state = script->state;
    } else {
        return false;
    }
    return true;
}

/* Open after a crash: exactly the acknowledged state, or that with the batch that was under way. */
static bool recover_and_compare(struct script *script, struct disk *disk)
{
    const struct wal_options options = script_options(script, disk);
    struct wal *wal;
    struct wal_recovered recovered;
    struct err err;
    int rc = wal_open(&options, &wal, &recovered, &err);
    if (rc != 0) {
        print_error("recovery failed: %s\n", err.text);
        return false;
    }
    static struct script_state found; /* large */
    bool is_exact = find_state(script, &recovered, &found);
    if (!is_exact) {
        print_error("recovered another state\n");
        found = script->state;
    }
    /* The log can be continued, and the continuation is found again. */
    script->state = found;
    script->attempted = found;
    wal_recovered_deinit(&recovered);
    for (int i = 0; rc == 0 && i < 3; i++) {
        struct wal_batch *batch = script_append_batch(script, 2, 100);
        rc = wal_append(wal, &batch, 1, &err);
        wal_batch_free(batch);
        script_acknowledge(script);
    }
    wal_close(wal);
    if (rc != 0 || wal_open(&options, &wal, &recovered, &err) != 0) {
        print_error("cannot go on: %s\n", err.text);
        return false;
    }
    is_exact = is_exact && script_matches(&script->state, &recovered);
    wal_recovered_deinit(&recovered);
    wal_close(wal);
    return is_exact;
}

static bool crash_once(struct disk *disk, const struct script *script, enum disk_memory_crash how,
                       uint64_t seed)
{
    static struct script copy; /* large */
    copy = *script;
    struct disk *crashed = disk_memory_clone(disk);
    disk_memory_crash(crashed, how, seed);
    bool is_good = recover_and_compare(&copy, crashed);
    disk_memory_free(crashed);
    return is_good;
}

static void crash_everywhere(uint64_t seed, uint32_t data_bytes_max, uint64_t subsets)
{
    static struct script script;
    bool is_finished = false;
    for (uint64_t at = 1; !is_finished; at++) {
        struct stopper stopper = {.at = at};
        struct disk *disk = disk_memory_new(at);
        disk_memory_set_hook(disk, stop_at, &stopper);
        script_init(&script, seed);
        is_finished = run_script(&script, disk, data_bytes_max);
        disk_memory_set_hook(disk, NULL, NULL);
        bool is_good = crash_once(disk, &script, DISK_CRASH_LOSE_ALL, 0) &&
                       crash_once(disk, &script, DISK_CRASH_KEEP_ALL, 0);
        for (uint64_t i = 0; is_good && i < subsets; i++) {
            is_good = crash_once(disk, &script, DISK_CRASH_KEEP_SOME, at * 1000 + i);
        }
        disk_memory_free(disk);
        if (!is_good) {
            print_error("seed %llu, crash at call %llu\n", (unsigned long long)seed,
                        (unsigned long long)at);
        }
        assert_true(is_good);
    }
}

/* CORACLE_SWEEP=n in the environment: n times as many histories. */
static uint64_t seeds(uint64_t count)
{
    const char *text = getenv("CORACLE_SWEEP");
    return text == NULL ? count : count * strtoull(text, NULL, 10);
}

static void test_a_crash_at_any_call_loses_nothing_acknowledged_in_small_batches(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(4); seed++) {
        crash_everywhere(seed, 100, 8);
    }
}

static void test_a_crash_at_any_call_loses_nothing_acknowledged_in_large_batches(void **state)
{
    (void)state;
    for (uint64_t seed = 10001; seed <= 10000 + seeds(4); seed++) {
        crash_everywhere(seed, 3000, 8); /* many sectors to tear, many segments */
    }
}

static void test_a_crash_during_recovery_loses_nothing_either(void **state)
{
    (void)state;
    static struct script script;
    static struct script copy;
    for (uint64_t seed = 1; seed <= seeds(16); seed++) {
        struct stopper first = {.at = 40 + seed * 3 % 100};
        struct disk *disk = disk_memory_new(seed);
        disk_memory_set_hook(disk, stop_at, &first);
        script_init(&script, seed);
        (void)run_script(&script, disk, 2000);
        disk_memory_set_hook(disk, NULL, NULL);
        disk_memory_crash(disk, DISK_CRASH_KEEP_SOME, seed);
        for (uint64_t at = 1; at < 24; at++) {
            struct disk *again = disk_memory_clone(disk);
            struct stopper second = {.at = at};
            const struct wal_options options = script_options(&script, again);
            struct wal *wal;
            struct wal_recovered recovered;
            disk_memory_set_hook(again, stop_at, &second);
            if (wal_open(&options, &wal, &recovered, NULL) == 0) {
                wal_recovered_deinit(&recovered);
                wal_close(wal);
            }
            disk_memory_set_hook(again, NULL, NULL);
            disk_memory_crash(again, DISK_CRASH_KEEP_SOME, at);
            copy = script;
            assert_true(recover_and_compare(&copy, again));
            disk_memory_free(again);
        }
        disk_memory_free(disk);
    }
}

/* ---- Failing calls ---- */

struct failer {
    uint64_t at;
    int code;
    bool is_persistent;
    uint64_t count;
    bool has_failed;
};

static int fail_at(void *context, enum disk_call call, uint64_t number)
{
    struct failer *failer = context;
    (void)call;
    (void)number;
    failer->count++;
    if (failer->count == failer->at || (failer->is_persistent && failer->has_failed)) {
        failer->has_failed = true;
        return failer->code;
    }
    return 0;
}

static void fail_everywhere(int code, bool is_persistent)
{
    static struct script script;
    bool is_finished = false;
    for (uint64_t at = 1; !is_finished; at++) {
        struct failer failer = {.at = at, .code = code, .is_persistent = is_persistent};
        struct disk *disk = disk_memory_new(at * 7);
        disk_memory_set_hook(disk, fail_at, &failer);
        script_init(&script, 77);
        bool is_complete = run_script(&script, disk, 1500);
        is_finished = !failer.has_failed;
        /* An error is never swallowed: either it was final, or it came from closing. */
        if (is_complete && failer.has_failed) {
            assert_true(failer.count >= at);
        }
        disk_memory_set_hook(disk, NULL, NULL);
        /* The process exits and starts again, with and without a power loss between. */
        bool is_good = crash_once(disk, &script, DISK_CRASH_KEEP_ALL, 0) &&
                       crash_once(disk, &script, DISK_CRASH_LOSE_ALL, 0) &&
                       crash_once(disk, &script, DISK_CRASH_KEEP_SOME, at);
        disk_memory_free(disk);
        if (!is_good) {
            print_error("failure %d at call %llu\n", code, (unsigned long long)at);
        }
        assert_true(is_good);
    }
}

static void test_any_single_failing_call_loses_nothing_acknowledged(void **state)
{
    (void)state;
    fail_everywhere(-EIO, false);
    fail_everywhere(-ENOSPC, false);
}

static void test_a_disk_that_stays_broken_loses_nothing_acknowledged(void **state)
{
    (void)state;
    fail_everywhere(-EIO, true);
}

static void test_after_a_failed_sync_every_call_is_refused(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script, 1);
    struct disk *disk = disk_memory_new(1);
    const struct wal_options options = script_options(&script, disk);
    struct wal *wal;
    struct wal_recovered recovered;
    assert_int_equal(wal_open(&options, &wal, &recovered, NULL), 0);
    wal_recovered_deinit(&recovered);
    struct failer failer = {.at = 2, .code = -EIO}; /* write, then sync */
    disk_memory_set_hook(disk, fail_at, &failer);
    struct wal_batch *batch = script_append_batch(&script, 1, 10);
    struct err err;
    assert_int_equal(wal_append(wal, &batch, 1, &err), ERR_IO);
    uint64_t calls = disk_memory_call_count(disk);
    assert_int_equal(wal_append(wal, &batch, 1, &err), ERR_IO);
    assert_int_equal(wal_release(wal, 1, &err), ERR_IO);
    assert_int_equal(wal_reserve(wal, &err), ERR_IO);
    assert_int_equal(wal_settle(wal, &err), ERR_IO);
    assert_int_equal(disk_memory_call_count(disk), calls); /* the disk is not touched again */
    wal_batch_free(batch);
    wal_close(wal);
    disk_memory_free(disk);
}

/* ---- Damage ---- */

static void collect_name(void *context, const char *name)
{
    char(*names)[64] = context;
    for (int i = 0; i < 8; i++) {
        if (names[i][0] == '\0') {
            strcpy(names[i], name);
            return;
        }
    }
    fail_msg("too many files");
}

struct flip_counts {
    uint64_t total;
    uint64_t detected;
    uint64_t harmless;
    uint64_t wrong;
};

static void flip_one(struct disk *disk, const struct script *script, const char *name, uint64_t bit,
                     struct flip_counts *counts)
{
    struct disk *damaged = disk_memory_clone(disk);
    assert_true(disk_memory_flip_bit(damaged, name, bit));
    const struct wal_options options = script_options(script, damaged);
    struct wal *wal;
    struct wal_recovered recovered;
    int rc = wal_open(&options, &wal, &recovered, NULL);
    counts->total++;
    if (rc == 0) {
        bool is_exact = script_matches(&script->state, &recovered);
        counts->harmless += is_exact ? 1 : 0;
        counts->wrong += is_exact ? 0 : 1;
        wal_recovered_deinit(&recovered);
        wal_close(wal);
    } else if (rc == ERR_CORRUPT) {
        counts->detected++;
    } else {
        counts->wrong++;
    }
    disk_memory_free(damaged);
}

/* Whether the bit lies in a sector that was written: such damage must be detected, not survived. */
static bool is_in_written_sector(const uint8_t *data, uint64_t bit)
{
    const uint8_t *sector = data + bit / 8 / 512 * 512;
    for (int i = 0; i < 512; i++) {
        if (sector[i] != 0) {
            return true;
        }
    }
    return false;
}

static void test_every_flipped_bit_is_detected_or_harmless(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script, 5);
    struct disk *disk = disk_memory_new(5);
    assert_true(run_script(&script, disk, 300));
    char names[8][64];
    memset(names, 0, sizeof names);
    assert_int_equal(disk_list(disk, collect_name, names), 0);
    int segments = 0;
    for (int i = 0; i < 8 && names[i][0] != '\0'; i++) {
        uint64_t size;
        const uint8_t *data = disk_memory_find(disk, names[i], &size);
        bool is_segment = strstr(names[i], "-0") != NULL;
        segments += is_segment ? 1 : 0;
        struct flip_counts written = {.total = 0};
        struct flip_counts blank = {.total = 0};
        for (uint64_t bit = 0; bit < size * 8; bit++) {
            bool is_written = is_in_written_sector(data, bit);
            if (!is_written && bit % 37 != 0) {
                continue; /* all blank bits are alike */
            }
            flip_one(disk, &script, names[i], bit, is_written ? &written : &blank);
        }
        assert_int_equal(written.wrong + blank.wrong, 0);
        assert_int_equal(blank.detected, 0); /* decay of unused space stops nobody */
        if (is_segment) {
            assert_int_equal(written.detected, written.total);
        } else {
            assert_int_equal(written.detected, 0); /* the other slot remains */
        }
    }
    assert_true(segments >= 1);
    disk_memory_free(disk);
}

/* Lose the newest record of an acknowledgement: as if power had failed right after the answer. */
static void drop_newest_slot(struct disk *disk)
{
    uint64_t newest = 0;
    uint64_t place = 0;
    uint64_t size;
    const uint8_t *slots = disk_memory_find(disk, "acknowledged", &size);
    for (uint64_t i = 0; i < 2; i++) {
        uint64_t sequence;
        if (wal_decode_slot(slots + i * WAL_SLOT_DISTANCE, &sequence) && sequence >= newest) {
            newest = sequence;
            place = i * WAL_SLOT_DISTANCE;
        }
    }
    assert_true(disk_memory_flip_bit(disk, "acknowledged", place * 8));
}

static void test_a_flipped_bit_in_the_last_batch_is_detected_by_its_sectors_alone(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script, 5);
    struct disk *disk = disk_memory_new(5);
    assert_true(run_script(&script, disk, 300));
    drop_newest_slot(disk);
    char names[8][64];
    memset(names, 0, sizeof names);
    assert_int_equal(disk_list(disk, collect_name, names), 0);
    struct flip_counts counts = {.total = 0};
    for (int i = 0; i < 8 && names[i][0] != '\0'; i++) {
        uint64_t size;
        const uint8_t *data = disk_memory_find(disk, names[i], &size);
        if (strstr(names[i], "-0") == NULL) {
            continue;
        }
        for (uint64_t bit = 0; bit < size * 8; bit += 7) {
            if (is_in_written_sector(data, bit)) {
                flip_one(disk, &script, names[i], bit, &counts);
            }
        }
    }
    assert_true(counts.total > 4000);
    assert_int_equal(counts.detected, counts.total);
    disk_memory_free(disk);
}

static void test_a_blanked_sector_of_the_last_acknowledged_batch_is_detected(void **state)
{
    (void)state;
    /* Worse than a flipped bit: it looks exactly like a write that never happened. The record of
     * the last acknowledgement tells. */
    static struct script script;
    script_init(&script, 9);
    struct disk *disk = disk_memory_new(9);
    assert_true(run_script(&script, disk, 100));
    char names[8][64];
    memset(names, 0, sizeof names);
    assert_int_equal(disk_list(disk, collect_name, names), 0);
    const char *last = NULL;
    for (int i = 0; i < 8 && names[i][0] != '\0'; i++) {
        if (strstr(names[i], "-0") != NULL && (last == NULL || strcmp(names[i], last) > 0)) {
            last = names[i];
        }
    }
    assert_non_null(last);
    uint64_t size;
    const uint8_t *data = disk_memory_find(disk, last, &size);
    uint64_t end = size;
    while (end > 0 && !is_in_written_sector(data, (end - 512) * 8)) {
        end -= 512;
    }
    assert_true(end >= 512);
    for (uint64_t bit = (end - 512) * 8; bit < end * 8; bit++) {
        if ((data[bit / 8] >> (bit % 8) & 1) != 0) {
            assert_true(disk_memory_flip_bit(disk, last, bit));
        }
    }
    const struct wal_options options = script_options(&script, disk);
    struct wal *wal;
    struct wal_recovered recovered;
    struct err err;
    assert_int_equal(wal_open(&options, &wal, &recovered, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "was acknowledged"));
    disk_memory_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_at_any_call_loses_nothing_acknowledged_in_small_batches),
        cmocka_unit_test(test_a_crash_at_any_call_loses_nothing_acknowledged_in_large_batches),
        cmocka_unit_test(test_a_crash_during_recovery_loses_nothing_either),
        cmocka_unit_test(test_any_single_failing_call_loses_nothing_acknowledged),
        cmocka_unit_test(test_a_disk_that_stays_broken_loses_nothing_acknowledged),
        cmocka_unit_test(test_after_a_failed_sync_every_call_is_refused),
        cmocka_unit_test(test_every_flipped_bit_is_detected_or_harmless),
        cmocka_unit_test(test_a_flipped_bit_in_the_last_batch_is_detected_by_its_sectors_alone),
        cmocka_unit_test(test_a_blanked_sector_of_the_last_acknowledged_batch_is_detected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
