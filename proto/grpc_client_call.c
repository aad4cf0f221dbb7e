#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/arena_allocator.h"
#include "proto/grpc_client.h"
#include "proto/http_session.h"

enum { FIXED_HEADER_COUNT = 5 };

void *grpc_client_call_data(const struct grpc_client_call *call)
{
    return call->data;
}

struct grpc_channel *grpc_client_call_channel(const struct grpc_client_call *call)
{
    return call->channel;
}

/* The result. */

void grpc_client_call_end(struct grpc_client_call *call, enum grpc_status status, const char *text)
{
    if (call->is_finished) {
        return;
    }
    call->is_finished = true;
    call->status = status;
    call->text = arena_strdup(&call->arena, text);
    timers_clear(wire_loop_timers(call->channel->wire), &call->deadline);
    wire_task_cancel(&call->resume_task);
    struct http_exchange *x = call->exchange;
    if (x != NULL) {
        x->handler = NULL;
        http_exchange_consume(x, call->held_bytes);
        call->held_bytes = 0;
        if (!x->in_ended) {
            http_exchange_reset(x, HTTP_RESET_CANCEL);
        } else if (!x->out_finished) {
            http_exchange_finish(x, NULL, 0);
        }
    }
    list_remove(&call->link);
    list_push_back(&call->channel->finished, &call->link);
    wire_loop_defer(call->channel->wire, &call->channel->finish_task);
}

void grpc_client_call_deliver(struct grpc_client_call *call)
{
    static const struct http_headers none = {0};
    const struct http_exchange *x = call->exchange;
    const struct http_headers *trailers = x == NULL ? &none : &x->trailers;
    if (x != NULL && x->trailers.count == 0) {
        trailers = &x->headers; /* a "trailers only" answer */
    }
    if (call->unary_done != NULL) {
        call->unary_done(call->data, call->status, call->text,
                         call->status == GRPC_OK ? &call->unary_response : NULL, call->was_sent);
    } else {
        call->handler->on_finish(call, call->status, call->text, trailers, call->was_sent);
    }
    http_exchange_unref(call->exchange);
    grpc_deframer_deinit(&call->in);
    chain_deinit(&call->queued);
    arena_deinit(&call->message_arena);
    arena_deinit(&call->arena);
    mem_free(call);
}

/* The response. */

static void deliver_message(struct grpc_client_call *call, struct bytes raw)
{
    bool is_unary = call->unary_done != NULL;
    call->message_count++;
    if (is_unary && call->message_count > 1) {
        grpc_client_call_end(call, GRPC_INTERNAL,
                             "cardinality violation: more than one response message");
        return;
    }
    struct arena *arena = is_unary ? &call->arena : &call->message_arena;
    struct grpc_message message = {.raw = raw};
    if (call->response != NULL) {
        message.decoded = proto_decode(call->response, raw, arena);
        if (message.decoded == NULL) {
            grpc_client_call_end(call, GRPC_INTERNAL,
                                 "grpc: failed to unmarshal the received message");
            return;
        }
    }
    if (is_unary) {
        message.raw.data = arena_dup(arena, raw.data, raw.size);
        call->unary_response = message;
        return;
    }
    call->handler->on_message(call, &message);
    arena_reset(&call->message_arena);
}

