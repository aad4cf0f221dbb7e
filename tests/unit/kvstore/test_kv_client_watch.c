/* Watches of the client library: they resume, and lose and repeat nothing. */
#include "tests/unit/kvstore/kv_client_fixture.h"

#include <string.h>

#include "base/cleanup.h"
#include "kvstore/client/watch.h"

enum { SEEN_MAX = 32 };

struct seen {
    struct kv_watch *watch;
    enum kv_watch_event_type types[SEEN_MAX];
    int64_t revisions[SEEN_MAX]; /* of the first event, else of the notification */
    size_t event_counts[SEEN_MAX];
    size_t count;
    int64_t compact_revision;
    char reason[100];
    bool closes_itself;
};

static void on_watch(void *context, const struct kv_watch_event *event)
{
    struct seen *seen = context;
    if (seen->count < SEEN_MAX) {
        size_t i = seen->count++;
        seen->types[i] = event->type;
        seen->revisions[i] = event->revision;
        if (event->type == KV_WATCH_EVENTS) {
            seen->revisions[i] = event->response->events[0]->kv->mod_revision;
            seen->event_counts[i] = event->response->n_events;
        }
    }
    seen->compact_revision = event->compact_revision;
    (void)strncpy(seen->reason, event->reason, sizeof seen->reason - 1);
    if (seen->closes_itself) {
        kv_watch_close(seen->watch);
    }
}

static void watch(struct fixture *f, int64_t start_revision, struct seen *seen)
{
    const struct kv_watch_options options = {.key = BYTES_LITERAL("a"),
                                             .range_end = BYTES_LITERAL("b"),
                                             .start_revision = start_revision};
    seen->count = 0;
    seen->watch = kv_watch_open(f->client, &options, on_watch, seen);
}

static int64_t created_from(struct fake_call *call, size_t request)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    const Etcdserverpb__WatchRequest *sent =
        fake_call_sent(call, request, &etcdserverpb__watch_request__descriptor, &arena);
    assert_int_equal(sent->request_union_case,
                     ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST);
    return sent->create_request->start_revision;
}

struct response_parts {
    int64_t id;
    int64_t revision;
    bool created;
    bool canceled;
    bool fragment;
    int64_t compact_revision;
    const char *reason;
    int64_t first; /* events with mod revisions first..last */
    int64_t last;
};

static void respond(struct fake_call *call, struct response_parts parts)
{
    enum { EVENTS_MAX = 8 };
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__WatchResponse response;
    etcdserverpb__watch_response__init(&response);
    Mvccpb__Event events[EVENTS_MAX];
    Mvccpb__KeyValue kvs[EVENTS_MAX];
    Mvccpb__Event *pointers[EVENTS_MAX];
    char reason[100];
    header.revision = parts.revision;
    response.header = &header;
    response.watch_id = parts.id;
    response.created = parts.created;
    response.canceled = parts.canceled;
    response.fragment = parts.fragment;
    response.compact_revision = parts.compact_revision;
    if (parts.reason != NULL) {
        strcpy(reason, parts.reason);
        response.cancel_reason = reason;
    }
    for (int64_t revision = parts.first; parts.first != 0 && revision <= parts.last; revision++) {
        size_t i = response.n_events++;
        mvccpb__event__init(&events[i]);
        mvccpb__key_value__init(&kvs[i]);
        kvs[i].mod_revision = revision;
        events[i].kv = &kvs[i];
        pointers[i] = &events[i];
    }
    response.events = pointers;
    fake_call_reply(call, &response.base);
}

static struct fake_call *open_stream(struct fixture *f, size_t channel)
{
    fixture_turn(f);
    fixture_make_ready(f, channel);
    struct fake_call *stream = fake_call_open(WATCH_PATH);
    assert_non_null(stream);
    assert_true(stream->has_leader_metadata);
    return stream;
}

static void break_stream(struct fixture *f, size_t channel, struct fake_call *stream,
                         enum grpc_status status)
{
    fake_set_state(channel, GRPC_CHANNEL_IDLE, "connection reset");
    fake_call_finish(stream, status, "connection reset", true);
    fixture_turn(f);
}

