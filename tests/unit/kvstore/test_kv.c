/* The rules of Put and Compact, one sentence each. */
#include "tests/unit/kvstore/kv_world.h"

#include "base/mem.h"

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
    assert_int_equal(world_check(world, KV_OP_PUT), ETCD_OK);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_KEY_NOT_FOUND);
    (void)world_put(world, "a", "kept");
    world_put_request(world, "a", "", 0);
    pb_put_u64(&world->request, 5, 1);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_OK);
    assert_string_equal(world_get(world, "a"), "kept");
    world_put_request(world, "a", "new", 0);
    pb_put_u64(&world->request, 5, 1);
    assert_int_equal(world_check(world, KV_OP_PUT), ETCD_VALUE_PROVIDED);
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
    assert_int_equal(world_check(world, KV_OP_PUT), ETCD_LEASE_PROVIDED);
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
    assert_int_equal(world_check(world, KV_OP_PUT), ETCD_EMPTY_KEY);
    assert_int_equal(world_check(world, KV_OP_RANGE), ETCD_EMPTY_KEY);
    assert_int_equal(world_check(world, KV_OP_DELETE_RANGE), ETCD_EMPTY_KEY);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_EMPTY_KEY);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_EMPTY_KEY);
    assert_int_equal(world_apply(world, KV_OP_DELETE_RANGE), ETCD_EMPTY_KEY);
}

static void test_damaged_requests_are_refused(void **state)
{
    struct kv_world *world = *state;
    buf_clear(&world->request);
    buf_append_text(&world->request, "\x0a\x7f");
    assert_int_equal(world_check(world, KV_OP_PUT), ETCD_INVALID_REQUEST);
    assert_int_equal(world_check(world, KV_OP_RANGE), ETCD_INVALID_REQUEST);
    assert_int_equal(world_check(world, KV_OP_TXN), ETCD_INVALID_REQUEST);
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
    assert_int_equal(world_check(world, KV_OP_PUT), ETCD_REQUEST_TOO_LARGE);
}

/* --- compaction ------------------------------------------------------------------------------ */

static void test_a_compaction_refuses_what_is_gone_and_what_is_to_come(void **state)
{
    struct kv_world *world = *state;
    world_put_letters(world);
    assert_int_equal(world_compact(world, 6), ETCD_FUTURE_REVISION);
    assert_int_equal(world_compact(world, 4), ETCD_OK);
    assert_int_equal(world_compact(world, 4), ETCD_COMPACTED);
    assert_int_equal(world_compact(world, 0), ETCD_COMPACTED);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 4, 3);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_COMPACTED);
    world_range_request(world, "a", WORLD_ALL);
    pb_put_u64(&world->request, 4, 4);
    world_assert_range(world, "abc", false, 3);
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
    world_put_letters(world);             /* a2 b3 c4 b5 */
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
    world_put_letters(world);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_fresh_store_has_revision_one_and_the_first_write_two),
        WORLD_TEST(test_a_put_counts_versions_and_keeps_the_create_revision),
        WORLD_TEST(test_a_put_returns_the_previous_pair_only_when_asked),
        WORLD_TEST(test_ignore_value_keeps_the_value_and_needs_the_key),
        WORLD_TEST(test_ignore_lease_keeps_the_lease),
        WORLD_TEST(test_a_put_with_an_unknown_lease_is_refused_and_changes_nothing),
        WORLD_TEST(test_requests_without_a_key_are_refused),
        WORLD_TEST(test_damaged_requests_are_refused),
        WORLD_TEST(test_a_request_above_the_size_limit_is_refused),
        WORLD_TEST(test_a_compaction_refuses_what_is_gone_and_what_is_to_come),
        WORLD_TEST(test_a_compaction_removes_what_cannot_be_read),
        WORLD_TEST(test_a_restart_after_a_compacted_deletion_keeps_the_revision),
        WORLD_TEST(test_a_restart_in_the_middle_of_a_compaction_finishes_it),
        WORLD_TEST(test_a_physical_compaction_says_when_to_answer),
        WORLD_TEST(test_a_compaction_keeps_the_hash_of_what_it_removes),
        WORLD_TEST(test_the_hash_does_not_depend_on_physical_progress),
        WORLD_TEST(test_a_flipped_bit_on_disk_stops_the_member_instead_of_answering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
