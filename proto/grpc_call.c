#include "proto/grpc_call.h"

#include <stdio.h>

#include "base/check.h"
#include "proto/arena_allocator.h"
#include "proto/http_session.h"

static const struct http_header content_type = HTTP_HEADER_INIT("content-type", "application/grpc");

const struct grpc_method *grpc_call_method(const struct grpc_call *call)
{
    return call->method;
}

void *grpc_call_context(const struct grpc_call *call)
{
    return call->server->options.context;
}

void *grpc_call_data(const struct grpc_call *call)
{
    return call->data;
}

void grpc_call_set_data(struct grpc_call *call, void *data)
{
    call->data = data;
}

const struct http_peer *grpc_call_peer(const struct grpc_call *call)
{
    return call->exchange->peer;
}

struct bytes grpc_call_metadata(const struct grpc_call *call, const char *name)
{
    return http_headers_value(&call->exchange->headers, name);
}

const struct http_headers *grpc_call_headers(const struct grpc_call *call)
{
    return &call->exchange->headers;
}

struct bytes grpc_call_authority(const struct grpc_call *call)
{
    return call->exchange->authority;
}

bool grpc_call_is_gateway(const struct grpc_call *call)
{
    return call->gateway != NULL;
}

uint64_t grpc_call_deadline_ms(const struct grpc_call *call)
{
    return timer_is_set(&call->deadline) ? call->deadline.deadline_ms : UINT64_MAX;
}

struct arena *grpc_call_arena(struct grpc_call *call)
{
    return &call->exchange->arena;
}

bool grpc_call_is_open(const struct grpc_call *call)
{
    return call->is_open;
}

static bool can_send(const struct grpc_call *call)
{
    return call->is_open && call->oversize_bytes == 0;
}

void grpc_call_begin_message(struct grpc_call *call, size_t size)
{
    struct timers *timers = call->server->options.timers;
    if (!can_send(call)) {
        return;
    }
    if (size > call->server->options.send_bytes_max) {
        call->oversize_bytes = size;
        timers_set(timers, &call->deadline, timers->now_ms); /* the call ends, but not in here */
        return;
    }
    if (call->gateway != NULL) {
        grpc_gateway_begin_message(call, size);
        return;
    }
    http_exchange_respond(call->exchange, 200, &content_type, 1);
    uint8_t prefix[GRPC_PREFIX_BYTES];
    grpc_frame_prefix(prefix, size);
    http_exchange_send(call->exchange, bytes_make(prefix, sizeof prefix));
}

void grpc_call_add(struct grpc_call *call, struct bytes piece)
{
    if (!can_send(call)) {
        return;
    }
    if (call->gateway != NULL) {
        grpc_gateway_add(call, piece);
    } else {
        http_exchange_send(call->exchange, piece);
    }
}

void grpc_call_add_blob(struct grpc_call *call, struct blob *blob, size_t offset, size_t size)
{
    if (can_send(call) && call->gateway == NULL) {
        http_exchange_send_blob(call->exchange, blob, offset, size);
    } else {
        grpc_call_add(call, bytes_make(blob->data + offset, size));
    }
}

void grpc_call_send(struct grpc_call *call, struct bytes message)
{
    grpc_call_begin_message(call, message.size);
    grpc_call_add(call, message);
}

void grpc_call_send_message(struct grpc_call *call, const ProtobufCMessage *message)
{
    size_t size = can_send(call) ? protobuf_c_message_get_packed_size(message) : 0;
    grpc_call_begin_message(call, size);
    if (!can_send(call)) {
        return;
    }
    if (call->gateway != NULL) {
        grpc_call_add(call, proto_encode(message, &call->exchange->arena));
        return;
    }
    uint8_t *place = chain_reserve(&call->exchange->out, size);
    (void)protobuf_c_message_pack(message, place);
    chain_commit(&call->exchange->out, size);
    http_exchange_note_output(call->exchange);
}

void grpc_call_send_blob(struct grpc_call *call, struct bytes head, struct blob *blob,
                         size_t offset, size_t size)
{
    grpc_call_begin_message(call, head.size + size);
    grpc_call_add(call, head);
    grpc_call_add_blob(call, blob, offset, size);
}

void grpc_call_close(struct grpc_call *call)
{
    CHECK(call->is_open);
    call->is_open = false;
    timers_clear(call->server->options.timers, &call->deadline);
    timers_clear(call->server->options.timers, &call->resume);
    list_remove(&call->link);
    call->server->call_count--;
    /* Nobody will read what is held back; the client's window for other streams must not suffer. */
    size_t held_bytes = call->held_bytes;
    call->held_bytes = 0;
    http_exchange_consume(call->exchange, held_bytes);
}