static void test_a_watch_resumes_after_the_last_revision_it_delivered(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 2, NULL, 0);
    struct seen seen = {0};
    watch(f, 0, &seen);
    struct fake_call *stream = open_stream(f, 0);
    assert_int_equal(created_from(stream, 0), 0);
    respond(stream, (struct response_parts){.id = 0, .revision = 10, .created = true});
    respond(stream, (struct response_parts){.id = 0, .revision = 12, .first = 11, .last = 12});
    break_stream(f, 0, stream, GRPC_UNAVAILABLE);
    stream = open_stream(f, 1);
    assert_int_equal(fake_call_channel(stream), 1);
    assert_int_equal(created_from(stream, 0), 13);
    respond(stream, (struct response_parts){.id = 5, .revision = 14, .created = true});
    /* A server that sends what was seen already does not make us deliver it twice. */
    respond(stream, (struct response_parts){.id = 5, .revision = 14, .first = 12, .last = 14});
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.types[0], KV_WATCH_CREATED);
    assert_int_equal(seen.revisions[1], 11);
    assert_int_equal(seen.revisions[2], 13);
    assert_int_equal(seen.event_counts[2], 2);
    assert_int_equal(kv_watch_next_revision(seen.watch), 15);
}

static void test_a_watch_from_now_misses_nothing_while_it_reconnects(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct seen seen = {0};
    watch(f, 0, &seen);
    struct fake_call *stream = open_stream(f, 0);
    respond(stream, (struct response_parts){.revision = 10, .created = true});
    break_stream(f, 0, stream, GRPC_UNAVAILABLE);
    stream = open_stream(f, 0);
    assert_int_equal(created_from(stream, 0), 11);
}

static void test_progress_moves_the_resume_point(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct seen seen = {0};
    watch(f, 3, &seen);
    struct fake_call *stream = open_stream(f, 0);
    assert_int_equal(created_from(stream, 0), 3);
    respond(stream, (struct response_parts){.revision = 10, .created = true});
    respond(stream, (struct response_parts){.revision = 90});
    kv_client_request_progress(f->client);
    respond(stream, (struct response_parts){.id = -1, .revision = 95});
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.types[2], KV_WATCH_PROGRESS);
    assert_int_equal(seen.revisions[2], 95);
    break_stream(f, 0, stream, GRPC_INTERNAL);
    stream = open_stream(f, 0);
    assert_int_equal(created_from(stream, 0), 96);
}

static void test_fragments_arrive_as_one_batch_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct seen seen = {0};
    watch(f, 2, &seen);
    struct fake_call *stream = open_stream(f, 0);
    respond(stream, (struct response_parts){.revision = 1, .created = true});
    respond(stream,
            (struct response_parts){.revision = 9, .first = 2, .last = 4, .fragment = true});
    respond(stream,
            (struct response_parts){.revision = 9, .first = 5, .last = 5, .fragment = true});
    assert_int_equal(seen.count, 1);
    respond(stream, (struct response_parts){.revision = 9, .first = 6, .last = 7});
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.event_counts[1], 6);
    /* Half a batch before a break is forgotten: it comes again whole. */
    respond(stream,
            (struct response_parts){.revision = 9, .first = 8, .last = 8, .fragment = true});
    break_stream(f, 0, stream, GRPC_UNAVAILABLE);
    stream = open_stream(f, 0);
    assert_int_equal(created_from(stream, 0), 8);
    respond(stream, (struct response_parts){.revision = 9, .created = true});
    respond(stream, (struct response_parts){.revision = 9, .first = 8, .last = 9});
    assert_int_equal(seen.event_counts[2], 2);
}

static void test_compaction_ends_a_watch_with_the_oldest_revision(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct seen seen = {0};
    watch(f, 2, &seen);
    struct fake_call *stream = open_stream(f, 0);
    respond(stream, (struct response_parts){.revision = 50, .created = true});
    respond(stream, (struct response_parts){.canceled = true, .compact_revision = 30});
    assert_int_equal(seen.types[1], KV_WATCH_COMPACTED);
    assert_int_equal(seen.compact_revision, 30);
    kv_watch_close(seen.watch);
    /* The stream goes on for others. */
    struct seen other = {0};
    watch(f, 31, &other);
    assert_int_equal(created_from(stream, 1), 31);
}

static void test_answers_go_to_watches_in_the_order_of_their_requests(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct seen seen[3] = {{0}};
    for (int i = 0; i < 3; i++) {
        watch(f, 100 + i, &seen[i]);
    }
    struct fake_call *stream = open_stream(f, 0);
    assert_int_equal(stream->sent_count, 3);
    respond(stream, (struct response_parts){.id = 7, .revision = 1, .created = true});
    respond(stream, (struct response_parts){.id = -1,
                                            .revision = 1,
                                            .created = true,
                                            .canceled = true,
                                            .reason = "mvcc: watcher range is empty"});
    respond(stream, (struct response_parts){.id = 9, .revision = 1, .created = true});
    respond(stream, (struct response_parts){.id = 9, .revision = 120, .first = 120, .last = 120});
    assert_int_equal(seen[0].count, 1);
    assert_int_equal(seen[1].types[0], KV_WATCH_CANCELED);
    assert_string_equal(seen[1].reason, "mvcc: watcher range is empty");
    assert_int_equal(seen[2].types[1], KV_WATCH_EVENTS);
}

