#include "base/check.h"
#include "base/mem.h"
#include "proto/http2_internal.h"

enum { FRAME_HEAD_BYTES = 9, NV_STACK_COUNT = 32 };

static ssize_t read_body(nghttp2_session *ng, int32_t stream_id, uint8_t *buffer, size_t length,
                         uint32_t *data_flags, nghttp2_data_source *source, void *context);

static void fill_nv(nghttp2_nv *nv, struct bytes name, struct bytes value, uint32_t flags)
{
    uint8_t nv_flags = NGHTTP2_NV_FLAG_NONE;
    if ((flags & HTTP_HEADER_STATIC) != 0) {
        nv_flags |= NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    }
    if ((flags & HTTP_HEADER_VARYING) != 0) {
        nv_flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    }
    /* nghttp2 takes pointers to non-const and does not write through them. */
    *nv = (nghttp2_nv){(uint8_t *)(uintptr_t)name.data, (uint8_t *)(uintptr_t)value.data, name.size,
                       value.size, nv_flags};
}

static nghttp2_nv *add_headers(nghttp2_nv *nv, const struct http_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fill_nv(nv++, headers[i].name, headers[i].value, headers[i].flags);
    }
    return nv;
}

static nghttp2_nv *nv_array(struct http_exchange *x, nghttp2_nv stack[NV_STACK_COUNT], size_t count)
{
    return count <= NV_STACK_COUNT ? stack : arena_alloc(&x->arena, count * sizeof(nghttp2_nv));
}

static void respond(struct http_exchange *x, unsigned status, const struct http_header *headers,
                    size_t count, bool ends)
{
    struct http2_session *session = x->session;
    nghttp2_nv stack[NV_STACK_COUNT];
    nghttp2_nv *nv = nv_array(x, stack, count + 1);
    CHECK(status >= 100 && status <= 999);
    char text[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10)};
    fill_nv(nv, BYTES_LITERAL(":status"),
            status == 200 ? BYTES_LITERAL("200") : bytes_make(text, sizeof text),
            status == 200 ? HTTP_HEADER_STATIC : 0);
    (void)add_headers(nv + 1, headers, count);
    const nghttp2_data_provider provider = {.source.ptr = x, .read_callback = read_body};
    int rv =
        nghttp2_submit_response(session->ng, x->stream_id, nv, count + 1, ends ? NULL : &provider);
    CHECK(rv != NGHTTP2_ERR_NOMEM && rv != NGHTTP2_ERR_INVALID_ARGUMENT);
    http2_note_output(session);
}

struct http_exchange *http2_session_request(struct http2_session *session,
                                            const struct http2_request *request,
                                            const struct http_handler *handler, void *data)
{
    CHECK(session->options.role == HTTP_CLIENT);
    if (http2_session_is_draining(session) ||
        nghttp2_session_check_request_allowed(session->ng) == 0) {
        return NULL;
    }
    struct http_exchange *x =
        http_exchange_open(&session->pool, &session->options, &http2_exchange_ops, session);
    x->handler = handler;
    x->data = data;
    x->version = 2;
    x->headers_sent = true;
    x->method = bytes_make(arena_dup(&x->arena, request->method.data, request->method.size),
                           request->method.size);
    nghttp2_nv stack[NV_STACK_COUNT];
    nghttp2_nv *nv = nv_array(x, stack, request->header_count + 4);
    fill_nv(&nv[0], BYTES_LITERAL(":method"), request->method, 0);
    fill_nv(&nv[1], BYTES_LITERAL(":scheme"), request->scheme, 0);
    fill_nv(&nv[2], BYTES_LITERAL(":path"), request->path, 0);
    fill_nv(&nv[3], BYTES_LITERAL(":authority"), request->authority, 0);
    (void)add_headers(nv + 4, request->headers, request->header_count);
    const nghttp2_data_provider provider = {.source.ptr = x, .read_callback = read_body};
    int32_t id =
        nghttp2_submit_request(session->ng, NULL, nv, request->header_count + 4, &provider, x);
    if (id < 0) { /* stream numbers are used up */
        x->handler = NULL;
        http_exchange_close(&session->pool, x, ERR_BUSY);
        session->has_peer_goaway = true;
        return NULL;
    }
    x->stream_id = id;
    http2_note_output(session);
    http2_arm(session);
    return x;
}

