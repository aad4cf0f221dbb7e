#include "proto/grpc_channel.h"

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/grpc_client.h"

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 5000 };

/* One connection of the channel, from attempt to end. */
struct channel_link {
    struct grpc_channel *channel;
    struct dialer *dialer;
    struct connection *connection; /* NULL until established */
    struct list link;              /* in retired */
};

static void start_link(struct grpc_channel *channel);

static void set_state(struct grpc_channel *channel, enum grpc_channel_state state,
                      const struct err *err)
{
    if (channel->state == state) {
        return;
    }
    channel->state = state;
    if (channel->options.on_state != NULL && !channel->is_closing) {
        channel->options.on_state(channel->options.context, state, err);
    }
}

static void run_waiting(struct grpc_channel *channel)
{
    struct list waiting;
    list_init(&waiting);
    list_splice_back(&waiting, &channel->waiting);
    for (;;) {
        struct list *item = list_pop_front(&waiting);
        if (item == NULL) {
            return;
        }
        struct grpc_client_call *call = container_of(item, struct grpc_client_call, link);
        list_push_back(&channel->active, &call->link);
        if (channel->link == NULL || !grpc_client_call_begin(call, channel->link->connection)) {
            list_remove(&call->link);
            list_push_back(&channel->waiting, &call->link);
        }
    }
}

static void on_established(void *context, struct connection *connection)
{
    struct channel_link *link = context;
    struct grpc_channel *channel = link->channel;
    link->connection = connection;
    channel->backoff_ms = channel->options.backoff_min_ms;
    set_state(channel, GRPC_CHANNEL_READY, NULL);
    run_waiting(channel);
}

static void fail_waiting(struct grpc_channel *channel)
{
    list_foreach_safe (item, &channel->waiting) {
        struct grpc_client_call *call = container_of(item, struct grpc_client_call, link);
        if (!call->wait_for_ready) {
            grpc_client_call_end(call, GRPC_UNAVAILABLE, channel->last_error.text);
        }
    }
}

static void wait_and_retry(struct grpc_channel *channel)
{
    uint32_t jitter_ms = channel->backoff_ms / 5; /* plus or minus a fifth, as gRPC */
    uint64_t wait_ms = channel->backoff_ms - jitter_ms +
                       (jitter_ms == 0 ? 0 : prng_below(&channel->random, 2 * jitter_ms));
    struct timers *timers = wire_loop_timers(channel->wire);
    timers_set(timers, &channel->backoff, timers->now_ms + wait_ms);
    uint32_t doubled_ms = channel->backoff_ms * 2;
    channel->backoff_ms =
        doubled_ms < channel->options.backoff_max_ms ? doubled_ms : channel->options.backoff_max_ms;
    set_state(channel, GRPC_CHANNEL_BACKOFF, &channel->last_error);
    fail_waiting(channel);
}

static void describe_error(struct grpc_channel *channel, int code, const char *reason,
                           bool was_established)
{
    const char *where = channel->unix_path != NULL ? channel->unix_path : channel->authority;
    if (was_established) {
        (void)err_set(&channel->last_error, code == 0 ? ERR_CLOSED : code,
                      "connection to %s lost: %s", where,
                      code == 0 ? "closed by the server" : reason);
    } else {
        (void)err_set(&channel->last_error, code == 0 ? ERR_CLOSED : code,
                      "connection error: desc = \"transport: Error while dialing: dial %s %s: %s\"",
                      channel->unix_path != NULL ? "unix" : "tcp", where, reason);
    }
}

static void on_end(void *context, int code, const char *reason)
{
    struct channel_link *link = context;
    struct grpc_channel *channel = link->channel;
    bool was_current = channel->link == link;
    bool was_established = link->connection != NULL;
    list_remove(&link->link);
    mem_free(link);
    if (!was_current) {
        return;
    }
    channel->link = NULL;
    describe_error(channel, code, reason, was_established);
    if (!was_established) {
        wait_and_retry(channel);
        return;
    }
    set_state(channel, GRPC_CHANNEL_IDLE, &channel->last_error);
    if (!list_is_empty(&channel->waiting)) {
        start_link(channel);
    }
}

static void start_link(struct grpc_channel *channel)
{
    if (channel->link != NULL || channel->is_closing) {
        return;
    }
    struct channel_link *link = mem_zalloc(sizeof *link);
    link->channel = channel;
    list_init(&link->link);
    channel->link = link;
    const struct dialer_options options = {.host = channel->host,
                                           .port = channel->options.port,
                                           .unix_path = channel->unix_path,
                                           .local_address = channel->options.local_address,
                                           .tls = channel->options.tls,
                                           .limits = channel->options.limits,
                                           .connect_timeout_ms =
                                               channel->options.connect_timeout_ms,
                                           .on_established = on_established,
                                           .on_end = on_end,
                                           .context = link};
    link->dialer = dialer_open(channel->wire, &options);
    set_state(channel, GRPC_CHANNEL_CONNECTING, NULL);
}

