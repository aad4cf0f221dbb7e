#include "proto/grpc_gateway.h"

#include "base/check.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "proto/arena_allocator.h"
#include "proto/gateway_socket.h"
#include "proto/grpc_call.h"
#include "proto/json_codec.h"

/* Bytes of JSON for each byte of message: base64, names, escapes. */
enum { JSON_EXPANSION = 4, JSON_BYTES_EXTRA = 64 * 1024 };

struct grpc_gateway {
    struct grpc_server *server;
    struct bytes prefix;
    struct bytes_map routes; /* path -> const struct grpc_route */
};

/* Lives in the exchange's arena beside its call. */
struct grpc_gateway_call {
    const struct grpc_route *route;
    struct buf in;      /* JSON that is not delivered */
    struct buf message; /* answer, as protobuf, being put together */
    size_t message_size;
    struct buf unary;              /* the answer's JSON, kept for the finish */
    struct gateway_socket *socket; /* NULL: it came as a plain request */
};

static const char json_type[] = "application/json";

struct grpc_gateway *grpc_gateway_new(struct grpc_server *server, const char *prefix,
                                      const struct grpc_route *routes, size_t route_count)
{
    struct grpc_gateway *gateway = mem_zalloc(sizeof *gateway);
    gateway->server = server;
    gateway->prefix = bytes_from_text(prefix);
    bytes_map_init(&gateway->routes);
    for (size_t i = 0; i < route_count; i++) {
        void *before = bytes_map_set(&gateway->routes, bytes_from_text(routes[i].path),
                                     (void *)(uintptr_t)&routes[i]);
        CHECK(before == NULL);
    }
    return gateway;
}

void grpc_gateway_free(struct grpc_gateway *gateway)
{
    if (gateway != NULL) {
        bytes_map_deinit(&gateway->routes);
        mem_free(gateway);
    }
}

/* Answers. */

static void append_error(struct buf *out, enum grpc_status status, const char *text)
{
    buf_append_format(out, "{\"code\":%d,\"message\":", (int)status);
    json_text_append_quoted(out, bytes_from_text(text));
    buf_append_text(out, ",\"details\":[]}");
}

static void reply_error(struct http_exchange *x, enum grpc_status status, const char *text)
{
    struct buf body = BUF_INIT;
    append_error(&body, status, text);
    http_exchange_reply(x, grpc_status_to_http(status), json_type, buf_bytes(&body));
    buf_deinit(&body);
}

/* One message of a WebSocket, or one line. */
static void send_text(struct grpc_call *call, struct bytes text)
{
    if (call->gateway->socket != NULL) {
        gateway_socket_send(call->gateway->socket, text);
    } else {
        http_exchange_send(call->exchange, text);
        http_exchange_send(call->exchange, BYTES_LITERAL("\n"));
    }
}

static void begin_stream(struct http_exchange *x, enum grpc_status status)
{
    static const struct http_header type = HTTP_HEADER_INIT("content-type", "application/json");
    http_exchange_respond(x, grpc_status_to_http(status), &type, 1);
}

static void send_line(struct grpc_call *call, const ProtobufCMessage *message)
{
    struct buf line = BUF_INIT;
    buf_append_text(&line, "{\"result\":");
    json_encode(&line, message);
    buf_append_text(&line, "}");
    begin_stream(call->exchange, GRPC_OK);
    send_text(call, buf_bytes(&line));
    buf_deinit(&line);
}

/* The answer is whole as protobuf: make JSON of it. */
static void convert(struct grpc_call *call)
{
    struct grpc_gateway_call *gateway = call->gateway;
    struct arena arena = ARENA_INIT;
    const ProtobufCMessage *message =
        proto_decode(gateway->route->response, buf_bytes(&gateway->message), &arena);
    CHECK(message != NULL); /* it is our own */
    if (call->method->server_stream) {
        send_line(call, message);
    } else {
        buf_clear(&gateway->unary);
        json_encode(&gateway->unary, message);
    }
    buf_clear(&gateway->message);
    arena_deinit(&arena);
}

void grpc_gateway_begin_message(struct grpc_call *call, size_t size)
{
    struct grpc_gateway_call *gateway = call->gateway;
    CHECK(buf_size(&gateway->message) == 0);
    gateway->message_size = size;
    if (size == 0) {
        convert(call);
    }
}

