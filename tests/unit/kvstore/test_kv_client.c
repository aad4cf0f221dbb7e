/* Calls and leases of the client library: endpoints, retries, deadlines, tokens. */
#include "tests/unit/kvstore/kv_client_fixture.h"

#include <string.h>

#include "base/cleanup.h"
#include "kvstore/client/lease_keeper.h"

static void test_a_call_waits_for_its_endpoint_and_gets_its_answer(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct outcome outcome;
    (void)fixture_get(f, 0, &outcome);
    assert_int_equal(fake_call_count(), 0);
    fixture_turn(f);
    assert_int_equal(fake_connect_count(0), 1);
    fixture_make_ready(f, 0);
    struct fake_call *call = fake_call_open(RANGE_PATH);
    assert_non_null(call);
    assert_true(call->is_half_closed);
    assert_int_equal(outcome.count, 0);
    fixture_answer_range(call, 42);
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.revision, 42);
}

static void test_many_calls_share_the_ready_endpoint_at_once(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 2, NULL, 0);
    struct outcome outcomes[20];
    (void)fixture_get(f, 0, &outcomes[0]);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    for (int i = 1; i < 20; i++) {
        (void)fixture_get(f, 0, &outcomes[i]);
    }
    assert_int_equal(fake_call_count(), 20); /* not even one loop iteration later */
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(fake_call_channel(fake_call_at(i)), 0);
        fixture_answer_range(fake_call_at(i), (int64_t)i);
        assert_int_equal(outcomes[i].revision, i);
    }
    assert_int_equal(fake_connect_count(1), 0); /* sticky: no need for another */
}

static void test_a_read_is_tried_again_on_another_endpoint(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 2, NULL, 0);
    struct outcome outcome;
    (void)fixture_get(f, 0, &outcome);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    struct fake_call *call = fake_call_open(RANGE_PATH);
    fake_set_state(0, GRPC_CHANNEL_IDLE, "connection reset");
    fake_call_finish(call, GRPC_UNAVAILABLE, "connection reset", true);
    assert_int_equal(outcome.count, 0);
    while (fake_connect_count(1) == 0) {
        (void)uv_run(&f->loop, UV_RUN_ONCE); /* the pause before the next attempt */
    }
    fixture_make_ready(f, 1);
    call = fake_call_open(RANGE_PATH);
    assert_non_null(call);
    assert_int_equal(fake_call_channel(call), 1);
    fixture_answer_range(call, 5);
    assert_int_equal(outcome.status, GRPC_OK);
}

static void test_a_write_that_may_have_been_seen_is_not_repeated(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 2, NULL, 0);
    struct outcome outcome;
    (void)fixture_put(f, &outcome);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_UNAVAILABLE, "connection reset", true);
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_int_equal(fake_call_count(), 1);
}

static void test_a_write_that_was_never_sent_is_repeated(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct outcome outcome;
    (void)fixture_put(f, &outcome);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_UNAVAILABLE, "refused stream", false);
    fixture_turn(f);
    assert_int_equal(outcome.count, 0);
    assert_int_equal(fake_call_count(), 2);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_FAILED_PRECONDITION, "etcdserver: x", true);
    assert_int_equal(outcome.status, GRPC_FAILED_PRECONDITION);
    assert_string_equal(outcome.text, "etcdserver: x");
}

static void test_a_member_without_a_leader_is_left(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 2, NULL, 0);
    struct outcome outcome;
    (void)fixture_put(f, &outcome);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_UNAVAILABLE, "etcdserver: no leader", true);
    assert_int_equal(outcome.count, 1);
    (void)fixture_put(f, &outcome);
    fixture_turn(f);
    assert_int_equal(fake_connect_count(1), 1);
    fixture_make_ready(f, 1);
    assert_int_equal(fake_call_channel(fake_call_open(PUT_PATH)), 1);
    fake_call_finish(fake_call_open(PUT_PATH), GRPC_INVALID_ARGUMENT, "etcdserver: x", true);
}

static void test_a_deadline_ends_a_call_that_waits(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct outcome outcome;
    (void)fixture_get(f, 5, &outcome);
    while (outcome.count == 0) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(outcome.status, GRPC_DEADLINE_EXCEEDED);
    assert_string_equal(outcome.text, "context deadline exceeded");
}

