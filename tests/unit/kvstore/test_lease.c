/* The rules of Lease, one sentence each, and a random run against a naive lessor. */
#include "tests/unit/kvstore/watch_client.h"

#include "base/mem.h"
#include "base/prng.h"

static void promote(struct lessor *lessor, uint64_t now_ms, uint64_t extend_ms)
{
    lessor_promote(lessor, now_ms, extend_ms);
    assert_true(lessor_promote_step(lessor, UINT32_MAX));
}

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

static enum etcd_error revoke(struct kv_world *world, int64_t id)
{
    world_number_request(world, 1, id);
    return world_apply(world, KV_OP_LEASE_REVOKE);
}

static void test_a_granted_lease_is_answered_with_id_and_ttl(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(world_grant(world, 5, 60), ETCD_OK);
    struct bytes reply = buf_bytes(&world->result.reply);
    Etcdserverpb__LeaseGrantResponse *response =
        etcdserverpb__lease_grant_response__unpack(NULL, reply.size, reply.data);
    assert_non_null(response);
    assert_int_equal(response->id, 5);
    assert_int_equal(response->ttl, 60);
    assert_int_equal(response->header->revision, 1);
    world_free_message(response);
    assert_int_equal(world_grant(world, 5, 60), ETCD_LEASE_EXISTS);
    assert_int_equal(world_grant(world, 6, LEASE_TTL_MAX_S + 1), ETCD_LEASE_TTL_TOO_LARGE);
}

static void test_the_proposer_chooses_the_id_and_raises_the_ttl(void **state)
{
    struct kv_world *world = *state;
    struct buf out = BUF_INIT;
    world_number_request(world, 1, 1);
    assert_int_equal(kv_prepare_lease_grant(world->kv, buf_bytes(&world->request), 77, 2, &out),
                     ETCD_OK);
    buf_clear(&world->request);
    buf_append_bytes(&world->request, buf_bytes(&out));
    assert_int_equal(world_apply(world, KV_OP_LEASE_GRANT), ETCD_OK);
    const struct lease *lease = lessor_find(kv_lessor(world->kv), 77);
    assert_non_null(lease);
    assert_int_equal(lease_granted_ttl_s(lease), 2);
    buf_clear(&out);
    world_number_request(world, 1, 1);
    assert_int_equal(kv_prepare_lease_grant(world->kv, buf_bytes(&world->request), 77, 2, &out),
                     ETCD_OK);
    buf_clear(&world->request);
    buf_append_bytes(&world->request, buf_bytes(&out));
    assert_int_equal(world_apply(world, KV_OP_LEASE_GRANT), ETCD_OK);
    assert_non_null(lessor_find(kv_lessor(world->kv), 78)); /* 77 was taken */
    world_number_request(world, 2, 77);
    assert_int_equal(kv_prepare_lease_grant(world->kv, buf_bytes(&world->request), 1, 2, &out),
                     ETCD_LEASE_EXISTS);
    world_number_request(world, 1, LEASE_TTL_MAX_S + 1);
    assert_int_equal(kv_prepare_lease_grant(world->kv, buf_bytes(&world->request), 1, 2, &out),
                     ETCD_LEASE_TTL_TOO_LARGE);
    buf_deinit(&out);
}

static void test_revoking_deletes_the_keys_in_order_in_one_revision(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(world_grant(world, 5, 60), ETCD_OK);
    (void)world_put_leased(world, "c", "1", 5);
    (void)world_put_leased(world, "a", "1", 5);
    (void)world_put_leased(world, "b", "1", 5);
    (void)world_put(world, "other", "1");
    struct watch_stream *stream = watch_stream_new(kv_watch_hub(world->kv), NULL);
    assert_int_equal(
        watch_client_create(stream, &(struct watch_create){.key = "a", .range_end = "zz"}), 0);
    assert_int_equal(revoke(world, 5), ETCD_OK);
    assert_int_equal(kv_revision(world->kv), 6);
    struct watch_responses responses = {.count = 0};
    watch_client_take(stream, SIZE_MAX, &responses);
    assert_int_equal(responses.count, 2);
    const Etcdserverpb__WatchResponse *found = responses.response[1];
    assert_int_equal(found->n_events, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(found->events[i]->kv->mod_revision, 6);
        assert_memory_equal(found->events[i]->kv->key.data, &"abc"[i], 1);
    }
    watch_responses_clear(&responses);
    watch_stream_free(stream);
    assert_null(world_get(world, "a"));
    assert_string_equal(world_get(world, "other"), "1");
    assert_int_equal(revoke(world, 5), ETCD_LEASE_NOT_FOUND);
    assert_int_equal(kv_revision(world->kv), 6);
}

