/* The rules of Txn, one sentence each. */
#include "tests/unit/kvstore/kv_world.h"

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
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_OK);
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
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_DUPLICATE_KEY);
    buf_clear(&world->request);
    add_put(&world->request, 2, "a", "1");
    add_put(&world->request, 3, "a", "2"); /* the other branch */
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_OK);
    buf_clear(&world->request);
    add_put(&world->request, 3, "b", "1");
    add_delete(&world->request, 3, "a", "c");
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_DUPLICATE_KEY);
    buf_clear(&world->request);
    add_delete(&world->request, 2, "a", "c");
    add_delete(&world->request, 2, "b", "");
    add_put(&world->request, 2, "c", "1");
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_OK);
}

static void test_the_duplicate_rule_reaches_into_nested_transactions(void **state)
{
    struct kv_world *world = *state;
    struct buf inner = BUF_INIT;
    add_put(&inner, 2, "a", "1");
    add_put(&inner, 3, "a", "2");
    buf_clear(&world->request);
    add_op(&world->request, 2, 4, buf_bytes(&inner));
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_OK); /* then and else exclude each other */
    add_put(&world->request, 2, "a", "3");
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_DUPLICATE_KEY);
    buf_clear(&world->request);
    add_op(&world->request, 2, 4, buf_bytes(&inner));
    add_op(&world->request, 2, 4, buf_bytes(&inner));
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_DUPLICATE_KEY);
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
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_OK);
    add_put(&world->request, 2, "one more", "");
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_TOO_MANY_OPS);
    struct buf inner = BUF_INIT;
    for (int i = 0; i < 127; i++) {
        add_range(&inner, 2, "x", "", 0);
    }
    buf_clear(&world->request);
    add_op(&world->request, 2, 4, buf_bytes(&inner));
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_OK); /* 1 + 127 */
    add_range(&world->request, 2, "x", "", 0);
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_TOO_MANY_OPS);
    buf_deinit(&inner);
}

static void test_an_operation_that_is_not_set_is_key_not_found(void **state)
{
    struct kv_world *world = *state;
    buf_clear(&world->request);
    pb_put_message(&world->request, 2, (struct bytes){NULL, 0});
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_KEY_NOT_FOUND);
    buf_clear(&world->request);
    add_compare(&world->request, "", 0, 0, 4, 0);
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_EMPTY_KEY);
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
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_TXN_TOO_DEEP);
    assert_int_equal(world_apply(world, KV_OP_TXN), ETCD_INVALID_ENTRY);
}

static void test_a_read_only_transaction_is_answered_without_the_log(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_txn_is_one_revision_with_a_sub_revision_for_each_change),
        WORLD_TEST(test_a_txn_without_changes_keeps_the_revision),
        WORLD_TEST(test_a_missing_key_compares_as_zero_and_its_value_never),
        WORLD_TEST(test_compares_know_equal_greater_less_and_not_equal),
        WORLD_TEST(test_a_range_compare_holds_only_if_all_keys_hold),
        WORLD_TEST(test_nested_compares_see_the_state_before_the_transaction),
        WORLD_TEST(test_ranges_inside_a_transaction_see_its_own_writes),
        WORLD_TEST(test_an_error_in_any_operation_leaves_no_effect),
        WORLD_TEST(test_a_key_may_be_changed_once_in_a_branch),
        WORLD_TEST(test_the_duplicate_rule_reaches_into_nested_transactions),
        WORLD_TEST(test_too_many_operations_are_refused_and_nested_ones_count),
        WORLD_TEST(test_an_operation_that_is_not_set_is_key_not_found),
        WORLD_TEST(test_transactions_nested_too_deeply_are_refused),
        WORLD_TEST(test_a_read_only_transaction_is_answered_without_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
