#include "proto/grpc_server.h"

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/arena_allocator.h"
#include "proto/grpc_call.h"

struct grpc_server *grpc_server_new(const struct grpc_server_options *options)
{
    struct grpc_server *server = mem_zalloc(sizeof *server);
    server->options = *options;
    if (server->options.receive_bytes_max == 0) {
        server->options.receive_bytes_max = GRPC_RECEIVE_BYTES_MAX;
    }
    if (server->options.send_bytes_max == 0) {
        server->options.send_bytes_max = INT32_MAX;
    }
    list_init(&server->calls);
    bytes_map_init(&server->methods);
    for (size_t i = 0; i < options->method_count; i++) {
        const struct grpc_method *method = &options->methods[i];
        void *before = bytes_map_set(&server->methods, bytes_from_text(method->path),
                                     (void *)(uintptr_t)method);
        CHECK(before == NULL);
    }
    return server;
}

void grpc_server_free(struct grpc_server *server)
{
    if (server == NULL) {
        return;
    }
    CHECK(list_is_empty(&server->calls));
    bytes_map_deinit(&server->methods);
    mem_free(server);
}

uint64_t grpc_server_call_count(const struct grpc_server *server)
{
    return server->call_count;
}

static void cancel(struct grpc_call *call, enum grpc_status reason)
{
    if (call->is_open) {
        grpc_call_close(call);
        if (call->server->options.handler->on_cancel != NULL) {
            call->server->options.handler->on_cancel(call, reason);
        }
    }
}

void grpc_call_fail(struct grpc_call *call, enum grpc_status status, const char *text)
{
    if (call->is_open) {
        grpc_call_finish(call, status, text);
        if (call->server->options.handler->on_cancel != NULL) {
            call->server->options.handler->on_cancel(call, status);
        }
    }
}

void grpc_server_cancel_all(struct grpc_server *server, enum grpc_status status, const char *text)
{
    while (!list_is_empty(&server->calls)) {
        grpc_call_fail(container_of(server->calls.next, struct grpc_call, link), status, text);
    }
}

static void on_deadline(struct timer *timer)
{
    struct grpc_call *call = container_of(timer, struct grpc_call, deadline);
    /* Of a message that was too large, grpc_call_finish makes its own text. */
    grpc_call_fail(call,
                   call->oversize_bytes > 0 ? GRPC_RESOURCE_EXHAUSTED : GRPC_DEADLINE_EXCEEDED,
                   "context deadline exceeded");
}

void grpc_call_deliver(struct grpc_call *call, struct bytes raw)
{
    bool is_stream = call->method->client_stream;
    if (call->message_count > 0 && !is_stream) {
        grpc_call_fail(call, GRPC_INTERNAL, "cardinality violation: more than one request message");
        return;
    }
    call->message_count++;
    struct grpc_message message = {.raw = raw};
    struct arena *arena = is_stream ? &call->message_arena : &call->exchange->arena;
    if (call->method->request != NULL) {
        message.decoded = proto_decode(call->method->request, raw, arena);
        if (message.decoded == NULL) {
            grpc_call_fail(call, GRPC_INTERNAL,
                           "grpc: error unmarshalling request: malformed message");
            return;
        }
    }
    call->server->options.handler->on_message(call, &message);
    if (is_stream) {
        arena_reset(&call->message_arena);
    }
}

void grpc_call_tell_end(struct grpc_call *call)
{
    if (!call->is_open || !call->has_end || call->told_end || call->is_paused) {
        return;
    }
    call->told_end = true;
    if (grpc_deframer_is_partial(&call->in)) {
        grpc_call_fail(call, GRPC_INTERNAL, "unexpected EOF");
    } else if (call->message_count == 0 && !call->method->client_stream) {
        grpc_call_fail(call, GRPC_INTERNAL, "cardinality violation: no request message");
    } else if (call->server->options.handler->on_half_close != NULL) {
        call->server->options.handler->on_half_close(call);
    }
}

