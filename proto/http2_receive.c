#include "base/check.h"
#include "proto/http2_internal.h"

/* grpc-go: a third ping too soon ends the connection; without a stream a ping counts as too soon
 * for two hours. */
enum { PING_STRIKES_MAX = 2, IDLE_PING_INTERVAL_MS = 2 * 3600 * 1000 };

static struct http_exchange *find(struct http2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session->ng, stream_id);
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    struct http2_session *session = context;
    session->header_since_ms = session->options.timers->now_ms;
    if (session->header_since_ms == 0) {
        session->header_since_ms = 1;
    }
    session->header_x = NULL;
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct http_exchange *x =
            http_exchange_open(&session->pool, &session->options, &http2_exchange_ops, session);
        x->version = 2;
        x->stream_id = frame->hd.stream_id;
        CHECK(nghttp2_session_set_stream_user_data(ng, x->stream_id, x) == 0);
        session->header_x = x;
        return 0;
    }
    struct http_exchange *x = find(session, frame->hd.stream_id);
    session->header_x = x;
    if (x != NULL) {
        x->header_bytes = 0;
        if (!x->headers_received) {
            x->headers.count = 0; /* after an informational (1xx) response */
        }
    }
    return 0;
}

static bool set_pseudo_header(struct http_exchange *x, struct bytes name, struct bytes value)
{
    struct bytes *field = NULL;
    switch (name.data[1]) {
    case 'm':
        field = &x->method;
        break;
    case 'p':
        field = bytes_equal(name, BYTES_LITERAL(":path")) ? &x->path : NULL;
        break;
    case 'a':
        field = &x->authority;
        break;
    case 's':
        if (bytes_equal(name, BYTES_LITERAL(":scheme"))) {
            field = &x->scheme;
        } else if (value.size == 3) { /* ":status", which nghttp2 has checked */
            x->status = (unsigned)(value.data[0] - '0') * 100 +
                        (unsigned)(value.data[1] - '0') * 10 + (unsigned)(value.data[2] - '0');
            return true;
        }
        break;
    default:
        break;
    }
    if (field != NULL) {
        *field = bytes_make(arena_dup(&x->arena, value.data, value.size), value.size);
    }
    return true;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *context)
{
    (void)ng;
    (void)flags;
    struct http2_session *session = context;
    struct http_exchange *x = session->header_x;
    if (x == NULL || x->stream_id != frame->hd.stream_id) {
        return 0;
    }
    const struct http_limits *limits = &session->options.limits;
    if (x->role == HTTP_SERVER && !http2_validate_field(&x->validator, bytes_make(name, name_size),
                                                        bytes_make(value, value_size))) {
        x->is_malformed = true;
    }
    if (x->header_bytes > limits->header_list_bytes_max || x->is_malformed) {
        return 0; /* too much already; the answer comes at the end of the section */
    }
    size_t size = name_size + value_size + 32;
    bool fits = size <= limits->header_list_bytes_max - x->header_bytes;
    struct http_headers *headers = x->headers_received ? &x->trailers : &x->headers;
    if (fits && name_size > 1 && name[0] == ':') {
        fits = set_pseudo_header(x, bytes_make(name, name_size), bytes_make(value, value_size));
    } else if (fits) {
        fits = http_exchange_add_header(x, headers, limits, bytes_make(name, name_size),
                                        bytes_make(value, value_size));
    }
    x->header_bytes = fits ? x->header_bytes + (uint32_t)size : UINT32_MAX;
    return 0;
}

/* RFC 9113 section 10.5.1: a server that has too much of a header section answers 431. */
static void refuse_headers(struct http2_session *session, struct http_exchange *x)
{
    http2_count_reset(session);
    x->handler = NULL;
    if (x->role == HTTP_SERVER && !x->headers_received) {
        http_exchange_reply(x, 431, "text/plain", BYTES_LITERAL("header fields too large\n"));
    } else {
        http_exchange_reset(x, HTTP_RESET_ENHANCE_YOUR_CALM);
    }
}

/* A malformed request is a stream error (RFC 9113 section 8.1.1). */
static void refuse_malformed(struct http2_session *session, struct http_exchange *x)
{
    http2_count_reset(session);
    (void)nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, x->stream_id,
                                    NGHTTP2_PROTOCOL_ERROR);
}

static void receive_headers(struct http2_session *session, const nghttp2_frame *frame)
{
    session->header_since_ms = 0;
    struct http_exchange *x = session->header_x;
    session->header_x = NULL;
    if (x == NULL || x->stream_id != frame->hd.stream_id) {
        return;
    }
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (x->role == HTTP_SERVER &&
        (x->is_malformed || !http2_validate_request(&x->validator, is_end) ||
         (is_end && !http2_validate_end(&x->validator, x->body_bytes)))) {
        x->is_malformed = true;
        refuse_malformed(session, x);
        return;
    }
    if (x->header_bytes > session->options.limits.header_list_bytes_max) {
        refuse_headers(session, x);
        return;
    }
    bool is_informational = x->role == HTTP_CLIENT && x->status < 200;
    if (!x->headers_received && !is_informational) {
        http_exchange_receive_headers(x);
    }
    if (is_end && http_exchange_is_open(x)) {
        http_exchange_receive_end(x);
    }
}

