/* gRPC over real sockets on 127.0.0.1: our channel against our server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/rpc.pb-c.h"
#include "tests/unit/proto/loopback.h"

static int setup(void **state)
{
    struct loopback *loopback = mem_zalloc(sizeof *loopback);
    loopback_open(loopback, &(struct loopback_options){0});
    *state = loopback;
    return 0;
}

static int teardown(void **state)
{
    loopback_close(*state);
    mem_free(*state);
    return 0;
}

static struct grpc_client_call *start(struct loopback *loopback, const char *path,
                                      struct outcome *outcome, uint64_t timeout_ms)
{
    return grpc_channel_start(
        loopback->channel,
        &(struct grpc_call_options){
            .path = path, .handler = &outcome_handler, .data = outcome, .timeout_ms = timeout_ms});
}

static void call_range(struct loopback *loopback, struct outcome *outcome, size_t key_size)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t *key = mem_alloc(key_size);
    memset(key, 'k', key_size);
    request.key = (ProtobufCBinaryData){key_size, key};
    request.limit = 7;
    (void)grpc_channel_unary(
        loopback->channel,
        &(struct grpc_call_options){.path = "/etcdserverpb.KV/Range",
                                    .response = &etcdserverpb__range_response__descriptor},
        &request.base, outcome_unary_done, outcome);
    mem_free(key);
    assert_int_equal(outcome->done, 0); /* never inside the call that asked */
}

static void test_a_unary_call_brings_back_the_decoded_answer(void **state)
{
    struct outcome outcome = {0};
    call_range(*state, &outcome, 3);
    loopback_run(*state, &outcome.done);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_true(outcome.was_sent);
    Etcdserverpb__RangeResponse *response = etcdserverpb__range_response__unpack(
        NULL, buf_size(&outcome.received), buf_bytes(&outcome.received).data);
    assert_non_null(response);
    assert_int_equal(response->n_kvs, 1);
    assert_int_equal(response->kvs[0]->key.len, 3);
    assert_memory_equal(response->kvs[0]->key.data, "kkk", 3);
    assert_int_equal(response->kvs[0]->mod_revision, 7);
    etcdserverpb__range_response__free_unpacked(response, NULL);
    outcome_deinit(&outcome);
}

static void test_a_message_larger_than_every_window_passes_both_ways(void **state)
{
    struct outcome outcome = {0};
    call_range(*state, &outcome, 3 * 1024 * 1024);
    loopback_run(*state, &outcome.done);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_true(buf_size(&outcome.received) > 3 * 1024 * 1024);
    outcome_deinit(&outcome);
}

static void test_a_message_over_the_limit_is_refused_with_grpc_go_s_text(void **state)
{
    struct outcome outcome = {0};
    call_range(*state, &outcome, 5 * 1024 * 1024);
    loopback_run(*state, &outcome.done);
    assert_int_equal(outcome.status, GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(outcome.text,
                        "grpc: received message larger than max (5242887 vs. 4194304)");
    outcome_deinit(&outcome);
}

static void test_many_calls_share_one_connection(void **state)
{
    enum { COUNT = 300 };
    struct loopback *loopback = *state;
    struct outcome *outcomes = mem_calloc(COUNT, sizeof *outcomes);
    for (unsigned i = 0; i < COUNT; i++) {
        call_range(loopback, &outcomes[i], 100);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        loopback_run(loopback, &outcomes[i].done);
        assert_int_equal(outcomes[i].status, GRPC_OK);
        outcome_deinit(&outcomes[i]);
    }
    assert_int_equal(listener_connection_count(loopback->listener), 1);
    mem_free(outcomes);
}

static void test_a_bidirectional_stream_keeps_the_order(void **state)
{
    enum { COUNT = 2000 };
    struct loopback *loopback = *state;
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(loopback, "/test.Test/Echo", &outcome, 0);
    struct buf expected = BUF_INIT;
    for (unsigned i = 0; i < COUNT; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "message %u;", i);
        grpc_client_call_send(call, bytes_make(text, (size_t)size));
        buf_append(&expected, text, (size_t)size);
    }
    grpc_client_call_half_close(call);
    loopback_run(loopback, &outcome.done);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.message_count, COUNT);
    assert_true(bytes_equal(buf_bytes(&outcome.received), buf_bytes(&expected)));
    buf_deinit(&expected);
    outcome_deinit(&outcome);
}