void grpc_call_receive(struct grpc_call *call, struct bytes data)
{
    struct bytes input = data;
    call->is_delivering = true;
    while (call->is_open && !call->is_paused) {
        struct err err = {0};
        struct bytes message = {NULL, 0};
        int rv = grpc_deframer_next(&call->in, &input, &message, &err);
        if (rv == 0) {
            break;
        }
        if (rv > 0) {
            grpc_call_deliver(call, message);
        } else {
            grpc_call_fail(call, rv == ERR_TOO_LARGE ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL,
                           err.text);
        }
    }
    call->is_delivering = false;
    if (call->is_open && call->is_paused) {
        grpc_deframer_store(&call->in, input);
    }
    grpc_call_tell_end(call);
}

static void on_resume(struct timer *timer)
{
    struct grpc_call *call = container_of(timer, struct grpc_call, resume);
    size_t held_bytes = call->held_bytes;
    call->held_bytes = 0;
    http_exchange_consume(call->exchange, held_bytes);
    if (call->gateway != NULL) {
        grpc_gateway_receive(call);
    } else {
        grpc_call_receive(call, bytes_make(NULL, 0));
    }
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    struct grpc_call *call = x->data;
    bool was_paused = call->is_open && call->is_paused;
    if (was_paused) {
        grpc_deframer_store(&call->in, data);
        call->held_bytes += data.size;
        return;
    }
    grpc_call_receive(call, data);
    http_exchange_consume(x, data.size);
}

static void on_end(struct http_exchange *x)
{
    struct grpc_call *call = x->data;
    call->has_end = true;
    grpc_call_tell_end(call);
}

static void on_writable(struct http_exchange *x)
{
    struct grpc_call *call = x->data;
    if (call->is_open && call->server->options.handler->on_writable != NULL) {
        call->server->options.handler->on_writable(call);
    }
}

void grpc_call_on_exchange_close(struct grpc_call *call)
{
    cancel(call, GRPC_CANCELED);
    grpc_deframer_deinit(&call->in);
    arena_deinit(&call->message_arena);
}

static void on_close(struct http_exchange *x, int reason)
{
    (void)reason;
    grpc_call_on_exchange_close(x->data);
}

static const struct http_handler call_http_handler = {
    .on_body = on_body,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_close = on_close,
};

/* "application/grpc", alone or followed by "+proto" or parameters. */
static bool is_grpc_content_type(struct bytes type)
{
    struct bytes base = BYTES_LITERAL("application/grpc");
    return bytes_has_prefix(type, base) &&
           (type.size == base.size || type.data[base.size] == '+' || type.data[base.size] == ';');
}

/* An answer without a call: gRPC's "trailers only". */
static void refuse(struct http_exchange *x, enum grpc_status status, const char *text)
{
    x->handler = NULL;
    char code[4];
    (void)snprintf(code, sizeof code, "%u", (unsigned)status);
    struct buf encoded = BUF_INIT;
    grpc_message_percent_encode(&encoded, bytes_from_text(text));
    const struct http_header headers[] = {
        HTTP_HEADER_INIT("content-type", "application/grpc"),
        {BYTES_LITERAL("grpc-status"), bytes_from_text(code), 0},
        {BYTES_LITERAL("grpc-message"), buf_bytes(&encoded), HTTP_HEADER_VARYING},
        HTTP_HEADER_INIT("grpc-accept-encoding", "identity,gzip"),
    };
    http_exchange_respond_alone(x, 200, headers, 4);
    buf_deinit(&encoded);
}

static void refuse_unknown(const struct grpc_server *server, struct http_exchange *x)
{
    char text[300];
    struct bytes path = x->path;
    const uint8_t *slash = path.size == 0 ? NULL : memrchr(path.data, '/', path.size);
    if (slash == NULL || path.data[0] != '/' || slash == path.data) {
        (void)snprintf(text, sizeof text, "malformed method name: \"%.*s\"",
                       (int)(path.size > 200 ? 200 : path.size), (const char *)path.data);
        refuse(x, GRPC_UNIMPLEMENTED, text);
        return;
    }
    struct bytes prefix = bytes_make(path.data, (size_t)(slash - path.data) + 1);
    int service_size = (int)(prefix.size - 2 > 120 ? 120 : prefix.size - 2);
    size_t method_size = path.size - prefix.size;
    bool has_service = false;
    for (size_t i = 0; i < server->options.method_count && !has_service; i++) {
        has_service = bytes_has_prefix(bytes_from_text(server->options.methods[i].path), prefix);
    }
    if (has_service) {
        (void)snprintf(text, sizeof text, "unknown method %.*s for service %.*s",
                       (int)(method_size > 120 ? 120 : method_size), (const char *)slash + 1,
                       service_size, (const char *)path.data + 1);
    } else {
        (void)snprintf(text, sizeof text, "unknown service %.*s", service_size,
                       (const char *)path.data + 1);
    }
    refuse(x, GRPC_UNIMPLEMENTED, text);
}

