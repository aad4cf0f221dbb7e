/* Unary calls: wait for an endpoint, send, maybe try again, answer.
 *
 *   WAITING --endpoint--> SENT --answer--> (done)
 *      ^                   |
 *      +---- PAUSED <------+ worth another attempt
 */
#include <string.h>

#include "base/check.h"
#include "kvstore/client/client_internal.h"
#include "kvstore/client/rpc.h"
#include "proto/arena_allocator.h"

enum { ATTEMPTS_MAX = 100, TOKEN_REFRESHES_MAX = 2 };

enum call_state { CALL_WAITING, CALL_SENT, CALL_PAUSED };

struct kv_call {
    struct kv_client *client;
    struct list link; /* in client->calls */
    struct client_waiter waiter;
    struct timer timer; /* WAITING: the deadline; PAUSED: the next attempt */
    const struct kv_method *method;
    enum call_state state;
    bool is_dropped;      /* cancelled by the user: no callback */
    uint64_t deadline_ms; /* UINT64_MAX: none */
    uint32_t attempts;
    uint32_t token_refreshes;
    uint64_t token_generation;
    struct client_endpoint *endpoint; /* SENT */
    struct grpc_client_call *grpc;    /* SENT */
    struct arena arena;               /* of the response */
    const ProtobufCMessage *response;
    kv_call_done *done;
    void *context;
    size_t request_size;
    uint8_t request[];
};

static void free_call(struct kv_call *call)
{
    struct kv_client *client = call->client;
    client_wait_cancel(&call->waiter);
    timers_clear(client->timers, &call->timer);
    list_remove(&call->link);
    arena_deinit(&call->arena);
    mem_free(call);
    client_part_gone(client);
}

static void finish(struct kv_call *call, enum grpc_status status, const char *text)
{
    const struct kv_reply reply = {
        .status = status,
        .text = status == GRPC_OK ? "" : text,
        .message = status == GRPC_OK ? call->response : NULL,
        .memory = &call->arena,
    };
    kv_call_done *done = call->done;
    bool is_dropped = call->is_dropped;
    /* A cancel inside done would be a use after the end; the call is out of reach from here. */
    client_wait_cancel(&call->waiter);
    timers_clear(call->client->timers, &call->timer);
    if (!is_dropped) {
        done(call->context, &reply);
    }
    free_call(call);
}

void kv_reply_take(const struct kv_reply *reply, struct arena *ret)
{
    *ret = *reply->memory;
    arena_init(reply->memory);
}

static void on_message(struct grpc_client_call *grpc, const struct grpc_message *message)
{
    struct kv_call *call = grpc_client_call_data(grpc);
    if (call->response == NULL && !call->is_dropped) {
        call->response = proto_decode(call->method->response, message->raw, &call->arena);
    }
}

static void wait_for_endpoint(struct kv_call *call)
{
    call->state = CALL_WAITING;
    if (call->deadline_ms != UINT64_MAX) {
        timers_set(call->client->timers, &call->timer, call->deadline_ms);
    }
    client_wait(call->client, &call->waiter);
}

static void pause_before_next(struct kv_call *call, uint64_t delay_ms)
{
    call->state = CALL_PAUSED;
    uint64_t next_ms = client_now_ms(call->client) + delay_ms;
    timers_set(call->client->timers, &call->timer,
               next_ms < call->deadline_ms ? next_ms : call->deadline_ms);
}

static bool is_worth_another(const struct kv_call *call, enum grpc_status status, bool was_sent)
{
    return status == GRPC_UNAVAILABLE && call->attempts < ATTEMPTS_MAX &&
           (!was_sent || call->method->kind == KV_METHOD_READ);
}

static void on_finish(struct grpc_client_call *grpc, enum grpc_status status, const char *text,
                      const struct http_headers *trailers, bool was_sent)
{
    (void)trailers;
    struct kv_call *call = grpc_client_call_data(grpc);
    struct kv_client *client = call->client;
    call->grpc = NULL;
    if (call->is_dropped || client->is_closing) {
        finish(call, GRPC_CANCELED, "context canceled");
        return;
    }
    if (status == GRPC_OK) {
        bool is_complete = call->response != NULL;
        finish(call, is_complete ? GRPC_OK : GRPC_INTERNAL,
               "the server's response is missing or cannot be decoded");
        return;
    }
    client_on_status(client, call->endpoint, status, text);
    call->response = NULL;
    if (call->method != &kv_authenticate && call->token_refreshes < TOKEN_REFRESHES_MAX &&
        auth_is_refreshed(client, status, text, call->token_generation)) {
        call->token_refreshes += 1;
        wait_for_endpoint(call);
        return;
    }
    if (is_worth_another(call, status, was_sent)) {
        pause_before_next(call, was_sent ? client_retry_delay_ms(client, call->attempts) : 0);
        return;
    }
    finish(call, status, text);
}

