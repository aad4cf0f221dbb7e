/* The rules of Range, Put, DeleteRange, Txn and Compact, one sentence each. */
#include "tests/unit/kvstore/kv_world.h"

#include "base/mem.h"

static int set_up(void **state)
{
    *state = world_new();
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static const struct bytes ALL = {(const uint8_t *)"\0", 1};

static enum etcd_error check(struct kv_world *world, enum kv_op op)
{
    return kv_check_request(world->kv, op, buf_bytes(&world->request), NULL);
}

/* --- put ------------------------------------------------------------------------------------- */

static void test_a_fresh_store_has_revision_one_and_the_first_write_two(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(kv_revision(world->kv), 1);
    assert_int_equal(world_put(world, "a", "1"), 2);
    assert_string_equal(world_get(world, "a"), "1");
}

static void test_a_put_counts_versions_and_keeps_the_create_revision(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "1");
    (void)world_put(world, "b", "1");
    (void)world_put(world, "a", "2");
    world_range_request(world, "a", (struct bytes){NULL, 0});
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_OK);
    Etcdserverpb__RangeResponse *response = world_range_response(world);
    assert_int_equal(response->header->revision, 4);
    assert_int_equal(response->count, 1);
    assert_int_equal(response->kvs[0]->create_revision, 2);
    assert_int_equal(response->kvs[0]->mod_revision, 4);
    assert_int_equal(response->kvs[0]->version, 2);
    world_free_message(response);
}

static void test_a_put_returns_the_previous_pair_only_when_asked(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "1");
    world_put_request(world, "a", "2", 0);
    pb_put_u64(&world->request, 4, 1);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_OK);
    Etcdserverpb__PutResponse *response = world_put_response(world);
    assert_non_null(response->prev_kv);
    assert_memory_equal(response->prev_kv->value.data, "1", 1);
    world_free_message(response);
    world_put_request(world, "a", "3", 0);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_OK);
    response = world_put_response(world);
    assert_null(response->prev_kv);
    world_free_message(response);
}

static void test_ignore_value_keeps_the_value_and_needs_the_key(void **state)
{
    struct kv_world *world = *state;
    world_put_request(world, "a", "", 0);
    pb_put_u64(&world->request, 5, 1);
    assert_int_equal(check(world, KV_OP_PUT), ETCD_OK);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_KEY_NOT_FOUND);
    (void)world_put(world, "a", "kept");
    world_put_request(world, "a", "", 0);
    pb_put_u64(&world->request, 5, 1);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_OK);
    assert_string_equal(world_get(world, "a"), "kept");
    world_put_request(world, "a", "new", 0);
    pb_put_u64(&world->request, 5, 1);
    assert_int_equal(check(world, KV_OP_PUT), ETCD_VALUE_PROVIDED);
}

static void test_ignore_lease_keeps_the_lease(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(world_grant(world, 9, 60), ETCD_OK);
    (void)world_put_leased(world, "a", "1", 9);
    world_put_request(world, "a", "2", 0);
    pb_put_u64(&world->request, 6, 1);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_OK);
    assert_int_equal(lessor_lease_of(kv_lessor(world->kv), BYTES_LITERAL("a")), 9);
    world_put_request(world, "a", "2", 9);
    pb_put_u64(&world->request, 6, 1);
    assert_int_equal(check(world, KV_OP_PUT), ETCD_LEASE_PROVIDED);
    (void)world_put(world, "a", "3");
    assert_int_equal(lessor_lease_of(kv_lessor(world->kv), BYTES_LITERAL("a")), 0);
}

static void test_a_put_with_an_unknown_lease_is_refused_and_changes_nothing(void **state)
{
    struct kv_world *world = *state;
    world_put_request(world, "a", "1", 77);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_LEASE_NOT_FOUND);
    assert_int_equal(kv_revision(world->kv), 1);
    assert_null(world_get(world, "a"));
}

static void test_requests_without_a_key_are_refused(void **state)
{
    struct kv_world *world = *state;
    world_put_request(world, "", "1", 0);
    assert_int_equal(check(world, KV_OP_PUT), ETCD_EMPTY_KEY);
    assert_int_equal(check(world, KV_OP_RANGE), ETCD_EMPTY_KEY);
    assert_int_equal(check(world, KV_OP_DELETE_RANGE), ETCD_EMPTY_KEY);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_EMPTY_KEY);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_EMPTY_KEY);
    assert_int_equal(world_apply(world, KV_OP_DELETE_RANGE), ETCD_EMPTY_KEY);
}

