#include "tests/support/test.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/pb.h"
#include "kvstore/migrate/etcd_wal.h"
#include "kvstore/migrate/raft_snapshot.h"
#include "tests/support/etcd_log.h"

struct fixture {
    struct etcd_log log;
    struct etcd_wal wal;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    etcd_wal_init(&f->wal);
    etcd_log_add(&f->log, 4, (struct bytes){NULL, 0});
    etcd_log_add(&f->log, 1, BYTES_LITERAL("who"));
    etcd_log_add(&f->log, 5, (struct bytes){NULL, 0});
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    etcd_wal_deinit(&f->wal);
    buf_deinit(&f->log.file);
    mem_free(f);
    return 0;
}

static int read_log(struct fixture *f, bool is_last)
{
    etcd_wal_deinit(&f->wal);
    return etcd_wal_add_file(&f->wal, buf_bytes(&f->log.file), is_last, "0-0.wal", &f->err);
}

static void allocate_ahead(struct fixture *f)
{
    uint8_t *room = buf_reserve(&f->log.file, 4096);
    memset(room, 0, 4096);
    buf_commit(&f->log.file, 4096);
}

static void test_entries_and_the_commit_index_are_read_up_to_the_zeros(void **state)
{
    struct fixture *f = *state;
    etcd_log_add_entry(&f->log, 1, 1, "a");
    etcd_log_add_entry(&f->log, 2, 1, "bb");
    etcd_log_add_state(&f->log, 1, 2);
    allocate_ahead(f);
    assert_int_equal(read_log(f, true), 0);
    assert_int_equal(f->wal.count, 2);
    assert_int_equal(f->wal.commit, 2);
    assert_memory_equal(f->wal.entries[1].data.data, "bb", 2);
    assert_false(f->wal.has_torn_tail);
}

static void test_a_new_leaders_entry_replaces_the_old_ones_from_its_index_on(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 4; i++) {
        etcd_log_add_entry(&f->log, i, 1, "old");
    }
    etcd_log_add_entry(&f->log, 3, 2, "new");
    assert_int_equal(read_log(f, true), 0);
    assert_int_equal(f->wal.count, 3);
    assert_int_equal(f->wal.entries[2].term, 2);
}

static void test_the_sum_goes_on_in_the_next_file(void **state)
{
    struct fixture *f = *state;
    etcd_log_add_entry(&f->log, 1, 1, "a");
    struct etcd_log next = {.crc = f->log.crc};
    etcd_log_add(&next, 4, (struct bytes){NULL, 0});
    etcd_log_add_entry(&next, 2, 1, "b");
    assert_int_equal(read_log(f, false), 0);
    assert_int_equal(etcd_wal_add_file(&f->wal, buf_bytes(&next.file), true, "1-2.wal", &f->err),
                     0);
    assert_int_equal(f->wal.count, 2);
    /* A file whose sum does not fit what came before. */
    struct etcd_log stranger = {.crc = 77};
    etcd_log_add(&stranger, 4, (struct bytes){NULL, 0});
    assert_int_equal(
        etcd_wal_add_file(&f->wal, buf_bytes(&stranger.file), true, "2-3.wal", &f->err),
        ERR_CORRUPT);
    buf_deinit(&next.file);
    buf_deinit(&stranger.file);
}

static void test_a_gap_is_damage_unless_a_snapshot_stands_in_for_it(void **state)
{
    struct fixture *f = *state;
    etcd_log_add_entry(&f->log, 1, 1, "a");
    etcd_log_add_entry(&f->log, 9, 1, "b");
    assert_int_equal(read_log(f, true), ERR_CORRUPT);
    buf_clear(&f->log.file);
    f->log.crc = 0;
    struct buf snapshot = BUF_INIT;
    pb_put_u64(&snapshot, 1, 8);
    pb_put_u64(&snapshot, 2, 1);
    etcd_log_add_entry(&f->log, 1, 1, "a");
    etcd_log_add(&f->log, 5, buf_bytes(&snapshot));
    etcd_log_add_entry(&f->log, 9, 1, "b");
    buf_deinit(&snapshot);
    assert_int_equal(read_log(f, true), 0);
    assert_int_equal(f->wal.count, 1);
    assert_int_equal(f->wal.entries[0].index, 9);
}

