#include "tests/unit/proto/http2_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void on_headers(struct http_exchange *x)
{
    struct script *script = x->data;
    script->request_count++;
    script->last = x;
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    struct script *script = x->data;
    script->body_bytes += data.size;
    if (!script->hoards) {
        http_exchange_consume(x, data.size);
    }
}

static void on_end(struct http_exchange *x)
{
    struct script *script = x->data;
    script->end_count++;
    if (script->answer_bytes > 0) {
        static const struct http_header trailer = HTTP_HEADER_INIT("grpc-status", "0");
        struct blob *body = blob_new(script->answer_bytes);
        memset(body->data, 'a', body->size);
        http_exchange_respond(x, 200, NULL, 0);
        http_exchange_send_blob(x, body, 0, body->size);
        http_exchange_finish(x, &trailer, 1);
        blob_unref(body);
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    struct script *script = x->data;
    script->close_count++;
    script->close_reason = reason;
    script->last = NULL;
}

static const struct http_handler handler = {
    .on_headers = on_headers, .on_body = on_body, .on_end = on_end, .on_close = on_close};

static void on_output(void *context)
{
    struct script *script = context;
    script->wakes++;
}

static void on_dead(void *context, int code, const char *reason)
{
    struct script *script = context;
    script->dead_code = code;
    (void)snprintf(script->dead_text, sizeof script->dead_text, "%s", reason);
}

void script_open(struct script *script, const struct http_limits *limits)
{
    memset(script, 0, sizeof *script);
    timers_init(&script->timers, 1000);
    chain_init(&script->out);
    struct http_session_options options = {.role = HTTP_SERVER,
                                           .handler = &handler,
                                           .handler_data = script,
                                           .timers = &script->timers,
                                           .on_output = on_output,
                                           .on_dead = on_dead,
                                           .context = script};
    if (limits != NULL) {
        options.limits = *limits;
    }
    http_limits_set_defaults(&options.limits);
    script->session = http2_session_new(&options);
}

void script_close(struct script *script)
{
    http2_session_free(script->session, ERR_CLOSED);
    timers_deinit(&script->timers);
    chain_deinit(&script->out);
    buf_deinit(&script->in);
}

void script_preface(struct script *script)
{
    buf_append_text(&script->in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

void script_frame(struct script *script, enum frame_type type, uint8_t flags, uint32_t stream,
                  const void *payload, size_t size)
{
    const uint8_t head[9] = {(uint8_t)(size >> 16),
                             (uint8_t)(size >> 8),
                             (uint8_t)size,
                             (uint8_t)type,
                             flags,
                             (uint8_t)(stream >> 24),
                             (uint8_t)(stream >> 16),
                             (uint8_t)(stream >> 8),
                             (uint8_t)stream};
    buf_append(&script->in, head, sizeof head);
    buf_append(&script->in, payload, size);
}

void script_u32_frame(struct script *script, enum frame_type type, uint32_t stream, uint32_t value)
{
    const uint8_t payload[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
                                (uint8_t)(value >> 8), (uint8_t)value};
    script_frame(script, type, 0, stream, payload, sizeof payload);
}

static void append_length(struct buf *block, size_t length)
{
    if (length < 127) {
        buf_append_u8(block, (uint8_t)length);
        return;
    }
    buf_append_u8(block, 127);
    for (length -= 127; length >= 128; length /= 128) {
        buf_append_u8(block, (uint8_t)(length % 128 + 128));
    }
    buf_append_u8(block, (uint8_t)length);
}

void script_literal(struct buf *block, const char *name, const char *value)
{
    buf_append_u8(block, 0);
    append_length(block, strlen(name));
    buf_append_text(block, name);
    append_length(block, strlen(value));
    buf_append_text(block, value);
}

void script_request_block(struct buf *block)
{
    script_literal(block, ":method", "POST");
    script_literal(block, ":scheme", "http");
    script_literal(block, ":path", "/echo");
    script_literal(block, ":authority", "test");
}

void script_request(struct script *script, uint32_t stream, bool ends)
{
    struct buf block = BUF_INIT;
    script_request_block(&block);
    script_frame(script, FRAME_HEADERS, (uint8_t)(END_HEADERS | (ends ? END_STREAM : 0)), stream,
                 buf_bytes(&block).data, buf_size(&block));
    buf_deinit(&block);
}

bool script_feed_by(struct script *script, size_t step)
{
    script->rv = 0;
    while (buf_size(&script->in) > 0 && script->rv == 0) {
        size_t size = buf_size(&script->in) < step ? buf_size(&script->in) : step;
        script->rv = http2_session_receive(
            script->session, bytes_make(buf_bytes(&script->in).data, size), &script->err);
        buf_consume(&script->in, size);
    }
    buf_clear(&script->in);
    return script->rv == 0;
}

bool script_feed(struct script *script)
{
    return script_feed_by(script, SIZE_MAX);
}

void script_greet(struct script *script)
{
    script_preface(script);
    script_frame(script, FRAME_SETTINGS, 0, 0, NULL, 0);
    assert_true(script_feed(script));
    (void)script_drain(script);
}

static uint32_t u32_at(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

static void look_at(struct seen *seen, uint8_t type, uint8_t flags, uint32_t stream,
                    struct bytes payload)
{
    assert_true(type < FRAME_TYPE_COUNT);
    seen->frames[type]++;
    switch (type) {
    case FRAME_DATA:
        seen->data_bytes += payload.size;
        seen->ended_streams += (flags & END_STREAM) != 0;
        break;
    case FRAME_HEADERS:
        seen->ended_streams += (flags & END_STREAM) != 0;
        break;
    case FRAME_RST_STREAM:
        seen->reset_code = u32_at(payload.data);
        seen->reset_stream = stream;
        break;
    case FRAME_PING:
    case FRAME_SETTINGS:
        seen->acks += (flags & ACK) != 0;
        break;
    case FRAME_GOAWAY:
        seen->goaway_last_stream = u32_at(payload.data);
        seen->goaway_code = u32_at(payload.data + 4);
        (void)snprintf(seen->goaway_text, sizeof seen->goaway_text, "%.*s", (int)(payload.size - 8),
                       (const char *)payload.data + 8);
        break;
    case FRAME_WINDOW_UPDATE:
        *(stream == 0 ? &seen->window_connection : &seen->window_stream) += u32_at(payload.data);
        break;
    default:
        break;
    }
}

struct seen script_drain(struct script *script)
{
    struct seen seen = {0};
    struct buf all = BUF_INIT;
    for (;;) {
        struct err err = {0};
        if (http2_session_send(script->session, &script->out, 64 * 1024, &err) != 0 ||
            script->out.size == 0) {
            break;
        }
        while (script->out.size > 0) {
            struct bytes front = chain_front(&script->out);
            buf_append_bytes(&all, front);
            chain_consume(&script->out, front.size);
        }
    }
    struct bytes left = buf_bytes(&all);
    while (left.size >= 9) {
        size_t size = (size_t)left.data[0] << 16 | (size_t)left.data[1] << 8 | left.data[2];
        assert_true(left.size >= 9 + size);
        look_at(&seen, left.data[3], left.data[4], u32_at(left.data + 5),
                bytes_make(left.data + 9, size));
        left = bytes_make(left.data + 9 + size, left.size - 9 - size);
    }
    assert_int_equal(left.size, 0);
    buf_deinit(&all);
    return seen;
}

void script_wait(struct script *script, uint64_t ms)
{
    timers_advance(&script->timers, script->timers.now_ms + ms);
}