static void on_backoff_over(struct timer *timer)
{
    struct grpc_channel *channel = container_of(timer, struct grpc_channel, backoff);
    set_state(channel, GRPC_CHANNEL_IDLE, &channel->last_error);
    if (!list_is_empty(&channel->waiting)) {
        start_link(channel);
    }
}

static void finish_calls(struct wire_task *task)
{
    struct grpc_channel *channel = container_of(task, struct grpc_channel, finish_task);
    struct list finished;
    list_init(&finished);
    list_splice_back(&finished, &channel->finished);
    for (;;) {
        struct list *item = list_pop_front(&finished);
        if (item == NULL) {
            return;
        }
        grpc_client_call_deliver(container_of(item, struct grpc_client_call, link));
    }
}

static void copy_metadata(struct grpc_channel *channel)
{
    size_t count = channel->options.metadata_count;
    channel->metadata = arena_alloc(&channel->arena, count * sizeof *channel->metadata);
    channel->metadata_count = count;
    for (size_t i = 0; i < count; i++) {
        struct http_header from = channel->options.metadata[i];
        from.name.data = arena_dup(&channel->arena, from.name.data, from.name.size);
        from.value.data = arena_dup(&channel->arena, from.value.data, from.value.size);
        from.flags &= ~(uint32_t)HTTP_HEADER_STATIC;
        channel->metadata[i] = from;
    }
}

struct grpc_channel *grpc_channel_new(struct wire_loop *wire,
                                      const struct grpc_channel_options *options)
{
    CHECK(options->host != NULL || options->unix_path != NULL);
    struct grpc_channel *channel = mem_zalloc(sizeof *channel);
    channel->wire = wire;
    channel->options = *options;
    channel->host = options->host == NULL ? NULL : mem_strdup(options->host);
    channel->unix_path = options->unix_path == NULL ? NULL : mem_strdup(options->unix_path);
    bool is_ip6 = options->host != NULL && strchr(options->host, ':') != NULL;
    channel->authority = options->authority != NULL ? mem_strdup(options->authority)
                         : options->host == NULL    ? mem_strdup("localhost")
                                                    : mem_printf(is_ip6 ? "[%s]:%u" : "%s:%u",
                                                              options->host, options->port);
    channel->user_agent =
        mem_strdup(options->user_agent == NULL ? "grpc-c-coracle" : options->user_agent);
    channel->options.tls = options->tls == NULL ? NULL : tls_context_ref(options->tls);
    struct grpc_channel_options *own = &channel->options;
    own->limits.keepalive_time_ms =
        own->limits.keepalive_time_ms == 0 ? UINT32_MAX : own->limits.keepalive_time_ms;
    http_limits_set_defaults(&own->limits);
    own->backoff_min_ms = own->backoff_min_ms == 0 ? BACKOFF_MIN_MS : own->backoff_min_ms;
    own->backoff_max_ms = own->backoff_max_ms == 0 ? BACKOFF_MAX_MS : own->backoff_max_ms;
    own->receive_bytes_max = own->receive_bytes_max == 0 ? INT32_MAX : own->receive_bytes_max;
    channel->backoff_ms = own->backoff_min_ms;
    copy_metadata(channel);
    prng_init(&channel->random, options->seed);
    list_init(&channel->retired);
    list_init(&channel->waiting);
    list_init(&channel->active);
    list_init(&channel->finished);
    wire_task_init(&channel->finish_task, finish_calls);
    timer_init(&channel->backoff, on_backoff_over);
    return channel;
}

void grpc_channel_connect(struct grpc_channel *channel)
{
    if (channel->state == GRPC_CHANNEL_IDLE) {
        start_link(channel);
    }
}

void grpc_channel_reset_backoff(struct grpc_channel *channel)
{
    channel->backoff_ms = channel->options.backoff_min_ms;
    if (channel->state == GRPC_CHANNEL_BACKOFF) {
        timers_clear(wire_loop_timers(channel->wire), &channel->backoff);
        on_backoff_over(&channel->backoff);
    }
}

enum grpc_channel_state grpc_channel_state(const struct grpc_channel *channel)
{
    return channel->state;
}

static void end_all(struct list *calls)
{
    while (!list_is_empty(calls)) {
        struct grpc_client_call *call = container_of(calls->next, struct grpc_client_call, link);
        grpc_client_call_end(call, GRPC_CANCELED, "grpc: the client connection is closing");
    }
}

static void close_link(struct channel_link *link)
{
    dialer_close(link->dialer);
    list_remove(&link->link);
    mem_free(link);
}

