/* The rules of Range, RangeStream and DeleteRange, one sentence each. */
#include "tests/unit/kvstore/kv_world.h"

static void test_ranges_are_half_open_and_a_zero_byte_is_the_end_of_everything(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    world_range_request(world, "a", BYTES_LITERAL("c"));
    world_assert_range(world, "ab", false, 2);
    world_range_request(world, "b", WORLD_ALL);
    world_assert_range(world, "bc", false, 2);
    buf_clear(&world->request);
    pb_put_bytes(&world->request, 1, WORLD_ALL);
    pb_put_bytes(&world->request, 2, WORLD_ALL);
    world_assert_range(world, "abc", false, 3);
    world_range_request(world, "c", BYTES_LITERAL("a"));
    world_assert_range(world, "", false, 0);
}

static void test_a_limit_says_more_and_counts_everything(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 3, 2);
    world_assert_range(world, "ab", true, 3);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 3, 3);
    world_assert_range(world, "abc", false, 3);
}

static void test_count_only_sends_no_pairs(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 3, 1);
    pb_put_u64(&world->request, 9, 1);
    world_assert_range(world, "", false, 3);
    pb_put_u64(&world->request, 4, 3); /* at an old revision */
    world_assert_range(world, "", false, 2);
}

static void test_sort_orders_by_every_target(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    const struct {
        unsigned order;
        unsigned target;
        const char *keys;
    } cases[] = {
        {1, 0, "abc"}, {2, 0, "cba"}, {1, 4, "bca"}, {2, 4, "acb"}, {1, 1, "acb"},
        {0, 3, "acb"}, {2, 3, "bca"}, {2, 2, "cba"}, {0, 4, "bca"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_range_request(world, "a", WORLD_ALL);
        pb_put_u64(&world->request, 5, cases[i].order);
        pb_put_u64(&world->request, 6, cases[i].target);
        world_assert_range(world, cases[i].keys, false, 3);
        pb_put_u64(&world->request, 3, 2);
        char first_two[3] = {cases[i].keys[0], cases[i].keys[1], 0};
        world_assert_range(world, first_two, true, 3);
    }
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 5, 3);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_INVALID_SORT_OPTION);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 6, 5);
    assert_int_equal(world_check(world, KV_OP_RANGE), ETCD_INVALID_SORT_OPTION);
}

static void test_filters_by_revision_do_not_change_the_count(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world); /* a: 2, b: create 3 mod 5, c: 4 */
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 10, 4);
    world_assert_range(world, "bc", false, 3);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 11, 4);
    world_assert_range(world, "ac", false, 3);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 12, 3);
    pb_put_u64(&world->request, 13, 3);
    world_assert_range(world, "b", false, 3);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 10, 4);
    pb_put_u64(&world->request, 3, 1);
    world_assert_range(world, "b", true, 3);
}

static void test_keys_only_sends_no_values(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    for (uint64_t revision = 0; revision <= 3; revision += 3) {
        world_range_request(world, "b", (struct bytes){NULL, 0});
        pb_put_u64(&world->request, 8, 1);
        pb_put_u64(&world->request, 4, revision);
        assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_OK);
        Etcdserverpb__RangeResponse *response = world_range_response(world);
        assert_int_equal(response->kvs[0]->value.len, 0);
        assert_int_equal(response->kvs[0]->mod_revision, revision == 0 ? 5 : 3);
        assert_int_equal(response->kvs[0]->version, revision == 0 ? 2 : 1);
        world_free_message(response);
    }
}

static void test_old_revisions_can_be_read_and_future_ones_not(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    assert_int_equal(world_delete(world, "a", NULL), 1);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 4, 4);
    world_assert_range(world, "abc", false, 3);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 4, 7);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_FUTURE_REVISION);
    world_range_request(world, "b", (struct bytes){NULL, 0});
    pb_put_u64(&world->request, 4, 3);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_OK);
    Etcdserverpb__RangeResponse *response = world_range_response(world);
    assert_int_equal(response->header->revision, 6); /* of the store, not of the read */
    assert_memory_equal(response->kvs[0]->value.data, "4", 1);
    world_free_message(response);
}

static void test_a_range_in_slices_is_pinned_to_its_revision(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    world_range_request(world, "a", WORLD_ALL);
    struct kv_read *read = kv_read_new(world->kv, KV_OP_RANGE, buf_bytes(&world->request));
    struct kv_budget one = {.items = 1};
    assert_int_equal(kv_read_step(read, one, &world->result), KV_READ_MORE);
    (void)world_put(world, "aa", "new");
    (void)world_put(world, "c", "newer");
    (void)world_delete(world, "b", NULL);
    world_settle(world);
    kv_result_clear(&world->result);
    while (kv_read_step(read, one, &world->result) == KV_READ_MORE) {
    }
    kv_read_free(read);
    bool more;
    int64_t count;
    assert_string_equal(world_keys_of(world, &more, &count), "abc");
    assert_int_equal(count, 3);
    Etcdserverpb__RangeResponse *response = world_range_response(world);
    assert_memory_equal(response->kvs[2]->value.data, "3", 1);
    assert_int_equal(response->header->revision, 5);
    world_free_message(response);
}

