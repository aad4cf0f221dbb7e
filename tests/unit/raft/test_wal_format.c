/* The log's bytes: records, sectors, and how what a crash leaves is judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "raft/wal/wal_format.h"

static void test_records_survive_encoding(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf buf = BUF_INIT;
    uint32_t hash = 17;
    const struct raft_hard_state hard = {.term = UINT64_MAX, .vote = 1, .commit = UINT64_MAX - 1};
    const struct wal_metadata metadata = {.cluster_id = 1, .member_id = 2, .incarnation = 3};
    wal_put_hard_state(&buf, &hash, &hard);
    wal_put_metadata(&buf, &hash, &metadata);
    struct bytes records = buf_bytes(&buf);
    struct wal_record record;
    hash = 17;
    assert_int_equal(wal_take_record(&records, true, &hash, &record, NULL), 0);
    assert_int_equal(record.type, WAL_RECORD_HARD_STATE);
    assert_true(record.hard_state.term == hard.term && record.hard_state.commit == hard.commit);
    assert_int_equal(wal_take_record(&records, true, &hash, &record, NULL), 0);
    assert_int_equal(record.metadata.incarnation, 3);
    assert_int_equal(records.size, 0);
    records = buf_bytes(&buf);
    hash = 18; /* another record came before */
    assert_int_equal(wal_take_record(&records, true, &hash, &record, NULL), ERR_CORRUPT);
}

static void test_a_sector_is_valid_in_its_own_place_only(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf file = BUF_INIT;
    CLEANUP(buf) struct buf records = BUF_INIT;
    wal_frame(&file, BYTES_LITERAL("some records"), (struct wal_place){7, 0}, 1);
    struct wal_scan scan;
    struct bytes bytes = buf_bytes(&file);
    assert_int_equal(wal_scan(bytes, (struct wal_place){7, 0}, 1, &records, &scan), WAL_SCAN_BATCH);
    assert_true(bytes_equal(scan.records, BYTES_LITERAL("some records")));
    assert_int_equal(wal_scan(bytes, (struct wal_place){8, 0}, 1, &records, &scan),
                     WAL_SCAN_CORRUPT);
    assert_int_equal(wal_scan(bytes, (struct wal_place){7, 0}, 2, &records, &scan),
                     WAL_SCAN_CORRUPT);
}

static void test_a_later_batch_proves_that_a_missing_one_was_acknowledged(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf file = BUF_INIT;
    CLEANUP(buf) struct buf records = BUF_INIT;
    const uint8_t blank[2 * WAL_SECTOR_SIZE] = {0};
    uint8_t large[1000];
    memset(large, 'x', sizeof large);
    wal_frame(&file, BYTES_LITERAL("first"), (struct wal_place){1, 0}, 1);
    buf_append(&file, blank, sizeof blank);
    struct wal_scan scan;
    const struct wal_place second = {1, WAL_SECTOR_SIZE};
    assert_int_equal(wal_scan(buf_bytes(&file), second, 2, &records, &scan), WAL_SCAN_END);
    /* A sector of batch 2, after its first did not arrive: unfinished. */
    struct buf torn = BUF_INIT;
    wal_frame(&torn, bytes_make(large, sizeof large), second, 2);
    struct bytes sectors = buf_bytes(&torn);
    memcpy(file.data + 2 * WAL_SECTOR_SIZE, sectors.data + WAL_SECTOR_SIZE, WAL_SECTOR_SIZE);
    assert_int_equal(wal_scan(buf_bytes(&file), second, 2, &records, &scan), WAL_SCAN_TORN);
    assert_int_equal(scan.size, 2 * WAL_SECTOR_SIZE);
    /* A batch 3 is written only after batch 2 was durable: damage. */
    wal_frame(&file, BYTES_LITERAL("third"), (struct wal_place){1, 3 * WAL_SECTOR_SIZE}, 3);
    assert_int_equal(wal_scan(buf_bytes(&file), second, 2, &records, &scan), WAL_SCAN_CORRUPT);
    /* An older batch's sector in this place: misdirected, or never overwritten. */
    buf_truncate(&file, 3 * WAL_SECTOR_SIZE);
    wal_frame(&file, BYTES_LITERAL("old"), (struct wal_place){1, 3 * WAL_SECTOR_SIZE}, 1);
    assert_int_equal(wal_scan(buf_bytes(&file), second, 2, &records, &scan), WAL_SCAN_CORRUPT);
    buf_deinit(&torn);
}

static void test_a_batch_with_another_batchs_sector_inside_is_not_whole(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf file = BUF_INIT;
    CLEANUP(buf) struct buf other = BUF_INIT;
    CLEANUP(buf) struct buf records = BUF_INIT;
    uint8_t large[1000];
    memset(large, 'x', sizeof large);
    wal_frame(&file, bytes_make(large, sizeof large), (struct wal_place){1, 0}, 5);
    wal_frame(&other, bytes_make(large, sizeof large), (struct wal_place){1, 0}, 4);
    memcpy(file.data + WAL_SECTOR_SIZE, other.data + WAL_SECTOR_SIZE, WAL_SECTOR_SIZE);
    struct wal_scan scan;
    assert_int_equal(wal_scan(buf_bytes(&file), (struct wal_place){1, 0}, 5, &records, &scan),
                     WAL_SCAN_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_survive_encoding),
        cmocka_unit_test(test_a_sector_is_valid_in_its_own_place_only),
        cmocka_unit_test(test_a_later_batch_proves_that_a_missing_one_was_acknowledged),
        cmocka_unit_test(test_a_batch_with_another_batchs_sector_inside_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