static void test_unreachable_endpoints_are_told_after_the_dial_timeout(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 2, NULL, 10);
    struct outcome outcome;
    (void)fixture_get(f, 0, &outcome);
    fixture_turn(f);
    fake_set_state(0, GRPC_CHANNEL_BACKOFF, "connection refused");
    fixture_turn(f);
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
    fixture_open_client(f, 1, NULL, 0);
    struct outcome waiting;
    struct outcome sent;
    kv_call_cancel(fixture_get(f, 0, &waiting));
    struct kv_call *call = fixture_get(f, 0, &sent);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    kv_call_cancel(call);
    fake_run();
    fixture_turn(f);
    assert_int_equal(waiting.count, 0);
    assert_int_equal(sent.count, 0);
}

static void test_closing_ends_every_call_with_canceled(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, NULL, 0);
    struct outcome sent;
    struct outcome paused;
    (void)fixture_get(f, 0, &sent);
    (void)fixture_get(f, 0, &paused);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    fake_call_finish(fake_call_at(1), GRPC_UNAVAILABLE, "broken", true);
    fixture_close_client(f);
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
    fixture_open_client(f, 1, "alice", 0);
    struct outcome first;
    struct outcome second;
    (void)fixture_put(f, &first);
    (void)fixture_put(f, &second);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    assert_null(fake_call_open(PUT_PATH));
    answer_token("token-1");
    fixture_turn(f);
    assert_int_equal(fake_call_count(), 3);
    assert_string_equal(fake_call_at(1)->token, "token-1");
    fake_call_finish(fake_call_at(1), GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token", true);
    fake_call_finish(fake_call_at(2), GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token", true);
    fixture_turn(f);
    assert_int_equal(fake_call_count(), 4); /* one question for both */
    answer_token("token-2");
    fixture_turn(f);
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
    fixture_open_client(f, 1, "alice", 0);
    struct outcome outcome;
    (void)fixture_put(f, &outcome);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    fake_call_finish(fake_call_open(AUTH_PATH), GRPC_INVALID_ARGUMENT, text, true);
    fixture_turn(f);
    assert_int_equal(outcome.status, GRPC_INVALID_ARGUMENT);
    assert_string_equal(outcome.text, text);
}

static void test_a_user_is_no_obstacle_where_authentication_is_off(void **state)
{
    struct fixture *f = *state;
    fixture_open_client(f, 1, "alice", 0);
    struct outcome outcome;
    (void)fixture_get(f, 0, &outcome);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    fake_call_finish(fake_call_open(AUTH_PATH), GRPC_FAILED_PRECONDITION,
                     "etcdserver: authentication is not enabled", true);
    fixture_turn(f);
    struct fake_call *call = fake_call_open(RANGE_PATH);
    assert_non_null(call);
    assert_string_equal(call->token, "");
    fixture_answer_range(call, 3);
    assert_int_equal(outcome.status, GRPC_OK);
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
    fixture_open_client(f, 1, NULL, 0);
    struct kept kept = {0};
    struct lease_keeper *keeper = lease_keeper_open(f->client, 77, 60, on_kept, &kept);
    fixture_turn(f);
    fixture_make_ready(f, 0);
    struct fake_call *stream = fake_call_open(KEEP_PATH);
    assert_int_equal(stream->sent_count, 1);
    answer_keep(stream, 77, 60);
    assert_int_equal(kept.renewed, 1);
    fake_set_state(0, GRPC_CHANNEL_IDLE, "reset");
    fake_call_finish(stream, GRPC_UNAVAILABLE, "reset", true);
    fixture_turn(f);
    fixture_make_ready(f, 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_call_waits_for_its_endpoint_and_gets_its_answer),
        FIXTURE_TEST(test_many_calls_share_the_ready_endpoint_at_once),
        FIXTURE_TEST(test_a_read_is_tried_again_on_another_endpoint),
        FIXTURE_TEST(test_a_write_that_may_have_been_seen_is_not_repeated),
        FIXTURE_TEST(test_a_write_that_was_never_sent_is_repeated),
        FIXTURE_TEST(test_a_member_without_a_leader_is_left),
        FIXTURE_TEST(test_a_deadline_ends_a_call_that_waits),
        FIXTURE_TEST(test_unreachable_endpoints_are_told_after_the_dial_timeout),
        FIXTURE_TEST(test_a_cancelled_call_says_nothing),
        FIXTURE_TEST(test_closing_ends_every_call_with_canceled),
        FIXTURE_TEST(test_a_token_is_fetched_first_and_again_when_it_is_refused),
        FIXTURE_TEST(test_a_wrong_password_fails_the_call),
        FIXTURE_TEST(test_a_user_is_no_obstacle_where_authentication_is_off),
        FIXTURE_TEST(test_a_lease_is_renewed_on_each_new_stream_until_it_is_gone),
        FIXTURE_TEST(test_a_bad_endpoint_is_refused_before_anything_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
