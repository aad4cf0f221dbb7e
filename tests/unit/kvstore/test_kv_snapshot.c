/* The state as a stream: what goes in comes out, and nothing damaged gets in. */
#include "kvstore/state/kv_snapshot.h"
#include "tests/unit/kvstore/watch_client.h"

#include "base/prng.h"

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

static void fill(struct kv_world *world)
{
    struct prng prng;
    prng_init(&prng, 4);
    char key[16];
    assert_int_equal(world_grant(world, 7, 60), ETCD_OK);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(key, sizeof key, "k%02u", (unsigned)prng_below(&prng, 40));
        if (prng_chance(&prng, 1, 5)) {
            (void)world_delete(world, key, NULL);
        } else {
            (void)world_put_leased(world, key, "value", prng_chance(&prng, 1, 3) ? 7 : 0);
        }
    }
    assert_int_equal(world_compact(world, 100), ETCD_OK);
    (void)kv_step(world->kv, (struct kv_budget){.items = 20}); /* half done */
    world_store(world);
}

/* The stream of what is stored, in pieces of about 100 bytes. */
static void write_stream(struct kv_world *world, struct buf *out)
{
    struct backend_snapshot *snapshot = NULL;
    struct err err;
    assert_int_equal(backend_snapshot_open(world->backend, 0, &snapshot, &err), 0);
    struct kv_snapshot_header header = {.cluster_id = WORLD_CLUSTER,
                                        .members = BYTES_LITERAL("raft's members")};
    struct kv_snapshot_writer *writer = kv_snapshot_writer_new(snapshot, &header);
    bool done = false;
    while (!done) {
        assert_int_equal(kv_snapshot_writer_next(writer, out, 100, &done, &err), 0);
    }
    kv_snapshot_writer_free(writer);
    backend_snapshot_close(snapshot);
}

/* Read it in pieces into a backend; 0 when it is complete and switched to. */
static int read_stream(struct backend *backend, struct bytes stream, uint64_t cluster_id,
                       size_t piece, struct err *err)
{
    struct kv_snapshot_reader *reader = kv_snapshot_reader_new(cluster_id);
    int code = backend_restore_start(backend, err);
    assert_int_equal(code, 0);
    for (size_t at = 0; code == 0 && at < stream.size; at += piece) {
        size_t size = stream.size - at < piece ? stream.size - at : piece;
        code = kv_snapshot_reader_feed(reader, bytes_make(stream.data + at, size), err);
        for (struct backend_batch *batch = kv_snapshot_reader_take_batch(reader); batch != NULL;
             batch = kv_snapshot_reader_take_batch(reader)) {
            assert_int_equal(backend_restore_write(backend, &batch, 1, err), 0);
            backend_batch_free(batch);
        }
    }
    if (code == 0 && !kv_snapshot_reader_is_complete(reader)) {
        code = ERR_TORN;
    }
    if (code == 0) {
        const struct kv_snapshot_header *header = kv_snapshot_reader_header(reader);
        assert_true(bytes_equal(header->members, BYTES_LITERAL("raft's members")));
        assert_int_equal(backend_restore_finish(backend, err), 0);
        assert_int_equal(backend_renew(backend, err), 0);
    } else {
        backend_restore_cancel(backend);
    }
    kv_snapshot_reader_free(reader);
    return code;
}

static void test_a_stream_carries_the_whole_state(void **state)
{
    struct kv_world *world = *state;
    struct kv_world *other = world_new();
    struct buf stream = BUF_INIT;
    struct err err;
    fill(world);
    (void)world_put(other, "gone", "soon");
    write_stream(world, &stream);
    for (size_t piece = 1; piece <= 1000; piece *= 10) {
        assert_int_equal(
            read_stream(other->backend, buf_bytes(&stream), WORLD_CLUSTER, piece, &err), 0);
    }
    assert_int_equal(kv_restore(other->kv, other->backend, &err), 0);
    other->index = world->index;
    assert_int_equal(kv_applied(other->kv).index, world->index);
    assert_int_equal(kv_revision(other->kv), kv_revision(world->kv));
    assert_int_equal(world_hash(other, 0), world_hash(world, 0));
    assert_int_equal(lease_key_count(lessor_find(kv_lessor(other->kv), 7)),
                     lease_key_count(lessor_find(kv_lessor(world->kv), 7)));
    assert_null(world_get(other, "gone"));
    kv_check(other->kv);
    /* Both go on alike, and finish the compaction alike. */
    (void)world_put(world, "next", "1");
    (void)world_put(other, "next", "1");
    world_settle(world);
    world_settle(other);
    assert_int_equal(kv_compacted(other->kv), 100);
    assert_int_equal(world_hash(other, 0), world_hash(world, 0));
    buf_deinit(&stream);
    world_free(other);
}