static void test_a_watch_may_close_itself_in_any_notification(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct seen first = {.closes_itself = true};
    struct seen second = {0};
    watch(f, 0, &first);
    watch(f, 0, &second);
    struct fake_call *stream = open_stream(f, 0);
    respond(stream, (struct response_parts){.id = 0, .revision = 10, .created = true});
    respond(stream, (struct response_parts){.id = 1, .revision = 10, .created = true});
    assert_int_equal(stream->sent_count, 3); /* two creations and a cancel */
    respond(stream, (struct response_parts){.id = 0, .revision = 11, .first = 11, .last = 11});
    respond(stream, (struct response_parts){.id = 1, .revision = 11, .first = 11, .last = 11});
    assert_int_equal(first.count, 1);
    assert_int_equal(second.count, 2);
}

static void test_a_watch_closed_before_its_answer_is_cancelled_by_it(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct seen seen = {0};
    watch(f, 0, &seen);
    struct fake_call *stream = open_stream(f, 0);
    kv_watch_close(seen.watch);
    respond(stream, (struct response_parts){.id = 4, .revision = 10, .created = true});
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    const Etcdserverpb__WatchRequest *sent =
        fake_call_sent(stream, 1, &etcdserverpb__watch_request__descriptor, &arena);
    assert_int_equal(sent->request_union_case,
                     ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST);
    assert_int_equal(sent->cancel_request->watch_id, 4);
    assert_int_equal(seen.count, 0);
}

static void test_a_final_status_ends_all_watches(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct seen seen[2] = {{0}};
    watch(f, 0, &seen[0]);
    watch(f, 0, &seen[1]);
    struct fake_call *stream = open_stream(f, 0);
    fake_call_finish(stream, GRPC_UNIMPLEMENTED, "unknown service", true);
    fixture_turn(f);
    assert_int_equal(seen[0].types[0], KV_WATCH_CANCELED);
    assert_string_equal(seen[1].reason, "unknown service");
    assert_int_equal(fake_call_count(), 1);
}

static void test_an_event_without_a_key_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct seen seen = {0};
    watch(f, 0, &seen);
    struct fake_call *stream = open_stream(f, 0);
    respond(stream, (struct response_parts){.revision = 10, .created = true});
    Etcdserverpb__WatchResponse response;
    etcdserverpb__watch_response__init(&response);
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    Mvccpb__Event *events[] = {&event};
    response.n_events = 1;
    response.events = events;
    fake_call_reply(stream, &response.base);
    assert_int_equal(seen.types[1], KV_WATCH_CANCELED);
}

static void close_on_event(void *context, const struct kv_watch_event *event)
{
    struct fixture *f = context;
    (void)event;
    if (f->client != NULL) {
        kv_client_close(f->client, fixture_set_true, &f->is_closed);
        f->client = NULL;
    }
}

static void test_the_client_may_be_closed_inside_a_notification(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    const struct kv_watch_options options = {.key = BYTES_LITERAL("a")};
    (void)kv_watch_open(f->client, &options, close_on_event, f);
    (void)kv_watch_open(f->client, &options, close_on_event, f);
    struct fake_call *stream = open_stream(f, 0);
    respond(stream, (struct response_parts){.id = 0, .revision = 10, .created = true});
    respond(stream, (struct response_parts){.id = 1, .revision = 10, .created = true});
    for (int i = 0; i < 5; i++) {
        fake_run();
        fixture_turn(f);
    }
    assert_true(f->is_closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_watch_resumes_after_the_last_revision_it_delivered),
        FIXTURE_TEST(test_a_watch_from_now_misses_nothing_while_it_reconnects),
        FIXTURE_TEST(test_progress_moves_the_resume_point),
        FIXTURE_TEST(test_fragments_arrive_as_one_batch_or_not_at_all),
        FIXTURE_TEST(test_compaction_ends_a_watch_with_the_oldest_revision),
        FIXTURE_TEST(test_answers_go_to_watches_in_the_order_of_their_requests),
        FIXTURE_TEST(test_a_watch_may_close_itself_in_any_notification),
        FIXTURE_TEST(test_a_watch_closed_before_its_answer_is_cancelled_by_it),
        FIXTURE_TEST(test_a_final_status_ends_all_watches),
        FIXTURE_TEST(test_an_event_without_a_key_is_refused),
        FIXTURE_TEST(test_the_client_may_be_closed_inside_a_notification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
