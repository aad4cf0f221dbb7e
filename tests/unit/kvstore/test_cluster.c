/* Members, alarms and quota. */
#include "kvstore/cluster/cluster.h"
#include "kvstore/cluster/cluster_id.h"
#include "tests/unit/kvstore/kv_world.h"

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

static struct cluster_member make_member(uint64_t id, const char *url, bool is_learner)
{
    struct cluster_member member = {.id = id, .is_learner = is_learner};
    struct buf encoded = BUF_INIT;
    pb_put_u64(&encoded, 1, id);
    pb_put_text(&encoded, 3, url);
    pb_put_u64(&encoded, 5, is_learner);
    assert_int_equal(cluster_member_decode(buf_bytes(&encoded), &member), 0);
    buf_deinit(&encoded);
    return member;
}

static enum etcd_error change(struct kv_world *world, enum cluster_change_kind kind, uint64_t id,
                              const char *url, bool is_learner)
{
    struct cluster_change change = {.kind = kind, .member = make_member(id, url, is_learner)};
    struct buf encoded = BUF_INIT;
    cluster_change_encode(&encoded, &change);
    world->index += 1;
    kv_result_clear(&world->result);
    kv_apply_config(world->kv, (struct kv_position){world->index, 1}, buf_bytes(&encoded),
                    &world->result);
    buf_deinit(&encoded);
    cluster_change_deinit(&change);
    return world->result.status;
}

static void test_ids_are_those_of_etcd(void **state)
{
    (void)state;
    const char *url = "http://localhost:2380";
    uint64_t id = cluster_member_id(&url, 1, "etcd-cluster", 0);
    assert_true(id == 0x8e9e05c52164694dULL);
    assert_true(cluster_id_from_members(&id, 1) == 0xcdf818194e3a8c32ULL);
    assert_true(cluster_member_id(&url, 1, "etcd-cluster", 1700000000) != id);
    const char *both[2] = {"http://b:2380", "http://a:2380"};
    const char *turned[2] = {"http://a:2380", "http://b:2380"};
    assert_true(cluster_member_id(both, 2, "t", 0) == cluster_member_id(turned, 2, "t", 0));
}

static void test_members_are_added_listed_by_id_and_survive_a_restart(void **state)
{
    struct kv_world *world = *state;
    struct cluster_member initial = make_member(20, "http://b:2380", false);
    kv_add_initial_member(world->kv, &initial);
    cluster_member_deinit(&initial);
    assert_int_equal(change(world, CLUSTER_ADD, 10, "http://a:2380", true), ETCD_OK);
    struct bytes reply = buf_bytes(&world->result.reply);
    Etcdserverpb__MemberAddResponse *response =
        etcdserverpb__member_add_response__unpack(NULL, reply.size, reply.data);
    assert_non_null(response);
    assert_int_equal(response->header->revision, 0);
    assert_int_equal(response->member->id, 10);
    assert_string_equal(response->member->name, "");
    assert_true(response->member->islearner);
    assert_int_equal(response->n_members, 2);
    assert_int_equal(response->members[0]->id, 10);
    assert_int_equal(response->members[1]->id, 20);
    world_free_message(response);
    world_restart(world);
    struct cluster *cluster = kv_cluster(world->kv);
    assert_int_equal(cluster_count(cluster), 2);
    assert_string_equal(cluster_at(cluster, 0)->peer_urls.url[0], "http://a:2380");
    assert_true(cluster_find(cluster, 10)->is_learner);
}

