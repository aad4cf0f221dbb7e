/* The HTTP/2 filter's ordinary life: frames in, exchanges, frames out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/proto/http2_script.h"

static struct script script;

static int setup(void **state)
{
    (void)state;
    script_open(&script, NULL);
    script_greet(&script);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    script_close(&script);
    return 0;
}

static void test_a_request_is_answered_with_headers_data_and_trailers(void **state)
{
    (void)state;
    script.answer_bytes = 40;
    script_request(&script, 1, false);
    script_frame(&script, FRAME_DATA, END_STREAM, 1, "hello", 5);
    assert_true(script_feed(&script));
    assert_int_equal(script.request_count, 1);
    assert_int_equal(script.body_bytes, 5);
    assert_int_equal(script.end_count, 1);
    struct seen seen = script_drain(&script);
    assert_int_equal(seen.frames[FRAME_HEADERS], 2);
    assert_int_equal(seen.frames[FRAME_DATA], 1);
    assert_int_equal(seen.data_bytes, 40);
    assert_int_equal(seen.ended_streams, 1);
    assert_int_equal(script.close_count, 1);
    assert_int_equal(script.close_reason, 0);
}

static void test_every_way_to_cut_the_input_gives_the_same_answer(void **state)
{
    (void)state;
    for (size_t step = 1; step < 40; step++) {
        struct script cut;
        script_open(&cut, NULL);
        cut.answer_bytes = 20000;
        script_preface(&cut);
        script_frame(&cut, FRAME_SETTINGS, 0, 0, NULL, 0);
        for (unsigned i = 0; i < 3; i++) {
            script_request(&cut, 2 * i + 1, false);
            script_frame(&cut, FRAME_DATA, END_STREAM, 2 * i + 1, "hello", 5);
        }
        assert_true(script_feed_by(&cut, step));
        struct seen seen = script_drain(&cut);
        assert_int_equal(cut.request_count, 3);
        assert_int_equal(cut.body_bytes, 15);
        assert_int_equal(seen.data_bytes, 60000);
        assert_int_equal(seen.ended_streams, 3);
        script_close(&cut);
    }
}

static void test_an_answer_that_is_fields_only_is_one_frame(void **state)
{
    (void)state;
    static const struct http_header field = HTTP_HEADER_INIT("grpc-status", "12");
    script_request(&script, 1, true);
    assert_true(script_feed(&script));
    http_exchange_respond_alone(script.last, 200, &field, 1);
    struct seen seen = script_drain(&script);
    assert_int_equal(seen.frames[FRAME_HEADERS], 1);
    assert_int_equal(seen.frames[FRAME_DATA], 0);
    assert_int_equal(seen.ended_streams, 1);
}

static void test_an_answer_before_the_end_of_the_request_waits_for_it_a_moment(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        script_request(&script, 2 * i + 1, false);
        assert_true(script_feed(&script));
        http_exchange_reply(script.last, 413, "text/plain", BYTES_LITERAL("too long"));
    }
    struct seen seen = script_drain(&script);
    assert_int_equal(seen.ended_streams, 2);
    assert_int_equal(seen.frames[FRAME_RST_STREAM], 0);
    script_frame(&script, FRAME_DATA, END_STREAM, 1, "hello", 5);
    assert_true(script_feed(&script));
    assert_int_equal(script.close_count, 1);
    script_wait(&script, 999);
    assert_int_equal(script_drain(&script).frames[FRAME_RST_STREAM], 0);
    script_wait(&script, 1);
    seen = script_drain(&script);
    assert_int_equal(seen.frames[FRAME_RST_STREAM], 1);
    assert_int_equal(seen.reset_code, 0);
    assert_int_equal(seen.reset_stream, 3);
    assert_int_equal(script.close_count, 2);
}

static void test_the_window_stays_closed_until_the_body_is_consumed(void **state)
{
    (void)state;
    struct script small;
    struct http_limits limits = {.stream_window_bytes = 65535, .connection_window_bytes = 131072};
    uint8_t data[16384] = {0};
    script_open(&small, &limits);
    script_greet(&small);
    small.hoards = true;
    script_request(&small, 1, false);
    for (unsigned i = 0; i < 3; i++) {
        script_frame(&small, FRAME_DATA, 0, 1, data, sizeof data);
    }
    assert_true(script_feed(&small));
    assert_int_equal(small.body_bytes, 3 * sizeof data);
    assert_int_equal(script_drain(&small).frames[FRAME_WINDOW_UPDATE], 0);
    http_exchange_consume(small.last, small.body_bytes);
    struct seen seen = script_drain(&small);
    assert_int_equal(seen.window_stream, 3 * sizeof data);
    script_close(&small);
}

static void test_a_closed_exchange_gives_its_window_back_to_the_connection(void **state)
{
    (void)state;
    struct script small;
    struct http_limits limits = {.stream_window_bytes = 65535, .connection_window_bytes = 65536};
    uint8_t data[16384] = {0};
    script_open(&small, &limits);
    script_greet(&small);
    small.hoards = true;
    script_request(&small, 1, false);
    for (unsigned i = 0; i < 3; i++) {
        script_frame(&small, FRAME_DATA, 0, 1, data, sizeof data);
    }
    script_u32_frame(&small, FRAME_RST_STREAM, 1, 8);
    assert_true(script_feed(&small));
    assert_int_equal(small.close_reason, ERR_CANCELLED);
    assert_int_equal(script_drain(&small).window_connection, 3 * sizeof data);
    script_close(&small);
}

static void test_a_client_that_sends_over_the_window_is_stopped(void **state)
{
    (void)state;
    struct script small;
    struct http_limits limits = {.stream_window_bytes = 32768};
    uint8_t data[16384] = {0};
    script_open(&small, &limits);
    script_greet(&small);
    script_frame(&small, FRAME_SETTINGS, ACK, 0, NULL, 0);
    small.hoards = true;
    script_request(&small, 1, false);
    for (unsigned i = 0; i < 4; i++) {
        script_frame(&small, FRAME_DATA, 0, 1, data, sizeof data);
    }
    (void)script_feed(&small);
    struct seen seen = script_drain(&small);
    assert_true(seen.frames[FRAME_RST_STREAM] + seen.frames[FRAME_GOAWAY] > 0);
    assert_true(small.body_bytes < 65536); /* nghttp2 notices with the frame that passes it */
    script_close(&small);
}

