/* The channel against servers that answer in every way but the right one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/rpc.pb-c.h"
#include "tests/unit/proto/loopback.h"

struct odd {
    uv_loop_t loop;
    struct wire_loop *wire;
    struct listener *listener;
    struct grpc_channel *channel;
    unsigned closing;
    unsigned request_count;
    unsigned states[4];
};

static struct odd odd;

static const struct http_header grpc_type = HTTP_HEADER_INIT("content-type", "application/grpc");

static void end_with(struct http_exchange *x, const char *status)
{
    const struct http_header trailers[] = {
        {BYTES_LITERAL("grpc-status"), bytes_from_text(status), 0},
        {BYTES_LITERAL("x-extra"), BYTES_LITERAL("kept"), 0},
    };
    http_exchange_finish(x, trailers, 2);
}

static bool asks(const struct http_exchange *x, const char *path)
{
    return bytes_equal(x->path, bytes_from_text(path));
}

static void answer_whole(struct http_exchange *x)
{
    static const struct http_header alone[] = {
        HTTP_HEADER_INIT("content-type", "application/grpc"),
        HTTP_HEADER_INIT("grpc-status", "9"),
        HTTP_HEADER_INIT("grpc-message", "only%20headers"),
    };
    static const struct http_header html[] = {HTTP_HEADER_INIT("content-type", "text/html")};
    if (asks(x, "/alone")) {
        http_exchange_respond_alone(x, 200, alone, 3);
    } else if (asks(x, "/html")) {
        http_exchange_respond(x, 502, html, 1);
        http_exchange_send(x, BYTES_LITERAL("<h1>Bad Gateway</h1>"));
        http_exchange_finish(x, NULL, 0);
    } else if (asks(x, "/reset")) {
        http_exchange_reset(x, HTTP_RESET_CANCEL);
    } else if (asks(x, "/refuse")) {
        http_exchange_reset(x, HTTP_RESET_REFUSED);
    }
}

static void answer_in_frames(struct http_exchange *x)
{
    static const struct http_header snappy[] = {
        HTTP_HEADER_INIT("content-type", "application/grpc"),
        HTTP_HEADER_INIT("grpc-encoding", "snappy"),
    };
    if (asks(x, "/snappy")) {
        http_exchange_respond(x, 200, snappy, 2);
        end_with(x, "0");
        return;
    }
    http_exchange_respond(x, 200, &grpc_type, 1);
    if (asks(x, "/two")) {
        http_exchange_send(x, bytes_make("\0\0\0\0\1a\0\0\0\0\1b", 12));
        end_with(x, "0");
    } else if (asks(x, "/none")) {
        end_with(x, "0");
    } else if (asks(x, "/no-trailers")) {
        http_exchange_send(x, bytes_make("\0\0\0\0\1a", 6));
        http_exchange_finish(x, NULL, 0);
    } else if (asks(x, "/cut")) {
        http_exchange_send(x, bytes_make("\0\0\0\0\5a", 6));
        end_with(x, "0");
    } else if (asks(x, "/flag")) {
        http_exchange_send(x, bytes_make("\7\0\0\0\1a", 6));
        end_with(x, "0");
    } else if (asks(x, "/odd-status")) {
        end_with(x, "99");
    } else if (asks(x, "/bad-status")) {
        end_with(x, "x");
    } else if (asks(x, "/large")) {
        http_exchange_send(x, bytes_make("\0\x7f\xff\xff\xff", 5));
        end_with(x, "0");
    }
}

static void on_headers(struct http_exchange *x)
{
    odd.request_count++;
    x->data = NULL;
}

static void on_end(struct http_exchange *x)
{
    answer_whole(x);
    if (!x->headers_sent && http_exchange_is_open(x) && !x->out_finished) {
        answer_in_frames(x);
    }
}

static const struct http_handler server_handler = {.on_headers = on_headers, .on_end = on_end};

static void on_state(void *context, enum grpc_channel_state state, const struct err *err)
{
    assert_ptr_equal(context, &odd);
    assert_true(state != GRPC_CHANNEL_BACKOFF || err != NULL);
    odd.states[state]++;
}

static void open_listener(uint16_t port)
{
    struct err err = {0};
    odd.listener = listener_open(
        odd.wire,
        &(struct listener_options){.host = "127.0.0.1", .port = port, .handler = &server_handler},
        &err);
    assert_string_equal(err.text, "");
}

static int setup(void **state)
{
    (void)state;
    memset(&odd, 0, sizeof odd);
    assert_int_equal(uv_loop_init(&odd.loop), 0);
    odd.wire = wire_loop_new(&odd.loop);
    open_listener(0);
    odd.channel = grpc_channel_new(
        odd.wire, &(struct grpc_channel_options){.host = "127.0.0.1",
                                                 .port = listener_port(odd.listener),
                                                 .receive_bytes_max = 1000,
                                                 .backoff_min_ms = 10,
                                                 .backoff_max_ms = 20,
                                                 .on_state = on_state,
                                                 .context = &odd});
    return 0;
}

static void on_part_closed(void *context)
{
    (void)context;
    odd.closing--;
    if (odd.closing == 0) {
        wire_loop_close(odd.wire, NULL, NULL);
    }
}

static int teardown(void **state)
{
    (void)state;
    odd.closing = odd.listener == NULL ? 1 : 2;
    grpc_channel_close(odd.channel, on_part_closed, NULL);
    if (odd.listener != NULL) {
        listener_close(odd.listener, 0, on_part_closed, NULL);
    }
    (void)uv_run(&odd.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&odd.loop);
}

static void run_until(const unsigned *flag)
{
    while (*flag == 0) {
        assert_true(uv_run(&odd.loop, UV_RUN_ONCE) != 0 || *flag != 0);
    }
}

static void call(const char *path, struct outcome *outcome)
{
    struct grpc_client_call *started = grpc_channel_start(
        odd.channel,
        &(struct grpc_call_options){.path = path, .handler = &outcome_handler, .data = outcome});
    grpc_client_call_half_close(started);
    run_until(&outcome->done);
    outcome_deinit(outcome);
}

static void expect(const char *path, enum grpc_status status, const char *text)
{
    struct outcome outcome = {0};
    call(path, &outcome);
    if (outcome.status != status || strcmp(outcome.text, text) != 0) {
        fail_msg("%s: %s \"%s\"", path, grpc_status_name(outcome.status), outcome.text);
    }
}

static void test_odd_answers_become_statuses(void **state)
{
    (void)state;
    expect("/alone", GRPC_FAILED_PRECONDITION, "only headers");
    expect("/html", GRPC_UNAVAILABLE,
           "unexpected HTTP status code received from server: 502; content-type \"text/html\"");
    expect("/reset", GRPC_CANCELED, "stream terminated by RST_STREAM");
    expect("/no-trailers", GRPC_INTERNAL, "server closed the stream without sending trailers");
    expect("/cut", GRPC_INTERNAL, "unexpected EOF");
    expect("/flag", GRPC_INTERNAL, "grpc: received unexpected payload format 7");
    expect("/odd-status", GRPC_UNKNOWN, "");
    expect("/bad-status", GRPC_INTERNAL, "server closed the stream without sending trailers");
    expect("/large", GRPC_RESOURCE_EXHAUSTED,
           "grpc: received message larger than max (2147483647 vs. 1000)");
    expect("/snappy", GRPC_INTERNAL, "grpc: unknown grpc-encoding of the answer");
    expect("/two", GRPC_OK, "");                         /* as a stream, two are fine */
    assert_int_equal(odd.states[GRPC_CHANNEL_READY], 1); /* all on one connection */
}