#define STATUS_TRAILER(number) HTTP_HEADER_INIT("grpc-status", #number)

static const struct http_header status_trailers[] = {
    STATUS_TRAILER(0),  STATUS_TRAILER(1),  STATUS_TRAILER(2),  STATUS_TRAILER(3),
    STATUS_TRAILER(4),  STATUS_TRAILER(5),  STATUS_TRAILER(6),  STATUS_TRAILER(7),
    STATUS_TRAILER(8),  STATUS_TRAILER(9),  STATUS_TRAILER(10), STATUS_TRAILER(11),
    STATUS_TRAILER(12), STATUS_TRAILER(13), STATUS_TRAILER(14), STATUS_TRAILER(15),
    STATUS_TRAILER(16),
};

static void send_end(struct grpc_call *call, const struct http_header *trailers, size_t count)
{
    struct http_exchange *x = call->exchange;
    if (x->headers_sent) {
        http_exchange_finish(x, trailers + 1, count - 1);
    } else {
        http_exchange_respond_alone(x, 200, trailers, count);
    }
}

void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *text)
{
    grpc_call_finish_with_trailers(call, status, text, NULL, 0);
}

void grpc_call_finish_with_trailers(struct grpc_call *call, enum grpc_status status,
                                    const char *text, const struct http_header *trailers,
                                    size_t count)
{
    if (!call->is_open) {
        return;
    }
    char oversize[100];
    if (call->oversize_bytes > 0) {
        (void)snprintf(oversize, sizeof oversize,
                       "grpc: trying to send message larger than max (%zu vs. %zu)",
                       call->oversize_bytes, call->server->options.send_bytes_max);
        status = GRPC_RESOURCE_EXHAUSTED;
        text = oversize;
    }
    CHECK((unsigned)status < sizeof status_trailers / sizeof *status_trailers);
    if (call->gateway != NULL) {
        grpc_call_close(call);
        grpc_gateway_finish(call, status, text == NULL ? "" : text);
        return;
    }
    /* content-type leads, for the case that these are all the headers there will be. */
    struct http_header stack[8] = {content_type, status_trailers[status]};
    struct http_header *all = count + 3 <= 8 ? stack : NULL;
    if (all == NULL) {
        all = arena_alloc(&call->exchange->arena, (count + 3) * sizeof *all);
        memcpy(all, stack, 2 * sizeof *all);
    }
    size_t used = 2;
    struct buf encoded = BUF_INIT;
    if (text != NULL && *text != 0) {
        grpc_message_percent_encode(&encoded, bytes_from_text(text));
        all[used++] = (struct http_header){BYTES_LITERAL("grpc-message"), buf_bytes(&encoded), 0};
    }
    if (count > 0) {
        memcpy(all + used, trailers, count * sizeof *all);
        used += count;
    }
    grpc_call_close(call);
    send_end(call, all, used);
    buf_deinit(&encoded);
}

uint64_t grpc_call_age_ms(const struct grpc_call *call)
{
    return call->server->options.timers->now_ms - call->started_ms;
}

size_t grpc_call_queued_bytes(const struct grpc_call *call)
{
    return http_exchange_queued_bytes(call->exchange);
}

size_t grpc_call_connection_queued_bytes(const struct grpc_call *call)
{
    return http_exchange_connection_queued_bytes(call->exchange);
}

bool grpc_call_is_writable(const struct grpc_call *call)
{
    return call->is_open && http_exchange_queued_bytes(call->exchange) < HTTP_QUEUE_HIGH_BYTES;
}

void grpc_call_pause(struct grpc_call *call)
{
    call->is_paused = true;
    timers_clear(call->server->options.timers, &call->resume);
}

void grpc_call_resume(struct grpc_call *call)
{
    if (!call->is_open || !call->is_paused) {
        return;
    }
    call->is_paused = false;
    /* What waits is delivered by the loop, not inside this call. */
    struct timers *timers = call->server->options.timers;
    timers_set(timers, &call->resume, timers->now_ms);
}

struct grpc_call *grpc_call_ref(struct grpc_call *call)
{
    (void)http_exchange_ref(call->exchange);
    return call;
}

void grpc_call_unref(struct grpc_call *call)
{
    if (call != NULL) {
        http_exchange_unref(call->exchange);
    }
}
