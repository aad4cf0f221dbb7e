#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/client/lease_keeper.h"
#include "kvstore/client/rpc.h"
#include "kvstore/client/watch.h"
#include "tests/unit/kvstore/fake_grpc_channel.h"

#define WATCH_PATH "/etcdserverpb.Watch/Watch"
#define RANGE_PATH "/etcdserverpb.KV/Range"
#define PUT_PATH "/etcdserverpb.KV/Put"
#define AUTH_PATH "/etcdserverpb.Auth/Authenticate"
#define KEEP_PATH "/etcdserverpb.Lease/LeaseKeepAlive"

struct fixture {
    uv_loop_t loop;
    uv_async_t presence;
    struct wire_loop *wire;
    struct kv_client *client;
    bool is_closed;
};

static void set_true(void *context)
{
    *(bool *)context = true;
}

/* The loop without sleeping: tasks and due timers. */
static void turn(struct fixture *f)
{
    for (int i = 0; i < 4; i++) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    fake_reset();
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_async_init(&f->loop, &f->presence, NULL), 0);
    f->wire = wire_loop_new(&f->loop);
    *state = f;
    return 0;
}

static void close_client(struct fixture *f)
{
    kv_client_close(f->client, set_true, &f->is_closed);
    f->client = NULL;
    for (int i = 0; i < 10 && !f->is_closed; i++) {
        fake_run();
        turn(f);
    }
    assert_true(f->is_closed);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->client != NULL) {
        close_client(f);
    }
    bool is_gone = false;
    wire_loop_close(f->wire, set_true, &is_gone);
    uv_close((uv_handle_t *)&f->presence, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(is_gone);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fake_reset();
    mem_free(f);
    return 0;
}

static void open_client(struct fixture *f, size_t endpoints, const char *user,
                        uint32_t dial_timeout_ms)
{
    static const char *const names[] = {"one:1", "two:2", "three:3"};
    const struct kv_client_options options = {
        .wire = f->wire,
        .endpoints = names,
        .endpoint_count = endpoints,
        .user = user,
        .password = "secret",
        .dial_timeout_ms = dial_timeout_ms,
        .seed = 7,
    };
    struct err err;
    assert_int_equal(kv_client_new(&options, &f->client, &err), 0);
}

struct outcome {
    int count;
    enum grpc_status status;
    char text[200];
    int64_t revision;
};

static void call_done(void *context, const struct kv_reply *reply)
{
    struct outcome *outcome = context;
    outcome->count += 1;
    outcome->status = reply->status;
    (void)strncpy(outcome->text, reply->text, sizeof outcome->text - 1);
    if (reply->status == GRPC_OK) {
        const Etcdserverpb__RangeResponse *response = reply->message;
        outcome->revision = response->header->revision;
    }
}

static struct kv_call *get(struct fixture *f, uint64_t timeout_ms, struct outcome *outcome)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t key[] = "k";
    request.key = (ProtobufCBinaryData){1, key};
    const struct kv_call_options options = {.timeout_ms = timeout_ms};
    *outcome = (struct outcome){.count = 0};
    return kv_client_range(f->client, &request, &options, call_done, outcome);
}

static struct kv_call *put(struct fixture *f, struct outcome *outcome)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    uint8_t key[] = "k";
    request.key = (ProtobufCBinaryData){1, key};
    *outcome = (struct outcome){.count = 0};
    return kv_client_put(f->client, &request, NULL, call_done, outcome);
}

static void answer_range(struct fake_call *call, int64_t revision)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    header.revision = revision;
    response.header = &header;
    fake_call_reply(call, &response.base);
    fake_call_finish(call, GRPC_OK, "", true);
}

static void make_ready(struct fixture *f, size_t channel)
{
    fake_set_state(channel, GRPC_CHANNEL_READY, NULL);
    turn(f);
}

static void test_a_call_waits_for_its_endpoint_and_gets_its_answer(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, NULL, 0);
    struct outcome outcome;
    (void)get(f, 0, &outcome);
    assert_int_equal(fake_call_count(), 0);
    turn(f);
    assert_int_equal(fake_connect_count(0), 1);
    make_ready(f, 0);
    struct fake_call *call = fake_call_open(RANGE_PATH);
    assert_non_null(call);
    assert_true(call->is_half_closed);
    assert_int_equal(outcome.count, 0);
    answer_range(call, 42);
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.revision, 42);
}

