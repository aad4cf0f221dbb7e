/* Single bits of a store's file are flipped, one at a time, all over it. Opening it and reading all
 * of it may give exactly what was stored, exactly what the commit before left (the log replays the
 * rest), an error, or the end of the process (LMDB trusts its pages). Never anything else. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "kvstore/backend/lmdb.h"

enum verdict { SAME = 0, PREVIOUS = 1, REFUSED = 2, WRONG = 3 };

struct world {
    char directory[64];
    struct backend_lmdb_options options;
    uint32_t digest_last;     /* of everything a reader sees */
    uint32_t digest_previous; /* one commit earlier */
    uint8_t *file;
    size_t file_size;
};

static uint32_t digest_bytes(uint32_t digest, struct bytes bytes)
{
    uint64_t size = bytes.size;
    return crc32c(crc32c(digest, &size, sizeof size), bytes.data, bytes.size);
}

/* 0, or the code of the first read that failed. Every record is also looked up by itself. */
static int digest_all(struct backend *backend, uint32_t *ret_digest)
{
    struct backend_record records[64];
    struct backend_meta metas[64];
    struct backend_revision from = {0, 0};
    struct err err;
    struct backend_position applied = backend_applied(backend);
    uint32_t digest = crc32c(0, &applied, sizeof applied);
    uint32_t count;
    do {
        int rc = backend_scan(backend, from, BACKEND_REVISION_MAX, records, 64, &count, &err);
        if (rc != 0) {
            return rc;
        }
        for (uint32_t i = 0; i < count; i++) {
            struct backend_record same;
            digest = crc32c(digest, &records[i].revision.main, sizeof records[i].revision.main);
            digest = digest_bytes(digest, records[i].value);
            rc = backend_get(backend, records[i].revision, &same, &err);
            if (rc != 0 || !bytes_equal(same.value, records[i].value)) {
                return rc != 0 && rc != ERR_NOT_FOUND ? rc : 1; /* 1: a wrong answer */
            }
            from = backend_revision_next(records[i].revision);
        }
    } while (count == 64);
    int rc = backend_meta_scan(backend, bytes_make(NULL, 0), bytes_make(NULL, 0), metas, 64, &count,
                               &err);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        digest = digest_bytes(digest_bytes(digest, metas[i].key), metas[i].value);
    }
    *ret_digest = digest;
    return rc;
}

static void commit_one(struct backend *backend, uint64_t index)
{
    struct backend_batch *batch = backend_batch_new(index);
    for (uint64_t i = 0; i < 8; i++) {
        struct blob *value = blob_new(index % 7 == 0 ? 5000 : 20 + (index * 37 + i * 11) % 400);
        memset(value->data, (int)(index + i), value->size);
        backend_batch_put(batch, (struct backend_revision){index, (uint32_t)i}, false, value);
        blob_unref(value);
    }
    if (index > 4 && index % 3 == 0) {
        backend_batch_delete_range(batch, (struct backend_revision){index - 4, 2},
                                   (struct backend_revision){index - 3, 0});
    }
    char key[32];
    (void)snprintf(key, sizeof key, "meta/%llu", (unsigned long long)(index % 20));
    backend_batch_meta_put(batch, bytes_from_text(key), BYTES_LITERAL("some value"));
    backend_batch_set_applied(batch, (struct backend_position){index, 1});
    struct err err;
    assert_int_equal(backend_commit(backend, &batch, 1, &err), 0);
    assert_int_equal(backend_renew(backend, &err), 0);
    backend_batch_free(batch);
}

static char *file_path(const struct world *world)
{
    return mem_printf("%s/data.mdb", world->directory);
}

static void load_file(struct world *world, size_t size)
{
    CLEANUP(free) char *path = file_path(world);
    CLEANUP(file) FILE *file = fopen(path, "rb");
    assert_non_null(file);
    world->file = mem_alloc(size);
    world->file_size = size;
    assert_int_equal(fread(world->file, 1, size, file), size);
}