static void test_a_key_hangs_on_its_last_lease_only(void **state)
{
    struct kv_world *world = *state;
    struct lessor *lessor = kv_lessor(world->kv);
    assert_int_equal(world_grant(world, 1, 60), ETCD_OK);
    assert_int_equal(world_grant(world, 2, 60), ETCD_OK);
    (void)world_put_leased(world, "a", "1", 1);
    (void)world_put_leased(world, "a", "2", 2);
    assert_int_equal(lease_key_count(lessor_find(lessor, 1)), 0);
    assert_int_equal(lease_key_count(lessor_find(lessor, 2)), 1);
    assert_int_equal(revoke(world, 1), ETCD_OK);
    assert_string_equal(world_get(world, "a"), "2");
    (void)world_delete(world, "a", NULL);
    assert_int_equal(lease_key_count(lessor_find(lessor, 2)), 0);
    int64_t before = kv_revision(world->kv);
    assert_int_equal(revoke(world, 2), ETCD_OK);
    assert_int_equal(kv_revision(world->kv), before); /* nothing was deleted */
}

static void test_leases_and_their_keys_survive_a_restart(void **state)
{
    struct kv_world *world = *state;
    for (int64_t id = 1; id <= 200; id++) {
        assert_int_equal(world_grant(world, id, 60 + id), ETCD_OK);
    }
    (void)world_put_leased(world, "a", "1", 7);
    assert_int_equal(revoke(world, 9), ETCD_OK);
    world_restart(world);
    struct lessor *lessor = kv_lessor(world->kv);
    assert_int_equal(lessor_count(lessor), 199);
    assert_null(lessor_find(lessor, 9));
    assert_int_equal(lease_granted_ttl_s(lessor_find(lessor, 200)), 260);
    assert_int_equal(lessor_lease_of(lessor, BYTES_LITERAL("a")), 7);
    assert_int_equal(revoke(world, 7), ETCD_OK);
    assert_null(world_get(world, "a"));
}

/* --- the leader's clock ---------------------------------------------------------------------- */

static void test_only_the_leader_knows_deadlines(void **state)
{
    struct kv_world *world = *state;
    struct lessor *lessor = kv_lessor(world->kv);
    assert_int_equal(world_grant(world, 1, 10), ETCD_OK);
    assert_true(lessor_deadline_ms(lessor) == UINT64_MAX);
    assert_int_equal(lessor_renew(lessor, 1, 1000), 0);
    assert_null(lessor_take_expired(lessor, UINT64_MAX, 1));
    promote(lessor, 1000, 500);
    assert_int_equal(lessor_deadline_ms(lessor), 1000 + 500 + 10000);
    assert_int_equal(lessor_remaining_s(lessor, 1, 6500), 5);
    assert_int_equal(lessor_remaining_s(lessor, 2, 6500), INT64_MIN);
    lessor_demote(lessor);
    assert_int_equal(lessor_remaining_s(lessor, 1, 6500), INT64_MIN);
}

static void test_a_lease_granted_while_leading_starts_now(void **state)
{
    struct kv_world *world = *state;
    struct lessor *lessor = kv_lessor(world->kv);
    promote(lessor, 1000, 0);
    lessor_set_now(lessor, 5000);
    assert_int_equal(world_grant(world, 1, 10), ETCD_OK);
    assert_int_equal(lessor_deadline_ms(lessor), 15000);
    assert_int_equal(lessor_renew(lessor, 1, 9000), 10);
    assert_int_equal(lessor_deadline_ms(lessor), 19000);
}

