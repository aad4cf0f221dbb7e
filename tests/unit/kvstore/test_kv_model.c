#include "tests/unit/kvstore/kv_model.h"
#include "tests/unit/kvstore/kv_world.h"

static void test_random_runs_equal_a_naive_store(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const char *violation = kv_model_run(seed, 1500);
        if (violation != NULL) {
            print_error("seed %llu: %s\n", (unsigned long long)seed, violation);
        }
        assert_null(violation);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_runs_equal_a_naive_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