static void test_a_keepalive_ping_that_is_answered_keeps_the_connection(void **state)
{
    (void)state;
    script_wait(&script, 2 * 3600 * 1000 - 1);
    assert_int_equal(script_drain(&script).frames[FRAME_PING], 0);
    script_wait(&script, 1);
    assert_int_equal(script_drain(&script).frames[FRAME_PING], 1);
    script_wait(&script, 19 * 1000);
    script_frame(&script, FRAME_PING, ACK, 0, "k\0\0\0\0\0\0\0", 8);
    assert_true(script_feed(&script));
    script_wait(&script, 3600 * 1000);
    assert_int_equal(script.dead_code, 0);
}

static void test_a_keepalive_ping_without_an_answer_ends_the_connection(void **state)
{
    (void)state;
    script_wait(&script, 2 * 3600 * 1000);
    assert_int_equal(script_drain(&script).frames[FRAME_PING], 1);
    script_wait(&script, 20 * 1000);
    assert_int_equal(script.dead_code, ERR_TIMEOUT);
    assert_string_equal(script.dead_text, "keepalive ping was not answered");
}

static void test_draining_takes_what_was_on_its_way_and_then_no_more(void **state)
{
    (void)state;
    script.answer_bytes = 10;
    script_request(&script, 1, false);
    assert_true(script_feed(&script));
    http2_session_drain(script.session);
    struct seen seen = script_drain(&script);
    assert_int_equal(seen.frames[FRAME_GOAWAY], 1);
    assert_int_equal(seen.goaway_last_stream, 0x7fffffff);
    assert_int_equal(seen.frames[FRAME_PING], 1);
    script_request(&script, 3, true); /* crossed the GOAWAY */
    assert_true(script_feed(&script));
    assert_int_equal(script.request_count, 2);
    script_frame(&script, FRAME_PING, ACK, 0, "d\0\0\0\0\0\0\0", 8);
    assert_true(script_feed(&script));
    seen = script_drain(&script);
    assert_int_equal(seen.goaway_last_stream, 3);
    assert_false(http2_session_is_done(script.session));
    script_request(&script, 5, true);
    assert_true(script_feed(&script));
    assert_int_equal(script.request_count, 2);
    script_frame(&script, FRAME_DATA, END_STREAM, 1, "end", 3);
    assert_true(script_feed(&script));
    (void)script_drain(&script);
    assert_int_equal(script.close_count, 2);
    assert_true(http2_session_is_done(script.session));
}

static void test_draining_does_not_wait_for_a_ping_for_ever(void **state)
{
    (void)state;
    http2_session_drain(script.session);
    (void)script_drain(&script);
    assert_false(http2_session_is_done(script.session));
    script_wait(&script, 1000);
    (void)script_drain(&script);
    assert_true(http2_session_is_done(script.session));
}

