/* One request, a stream of responses. */
#include "base/check.h"
#include "kvstore/client/client_internal.h"

struct kv_stream {
    struct kv_client *client;
    struct list link;
    struct client_waiter waiter;
    const struct kv_method *method;
    struct kv_stream_handler handler;
    void *context;
    uint64_t deadline_ms;
    struct timer timer; /* the deadline while it waits */
    struct grpc_client_call *grpc;
    bool is_closed;
    bool is_paused;
    size_t request_size;
    uint8_t request[];
};

static void free_stream(struct kv_stream *stream)
{
    struct kv_client *client = stream->client;
    client_wait_cancel(&stream->waiter);
    timers_clear(client->timers, &stream->timer);
    list_remove(&stream->link);
    mem_free(stream);
    client_part_gone(client);
}

static void finish(struct kv_stream *stream, enum grpc_status status, const char *text)
{
    if (!stream->is_closed) {
        stream->is_closed = true;
        stream->handler.on_finish(stream->context, status, text);
    }
    free_stream(stream);
}

static void on_message(struct grpc_client_call *grpc, const struct grpc_message *message)
{
    struct kv_stream *stream = grpc_client_call_data(grpc);
    if (!stream->is_closed && message->decoded != NULL) {
        stream->handler.on_message(stream->context, message->decoded);
    }
}

static void on_finish(struct grpc_client_call *grpc, enum grpc_status status, const char *text,
                      const struct http_headers *trailers, bool was_sent)
{
    (void)trailers;
    struct kv_stream *stream = grpc_client_call_data(grpc);
    stream->grpc = NULL;
    if (!was_sent && status == GRPC_UNAVAILABLE && !stream->is_closed &&
        !stream->client->is_closing) {
        client_wait(stream->client, &stream->waiter);
        return;
    }
    finish(stream, status, text);
}

static const struct grpc_client_handler grpc_handler = {
    .on_message = on_message,
    .on_finish = on_finish,
};

static void endpoint_ready(struct client_waiter *waiter, struct client_endpoint *endpoint)
{
    struct kv_stream *stream = container_of(waiter, struct kv_stream, waiter);
    struct kv_client *client = stream->client;
    struct http_header metadata[AUTH_METADATA_MAX];
    uint64_t now_ms = client_now_ms(client);
    timers_clear(client->timers, &stream->timer);
    const struct grpc_call_options options = {
        .path = stream->method->path,
        .response = stream->method->response,
        .metadata = metadata,
        .metadata_count = auth_metadata(&client->auth, metadata),
        .timeout_ms = stream->deadline_ms == UINT64_MAX ? 0
                      : stream->deadline_ms > now_ms    ? stream->deadline_ms - now_ms
                                                        : 1,
        .handler = &grpc_handler,
        .data = stream,
    };
    stream->grpc = grpc_channel_start(endpoint->channel, &options);
    grpc_client_call_send(stream->grpc, bytes_make(stream->request, stream->request_size));
    grpc_client_call_half_close(stream->grpc);
    if (stream->is_paused) {
        grpc_client_call_pause(stream->grpc);
    }
}

static void endpoint_failed(struct client_waiter *waiter, enum grpc_status status, const char *text)
{
    finish(container_of(waiter, struct kv_stream, waiter), status, text);
}

static void stream_timer_fired(struct timer *timer)
{
    finish(container_of(timer, struct kv_stream, timer), GRPC_DEADLINE_EXCEEDED,
           "context deadline exceeded");
}

struct kv_stream *kv_client_stream(struct kv_client *client, const struct kv_method *method,
                                   const ProtobufCMessage *request,
                                   const struct kv_call_options *options,
                                   const struct kv_stream_handler *handler, void *context)
{
    size_t request_size = protobuf_c_message_get_packed_size(request);
    struct kv_stream *stream = mem_zalloc(sizeof *stream + request_size);
    stream->client = client;
    stream->method = method;
    stream->handler = *handler;
    stream->context = context;
    stream->waiter.needs_token = true;
    stream->waiter.ready = endpoint_ready;
    stream->waiter.failed = endpoint_failed;
    stream->deadline_ms = UINT64_MAX;
    stream->request_size = request_size;
    (void)protobuf_c_message_pack(request, stream->request);
    timer_init(&stream->timer, stream_timer_fired);
    list_push_back(&client->streams, &stream->link);
    if (options != NULL && options->timeout_ms != 0) {
        stream->deadline_ms = client_now_ms(client) + options->timeout_ms;
        timers_set(client->timers, &stream->timer, stream->deadline_ms);
    }
    client_wait(client, &stream->waiter);
    return stream;
}

void kv_stream_pause(struct kv_stream *stream)
{
    stream->is_paused = true;
    if (stream->grpc != NULL) {
        grpc_client_call_pause(stream->grpc);
    }
}

void kv_stream_resume(struct kv_stream *stream)
{
    stream->is_paused = false;
    if (stream->grpc != NULL) {
        grpc_client_call_resume(stream->grpc);
    }
}

void kv_stream_close(struct kv_stream *stream)
{
    stream->is_closed = true;
    if (stream->grpc != NULL) {
        grpc_client_call_cancel(stream->grpc, GRPC_CANCELED); /* on_finish frees it */
    } else {
        free_stream(stream);
    }
}