static void test_damaged_requests_are_refused(void **state)
{
    struct kv_world *world = *state;
    buf_clear(&world->request);
    buf_append_text(&world->request, "\x0a\x7f");
    assert_int_equal(check(world, KV_OP_PUT), ETCD_INVALID_REQUEST);
    assert_int_equal(check(world, KV_OP_RANGE), ETCD_INVALID_REQUEST);
    assert_int_equal(check(world, KV_OP_TXN), ETCD_INVALID_REQUEST);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_INVALID_REQUEST);
    assert_int_equal(world_read(world, KV_OP_TXN, 0), ETCD_INVALID_REQUEST);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_INVALID_ENTRY);
    assert_int_equal(world_apply(world, (enum kv_op)4711), ETCD_INVALID_ENTRY);
    kv_apply(world->kv, (struct kv_position){++world->index, 1}, bytes_from_text("\xff"),
             &world->result);
    assert_int_equal(world->result.status, ETCD_INVALID_ENTRY);
    assert_int_equal(kv_revision(world->kv), 1);
}

static void test_a_request_above_the_size_limit_is_refused(void **state)
{
    struct kv_world *world = *state;
    buf_clear(&world->request);
    struct blob *large = blob_new(KV_REQUEST_BYTES_MAX_DEFAULT);
    memset(large->data, 'x', large->size);
    pb_put_text(&world->request, 1, "a");
    pb_put_bytes(&world->request, 2, blob_bytes(large));
    blob_unref(large);
    assert_int_equal(check(world, KV_OP_PUT), ETCD_REQUEST_TOO_LARGE);
}

/* --- range ----------------------------------------------------------------------------------- */

static void put_letters(struct kv_world *world)
{
    (void)world_put(world, "a", "5");
    (void)world_put(world, "b", "4");
    (void)world_put(world, "c", "3");
    (void)world_put(world, "b", "1");
}

/* The keys of the answer in one text. */
static const char *keys_of(struct kv_world *world, bool *ret_more, int64_t *ret_count)
{
    static char text[64];
    size_t size = 0;
    Etcdserverpb__RangeResponse *response = world_range_response(world);
    for (size_t i = 0; i < response->n_kvs; i++) {
        text[size++] = (char)response->kvs[i]->key.data[0];
    }
    text[size] = 0;
    *ret_more = response->more;
    *ret_count = response->count;
    world_free_message(response);
    return text;
}

static void assert_range(struct kv_world *world, const char *keys, bool more, int64_t count)
{
    for (uint32_t slice = 0; slice < 4; slice++) {
        bool found_more;
        int64_t found_count;
        assert_int_equal(world_read(world, KV_OP_RANGE, slice), ETCD_OK);
        assert_string_equal(keys_of(world, &found_more, &found_count), keys);
        assert_int_equal(found_more, more);
        assert_int_equal(found_count, count);
    }
}

static void test_ranges_are_half_open_and_a_zero_byte_is_the_end_of_everything(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);
    world_range_request(world, "a", BYTES_LITERAL("c"));
    assert_range(world, "ab", false, 2);
    world_range_request(world, "b", ALL);
    assert_range(world, "bc", false, 2);
    buf_clear(&world->request);
    pb_put_bytes(&world->request, 1, ALL);
    pb_put_bytes(&world->request, 2, ALL);
    assert_range(world, "abc", false, 3);
    world_range_request(world, "c", BYTES_LITERAL("a"));
    assert_range(world, "", false, 0);
}

static void test_a_limit_says_more_and_counts_everything(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 3, 2);
    assert_range(world, "ab", true, 3);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 3, 3);
    assert_range(world, "abc", false, 3);
}

static void test_count_only_sends_no_pairs(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 3, 1);
    pb_put_u64(&world->request, 9, 1);
    assert_range(world, "", false, 3);
    pb_put_u64(&world->request, 4, 3); /* at an old revision */
    assert_range(world, "", false, 2);
}

