/* remote_call.c - one request to the API server and its answer. */
#include <string.h>

#include "base/mem.h"
#include "orchestrator/remote/remote_internal.h"
#include "proto/connection.h"

struct remote_call {
    struct list link; /* in remote.calls */
    struct remote_call_options options;
    struct http_exchange *exchange;
    struct buf body;
    bool is_too_large;
};

static void free_call(struct remote_call *call)
{
    list_remove(&call->link);
    http_exchange_unref(call->exchange);
    buf_deinit(&call->body);
    mem_free(call);
}

static void tell_lines(struct remote_call *call)
{
    for (;;) {
        struct bytes rest = buf_bytes(&call->body);
        const uint8_t *end = rest.size == 0 ? NULL : memchr(rest.data, '\n', rest.size);
        if (end == NULL) {
            return;
        }
        size_t size = (size_t)(end - rest.data);
        struct http_exchange *x = http_exchange_ref(call->exchange);
        call->options.on_line(call->options.context, bytes_make(rest.data, size));
        bool is_forgotten = x->data == NULL;
        http_exchange_unref(x);
        if (is_forgotten) {
            return;
        }
        buf_consume(&call->body, size + 1);
    }
}

static void on_headers(struct http_exchange *x)
{
    (void)x;
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    struct remote_call *call = x->data;
    http_exchange_consume(x, data.size);
    if (call == NULL || call->is_too_large) {
        return;
    }
    buf_append_bytes(&call->body, data);
    if (call->options.on_line != NULL && x->status == 200) {
        tell_lines(call);
        call = x->data;
    }
    if (call != NULL && buf_size(&call->body) > REMOTE_BODY_SIZE_MAX) {
        call->is_too_large = true;
        http_exchange_reset(x, HTTP_RESET_CANCEL);
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    struct remote_call *call = x->data;
    if (call == NULL) {
        return;
    }
    x->data = NULL;
    const struct remote_call_options options = call->options;
    unsigned code = reason == 0 && !call->is_too_large ? x->status : 0;
    struct buf body = call->body;
    buf_init(&call->body);
    free_call(call);
    options.on_end(options.context, code, buf_bytes(&body));
    buf_deinit(&body);
}

static const struct http_handler handler = {
    .on_headers = on_headers, .on_body = on_body, .on_close = on_close};

static size_t make_headers(const struct remote *remote, const struct remote_call_options *options,
                           struct http_header headers[4])
{
    size_t count = 0;
    headers[count++] = (struct http_header)HTTP_HEADER_INIT("accept", "application/json");
    headers[count++] = (struct http_header){BYTES_LITERAL("user-agent"),
                                            bytes_from_text(remote->options.user_agent), 0};
    if (remote->authorization != NULL) {
        headers[count++] =
            (struct http_header){BYTES_LITERAL("authorization"),
                                 bytes_from_text(remote->authorization), HTTP_HEADER_VARYING};
    }
    if (options->content_type != NULL) {
        headers[count++] = (struct http_header){BYTES_LITERAL("content-type"),
                                                bytes_from_text(options->content_type), 0};
    }
    return count;
}

struct remote_call *remote_call_begin(struct remote *remote,
                                      const struct remote_call_options *options)
{
    if (remote->connection == NULL) {
        return NULL;
    }
    struct http_header headers[4];
    const struct http2_request request = {
        .method = bytes_from_text(options->method),
        .scheme = remote->tls != NULL ? BYTES_LITERAL("https") : BYTES_LITERAL("http"),
        .authority = bytes_from_text(remote->authority),
        .path = bytes_from_text(options->path),
        .headers = headers,
        .header_count = make_headers(remote, options, headers),
    };
    struct remote_call *call = mem_zalloc(sizeof(*call));
    call->options = *options;
    buf_init(&call->body);
    list_init(&call->link);
    struct http_exchange *x =
        http2_session_request(connection_http2(remote->connection), &request, &handler, call);
    if (x == NULL) {
        mem_free(call);
        return NULL;
    }
    call->exchange = http_exchange_ref(x);
    list_push_back(&remote->calls, &call->link);
    if (options->content_type != NULL) {
        http_exchange_send(x, options->body);
    }
    http_exchange_finish(x, NULL, 0);
    return call;
}

void remote_call_forget(struct remote_call *call)
{
    call->exchange->data = NULL;
    http_exchange_reset(call->exchange, HTTP_RESET_CANCEL);
    free_call(call);
}