void grpc_gateway_add(struct grpc_call *call, struct bytes piece)
{
    struct grpc_gateway_call *gateway = call->gateway;
    if (piece.size == 0) {
        return;
    }
    buf_append_bytes(&gateway->message, piece);
    CHECK(buf_size(&gateway->message) <= gateway->message_size);
    if (buf_size(&gateway->message) == gateway->message_size) {
        convert(call);
    }
}

/* The last message, and the end of the WebSocket. */
static void finish_socket(struct grpc_call *call, enum grpc_status status, const char *text)
{
    struct buf line = BUF_INIT;
    if (status != GRPC_OK) {
        buf_append_text(&line, "{\"error\":");
        append_error(&line, status, text);
        buf_append_text(&line, "}");
        gateway_socket_send(call->gateway->socket, buf_bytes(&line));
    } else if (!call->method->server_stream) {
        gateway_socket_send(call->gateway->socket, buf_bytes(&call->gateway->unary));
    }
    buf_deinit(&line);
    gateway_socket_close(call->gateway->socket, GATEWAY_SOCKET_NORMAL);
}

void grpc_gateway_finish(struct grpc_call *call, enum grpc_status status, const char *text)
{
    struct http_exchange *x = call->exchange;
    if (call->gateway->socket != NULL) {
        finish_socket(call, status, text);
        return;
    }
    if (!call->method->server_stream) {
        if (status == GRPC_OK) {
            http_exchange_reply(x, 200, json_type, buf_bytes(&call->gateway->unary));
        } else {
            reply_error(x, status, text);
        }
        return;
    }
    begin_stream(x, status);
    if (status != GRPC_OK) {
        struct buf line = BUF_INIT;
        buf_append_text(&line, "{\"error\":");
        append_error(&line, status, text);
        buf_append_text(&line, "}");
        send_text(call, buf_bytes(&line));
        buf_deinit(&line);
    }
    http_exchange_finish(x, NULL, 0);
}

/* Requests. */

/* Bytes of the first object in text with the space before it; 0: it is not complete, SIZE_MAX: it
 * is no object. What is inside is json_decode's to judge. */
static size_t object_size(struct bytes text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && depth > 0 && --depth == 0) {
            return i + 1;
        }
        bool is_space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (depth == 0 && !is_space) {
            return SIZE_MAX;
        }
    }
    return 0;
}

static bool deliver_text(struct grpc_call *call, struct bytes text)
{
    struct arena arena = ARENA_INIT;
    struct err err = {0};
    const ProtobufCMessage *message =
        json_decode(call->gateway->route->request, text, &arena, &err);
    if (message == NULL) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, err.text);
    } else {
        grpc_call_deliver(call, proto_encode(message, &arena));
    }
    arena_deinit(&arena);
    return message != NULL;
}

static bool is_blank(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (strchr(" \t\r\n", text.data[i]) == NULL || text.data[i] == 0) {
            return false;
        }
    }
    return true;
}

static void receive_stream(struct grpc_call *call)
{
    struct buf *in = &call->gateway->in;
    while (call->is_open && !call->is_paused && buf_size(in) > 0) {
        struct bytes text = buf_bytes(in);
        size_t size = object_size(text);
        if (size == SIZE_MAX || (size == 0 && call->has_end && !is_blank(text))) {
            grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "json: expected an object");
            return;
        }
        if (size == 0) {
            break;
        }
        if (!deliver_text(call, bytes_make(text.data, size))) {
            return;
        }
        buf_consume(in, size);
    }
}

void grpc_gateway_receive(struct grpc_call *call)
{
    if (call->method->client_stream) {
        receive_stream(call);
    } else if (call->is_open && call->has_end && call->message_count == 0 && !call->is_paused) {
        (void)deliver_text(call, buf_bytes(&call->gateway->in));
    }
    grpc_call_tell_end(call);
}

static size_t body_bytes_max(const struct grpc_call *call)
{
    return call->server->options.receive_bytes_max * JSON_EXPANSION + JSON_BYTES_EXTRA;
}

/* A message of a WebSocket: the request of a unary call, or one more of a stream. */
static void on_socket_message(void *context, struct bytes text)
{
    struct grpc_call *call = context;
    if (!call->is_open) {
        return;
    }
    if (buf_size(&call->gateway->in) + text.size > body_bytes_max(call)) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "json: request body is too large");
        return;
    }
    buf_append_bytes(&call->gateway->in, text);
    call->has_end = !call->method->client_stream;
    grpc_gateway_receive(call);
}