static void test_sort_orders_by_every_target(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);
    const struct {
        unsigned order;
        unsigned target;
        const char *keys;
    } cases[] = {
        {1, 0, "abc"}, {2, 0, "cba"}, {1, 4, "bca"}, {2, 4, "acb"}, {1, 1, "acb"},
        {0, 3, "acb"}, {2, 3, "bca"}, {2, 2, "cba"}, {0, 4, "bca"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_range_request(world, "a", ALL);
        pb_put_u64(&world->request, 5, cases[i].order);
        pb_put_u64(&world->request, 6, cases[i].target);
        assert_range(world, cases[i].keys, false, 3);
        pb_put_u64(&world->request, 3, 2);
        char first_two[3] = {cases[i].keys[0], cases[i].keys[1], 0};
        assert_range(world, first_two, true, 3);
    }
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 5, 3);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_INVALID_SORT_OPTION);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 6, 5);
    assert_int_equal(check(world, KV_OP_RANGE), ETCD_INVALID_SORT_OPTION);
}

static void test_filters_by_revision_do_not_change_the_count(void **state)
{
    struct kv_world *world = *state;
    put_letters(world); /* a: 2, b: create 3 mod 5, c: 4 */
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 10, 4);
    assert_range(world, "bc", false, 3);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 11, 4);
    assert_range(world, "ac", false, 3);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 12, 3);
    pb_put_u64(&world->request, 13, 3);
    assert_range(world, "b", false, 3);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 10, 4);
    pb_put_u64(&world->request, 3, 1);
    assert_range(world, "b", true, 3);
}

static void test_keys_only_sends_no_values(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);
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
    put_letters(world);
    assert_int_equal(world_delete(world, "a", NULL), 1);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 4, 4);
    assert_range(world, "abc", false, 3);
    world_range_request(world, "a", ALL);
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
    put_letters(world);
    world_range_request(world, "a", ALL);
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
    assert_string_equal(keys_of(world, &more, &count), "abc");
    assert_int_equal(count, 3);
    Etcdserverpb__RangeResponse *response = world_range_response(world);
    assert_memory_equal(response->kvs[2]->value.data, "3", 1);
    assert_int_equal(response->header->revision, 5);
    world_free_message(response);
}

static void test_a_compaction_past_a_sliced_range_fails_it(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);
    world_range_request(world, "a", ALL);
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
    world_range_request(world, "k", ALL);
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
    world_range_request(world, "k", ALL);
    pb_put_u64(&world->request, 5, 2);
    assert_int_equal(world_read(world, KV_OP_RANGE_STREAM, 0), ETCD_STREAM_SORT);
    world_range_request(world, "k", ALL);
    pb_put_u64(&world->request, 10, 2);
    assert_int_equal(world_read(world, KV_OP_RANGE_STREAM, 0), ETCD_STREAM_FILTER);
}