static void test_a_compaction_past_a_sliced_range_fails_it(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    world_range_request(world, "a", WORLD_ALL);
    struct kv_read *read = kv_read_new(world->kv, KV_OP_RANGE, buf_bytes(&world->request));
    struct kv_budget one = {.items = 1};
    assert_int_equal(kv_read_step(read, one, &world->result), KV_READ_MORE);
    (void)world_put(world, "c", "newer");
    assert_int_equal(world_compact(world, 5), ETCD_OK); /* its own revision is still readable */
    assert_int_equal(kv_read_step(read, one, &world->result), KV_READ_MORE);
    assert_int_equal(world_compact(world, 6), ETCD_OK);
    kv_result_clear(&world->result);
    assert_int_equal(kv_read_step(read, one, &world->result), KV_READ_DONE);
    assert_int_equal(world->result.status, ETCD_COMPACTED);
    assert_int_equal(buf_size(&world->result.reply), 0);
    kv_read_free(read);
}

static void test_a_range_stream_gives_everything_at_one_revision(void **state)
{
    struct kv_world *world = *state;
    enum { KEYS = 500 };
    char key[16];
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%04d", i);
        (void)world_put(world, key, "value");
    }
    world_range_request(world, "k", WORLD_ALL);
    struct kv_read *read = kv_read_new(world->kv, KV_OP_RANGE_STREAM, buf_bytes(&world->request));
    size_t messages = 0;
    size_t pairs = 0;
    enum kv_read_state step = KV_READ_MORE;
    while (step != KV_READ_DONE) {
        kv_result_clear(&world->result);
        step = kv_read_step(read, (struct kv_budget){0}, &world->result);
        if (messages == 1) {
            (void)world_delete(world, "k0400", NULL);
            kv_result_clear(&world->result);
            messages += 1;
            continue;
        }
        struct bytes reply = buf_bytes(&world->result.reply);
        Etcdserverpb__RangeStreamResponse *response =
            etcdserverpb__range_stream_response__unpack(NULL, reply.size, reply.data);
        assert_non_null(response);
        pairs += response->range_response->n_kvs;
        assert_int_equal(response->range_response->header != NULL, step == KV_READ_DONE);
        if (step == KV_READ_DONE) {
            assert_int_equal(response->range_response->count, KEYS);
        }
        world_free_message(response);
        messages += 1;
    }
    kv_read_free(read);
    assert_true(messages > 3);
    assert_int_equal(pairs + 20, KEYS); /* the second message was thrown away above */
    world_range_request(world, "k", WORLD_ALL);
    pb_put_u64(&world->request, 5, 2);
    assert_int_equal(world_read(world, KV_OP_RANGE_STREAM, 0), ETCD_STREAM_SORT);
    world_range_request(world, "k", WORLD_ALL);
    pb_put_u64(&world->request, 10, 2);
    assert_int_equal(world_read(world, KV_OP_RANGE_STREAM, 0), ETCD_STREAM_FILTER);
}

static void test_a_range_stream_with_a_sort_target_but_no_order_ascends(void **state)
{
    enum { TARGET_CREATE = 2 };
    struct kv_world *world = *state;
    (void)world_put(world, "b", "1");
    (void)world_put(world, "a", "2");
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 6, TARGET_CREATE);
    assert_int_equal(world_read(world, KV_OP_RANGE_STREAM, 0), ETCD_OK);
    struct bytes reply = buf_bytes(&world->result.reply);
    Etcdserverpb__RangeStreamResponse *response =
        etcdserverpb__range_stream_response__unpack(NULL, reply.size, reply.data);
    assert_non_null(response);
    assert_int_equal(response->range_response->n_kvs, 2);
    assert_memory_equal(response->range_response->kvs[0]->key.data, "b", 1);
    world_free_message(response);
}

/* --- delete ---------------------------------------------------------------------------------- */

static void test_deleting_nothing_keeps_the_revision(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "1");
    assert_int_equal(world_delete(world, "x", "z"), 0);
    assert_int_equal(kv_revision(world->kv), 2);
}

static void test_a_deleted_range_is_one_revision_and_can_show_what_was_there(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    world_delete_request(world, "a", BYTES_LITERAL("c"));
    pb_put_u64(&world->request, 3, 1);
    assert_int_equal(world_apply(world, KV_OP_DELETE_RANGE), ETCD_OK);
    Etcdserverpb__DeleteRangeResponse *response = world_delete_response(world);
    assert_int_equal(response->deleted, 2);
    assert_int_equal(response->n_prev_kvs, 2);
    assert_memory_equal(response->prev_kvs[1]->value.data, "1", 1);
    assert_int_equal(response->header->revision, 6);
    world_free_message(response);
    (void)world_put(world, "a", "back");
    world_range_request(world, "a", (struct bytes){NULL, 0});
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_OK);
    Etcdserverpb__RangeResponse *range = world_range_response(world);
    assert_int_equal(range->kvs[0]->version, 1);
    assert_int_equal(range->kvs[0]->create_revision, 7);
    world_free_message(range);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_ranges_are_half_open_and_a_zero_byte_is_the_end_of_everything),
        WORLD_TEST(test_a_limit_says_more_and_counts_everything),
        WORLD_TEST(test_count_only_sends_no_pairs),
        WORLD_TEST(test_sort_orders_by_every_target),
        WORLD_TEST(test_filters_by_revision_do_not_change_the_count),
        WORLD_TEST(test_keys_only_sends_no_values),
        WORLD_TEST(test_old_revisions_can_be_read_and_future_ones_not),
        WORLD_TEST(test_a_range_in_slices_is_pinned_to_its_revision),
        WORLD_TEST(test_a_compaction_past_a_sliced_range_fails_it),
        WORLD_TEST(test_a_range_stream_gives_everything_at_one_revision),
        WORLD_TEST(test_a_range_stream_with_a_sort_target_but_no_order_ascends),
        WORLD_TEST(test_deleting_nothing_keeps_the_revision),
        WORLD_TEST(test_a_deleted_range_is_one_revision_and_can_show_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
