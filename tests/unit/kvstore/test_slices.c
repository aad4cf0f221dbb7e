/* Entries that change very many keys: in slices they do the same as at once. */
#include <stdio.h>

#include "base/mem.h"
#include "tests/unit/kvstore/watch_client.h"

enum { KEYS = 3000, LEASE = 7 };

/* The same history twice: one world applies at once, the other in slices of a few keys. */
struct pair {
    struct kv_world *world[2];
};

static int set_up(void **state)
{
    struct pair *pair = mem_zalloc(sizeof *pair);
    for (int i = 0; i < 2; i++) {
        pair->world[i] = world_new();
        pair->world[i]->slice = i == 0 ? 0 : 70;
        assert_int_equal(world_grant(pair->world[i], LEASE, 60), ETCD_OK);
        for (uint32_t k = 0; k < KEYS; k++) {
            char key[16];
            (void)snprintf(key, sizeof key, "k%05u", k * 7919 % KEYS);
            (void)world_put_leased(pair->world[i], key, "v", k % 2 == 0 ? LEASE : 0);
        }
    }
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;
    world_free(pair->world[0]);
    world_free(pair->world[1]);
    mem_free(pair);
    return 0;
}

/* Apply world[0]'s request on both; the replies must not differ. */
static void apply_both(struct pair *pair, enum kv_op op)
{
    buf_clear(&pair->world[1]->request);
    buf_append_bytes(&pair->world[1]->request, buf_bytes(&pair->world[0]->request));
    assert_int_equal(world_apply(pair->world[0], op), ETCD_OK);
    assert_int_equal(world_apply(pair->world[1], op), ETCD_OK);
    struct bytes at_once = buf_bytes(&pair->world[0]->result.reply);
    struct bytes in_slices = buf_bytes(&pair->world[1]->result.reply);
    assert_int_equal(at_once.size, in_slices.size);
    assert_memory_equal(at_once.data, in_slices.data, at_once.size);
    kv_check(pair->world[1]->kv);
}

/* The worlds' states; their last replies are gone afterwards. */
static void assert_same_state(const struct pair *pair)
{
    int64_t revision = kv_revision(pair->world[0]->kv);
    assert_int_equal(revision, kv_revision(pair->world[1]->kv));
    assert_int_equal(world_hash(pair->world[0], revision), world_hash(pair->world[1], revision));
}

static void test_a_large_deletion_takes_many_slices_and_one_revision(void **state)
{
    struct pair *pair = *state;
    int64_t before = kv_revision(pair->world[0]->kv);
    world_delete_request(pair->world[0], "k", bytes_from_text("l"));
    pb_put_u64(&pair->world[0]->request, 3, 1); /* prev_kv */
    apply_both(pair, KV_OP_DELETE_RANGE);
    assert_true(pair->world[1]->slice_count > KEYS / 70);
    assert_int_equal(kv_revision(pair->world[1]->kv), before + 1);
    Etcdserverpb__DeleteRangeResponse *response = world_delete_response(pair->world[1]);
    assert_int_equal(response->deleted, KEYS);
    assert_int_equal(response->n_prev_kvs, KEYS);
    world_free_message(response);
    assert_same_state(pair);
}

static void test_the_keys_of_a_lease_go_in_slices_and_in_key_order(void **state)
{
    struct pair *pair = *state;
    world_number_request(pair->world[0], 1, LEASE);
    apply_both(pair, KV_OP_LEASE_REVOKE);
    assert_true(pair->world[1]->slice_count > KEYS / 2 / 70);
    for (int i = 0; i < 2; i++) {
        assert_null(lessor_find(kv_lessor(pair->world[i]->kv), LEASE));
        world_restart(pair->world[i]);
    }
    assert_same_state(pair);
}

static void put_op(struct buf *to, uint32_t branch, uint32_t kind, struct bytes request)
{
    size_t op = pb_begin_message(to, branch);
    pb_put_message(to, kind, request);
    pb_end_message(to, op);
}

