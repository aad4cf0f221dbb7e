/* The random runs on LMDB: bytes that are borrowed from it must not be used after a renewal. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "kvstore/backend/lmdb.h"
#include "tests/unit/kvstore/kv_model.h"
#include "tests/unit/kvstore/kv_world.h"
#include "tests/unit/kvstore/watch_model.h"

static void run(const char *(*model)(uint64_t seed, uint32_t steps), uint64_t seed, uint32_t steps)
{
    char directory[] = "/tmp/coracle-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    const struct backend_lmdb_options options = {.directory = directory, .is_unsafe_no_sync = true};
    struct err err;
    assert_int_equal(backend_lmdb_open(&options, &world_next_backend, &err), 0);
    const char *violation = model(seed, steps);
    CLEANUP(free) char *path = mem_printf("%s/data.mdb", directory);
    (void)remove(path);
    assert_int_equal(rmdir(directory), 0);
    if (violation != NULL) {
        print_error("seed %llu: %s\n", (unsigned long long)seed, violation);
    }
    assert_null(violation);
}

static void test_random_runs_on_lmdb_equal_a_naive_store(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 110; seed++) {
        run(kv_model_run, seed, 1500);
    }
}

static void test_random_runs_on_lmdb_keep_the_guarantees_of_watch(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 108; seed++) {
        run(watch_model_run, seed, 1500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_runs_on_lmdb_equal_a_naive_store),
        cmocka_unit_test(test_random_runs_on_lmdb_keep_the_guarantees_of_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