static void test_an_empty_message_is_a_message(void **state)
{
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(*state, "/test.Test/Echo", &outcome, 0);
    grpc_client_call_send(call, bytes_make(NULL, 0));
    grpc_client_call_half_close(call);
    loopback_run(*state, &outcome.done);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.message_count, 1);
    assert_int_equal(buf_size(&outcome.received), 0);
    outcome_deinit(&outcome);
}

static void test_a_client_stream_is_counted_to_its_end(void **state)
{
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(*state, "/test.Test/Collect", &outcome, 0);
    for (unsigned i = 0; i < 10; i++) {
        grpc_client_call_send(call, BYTES_LITERAL("12345"));
    }
    grpc_client_call_half_close(call);
    loopback_run(*state, &outcome.done);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_true(bytes_equal(buf_bytes(&outcome.received), BYTES_LITERAL("50")));
    outcome_deinit(&outcome);
}

static void test_a_status_text_survives_percent_encoding(void **state)
{
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(*state, "/test.Test/Fail", &outcome, 0);
    grpc_client_call_send(call, BYTES_LITERAL("x"));
    grpc_client_call_half_close(call);
    loopback_run(*state, &outcome.done);
    assert_int_equal(outcome.status, GRPC_NOT_FOUND);
    assert_string_equal(outcome.text, "etcdserver: nothing\nat 100% of ä");
    outcome_deinit(&outcome);
}

static void test_an_unknown_method_is_unimplemented(void **state)
{
    static const char *const paths[][2] = {
        {"/etcdserverpb.KV/Nix", "unknown method Nix for service etcdserverpb.KV"},
        {"/foo.Bar/Nix", "unknown service foo.Bar"},
    };
    for (unsigned i = 0; i < 2; i++) {
        struct outcome outcome = {0};
        struct grpc_client_call *call = start(*state, paths[i][0], &outcome, 0);
        grpc_client_call_send(call, BYTES_LITERAL("x"));
        grpc_client_call_half_close(call);
        loopback_run(*state, &outcome.done);
        assert_int_equal(outcome.status, GRPC_UNIMPLEMENTED);
        assert_string_equal(outcome.text, paths[i][1]);
        outcome_deinit(&outcome);
    }
}

static void test_a_malformed_request_is_internal(void **state)
{
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(*state, "/etcdserverpb.KV/Range", &outcome, 0);
    grpc_client_call_send(call, BYTES_LITERAL("\x0a\xff"));
    grpc_client_call_half_close(call);
    loopback_run(*state, &outcome.done);
    assert_int_equal(outcome.status, GRPC_INTERNAL);
    assert_string_equal(outcome.text, "grpc: error unmarshalling request: malformed message");
    outcome_deinit(&outcome);
}

static void test_a_unary_method_wants_exactly_one_message(void **state)
{
    struct outcome none = {0};
    struct grpc_client_call *call = start(*state, "/test.Test/Hang", &none, 0);
    grpc_client_call_half_close(call);
    loopback_run(*state, &none.done);
    assert_int_equal(none.status, GRPC_INTERNAL);
    struct outcome two = {0};
    call = start(*state, "/test.Test/Hang", &two, 0);
    grpc_client_call_send(call, BYTES_LITERAL("1"));
    grpc_client_call_send(call, BYTES_LITERAL("2"));
    loopback_run(*state, &two.done);
    assert_int_equal(two.status, GRPC_INTERNAL);
    assert_string_equal(two.text, "cardinality violation: more than one request message");
    outcome_deinit(&none);
    outcome_deinit(&two);
}

static void test_a_deadline_ends_the_call_on_both_sides(void **state)
{
    struct loopback *loopback = *state;
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(loopback, "/test.Test/Hang", &outcome, 30);
    grpc_client_call_send(call, BYTES_LITERAL("x"));
    grpc_client_call_half_close(call);
    loopback_run(loopback, &outcome.done);
    assert_int_equal(outcome.status, GRPC_DEADLINE_EXCEEDED);
    assert_string_equal(outcome.text, "context deadline exceeded");
    loopback_run(loopback, &loopback->cancel_count);
    assert_true(loopback->cancel_reason == GRPC_DEADLINE_EXCEEDED ||
                loopback->cancel_reason == GRPC_CANCELED);
    outcome_deinit(&outcome);
}

static void test_cancelling_tells_the_server(void **state)
{
    struct loopback *loopback = *state;
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(loopback, "/test.Test/Echo", &outcome, 0);
    grpc_client_call_send(call, BYTES_LITERAL("x"));
    loopback_run(loopback, &outcome.message_count);
    grpc_client_call_cancel(call, GRPC_CANCELED);
    assert_int_equal(outcome.done, 0);
    loopback_run(loopback, &outcome.done);
    assert_int_equal(outcome.status, GRPC_CANCELED);
    assert_string_equal(outcome.text, "context canceled");
    loopback_run(loopback, &loopback->cancel_count);
    assert_int_equal(loopback->cancel_reason, GRPC_CANCELED);
    outcome_deinit(&outcome);
}

