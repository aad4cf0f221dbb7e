/* The rules of Watch, one sentence each; then random runs against the guarantees. */
#include "tests/unit/kvstore/watch_client.h"

#include "base/err.h"
#include "base/mem.h"
#include "tests/unit/kvstore/watch_model.h"

struct fixture {
    struct kv_world *world;
    struct watch_stream *stream;
    struct watch_responses responses;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    fixture->world = world_new();
    fixture->stream = watch_stream_new(kv_watch_hub(fixture->world->kv), fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    watch_responses_clear(&fixture->responses);
    watch_stream_free(fixture->stream);
    world_free(fixture->world);
    mem_free(fixture);
    return 0;
}

/* All responses that can come now. */
static size_t take(struct fixture *fixture)
{
    watch_responses_clear(&fixture->responses);
    bool more = true;
    while (more) { /* reading lets blocked watchers go on */
        more = kv_step(fixture->world->kv, (struct kv_budget){.items = 4});
        more = more || watch_stream_has_output(fixture->stream);
        watch_client_take(fixture->stream, SIZE_MAX, &fixture->responses);
    }
    return fixture->responses.count;
}

static const Etcdserverpb__WatchResponse *response(const struct fixture *fixture, size_t at)
{
    assert_true(at < fixture->responses.count);
    return fixture->responses.response[at];
}

static void create(struct fixture *fixture, const char *key, const char *end, int64_t start)
{
    struct watch_create create = {.key = key, .range_end = end, .start_revision = start};
    assert_int_equal(watch_client_create(fixture->stream, &create), 0);
}

static void assert_events(const Etcdserverpb__WatchResponse *found, const int64_t *revisions,
                          size_t count)
{
    assert_int_equal(found->n_events, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(found->events[i]->kv->mod_revision, revisions[i]);
    }
}

static void test_a_watcher_is_created_before_its_events(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "a", NULL, 0);
    assert_int_equal(world_put(fixture->world, "a", "1"), 2);
    (void)world_put(fixture->world, "b", "1");
    assert_int_equal(take(fixture), 2);
    assert_true(response(fixture, 0)->created);
    assert_int_equal(response(fixture, 0)->watch_id, 0);
    assert_int_equal(response(fixture, 0)->header->revision, 1);
    assert_events(response(fixture, 1), (int64_t[]){2}, 1);
    assert_int_equal(response(fixture, 1)->header->revision, 2);
    assert_int_equal(response(fixture, 1)->header->raft_term, WORLD_TERM);
}

static void test_old_events_come_from_the_start_revision_on(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 5; i++) {
        (void)world_put(fixture->world, "a", "x");
    }
    world_store(fixture->world);
    (void)world_put(fixture->world, "a", "pending");
    create(fixture, "a", NULL, 4);
    assert_int_equal(take(fixture), 2);
    assert_events(response(fixture, 1), (int64_t[]){4, 5, 6, 7}, 4);
    (void)world_put(fixture->world, "a", "new");
    assert_int_equal(take(fixture), 1);
    assert_events(response(fixture, 0), (int64_t[]){8}, 1);
}

static void test_a_future_start_gets_nothing_older_and_no_progress(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "a", NULL, 4);
    (void)world_put(fixture->world, "a", "2");
    (void)world_put(fixture->world, "a", "3");
    assert_int_equal(take(fixture), 1);
    (void)watch_client_progress(fixture->stream);
    assert_int_equal(take(fixture), 0);
    (void)world_put(fixture->world, "a", "4");
    assert_int_equal(take(fixture), 1);
    assert_events(response(fixture, 0), (int64_t[]){4}, 1);
    (void)watch_client_progress(fixture->stream);
    assert_int_equal(take(fixture), 1);
    assert_int_equal(response(fixture, 0)->header->revision, 4);
}