static void test_a_refused_call_was_not_sent(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    call("/refuse", &outcome);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_false(outcome.was_sent);
}

static void unary(const char *path, struct outcome *outcome)
{
    Etcdserverpb__HashRequest request = ETCDSERVERPB__HASH_REQUEST__INIT;
    struct grpc_client_call *started =
        grpc_channel_unary(odd.channel, &(struct grpc_call_options){.path = path}, &request.base,
                           outcome_unary_done, outcome);
    assert_non_null(started);
    run_until(&outcome->done);
    outcome_deinit(outcome);
}

static void test_a_unary_call_wants_exactly_one_answer(void **state)
{
    (void)state;
    struct outcome two = {0};
    struct outcome none = {0};
    unary("/two", &two);
    assert_int_equal(two.status, GRPC_INTERNAL);
    assert_string_equal(two.text, "cardinality violation: more than one response message");
    unary("/none", &none);
    assert_int_equal(none.status, GRPC_INTERNAL);
    assert_string_equal(none.text, "cardinality violation: no response message");
}

static void on_listener_closed(void *context)
{
    *(unsigned *)context = 1;
}

static void test_the_channel_comes_back_with_the_server(void **state)
{
    (void)state;
    struct outcome before = {0};
    struct outcome without = {0};
    struct outcome after = {0};
    unsigned closed = 0;
    uint16_t port = listener_port(odd.listener);
    call("/two", &before);
    assert_int_equal(before.status, GRPC_OK);
    listener_close(odd.listener, 0, on_listener_closed, &closed);
    odd.listener = NULL;
    run_until(&closed);
    call("/two", &without);
    assert_int_equal(without.status, GRPC_UNAVAILABLE);
    assert_false(without.was_sent);
    assert_non_null(strstr(without.text, "connection refused"));
    open_listener(port);
    struct grpc_client_call *patient = grpc_channel_start(
        odd.channel,
        &(struct grpc_call_options){
            .path = "/two", .handler = &outcome_handler, .data = &after, .wait_for_ready = true});
    grpc_client_call_half_close(patient);
    run_until(&after.done);
    assert_int_equal(after.status, GRPC_OK);
    assert_true(odd.states[GRPC_CHANNEL_BACKOFF] >= 1);
    outcome_deinit(&after);
}