static void test_a_range_stream_with_a_sort_target_but_no_order_ascends(void **state)
{
    enum { TARGET_CREATE = 2 };
    struct kv_world *world = *state;
    (void)world_put(world, "b", "1");
    (void)world_put(world, "a", "2");
    world_range_request(world, "a", ALL);
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
    put_letters(world);
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

/* --- txn ------------------------------------------------------------------------------------- */

/* Append a RequestOp to a branch: field 2 is success, 3 is failure; kind as in RequestOp. */
static void add_op(struct buf *txn, uint32_t branch, uint32_t kind, struct bytes request)
{
    size_t op = pb_begin_message(txn, branch);
    pb_put_message(txn, kind, request);
    pb_end_message(txn, op);
}

static void add_put(struct buf *txn, uint32_t branch, const char *key, const char *value)
{
    struct buf put = BUF_INIT;
    pb_put_text(&put, 1, key);
    pb_put_text(&put, 2, value);
    add_op(txn, branch, 2, buf_bytes(&put));
    buf_deinit(&put);
}

static void add_range(struct buf *txn, uint32_t branch, const char *key, const char *end,
                      int64_t revision)
{
    struct buf range = BUF_INIT;
    pb_put_text(&range, 1, key);
    pb_put_text(&range, 2, end);
    pb_put_i64(&range, 4, revision);
    add_op(txn, branch, 1, buf_bytes(&range));
    buf_deinit(&range);
}

static void add_delete(struct buf *txn, uint32_t branch, const char *key, const char *end)
{
    struct buf range = BUF_INIT;
    pb_put_text(&range, 1, key);
    pb_put_text(&range, 2, end);
    add_op(txn, branch, 3, buf_bytes(&range));
    buf_deinit(&range);
}

/* field: 4 version, 5 create, 6 mod, 8 lease. */
static void add_compare(struct buf *txn, const char *key, unsigned result, unsigned target,
                        uint32_t field, int64_t number)
{
    size_t compare = pb_begin_message(txn, 1);
    pb_put_u64(txn, 1, result);
    pb_put_u64(txn, 2, target);
    pb_put_text(txn, 3, key);
    pb_put_i64(txn, field, number);
    pb_end_message(txn, compare);
}

static void add_compare_value(struct buf *txn, const char *key, const char *end, unsigned result,
                              const char *value)
{
    size_t compare = pb_begin_message(txn, 1);
    pb_put_u64(txn, 1, result);
    pb_put_u64(txn, 2, 3);
    pb_put_text(txn, 3, key);
    pb_put_text(txn, 7, value);
    pb_put_text(txn, 64, end);
    pb_end_message(txn, compare);
}

static bool txn_succeeded(struct kv_world *world)
{
    assert_int_equal(check(world, KV_OP_TXN), ETCD_OK);
    assert_int_equal(world_apply(world, KV_OP_TXN), ETCD_OK);
    Etcdserverpb__TxnResponse *response = world_txn_response(world);
    bool succeeded = response->succeeded;
    world_free_message(response);
    return succeeded;
}

static void test_a_txn_is_one_revision_with_a_sub_revision_for_each_change(void **state)
{
    struct kv_world *world = *state;
    buf_clear(&world->request);
    add_put(&world->request, 2, "a", "1");
    add_put(&world->request, 2, "b", "2");
    assert_true(txn_succeeded(world));
    assert_int_equal(kv_revision(world->kv), 2);
    assert_string_equal(world_get(world, "b"), "2");
    world_restart(world);
    assert_string_equal(world_get(world, "b"), "2");
    assert_int_equal(kv_revision(world->kv), 2);
}

static void test_a_txn_without_changes_keeps_the_revision(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "1");
    buf_clear(&world->request);
    add_delete(&world->request, 2, "x", "");
    add_range(&world->request, 2, "a", "", 0);
    assert_true(txn_succeeded(world));
    assert_int_equal(kv_revision(world->kv), 2);
}

static void test_a_missing_key_compares_as_zero_and_its_value_never(void **state)
{
    struct kv_world *world = *state;
    const struct {
        unsigned target;
        uint32_t field;
    } numbers[] = {{0, 4}, {1, 5}, {2, 6}, {4, 8}};
    for (size_t i = 0; i < 4; i++) {
        buf_clear(&world->request);
        add_compare(&world->request, "none", 0, numbers[i].target, numbers[i].field, 0);
        assert_true(txn_succeeded(world));
        buf_clear(&world->request);
        add_compare(&world->request, "none", 1, numbers[i].target, numbers[i].field, 0);
        assert_false(txn_succeeded(world));
    }
    for (unsigned result = 0; result < 4; result++) {
        buf_clear(&world->request);
        add_compare_value(&world->request, "none", "", result, "");
        assert_false(txn_succeeded(world));
    }
}

static void test_compares_know_equal_greater_less_and_not_equal(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "m"); /* version 1, create 2, mod 2 */
    const bool expected[4][3] = {     /* against 1, 2, 3 */
                                 {false, true, false},
                                 {true, false, false},
                                 {false, false, true},
                                 {true, false, true}};
    for (unsigned result = 0; result < 4; result++) {
        for (int64_t number = 1; number <= 3; number++) {
            buf_clear(&world->request);
            add_compare(&world->request, "a", result, 2, 6, number);
            assert_int_equal(txn_succeeded(world), expected[result][number - 1]);
            char value[2] = {(char)('l' + number - 1), 0};
            buf_clear(&world->request);
            add_compare_value(&world->request, "a", "", result, value);
            assert_int_equal(txn_succeeded(world), expected[result][number - 1]);
        }
    }
}

static void test_a_range_compare_holds_only_if_all_keys_hold(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a1", "x");
    (void)world_put(world, "a2", "x");
    buf_clear(&world->request);
    add_compare_value(&world->request, "a", "b", 0, "x");
    assert_true(txn_succeeded(world));
    (void)world_put(world, "a3", "y");
    buf_clear(&world->request);
    add_compare_value(&world->request, "a", "b", 0, "x");
    assert_false(txn_succeeded(world));
    buf_clear(&world->request);
    add_compare_value(&world->request, "c", "d", 0, "x");
    assert_false(txn_succeeded(world));
}