/* put x; delete k0..k1; {delete k1..k2; range k}; put y */
static void test_a_transaction_stops_inside_nested_deletions(void **state)
{
    struct pair *pair = *state;
    struct buf part = BUF_INIT;
    struct buf inner = BUF_INIT;
    struct buf txn = BUF_INIT;
    pb_put_text(&part, 1, "x");
    put_op(&txn, 2, 2, buf_bytes(&part));
    buf_clear(&part);
    pb_put_text(&part, 1, "k0");
    pb_put_text(&part, 2, "k01");
    put_op(&txn, 2, 3, buf_bytes(&part));
    buf_clear(&part);
    pb_put_text(&part, 1, "k01");
    pb_put_text(&part, 2, "k02");
    put_op(&inner, 2, 3, buf_bytes(&part));
    buf_clear(&part);
    pb_put_text(&part, 1, "k");
    pb_put_text(&part, 2, "l");
    put_op(&inner, 2, 1, buf_bytes(&part));
    put_op(&txn, 2, 4, buf_bytes(&inner));
    buf_clear(&part);
    pb_put_text(&part, 1, "y");
    put_op(&txn, 2, 2, buf_bytes(&part));
    buf_clear(&pair->world[0]->request);
    buf_append_bytes(&pair->world[0]->request, buf_bytes(&txn));
    apply_both(pair, KV_OP_TXN);
    Etcdserverpb__TxnResponse *response = world_txn_response(pair->world[1]);
    assert_int_equal(response->n_responses, 4);
    assert_int_equal(response->responses[1]->response_delete_range->deleted, 1000);
    const Etcdserverpb__TxnResponse *nested = response->responses[2]->response_txn;
    assert_int_equal(nested->n_responses, 2);
    assert_int_equal(nested->responses[0]->response_delete_range->deleted, 1000);
    assert_int_equal(nested->responses[1]->response_range->count, KEYS - 2000);
    world_free_message(response);
    assert_same_state(pair);
    buf_deinit(&part);
    buf_deinit(&inner);
    buf_deinit(&txn);
}

/* It is dropped whole: the next state comes from the store. */
static void test_half_a_deletion_can_be_abandoned(void **state)
{
    struct pair *pair = *state;
    struct kv_world *world = pair->world[1];
    world_store(world);
    struct buf entry = BUF_INIT;
    const struct kv_entry_header header = {.request_id = 1};
    world_delete_request(world, "k", bytes_from_text("l"));
    kv_entry_encode(&entry, &header, KV_OP_DELETE_RANGE, buf_bytes(&world->request));
    uint32_t items = 100;
    assert_false(kv_apply_start(world->kv, (struct kv_position){world->index + 1, 1},
                                buf_bytes(&entry), NULL));
    assert_false(kv_apply_step(world->kv, &items));
    assert_true(kv_is_applying(world->kv));
    struct err err;
    assert_int_equal(kv_restore(world->kv, world->backend, &err), 0);
    assert_false(kv_is_applying(world->kv));
    kv_check(world->kv);
    assert_same_state(pair);
    buf_deinit(&entry);
}

/* Watchers get it whole; who comes or goes while it is being read spoils nothing. */
static void test_a_large_revision_reaches_watchers_whole(void **state)
{
    struct pair *pair = *state;
    struct kv_world *world = pair->world[1];
    struct watch_stream *stream = watch_stream_new(kv_watch_hub(world->kv), pair);
    const struct watch_create all = {.key = "k", .range_end = "l"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(watch_client_create(stream, &all), 0);
    }
    int64_t deleted_at = kv_revision(world->kv) + 1;
    assert_int_equal(world_delete(world, "k", "l"), KEYS);
    uint32_t slices = 0;
    for (bool more = true; more; slices++) {
        more = kv_step(world->kv, (struct kv_budget){.items = 50});
        if (slices == 2) {
            assert_int_equal(watch_client_cancel(stream, 1), 0);
            const struct watch_create late = {
                .key = "k", .range_end = "l", .start_revision = deleted_at};
            assert_int_equal(watch_client_create(stream, &late), 0);
        }
    }
    assert_true(slices > KEYS / 500);
    struct watch_responses responses = {0};
    watch_client_take(stream, SIZE_MAX, &responses);
    uint32_t whole = 0;
    for (size_t i = 0; i < responses.count; i++) {
        const Etcdserverpb__WatchResponse *response = responses.response[i];
        if (response->n_events == 0) {
            continue;
        }
        assert_int_equal(response->n_events, KEYS);
        assert_int_not_equal(response->watch_id, 1);
        for (size_t k = 1; k < KEYS; k++) {
            assert_true(bytes_compare(binary_bytes(response->events[k - 1]->kv->key),
                                      binary_bytes(response->events[k]->kv->key)) < 0);
        }
        whole += 1;
    }
    assert_int_equal(whole, 3);
    watch_responses_clear(&responses);
    watch_stream_free(stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_large_deletion_takes_many_slices_and_one_revision),
        TEST(test_the_keys_of_a_lease_go_in_slices_and_in_key_order),
        TEST(test_a_transaction_stops_inside_nested_deletions),
        TEST(test_half_a_deletion_can_be_abandoned),
        TEST(test_a_large_revision_reaches_watchers_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
