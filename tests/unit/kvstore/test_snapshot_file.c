#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/prng.h"
#include "kvstore/kvctl/snapshot_file.h"

enum { CONTENT_BYTES = 5000, FILE_BYTES = CONTENT_BYTES + 32 };

struct fixture {
    char folder[64];
    char path[96];
    char part[104];
    uint8_t file[FILE_BYTES];
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    strcpy(f->folder, "/tmp/test_snapshot_file.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/backup.db", f->folder);
    (void)snprintf(f->part, sizeof f->part, "%s.part", f->path);
    for (size_t i = 0; i < CONTENT_BYTES; i++) {
        f->file[i] = (uint8_t)(i * 7);
    }
    assert_int_equal(
        EVP_Digest(f->file, CONTENT_BYTES, f->file + CONTENT_BYTES, NULL, EVP_sha256(), NULL), 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    (void)unlink(f->path);
    (void)unlink(f->part);
    assert_int_equal(rmdir(f->folder), 0);
    mem_free(f);
    return 0;
}

/* Write the first size bytes in pieces of random length. */
static int save(struct fixture *f, size_t size, uint64_t seed, struct err *err)
{
    struct prng prng;
    prng_init(&prng, seed);
    struct snapshot_writer *writer;
    assert_int_equal(snapshot_writer_open(f->path, &writer, err), 0);
    for (size_t at = 0; at < size;) {
        size_t piece = (size_t)prng_below(&prng, 60);
        piece = piece < size - at ? piece : size - at;
        assert_int_equal(snapshot_writer_append(writer, bytes_make(f->file + at, piece), err), 0);
        at += piece;
    }
    assert_int_equal(access(f->path, F_OK), -1); /* no name before the end */
    int result = snapshot_writer_finish(writer, err);
    snapshot_writer_close(writer);
    return result;
}

static void test_a_whole_snapshot_gets_its_name_whatever_the_pieces(void **state)
{
    struct fixture *f = *state;
    struct err err;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_int_equal(save(f, FILE_BYTES, seed, &err), 0);
        assert_int_equal(access(f->part, F_OK), -1);
        struct snapshot_status status;
        assert_int_equal(snapshot_file_check(f->path, &status, &err), 0);
        assert_int_equal(status.size_bytes, FILE_BYTES);
        assert_string_equal(status.format, "unknown");
        assert_memory_equal(status.sha256, f->file + CONTENT_BYTES, 32);
        assert_int_equal(unlink(f->path), 0);
    }
}

static void test_a_broken_download_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {0, 1, 31, 32, 33, CONTENT_BYTES, FILE_BYTES - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct err err;
        assert_int_equal(save(f, sizes[i], i, &err), ERR_CORRUPT);
        assert_int_equal(access(f->path, F_OK), -1);
        assert_int_equal(access(f->part, F_OK), -1);
    }
}

static void test_a_flipped_bit_is_found_on_disk(void **state)
{
    struct fixture *f = *state;
    struct err err;
    assert_int_equal(save(f, FILE_BYTES, 1, &err), 0);
    CLEANUP(file) FILE *file = fopen(f->path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 1234, SEEK_SET), 0);
    assert_int_equal(fputc(f->file[1234] ^ 1, file), f->file[1234] ^ 1);
    assert_int_equal(fflush(file), 0);
    struct snapshot_status status;
    assert_int_equal(snapshot_file_check(f->path, &status, &err), ERR_CORRUPT);
}

static void test_files_that_cannot_be_used_are_named(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct snapshot_status status;
    assert_true(snapshot_file_check("/nowhere/x.db", &status, &err) < 0);
    assert_non_null(strstr(err.text, "/nowhere/x.db"));
    struct snapshot_writer *writer = NULL;
    assert_true(snapshot_writer_open("/nowhere/x.db", &writer, &err) < 0);
    assert_null(writer);
    snapshot_writer_close(NULL);
    (void)f;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_whole_snapshot_gets_its_name_whatever_the_pieces),
        TEST(test_a_broken_download_leaves_nothing_behind),
        TEST(test_a_flipped_bit_is_found_on_disk),
        TEST(test_files_that_cannot_be_used_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