static void test_freeing_a_session_closes_its_exchanges(void **state)
{
    (void)state;
    struct script doomed;
    script_open(&doomed, NULL);
    script_greet(&doomed);
    script_request(&doomed, 1, false);
    script_request(&doomed, 3, true);
    assert_true(script_feed(&doomed));
    struct http_exchange *kept = http_exchange_ref(doomed.last);
    script_close(&doomed);
    assert_int_equal(doomed.close_count, 2);
    assert_int_equal(doomed.close_reason, ERR_CLOSED);
    /* Who holds a reference may go on calling; nothing happens. */
    assert_false(http_exchange_is_open(kept));
    http_exchange_send(kept, BYTES_LITERAL("late"));
    http_exchange_finish(kept, NULL, 0);
    http_exchange_reset(kept, HTTP_RESET_CANCEL);
    assert_true(bytes_equal(kept->path, BYTES_LITERAL("/echo")));
    http_exchange_unref(kept);
}

static void test_a_reset_by_the_handler_is_told_as_cancelled(void **state)
{
    (void)state;
    script_request(&script, 1, false);
    assert_true(script_feed(&script));
    http_exchange_reset(script.last, HTTP_RESET_CANCEL);
    assert_int_equal(script.close_count, 0); /* never inside the call */
    struct seen seen = script_drain(&script);
    assert_int_equal(seen.reset_code, 8);
    assert_int_equal(script.close_count, 1);
    assert_int_equal(script.close_reason, ERR_CANCELLED);
}

static void test_trailers_of_a_request_are_kept_apart_from_its_headers(void **state)
{
    (void)state;
    struct buf block = BUF_INIT;
    script_request(&script, 1, false);
    script_frame(&script, FRAME_DATA, 0, 1, "hello", 5);
    script_literal(&block, "x-sum", "5");
    script_frame(&script, FRAME_HEADERS, END_HEADERS | END_STREAM, 1, buf_bytes(&block).data,
                 buf_size(&block));
    assert_true(script_feed(&script));
    assert_int_equal(script.end_count, 1);
    assert_int_equal(script.last->headers.count, 0);
    assert_int_equal(script.last->trailers.count, 1);
    assert_true(
        bytes_equal(http_headers_value(&script.last->trailers, "x-sum"), BYTES_LITERAL("5")));
    buf_deinit(&block);
}

static void test_malformed_requests_never_reach_the_handler(void **state)
{
    (void)state;
    static const char *const fields[][2] = {{"Upper", "case"},
                                            {":status", "200"},
                                            {"connection", "close"},
                                            {"te", "gzip"},
                                            {"x", "line\nbreak"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct buf block = BUF_INIT;
        script_request_block(&block);
        script_literal(&block, fields[i][0], fields[i][1]);
        script_frame(&script, FRAME_HEADERS, END_HEADERS | END_STREAM, (uint32_t)(2 * i + 1),
                     buf_bytes(&block).data, buf_size(&block));
        (void)script_feed(&script);
        struct seen seen = script_drain(&script);
        assert_int_equal(seen.frames[FRAME_HEADERS], 0);
        buf_deinit(&block);
    }
    /* nghttp2 drops a field with a bad value and keeps the request, as RFC 9113 lets it. */
    assert_true(script.request_count <= 1);
}

int main(void)
{
#define SESSION(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        SESSION(test_a_request_is_answered_with_headers_data_and_trailers),
        SESSION(test_every_way_to_cut_the_input_gives_the_same_answer),
        SESSION(test_an_answer_that_is_fields_only_is_one_frame),
        SESSION(test_an_answer_before_the_end_of_the_request_waits_for_it_a_moment),
        SESSION(test_the_window_stays_closed_until_the_body_is_consumed),
        SESSION(test_a_closed_exchange_gives_its_window_back_to_the_connection),
        SESSION(test_a_client_that_sends_over_the_window_is_stopped),
        SESSION(test_a_keepalive_ping_that_is_answered_keeps_the_connection),
        SESSION(test_a_keepalive_ping_without_an_answer_ends_the_connection),
        SESSION(test_draining_takes_what_was_on_its_way_and_then_no_more),
        SESSION(test_draining_does_not_wait_for_a_ping_for_ever),
        SESSION(test_freeing_a_session_closes_its_exchanges),
        SESSION(test_a_reset_by_the_handler_is_told_as_cancelled),
        SESSION(test_trailers_of_a_request_are_kept_apart_from_its_headers),
        SESSION(test_malformed_requests_never_reach_the_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