static void test_an_unknown_host_is_unavailable(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    unsigned closed = 0;
    struct grpc_channel *lost = grpc_channel_new(
        odd.wire, &(struct grpc_channel_options){.host = "no-such-host.invalid", .port = 1});
    (void)grpc_channel_start(
        lost,
        &(struct grpc_call_options){.path = "/x", .handler = &outcome_handler, .data = &outcome});
    run_until(&outcome.done);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_non_null(strstr(outcome.text, "lookup no-such-host.invalid"));
    grpc_channel_close(lost, on_listener_closed, &closed);
    run_until(&closed);
}

static void test_a_port_that_never_answers_times_out(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    unsigned closed = 0;
    /* A listening socket that nobody accepts from: connected, and silent. */
    uv_tcp_t deaf;
    struct sockaddr_in address;
    struct sockaddr_in bound;
    int size = sizeof bound;
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(uv_tcp_init(&odd.loop, &deaf), 0);
    assert_int_equal(uv_tcp_bind(&deaf, (const struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_tcp_getsockname(&deaf, (struct sockaddr *)&bound, &size), 0);
    uv_os_fd_t fd = -1;
    assert_int_equal(uv_fileno((const uv_handle_t *)&deaf, &fd), 0);
    assert_int_equal(listen(fd, 5), 0);
    struct grpc_channel *channel =
        grpc_channel_new(odd.wire, &(struct grpc_channel_options){.host = "127.0.0.1",
                                                                  .port = ntohs(bound.sin_port),
                                                                  .connect_timeout_ms = 30});
    (void)grpc_channel_start(
        channel,
        &(struct grpc_call_options){.path = "/x", .handler = &outcome_handler, .data = &outcome});
    run_until(&outcome.done);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_non_null(strstr(outcome.text, "handshake not complete within the time limit"));
    grpc_channel_close(channel, on_listener_closed, &closed);
    uv_close((uv_handle_t *)&deaf, NULL);
    run_until(&closed);
}

int main(void)
{
#define ODD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ODD(test_odd_answers_become_statuses),
        ODD(test_a_refused_call_was_not_sent),
        ODD(test_a_unary_call_wants_exactly_one_answer),
        ODD(test_the_channel_comes_back_with_the_server),
        ODD(test_an_unknown_host_is_unavailable),
        ODD(test_a_port_that_never_answers_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