static int set_up(void **state)
{
    enum { COMMITS = 60 };
    struct world *world = mem_zalloc(sizeof *world);
    strcpy(world->directory, "/tmp/coracle-test-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->options = (struct backend_lmdb_options){
        .directory = world->directory, .map_size_bytes = 64 << 20, .is_unsafe_no_sync = true};
    struct backend *backend;
    struct err err;
    assert_int_equal(backend_lmdb_open(&world->options, &backend, &err), 0);
    for (uint64_t index = 1; index <= COMMITS; index++) {
        if (index == COMMITS) {
            assert_int_equal(digest_all(backend, &world->digest_previous), 0);
        }
        commit_one(backend, index);
    }
    assert_int_equal(digest_all(backend, &world->digest_last), 0);
    struct backend_stats stats;
    backend_stats(backend, &stats);
    backend_close(backend);
    load_file(world, stats.size_bytes);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    CLEANUP(free) char *path = file_path(world);
    assert_int_equal(remove(path), 0);
    assert_int_equal(rmdir(world->directory), 0);
    mem_free(world->file);
    mem_free(world);
    return 0;
}

/* In a child: the process may die of it. */
static _Noreturn void judge(const struct world *world)
{
    /* Not cmocka's handlers: they would go on with the test in this process. */
    const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)signal(signals[i], SIG_DFL);
    }
    const struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)alarm(20);
    (void)freopen("/dev/null", "w", stderr); /* LMDB's own assertions print */
    struct backend *backend;
    struct err err;
    if (backend_lmdb_open(&world->options, &backend, &err) != 0) {
        _exit(REFUSED);
    }
    uint32_t digest = 0;
    int rc = digest_all(backend, &digest);
    if (rc < 0) {
        _exit(REFUSED);
    }
    if (rc == 0 && digest == world->digest_last) {
        _exit(SAME);
    }
    _exit(rc == 0 && digest == world->digest_previous ? PREVIOUS : WRONG);
}

static void write_damaged(const struct world *world, uint64_t bit)
{
    CLEANUP(free) char *path = file_path(world);
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    world->file[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    assert_int_equal(write(fd, world->file, world->file_size), world->file_size);
    world->file[bit / 8] ^= (uint8_t)(1U << (bit % 8));
}

static uint64_t step_bytes(void)
{
    const char *text = getenv("CORACLE_SWEEP"); /* a larger sweep: smaller steps */
    uint64_t factor = text == NULL ? 1 : strtoull(text, NULL, 10);
    return factor >= 769 ? 1 : 769 / (factor == 0 ? 1 : factor);
}

static void test_no_flipped_bit_of_the_file_gives_a_wrong_answer(void **state)
{
    struct world *world = *state;
    struct prng prng;
    prng_init(&prng, 1);
    uint64_t counts[4] = {0, 0, 0, 0};
    uint64_t killed = 0;
    for (uint64_t at = 0; at < world->file_size; at += step_bytes()) {
        uint64_t bit = at * 8 + prng_below(&prng, 8);
        write_damaged(world, bit);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            judge(world);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFSIGNALED(status)) {
            assert_int_not_equal(WTERMSIG(status), SIGALRM); /* it must not hang */
            killed++;
            continue;
        }
        unsigned verdict = (unsigned)WEXITSTATUS(status);
        assert_true(verdict <= WRONG);
        if (verdict == WRONG) {
            print_error("wrong answer: byte %llu of page %llu\n", (unsigned long long)(at % 4096),
                        (unsigned long long)(at / 4096));
        }
        counts[verdict]++;
    }
    print_message("same %llu, previous %llu, refused %llu, killed %llu, wrong %llu\n",
                  (unsigned long long)counts[SAME], (unsigned long long)counts[PREVIOUS],
                  (unsigned long long)counts[REFUSED], (unsigned long long)killed,
                  (unsigned long long)counts[WRONG]);
    assert_int_equal(counts[WRONG], 0);
    assert_true(counts[REFUSED] > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_flipped_bit_of_the_file_gives_a_wrong_answer,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