static void test_nested_compares_see_the_state_before_the_transaction(void **state)
{
    struct kv_world *world = *state;
    struct buf inner = BUF_INIT;
    add_compare(&inner, "a", 0, 0, 4, 0); /* a does not exist yet */
    add_put(&inner, 2, "b", "was missing");
    add_put(&inner, 3, "b", "was there");
    buf_clear(&world->request);
    add_put(&world->request, 2, "a", "1");
    add_op(&world->request, 2, 4, buf_bytes(&inner));
    buf_deinit(&inner);
    assert_true(txn_succeeded(world));
    assert_string_equal(world_get(world, "b"), "was missing");
    assert_int_equal(kv_revision(world->kv), 2);
}

static void test_ranges_inside_a_transaction_see_its_own_writes(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "old");
    buf_clear(&world->request);
    add_put(&world->request, 2, "a", "new");
    add_range(&world->request, 2, "a", "", 0);
    add_range(&world->request, 2, "a", "", 2);
    assert_int_equal(world_apply(world, KV_OP_TXN), ETCD_OK);
    Etcdserverpb__TxnResponse *response = world_txn_response(world);
    assert_int_equal(response->header->revision, 3);
    assert_int_equal(response->n_responses, 3);
    assert_int_equal(response->responses[0]->response_put->header->revision, 3);
    Etcdserverpb__RangeResponse *own = response->responses[1]->response_range;
    assert_int_equal(own->header->revision, 3);
    assert_memory_equal(own->kvs[0]->value.data, "new", 3);
    assert_memory_equal(response->responses[2]->response_range->kvs[0]->value.data, "old", 3);
    world_free_message(response);
}

static void test_an_error_in_any_operation_leaves_no_effect(void **state)
{
    struct kv_world *world = *state;
    buf_clear(&world->request);
    add_put(&world->request, 2, "a", "1");
    add_range(&world->request, 2, "a", "", 99);
    assert_int_equal(world_apply(world, KV_OP_TXN), ETCD_FUTURE_REVISION);
    assert_null(world_get(world, "a"));
    struct buf put = BUF_INIT;
    pb_put_text(&put, 1, "b");
    pb_put_i64(&put, 3, 1234);
    buf_clear(&world->request);
    add_put(&world->request, 2, "a", "1");
    add_op(&world->request, 2, 2, buf_bytes(&put));
    buf_deinit(&put);
    assert_int_equal(world_apply(world, KV_OP_TXN), ETCD_LEASE_NOT_FOUND);
    assert_null(world_get(world, "a"));
    assert_int_equal(kv_revision(world->kv), 1);
}

static void test_a_key_may_be_changed_once_in_a_branch(void **state)
{
    struct kv_world *world = *state;
    buf_clear(&world->request);
    add_put(&world->request, 2, "a", "1");
    add_put(&world->request, 2, "b", "1");
    add_put(&world->request, 2, "a", "2");
    assert_int_equal(check(world, KV_OP_TXN), ETCD_DUPLICATE_KEY);
    buf_clear(&world->request);
    add_put(&world->request, 2, "a", "1");
    add_put(&world->request, 3, "a", "2"); /* the other branch */
    assert_int_equal(check(world, KV_OP_TXN), ETCD_OK);
    buf_clear(&world->request);
    add_put(&world->request, 3, "b", "1");
    add_delete(&world->request, 3, "a", "c");
    assert_int_equal(check(world, KV_OP_TXN), ETCD_DUPLICATE_KEY);
    buf_clear(&world->request);
    add_delete(&world->request, 2, "a", "c");
    add_delete(&world->request, 2, "b", "");
    add_put(&world->request, 2, "c", "1");
    assert_int_equal(check(world, KV_OP_TXN), ETCD_OK);
}

static void test_the_duplicate_rule_reaches_into_nested_transactions(void **state)
{
    struct kv_world *world = *state;
    struct buf inner = BUF_INIT;
    add_put(&inner, 2, "a", "1");
    add_put(&inner, 3, "a", "2");
    buf_clear(&world->request);
    add_op(&world->request, 2, 4, buf_bytes(&inner));
    assert_int_equal(check(world, KV_OP_TXN), ETCD_OK); /* then and else exclude each other */
    add_put(&world->request, 2, "a", "3");
    assert_int_equal(check(world, KV_OP_TXN), ETCD_DUPLICATE_KEY);
    buf_clear(&world->request);
    add_op(&world->request, 2, 4, buf_bytes(&inner));
    add_op(&world->request, 2, 4, buf_bytes(&inner));
    assert_int_equal(check(world, KV_OP_TXN), ETCD_DUPLICATE_KEY);
    buf_deinit(&inner);
}