static void on_socket_body(struct http_exchange *x, struct bytes data)
{
    struct grpc_call *call = x->data;
    size_t size = data.size;
    (void)gateway_socket_receive(call->gateway->socket, data); /* on_close follows an end */
    http_exchange_consume(x, size);
}

static void on_socket_end(struct http_exchange *x)
{
    struct grpc_call *call = x->data;
    gateway_socket_close(call->gateway->socket, GATEWAY_SOCKET_NORMAL);
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    struct grpc_call *call = x->data;
    size_t size_max = body_bytes_max(call);
    if (call->is_open) {
        buf_append_bytes(&call->gateway->in, data);
        if (buf_size(&call->gateway->in) > size_max) {
            grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "json: request body is too large");
        } else if (call->is_paused) {
            call->held_bytes += data.size;
            return;
        } else if (call->method->client_stream) {
            grpc_gateway_receive(call);
        }
    }
    http_exchange_consume(x, data.size);
}

static void on_end(struct http_exchange *x)
{
    struct grpc_call *call = x->data;
    call->has_end = true;
    grpc_gateway_receive(call);
}

static void on_writable(struct http_exchange *x)
{
    struct grpc_call *call = x->data;
    if (call->is_open && call->server->options.handler->on_writable != NULL) {
        call->server->options.handler->on_writable(call);
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    (void)reason;
    struct grpc_call *call = x->data;
    grpc_call_on_exchange_close(call);
    gateway_socket_free(call->gateway->socket);
    buf_deinit(&call->gateway->in);
    buf_deinit(&call->gateway->message);
    buf_deinit(&call->gateway->unary);
}

static const struct http_handler gateway_http_handler = {
    .on_body = on_body, .on_end = on_end, .on_writable = on_writable, .on_close = on_close};

static const struct http_handler socket_http_handler = {.on_body = on_socket_body,
                                                        .on_end = on_socket_end,
                                                        .on_writable = on_writable,
                                                        .on_close = on_close};

static void start(struct grpc_gateway *gateway, struct http_exchange *x,
                  const struct grpc_route *route, const struct grpc_method *method)
{
    struct bytes timeout = http_headers_value(&x->headers, "grpc-timeout");
    uint64_t timeout_ms = 0;
    if (timeout.data != NULL && !grpc_timeout_parse(timeout, &timeout_ms)) {
        x->handler = NULL;
        reply_error(x, GRPC_INVALID_ARGUMENT, "malformed grpc-timeout");
        return;
    }
    struct grpc_call *call =
        grpc_call_open(gateway->server, x, method, timeout.data != NULL ? &timeout_ms : NULL);
    call->gateway = arena_zalloc(&x->arena, sizeof *call->gateway);
    call->gateway->route = route;
    x->handler = &gateway_http_handler;
    x->data = call;
    if (gateway_socket_is_wanted(x)) {
        call->gateway->socket =
            gateway_socket_accept(x, body_bytes_max(call), on_socket_message, call);
        if (call->gateway->socket == NULL) {
            grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "malformed WebSocket request");
            return;
        }
        x->handler = &socket_http_handler;
    }
    if (gateway->server->options.handler->on_call_start != NULL) {
        gateway->server->options.handler->on_call_start(call);
    }
}

bool grpc_gateway_try_take(struct grpc_gateway *gateway, struct http_exchange *x)
{
    if (!bytes_has_prefix(x->path, gateway->prefix)) {
        return false;
    }
    const uint8_t *query = memchr(x->path.data, '?', x->path.size);
    struct bytes path =
        query == NULL ? x->path : bytes_make(x->path.data, (size_t)(query - x->path.data));
    const struct grpc_route *route = bytes_map_find(&gateway->routes, path);
    const struct grpc_method *method =
        route == NULL ? NULL
                      : bytes_map_find(&gateway->server->methods, bytes_from_text(route->method));
    bool is_post = bytes_equal(x->method, BYTES_LITERAL("POST"));
    if (method != NULL && (is_post || gateway_socket_is_wanted(x))) {
        start(gateway, x, route, method);
        return true;
    }
    x->handler = NULL;
    if (route == NULL) {
        reply_error(x, GRPC_NOT_FOUND, "Not Found");
    } else {
        reply_error(x, GRPC_UNIMPLEMENTED,
                    method == NULL ? "method is not implemented" : "Method Not Allowed");
    }
    return true;
}