static void test_many_calls_share_the_ready_endpoint_at_once(void **state)
{
    struct fixture *f = *state;
    open_client(f, 2, NULL, 0);
    struct outcome outcomes[20];
    (void)get(f, 0, &outcomes[0]);
    turn(f);
    make_ready(f, 0);
    for (int i = 1; i < 20; i++) {
        (void)get(f, 0, &outcomes[i]);
    }
    assert_int_equal(fake_call_count(), 20); /* not even one loop iteration later */
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(fake_call_channel(fake_call_at(i)), 0);
        answer_range(fake_call_at(i), (int64_t)i);
        assert_int_equal(outcomes[i].revision, i);
    }
    assert_int_equal(fake_connect_count(1), 0); /* sticky: no need for another */
}

static void test_a_read_is_tried_again_on_another_endpoint(void **state)
{
    struct fixture *f = *state;
    open_client(f, 2, NULL, 0);
    struct outcome outcome;
    (void)get(f, 0, &outcome);
    turn(f);
    make_ready(f, 0);
    struct fake_call *call = fake_call_open(RANGE_PATH);
    fake_set_state(0, GRPC_CHANNEL_IDLE, "connection reset");
    fake_call_finish(call, GRPC_UNAVAILABLE, "connection reset", true);
    assert_int_equal(outcome.count, 0);
    while (fake_connect_count(1) == 0) {
        (void)uv_run(&f->loop, UV_RUN_ONCE); /* the pause before the next attempt */
    }
    make_ready(f, 1);
    call = fake_call_open(RANGE_PATH);
    assert_non_null(call);
    assert_int_equal(fake_call_channel(call), 1);
    answer_range(call, 5);
    assert_int_equal(outcome.status, GRPC_OK);
}

static void test_a_write_that_may_have_been_seen_is_not_repeated(void **state)
{
    struct fixture *f = *state;
    open_client(f, 2, NULL, 0);
    struct outcome outcome;
    (void)put(f, &outcome);
    turn(f);
    make_ready(f, 0);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_UNAVAILABLE, "connection reset", true);
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_int_equal(fake_call_count(), 1);
}

static void test_a_write_that_was_never_sent_is_repeated(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, NULL, 0);
    struct outcome outcome;
    (void)put(f, &outcome);
    turn(f);
    make_ready(f, 0);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_UNAVAILABLE, "refused stream", false);
    turn(f);
    assert_int_equal(outcome.count, 0);
    assert_int_equal(fake_call_count(), 2);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_FAILED_PRECONDITION, "etcdserver: x", true);
    assert_int_equal(outcome.status, GRPC_FAILED_PRECONDITION);
    assert_string_equal(outcome.text, "etcdserver: x");
}

static void test_a_member_without_a_leader_is_left(void **state)
{
    struct fixture *f = *state;
    open_client(f, 2, NULL, 0);
    struct outcome outcome;
    (void)put(f, &outcome);
    turn(f);
    make_ready(f, 0);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_UNAVAILABLE, "etcdserver: no leader", true);
    assert_int_equal(outcome.count, 1);
    (void)put(f, &outcome);
    turn(f);
    assert_int_equal(fake_connect_count(1), 1);
    make_ready(f, 1);
    assert_int_equal(fake_call_channel(fake_call_open(PUT_PATH)), 1);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_INVALID_ARGUMENT, "etcdserver: x", true);
}

static void test_a_deadline_ends_a_call_that_waits(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, NULL, 0);
    struct outcome outcome;
    (void)get(f, 5, &outcome);
    while (outcome.count == 0) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(outcome.status, GRPC_DEADLINE_EXCEEDED);
    assert_string_equal(outcome.text, "context deadline exceeded");
}

static void test_unreachable_endpoints_are_told_after_the_dial_timeout(void **state)
{
    struct fixture *f = *state;
    open_client(f, 2, NULL, 10);
    struct outcome outcome;
    (void)get(f, 0, &outcome);
    turn(f);
    fake_set_state(0, GRPC_CHANNEL_BACKOFF, "connection refused");
    turn(f);
    fake_set_state(1, GRPC_CHANNEL_BACKOFF,
                   "connection error: desc = \"transport: Error while dialing: dial tcp two:2: "
                   "connect: no route to host\"");
    while (outcome.count == 0) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_string_equal(outcome.text, "no endpoint can be reached: one:1: connection refused; "
                                      "two:2: connect: no route to host");
}

static void test_a_cancelled_call_says_nothing(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, NULL, 0);
    struct outcome waiting;
    struct outcome sent;
    kv_call_cancel(get(f, 0, &waiting));
    struct kv_call *call = get(f, 0, &sent);
    turn(f);
    make_ready(f, 0);
    kv_call_cancel(call);
    fake_run();
    turn(f);
    assert_int_equal(waiting.count, 0);
    assert_int_equal(sent.count, 0);
}

