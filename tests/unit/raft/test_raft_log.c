#include "tests/support/test.h"

#include "base/prng.h"
#include "raft/log.h"

static struct raft_entry entry(raft_index index, raft_term term)
{
    return (struct raft_entry){.at = {index, term}, .type = RAFT_ENTRY_COMMAND};
}

static void fill(struct raft_log *log, const raft_term *terms)
{
    for (raft_index i = 0; terms[i] != 0; i++) {
        struct raft_entry next = entry(raft_log_last_index(log) + 1, terms[i]);
        raft_log_append(log, &next);
    }
}

#define TERMS(...) ((const raft_term[]){__VA_ARGS__, 0})

static void test_an_empty_log_ends_at_its_base(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log_init(&log, (struct raft_position){7, 3});
    raft_term term = 0;
    assert_int_equal(raft_log_last(&log).index, 7);
    assert_int_equal(raft_log_last(&log).term, 3);
    assert_int_equal(raft_log_first_index(&log), 8);
    assert_true(raft_log_find_term(&log, 7, &term));
    assert_int_equal(term, 3);
    assert_false(raft_log_find_term(&log, 6, &term));
    assert_false(raft_log_find_term(&log, 8, &term));
    raft_log_deinit(&log);
}

static void test_truncate_drops_the_end_and_its_bytes(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log_init(&log, (struct raft_position){0, 0});
    fill(&log, TERMS(1, 1, 2, 2));
    raft_log_truncate(&log, 3);
    assert_int_equal(raft_log_last(&log).index, 2);
    assert_int_equal(log.bytes, 2 * RAFT_ENTRY_OVERHEAD);
    raft_log_truncate(&log, 9); /* nothing there */
    assert_int_equal(raft_log_last(&log).index, 2);
    raft_log_deinit(&log);
}

static void test_compact_drops_the_start_and_keeps_the_term_of_the_base(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log_init(&log, (struct raft_position){0, 0});
    fill(&log, TERMS(1, 1, 2, 3));
    raft_log_compact(&log, 3);
    assert_int_equal(log.base.index, 3);
    assert_int_equal(log.base.term, 2);
    assert_int_equal(raft_log_at(&log, 4)->at.term, 3);
    raft_log_compact(&log, 2); /* already gone */
    assert_int_equal(log.base.index, 3);
    raft_log_compact(&log, 4);
    assert_int_equal(log.count, 0);
    assert_int_equal(log.bytes, 0);
    raft_log_deinit(&log);
}

static void test_data_is_referenced_while_the_entry_is_there(void **state)
{
    (void)state;
    struct blob *data = blob_new_copy("abc", 3);
    struct raft_log log;
    raft_log_init(&log, (struct raft_position){0, 0});
    struct raft_entry first = entry(1, 1);
    first.data = data;
    raft_log_append(&log, &first);
    assert_int_equal(data->reference_count, 2);
    assert_int_equal(log.bytes, RAFT_ENTRY_OVERHEAD + 3);
    raft_log_compact(&log, 1);
    assert_int_equal(data->reference_count, 1);
    blob_unref(data);
    raft_log_deinit(&log);
}

static void test_fit_gives_at_least_one_and_stays_within_the_limits(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log_init(&log, (struct raft_position){0, 0});
    fill(&log, TERMS(1, 1, 1, 1));
    uint64_t bytes = 0;
    assert_int_equal(raft_log_fit(&log, 1, 1, 100, &bytes), 1);
    assert_int_equal(raft_log_fit(&log, 1, 3 * RAFT_ENTRY_OVERHEAD, 100, &bytes), 3);
    assert_int_equal(bytes, 3 * RAFT_ENTRY_OVERHEAD);
    assert_int_equal(raft_log_fit(&log, 2, UINT64_MAX, 2, &bytes), 2);
    assert_int_equal(raft_log_fit(&log, 5, UINT64_MAX, 2, &bytes), 0);
    assert_int_equal(bytes, 0);
    raft_log_deinit(&log);
}

static void test_find_conflict_skips_larger_terms(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log_init(&log, (struct raft_position){10, 2});
    fill(&log, TERMS(3, 3, 5, 5, 5)); /* 11 .. 15 */
    assert_int_equal(raft_log_find_conflict(&log, 15, 4).index, 12);
    assert_int_equal(raft_log_find_conflict(&log, 15, 5).index, 15);
    assert_int_equal(raft_log_find_conflict(&log, 99, 5).index, 15); /* beyond the end */
    assert_int_equal(raft_log_find_conflict(&log, 14, 1).index, 10); /* not below the base */
    assert_int_equal(raft_log_find_conflict(&log, 3, 1).index, 10);
    raft_log_deinit(&log);
}

/* The array is compacted, truncated and appended to at random and compared with plain bookkeeping.
 */
static void test_random_use_agrees_with_a_model(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 5);
    raft_term model[4096] = {0};
    raft_index base = 0;
    raft_index last = 0;
    struct raft_log log;
    raft_log_init(&log, (struct raft_position){0, 0});
    for (int round = 0; round < 20000; round++) {
        uint64_t what = prng_below(&prng, 10);
        if (what < 7 && last < 4000) {
            model[last + 1] = model[last] + prng_below(&prng, 2) + (last == 0 ? 1 : 0);
            struct raft_entry next = entry(last + 1, model[last + 1]);
            raft_log_append(&log, &next);
            last++;
        } else if (what == 7 && last > base) {
            raft_index from = last - prng_below(&prng, last - base > 8 ? 8 : last - base);
            raft_log_truncate(&log, from);
            last = from - 1;
        } else if (what == 8 && last > base) {
            base += prng_below(&prng, last - base > 20 ? 20 : last - base);
            raft_log_compact(&log, base);
        }
        assert_int_equal(raft_log_last_index(&log), last);
        raft_term term = 0;
        raft_index at = base + prng_below(&prng, last - base + 1);
        assert_true(raft_log_find_term(&log, at, &term));
        assert_int_equal(term, model[at]);
        assert_int_equal(log.bytes, (last - base) * RAFT_ENTRY_OVERHEAD);
    }
    raft_log_deinit(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_log_ends_at_its_base),
        cmocka_unit_test(test_truncate_drops_the_end_and_its_bytes),
        cmocka_unit_test(test_compact_drops_the_start_and_keeps_the_term_of_the_base),
        cmocka_unit_test(test_data_is_referenced_while_the_entry_is_there),
        cmocka_unit_test(test_fit_gives_at_least_one_and_stays_within_the_limits),
        cmocka_unit_test(test_find_conflict_skips_larger_terms),
        cmocka_unit_test(test_random_use_agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
