/* HTTP/1.1 as bytes in, bytes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/http1_session.h"

struct server {
    struct timers timers;
    struct http1_session *session;
    struct chain out;
    struct buf written; /* what the session has sent */
    struct buf body;    /* of the requests */
    struct err err;
    int dead_code;
    unsigned request_count;
    unsigned end_count;
    unsigned close_count;
    int close_reason;
    bool answers_at_once; /* in on_headers */
    bool is_silent;       /* no answer by itself */
    bool hoards;
    bool upgrades;
    char path[100];
    struct http_exchange *last;
};

static struct server server;

static void answer(struct http_exchange *x)
{
    char text[120];
    int size = snprintf(text, sizeof text, "you asked for %.*s", (int)x->path.size,
                        (const char *)x->path.data);
    http_exchange_reply(x, 200, "text/plain", bytes_make(text, (size_t)size));
}

static void on_headers(struct http_exchange *x)
{
    server.request_count++;
    server.last = x;
    (void)snprintf(server.path, sizeof server.path, "%.*s", (int)x->path.size,
                   (const char *)x->path.data);
    if (server.upgrades) {
        static const struct http_header upgrade = HTTP_HEADER_INIT("upgrade", "test");
        assert_int_equal(http_exchange_hijack(x, &upgrade, 1), 0);
    } else if (server.answers_at_once) {
        answer(x);
    }
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    buf_append_bytes(&server.body, data);
    if (server.upgrades) {
        http_exchange_send(x, data);
    }
    if (!server.hoards) {
        http_exchange_consume(x, data.size);
    }
}

static void on_end(struct http_exchange *x)
{
    server.end_count++;
    if (!server.answers_at_once && !server.is_silent && !server.upgrades) {
        answer(x);
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    (void)x;
    server.close_count++;
    server.close_reason = reason;
    server.last = NULL;
}

static const struct http_handler handler = {
    .on_headers = on_headers, .on_body = on_body, .on_end = on_end, .on_close = on_close};

static void on_output(void *context)
{
    (void)context;
}

static void on_dead(void *context, int code, const char *reason)
{
    (void)context;
    assert_non_null(reason);
    server.dead_code = code == 0 ? 1 : code;
}

static struct http_session_options options_for(enum http_role role)
{
    struct http_session_options options = {.role = role,
                                           .handler = &handler,
                                           .timers = &server.timers,
                                           .on_output = on_output,
                                           .on_dead = on_dead};
    http_limits_set_defaults(&options.limits);
    return options;
}

static int setup(void **state)
{
    (void)state;
    memset(&server, 0, sizeof server);
    timers_init(&server.timers, 1000);
    struct http_session_options options = options_for(HTTP_SERVER);
    server.session = http1_session_new(&options);
    chain_init(&server.out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http1_session_free(server.session, ERR_CLOSED);
    timers_deinit(&server.timers);
    chain_deinit(&server.out);
    buf_deinit(&server.written);
    buf_deinit(&server.body);
    return 0;
}

static const char *drain(void)
{
    buf_clear(&server.written);
    for (;;) {
        struct err err = {0};
        assert_int_equal(http1_session_send(server.session, &server.out, 4096, &err), 0);
        if (server.out.size == 0) {
            return buf_text(&server.written);
        }
        while (server.out.size > 0) {
            struct bytes front = chain_front(&server.out);
            buf_append_bytes(&server.written, front);
            chain_consume(&server.out, front.size);
        }
    }
}

static int feed(const char *text)
{
    return http1_session_receive(server.session, bytes_from_text(text), &server.err);
}

static const char answer_to_a[] = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
                                  "content-length: 16\r\n\r\nyou asked for /a";

static void test_a_connection_serves_one_request_after_the_other(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
        assert_string_equal(drain(), answer_to_a);
        assert_int_equal(server.close_count, i);
        assert_int_equal(server.close_reason, 0);
    }
    assert_false(http1_session_is_done(server.session));
}

static void test_requests_may_come_byte_by_byte(void **state)
{
    (void)state;
    const char *text = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    for (size_t i = 0; i < strlen(text); i++) {
        assert_int_equal(
            http1_session_receive(server.session, bytes_make(text + i, 1), &server.err), 0);
    }
    assert_string_equal(drain(), answer_to_a);
    assert_string_equal(buf_text(&server.body), "hello");
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    server.is_silent = true;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"
                          "GET /c HTTP/1.1\r\nHost: x\r\n\r\n"),
                     0);
    assert_int_equal(server.request_count, 1); /* the others wait */
    assert_string_equal(drain(), "");
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(server.path, i == 0 ? "/a" : i == 1 ? "/b" : "/c");
        answer(server.last);
        assert_non_null(strstr(drain(), i == 0 ? "for /a" : i == 1 ? "for /b" : "for /c"));
    }
    assert_int_equal(server.close_count, 3);
}