static void receive_ping(struct http2_session *session, const nghttp2_frame *frame)
{
    const struct http_limits *limits = &session->options.limits;
    uint64_t now_ms = session->options.timers->now_ms;
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        if (frame->ping.opaque_data[0] == HTTP2_PING_DRAIN) {
            http2_finish_drain(session);
        }
        return;
    }
    if (session->options.role != HTTP_SERVER || limits->ping_interval_min_ms == UINT32_MAX) {
        return;
    }
    uint64_t interval_ms = limits->ping_interval_min_ms;
    if (session->pool.open_count == 0 && !limits->pings_without_stream) {
        interval_ms = IDLE_PING_INTERVAL_MS;
    }
    /* What we send gives a client reason to ping (it measures the line), so that counts anew. */
    if (session->sent_since_ping) {
        session->peer_ping_strikes = 0;
        session->sent_since_ping = false;
    } else if (session->peer_ping_ms != 0 && now_ms < session->peer_ping_ms + interval_ms) {
        session->peer_ping_strikes++;
    }
    session->peer_ping_ms = now_ms == 0 ? 1 : now_ms;
    if (session->peer_ping_strikes > PING_STRIKES_MAX) {
        http2_fail(session, ERR_BUSY, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    }
}

static void receive_end(struct http2_session *session, struct http_exchange *x)
{
    if (x == NULL || x->is_malformed) {
        return;
    }
    if (x->role == HTTP_SERVER && !http2_validate_end(&x->validator, x->body_bytes)) {
        x->is_malformed = true;
        refuse_malformed(session, x);
        return;
    }
    http_exchange_receive_end(x);
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    (void)ng;
    struct http2_session *session = context;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        receive_headers(session, frame);
        break;
    case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            receive_end(session, find(session, frame->hd.stream_id));
        }
        break;
    case NGHTTP2_PING:
        receive_ping(session, frame);
        break;
    case NGHTTP2_SETTINGS:
        session->has_settings = true;
        break;
    case NGHTTP2_GOAWAY:
        session->has_peer_goaway = true;
        break;
    default:
        break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t stream_id, const uint8_t *data,
                         size_t size, void *context)
{
    (void)flags;
    struct http2_session *session = context;
    struct http_exchange *x = find(session, stream_id);
    if (x == NULL || x->is_malformed) {
        (void)nghttp2_session_consume(ng, stream_id, size);
        return 0;
    }
    http_exchange_receive(x, bytes_make(data, size));
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t stream_id, uint32_t error_code,
                           void *context)
{
    struct http2_session *session = context;
    struct http_exchange *x = nghttp2_session_get_stream_user_data(ng, stream_id);
    if (x == NULL) {
        return 0;
    }
    int reason = ERR_CANCELLED;
    switch (error_code) {
    case NGHTTP2_NO_ERROR:
        reason = 0;
        break;
    case NGHTTP2_REFUSED_STREAM:
        reason = ERR_BUSY;
        break;
    case NGHTTP2_PROTOCOL_ERROR:
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_FRAME_SIZE_ERROR:
    case NGHTTP2_COMPRESSION_ERROR:
    case NGHTTP2_STREAM_CLOSED:
        reason = ERR_PROTOCOL;
        break;
    default:
        break;
    }
    /* What nobody will consume any more must not shrink the connection's window for ever. */
    if (x->unconsumed_bytes > 0) {
        (void)nghttp2_session_consume_connection(ng, x->unconsumed_bytes);
    }
    (void)nghttp2_session_set_stream_user_data(ng, stream_id, NULL);
    session->header_x = session->header_x == x ? NULL : session->header_x;
    http_exchange_close(&session->pool, x, reason);
    return 0;
}

/* Frames that cost us work and carry none. nghttp2 bounds the answers that queue up; this bounds
 * the rate. WINDOW_UPDATE is not counted: a fast reader of a large answer sends thousands. */
static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *context)
{
    (void)ng;
    struct http2_session *session = context;
    bool is_idle = false;
    switch (hd->type) {
    case NGHTTP2_DATA:
        is_idle = hd->length == 0 && (hd->flags & NGHTTP2_FLAG_END_STREAM) == 0;
        break;
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_RST_STREAM: /* has a rate limit of its own */
    case NGHTTP2_GOAWAY:
        break;
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        is_idle = (hd->flags & NGHTTP2_FLAG_ACK) == 0 || !session->sent_since_ping;
        break;
    default:
        is_idle = true;
        break;
    }
    const struct http_limits *limits = &session->options.limits;
    if (is_idle && !http_bucket_take(&session->frames, limits->frames_burst, limits->frames_per_s,
                                     session->options.timers->now_ms)) {
        http2_fail(session, ERR_BUSY, NGHTTP2_ENHANCE_YOUR_CALM, "flood of HTTP/2 frames");
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return session->failure.code != 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* A header field that HTTP does not allow is the peer's fault. */
static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int code,
                            void *context)
{
    (void)ng;
    (void)code;
    struct http2_session *session = context;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        session->header_since_ms = 0;
    }
    return 0;
}

void http2_set_receive_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
}