struct grpc_call *grpc_call_open(struct grpc_server *server, struct http_exchange *x,
                                 const struct grpc_method *method, const uint64_t *timeout_ms)
{
    struct grpc_call *call = arena_zalloc(&x->arena, sizeof *call);
    call->server = server;
    call->method = method;
    call->exchange = x;
    call->is_open = true;
    call->started_ms = server->options.timers->now_ms;
    timer_init(&call->deadline, on_deadline);
    timer_init(&call->resume, on_resume);
    grpc_deframer_init(&call->in, server->options.receive_bytes_max);
    arena_init(&call->message_arena);
    list_push_back(&server->calls, &call->link);
    server->call_count++;
    if (timeout_ms != NULL) {
        timers_set(server->options.timers, &call->deadline,
                   server->options.timers->now_ms + *timeout_ms);
    }
    return call;
}

static void start(struct grpc_server *server, struct http_exchange *x,
                  const struct grpc_method *method)
{
    struct bytes timeout = http_headers_value(&x->headers, "grpc-timeout");
    struct bytes encoding = http_headers_value(&x->headers, "grpc-encoding");
    uint64_t timeout_ms = 0;
    enum grpc_encoding parsed = GRPC_ENCODING_IDENTITY;
    char text[120];
    if (timeout.data != NULL && !grpc_timeout_parse(timeout, &timeout_ms)) {
        refuse(x, GRPC_INTERNAL, "malformed grpc-timeout");
        return;
    }
    if (!grpc_encoding_parse(encoding, &parsed)) {
        (void)snprintf(text, sizeof text,
                       "grpc: Decompressor is not installed for grpc-encoding \"%.*s\"",
                       (int)(encoding.size > 40 ? 40 : encoding.size), (const char *)encoding.data);
        refuse(x, GRPC_UNIMPLEMENTED, text);
        return;
    }
    struct grpc_call *call =
        grpc_call_open(server, x, method, timeout.data != NULL ? &timeout_ms : NULL);
    call->in.encoding = parsed;
    x->handler = &call_http_handler;
    x->data = call;
    if (server->options.handler->on_call_start != NULL) {
        server->options.handler->on_call_start(call);
    }
}

bool grpc_server_try_take(struct grpc_server *server, struct http_exchange *x)
{
    const struct grpc_method *method = bytes_map_find(&server->methods, x->path);
    struct bytes type = http_headers_value(&x->headers, "content-type");
    bool is_grpc = is_grpc_content_type(type);
    if (!is_grpc && method == NULL) {
        return false;
    }
    if (!is_grpc) {
        x->handler = NULL;
        http_exchange_reply(x, 415, "text/plain; charset=utf-8",
                            BYTES_LITERAL("invalid gRPC request content-type\n"));
    } else if (x->version != 2) {
        x->handler = NULL;
        http_exchange_reply(x, 505, "text/plain; charset=utf-8",
                            BYTES_LITERAL("gRPC requires HTTP/2\n"));
    } else if (!bytes_equal(x->method, BYTES_LITERAL("POST"))) {
        x->handler = NULL;
        http_exchange_reply(x, 405, "text/plain; charset=utf-8",
                            BYTES_LITERAL("gRPC requires POST\n"));
    } else if (method == NULL) {
        refuse_unknown(server, x);
    } else {
        start(server, x, method);
    }
    return true;
}

static void take_all(struct http_exchange *x)
{
    struct grpc_server *server = x->data;
    if (!grpc_server_try_take(server, x)) {
        x->handler = NULL;
        http_exchange_reply(x, 404, "text/plain; charset=utf-8",
                            BYTES_LITERAL("404 page not found\n"));
    }
}

const struct http_handler grpc_server_http_handler = {.on_headers = take_all};