static bool parse_status(struct bytes text, enum grpc_status *ret_status)
{
    if (text.size == 0 || text.size > 3) {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    *ret_status = value <= GRPC_UNAUTHENTICATED ? (enum grpc_status)value : GRPC_UNKNOWN;
    return true;
}

/* The response is complete: its status is in the trailers, or in the headers if they were all. */
static void finish_from_trailers(struct grpc_client_call *call)
{
    const struct http_exchange *x = call->exchange;
    const struct http_headers *from =
        http_headers_find(&x->trailers, "grpc-status") != NULL ? &x->trailers : &x->headers;
    enum grpc_status status = GRPC_UNKNOWN;
    if (grpc_deframer_is_partial(&call->in)) {
        grpc_client_call_end(call, GRPC_INTERNAL, "unexpected EOF");
        return;
    }
    if (!parse_status(http_headers_value(from, "grpc-status"), &status)) {
        grpc_client_call_end(call, GRPC_INTERNAL,
                             "server closed the stream without sending trailers");
        return;
    }
    if (status == GRPC_OK && call->unary_done != NULL && call->message_count == 0) {
        grpc_client_call_end(call, GRPC_INTERNAL, "cardinality violation: no response message");
        return;
    }
    struct bytes text =
        grpc_message_percent_decode(http_headers_value(from, "grpc-message"), &call->arena);
    grpc_client_call_end(call, status, (const char *)text.data);
}

static void receive(struct grpc_client_call *call, struct bytes data)
{
    struct bytes input = data;
    while (!call->is_finished && !call->is_paused) {
        struct err err = {0};
        struct bytes message = {NULL, 0};
        int rv = grpc_deframer_next(&call->in, &input, &message, &err);
        if (rv == 0) {
            break;
        }
        if (rv > 0) {
            deliver_message(call, message);
        } else {
            grpc_client_call_end(
                call, rv == ERR_TOO_LARGE ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL, err.text);
        }
    }
    if (!call->is_finished && call->is_paused) {
        grpc_deframer_store(&call->in, input);
    } else if (!call->is_finished && call->has_end) {
        finish_from_trailers(call);
    }
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    struct grpc_client_call *call = x->data;
    if (call->is_paused) {
        grpc_deframer_store(&call->in, data);
        call->held_bytes += data.size;
        return;
    }
    receive(call, data);
    http_exchange_consume(x, data.size);
}

static void on_headers(struct http_exchange *x)
{
    struct grpc_client_call *call = x->data;
    struct bytes type = http_headers_value(&x->headers, "content-type");
    if (!bytes_has_prefix(type, BYTES_LITERAL("application/grpc"))) {
        const char *text = arena_printf(
            &call->arena,
            "unexpected HTTP status code received from server: %u; content-type \"%.*s\"",
            x->status, (int)(type.size > 100 ? 100 : type.size), (const char *)type.data);
        grpc_client_call_end(call, grpc_status_from_http(x->status), text);
        return;
    }
    if (!grpc_encoding_parse(http_headers_value(&x->headers, "grpc-encoding"),
                             &call->in.encoding)) {
        grpc_client_call_end(call, GRPC_INTERNAL, "grpc: unknown grpc-encoding of the answer");
        return;
    }
    bool is_only = http_headers_find(&x->headers, "grpc-status") != NULL;
    if (!is_only && call->handler != NULL && call->handler->on_headers != NULL) {
        call->handler->on_headers(call, &x->headers);
    }
}

static void on_end(struct http_exchange *x)
{
    struct grpc_client_call *call = x->data;
    call->has_end = true;
    if (!call->is_paused) {
        finish_from_trailers(call);
    }
}

static void on_writable(struct http_exchange *x)
{
    struct grpc_client_call *call = x->data;
    if (call->handler != NULL && call->handler->on_writable != NULL) {
        call->handler->on_writable(call);
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    struct grpc_client_call *call = x->data;
    if (call->has_end) {
        return; /* only paused messages are left to deliver */
    }
    switch (reason) {
    case 0:
        grpc_client_call_end(call, GRPC_INTERNAL,
                             "server closed the stream without sending trailers");
        return;
    case ERR_CANCELLED:
        grpc_client_call_end(call, GRPC_CANCELED, "stream terminated by RST_STREAM");
        return;
    case ERR_PROTOCOL:
        grpc_client_call_end(call, GRPC_INTERNAL, "stream terminated by a protocol error");
        return;
    case ERR_BUSY:
        call->was_sent = false;
        grpc_client_call_end(call, GRPC_UNAVAILABLE, "the server refused the stream");
        return;
    case ERR_CLOSED:
        grpc_client_call_end(call, GRPC_UNAVAILABLE, "error reading from server: EOF");
        return;
    default:
        grpc_client_call_end(call, GRPC_UNAVAILABLE, err_text(reason));
        return;
    }
}

static const struct http_handler http_handler = {
    .on_headers = on_headers,
    .on_body = on_body,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_close = on_close,
};

/* The request. */

static size_t add_all(struct http_header *to, const struct http_header *from, size_t count)
{
    if (count > 0) {
        memcpy(to, from, count * sizeof *to);
    }
    return count;
}

bool grpc_client_call_begin(struct grpc_client_call *call, struct connection *connection)
{
    const struct grpc_channel *channel = call->channel;
    size_t count_max = FIXED_HEADER_COUNT + channel->metadata_count + call->metadata_count;
    struct http_header *headers = arena_alloc(&call->arena, count_max * sizeof *headers);
    static const struct http_header fixed[] = {
        HTTP_HEADER_INIT("content-type", "application/grpc"),
        HTTP_HEADER_INIT("te", "trailers"),
        HTTP_HEADER_INIT("grpc-accept-encoding", "gzip"),
    };
    size_t count = add_all(headers, fixed, 3);
    headers[count++] =
        (struct http_header){BYTES_LITERAL("user-agent"), bytes_from_text(channel->user_agent), 0};
    char timeout[GRPC_TIMEOUT_TEXT_MAX];
    if (call->has_timeout) {
        uint64_t now_ms = wire_loop_timers(channel->wire)->now_ms;
        uint64_t deadline_ms = call->deadline.deadline_ms;
        uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 1;
        headers[count++] =
            (struct http_header){BYTES_LITERAL("grpc-timeout"),
                                 grpc_timeout_format(left_ms, timeout), HTTP_HEADER_VARYING};
    }
    count += add_all(headers + count, channel->metadata, channel->metadata_count);
    count += add_all(headers + count, call->metadata, call->metadata_count);
    const struct http2_request request = {
        .method = BYTES_LITERAL("POST"),
        .scheme =
            connection_peer(connection)->is_tls ? BYTES_LITERAL("https") : BYTES_LITERAL("http"),
        .authority = bytes_from_text(channel->authority),
        .path = call->path,
        .headers = headers,
        .header_count = count,
    };
    struct http_exchange *x =
        http2_session_request(connection_http2(connection), &request, &http_handler, call);
    if (x == NULL) {
        return false;
    }
    call->exchange = http_exchange_ref(x);
    call->was_sent = true;
    if (call->queued.size > 0) {
        chain_move(&x->out, &call->queued, call->queued.size);
        http_exchange_note_output(x);
    }
    if (call->is_half_closed) {
        http_exchange_finish(x, NULL, 0);
    }
    return true;
}

static struct chain *out_chain(struct grpc_client_call *call)
{
    return call->exchange != NULL ? &call->exchange->out : &call->queued;
}

static bool can_send(const struct grpc_client_call *call)
{
    return !call->is_finished && !call->is_half_closed &&
           (call->exchange == NULL || http_exchange_is_open(call->exchange));
}

static void add_prefix(struct grpc_client_call *call, size_t size)
{
    uint8_t prefix[GRPC_PREFIX_BYTES];
    grpc_frame_prefix(prefix, size);
    chain_append(out_chain(call), bytes_make(prefix, sizeof prefix));
}

static void note_output(struct grpc_client_call *call)
{
    if (call->exchange != NULL) {
        http_exchange_note_output(call->exchange);
    }
}

void grpc_client_call_send(struct grpc_client_call *call, struct bytes message)
{
    if (can_send(call)) {
        add_prefix(call, message.size);
        chain_append(out_chain(call), message);
        note_output(call);
    }
}

void grpc_client_call_send_message(struct grpc_client_call *call, const ProtobufCMessage *message)
{
    if (!can_send(call)) {
        return;
    }
    size_t size = protobuf_c_message_get_packed_size(message);
    add_prefix(call, size);
    uint8_t *place = chain_reserve(out_chain(call), size);
    (void)protobuf_c_message_pack(message, place);
    chain_commit(out_chain(call), size);
    note_output(call);
}

void grpc_client_call_send_blob(struct grpc_client_call *call, struct bytes head, struct blob *blob,
                                size_t offset, size_t size)
{
    if (can_send(call)) {
        add_prefix(call, head.size + size);
        chain_append(out_chain(call), head);
        chain_append_blob(out_chain(call), blob, offset, size);
        note_output(call);
    }
}

void grpc_client_call_half_close(struct grpc_client_call *call)
{
    if (!can_send(call)) {
        return;
    }
    call->is_half_closed = true;
    if (call->exchange != NULL) {
        http_exchange_finish(call->exchange, NULL, 0);
    }
}

size_t grpc_client_call_queued_bytes(const struct grpc_client_call *call)
{
    return call->exchange != NULL ? http_exchange_queued_bytes(call->exchange) : call->queued.size;
}

bool grpc_client_call_is_writable(const struct grpc_client_call *call)
{
    return can_send(call) && grpc_client_call_queued_bytes(call) < HTTP_QUEUE_HIGH_BYTES;
}

void grpc_client_call_cancel(struct grpc_client_call *call, enum grpc_status status)
{
    const char *text = status == GRPC_CANCELED            ? "context canceled"
                       : status == GRPC_DEADLINE_EXCEEDED ? "context deadline exceeded"
                                                          : grpc_status_name(status);
    grpc_client_call_end(call, status, text);
}

static void on_resume(struct wire_task *task)
{
    struct grpc_client_call *call = container_of(task, struct grpc_client_call, resume_task);
    size_t held_bytes = call->held_bytes;
    call->held_bytes = 0;
    http_exchange_consume(call->exchange, held_bytes);
    receive(call, bytes_make(NULL, 0));
}

void grpc_client_call_init_tasks(struct grpc_client_call *call)
{
    wire_task_init(&call->resume_task, on_resume);
}

void grpc_client_call_pause(struct grpc_client_call *call)
{
    call->is_paused = true;
    wire_task_cancel(&call->resume_task);
}

void grpc_client_call_resume(struct grpc_client_call *call)
{
    if (call->is_paused) {
        call->is_paused = false;
        if (call->exchange != NULL && !call->is_finished) {
            wire_loop_defer(call->channel->wire, &call->resume_task);
        }
    }
}