static void test_a_server_stream_waits_for_a_slow_reader_and_arrives_whole(void **state)
{
    struct loopback *loopback = *state;
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(loopback, "/test.Test/Flood", &outcome, 0);
    grpc_client_call_send(call, BYTES_LITERAL("go"));
    grpc_client_call_half_close(call);
    loopback_run(loopback, &outcome.message_count);
    grpc_client_call_pause(call);
    unsigned before = outcome.message_count;
    for (unsigned i = 0; i < 2000; i++) { /* until the windows are full, and then some */
        (void)uv_run(&loopback->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(outcome.message_count, before);
    assert_int_equal(grpc_server_call_count(loopback->server), 1); /* held back by the window */
    grpc_client_call_resume(call);
    assert_int_equal(outcome.message_count, before);
    loopback_run(loopback, &outcome.done);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.message_count, LOOPBACK_FLOOD_COUNT);
    assert_int_equal(buf_size(&outcome.received),
                     (size_t)LOOPBACK_FLOOD_COUNT * LOOPBACK_FLOOD_BYTES);
    outcome_deinit(&outcome);
}

static void test_two_ends_that_write_without_reading_do_not_wait_for_each_other(void **state)
{
    enum { COUNT = 3000 };
    struct loopback *loopback = *state;
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(loopback, "/test.Test/Echo", &outcome, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        grpc_client_call_send_blob(call, bytes_make(NULL, 0), loopback->flood, 0,
                                   loopback->flood->size);
    }
    grpc_client_call_half_close(call);
    loopback_run(loopback, &outcome.done);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.message_count, COUNT);
    outcome_deinit(&outcome);
}