static void test_watch_ids_count_from_zero_and_pass_over_those_in_use(void **state)
{
    struct fixture *fixture = *state;
    struct watch_create with_id = {.key = "a", .watch_id = 1};
    assert_int_equal(watch_client_create(fixture->stream, &with_id), 0);
    create(fixture, "a", NULL, 0);
    create(fixture, "a", NULL, 0);
    assert_int_equal(watch_client_create(fixture->stream, &with_id), 0);
    assert_int_equal(take(fixture), 4);
    assert_int_equal(response(fixture, 0)->watch_id, 1);
    assert_int_equal(response(fixture, 1)->watch_id, 0);
    assert_int_equal(response(fixture, 2)->watch_id, 2);
    assert_int_equal(response(fixture, 3)->watch_id, -1);
    assert_true(response(fixture, 3)->created && response(fixture, 3)->canceled);
    assert_string_equal(response(fixture, 3)->cancel_reason,
                        "mvcc: duplicate watch ID provided on the WatchStream");
}

static void test_an_empty_range_and_a_negative_start_are_refused(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "b", "a", 0);
    create(fixture, "b", "b", 0);
    create(fixture, "b", NULL, -1);
    assert_int_equal(take(fixture), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(response(fixture, i)->created && response(fixture, i)->canceled);
        assert_int_equal(response(fixture, i)->watch_id, -1);
    }
    assert_string_equal(response(fixture, 0)->cancel_reason, "mvcc: watcher range is empty");
    assert_string_equal(response(fixture, 2)->cancel_reason,
                        "etcdserver: mvcc: required revision has been compacted");
    watch_stream_refuse(fixture->stream, "no permission");
    assert_int_equal(take(fixture), 1);
    assert_string_equal(response(fixture, 0)->cancel_reason, "no permission");
}

static void test_an_empty_key_with_an_open_end_watches_everything(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "", "", 0);
    create(fixture, "m", "", 0);
    (void)world_put(fixture->world, "a", "1");
    (void)world_put(fixture->world, "z", "1");
    assert_int_equal(take(fixture), 4);
    assert_int_equal(response(fixture, 2)->watch_id, 0);
    assert_events(response(fixture, 2), (int64_t[]){2, 3}, 2);
    assert_int_equal(response(fixture, 3)->watch_id, 1);
}

static void test_a_cancelled_watcher_gets_an_answer_and_nothing_more(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "a", NULL, 0);
    assert_int_equal(watch_client_cancel(fixture->stream, 7), 0); /* unknown: silence */
    assert_int_equal(watch_client_cancel(fixture->stream, 0), 0);
    (void)world_put(fixture->world, "a", "1");
    assert_int_equal(take(fixture), 2);
    assert_true(response(fixture, 1)->canceled);
    assert_string_equal(response(fixture, 1)->cancel_reason, "");
    create(fixture, "a", NULL, 0);
    assert_int_equal(take(fixture), 1);
}

static void test_filters_drop_puts_or_deletes(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(
        watch_client_create(fixture->stream, &(struct watch_create){.key = "a", .no_put = true}),
        0);
    assert_int_equal(
        watch_client_create(fixture->stream, &(struct watch_create){.key = "a", .no_delete = true}),
        0);
    (void)world_put(fixture->world, "a", "1");
    (void)world_delete(fixture->world, "a", NULL);
    assert_int_equal(take(fixture), 4);
    assert_int_equal(response(fixture, 2)->watch_id, 1);
    assert_int_equal(response(fixture, 2)->events[0]->type, MVCCPB__EVENT__EVENT_TYPE__PUT);
    assert_int_equal(response(fixture, 3)->watch_id, 0);
    const Mvccpb__Event *event = response(fixture, 3)->events[0];
    assert_int_equal(event->type, MVCCPB__EVENT__EVENT_TYPE__DELETE);
    assert_int_equal(event->kv->mod_revision, 3);
    assert_int_equal(event->kv->create_revision, 0);
    assert_int_equal(event->kv->value.len, 0);
}

