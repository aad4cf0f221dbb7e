#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/pb.h"
#include "base/prng.h"
#include "kvstore/mvcc/key_index.h"

static struct bytes text(const char *key)
{
    return bytes_from_text(key);
}

static void put(struct key_index *index, struct bytes key, int64_t main)
{
    struct key_entry before;
    bool existed;
    (void)key_index_put(index, key, (struct revision){main, 0}, &before, &existed);
}

static uint64_t count(const struct key_index *index, const char *start, const char *end)
{
    struct key_range range = {text(start), text(end), false};
    return key_index_count(index, &range);
}

static void test_an_empty_index_has_nothing(void **state)
{
    (void)state;
    struct key_index *index = key_index_new();
    assert_null(key_index_find(index, text("a")));
    assert_int_equal(count(index, "a", "z"), 0);
    struct key_cursor cursor = key_index_seek(index, text(""));
    assert_null(key_cursor_next(&cursor));
    key_index_check(index);
    key_index_free(index);
}

static void test_a_key_keeps_its_generations(void **state)
{
    (void)state;
    struct key_index *index = key_index_new();
    put(index, text("a"), 2);
    put(index, text("a"), 4);
    struct key_entry *entry = key_index_find(index, text("a"));
    assert_int_equal(entry->create, 2);
    assert_int_equal(entry->version, 2);
    key_index_delete(index, entry, (struct revision){6, 3});
    assert_int_equal(entry->version, 0);
    assert_int_equal(key_index_live(index), 0);
    put(index, text("a"), 8);
    assert_int_equal(entry->create, 8);
    assert_int_equal(entry->version, 1);
    struct key_past past;
    assert_false(key_entry_at(entry, 1, &past));
    assert_true(key_entry_at(entry, 5, &past));
    assert_int_equal(past.main, 4);
    assert_true(key_entry_at(entry, 7, &past));
    assert_true(past.is_tombstone);
    assert_int_equal(past.sub, 3);
    assert_true(key_entry_at(entry, 100, &past));
    assert_int_equal(past.main, 8);
    assert_true(key_entry_before(entry, (struct revision){6, 3}, &past));
    assert_int_equal(past.main, 4);
    assert_false(key_entry_before(entry, (struct revision){2, 0}, &past));
    key_index_free(index);
}

static void test_a_compaction_keeps_the_newest_revision_at_or_below_it(void **state)
{
    (void)state;
    struct key_index *index = key_index_new();
    put(index, text("a"), 2);
    put(index, text("a"), 4);
    put(index, text("a"), 6);
    struct key_entry *entry = key_index_find(index, text("a"));
    assert_true(key_entry_survives(entry, (struct revision){4, 0}, 5));
    assert_false(key_entry_survives(entry, (struct revision){2, 0}, 5));
    assert_true(key_entry_survives(entry, (struct revision){6, 0}, 5));
    key_index_compact(index, entry, 5);
    struct key_past past;
    assert_false(key_entry_at(entry, 3, &past));
    assert_true(key_entry_at(entry, 5, &past));
    assert_int_equal(past.main, 4);
    key_index_free(index);
}

static void test_a_tombstone_outlives_only_the_compaction_to_its_own_revision(void **state)
{
    (void)state;
    struct key_index *index = key_index_new();
    put(index, text("a"), 2);
    struct key_entry *entry = key_index_find(index, text("a"));
    key_index_delete(index, entry, (struct revision){3, 0});
    key_index_compact(index, entry, 3);
    entry = key_index_find(index, text("a"));
    assert_non_null(entry);
    assert_null(entry->history);
    key_index_compact(index, entry, 4);
    assert_null(key_index_find(index, text("a")));
    assert_int_equal(key_index_entries(index), 0);
    key_index_check(index);
    key_index_free(index);
}

/* Keys that share prefixes of all lengths, zero bytes and prefixes of one another. */
static struct bytes odd_key(uint8_t *memory, uint64_t number)
{
    size_t size = 1 + number % 7;
    uint64_t rest = number / 7;
    for (size_t i = 0; i < size; i++) {
        memory[i] = (uint8_t) "\0\1ab\xff"[rest % 5];
        rest /= 5;
    }
    return bytes_make(memory, size);
}

