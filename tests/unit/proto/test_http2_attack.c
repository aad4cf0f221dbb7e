/* What hostile clients do to an HTTP/2 server, as bytes (reliability.md section 3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/proto/http2_script.h"

enum { PROTOCOL_ERROR = 1, REFUSED_STREAM = 7, ENHANCE_YOUR_CALM = 11 };

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

/* CVE-2023-44487. */
static void test_rapid_reset_ends_the_connection(void **state)
{
    (void)state;
    unsigned sent = 0;
    bool is_alive = true;
    while (is_alive && sent < 5000) {
        uint32_t stream = 2 * sent + 1;
        script_request(&script, stream, true);
        script_u32_frame(&script, FRAME_RST_STREAM, stream, 8);
        is_alive = script_feed(&script) && !http2_session_is_done(script.session);
        (void)script_drain(&script);
        sent++;
    }
    assert_false(is_alive);
    assert_in_range(sent, 900, 1200);
    assert_int_equal(script.request_count, script.close_count);
}

static void test_resets_at_a_human_pace_are_fine(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        script_wait(&script, 40); /* 25 a second */
        script_request(&script, 2 * i + 1, true);
        (void)script_feed(&script);
        (void)script_drain(&script);
    }
    assert_int_equal(script.request_count, 1000); /* the concurrency limit */
    assert_int_equal(script.err.code, 0);
}

/* CVE-2025-8671: frames that make the server reset the stream. */
static void test_made_you_reset_ends_the_connection(void **state)
{
    (void)state;
    script.answer_bytes = 10;
    unsigned sent = 0;
    bool is_alive = true;
    while (is_alive && sent < 5000) {
        uint32_t stream = 2 * sent + 1;
        script_request(&script, stream, true);
        script_u32_frame(&script, FRAME_WINDOW_UPDATE, stream, 0x7fffffff); /* overflows */
        is_alive = script_feed(&script);
        struct seen seen = script_drain(&script);
        is_alive =
            is_alive && !http2_session_is_done(script.session) && seen.frames[FRAME_GOAWAY] == 0;
        sent++;
    }
    assert_false(is_alive);
    assert_in_range(sent, 900, 1200);
}

/* The class of CVE-2024-27316. */
static void test_a_continuation_flood_ends_the_connection(void **state)
{
    (void)state;
    struct buf block = BUF_INIT;
    script_request_block(&block);
    script_frame(&script, FRAME_HEADERS, 0, 1, buf_bytes(&block).data, buf_size(&block));
    for (unsigned i = 0; i < 100; i++) {
        buf_clear(&block);
        script_literal(&block, "x", "y");
        script_frame(&script, FRAME_CONTINUATION, 0, 1, buf_bytes(&block).data, buf_size(&block));
    }
    assert_false(script_feed(&script) && !http2_session_is_done(script.session) &&
                 script_drain(&script).frames[FRAME_GOAWAY] == 0);
    assert_int_equal(script.request_count, 0);
    buf_deinit(&block);
}

/* CVE-2019-9515, with a client that reads nothing. */
static void test_a_settings_flood_ends_the_connection(void **state)
{
    (void)state;
    unsigned sent = 0;
    while (sent < 100000) {
        script_frame(&script, FRAME_SETTINGS, 0, 0, NULL, 0);
        sent++;
        if (!script_feed(&script)) {
            break;
        }
    }
    assert_int_equal(script.rv, ERR_BUSY);
    assert_in_range(sent, 900, 12000);
}

static void test_too_many_settings_in_a_frame_end_the_connection(void **state)
{
    (void)state;
    uint8_t payload[6 * 40] = {0};
    for (unsigned i = 0; i < 40; i++) {
        payload[6 * i + 1] = 3;
    }
    script_frame(&script, FRAME_SETTINGS, 0, 0, payload, sizeof payload);
    bool is_alive = script_feed(&script);
    assert_true(!is_alive || script_drain(&script).frames[FRAME_GOAWAY] == 1);
}

static void ping(void)
{
    script_frame(&script, FRAME_PING, 0, 0, "12345678", 8);
}

/* CVE-2019-9512, and gRPC's keepalive enforcement. */
static void test_pings_that_come_too_often_end_the_connection(void **state)
{
    (void)state;
    script_request(&script, 1, false);
    assert_true(script_feed(&script));
    for (unsigned i = 0; i < 3; i++) {
        ping();
        assert_true(script_feed(&script));
        script_wait(&script, 1000);
    }
    ping();
    assert_false(script_feed(&script));
    struct seen seen = script_drain(&script);
    assert_int_equal(seen.frames[FRAME_GOAWAY], 1);
    assert_int_equal(seen.goaway_code, ENHANCE_YOUR_CALM);
    assert_string_equal(seen.goaway_text, "too_many_pings");
}