static void note_exchange_output(struct http_exchange *x)
{
    struct http2_session *session = x->session;
    if (x->is_parked) {
        x->is_parked = false;
        /* Fails if the stream is being reset: then there is nothing to resume. */
        (void)nghttp2_session_resume_data(session->ng, x->stream_id);
    }
    http2_note_output(session);
}

static void consume(struct http_exchange *x, size_t size)
{
    struct http2_session *session = x->session;
    (void)nghttp2_session_consume(session->ng, x->stream_id, size);
    if (!session->is_receiving) {
        http2_note_output(session);
    }
}

static void reset(struct http_exchange *x, enum http_reset code)
{
    struct http2_session *session = x->session;
    (void)nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, x->stream_id, (uint32_t)code);
    http2_note_output(session);
}

const struct http_exchange_ops http2_exchange_ops = {
    .respond = respond,
    .output = note_exchange_output,
    .consume = consume,
    .reset = reset,
};

static void submit_trailers(nghttp2_session *ng, struct http_exchange *x)
{
    nghttp2_nv stack[NV_STACK_COUNT];
    nghttp2_nv *nv = nv_array(x, stack, x->out_trailers.count);
    (void)add_headers(nv, x->out_trailers.items, x->out_trailers.count);
    int rv = nghttp2_submit_trailer(ng, x->stream_id, nv, x->out_trailers.count);
    CHECK(rv != NGHTTP2_ERR_INVALID_ARGUMENT);
}

static ssize_t read_body(nghttp2_session *ng, int32_t stream_id, uint8_t *buffer, size_t length,
                         uint32_t *data_flags, nghttp2_data_source *source, void *context)
{
    (void)stream_id;
    (void)buffer;
    (void)context;
    struct http_exchange *x = source->ptr;
    size_t size = x->out.size < length ? x->out.size : length;
    if (size == 0 && !x->out_finished) {
        x->is_parked = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (x->out_finished && size == x->out.size) {
        *data_flags |= NGHTTP2_DATA_FLAG_EOF;
        if (x->out_trailers.count > 0) {
            *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(ng, x);
        }
    }
    return (ssize_t)size;
}

static int send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd,
                     size_t length, nghttp2_data_source *source, void *context)
{
    (void)ng;
    struct http2_session *session = context;
    struct http_exchange *x = source->ptr;
    CHECK(frame->data.padlen == 0);
    if (session->sending->size >= session->sending_limit) {
        return NGHTTP2_ERR_WOULDBLOCK; /* asked again, with the same frame, by the next send */
    }
    chain_append(session->sending, bytes_make(framehd, FRAME_HEAD_BYTES));
    chain_move(session->sending, &x->out, length);
    http_exchange_taken(x);
    return 0;
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    struct http2_session *session = context;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
        session->sent_since_ping = true;
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 ||
            session->options.role != HTTP_SERVER) {
            break;
        }
        struct http_exchange *x = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
        if (x != NULL && !x->in_ended) {
            http2_await_end(session, x);
        }
        break;
    }
    case NGHTTP2_RST_STREAM:
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
            frame->rst_stream.error_code != NGHTTP2_CANCEL) {
            http2_count_reset(session);
        }
        break;
    default:
        break;
    }
    return 0;
}

void http2_set_send_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
}

int http2_session_send(struct http2_session *session, struct chain *out, size_t limit,
                       struct err *err)
{
    CHECK(!session->is_receiving && session->sending == NULL);
    session->sending = out;
    session->sending_limit = limit;
    ssize_t size = 0;
    while (out->size < limit) {
        const uint8_t *data = NULL;
        size = nghttp2_session_mem_send(session->ng, &data);
        if (size <= 0) {
            break;
        }
        chain_append(out, bytes_make(data, (size_t)size));
    }
    session->sending = NULL;
    if (size < 0) {
        return err_set(err, ERR_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)size));
    }
    return 0;
}
