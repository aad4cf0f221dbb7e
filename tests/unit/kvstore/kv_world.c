#include "tests/unit/kvstore/kv_world.h"

#include "base/mem.h"

static struct kv *make_kv(struct backend *backend)
{
    struct kv *kv = kv_new(&(struct kv_options){
        .backend = backend, .cluster_id = WORLD_CLUSTER, .member_id = WORLD_MEMBER});
    struct err err;
    assert_int_equal(kv_restore(kv, backend, &err), 0);
    kv_set_term(kv, WORLD_TERM);
    return kv;
}

struct backend *world_next_backend;

struct kv_world *world_new(void)
{
    struct kv_world *world = mem_zalloc(sizeof *world);
    world->backend = world_next_backend == NULL ? backend_memory_new() : world_next_backend;
    world_next_backend = NULL;
    world->kv = make_kv(world->backend);
    return world;
}

void world_free(struct kv_world *world)
{
    kv_check(world->kv);
    kv_free(world->kv);
    backend_close(world->backend);
    kv_result_deinit(&world->result);
    buf_deinit(&world->request);
    mem_free(world);
}

enum etcd_error world_apply(struct kv_world *world, enum kv_op op)
{
    struct buf entry = BUF_INIT;
    struct kv_entry_header header = {.request_id = world->index + 1};
    kv_entry_encode(&entry, &header, op, buf_bytes(&world->request));
    world->index += 1;
    kv_result_clear(&world->result);
    world->slice_count = 1;
    bool is_done = kv_apply_start(world->kv, (struct kv_position){world->index, 1},
                                  buf_bytes(&entry), &world->result);
    for (; !is_done; world->slice_count++) {
        uint32_t items = world->slice == 0 ? UINT32_MAX : world->slice;
        is_done = kv_apply_step(world->kv, &items);
    }
    buf_deinit(&entry);
    assert_int_equal(kv_failure(world->kv, NULL), 0);
    return world->result.status;
}

void world_store(struct kv_world *world)
{
    uint64_t sequence;
    struct err err;
    struct backend_batch *batch = kv_take_batch(world->kv, &sequence);
    if (batch == NULL) {
        return;
    }
    assert_int_equal(backend_commit(world->backend, &batch, 1, &err), 0);
    backend_batch_free(batch);
    assert_int_equal(kv_on_stored(world->kv, sequence, &err), 0);
}

void world_settle(struct kv_world *world)
{
    while (kv_step(world->kv, (struct kv_budget){.items = 16})) {
        world_store(world);
    }
    world_store(world);
    assert_int_equal(kv_failure(world->kv, NULL), 0);
}

void world_restart(struct kv_world *world)
{
    world_store(world);
    kv_check(world->kv);
    kv_free(world->kv);
    world->kv = make_kv(world->backend);
    kv_check(world->kv);
    assert_int_equal(kv_applied(world->kv).index, world->index);
}

enum etcd_error world_read(struct kv_world *world, enum kv_op op, uint32_t slice)
{
    kv_result_clear(&world->result);
    struct kv_budget budget = {.items = slice};
    struct kv_read *read =
        kv_read_now(world->kv, op, buf_bytes(&world->request), budget, &world->result);
    if (read != NULL) {
        while (kv_read_step(read, budget, &world->result) == KV_READ_MORE) {
        }
        kv_read_free(read);
    }
    assert_int_equal(kv_failure(world->kv, NULL), 0);
    return world->result.status;
}

void world_put_request(struct kv_world *world, const char *key, const char *value, int64_t lease)
{
    buf_clear(&world->request);
    pb_put_text(&world->request, 1, key);
    pb_put_text(&world->request, 2, value);
    pb_put_i64(&world->request, 3, lease);
}

void world_range_request(struct kv_world *world, const char *key, struct bytes range_end)
{
    buf_clear(&world->request);
    pb_put_text(&world->request, 1, key);
    pb_put_bytes(&world->request, 2, range_end);
}

void world_delete_request(struct kv_world *world, const char *key, struct bytes range_end)
{
    world_range_request(world, key, range_end); /* the same two fields */
}

void world_number_request(struct kv_world *world, uint32_t field, int64_t value)
{
    buf_clear(&world->request);
    pb_put_i64(&world->request, field, value);
}

int64_t world_put(struct kv_world *world, const char *key, const char *value)
{
    return world_put_leased(world, key, value, 0);
}

int64_t world_put_leased(struct kv_world *world, const char *key, const char *value, int64_t lease)
{
    world_put_request(world, key, value, lease);
    assert_int_equal(world_apply(world, KV_OP_PUT), ETCD_OK);
    Etcdserverpb__PutResponse *response = world_put_response(world);
    int64_t revision = response->header->revision;
    world_free_message(response);
    assert_int_equal(revision, kv_revision(world->kv));
    return revision;
}