static void test_a_chunked_body_is_put_together(void **state)
{
    (void)state;
    assert_int_equal(feed("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
                     0);
    assert_string_equal(buf_text(&server.body), "hello world");
    assert_string_equal(drain(), answer_to_a);
}

static void test_an_answer_of_unknown_length_is_chunked(void **state)
{
    (void)state;
    server.is_silent = true;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    http_exchange_respond(server.last, 200, NULL, 0);
    http_exchange_send(server.last, BYTES_LITERAL("hello"));
    assert_string_equal(drain(),
                        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    http_exchange_send(server.last, BYTES_LITERAL("world!"));
    http_exchange_finish(server.last, NULL, 0);
    assert_string_equal(drain(), "6\r\nworld!\r\n0\r\n\r\n");
    assert_int_equal(server.close_count, 1);
}

static void test_http_1_0_closes_after_the_answer(void **state)
{
    (void)state;
    assert_int_equal(feed("GET /a HTTP/1.0\r\n\r\n"), 0);
    assert_non_null(strstr(drain(), "connection: close\r\n"));
    assert_true(http1_session_is_done(server.session));
}

static void test_connection_close_is_honoured(void **state)
{
    (void)state;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 0);
    assert_non_null(strstr(drain(), "connection: close\r\n"));
    assert_true(http1_session_is_done(server.session));
}

static void test_head_has_no_body(void **state)
{
    (void)state;
    assert_int_equal(feed("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_string_equal(drain(), "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
                                 "content-length: 16\r\n\r\n");
}

static void test_expect_100_continue_is_answered_before_the_body(void **state)
{
    (void)state;
    assert_int_equal(feed("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                          "Expect: 100-continue\r\n\r\n"),
                     0);
    assert_string_equal(drain(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(feed("hello"), 0);
    assert_string_equal(drain(), answer_to_a);
}

static void test_an_answer_before_the_body_closes_the_connection(void **state)
{
    (void)state;
    server.answers_at_once = true;
    assert_int_equal(feed("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n"
                          "Expect: 100-continue\r\n\r\n"),
                     0);
    assert_non_null(strstr(drain(), "HTTP/1.1 200 OK\r\n"));
    assert_true(http1_session_is_done(server.session));
}

static void test_an_upgraded_connection_carries_raw_bytes(void **state)
{
    (void)state;
    server.upgrades = true;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                          "Upgrade: test\r\n\r\nraw"),
                     0);
    assert_string_equal(drain(), "HTTP/1.1 101 Switching Protocols\r\nupgrade: test\r\n"
                                 "connection: Upgrade\r\n\r\nraw");
    assert_int_equal(feed("\x01\x02more"), 0);
    assert_string_equal(drain(), "\x01\x02more");
    struct err err = {0};
    assert_int_equal(http1_session_receive_end(server.session, &err), 0);
    assert_int_equal(server.end_count, 1);
    http_exchange_finish(server.last, NULL, 0);
    (void)drain();
    assert_true(http1_session_is_done(server.session));
}

static void test_an_upgrade_that_nobody_wants_is_an_ordinary_request(void **state)
{
    (void)state;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                          "Upgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n"),
                     0);
    assert_string_equal(drain(), answer_to_a);
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_string_equal(drain(), answer_to_a);
}

static void test_an_upgrade_may_be_decided_later(void **state)
{
    (void)state;
    static const struct http_header upgrade = HTTP_HEADER_INIT("upgrade", "test");
    server.is_silent = true;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                          "Upgrade: test\r\n\r\nearly"),
                     0);
    assert_int_equal(http_exchange_hijack(server.last, &upgrade, 1), 0);
    assert_non_null(strstr(drain(), "101 Switching"));
    assert_string_equal(buf_text(&server.body), "early");
    http_exchange_finish(server.last, NULL, 0);
    (void)drain();
}