static void test_a_removed_id_never_comes_back(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(change(world, CLUSTER_ADD, 10, "http://a:2380", false), ETCD_OK);
    assert_int_equal(change(world, CLUSTER_REMOVE, 11, "", false), ETCD_MEMBER_NOT_FOUND);
    assert_int_equal(change(world, CLUSTER_REMOVE, 10, "", false), ETCD_OK);
    assert_false(world->result.removed_self);
    world_restart(world);
    assert_true(cluster_is_removed(kv_cluster(world->kv), 10));
    assert_int_equal(change(world, CLUSTER_ADD, 10, "http://c:2380", false), ETCD_MEMBER_NOT_FOUND);
    assert_int_equal(change(world, CLUSTER_ADD, 12, "http://a:2380", false), ETCD_OK);
    assert_int_equal(change(world, CLUSTER_ADD, WORLD_MEMBER, "http://me:2380", false), ETCD_OK);
    assert_int_equal(change(world, CLUSTER_REMOVE, WORLD_MEMBER, "", false), ETCD_OK);
    assert_true(world->result.removed_self);
}

static void test_addresses_and_ids_are_used_once(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(change(world, CLUSTER_ADD, 10, "http://a:2380", false), ETCD_OK);
    assert_int_equal(change(world, CLUSTER_ADD, 10, "http://b:2380", false), ETCD_MEMBER_EXISTS);
    assert_int_equal(change(world, CLUSTER_ADD, 11, "http://a:2380", false), ETCD_PEER_URL_EXISTS);
    assert_int_equal(change(world, CLUSTER_ADD, 11, "http://b:2380", false), ETCD_OK);
    assert_int_equal(change(world, CLUSTER_UPDATE, 11, "http://a:2380", false),
                     ETCD_PEER_URL_EXISTS);
    assert_int_equal(change(world, CLUSTER_UPDATE, 11, "http://c:2380", false), ETCD_OK);
    assert_int_equal(change(world, CLUSTER_UPDATE, 99, "http://d:2380", false),
                     ETCD_MEMBER_NOT_FOUND);
}

static void test_learners_are_promoted_once_and_limited_before_proposing(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(change(world, CLUSTER_ADD, 10, "http://a:2380", true), ETCD_OK);
    struct cluster_change another = {.kind = CLUSTER_ADD,
                                     .member = make_member(11, "http://b:2380", true)};
    assert_int_equal(cluster_check(kv_cluster(world->kv), &another, 1), ETCD_TOO_MANY_LEARNERS);
    assert_int_equal(cluster_check(kv_cluster(world->kv), &another, 2), ETCD_OK);
    cluster_change_deinit(&another);
    assert_int_equal(change(world, CLUSTER_PROMOTE, 10, "", false), ETCD_OK);
    assert_int_equal(change(world, CLUSTER_PROMOTE, 10, "", false), ETCD_MEMBER_NOT_LEARNER);
    assert_int_equal(change(world, CLUSTER_PROMOTE, 11, "", false), ETCD_MEMBER_NOT_FOUND);
    assert_false(cluster_find(kv_cluster(world->kv), 10)->is_learner);
}

static void test_a_member_publishes_its_name_and_addresses(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(change(world, CLUSTER_ADD, 10, "http://a:2380", false), ETCD_OK);
    world_number_request(world, 1, 10);
    size_t mark = pb_begin_message(&world->request, 2);
    pb_put_text(&world->request, 1, "node-1");
    pb_put_text(&world->request, 2, "http://a:2379");
    pb_end_message(&world->request, mark);
    assert_int_equal(world_apply(world, KV_OP_MEMBER_ATTR_SET), ETCD_OK);
    buf_clear(&world->request);
    pb_put_text(&world->request, 1, "3.7.0");
    assert_int_equal(world_apply(world, KV_OP_CLUSTER_VERSION_SET), ETCD_OK);
    world_restart(world);
    const struct cluster_member *member = cluster_find(kv_cluster(world->kv), 10);
    assert_string_equal(member->name, "node-1");
    assert_string_equal(member->client_urls.url[0], "http://a:2379");
    assert_string_equal(member->peer_urls.url[0], "http://a:2380");
    assert_string_equal(cluster_version(kv_cluster(world->kv)), "3.7.0");
    world_number_request(world, 1, 99); /* unknown: nothing happens */
    assert_int_equal(world_apply(world, KV_OP_MEMBER_ATTR_SET), ETCD_OK);
    kv_result_clear(&world->result);
    kv_list_members(world->kv, &world->result);
    struct bytes reply = buf_bytes(&world->result.reply);
    Etcdserverpb__MemberListResponse *response =
        etcdserverpb__member_list_response__unpack(NULL, reply.size, reply.data);
    assert_non_null(response);
    assert_int_equal(response->n_members, 1);
    world_free_message(response);
}