static void test_a_new_leader_gives_every_lease_its_full_time_again(void **state)
{
    struct kv_world *world = *state;
    struct lessor *lessor = kv_lessor(world->kv);
    promote(lessor, 0, 0);
    assert_int_equal(world_grant(world, 1, 10), ETCD_OK);
    lessor_demote(lessor);
    promote(lessor, 100000, 0);
    assert_null(lessor_take_expired(lessor, 109999, 1));
    assert_non_null(lessor_take_expired(lessor, 110000, 1));
}

static void test_a_lease_that_waits_for_its_revocation_cannot_be_renewed(void **state)
{
    struct kv_world *world = *state;
    struct lessor *lessor = kv_lessor(world->kv);
    promote(lessor, 0, 0);
    assert_int_equal(world_grant(world, 1, 10), ETCD_OK);
    assert_non_null(lessor_take_expired(lessor, 10000, 3000));
    assert_null(lessor_take_expired(lessor, 12999, 3000));
    assert_int_equal(lessor_renew(lessor, 1, 11000), 0);
    assert_non_null(lessor_take_expired(lessor, 13000, 3000)); /* the entry was lost */
    assert_int_equal(lessor_remaining_s(lessor, 1, 13000), 0);
}

static uint32_t expire_once(struct kv_world *world, uint64_t now_ms)
{
    buf_clear(&world->request);
    uint32_t count = kv_prepare_expired(world->kv, now_ms, 500, 1000, 5000, &world->request);
    if (count > 0) {
        assert_int_equal(world_apply(world, KV_OP_LEASE_REVOKE_MANY), ETCD_OK);
    }
    return count;
}

static void test_many_leases_that_end_together_take_few_entries(void **state)
{
    struct kv_world *world = *state;
    enum { LEASES = 10000 };
    char key[64];
    promote(kv_lessor(world->kv), 0, 0);
    for (int64_t id = 1; id <= LEASES; id++) {
        assert_int_equal(world_grant(world, id, 10), ETCD_OK);
        (void)snprintf(key, sizeof key, "key/%lld", (long long)id);
        (void)world_put_leased(world, key, "x", id);
    }
    assert_int_equal(expire_once(world, 9999), 0);
    uint64_t entries = world->index;
    while (expire_once(world, 10000) > 0) {
    }
    assert_int_equal(world->index - entries, LEASES / 500);
    assert_int_equal(lessor_count(kv_lessor(world->kv)), 0);
    struct kv_stats stats;
    kv_stats(world->kv, &stats);
    assert_int_equal(stats.keys, 0);
    assert_int_equal(stats.leases_revoked, LEASES);
    /* Each lease is a revision of its own. */
    assert_int_equal(kv_revision(world->kv), 1 + 2 * LEASES);
}

static void test_a_batch_ends_where_its_keys_are_many(void **state)
{
    struct kv_world *world = *state;
    char key[64];
    promote(kv_lessor(world->kv), 0, 0);
    for (int64_t id = 1; id <= 3; id++) {
        assert_int_equal(world_grant(world, id, 10), ETCD_OK);
        for (int i = 0; i < 700; i++) {
            (void)snprintf(key, sizeof key, "%lld/%d", (long long)id, i);
            (void)world_put_leased(world, key, "x", id);
        }
    }
    assert_int_equal(expire_once(world, 20000), 2);
    assert_int_equal(expire_once(world, 20000), 1);
}

static void test_leases_revoked_twice_are_passed_over_in_a_batch(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(world_grant(world, 1, 10), ETCD_OK);
    buf_clear(&world->request);
    pb_put_i64(&world->request, 1, 1);
    pb_put_i64(&world->request, 1, 1);
    pb_put_i64(&world->request, 1, 99);
    assert_int_equal(world_apply(world, KV_OP_LEASE_REVOKE_MANY), ETCD_OK);
    assert_int_equal(lessor_count(kv_lessor(world->kv)), 0);
    buf_clear(&world->request);
    buf_append_text(&world->request, "\x08");
    assert_int_equal(world_apply(world, KV_OP_LEASE_REVOKE_MANY), ETCD_INVALID_ENTRY);
}