static void test_prev_kv_is_the_value_before_and_absent_for_creates(void **state)
{
    struct fixture *fixture = *state;
    (void)world_put(fixture->world, "a", "1");
    (void)world_put(fixture->world, "a", "2");
    struct watch_create prev = {.key = "a", .prev_kv = true, .start_revision = 2};
    assert_int_equal(watch_client_create(fixture->stream, &prev), 0);
    (void)take(fixture);
    assert_null(response(fixture, 1)->events[0]->prev_kv);
    assert_memory_equal(response(fixture, 1)->events[1]->prev_kv->value.data, "1", 1);
    (void)world_delete(fixture->world, "a", NULL);
    (void)world_put(fixture->world, "a", "3");
    (void)take(fixture);
    assert_memory_equal(response(fixture, 0)->events[0]->prev_kv->value.data, "2", 1);
    assert_null(response(fixture, 0)->events[1]->prev_kv);
}

static void test_a_start_below_the_compaction_is_cancelled_with_its_revision(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 5; i++) {
        (void)world_put(fixture->world, "a", "x");
    }
    assert_int_equal(world_compact(fixture->world, 4), ETCD_OK);
    create(fixture, "a", NULL, 3);
    create(fixture, "a", NULL, 4);
    assert_int_equal(take(fixture), 4);
    const Etcdserverpb__WatchResponse *canceled = response(fixture, 2);
    assert_true(canceled->canceled);
    assert_int_equal(canceled->watch_id, 0);
    assert_int_equal(canceled->compact_revision, 4);
    assert_int_equal(canceled->header->revision, 0);
    assert_string_equal(canceled->cancel_reason, "");
    assert_events(response(fixture, 3), (int64_t[]){4, 5, 6}, 3);
}

static void test_a_deletion_at_the_compact_revision_can_still_be_watched(void **state)
{
    struct fixture *fixture = *state;
    (void)world_put(fixture->world, "a", "x");
    (void)world_delete(fixture->world, "a", NULL); /* 3 */
    (void)world_put(fixture->world, "b", "x");
    assert_int_equal(world_compact(fixture->world, 3), ETCD_OK);
    world_settle(fixture->world);
    world_store(fixture->world);
    create(fixture, "a", NULL, 3);
    assert_int_equal(take(fixture), 2);
    assert_events(response(fixture, 1), (int64_t[]){3}, 1);
    assert_int_equal(response(fixture, 1)->events[0]->type, MVCCPB__EVENT__EVENT_TYPE__DELETE);
}

static void test_progress_is_reported_to_quiet_synced_watchers_only(void **state)
{
    struct fixture *fixture = *state;
    struct watch_hub *hub = kv_watch_hub(fixture->world->kv);
    struct watch_create notify = {.key = "a", .progress_notify = true};
    assert_int_equal(watch_client_create(fixture->stream, &notify), 0);
    create(fixture, "b", NULL, 0);
    (void)world_put(fixture->world, "a", "1");
    watch_hub_progress(hub);
    assert_int_equal(take(fixture), 3); /* an event since the last tick */
    (void)world_put(fixture->world, "c", "1");
    watch_hub_progress(hub);
    assert_int_equal(take(fixture), 1);
    assert_int_equal(response(fixture, 0)->watch_id, 0);
    assert_int_equal(response(fixture, 0)->header->revision, 3);
    assert_int_equal(response(fixture, 0)->n_events, 0);
    struct watch_create old = {.key = "a", .progress_notify = true, .start_revision = 2};
    assert_int_equal(watch_client_create(fixture->stream, &old), 0);
    watch_hub_progress(hub);
    assert_int_equal(take(fixture), 3); /* progress of 0, created, the old event; none for it */
    assert_int_equal(response(fixture, 2)->n_events, 1);
}

static void test_manual_progress_waits_until_all_watchers_are_synced(void **state)
{
    struct fixture *fixture = *state;
    (void)world_put(fixture->world, "a", "1");
    assert_int_equal(watch_client_progress(fixture->stream), 0);
    assert_int_equal(take(fixture), 0); /* no watcher */
    create(fixture, "b", NULL, 0);
    create(fixture, "a", NULL, 2);
    assert_int_equal(watch_client_progress(fixture->stream), 0);
    assert_int_equal(take(fixture), 3); /* created, created, event; the request was dropped */
    assert_int_equal(watch_client_progress(fixture->stream), 0);
    assert_int_equal(take(fixture), 1);
    assert_int_equal(response(fixture, 0)->watch_id, -1);
    assert_int_equal(response(fixture, 0)->header->revision, 2);
}