static void test_damaged_changes_are_refused(void **state)
{
    struct kv_world *world = *state;
    kv_result_clear(&world->result);
    kv_apply_config(world->kv, (struct kv_position){++world->index, 1}, BYTES_LITERAL("\x12\x7f"),
                    &world->result);
    assert_int_equal(world->result.status, ETCD_INVALID_ENTRY);
    kv_apply_config(world->kv, (struct kv_position){++world->index, 1}, BYTES_LITERAL("\x08\x09"),
                    &world->result);
    assert_int_equal(world->result.status, ETCD_INVALID_ENTRY);
    kv_apply_config(world->kv, (struct kv_position){++world->index, 1}, (struct bytes){NULL, 0},
                    &world->result);
    assert_int_equal(world->result.status, ETCD_OK);
    assert_int_equal(change(world, CLUSTER_ADD, 0, "http://a", false), ETCD_MEMBER_NOT_FOUND);
}

/* --- alarms and quota ------------------------------------------------------------------------- */

static enum etcd_error alarm(struct kv_world *world, unsigned action, uint64_t member,
                             unsigned kind)
{
    buf_clear(&world->request);
    pb_put_u64(&world->request, 1, action);
    pb_put_u64(&world->request, 2, member);
    pb_put_u64(&world->request, 3, kind);
    return world_apply(world, KV_OP_ALARM);
}

static void test_no_space_refuses_what_adds_and_allows_what_removes(void **state)
{
    struct kv_world *world = *state;
    (void)world_put(world, "a", "1");
    assert_int_equal(alarm(world, 1, 5, KV_ALARM_NO_SPACE), ETCD_OK);
    world_restart(world);
    world_put_request(world, "b", "1", 0);
    assert_int_equal(kv_check_request(world->kv, KV_OP_PUT, buf_bytes(&world->request), NULL),
                     ETCD_NO_SPACE);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_NO_SPACE);
    assert_int_equal(world_grant(world, 1, 10), ETCD_NO_SPACE);
    assert_int_equal(world_delete(world, "a", NULL), 1);
    assert_int_equal(world_compact(world, 2), ETCD_OK);
    assert_int_equal(alarm(world, 2, 5, KV_ALARM_NO_SPACE), ETCD_OK);
    assert_int_equal(world_put(world, "b", "1"), 4);
}

static void test_a_transaction_with_a_put_counts_as_adding(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(alarm(world, 1, 5, KV_ALARM_NO_SPACE), ETCD_OK);
    buf_clear(&world->request);
    size_t op = pb_begin_message(&world->request, 3); /* the branch that is not taken counts too */
    size_t put = pb_begin_message(&world->request, 2);
    pb_put_text(&world->request, 1, "a");
    pb_end_message(&world->request, put);
    pb_end_message(&world->request, op);
    assert_int_equal(world_apply(world, KV_OP_TXN), ETCD_NO_SPACE);
    buf_clear(&world->request);
    assert_int_equal(world_apply(world, KV_OP_TXN), ETCD_OK);
}

