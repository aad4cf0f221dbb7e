#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/json_text.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/prng.h"

static void test_buf_keeps_bytes_in_order_while_it_grows_and_is_consumed(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf buf = BUF_INIT;
    uint8_t next_in = 0;
    uint8_t next_out = 0;
    struct prng prng;
    prng_init(&prng, 1);
    for (int round = 0; round < 20000; round++) {
        if (prng_chance(&prng, 1, 2)) {
            uint64_t count = prng_below(&prng, 100);
            for (uint64_t i = 0; i < count; i++) {
                buf_append_u8(&buf, next_in++);
            }
        } else {
            size_t count = (size_t)prng_below(&prng, buf_size(&buf) + 1);
            for (size_t i = 0; i < count; i++) {
                assert_int_equal(buf_bytes(&buf).data[i], next_out++);
            }
            buf_consume(&buf, count);
        }
    }
    assert_int_equal((uint8_t)(next_in - next_out), (uint8_t)buf_size(&buf));
}

static void test_buf_formats_and_terminates_text(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf buf = BUF_INIT;
    buf_append_format(&buf, "%s-%d", "kv", 7);
    assert_string_equal(buf_text(&buf), "kv-7");
    buf_truncate(&buf, 2);
    assert_string_equal(buf_text(&buf), "kv");
}

static void test_blob_is_shared_and_freed_by_the_last_holder(void **state)
{
    (void)state;
    struct blob *blob = blob_new_copy("abc", 3);
    struct blob *second = blob_ref(blob);
    blob_unref(blob);
    assert_memory_equal(second->data, "abc", 3);
    blob_unref(second);
    blob_unref(NULL);
}

static void test_arena_memory_is_aligned_and_survives_growth(void **state)
{
    (void)state;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    char *first = arena_strdup(&arena, "first");
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal((uintptr_t)arena_alloc(&arena, i) % 16, 0);
    }
    assert_string_equal(first, "first");
    assert_string_equal(arena_printf(&arena, "%d/%s", 3, "x"), "3/x");
    arena_reset(&arena);
    assert_int_equal(arena.total, 0);
}

struct item {
    struct heap_node node;
    struct list link;
    uint64_t key;
};

static bool item_less(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct item, node)->key < container_of(b, struct item, node)->key;
}

static void test_heap_pops_in_order_after_inserts_updates_and_removals(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct item items[COUNT];
    struct heap heap;
    struct prng prng;
    prng_init(&prng, 2);
    heap_init(&heap, item_less);
    for (size_t i = 0; i < COUNT; i++) {
        heap_node_init(&items[i].node);
        items[i].key = prng_below(&prng, 1000);
        heap_insert(&heap, &items[i].node);
    }
    for (size_t i = 0; i < COUNT; i += 3) {
        items[i].key = prng_below(&prng, 1000);
        heap_update(&heap, &items[i].node);
    }
    for (size_t i = 1; i < COUNT; i += 5) {
        heap_remove(&heap, &items[i].node);
        heap_remove(&heap, &items[i].node);
    }
    uint64_t before = 0;
    uint32_t popped = 0;
    for (struct heap_node *node = heap_pop(&heap); node != NULL; node = heap_pop(&heap)) {
        assert_true(container_of(node, struct item, node)->key >= before);
        before = container_of(node, struct item, node)->key;
        popped += 1;
    }
    assert_int_equal(popped, COUNT - 100);
    heap_deinit(&heap);
}

static void test_list_splices_and_removes(void **state)
{
    (void)state;
    struct list a;
    struct list b;
    struct item items[4];
    list_init(&a);
    list_init(&b);
    list_splice_back(&a, &b);
    assert_true(list_is_empty(&a));
    for (size_t i = 0; i < 4; i++) {
        items[i].key = i;
        list_push_back(i < 2 ? &a : &b, &items[i].link);
    }
    list_splice_back(&a, &b);
    list_remove(&items[1].link);
    uint64_t sum = 0;
    list_foreach_safe (link, &a) {
        sum = sum * 10 + container_of(link, struct item, link)->key;
        list_remove(link);
    }
    assert_int_equal(sum, 23);
    assert_null(list_pop_front(&a));
}