static void test_a_server_refuses_to_send_more_than_its_limit(void **state)
{
    (void)state;
    struct loopback loopback;
    struct outcome unary = {0};
    struct outcome stream = {0};
    loopback_open(&loopback, &(struct loopback_options){.send_bytes_max = 5000});
    call_range(&loopback, &unary, 6000);
    loopback_run(&loopback, &unary.done);
    assert_int_equal(unary.status, GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(unary.text, "grpc: trying to send message larger than max (6010 vs. 5000)");
    assert_int_equal(loopback.cancel_count, 0); /* the handler has finished the call itself */
    struct grpc_client_call *call = start(&loopback, "/test.Test/Flood", &stream, 0);
    grpc_client_call_send(call, BYTES_LITERAL("go"));
    loopback_run(&loopback, &stream.done);
    assert_int_equal(stream.status, GRPC_RESOURCE_EXHAUSTED);
    loopback_close(&loopback);
    outcome_deinit(&unary);
    outcome_deinit(&stream);
}

static void on_closed(void *context)
{
    *(unsigned *)context += 1;
}

static void test_a_server_that_shuts_down_lets_running_calls_end(void **state)
{
    struct loopback *loopback = *state;
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(loopback, "/test.Test/Echo", &outcome, 0);
    grpc_client_call_send(call, BYTES_LITERAL("before"));
    loopback_run(loopback, &outcome.message_count);
    unsigned closed = 0;
    listener_close(loopback->listener, 10 * 1000, on_closed, &closed);
    loopback->listener = NULL;
    grpc_client_call_send(call, BYTES_LITERAL(" after"));
    grpc_client_call_half_close(call);
    loopback_run(loopback, &outcome.done);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_true(bytes_equal(buf_bytes(&outcome.received), BYTES_LITERAL("before after")));
    loopback_run(loopback, &closed);
    /* And a call that comes too late finds nobody. */
    struct outcome late = {0};
    call = start(loopback, "/test.Test/Echo", &late, 0);
    loopback_run(loopback, &late.done);
    assert_int_equal(late.status, GRPC_UNAVAILABLE);
    assert_false(late.was_sent);
    assert_non_null(strstr(late.text, "connect"));
    outcome_deinit(&outcome);
    outcome_deinit(&late);
}

static void test_a_shutdown_without_patience_ends_calls_with_unavailable(void **state)
{
    struct loopback *loopback = *state;
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(loopback, "/test.Test/Echo", &outcome, 0);
    grpc_client_call_send(call, BYTES_LITERAL("x"));
    loopback_run(loopback, &outcome.message_count);
    unsigned closed = 0;
    listener_close(loopback->listener, 0, on_closed, &closed);
    loopback->listener = NULL;
    loopback_run(loopback, &closed);
    loopback_run(loopback, &outcome.done);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_int_equal(loopback->cancel_count, 1);
    outcome_deinit(&outcome);
}

static void test_closing_the_channel_cancels_its_calls(void **state)
{
    struct loopback *loopback = *state;
    struct outcome outcome = {0};
    struct grpc_client_call *call = start(loopback, "/test.Test/Echo", &outcome, 0);
    grpc_client_call_send(call, BYTES_LITERAL("x"));
    loopback_run(loopback, &outcome.message_count);
    unsigned closed = 0;
    grpc_channel_close(loopback->channel, on_closed, &closed);
    loopback->channel = NULL;
    loopback_run(loopback, &closed);
    assert_int_equal(outcome.done, 1);
    assert_int_equal(outcome.status, GRPC_CANCELED);
    outcome_deinit(&outcome);
}

static void test_a_call_waits_for_a_server_if_it_is_told_to(void **state)
{
    struct loopback *loopback = *state;
    struct grpc_channel *nobody = grpc_channel_new(
        loopback->wire, &(struct grpc_channel_options){.host = "127.0.0.1", .port = 1});
    struct outcome patient = {0};
    struct outcome hasty = {0};
    (void)grpc_channel_start(nobody, &(struct grpc_call_options){.path = "/test.Test/Echo",
                                                                 .handler = &outcome_handler,
                                                                 .data = &patient,
                                                                 .wait_for_ready = true,
                                                                 .timeout_ms = 150});
    (void)grpc_channel_start(nobody, &(struct grpc_call_options){.path = "/test.Test/Echo",
                                                                 .handler = &outcome_handler,
                                                                 .data = &hasty});
    loopback_run(loopback, &hasty.done);
    assert_int_equal(hasty.status, GRPC_UNAVAILABLE);
    assert_int_equal(patient.done, 0);
    loopback_run(loopback, &patient.done);
    assert_int_equal(patient.status, GRPC_DEADLINE_EXCEEDED);
    assert_false(patient.was_sent);
    unsigned closed = 0;
    grpc_channel_close(nobody, on_closed, &closed);
    loopback_run(loopback, &closed);
}

static void test_a_unix_socket_serves_as_well(void **state)
{
    (void)state;
    struct loopback loopback;
    struct outcome outcome = {0};
    loopback_open(&loopback, &(struct loopback_options){.use_unix = true});
    call_range(&loopback, &outcome, 3);
    loopback_run(&loopback, &outcome.done);
    assert_int_equal(outcome.status, GRPC_OK);
    loopback_close(&loopback);
    outcome_deinit(&outcome);
}

#define WITH_LOOPBACK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOPBACK(test_a_unary_call_brings_back_the_decoded_answer),
        WITH_LOOPBACK(test_a_message_larger_than_every_window_passes_both_ways),
        WITH_LOOPBACK(test_a_message_over_the_limit_is_refused_with_grpc_go_s_text),
        WITH_LOOPBACK(test_many_calls_share_one_connection),
        WITH_LOOPBACK(test_a_bidirectional_stream_keeps_the_order),
        WITH_LOOPBACK(test_an_empty_message_is_a_message),
        WITH_LOOPBACK(test_a_client_stream_is_counted_to_its_end),
        WITH_LOOPBACK(test_a_status_text_survives_percent_encoding),
        WITH_LOOPBACK(test_an_unknown_method_is_unimplemented),
        WITH_LOOPBACK(test_a_malformed_request_is_internal),
        WITH_LOOPBACK(test_a_unary_method_wants_exactly_one_message),
        WITH_LOOPBACK(test_a_deadline_ends_the_call_on_both_sides),
        WITH_LOOPBACK(test_cancelling_tells_the_server),
        WITH_LOOPBACK(test_a_server_stream_waits_for_a_slow_reader_and_arrives_whole),
        WITH_LOOPBACK(test_two_ends_that_write_without_reading_do_not_wait_for_each_other),
        cmocka_unit_test(test_a_server_refuses_to_send_more_than_its_limit),
        WITH_LOOPBACK(test_a_server_that_shuts_down_lets_running_calls_end),
        WITH_LOOPBACK(test_a_shutdown_without_patience_ends_calls_with_unavailable),
        WITH_LOOPBACK(test_closing_the_channel_cancels_its_calls),
        WITH_LOOPBACK(test_a_call_waits_for_a_server_if_it_is_told_to),
        cmocka_unit_test(test_a_unix_socket_serves_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