static void test_hijacking_needs_a_request_for_it(void **state)
{
    (void)state;
    server.is_silent = true;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(http_exchange_hijack(server.last, NULL, 0), ERR_UNSUPPORTED);
    answer(server.last);
    assert_string_equal(drain(), answer_to_a);
}

static void test_malformed_requests_are_answered_400_and_closed(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", /* no host */
        "GET / HTTP/1.1\r\nHost: x\r\nName : value\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        /* two lengths: the way to smuggle a request past a proxy */
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n"),
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        (void)teardown(NULL);
        (void)setup(NULL);
        server.is_silent = true;
        assert_int_equal(feed(requests[i]), ERR_PROTOCOL);
        const char *text = drain();
        assert_memory_equal(text, "HTTP/1.1 400 Bad Request\r\n", 26);
        assert_non_null(strstr(text, "connection: close\r\n"));
        assert_int_equal(server.end_count, 0);
    }
}

static void test_other_versions_are_answered_505(void **state)
{
    (void)state;
    assert_int_equal(feed("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), ERR_PROTOCOL);
    assert_non_null(strstr(drain(), "505 HTTP Version Not Supported"));
}

static void test_fields_over_the_limit_are_answered_431(void **state)
{
    (void)state;
    char line[2100];
    memset(line, 'v', sizeof line - 1);
    memcpy(line, "X-Field: ", 9);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\n"), 0);
    int rv = 0;
    for (unsigned i = 0; i < 10 && rv == 0; i++) {
        rv = feed(line);
    }
    assert_int_equal(rv, ERR_PROTOCOL);
    assert_non_null(strstr(drain(), "431 Request Header Fields Too Large"));
    assert_int_equal(server.request_count, 0);
}

static void test_slow_fields_are_cut_off(void **state)
{
    (void)state;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHo"), 0);
    timers_advance(&server.timers, 1000 + 9999);
    assert_int_equal(server.dead_code, 0);
    assert_int_equal(feed("st"), 0); /* a byte now and then does not help */
    timers_advance(&server.timers, 1000 + 10000);
    assert_int_equal(server.dead_code, ERR_TIMEOUT);
    assert_non_null(strstr(drain(), "408 Request Timeout"));
}

static void test_an_idle_connection_ends_and_a_busy_one_does_not(void **state)
{
    (void)state;
    server.is_silent = true;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    timers_advance(&server.timers, 1000 + 1000 * 1000);
    assert_int_equal(server.dead_code, 0);
    answer(server.last);
    (void)drain();
    timers_advance(&server.timers, 1000 + 1119 * 1000);
    assert_int_equal(server.dead_code, 0);
    timers_advance(&server.timers, 1000 + 1120 * 1000);
    assert_int_equal(server.dead_code, 1);
}

static void test_a_body_that_is_not_consumed_stops_the_reading(void **state)
{
    (void)state;
    server.hoards = true;
    assert_int_equal(feed("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"), 0);
    char *data = mem_alloc(65536);
    memset(data, 'd', 65536);
    unsigned count = 0;
    while (http1_session_wants_input(server.session)) {
        assert_int_equal(
            http1_session_receive(server.session, bytes_make(data, 65536), &server.err), 0);
        count++;
    }
    assert_int_equal(count, 4);
    http_exchange_consume(server.last, 65536);
    assert_true(http1_session_wants_input(server.session));
    mem_free(data);
}

static void test_draining_closes_after_the_running_answer(void **state)
{
    (void)state;
    server.is_silent = true;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    http1_session_drain(server.session);
    assert_false(http1_session_is_done(server.session));
    answer(server.last);
    assert_non_null(strstr(drain(), "connection: close\r\n"));
    assert_true(http1_session_is_done(server.session));
}

static void test_a_reset_ends_the_connection(void **state)
{
    (void)state;
    server.is_silent = true;
    assert_int_equal(feed("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    http_exchange_reset(server.last, HTTP_RESET_INTERNAL);
    assert_int_equal(server.close_count, 0);
    (void)drain();
    assert_int_equal(server.close_reason, ERR_CANCELLED);
    assert_true(http1_session_is_done(server.session));
}

/* The client's side. */

static struct http1_session *start_client(const char *method, struct http_exchange **ret_x)
{
    struct http_session_options options = options_for(HTTP_CLIENT);
    struct http1_session *client = http1_session_new(&options);
    const struct http2_request request = {.method = bytes_from_text(method),
                                          .path = BYTES_LITERAL("/p?q"),
                                          .authority = BYTES_LITERAL("host:1")};
    *ret_x = http1_session_request(client, &request, &handler, NULL);
    assert_non_null(*ret_x);
    http1_session_free(server.session, ERR_CLOSED);
    server.session = client;
    server.is_silent = true;
    return client;
}

static void test_a_client_reads_an_answer_with_a_length(void **state)
{
    (void)state;
    struct http_exchange *x = NULL;
    (void)start_client("GET", &x);
    http_exchange_finish(x, NULL, 0);
    assert_string_equal(drain(), "GET /p?q HTTP/1.1\r\nhost: host:1\r\n\r\n");
    assert_int_equal(feed("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                          "X: y\r\n\r\nhello"),
                     0);
    assert_int_equal(server.request_count, 1);
    assert_int_equal(x->status, 200);
    assert_true(bytes_equal(http_headers_value(&x->headers, "x"), BYTES_LITERAL("y")));
    assert_string_equal(buf_text(&server.body), "hello");
    (void)drain();
    assert_int_equal(server.close_count, 1);
    assert_int_equal(server.close_reason, 0);
    assert_false(http1_session_is_done(server.session));
}

static void test_a_client_sends_a_chunked_body_and_reads_until_the_end(void **state)
{
    (void)state;
    struct http_exchange *x = NULL;
    (void)start_client("POST", &x);
    http_exchange_send(x, BYTES_LITERAL("body"));
    http_exchange_finish(x, NULL, 0);
    assert_string_equal(drain(), "POST /p?q HTTP/1.1\r\nhost: host:1\r\n"
                                 "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
    assert_int_equal(feed("HTTP/1.0 404 Not Found\r\n\r\nno such"), 0);
    assert_int_equal(server.end_count, 0);
    assert_int_equal(http1_session_receive_end(server.session, &server.err), 0);
    assert_int_equal(server.end_count, 1);
    assert_string_equal(buf_text(&server.body), "no such");
    (void)drain();
    assert_true(http1_session_is_done(server.session));
}

static void test_a_client_is_told_of_an_answer_that_breaks_off(void **state)
{
    (void)state;
    struct http_exchange *x = NULL;
    (void)start_client("GET", &x);
    http_exchange_finish(x, NULL, 0);
    (void)drain();
    assert_int_equal(feed("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), 0);
    assert_int_equal(http1_session_receive_end(server.session, &server.err), ERR_CLOSED);
}

int main(void)
{
#define HTTP1(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        HTTP1(test_a_connection_serves_one_request_after_the_other),
        HTTP1(test_requests_may_come_byte_by_byte),
        HTTP1(test_pipelined_requests_are_answered_in_order),
        HTTP1(test_a_chunked_body_is_put_together),
        HTTP1(test_an_answer_of_unknown_length_is_chunked),
        HTTP1(test_http_1_0_closes_after_the_answer),
        HTTP1(test_connection_close_is_honoured),
        HTTP1(test_head_has_no_body),
        HTTP1(test_expect_100_continue_is_answered_before_the_body),
        HTTP1(test_an_answer_before_the_body_closes_the_connection),
        HTTP1(test_an_upgraded_connection_carries_raw_bytes),
        HTTP1(test_an_upgrade_that_nobody_wants_is_an_ordinary_request),
        HTTP1(test_an_upgrade_may_be_decided_later),
        HTTP1(test_hijacking_needs_a_request_for_it),
        HTTP1(test_malformed_requests_are_answered_400_and_closed),
        HTTP1(test_other_versions_are_answered_505),
        HTTP1(test_fields_over_the_limit_are_answered_431),
        HTTP1(test_slow_fields_are_cut_off),
        HTTP1(test_an_idle_connection_ends_and_a_busy_one_does_not),
        HTTP1(test_a_body_that_is_not_consumed_stops_the_reading),
        HTTP1(test_draining_closes_after_the_running_answer),
        HTTP1(test_a_reset_ends_the_connection),
        HTTP1(test_a_client_reads_an_answer_with_a_length),
        HTTP1(test_a_client_sends_a_chunked_body_and_reads_until_the_end),
        HTTP1(test_a_client_is_told_of_an_answer_that_breaks_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