static void test_too_many_operations_are_refused_and_nested_ones_count(void **state)
{
    struct kv_world *world = *state;
    char key[16];
    buf_clear(&world->request);
    for (int i = 0; i < 128; i++) {
        (void)snprintf(key, sizeof key, "k%03d", i);
        add_put(&world->request, 2, key, "");
    }
    assert_int_equal(check(world, KV_OP_TXN), ETCD_OK);
    add_put(&world->request, 2, "one more", "");
    assert_int_equal(check(world, KV_OP_TXN), ETCD_TOO_MANY_OPS);
    struct buf inner = BUF_INIT;
    for (int i = 0; i < 127; i++) {
        add_range(&inner, 2, "x", "", 0);
    }
    buf_clear(&world->request);
    add_op(&world->request, 2, 4, buf_bytes(&inner));
    assert_int_equal(check(world, KV_OP_TXN), ETCD_OK); /* 1 + 127 */
    add_range(&world->request, 2, "x", "", 0);
    assert_int_equal(check(world, KV_OP_TXN), ETCD_TOO_MANY_OPS);
    buf_deinit(&inner);
}

static void test_an_operation_that_is_not_set_is_key_not_found(void **state)
{
    struct kv_world *world = *state;
    buf_clear(&world->request);
    pb_put_message(&world->request, 2, (struct bytes){NULL, 0});
    assert_int_equal(check(world, KV_OP_TXN), ETCD_KEY_NOT_FOUND);
    buf_clear(&world->request);
    add_compare(&world->request, "", 0, 0, 4, 0);
    assert_int_equal(check(world, KV_OP_TXN), ETCD_EMPTY_KEY);
}

static void test_transactions_nested_too_deeply_are_refused(void **state)
{
    struct kv_world *world = *state;
    struct buf inner = BUF_INIT;
    for (int depth = 0; depth < 40; depth++) {
        buf_clear(&world->request);
        add_op(&world->request, 2, 4, buf_bytes(&inner));
        buf_clear(&inner);
        buf_append_bytes(&inner, buf_bytes(&world->request));
    }
    buf_deinit(&inner);
    assert_int_equal(check(world, KV_OP_TXN), ETCD_TXN_TOO_DEEP);
    assert_int_equal(world_apply(world, KV_OP_TXN), ETCD_INVALID_ENTRY);
}

static void test_a_read_only_transaction_is_answered_without_the_log(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);
    bool serializable;
    buf_clear(&world->request);
    add_compare(&world->request, "a", 0, 0, 4, 1);
    add_range(&world->request, 2, "a", "c", 0);
    add_range(&world->request, 2, "b", "", 3);
    add_range(&world->request, 3, "zz", "", 0);
    assert_true(kv_txn_is_read_only(buf_bytes(&world->request), &serializable));
    assert_false(serializable);
    for (uint32_t slice = 0; slice < 3; slice++) {
        assert_int_equal(world_read(world, KV_OP_TXN, slice), ETCD_OK);
        Etcdserverpb__TxnResponse *response = world_txn_response(world);
        assert_true(response->succeeded);
        assert_int_equal(response->n_responses, 2);
        assert_int_equal(response->responses[0]->response_range->n_kvs, 2);
        assert_memory_equal(response->responses[1]->response_range->kvs[0]->value.data, "4", 1);
        world_free_message(response);
    }
    add_put(&world->request, 3, "a", "1");
    assert_false(kv_txn_is_read_only(buf_bytes(&world->request), &serializable));
}

/* --- compaction ------------------------------------------------------------------------------ */

static void test_a_compaction_refuses_what_is_gone_and_what_is_to_come(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);
    assert_int_equal(world_compact(world, 6), ETCD_FUTURE_REVISION);
    assert_int_equal(world_compact(world, 4), ETCD_OK);
    assert_int_equal(world_compact(world, 4), ETCD_COMPACTED);
    assert_int_equal(world_compact(world, 0), ETCD_COMPACTED);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 4, 3);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_COMPACTED);
    world_range_request(world, "a", ALL);
    pb_put_u64(&world->request, 4, 4);
    assert_range(world, "abc", false, 3);
}