enum { MODEL_KEYS = 7 * 3125 };

static uint64_t model_count(const struct key_index *index, struct bytes start, struct bytes end)
{
    uint64_t found = 0;
    struct key_cursor cursor = key_index_seek(index, start);
    for (const struct key_entry *entry = key_cursor_next(&cursor);
         entry != NULL && bytes_compare(key_entry_key(entry), end) < 0;
         entry = key_cursor_next(&cursor)) {
        assert_true(bytes_compare(key_entry_key(entry), start) >= 0);
        found += entry->is_tombstone ? 0 : 1;
    }
    return found;
}

static void change_at_random(struct key_index *index, struct prng *prng, int64_t main)
{
    uint8_t memory[8];
    struct bytes key = odd_key(memory, prng_below(prng, MODEL_KEYS));
    struct key_entry *entry = key_index_find(index, key);
    if (entry != NULL && prng_chance(prng, 1, 2)) {
        if (!entry->is_tombstone) {
            key_index_delete(index, entry, (struct revision){main, 0});
        }
        key_index_compact(index, entry, main + (int64_t)prng_below(prng, 2));
    } else {
        put(index, key, main);
        entry = key_index_find(index, key);
        assert_non_null(entry);
        assert_int_equal(entry->mod, main);
    }
}

static void test_random_changes_keep_order_and_counts(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 11);
    struct key_index *index = key_index_new();
    for (int64_t main = 2; main < 60000; main++) {
        change_at_random(index, &prng, main);
        if (main % 997 == 0) {
            key_index_check(index);
            uint8_t first[8];
            uint8_t second[8];
            struct bytes start = odd_key(first, prng_below(&prng, MODEL_KEYS));
            struct bytes end = odd_key(second, prng_below(&prng, MODEL_KEYS));
            struct key_range range = {start, end, false};
            assert_int_equal(key_index_count(index, &range), model_count(index, start, end));
        }
    }
    assert_true(key_index_entries(index) > 1000);
    key_index_free(index);
}

static void test_everything_can_be_removed_again(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 5);
    struct key_index *index = key_index_new();
    uint64_t empty_bytes = key_index_bytes(index);
    char key[32];
    enum { KEYS = 20000 };
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "key/%08d", i);
        put(index, text(key), i + 2);
    }
    key_index_check(index);
    assert_int_equal(count(index, "key/00000010", "key/00000020"), 10);
    for (int i = 0; i < KEYS; i++) {
        int at = (int)((uint64_t)i * 7919 % KEYS);
        (void)snprintf(key, sizeof key, "key/%08d", at);
        struct key_entry *entry = key_index_find(index, text(key));
        key_index_delete(index, entry, (struct revision){KEYS + 2 + i, 0});
        key_index_compact(index, entry, KEYS + 3 + i);
    }
    key_index_check(index);
    assert_int_equal(key_index_entries(index), 0);
    assert_true(key_index_bytes(index) < empty_bytes + 4096);
    key_index_free(index);
}

static void test_keys_in_order_fill_the_leaves(void **state)
{
    (void)state;
    struct key_index *index = key_index_new();
    char key[64];
    enum { KEYS = 100000 };
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "/registry/pods/default/key-%012d", i);
        put(index, text(key), i + 2);
    }
    assert_int_equal(strlen(key), 39);
    assert_int_equal(key_index_live(index), KEYS);
    /* 120 MB for a million keys of 39 bytes. */
    assert_true(key_index_bytes(index) / KEYS <= 120);
    key_index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_index_has_nothing),
        cmocka_unit_test(test_a_key_keeps_its_generations),
        cmocka_unit_test(test_a_compaction_keeps_the_newest_revision_at_or_below_it),
        cmocka_unit_test(test_a_tombstone_outlives_only_the_compaction_to_its_own_revision),
        cmocka_unit_test(test_random_changes_keep_order_and_counts),
        cmocka_unit_test(test_everything_can_be_removed_again),
        cmocka_unit_test(test_keys_in_order_fill_the_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