static void test_closing_ends_every_call_with_canceled(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, NULL, 0);
    struct outcome sent;
    struct outcome paused;
    (void)get(f, 0, &sent);
    (void)get(f, 0, &paused);
    turn(f);
    make_ready(f, 0);
    fake_call_finish(fake_call_at(1), GRPC_UNAVAILABLE, "broken", true);
    close_client(f);
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.status, GRPC_CANCELED);
    assert_int_equal(paused.count, 1);
    assert_int_equal(paused.status, GRPC_CANCELED);
}

static void answer_token(const char *token)
{
    Etcdserverpb__AuthenticateResponse response;
    etcdserverpb__authenticate_response__init(&response);
    char text[32];
    strcpy(text, token);
    response.token = text;
    struct fake_call *call = fake_call_open(AUTH_PATH);
    assert_non_null(call);
    fake_call_reply(call, &response.base);
    fake_call_finish(call, GRPC_OK, "", true);
}

static void test_a_token_is_fetched_first_and_again_when_it_is_refused(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, "alice", 0);
    struct outcome first;
    struct outcome second;
    (void)put(f, &first);
    (void)put(f, &second);
    turn(f);
    make_ready(f, 0);
    assert_null(fake_call_open(PUT_PATH));
    answer_token("token-1");
    turn(f);
    assert_int_equal(fake_call_count(), 3);
    assert_string_equal(fake_call_at(1)->token, "token-1");
    fake_call_finish(fake_call_at(1), GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token", true);
    fake_call_finish(fake_call_at(2), GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token", true);
    turn(f);
    assert_int_equal(fake_call_count(), 4); /* one question for both */
    answer_token("token-2");
    turn(f);
    assert_string_equal(fake_call_at(4)->token, "token-2");
    assert_string_equal(fake_call_at(5)->token, "token-2");
    assert_int_equal(first.count + second.count, 0);
    fake_call_finish(fake_call_at(4), GRPC_INVALID_ARGUMENT, "etcdserver: x", true);
    fake_call_finish(fake_call_at(5), GRPC_INVALID_ARGUMENT, "etcdserver: x", true);
    assert_int_equal(first.count + second.count, 2);
}

static void test_a_wrong_password_fails_the_call(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "etcdserver: authentication failed, invalid user ID or password";
    open_client(f, 1, "alice", 0);
    struct outcome outcome;
    (void)put(f, &outcome);
    turn(f);
    make_ready(f, 0);
    fake_call_finish(fake_call_open(AUTH_PATH), GRPC_INVALID_ARGUMENT, text, true);
    turn(f);
    assert_int_equal(outcome.status, GRPC_INVALID_ARGUMENT);
    assert_string_equal(outcome.text, text);
}

static void test_a_user_is_no_obstacle_where_authentication_is_off(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, "alice", 0);
    struct outcome outcome;
    (void)get(f, 0, &outcome);
    turn(f);
    make_ready(f, 0);
    fake_call_finish(fake_call_open(AUTH_PATH), GRPC_FAILED_PRECONDITION,
                     "etcdserver: authentication is not enabled", true);
    turn(f);
    struct fake_call *call = fake_call_open(RANGE_PATH);
    assert_non_null(call);
    assert_string_equal(call->token, "");
    answer_range(call, 3);
    assert_int_equal(outcome.status, GRPC_OK);
}

/* Watches. */

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
    turn(f);
    make_ready(f, channel);
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
    turn(f);
}

static void test_a_watch_resumes_after_the_last_revision_it_delivered(void **state)
{
    struct fixture *f = *state;
    open_client(f, 2, NULL, 0);
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
    open_client(f, 1, NULL, 0);
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
    open_client(f, 1, NULL, 0);
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
    open_client(f, 1, NULL, 0);
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
    open_client(f, 1, NULL, 0);
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
    open_client(f, 1, NULL, 0);
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
    open_client(f, 1, NULL, 0);
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
    open_client(f, 1, NULL, 0);
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
    open_client(f, 1, NULL, 0);
    struct seen seen[2] = {{0}};
    watch(f, 0, &seen[0]);
    watch(f, 0, &seen[1]);
    struct fake_call *stream = open_stream(f, 0);
    fake_call_finish(stream, GRPC_UNIMPLEMENTED, "unknown service", true);
    turn(f);
    assert_int_equal(seen[0].types[0], KV_WATCH_CANCELED);
    assert_string_equal(seen[1].reason, "unknown service");
    assert_int_equal(fake_call_count(), 1);
}

static void test_an_event_without_a_key_is_refused(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, NULL, 0);
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
        kv_client_close(f->client, set_true, &f->is_closed);
        f->client = NULL;
    }
}