static void test_a_checkpoint_shortens_what_a_new_leader_gives(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(world_grant(world, 1, 100), ETCD_OK);
    buf_clear(&world->request);
    size_t mark = pb_begin_message(&world->request, 1);
    pb_put_i64(&world->request, 1, 1);
    pb_put_i64(&world->request, 2, 40);
    pb_end_message(&world->request, mark);
    assert_int_equal(world_apply(world, KV_OP_LEASE_CHECKPOINT), ETCD_OK);
    world_restart(world);
    struct lessor *lessor = kv_lessor(world->kv);
    promote(lessor, 0, 0);
    assert_int_equal(lessor_deadline_ms(lessor), 40000);
    assert_int_equal(lessor_renew(lessor, 1, 1000), 100);
    assert_int_equal(lessor_deadline_ms(lessor), 101000);
}

/* --- answers --------------------------------------------------------------------------------- */

static void test_time_to_live_shows_keys_in_order_and_minus_one_for_unknown_leases(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(world_grant(world, 5, 60), ETCD_OK);
    (void)world_put_leased(world, "b", "1", 5);
    (void)world_put_leased(world, "a", "1", 5);
    world_number_request(world, 1, 5);
    pb_put_u64(&world->request, 2, 1);
    kv_result_clear(&world->result);
    kv_lease_remaining(world->kv, buf_bytes(&world->request), 0, &world->result);
    assert_int_equal(world->result.status, ETCD_NOT_LEADER);
    promote(kv_lessor(world->kv), 0, 0);
    kv_result_clear(&world->result);
    kv_lease_remaining(world->kv, buf_bytes(&world->request), 20000, &world->result);
    struct bytes reply = buf_bytes(&world->result.reply);
    Etcdserverpb__LeaseTimeToLiveResponse *response =
        etcdserverpb__lease_time_to_live_response__unpack(NULL, reply.size, reply.data);
    assert_non_null(response);
    assert_int_equal(response->ttl, 40);
    assert_int_equal(response->grantedttl, 60);
    assert_int_equal(response->n_keys, 2);
    assert_memory_equal(response->keys[0].data, "a", 1);
    world_free_message(response);
    world_number_request(world, 1, 6);
    kv_result_clear(&world->result);
    kv_lease_remaining(world->kv, buf_bytes(&world->request), 0, &world->result);
    reply = buf_bytes(&world->result.reply);
    response = etcdserverpb__lease_time_to_live_response__unpack(NULL, reply.size, reply.data);
    assert_int_equal(response->ttl, -1);
    assert_int_equal(response->id, 6);
    world_free_message(response);
}

static void test_keep_alive_of_an_unknown_lease_is_ttl_zero(void **state)
{
    struct kv_world *world = *state;
    promote(kv_lessor(world->kv), 0, 0);
    assert_int_equal(world_grant(world, 5, 60), ETCD_OK);
    for (int64_t id = 5; id <= 6; id++) {
        world_number_request(world, 1, id);
        kv_result_clear(&world->result);
        kv_lease_keep_alive(world->kv, buf_bytes(&world->request), 1000, &world->result);
        struct bytes reply = buf_bytes(&world->result.reply);
        Etcdserverpb__LeaseKeepAliveResponse *response =
            etcdserverpb__lease_keep_alive_response__unpack(NULL, reply.size, reply.data);
        assert_non_null(response);
        assert_int_equal(response->id, id);
        assert_int_equal(response->ttl, id == 5 ? 60 : 0);
        world_free_message(response);
    }
}