static void test_pings_every_five_seconds_are_welcome(void **state)
{
    (void)state;
    script_request(&script, 1, false);
    for (unsigned i = 0; i < 100; i++) {
        ping();
        assert_true(script_feed(&script));
        assert_int_equal(script_drain(&script).acks, 1);
        script_wait(&script, 5000);
    }
}

static void test_pings_without_a_stream_end_the_connection(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        ping();
        assert_true(script_feed(&script));
        script_wait(&script, 60 * 1000);
    }
    ping();
    assert_false(script_feed(&script));
}

static void test_pings_between_answers_are_a_client_measuring_the_line(void **state)
{
    (void)state;
    script.answer_bytes = 100;
    for (unsigned i = 0; i < 1000; i++) {
        script_request(&script, 2 * i + 1, true);
        assert_true(script_feed(&script));
        (void)script_drain(&script);
        ping();
        assert_true(script_feed(&script));
        (void)script_drain(&script);
    }
}

static void test_any_pings_may_be_allowed(void **state)
{
    (void)state;
    struct script tolerant;
    struct http_limits limits = {.ping_interval_min_ms = UINT32_MAX};
    script_open(&tolerant, &limits);
    script_greet(&tolerant);
    for (unsigned i = 0; i < 500; i++) {
        script_frame(&tolerant, FRAME_PING, 0, 0, "12345678", 8);
        assert_true(script_feed(&tolerant));
        (void)script_drain(&tolerant);
    }
    script_close(&tolerant);
}

/* CVE-2019-9518. */
static void test_empty_data_frames_end_the_connection(void **state)
{
    (void)state;
    script_request(&script, 1, false);
    unsigned sent = 0;
    while (sent < 50000 && script_feed(&script)) {
        script_frame(&script, FRAME_DATA, 0, 1, NULL, 0);
        sent++;
    }
    assert_int_equal(script.rv, ERR_BUSY);
    assert_in_range(sent, 9000, 11000);
}

/* CVE-2019-9513. */
static void test_a_priority_flood_ends_the_connection(void **state)
{
    (void)state;
    script_request(&script, 1, false);
    unsigned sent = 0;
    while (sent < 50000 && script_feed(&script)) {
        script_frame(&script, FRAME_PRIORITY, 0, 1, "\0\0\0\0\1", 5);
        sent++;
    }
    assert_int_equal(script.rv, ERR_BUSY);
}

static void expect_431(void)
{
    assert_true(script_feed(&script));
    struct seen seen = script_drain(&script);
    assert_int_equal(script.request_count, 0);
    assert_int_equal(seen.frames[FRAME_HEADERS], 1);
    assert_int_equal(seen.ended_streams, 1);
    assert_int_equal(seen.frames[FRAME_GOAWAY], 0);
}

static void test_a_header_section_over_the_limit_is_answered_431(void **state)
{
    (void)state;
    struct buf block = BUF_INIT;
    char value[3500];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    script_request_block(&block);
    for (unsigned i = 0; i < 5; i++) {
        script_literal(&block, "x-large", value);
    }
    size_t first = 16000;
    script_frame(&script, FRAME_HEADERS, END_STREAM, 1, buf_bytes(&block).data, first);
    script_frame(&script, FRAME_CONTINUATION, END_HEADERS, 1, buf_bytes(&block).data + first,
                 buf_size(&block) - first);
    script_request(&script, 3, true);
    assert_true(script_feed(&script));
    assert_int_equal(script.request_count, 1); /* only the second */
    assert_int_equal(script_drain(&script).frames[FRAME_HEADERS], 1);
    buf_deinit(&block);
}

/* One large entry in the table, then a byte for each repetition. */
static void test_an_hpack_bomb_is_answered_431(void **state)
{
    (void)state;
    struct buf block = BUF_INIT;
    script_request_block(&block);
    buf_append_u8(&block, 0x40); /* literal with indexing, new name */
    buf_append_u8(&block, 1);
    buf_append_text(&block, "b");
    buf_append_u8(&block, 127);
    buf_append_u8(&block, 0x80 | ((3000 - 127) % 128));
    buf_append_u8(&block, (3000 - 127) / 128);
    for (unsigned i = 0; i < 3000; i++) {
        buf_append_u8(&block, 'b');
    }
    for (unsigned i = 0; i < 5000; i++) {
        buf_append_u8(&block, 0x80 | 62);
    }
    script_frame(&script, FRAME_HEADERS, END_HEADERS | END_STREAM, 1, buf_bytes(&block).data,
                 buf_size(&block));
    expect_431();
    buf_deinit(&block);
}

static void test_too_many_small_fields_are_answered_431(void **state)
{
    (void)state;
    struct buf block = BUF_INIT;
    script_request_block(&block);
    for (unsigned i = 0; i < 200; i++) {
        script_literal(&block, "x", "");
    }
    script_frame(&script, FRAME_HEADERS, END_HEADERS | END_STREAM, 1, buf_bytes(&block).data,
                 buf_size(&block));
    expect_431();
    buf_deinit(&block);
}