static void put_large_txn(struct fixture *fixture, unsigned keys, size_t size)
{
    struct buf *txn = &fixture->world->request;
    struct blob *value = blob_new(size);
    memset(value->data, 'v', size);
    buf_clear(txn);
    for (unsigned i = 0; i < keys; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%03u", i);
        size_t op = pb_begin_message(txn, 2);
        size_t put = pb_begin_message(txn, 2);
        pb_put_text(txn, 1, key);
        pb_put_bytes(txn, 2, blob_bytes(value));
        pb_end_message(txn, put);
        pb_end_message(txn, op);
    }
    blob_unref(value);
    assert_int_equal(world_apply(fixture->world, KV_OP_TXN), ETCD_OK);
}

static void test_a_revision_is_split_only_into_fragments_and_only_when_asked(void **state)
{
    struct fixture *fixture = *state;
    watch_hub_set_fragment_bytes(kv_watch_hub(fixture->world->kv), 10000);
    struct watch_create whole = {.key = "k", .range_end = "l"};
    struct watch_create pieces = {.key = "k", .range_end = "l", .fragment = true};
    assert_int_equal(watch_client_create(fixture->stream, &whole), 0);
    assert_int_equal(watch_client_create(fixture->stream, &pieces), 0);
    put_large_txn(fixture, 20, 1000);
    assert_int_equal(take(fixture), 2 + 1 + 3);
    assert_int_equal(response(fixture, 2)->n_events, 20);
    assert_false(response(fixture, 2)->fragment);
    assert_true(response(fixture, 3)->fragment);
    assert_true(response(fixture, 4)->fragment);
    assert_false(response(fixture, 5)->fragment);
    assert_int_equal(response(fixture, 3)->n_events + response(fixture, 4)->n_events +
                         response(fixture, 5)->n_events,
                     20);
}

static void test_a_client_that_does_not_read_costs_a_bounded_queue(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "k", "l", 0);
    enum { TXNS = 100 };
    for (int i = 0; i < TXNS; i++) {
        put_large_txn(fixture, 10, 10000);
        (void)kv_step(fixture->world->kv, (struct kv_budget){.items = 100});
    }
    struct watch_stats stats;
    watch_hub_stats(kv_watch_hub(fixture->world->kv), &stats);
    assert_int_equal(stats.slow_watchers, 1);
    assert_true(stats.queued_bytes < WATCH_STREAM_BYTES_MAX + 200000);
    (void)take(fixture);
    size_t events = 0;
    int64_t last = 1;
    for (size_t i = 0; i < fixture->responses.count; i++) {
        const Etcdserverpb__WatchResponse *found = response(fixture, i);
        for (size_t at = 0; at < found->n_events; at++) {
            assert_true(found->events[at]->kv->mod_revision >= last);
            last = found->events[at]->kv->mod_revision;
        }
        events += found->n_events;
    }
    assert_int_equal(events, TXNS * 10);
    watch_hub_stats(kv_watch_hub(fixture->world->kv), &stats);
    assert_int_equal(stats.slow_watchers, 0);
    assert_int_equal(stats.queued_bytes, 0);
}

static void test_too_many_unread_answers_stop_requests(void **state)
{
    struct fixture *fixture = *state;
    struct watch_create again = {.key = "a"};
    int code = 0;
    int created = 0;
    while (code == 0) {
        code = watch_client_create(fixture->stream, &again);
        created += code == 0 ? 1 : 0;
    }
    assert_int_equal(code, ERR_BUSY);
    assert_int_equal(created, WATCH_STREAM_CONTROLS_MAX);
    assert_int_equal(take(fixture), created);
    assert_int_equal(watch_client_create(fixture->stream, &again), 0);
}