static void finish_close(struct wire_task *task)
{
    struct grpc_channel *channel = container_of(task, struct grpc_channel, finish_task);
    while (!list_is_empty(&channel->finished)) { /* an on_finish may start a call, in vain */
        finish_calls(task);
    }
    wire_task_cancel(task);
    struct channel_link *link = TAKE_PTR(channel->link);
    if (link != NULL) {
        close_link(link);
    }
    while (!list_is_empty(&channel->retired)) {
        close_link(container_of(channel->retired.next, struct channel_link, link));
    }
    CHECK(list_is_empty(&channel->finished) && list_is_empty(&channel->active));
    void (*closed)(void *context) = channel->closed;
    void *context = channel->closed_context;
    tls_context_unref(channel->options.tls);
    mem_free(channel->host);
    mem_free(channel->unix_path);
    mem_free(channel->authority);
    mem_free(channel->user_agent);
    arena_deinit(&channel->arena);
    mem_free(channel);
    if (closed != NULL) {
        closed(context);
    }
}

void grpc_channel_close(struct grpc_channel *channel, void (*done)(void *context), void *context)
{
    CHECK(!channel->is_closing);
    channel->is_closing = true;
    channel->closed = done;
    channel->closed_context = context;
    timers_clear(wire_loop_timers(channel->wire), &channel->backoff);
    end_all(&channel->waiting);
    end_all(&channel->active);
    wire_task_cancel(&channel->finish_task);
    wire_task_init(&channel->finish_task, finish_close);
    wire_loop_defer(channel->wire, &channel->finish_task);
}

/* The current connection takes no more calls: those on it go on, new ones need another. */
static void retire(struct grpc_channel *channel)
{
    struct channel_link *link = TAKE_PTR(channel->link);
    list_push_back(&channel->retired, &link->link);
    set_state(channel, GRPC_CHANNEL_IDLE, NULL);
}

static void place(struct grpc_channel *channel, struct grpc_client_call *call)
{
    if (channel->is_closing) {
        grpc_client_call_end(call, GRPC_CANCELED, "grpc: the client connection is closing");
        return;
    }
    if (channel->state == GRPC_CHANNEL_READY) {
        list_push_back(&channel->active, &call->link);
        if (grpc_client_call_begin(call, channel->link->connection)) {
            return;
        }
        list_remove(&call->link);
        retire(channel);
    }
    if (channel->state == GRPC_CHANNEL_BACKOFF && !call->wait_for_ready) {
        grpc_client_call_end(call, GRPC_UNAVAILABLE, channel->last_error.text);
        return;
    }
    list_push_back(&channel->waiting, &call->link);
    if (channel->state == GRPC_CHANNEL_IDLE) {
        start_link(channel);
    }
}

static void on_deadline(struct timer *timer)
{
    grpc_client_call_end(container_of(timer, struct grpc_client_call, deadline),
                         GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
}

static void copy_call_metadata(struct grpc_client_call *call,
                               const struct grpc_call_options *options)
{
    call->metadata_count = options->metadata_count;
    call->metadata = arena_alloc(&call->arena, call->metadata_count * sizeof *call->metadata);
    for (size_t i = 0; i < call->metadata_count; i++) {
        struct http_header from = options->metadata[i];
        if ((from.flags & HTTP_HEADER_STATIC) == 0) {
            from.name.data = arena_dup(&call->arena, from.name.data, from.name.size);
            from.value.data = arena_dup(&call->arena, from.value.data, from.value.size);
        }
        call->metadata[i] = from;
    }
}

static struct grpc_client_call *make_call(struct grpc_channel *channel,
                                          const struct grpc_call_options *options)
{
    struct grpc_client_call *call = mem_zalloc(sizeof *call);
    call->channel = channel;
    call->handler = options->handler;
    call->data = options->data;
    call->response = options->response;
    call->wait_for_ready = options->wait_for_ready;
    arena_init(&call->arena);
    arena_init(&call->message_arena);
    call->path = bytes_from_text(arena_strdup(&call->arena, options->path));
    copy_call_metadata(call, options);
    list_init(&call->link);
    chain_init(&call->queued);
    grpc_deframer_init(&call->in, channel->options.receive_bytes_max);
    timer_init(&call->deadline, on_deadline);
    if (options->timeout_ms != 0) {
        struct timers *timers = wire_loop_timers(channel->wire);
        call->has_timeout = true;
        timers_set(timers, &call->deadline, timers->now_ms + options->timeout_ms);
    }
    return call;
}

struct grpc_client_call *grpc_channel_start(struct grpc_channel *channel,
                                            const struct grpc_call_options *options)
{
    CHECK(options->handler != NULL);
    struct grpc_client_call *call = make_call(channel, options);
    grpc_client_call_init_tasks(call);
    place(channel, call);
    return call;
}

struct grpc_client_call *grpc_channel_unary(struct grpc_channel *channel,
                                            const struct grpc_call_options *options,
                                            const ProtobufCMessage *request, grpc_unary_done *done,
                                            void *data)
{
    struct grpc_client_call *call = make_call(channel, options);
    grpc_client_call_init_tasks(call);
    call->unary_done = done;
    call->data = data;
    place(channel, call);
    grpc_client_call_send_message(call, request);
    grpc_client_call_half_close(call);
    return call;
}