static void test_a_header_section_that_dribbles_is_cut_off(void **state)
{
    (void)state;
    struct buf block = BUF_INIT;
    script_request_block(&block);
    script_frame(&script, FRAME_HEADERS, END_HEADERS, 1, buf_bytes(&block).data, buf_size(&block));
    buf_truncate(&script.in, 20);
    assert_true(script_feed(&script));
    script_wait(&script, 9999);
    assert_int_equal(script.dead_code, 0);
    script_wait(&script, 1);
    assert_int_equal(script.dead_code, ERR_TIMEOUT);
    assert_string_equal(script.dead_text, "header section not complete within the time limit");
    buf_deinit(&block);
}

static void test_a_client_that_says_nothing_is_cut_off(void **state)
{
    (void)state;
    struct script silent;
    script_open(&silent, NULL);
    script_preface(&silent);
    assert_true(script_feed(&silent));
    script_wait(&silent, 10 * 1000);
    assert_int_equal(silent.dead_code, ERR_TIMEOUT);
    script_close(&silent);
}

static void test_streams_over_the_limit_are_refused(void **state)
{
    (void)state;
    struct script few;
    struct http_limits limits = {.concurrent_streams_max = 4};
    script_open(&few, &limits);
    script_greet(&few);
    /* A client that has not yet seen the limit is told to come again, */
    for (unsigned i = 0; i < 5; i++) {
        script_request(&few, 2 * i + 1, true);
    }
    assert_true(script_feed(&few));
    struct seen seen = script_drain(&few);
    assert_int_equal(few.request_count, 4);
    assert_int_equal(seen.frames[FRAME_RST_STREAM], 1);
    assert_int_equal(seen.reset_code, REFUSED_STREAM);
    assert_int_equal(seen.reset_stream, 9);
    /* one that has acknowledged it is broken. */
    script_frame(&few, FRAME_SETTINGS, ACK, 0, NULL, 0);
    script_request(&few, 11, true);
    (void)script_feed(&few);
    seen = script_drain(&few);
    assert_int_equal(few.request_count, 4);
    assert_int_equal(seen.frames[FRAME_GOAWAY], 1);
    assert_int_equal(seen.goaway_code, PROTOCOL_ERROR);
    script_close(&few);
}

static void test_a_bad_preface_is_a_protocol_error(void **state)
{
    (void)state;
    struct script bad;
    script_open(&bad, NULL);
    buf_append_text(&bad.in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX");
    assert_false(script_feed(&bad));
    assert_int_equal(bad.rv, ERR_PROTOCOL);
    script_close(&bad);
}

/* Answers that the client never makes room for stay bounded: they wait in the exchanges, and a
 * connection gives its writer no more than it asked for. */
static void test_output_is_given_in_portions(void **state)
{
    (void)state;
    script.answer_bytes = 60000;
    for (unsigned i = 0; i < 50; i++) {
        script_request(&script, 2 * i + 1, true);
    }
    assert_true(script_feed(&script));
    struct err err = {0};
    struct chain out;
    chain_init(&out);
    assert_int_equal(http2_session_send(script.session, &out, 10000, &err), 0);
    assert_in_range(out.size, 10000, 10000 + 16384 + 9);
    chain_deinit(&out);
}

int main(void)
{
#define ATTACK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ATTACK(test_rapid_reset_ends_the_connection),
        ATTACK(test_resets_at_a_human_pace_are_fine),
        ATTACK(test_made_you_reset_ends_the_connection),
        ATTACK(test_a_continuation_flood_ends_the_connection),
        ATTACK(test_a_settings_flood_ends_the_connection),
        ATTACK(test_too_many_settings_in_a_frame_end_the_connection),
        ATTACK(test_pings_that_come_too_often_end_the_connection),
        ATTACK(test_pings_every_five_seconds_are_welcome),
        ATTACK(test_pings_without_a_stream_end_the_connection),
        ATTACK(test_pings_between_answers_are_a_client_measuring_the_line),
        ATTACK(test_any_pings_may_be_allowed),
        ATTACK(test_empty_data_frames_end_the_connection),
        ATTACK(test_a_priority_flood_ends_the_connection),
        ATTACK(test_a_header_section_over_the_limit_is_answered_431),
        ATTACK(test_an_hpack_bomb_is_answered_431),
        ATTACK(test_too_many_small_fields_are_answered_431),
        ATTACK(test_a_header_section_that_dribbles_is_cut_off),
        ATTACK(test_a_client_that_says_nothing_is_cut_off),
        ATTACK(test_streams_over_the_limit_are_refused),
        ATTACK(test_a_bad_preface_is_a_protocol_error),
        ATTACK(test_output_is_given_in_portions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