static void test_damaged_requests_are_reported(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(watch_stream_request(fixture->stream, BYTES_LITERAL("\x0a\x05")),
                     ERR_MALFORMED);
    assert_int_equal(watch_stream_request(fixture->stream, BYTES_LITERAL("\x0a\x02\x0a\x05")),
                     ERR_MALFORMED);
    assert_int_equal(watch_stream_request(fixture->stream, BYTES_LITERAL("\x0a\x03\x2a\x01\xff")),
                     ERR_MALFORMED);
    assert_int_equal(watch_stream_request(fixture->stream, BYTES_LITERAL("\x12\x01\x08")),
                     ERR_MALFORMED);
    assert_int_equal(take(fixture), 0);
    struct bytes key;
    struct bytes end;
    bool prev_kv;
    assert_int_equal(
        watch_request_range(BYTES_LITERAL("\x0a\x05\x0a\x01x\x12\x00"), &key, &end, &prev_kv), 0);
    assert_true(bytes_equal(key, BYTES_LITERAL("x")));
    assert_int_equal(watch_request_range(BYTES_LITERAL("\x1a\x00"), &key, &end, &prev_kv),
                     ERR_NOT_FOUND);
}

static void test_a_stream_is_reported_ready_once_until_it_is_taken_from(void **state)
{
    struct fixture *fixture = *state;
    struct watch_hub *hub = kv_watch_hub(fixture->world->kv);
    create(fixture, "a", NULL, 0);
    assert_ptr_equal(watch_hub_next_ready(hub), fixture);
    (void)world_put(fixture->world, "a", "1");
    assert_null(watch_hub_next_ready(hub));
    (void)take(fixture);
    assert_null(watch_hub_next_ready(hub));
    (void)world_put(fixture->world, "a", "2");
    assert_ptr_equal(watch_hub_next_ready(hub), fixture);
}

static void test_many_watchers_that_catch_up_share_one_pass(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 200; i++) {
        (void)world_put(fixture->world, "a", "x");
    }
    enum { WATCHERS = 500 };
    for (int i = 0; i < WATCHERS; i++) {
        create(fixture, "b", NULL, 2);
    }
    uint32_t slices = 0;
    while (kv_step(fixture->world->kv, (struct kv_budget){.items = 50})) {
        slices += 1;
    }
    assert_true(slices <= 6);
    struct watch_stats stats;
    watch_hub_stats(kv_watch_hub(fixture->world->kv), &stats);
    assert_int_equal(stats.watchers, WATCHERS);
    assert_int_equal(stats.slow_watchers, 0);
}

static void test_random_runs_keep_all_guarantees(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const char *violation = watch_model_run(seed, 1500);
        if (violation != NULL) {
            print_error("seed %llu: %s\n", (unsigned long long)seed, violation);
        }
        assert_null(violation);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_watcher_is_created_before_its_events),
        TEST(test_old_events_come_from_the_start_revision_on),
        TEST(test_a_future_start_gets_nothing_older_and_no_progress),
        TEST(test_watch_ids_count_from_zero_and_pass_over_those_in_use),
        TEST(test_an_empty_range_and_a_negative_start_are_refused),
        TEST(test_an_empty_key_with_an_open_end_watches_everything),
        TEST(test_a_cancelled_watcher_gets_an_answer_and_nothing_more),
        TEST(test_filters_drop_puts_or_deletes),
        TEST(test_prev_kv_is_the_value_before_and_absent_for_creates),
        TEST(test_a_start_below_the_compaction_is_cancelled_with_its_revision),
        TEST(test_a_deletion_at_the_compact_revision_can_still_be_watched),
        TEST(test_progress_is_reported_to_quiet_synced_watchers_only),
        TEST(test_manual_progress_waits_until_all_watchers_are_synced),
        TEST(test_a_revision_is_split_only_into_fragments_and_only_when_asked),
        TEST(test_a_client_that_does_not_read_costs_a_bounded_queue),
        TEST(test_too_many_unread_answers_stop_requests),
        TEST(test_damaged_requests_are_reported),
        TEST(test_a_stream_is_reported_ready_once_until_it_is_taken_from),
        TEST(test_many_watchers_that_catch_up_share_one_pass),
        cmocka_unit_test(test_random_runs_keep_all_guarantees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