int64_t world_delete(struct kv_world *world, const char *key, const char *range_end)
{
    world_delete_request(world, key,
                         range_end == NULL ? (struct bytes){NULL, 0} : bytes_from_text(range_end));
    assert_int_equal(world_apply(world, KV_OP_DELETE_RANGE), ETCD_OK);
    Etcdserverpb__DeleteRangeResponse *response = world_delete_response(world);
    int64_t deleted = response->deleted;
    world_free_message(response);
    return deleted;
}

enum etcd_error world_compact(struct kv_world *world, int64_t revision)
{
    world_number_request(world, 1, revision);
    return world_apply(world, KV_OP_COMPACTION);
}

enum etcd_error world_grant(struct kv_world *world, int64_t id, int64_t ttl_s)
{
    buf_clear(&world->request);
    pb_put_i64(&world->request, 1, ttl_s);
    pb_put_i64(&world->request, 2, id);
    return world_apply(world, KV_OP_LEASE_GRANT);
}

const char *world_get(struct kv_world *world, const char *key)
{
    static char value[256];
    world_range_request(world, key, (struct bytes){NULL, 0});
    assert_int_equal(world_read(world, KV_OP_RANGE, 0), ETCD_OK);
    Etcdserverpb__RangeResponse *response = world_range_response(world);
    bool found = response->n_kvs == 1;
    if (found) {
        assert_true(response->kvs[0]->value.len < sizeof value);
        memcpy(value, response->kvs[0]->value.data, response->kvs[0]->value.len);
        value[response->kvs[0]->value.len] = 0;
    }
    world_free_message(response);
    return found ? value : NULL;
}

uint32_t world_hash(struct kv_world *world, int64_t revision)
{
    world_number_request(world, 1, revision);
    assert_int_equal(world_read(world, KV_OP_HASH_KV, 3), ETCD_OK);
    struct bytes reply = buf_bytes(&world->result.reply);
    Etcdserverpb__HashKVResponse *response =
        etcdserverpb__hash_kvresponse__unpack(NULL, reply.size, reply.data);
    assert_non_null(response);
    uint32_t hash = response->hash;
    world_free_message(response);
    return hash;
}

#define DECODER(name, type, function)                                                              \
    type *name(const struct kv_world *world)                                                       \
    {                                                                                              \
        struct bytes reply = buf_bytes(&world->result.reply);                                      \
        type *response = function(NULL, reply.size, reply.data);                                   \
        assert_non_null(response);                                                                 \
        assert_non_null(response->header);                                                         \
        assert_int_equal(response->header->cluster_id, WORLD_CLUSTER);                             \
        assert_int_equal(response->header->member_id, WORLD_MEMBER);                               \
        assert_int_equal(response->header->raft_term, WORLD_TERM);                                 \
        return response;                                                                           \
    }

DECODER(world_range_response, Etcdserverpb__RangeResponse, etcdserverpb__range_response__unpack)
DECODER(world_put_response, Etcdserverpb__PutResponse, etcdserverpb__put_response__unpack)
DECODER(world_delete_response, Etcdserverpb__DeleteRangeResponse,
        etcdserverpb__delete_range_response__unpack)
DECODER(world_txn_response, Etcdserverpb__TxnResponse, etcdserverpb__txn_response__unpack)

int world_set_up(void **state)
{
    *state = world_new();
    return 0;
}

int world_tear_down(void **state)
{
    world_free(*state);
    return 0;
}

enum etcd_error world_check(struct kv_world *world, enum kv_op op)
{
    return kv_check_request(world->kv, op, buf_bytes(&world->request), NULL);
}

void world_put_letters(struct kv_world *world)
{
    (void)world_put(world, "a", "5");
    (void)world_put(world, "b", "4");
    (void)world_put(world, "c", "3");
    (void)world_put(world, "b", "1");
}

/* The keys of the answer in one text. */
const char *world_keys_of(struct kv_world *world, bool *ret_more, int64_t *ret_count)
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

void world_assert_range(struct kv_world *world, const char *keys, bool more, int64_t count)
{
    for (uint32_t slice = 0; slice < 4; slice++) {
        bool found_more;
        int64_t found_count;
        assert_int_equal(world_read(world, KV_OP_RANGE, slice), ETCD_OK);
        assert_string_equal(world_keys_of(world, &found_more, &found_count), keys);
        assert_int_equal(found_more, more);
        assert_int_equal(found_count, count);
    }
}