static void test_every_flipped_bit_in_a_record_is_found(void **state)
{
    struct fixture *f = *state;
    etcd_log_add_entry(&f->log, 1, 1, "acknowledged");
    etcd_log_add_entry(&f->log, 2, 1, "acknowledged, too");
    struct bytes file = buf_bytes(&f->log.file);
    size_t used = file.size;
    allocate_ahead(f);
    assert_int_equal(read_log(f, true), 0);
    unsigned unseen = 0;
    for (size_t at = 0; at < used; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            f->log.file.data[at] ^= (uint8_t)(1U << bit);
            int code = read_log(f, true);
            /* Padding, and bits of a length that nobody reads, change nothing. */
            unseen += code == 0 ? 1 : 0;
            assert_true(code != 0 || (f->wal.count == 2 && f->wal.entries[0].data.size == 12));
            f->log.file.data[at] ^= (uint8_t)(1U << bit);
        }
    }
    assert_true(unseen < used * 8 / 3); /* seven bytes of padding a record at most */
}

static void test_a_sector_that_was_never_written_ends_the_last_file_only(void **state)
{
    struct fixture *f = *state;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    etcd_log_add_entry(&f->log, 1, 1, "a");
    etcd_log_add_entry(&f->log, 2, 1, text);
    memset(f->log.file.data + 1024, 0, 512);
    assert_int_equal(read_log(f, true), 0);
    assert_true(f->wal.has_torn_tail);
    assert_int_equal(f->wal.count, 1);
    assert_int_equal(read_log(f, false), ERR_CORRUPT);
}

static void test_an_empty_file_is_damage(void **state)
{
    struct fixture *f = *state;
    buf_clear(&f->log.file);
    allocate_ahead(f);
    assert_int_equal(read_log(f, true), ERR_CORRUPT);
}

static void test_a_snapshot_file_gives_its_position(void **state)
{
    struct fixture *f = *state;
    struct buf data = BUF_INIT;
    struct buf file = BUF_INIT;
    size_t metadata = pb_begin_message(&data, 2);
    size_t conf = pb_begin_message(&data, 1);
    pb_put_u64(&data, 1, 11);
    pb_put_u64(&data, 1, 12);
    pb_end_message(&data, conf);
    pb_put_u64(&data, 2, 500);
    pb_put_u64(&data, 3, 7);
    pb_end_message(&data, metadata);
    struct bytes bytes = buf_bytes(&data);
    pb_put_u64(&file, 1, crc32c(0, bytes.data, bytes.size));
    pb_put_bytes(&file, 2, bytes);
    struct raft_snapshot_file found;
    assert_int_equal(raft_snapshot_read(buf_bytes(&file), &found, &f->err), 0);
    assert_int_equal(found.index, 500);
    assert_int_equal(found.term, 7);
    assert_int_equal(found.voter_count, 2);
    file.data[file.end - 1] ^= 1;
    assert_int_equal(raft_snapshot_read(buf_bytes(&file), &found, &f->err), ERR_CORRUPT);
    buf_deinit(&data);
    buf_deinit(&file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_entries_and_the_commit_index_are_read_up_to_the_zeros),
        TEST(test_a_new_leaders_entry_replaces_the_old_ones_from_its_index_on),
        TEST(test_the_sum_goes_on_in_the_next_file),
        TEST(test_a_gap_is_damage_unless_a_snapshot_stands_in_for_it),
        TEST(test_every_flipped_bit_in_a_record_is_found),
        TEST(test_a_sector_that_was_never_written_ends_the_last_file_only),
        TEST(test_an_empty_file_is_damage),
        TEST(test_a_snapshot_file_gives_its_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
