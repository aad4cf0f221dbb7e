#include "orchestrator/cache/cache.h"
#include "tests/unit/orchestrator/cunit.h"

static json_t *object(const char *name, uint64_t revision)
{
    CLEANUP(free) char *version = mem_printf("%llu", (unsigned long long)revision);
    return json_pack("{s:{s:s, s:s}}", "metadata", "name", name, "resourceVersion", version);
}

static void put(struct cache *cache, const char *namespace, const char *name, uint64_t revision)
{
    cache_put(cache, "pods", namespace, name, object(name, revision), revision);
}

static void test_lists_are_sorted_and_stay_in_their_namespace(void **state)
{
    (void)state;
    struct cache *cache = cache_new(8);
    put(cache, "b", "x", 1);
    put(cache, "a", "z", 2);
    put(cache, "a", "y", 3);
    put(cache, "aa", "w", 4);
    static const char *const expected[] = {"a/y", "a/z"};
    size_t at = 0;
    for (struct cache_cursor c = cache_list(cache, "pods", "a"); cache_next(&c); at++) {
        assert_string_equal(c.key, expected[at]);
    }
    assert_int_equal(at, 2);
    struct cache_cursor rest = cache_list_after(cache, "pods", "", "a/y");
    assert_true(cache_next(&rest));
    assert_string_equal(rest.key, "a/z");
    struct cache_cursor none = cache_list(cache, "nodes", "");
    assert_false(cache_next(&none));
    cache_free(cache);
}

static void test_events_can_be_read_from_any_revision_that_is_kept(void **state)
{
    (void)state;
    struct cache *cache = cache_new(8);
    put(cache, "a", "x", 5);
    put(cache, "a", "x", 7);
    cache_remove(cache, "pods", "a", "x", 9);
    uint64_t position = 0;
    struct cache_event event;
    assert_int_equal(cache_position(cache, "pods", 5, &position), 0);
    assert_int_equal(cache_read(cache, "pods", &position, &event), 1);
    assert_int_equal(event.type, CACHE_MODIFIED);
    assert_int_equal(object_revision(event.previous), 5);
    assert_int_equal(cache_read(cache, "pods", &position, &event), 1);
    assert_int_equal(event.type, CACHE_DELETED);
    assert_int_equal(object_revision(event.object), 9);
    assert_int_equal(object_revision(event.previous), 7);
    assert_int_equal(cache_read(cache, "pods", &position, &event), 0);
    assert_int_equal(cache_revision(cache), 9);
    cache_free(cache);
}

static void test_a_reader_that_falls_behind_is_told(void **state)
{
    (void)state;
    struct cache *cache = cache_new(4);
    put(cache, "a", "x", 1);
    uint64_t position = 0;
    struct cache_event event;
    assert_int_equal(cache_position(cache, "pods", 1, &position), 0);
    for (uint64_t revision = 2; revision < 20; revision++) {
        put(cache, "a", "x", revision);
    }
    assert_int_equal(cache_read(cache, "pods", &position, &event), ERR_CLOSED);
    assert_int_equal(cache_position(cache, "pods", 3, &position), ERR_CLOSED);
    assert_int_equal(cache_position(cache, "pods", 15, &position), 0);
    assert_int_equal(cache_read(cache, "pods", &position, &event), 1);
    assert_int_equal(event.revision, 16);
    cache_free(cache);
}

static void test_a_new_listing_removes_what_is_gone(void **state)
{
    (void)state;
    struct cache *cache = cache_new(8);
    put(cache, "a", "x", 1);
    put(cache, "a", "y", 2);
    cache_replace_begin(cache);
    put(cache, "a", "y", 2);
    put(cache, "a", "z", 5);
    cache_replace_end(cache, 6);
    uint64_t position = 0;
    assert_null(cache_find(cache, "pods", "a", "x"));
    assert_non_null(cache_find(cache, "pods", "a", "y"));
    assert_int_equal(cache_count(cache, "pods"), 2);
    assert_int_equal(cache_position(cache, "pods", 5, &position), ERR_CLOSED);
    assert_int_equal(cache_position(cache, "pods", 6, &position), 0);
    cache_free(cache);
}

static void test_a_list_of_the_past_undoes_what_happened_since(void **state)
{
    (void)state;
    struct cache *cache = cache_new(8);
    cache_put(cache, "pods", "a", "x",
              from_text("{'metadata':{'name':'x','namespace':'a','resourceVersion':'1'}}"), 1);
    cache_put(cache, "pods", "a", "y",
              from_text("{'metadata':{'name':'y','namespace':'a','resourceVersion':'2'}}"), 2);
    cache_put(cache, "pods", "a", "x",
              from_text("{'metadata':{'name':'x','namespace':'a','resourceVersion':'3'}}"), 3);
    cache_remove(cache, "pods", "a", "y", 4);
    cache_put(cache, "pods", "a", "w",
              from_text("{'metadata':{'name':'w','namespace':'a','resourceVersion':'5'}}"), 5);
    CLEANUP(json) json_t *list = NULL;
    assert_int_equal(cache_list_at(cache, "pods", "a", 2, &list), 0);
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(object_revision(json_array_get(list, 0)), 1);
    assert_string_equal(object_name(json_array_get(list, 1)), "y");
    CLEANUP(json) json_t *none = NULL;
    assert_int_equal(cache_list_at(cache, "pods", "b", 2, &none), 0);
    assert_int_equal(json_array_size(none), 0);
    cache_free(cache);
}

static void count_event(void *context, const char *storage, const struct cache_event *event)
{
    assert_string_equal(storage, "pods");
    assert_non_null(event->object);
    (*(int *)context)++;
}

static void test_the_same_revision_twice_is_one_event(void **state)
{
    (void)state;
    struct cache *cache = cache_new(8);
    int count = 0;
    cache_set_listener(cache, count_event, &count);
    put(cache, "a", "x", 1);
    put(cache, "a", "x", 1);
    cache_remove(cache, "pods", "a", "other", 2);
    assert_int_equal(count, 1);
    cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_are_sorted_and_stay_in_their_namespace),
        cmocka_unit_test(test_events_can_be_read_from_any_revision_that_is_kept),
        cmocka_unit_test(test_a_reader_that_falls_behind_is_told),
        cmocka_unit_test(test_a_list_of_the_past_undoes_what_happened_since),
        cmocka_unit_test(test_a_new_listing_removes_what_is_gone),
        cmocka_unit_test(test_the_same_revision_twice_is_one_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