static uint64_t stored_revisions(struct kv_world *world)
{
    struct backend_record records[64];
    uint32_t count = 0;
    struct err err;
    assert_int_equal(backend_scan(world->backend, (struct backend_revision){0, 0},
                                  BACKEND_REVISION_MAX, records, 64, &count, &err),
                     0);
    return count;
}

static void test_a_compaction_removes_what_cannot_be_read(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);                   /* a2 b3 c4 b5 */
    (void)world_delete(world, "c", NULL); /* 6 */
    (void)world_put(world, "a", "new");   /* 7 */
    world_store(world);
    assert_int_equal(stored_revisions(world), 6);
    assert_int_equal(world_compact(world, 6), ETCD_OK);
    assert_int_equal(kv_compacted(world->kv), 0);
    world_settle(world);
    assert_int_equal(kv_compacted(world->kv), 6);
    assert_int_equal(stored_revisions(world), 4); /* a2, b5, the tombstone of c at 6, a7 */
    assert_int_equal(world_compact(world, 7), ETCD_OK);
    world_settle(world);
    assert_int_equal(stored_revisions(world), 2); /* b5 a7 */
    assert_string_equal(world_get(world, "b"), "1");
    assert_null(world_get(world, "c"));
}

static void test_a_restart_after_a_compacted_deletion_keeps_the_revision(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "1");
    (void)world_delete(world, "a", NULL);
    assert_int_equal(world_compact(world, 3), ETCD_OK);
    world_settle(world);
    world_restart(world);
    assert_int_equal(kv_revision(world->kv), 3);
    assert_int_equal(kv_compact_revision(world->kv), 3);
    assert_int_equal(world_put(world, "b", "1"), 4);
}

static void test_a_restart_in_the_middle_of_a_compaction_finishes_it(void **state)
{
    struct kv_world *world = *state;
    for (int i = 0; i < 50; i++) {
        (void)world_put(world, "a", "x");
    }
    world_store(world);
    assert_int_equal(world_compact(world, 40), ETCD_OK);
    assert_true(kv_step(world->kv, (struct kv_budget){.items = 7}));
    world_restart(world);
    world_settle(world);
    assert_int_equal(kv_compacted(world->kv), 40);
    assert_int_equal(stored_revisions(world), 12); /* 40 to 51 */
}

static void test_a_physical_compaction_says_when_to_answer(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "1");
    world_number_request(world, 1, 2);
    pb_put_u64(&world->request, 2, 1);
    assert_int_equal(world_apply(world, KV_OP_COMPACTION), ETCD_OK);
    assert_int_equal(world->result.wait_compacted, 2);
    assert_true(kv_compacted(world->kv) < 2);
    world_settle(world);
    assert_int_equal(kv_compacted(world->kv), 2);
}

static void test_a_compaction_keeps_the_hash_of_what_it_removes(void **state)
{
    struct kv_world *world = *state;
    struct kv_kept_hash kept[2];
    for (int i = 0; i < 5; i++) {
        (void)world_put(world, "a", "1");
    }
    uint32_t before = world_hash(world, 4);
    assert_int_equal(world_compact(world, 4), ETCD_OK);
    assert_int_equal(world_compact(world, 5), ETCD_OK); /* before the first is removed */
    while (kv_step(world->kv, (struct kv_budget){.items = 1})) {
    }
    assert_int_equal(kv_kept_hashes(world->kv, kept, 2), 2);
    assert_int_equal(kept[1].revision, 4);
    assert_int_equal(kept[1].compact_revision, 0);
    assert_int_equal(kept[1].hash, before);
    assert_int_equal(kept[0].revision, 5);
    assert_int_equal(kept[0].compact_revision, 4);
    buf_clear(&world->request);
    pb_put_u64(&world->request, 1, 4);
    struct kv_result result = {0};
    assert_int_equal(kv_kept_hash(world->kv, buf_bytes(&world->request), &result), KV_KEPT_HERE);
    assert_true(buf_size(&result.reply) > 0);
    kv_result_deinit(&result);
}

