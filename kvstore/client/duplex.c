#include "kvstore/client/duplex.h"

#include "base/check.h"

/* What a gRPC call holds on to. The duplex lets go of it when it stops; gRPC's last callback frees
 * it. */
struct duplex_link {
    struct duplex *owner; /* NULL: it stopped */
    struct grpc_client_call *grpc;
    struct client_endpoint *endpoint;
};

static void wait_for_endpoint(struct duplex *duplex)
{
    duplex->state = DUPLEX_WAITING;
    client_wait(duplex->client, &duplex->waiter);
}

static void pause_before_next(struct duplex *duplex)
{
    duplex->failures += 1;
    duplex->state = DUPLEX_PAUSED;
    uint64_t delay_ms = client_retry_delay_ms(duplex->client, duplex->failures);
    timers_set(duplex->client->timers, &duplex->timer, client_now_ms(duplex->client) + delay_ms);
}

static void duplex_timer_fired(struct timer *timer)
{
    struct duplex *duplex = container_of(timer, struct duplex, timer);
    CHECK(duplex->state == DUPLEX_PAUSED);
    wait_for_endpoint(duplex);
}

static void on_message(struct grpc_client_call *grpc, const struct grpc_message *message)
{
    struct duplex_link *link = grpc_client_call_data(grpc);
    if (link->owner != NULL && message->decoded != NULL) {
        link->owner->handler->on_message(link->owner, message);
    }
}

/* What the next attempt, maybe on another member, may do better. Internal is what proxies and old
 * servers say when a stream is torn down; OK is an orderly end that we did not ask for. */
static bool is_worth_another(enum grpc_status status)
{
    return status == GRPC_UNAVAILABLE || status == GRPC_INTERNAL || status == GRPC_OK;
}

static void on_finish(struct grpc_client_call *grpc, enum grpc_status status, const char *text,
                      const struct http_headers *trailers, bool was_sent)
{
    (void)trailers;
    (void)was_sent;
    struct duplex_link *link = grpc_client_call_data(grpc);
    struct duplex *duplex = link->owner;
    if (duplex == NULL) {
        mem_free(link);
        return;
    }
    struct kv_client *client = duplex->client;
    client_on_status(client, link->endpoint, status, text);
    mem_free(link);
    duplex->link = NULL;
    duplex->state = DUPLEX_IDLE;
    if (client->is_closing) {
        return;
    }
    bool is_final = !is_worth_another(status) &&
                    !auth_is_refreshed(client, status, text, duplex->token_generation);
    if (duplex->failures == 0) {
        duplex->failures += 1;
        wait_for_endpoint(duplex);
    } else {
        pause_before_next(duplex);
    }
    duplex->handler->on_broken(duplex, status, text, is_final); /* last: it may free the duplex */
}

static const struct grpc_client_handler grpc_handler = {
    .on_message = on_message,
    .on_finish = on_finish,
};

static void endpoint_ready(struct client_waiter *waiter, struct client_endpoint *endpoint)
{
    struct duplex *duplex = container_of(waiter, struct duplex, waiter);
    struct kv_client *client = duplex->client;
    struct http_header metadata[AUTH_METADATA_MAX + 1];
    size_t count = auth_metadata(&client->auth, metadata);
    if (duplex->handler->needs_leader) {
        metadata[count++] = (struct http_header)HTTP_HEADER_INIT("hasleader", "true");
    }
    duplex->token_generation = client->auth.generation;
    duplex->link = mem_zalloc(sizeof *duplex->link);
    duplex->link->owner = duplex;
    duplex->link->endpoint = endpoint;
    const struct grpc_call_options options = {
        .path = duplex->handler->path,
        .response = duplex->handler->response,
        .metadata = metadata,
        .metadata_count = count,
        .handler = &grpc_handler,
        .data = duplex->link,
    };
    duplex->state = DUPLEX_OPEN;
    duplex->link->grpc = grpc_channel_start(endpoint->channel, &options);
    duplex->handler->on_open(duplex);
}

/* No endpoint for long, or no token. */
static void endpoint_failed(struct client_waiter *waiter, enum grpc_status status, const char *text)
{
    struct duplex *duplex = container_of(waiter, struct duplex, waiter);
    duplex->state = DUPLEX_IDLE;
    if (!duplex->client->is_closing) {
        pause_before_next(duplex);
        duplex->handler->on_broken(duplex, status, text, status != GRPC_UNAVAILABLE);
    }
}

void duplex_init(struct duplex *duplex, struct kv_client *client,
                 const struct duplex_handler *handler)
{
    *duplex = (struct duplex){
        .client = client,
        .handler = handler,
        .state = DUPLEX_IDLE,
        .waiter = {.needs_token = true, .ready = endpoint_ready, .failed = endpoint_failed},
    };
    list_init(&duplex->waiter.link);
    timer_init(&duplex->timer, duplex_timer_fired);
}

void duplex_start(struct duplex *duplex)
{
    if (duplex->state == DUPLEX_IDLE) {
        wait_for_endpoint(duplex);
    }
}

void duplex_stop(struct duplex *duplex)
{
    client_wait_cancel(&duplex->waiter);
    timers_clear(duplex->client->timers, &duplex->timer);
    if (duplex->link != NULL) {
        duplex->link->owner = NULL;
        grpc_client_call_cancel(duplex->link->grpc, GRPC_CANCELED);
        duplex->link = NULL;
    }
    duplex->state = DUPLEX_IDLE;
}

void duplex_restart(struct duplex *duplex)
{
    duplex_stop(duplex);
    duplex_start(duplex);
}

void duplex_send(struct duplex *duplex, const ProtobufCMessage *message)
{
    CHECK(duplex->state == DUPLEX_OPEN);
    grpc_client_call_send_message(duplex->link->grpc, message);
}

void duplex_note_success(struct duplex *duplex)
{
    duplex->failures = 0;
}