static const struct grpc_client_handler handler = {
    .on_message = on_message,
    .on_finish = on_finish,
};

static void send_to(struct kv_call *call, struct client_endpoint *endpoint)
{
    struct kv_client *client = call->client;
    struct http_header metadata[AUTH_METADATA_MAX];
    timers_clear(client->timers, &call->timer);
    call->state = CALL_SENT;
    call->endpoint = endpoint;
    call->attempts += 1;
    call->token_generation = client->auth.generation;
    uint64_t now_ms = client_now_ms(client);
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1;
    const struct grpc_call_options options = {
        .path = call->method->path,
        .metadata = metadata,
        .metadata_count = call->waiter.needs_token ? auth_metadata(&client->auth, metadata) : 0,
        .timeout_ms = call->deadline_ms == UINT64_MAX ? 0 : left_ms,
        .handler = &handler,
        .data = call,
    };
    call->grpc = grpc_channel_start(endpoint->channel, &options);
    grpc_client_call_send(call->grpc, bytes_make(call->request, call->request_size));
    grpc_client_call_half_close(call->grpc);
}

static void endpoint_ready(struct client_waiter *waiter, struct client_endpoint *endpoint)
{
    send_to(container_of(waiter, struct kv_call, waiter), endpoint);
}

static void endpoint_failed(struct client_waiter *waiter, enum grpc_status status, const char *text)
{
    finish(container_of(waiter, struct kv_call, waiter), status, text);
}

static void call_timer_fired(struct timer *timer)
{
    struct kv_call *call = container_of(timer, struct kv_call, timer);
    if (client_now_ms(call->client) >= call->deadline_ms) {
        finish(call, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
        return;
    }
    CHECK(call->state == CALL_PAUSED);
    wait_for_endpoint(call);
}

struct kv_call *kv_client_call(struct kv_client *client, const struct kv_method *method,
                               const ProtobufCMessage *request,
                               const struct kv_call_options *options, kv_call_done *done,
                               void *context)
{
    size_t request_size = protobuf_c_message_get_packed_size(request);
    struct kv_call *call = mem_alloc(sizeof *call + request_size);
    *call = (struct kv_call){
        .client = client,
        .waiter = {.needs_token = method != &kv_authenticate,
                   .ready = endpoint_ready,
                   .failed = endpoint_failed},
        .method = method,
        .deadline_ms = UINT64_MAX,
        .done = done,
        .context = context,
        .request_size = request_size,
    };
    if (options != NULL && options->timeout_ms != 0) {
        call->deadline_ms = client_now_ms(client) + options->timeout_ms;
    }
    (void)protobuf_c_message_pack(request, call->request);
    list_init(&call->waiter.link);
    timer_init(&call->timer, call_timer_fired);
    arena_init(&call->arena);
    list_push_back(&client->calls, &call->link);
    struct client_endpoint *endpoint = client_try_endpoint(client, call->waiter.needs_token);
    if (endpoint != NULL) {
        send_to(call, endpoint);
    } else {
        wait_for_endpoint(call);
    }
    return call;
}

void kv_call_cancel(struct kv_call *call)
{
    CHECK(!call->is_dropped);
    call->is_dropped = true;
    if (call->grpc != NULL) {
        grpc_client_call_cancel(call->grpc, GRPC_CANCELED); /* on_finish frees it */
    } else {
        free_call(call);
    }
}

void calls_cancel_paused(struct kv_client *client)
{
    for (struct list *item = client->calls.next; item != &client->calls;) {
        struct kv_call *call = container_of(item, struct kv_call, link);
        item = item->next;
        if (call->state == CALL_PAUSED) {
            finish(call, GRPC_CANCELED, "context canceled");
            item = client->calls.next; /* done may have changed the list */
        }
    }
}