static void test_watchers_go_on_from_their_position_after_a_snapshot(void **state)
{
    struct kv_world *world = *state;
    struct kv_world *other = world_new();
    struct buf stream = BUF_INIT;
    struct err err;
    (void)world_put(world, "a", "1");
    (void)world_put(other, "a", "1");
    struct watch_stream *watch = watch_stream_new(kv_watch_hub(other->kv), NULL);
    assert_int_equal(watch_client_create(watch, &(struct watch_create){.key = "a"}), 0);
    (void)world_put(world, "a", "2");
    (void)world_put(world, "b", "x");
    (void)world_put(world, "a", "3");
    world_store(world);
    write_stream(world, &stream);
    assert_int_equal(read_stream(other->backend, buf_bytes(&stream), 0, 64, &err), 0);
    assert_int_equal(kv_restore(other->kv, other->backend, &err), 0);
    struct watch_responses responses = {.count = 0};
    while (kv_step(other->kv, (struct kv_budget){.items = 1})) {
    }
    watch_client_take(watch, SIZE_MAX, &responses);
    assert_int_equal(responses.count, 2);
    assert_int_equal(responses.response[1]->n_events, 2);
    assert_int_equal(responses.response[1]->events[0]->kv->mod_revision, 3);
    assert_int_equal(responses.response[1]->events[1]->kv->mod_revision, 5);
    watch_responses_clear(&responses);
    watch_stream_free(watch);
    buf_deinit(&stream);
    world_free(other);
}

static void test_another_cluster_and_another_format_are_refused(void **state)
{
    struct kv_world *world = *state;
    struct buf stream = BUF_INIT;
    struct err err;
    fill(world);
    write_stream(world, &stream);
    assert_int_equal(read_stream(world->backend, buf_bytes(&stream), 99, 64, &err),
                     ERR_WRONG_CLUSTER);
    stream.data[stream.start + 7] = '2';
    assert_int_equal(read_stream(world->backend, buf_bytes(&stream), 0, 64, &err), ERR_UNSUPPORTED);
    assert_int_equal(read_stream(world->backend, BYTES_LITERAL("not a snapshot"), 0, 64, &err),
                     ERR_CORRUPT);
    buf_deinit(&stream);
}

static void test_no_flipped_bit_gets_through(void **state)
{
    struct kv_world *world = *state;
    struct buf stream = BUF_INIT;
    struct err err;
    (void)world_put(world, "a", "1");
    (void)world_delete(world, "a", NULL);
    world_store(world);
    write_stream(world, &stream);
    for (size_t bit = 0; bit < 8 * buf_size(&stream); bit++) {
        uint8_t *byte = stream.data + stream.start + bit / 8;
        *byte ^= (uint8_t)(1U << bit % 8);
        assert_int_not_equal(read_stream(world->backend, buf_bytes(&stream), 0, 1000, &err), 0);
        *byte ^= (uint8_t)(1U << bit % 8);
    }
    assert_int_equal(read_stream(world->backend, buf_bytes(&stream), 0, 1000, &err), 0);
    buf_deinit(&stream);
}

static void test_a_stream_that_ends_early_or_late_is_not_complete(void **state)
{
    struct kv_world *world = *state;
    struct buf stream = BUF_INIT;
    struct err err;
    (void)world_put(world, "a", "1");
    world_store(world);
    write_stream(world, &stream);
    struct bytes whole = buf_bytes(&stream);
    for (size_t size = 0; size < whole.size; size++) {
        assert_int_equal(read_stream(world->backend, bytes_make(whole.data, size), 0, 1000, &err),
                         ERR_TORN);
    }
    buf_append_u8(&stream, 0);
    assert_int_equal(read_stream(world->backend, buf_bytes(&stream), 0, 1000, &err), ERR_CORRUPT);
    buf_deinit(&stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stream_carries_the_whole_state),
        TEST(test_watchers_go_on_from_their_position_after_a_snapshot),
        TEST(test_another_cluster_and_another_format_are_refused),
        TEST(test_no_flipped_bit_gets_through),
        TEST(test_a_stream_that_ends_early_or_late_is_not_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