static void test_the_hash_does_not_depend_on_physical_progress(void **state)
{
    struct kv_world *world = *state;
    put_letters(world);
    (void)world_delete(world, "c", NULL);
    uint32_t before = world_hash(world, 0);
    assert_int_equal(world_hash(world, 6), before);
    world_store(world);
    assert_int_equal(world_hash(world, 0), before);
    assert_int_equal(world_compact(world, 6), ETCD_OK);
    uint32_t compacted = world_hash(world, 0);
    assert_int_not_equal(compacted, before);
    world_settle(world);
    assert_int_equal(world_hash(world, 0), compacted);
    world_restart(world);
    assert_int_equal(world_hash(world, 0), compacted);
    world_number_request(world, 1, 5);
    assert_int_equal(world_read(world, KV_OP_HASH_KV, 0), ETCD_COMPACTED);
    world_number_request(world, 1, 7);
    assert_int_equal(world_read(world, KV_OP_HASH_KV, 0), ETCD_FUTURE_REVISION);
}

static void test_a_flipped_bit_on_disk_stops_the_member_instead_of_answering(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "1");
    world_store(world);
    assert_true(backend_memory_flip_bit(world->backend, (struct backend_revision){2, 0}, 3));
    world_range_request(world, "a", (struct bytes){NULL, 0});
    kv_result_clear(&world->result);
    struct kv_read *read = kv_read_now(world->kv, KV_OP_RANGE, buf_bytes(&world->request),
                                       (struct kv_budget){0}, &world->result);
    assert_null(read);
    assert_int_equal(world->result.status, ETCD_CORRUPT);
    struct err err;
    assert_int_equal(kv_failure(world->kv, &err), ERR_CORRUPT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_fresh_store_has_revision_one_and_the_first_write_two),
        TEST(test_a_put_counts_versions_and_keeps_the_create_revision),
        TEST(test_a_put_returns_the_previous_pair_only_when_asked),
        TEST(test_ignore_value_keeps_the_value_and_needs_the_key),
        TEST(test_ignore_lease_keeps_the_lease),
        TEST(test_a_put_with_an_unknown_lease_is_refused_and_changes_nothing),
        TEST(test_requests_without_a_key_are_refused),
        TEST(test_damaged_requests_are_refused),
        TEST(test_a_request_above_the_size_limit_is_refused),
        TEST(test_ranges_are_half_open_and_a_zero_byte_is_the_end_of_everything),
        TEST(test_a_limit_says_more_and_counts_everything),
        TEST(test_count_only_sends_no_pairs),
        TEST(test_sort_orders_by_every_target),
        TEST(test_filters_by_revision_do_not_change_the_count),
        TEST(test_keys_only_sends_no_values),
        TEST(test_old_revisions_can_be_read_and_future_ones_not),
        TEST(test_a_range_in_slices_is_pinned_to_its_revision),
        TEST(test_a_compaction_past_a_sliced_range_fails_it),
        TEST(test_a_range_stream_gives_everything_at_one_revision),
        TEST(test_a_range_stream_with_a_sort_target_but_no_order_ascends),
        TEST(test_deleting_nothing_keeps_the_revision),
        TEST(test_a_deleted_range_is_one_revision_and_can_show_what_was_there),
        TEST(test_a_txn_is_one_revision_with_a_sub_revision_for_each_change),
        TEST(test_a_txn_without_changes_keeps_the_revision),
        TEST(test_a_missing_key_compares_as_zero_and_its_value_never),
        TEST(test_compares_know_equal_greater_less_and_not_equal),
        TEST(test_a_range_compare_holds_only_if_all_keys_hold),
        TEST(test_nested_compares_see_the_state_before_the_transaction),
        TEST(test_ranges_inside_a_transaction_see_its_own_writes),
        TEST(test_an_error_in_any_operation_leaves_no_effect),
        TEST(test_a_key_may_be_changed_once_in_a_branch),
        TEST(test_the_duplicate_rule_reaches_into_nested_transactions),
        TEST(test_too_many_operations_are_refused_and_nested_ones_count),
        TEST(test_an_operation_that_is_not_set_is_key_not_found),
        TEST(test_transactions_nested_too_deeply_are_refused),
        TEST(test_a_read_only_transaction_is_answered_without_the_log),
        TEST(test_a_compaction_refuses_what_is_gone_and_what_is_to_come),
        TEST(test_a_compaction_removes_what_cannot_be_read),
        TEST(test_a_restart_after_a_compacted_deletion_keeps_the_revision),
        TEST(test_a_restart_in_the_middle_of_a_compaction_finishes_it),
        TEST(test_a_physical_compaction_says_when_to_answer),
        TEST(test_a_compaction_keeps_the_hash_of_what_it_removes),
        TEST(test_the_hash_does_not_depend_on_physical_progress),
        TEST(test_a_flipped_bit_on_disk_stops_the_member_instead_of_answering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
