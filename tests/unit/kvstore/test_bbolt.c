#include "tests/support/test.h"

#include <string.h>

#include "base/cleanup.h"
#include "kvstore/migrate/bbolt.h"
#include "kvstore/migrate/etcd_summary.h"
#include "tests/support/bbolt_file.h"

struct fixture {
    struct buf file;
    struct bbolt db;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    bbolt_file_make(&f->file);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    buf_deinit(&f->file);
    mem_free(f);
    return 0;
}

static uint8_t *page(struct fixture *f, unsigned id)
{
    return f->file.data + (size_t)id * BBOLT_FILE_PAGE;
}

static int open_file(struct fixture *f)
{
    return bbolt_init(&f->db, buf_bytes(&f->file), &f->err);
}

/* The keys of a bucket, joined; or the code. */
static int list(struct fixture *f, const char *name, char *keys)
{
    struct bbolt_bucket bucket;
    struct bbolt_cursor cursor;
    struct bbolt_item item;
    *keys = '\0';
    int code = bbolt_bucket_find(&f->db, bytes_from_text(name), &bucket, &f->err);
    if (code != 0) {
        return code;
    }
    bbolt_cursor_init(&cursor, &bucket);
    while ((code = bbolt_cursor_next(&cursor, &item, &f->err)) == 0) {
        strncat(keys, (const char *)item.key.data, item.key.size);
        strcat(keys, " ");
    }
    return code == ERR_NOT_FOUND ? 0 : code;
}

static void test_keys_come_in_order_through_branches_and_overflow_pages(void **state)
{
    struct fixture *f = *state;
    char keys[64];
    assert_int_equal(open_file(f), 0);
    assert_int_equal(list(f, "big", keys), 0);
    assert_string_equal(keys, "a b m z ");
}

static void test_a_small_bucket_lies_in_its_parents_page(void **state)
{
    struct fixture *f = *state;
    char keys[64];
    assert_int_equal(open_file(f), 0);
    assert_int_equal(list(f, "small", keys), 0);
    assert_string_equal(keys, "one two ");
    assert_int_equal(list(f, "absent", keys), ERR_NOT_FOUND);
}

static void test_the_meta_page_of_the_newer_transaction_counts(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_file(f), 0);
    assert_int_equal(f->db.txid, 3);
    assert_int_equal(f->db.root, 4);
    page(f, 1)[64] = 9; /* its checksum is wrong now */
    assert_int_equal(open_file(f), 0);
    assert_int_equal(f->db.txid, 2);
}

static void test_the_second_meta_page_is_found_when_the_first_is_damaged(void **state)
{
    struct fixture *f = *state;
    memset(page(f, 0), 0xff, BBOLT_FILE_PAGE);
    assert_int_equal(open_file(f), 0);
    assert_int_equal(f->db.txid, 3);
    page(f, 1)[30] ^= 1;
    assert_int_equal(open_file(f), ERR_CORRUPT);
}

static void test_another_format_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 2; i++) {
        page(f, i)[20] = 3;
        bbolt_file_seal(f->file.data, i);
    }
    assert_int_equal(open_file(f), ERR_UNSUPPORTED);
    assert_non_null(strstr(f->err.text, "format 3"));
}

static void test_a_tree_that_goes_in_a_circle_is_damage(void **state)
{
    struct fixture *f = *state;
    char keys[64];
    page(f, 5)[16 + 8] = 5; /* the branch is its own child */
    assert_int_equal(open_file(f), 0);
    assert_int_equal(list(f, "big", keys), ERR_CORRUPT);
}

static void test_keys_out_of_order_are_damage(void **state)
{
    struct fixture *f = *state;
    char keys[64];
    page(f, 5)[16 + 8] = 7;
    page(f, 5)[32 + 8] = 6;
    assert_int_equal(open_file(f), 0);
    assert_int_equal(list(f, "big", keys), ERR_CORRUPT);
    assert_non_null(strstr(f->err.text, "order"));
}

static void test_a_page_that_says_to_be_another_is_damage(void **state)
{
    struct fixture *f = *state;
    char keys[64];
    page(f, 6)[0] = 8;
    assert_int_equal(open_file(f), 0);
    assert_int_equal(list(f, "big", keys), ERR_CORRUPT);
}

static void test_a_file_that_is_cut_is_damage(void **state)
{
    struct fixture *f = *state;
    char keys[64];
    buf_truncate(&f->file, 8 * BBOLT_FILE_PAGE); /* the overflow page is gone */
    assert_int_equal(open_file(f), 0);
    assert_int_equal(list(f, "big", keys), ERR_CORRUPT);
    assert_non_null(strstr(f->err.text, "page 7"));
}

static void test_a_pair_outside_its_page_is_damage(void **state)
{
    struct fixture *f = *state;
    char keys[64];
    page(f, 6)[16 + 13] = 0xff; /* size of the value */
    assert_int_equal(open_file(f), 0);
    assert_int_equal(list(f, "big", keys), ERR_CORRUPT);
}

/* Any one flipped bit: an answer or an error, never a crash (the sanitizers look on). */
static void test_every_flipped_bit_is_survived(void **state)
{
    struct fixture *f = *state;
    struct etcd_summary summary;
    unsigned refused = 0;
    for (size_t at = 0; at < buf_size(&f->file); at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            f->file.data[at] ^= (uint8_t)(1U << bit);
            int code = open_file(f);
            code = code != 0 ? code : etcd_summary_read(&f->db, &summary, &f->err);
            refused += code != 0 ? 1 : 0;
            f->file.data[at] ^= (uint8_t)(1U << bit);
        }
    }
    assert_true(refused > 500);
    assert_int_equal(open_file(f), 0);
    assert_int_equal(etcd_summary_read(&f->db, &summary, &f->err), 0);
    assert_int_equal(summary.key_count, 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_keys_come_in_order_through_branches_and_overflow_pages),
        TEST(test_a_small_bucket_lies_in_its_parents_page),
        TEST(test_the_meta_page_of_the_newer_transaction_counts),
        TEST(test_the_second_meta_page_is_found_when_the_first_is_damaged),
        TEST(test_another_format_is_refused_by_name),
        TEST(test_a_tree_that_goes_in_a_circle_is_damage),
        TEST(test_keys_out_of_order_are_damage),
        TEST(test_a_page_that_says_to_be_another_is_damage),
        TEST(test_a_file_that_is_cut_is_damage),
        TEST(test_a_pair_outside_its_page_is_damage),
        TEST(test_every_flipped_bit_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