static void test_a_corrupt_member_is_fenced_and_the_others_go_on(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(alarm(world, 1, WORLD_MEMBER + 1, KV_ALARM_CORRUPT), ETCD_OK);
    assert_false(kv_is_fenced(world->kv));
    assert_int_equal(world_put(world, "a", "1"), 2);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_OK);
    assert_int_equal(alarm(world, 1, WORLD_MEMBER, KV_ALARM_CORRUPT), ETCD_OK);
    assert_true(kv_is_fenced(world->kv));
    world_put_request(world, "a", "1", 0);
    assert_int_equal(kv_check_request(world->kv, KV_OP_PUT, buf_bytes(&world->request), NULL),
                     ETCD_CORRUPT);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_OK); /* what others write is followed */
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_CORRUPT);
    assert_int_equal(alarm(world, 2, WORLD_MEMBER, KV_ALARM_CORRUPT), ETCD_OK);
    assert_false(kv_is_fenced(world->kv));
}

static void test_a_corrupt_alarm_without_a_member_refuses_everything_about_keys(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(alarm(world, 1, 0, KV_ALARM_CORRUPT), ETCD_OK);
    world_put_request(world, "a", "1", 0);
    assert_int_equal(kv_check_request(world->kv, KV_OP_PUT, buf_bytes(&world->request), NULL),
                     ETCD_CORRUPT);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_CORRUPT);
    assert_int_equal(world_apply(world, KV_OP_DELETE_RANGE), ETCD_CORRUPT);
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_CORRUPT);
    assert_int_equal(world_compact(world, 1), ETCD_CORRUPT);
    (void)world_hash(world, 0); /* what is needed to find the reason still works */
}

static void test_alarms_are_listed_by_kind(void **state)
{
    struct kv_world *world = *state;
    assert_int_equal(alarm(world, 1, 9, KV_ALARM_CORRUPT), ETCD_OK);
    assert_int_equal(alarm(world, 1, 5, KV_ALARM_NO_SPACE), ETCD_OK);
    assert_int_equal(alarm(world, 1, 5, KV_ALARM_NO_SPACE), ETCD_OK); /* twice is fine */
    assert_int_equal(alarm(world, 1, 5, 77), ETCD_OK);                /* unknown: nothing */
    for (unsigned kind = 0; kind < 3; kind++) {
        world_number_request(world, 3, kind);
        kv_result_clear(&world->result);
        kv_alarm_get(world->kv, buf_bytes(&world->request), &world->result);
        struct bytes reply = buf_bytes(&world->result.reply);
        Etcdserverpb__AlarmResponse *response =
            etcdserverpb__alarm_response__unpack(NULL, reply.size, reply.data);
        assert_non_null(response);
        assert_int_equal(response->n_alarms, kind == 0 ? 2 : 1);
        assert_int_equal(response->alarms[0]->memberid, kind == 2 ? 9 : 5);
        world_free_message(response);
    }
    assert_int_equal(alarm(world, 2, 9, KV_ALARM_CORRUPT), ETCD_OK);
    struct kv_alarm_member alarms[2];
    assert_int_equal(kv_alarms(world->kv, alarms, 2), 1);
    assert_int_equal(alarms[0].member_id, 5);
}

static void test_a_full_store_asks_for_the_alarm_before_proposing(void **state)
{
    (void)state;
    struct backend *backend = backend_memory_new();
    struct kv *kv = kv_new(&(struct kv_options){
        .backend = backend, .cluster_id = 1, .member_id = 3, .quota_bytes = 1000});
    struct err err;
    assert_int_equal(kv_restore(kv, backend, &err), 0);
    struct kv_result result = {0};
    struct buf request = BUF_INIT;
    struct blob *value = blob_new(900);
    memset(value->data, 'x', value->size);
    pb_put_text(&request, 1, "a");
    assert_int_equal(kv_check_request(kv, KV_OP_PUT, buf_bytes(&request), &result), ETCD_OK);
    pb_put_bytes(&request, 2, blob_bytes(value));
    assert_int_equal(kv_check_request(kv, KV_OP_PUT, buf_bytes(&request), &result), ETCD_NO_SPACE);
    assert_true(result.raise_no_space);
    assert_int_equal(kv_check_request(kv, KV_OP_DELETE_RANGE, buf_bytes(&request), NULL), ETCD_OK);
    buf_clear(&request);
    kv_encode_alarm_no_space(kv, &request);
    struct buf entry = BUF_INIT;
    kv_entry_encode(&entry, &(struct kv_entry_header){0}, KV_OP_ALARM, buf_bytes(&request));
    kv_apply(kv, (struct kv_position){1, 1}, buf_bytes(&entry), &result);
    assert_int_equal(result.status, ETCD_OK);
    struct kv_alarm_member alarm_found;
    assert_int_equal(kv_alarms(kv, &alarm_found, 1), 1);
    assert_int_equal(alarm_found.member_id, 3);
    blob_unref(value);
    buf_deinit(&entry);
    buf_deinit(&request);
    kv_result_deinit(&result);
    kv_free(kv);
    backend_close(backend);
}