/* Both maps against a plain array as the model. */
static void test_maps_agree_with_a_model(void **state)
{
    (void)state;
    enum { KEYS = 300 };
    static char values[KEYS];
    bool present[KEYS] = {false};
    struct u64_map numbers;
    struct bytes_map texts;
    u64_map_init(&numbers);
    bytes_map_init(&texts);
    struct prng prng;
    prng_init(&prng, 3);
    size_t count = 0;
    for (int round = 0; round < 20000; round++) {
        size_t i = (size_t)prng_below(&prng, KEYS);
        char text[32];
        (void)snprintf(text, sizeof text, "key-%zu", i);
        struct bytes key = bytes_from_text(text);
        void *expected = present[i] ? &values[i] : NULL;
        assert_ptr_equal(u64_map_find(&numbers, i), expected);
        assert_ptr_equal(bytes_map_find(&texts, key), expected);
        if (prng_chance(&prng, 1, 2)) {
            assert_ptr_equal(u64_map_set(&numbers, i, &values[i]), expected);
            assert_ptr_equal(bytes_map_set(&texts, key, &values[i]), expected);
            count += !present[i];
            present[i] = true;
        } else {
            assert_ptr_equal(u64_map_remove(&numbers, i), expected);
            assert_ptr_equal(bytes_map_remove(&texts, key), expected);
            count -= present[i];
            present[i] = false;
        }
        assert_int_equal(numbers.count, count);
        assert_int_equal(texts.count, count);
    }
    size_t cursor = 0;
    uint64_t number;
    void *value;
    size_t seen = 0;
    while (u64_map_next(&numbers, &cursor, &number, &value)) {
        assert_true(present[number]);
        seen += 1;
    }
    assert_int_equal(seen, count);
    u64_map_deinit(&numbers);
    bytes_map_deinit(&texts);
}

static void test_crc32c_matches_the_vectors_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0};
    uint8_t ones[32];
    memset(ones, 0xff, sizeof ones);
    assert_int_equal(crc32c(0, zeros, sizeof zeros), 0x8a9136aaU);
    assert_int_equal(crc32c(0, ones, sizeof ones), 0x62a8ab43U);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283U);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283U);
}

static void test_prng_is_reproducible_and_within_bounds(void **state)
{
    (void)state;
    struct prng a;
    struct prng b;
    prng_init(&a, 42);
    prng_init(&b, 42);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(prng_next(&a), prng_next(&b));
        uint64_t value = prng_between(&a, 5, 9);
        assert_true(value >= 5 && value <= 9);
        assert_int_equal(value, prng_between(&b, 5, 9));
    }
}

static void test_err_texts_are_composed_and_null_is_allowed(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_set(NULL, ERR_BUSY, "x"), ERR_BUSY);
    assert_int_equal(err_set_errno(&err, 2, "open '%s'", "/x"), -2);
    assert_string_equal(err.text, "open '/x': No such file or directory");
    assert_int_equal(err_prefix(&err, "start"), -2);
    assert_string_equal(err.text, "start: open '/x': No such file or directory");
    assert_string_equal(err_name(ERR_CORRUPT), "ERR_CORRUPT");
    assert_string_equal(err_name(-2), "ENOENT");
}

static void test_json_text_escapes_controls_and_repairs_utf8(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf buf = BUF_INIT;
    json_text_append_quoted(&buf, BYTES_LITERAL("a\"\\\n\x01\xc3\xa9\xff\xe2\x82"));
    assert_string_equal(buf_text(&buf),
                        "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void capture(void *context, enum log_level level, const char *line, size_t size)
{
    (void)level;
    buf_append(context, line, size);
}

static void test_log_line_is_one_json_object_with_fields(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf buf = BUF_INIT;
    log_set_sink(capture, &buf);
    log_debug("not shown");
    log_info("peer unreachable", LOG_ID("peer", 0xabc), LOG_TEXT("why", "a \"b\""),
             LOG_BOOL("again", true), LOG_I64("delta", -1));
    log_set_sink(NULL, NULL);
    const char *text = buf_text(&buf);
    assert_memory_equal(text, "{\"level\":\"info\",\"ts\":\"", 22);
    assert_non_null(strstr(text, "\"caller\":\"base/test_base.c:"));
    assert_non_null(strstr(text, "\"msg\":\"peer unreachable\",\"peer\":\"abc\",\"why\":\"a "
                                 "\\\"b\\\"\",\"again\":true,\"delta\":-1}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_keeps_bytes_in_order_while_it_grows_and_is_consumed),
        cmocka_unit_test(test_buf_formats_and_terminates_text),
        cmocka_unit_test(test_blob_is_shared_and_freed_by_the_last_holder),
        cmocka_unit_test(test_arena_memory_is_aligned_and_survives_growth),
        cmocka_unit_test(test_heap_pops_in_order_after_inserts_updates_and_removals),
        cmocka_unit_test(test_list_splices_and_removes),
        cmocka_unit_test(test_maps_agree_with_a_model),
        cmocka_unit_test(test_crc32c_matches_the_vectors_of_rfc_3720),
        cmocka_unit_test(test_prng_is_reproducible_and_within_bounds),
        cmocka_unit_test(test_err_texts_are_composed_and_null_is_allowed),
        cmocka_unit_test(test_json_text_escapes_controls_and_repairs_utf8),
        cmocka_unit_test(test_log_line_is_one_json_object_with_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