static void test_the_list_is_in_order_of_ids(void **state)
{
    struct kv_world *world = *state;
    struct prng prng;
    prng_init(&prng, 3);
    for (int i = 0; i < 300; i++) {
        (void)world_grant(world, (int64_t)prng_between(&prng, 1, 1000), 10);
    }
    kv_result_clear(&world->result);
    kv_lease_list(world->kv, &world->result);
    struct bytes reply = buf_bytes(&world->result.reply);
    Etcdserverpb__LeaseLeasesResponse *response =
        etcdserverpb__lease_leases_response__unpack(NULL, reply.size, reply.data);
    assert_non_null(response);
    assert_int_equal(response->n_leases, lessor_count(kv_lessor(world->kv)));
    for (size_t i = 1; i < response->n_leases; i++) {
        assert_true(response->leases[i - 1]->id < response->leases[i]->id);
    }
    world_free_message(response);
}

/* --- never early ------------------------------------------------------------------------------ */

/* Leaders come and go; a lease may end only when its full time has passed under one leader since
 * its grant, its last renewal, or the leader's start. */
static void test_no_lease_ever_ends_early_whoever_leads(void **state)
{
    (void)state;
    enum { LEASES = 20 };
    struct prng prng;
    prng_init(&prng, 8);
    struct lessor *lessor = lessor_new();
    uint64_t counted_from[LEASES + 1] = {0};
    int64_t ttl_s[LEASES + 1] = {0};
    uint64_t now_ms = 0;
    for (int step = 0; step < 20000; step++) {
        int64_t id = 1 + (int64_t)prng_below(&prng, LEASES);
        now_ms += prng_below(&prng, 700);
        switch (prng_below(&prng, 12)) {
        case 0:
            lessor_demote(lessor);
            promote(lessor, now_ms, 0);
            for (int64_t each = 1; each <= LEASES; each++) {
                counted_from[each] = now_ms;
            }
            break;
        case 1:
        case 2:
            lessor_set_now(lessor, now_ms);
            ttl_s[id] =
                lessor_find(lessor, id) == NULL ? (int64_t)prng_between(&prng, 1, 30) : ttl_s[id];
            if (lessor_grant(lessor, id, ttl_s[id]) == 0) {
                counted_from[id] = now_ms;
            }
            break;
        case 3:
            if (lessor_renew(lessor, id, now_ms) != 0) {
                counted_from[id] = now_ms;
            }
            break;
        default: {
            struct lease *lease = lessor_take_expired(lessor, now_ms, 1000);
            if (lease != NULL) {
                int64_t ended = lease_id(lease);
                assert_true(now_ms >= counted_from[ended] + (uint64_t)ttl_s[ended] * 1000);
                assert_true(lessor_remove(lessor, ended));
            }
            break;
        }
        }
        lessor_check(lessor);
    }
    lessor_free(lessor);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_granted_lease_is_answered_with_id_and_ttl),
        TEST(test_the_proposer_chooses_the_id_and_raises_the_ttl),
        TEST(test_revoking_deletes_the_keys_in_order_in_one_revision),
        TEST(test_a_key_hangs_on_its_last_lease_only),
        TEST(test_leases_and_their_keys_survive_a_restart),
        TEST(test_only_the_leader_knows_deadlines),
        TEST(test_a_lease_granted_while_leading_starts_now),
        TEST(test_a_new_leader_gives_every_lease_its_full_time_again),
        TEST(test_a_lease_that_waits_for_its_revocation_cannot_be_renewed),
        TEST(test_many_leases_that_end_together_take_few_entries),
        TEST(test_a_batch_ends_where_its_keys_are_many),
        TEST(test_leases_revoked_twice_are_passed_over_in_a_batch),
        TEST(test_a_checkpoint_shortens_what_a_new_leader_gives),
        TEST(test_time_to_live_shows_keys_in_order_and_minus_one_for_unknown_leases),
        TEST(test_keep_alive_of_an_unknown_lease_is_ttl_zero),
        TEST(test_the_list_is_in_order_of_ids),
        cmocka_unit_test(test_no_lease_ever_ends_early_whoever_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