static void test_the_client_may_be_closed_inside_a_notification(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, NULL, 0);
    const struct kv_watch_options options = {.key = BYTES_LITERAL("a")};
    (void)kv_watch_open(f->client, &options, close_on_event, f);
    (void)kv_watch_open(f->client, &options, close_on_event, f);
    struct fake_call *stream = open_stream(f, 0);
    respond(stream, (struct response_parts){.id = 0, .revision = 10, .created = true});
    respond(stream, (struct response_parts){.id = 1, .revision = 10, .created = true});
    for (int i = 0; i < 5; i++) {
        fake_run();
        turn(f);
    }
    assert_true(f->is_closed);
}

/* Leases. */

struct kept {
    int renewed;
    int gone;
};

static void on_kept(void *context, const Etcdserverpb__LeaseKeepAliveResponse *response)
{
    struct kept *kept = context;
    kept->renewed += response != NULL;
    kept->gone += response == NULL;
}

static void answer_keep(struct fake_call *stream, int64_t lease, int64_t ttl)
{
    Etcdserverpb__LeaseKeepAliveResponse response = ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;
    response.id = lease;
    response.ttl = ttl;
    fake_call_reply(stream, &response.base);
}

static void test_a_lease_is_renewed_on_each_new_stream_until_it_is_gone(void **state)
{
    struct fixture *f = *state;
    open_client(f, 1, NULL, 0);
    struct kept kept = {0};
    struct lease_keeper *keeper = lease_keeper_open(f->client, 77, 60, on_kept, &kept);
    turn(f);
    make_ready(f, 0);
    struct fake_call *stream = fake_call_open(KEEP_PATH);
    assert_int_equal(stream->sent_count, 1);
    answer_keep(stream, 77, 60);
    assert_int_equal(kept.renewed, 1);
    fake_set_state(0, GRPC_CHANNEL_IDLE, "reset");
    fake_call_finish(stream, GRPC_UNAVAILABLE, "reset", true);
    turn(f);
    make_ready(f, 0);
    stream = fake_call_open(KEEP_PATH);
    assert_int_equal(stream->sent_count, 1);
    answer_keep(stream, 78, 60); /* not ours */
    answer_keep(stream, 77, 0);
    assert_int_equal(kept.gone, 1);
    lease_keeper_close(keeper);
}

static void test_a_bad_endpoint_is_refused_before_anything_starts(void **state)
{
    struct fixture *f = *state;
    const char *const names[] = {"one:1", "bad:port"};
    struct kv_client_options options = {.wire = f->wire, .endpoints = names, .endpoint_count = 2};
    struct kv_client *client = NULL;
    struct err err;
    assert_int_equal(kv_client_new(&options, &client, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "bad:port"));
    options.endpoint_count = 0;
    assert_int_equal(kv_client_new(&options, &client, &err), ERR_INVALID);
    options.endpoint_count = 1;
    options.ca_file = "/nowhere/ca.pem";
    assert_true(kv_client_new(&options, &client, &err) < 0);
    assert_non_null(strstr(err.text, "/nowhere/ca.pem"));
    assert_null(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_call_waits_for_its_endpoint_and_gets_its_answer),
        TEST(test_many_calls_share_the_ready_endpoint_at_once),
        TEST(test_a_read_is_tried_again_on_another_endpoint),
        TEST(test_a_write_that_may_have_been_seen_is_not_repeated),
        TEST(test_a_write_that_was_never_sent_is_repeated),
        TEST(test_a_member_without_a_leader_is_left),
        TEST(test_a_deadline_ends_a_call_that_waits),
        TEST(test_unreachable_endpoints_are_told_after_the_dial_timeout),
        TEST(test_a_cancelled_call_says_nothing),
        TEST(test_closing_ends_every_call_with_canceled),
        TEST(test_a_token_is_fetched_first_and_again_when_it_is_refused),
        TEST(test_a_wrong_password_fails_the_call),
        TEST(test_a_user_is_no_obstacle_where_authentication_is_off),
        TEST(test_a_watch_resumes_after_the_last_revision_it_delivered),
        TEST(test_a_watch_from_now_misses_nothing_while_it_reconnects),
        TEST(test_progress_moves_the_resume_point),
        TEST(test_fragments_arrive_as_one_batch_or_not_at_all),
        TEST(test_compaction_ends_a_watch_with_the_oldest_revision),
        TEST(test_answers_go_to_watches_in_the_order_of_their_requests),
        TEST(test_a_watch_may_close_itself_in_any_notification),
        TEST(test_a_watch_closed_before_its_answer_is_cancelled_by_it),
        TEST(test_a_final_status_ends_all_watches),
        TEST(test_an_event_without_a_key_is_refused),
        TEST(test_the_client_may_be_closed_inside_a_notification),
        TEST(test_a_lease_is_renewed_on_each_new_stream_until_it_is_gone),
        TEST(test_a_bad_endpoint_is_refused_before_anything_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