/* --- entries and errors ------------------------------------------------------------------------
 */

static void test_an_entry_keeps_its_header_and_the_request_bytes(void **state)
{
    (void)state;
    struct buf entry = BUF_INIT;
    struct kv_entry_header header = {
        .request_id = 5, .username = BYTES_LITERAL("root"), .auth_revision = 9};
    kv_entry_encode(&entry, &header, KV_OP_MEMBER_ATTR_SET, BYTES_LITERAL("raw"));
    struct kv_entry_header decoded;
    enum kv_op op;
    struct bytes request;
    assert_int_equal(kv_entry_decode(buf_bytes(&entry), &decoded, &op, &request), 0);
    assert_int_equal(decoded.request_id, 5);
    assert_int_equal(decoded.auth_revision, 9);
    assert_true(bytes_equal(decoded.username, BYTES_LITERAL("root")));
    assert_int_equal(op, KV_OP_MEMBER_ATTR_SET);
    assert_true(bytes_equal(request, BYTES_LITERAL("raw")));
    kv_entry_encode(&entry, &header, KV_OP_PUT, BYTES_LITERAL("raw"));
    assert_int_equal(kv_entry_decode(buf_bytes(&entry), &decoded, &op, &request), ERR_MALFORMED);
    buf_deinit(&entry);
}

static void test_errors_have_the_texts_that_clients_compare(void **state)
{
    (void)state;
    assert_string_equal(etcd_error_text(ETCD_COMPACTED),
                        "etcdserver: mvcc: required revision has been compacted");
    assert_int_equal(etcd_error_grpc_code(ETCD_COMPACTED), 11);
    assert_string_equal(etcd_error_text(ETCD_EMPTY_KEY), "etcdserver: key is not provided");
    assert_int_equal(etcd_error_grpc_code(ETCD_EMPTY_KEY), 3);
    assert_string_equal(etcd_error_text(ETCD_OK), "");
    assert_int_equal(etcd_error_grpc_code(ETCD_OK), 0);
    assert_string_equal(etcd_error_text(ETCD_UNHEALTHY), "etcdserver: unhealthy cluster");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_those_of_etcd),
        TEST(test_members_are_added_listed_by_id_and_survive_a_restart),
        TEST(test_a_removed_id_never_comes_back),
        TEST(test_addresses_and_ids_are_used_once),
        TEST(test_learners_are_promoted_once_and_limited_before_proposing),
        TEST(test_a_member_publishes_its_name_and_addresses),
        TEST(test_damaged_changes_are_refused),
        TEST(test_no_space_refuses_what_adds_and_allows_what_removes),
        TEST(test_a_transaction_with_a_put_counts_as_adding),
        TEST(test_a_corrupt_member_is_fenced_and_the_others_go_on),
        TEST(test_a_corrupt_alarm_without_a_member_refuses_everything_about_keys),
        TEST(test_alarms_are_listed_by_kind),
        cmocka_unit_test(test_a_full_store_asks_for_the_alarm_before_proposing),
        cmocka_unit_test(test_an_entry_keeps_its_header_and_the_request_bytes),
        cmocka_unit_test(test_errors_have_the_texts_that_clients_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
