#include "kvstore/client/client_internal.h"

#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "kvstore/client/endpoint_address.h"

#define UNREACHABLE_TEXT "no endpoint can be reached"

uint64_t client_now_ms(const struct kv_client *client)
{
    return uv_now(wire_loop_uv(client->wire));
}

/* The end of the client. */

static void free_client(struct kv_client *client)
{
    void (*done)(void *) = client->close_done;
    void *context = client->close_context;
    for (size_t i = 0; i < client->endpoint_count; i++) {
        mem_free(client->endpoints[i].name);
    }
    timers_clear(client->timers, &client->dial_timer);
    wire_task_cancel(&client->pump);
    auth_deinit(&client->auth);
    buf_deinit(&client->problems);
    tls_context_unref(client->tls);
    mem_free(client);
    if (done != NULL) {
        done(context);
    }
}

void client_part_gone(struct kv_client *client)
{
    if (client->is_closing) {
        client_pump_soon(client);
    }
}

static void channel_closed(void *context)
{
    struct kv_client *client = context;
    client->open_channel_count -= 1;
    client_part_gone(client);
}

void kv_client_close(struct kv_client *client, void (*done)(void *context), void *context)
{
    CHECK(!client->is_closing);
    client->is_closing = true;
    client->close_done = done;
    client->close_context = context;
    watch_hub_close(TAKE_PTR(client->watch_hub));
    keeper_hub_close(TAKE_PTR(client->keeper_hub));
    timers_clear(client->timers, &client->dial_timer);
    for (size_t i = 0; i < client->endpoint_count; i++) {
        grpc_channel_close(TAKE_PTR(client->endpoints[i].channel), channel_closed, client);
    }
    client_pump_soon(client);
}

/* Connections. */

static void on_channel_state(void *context, enum grpc_channel_state state, const struct err *err)
{
    struct client_endpoint *endpoint = context;
    struct kv_client *client = endpoint->client;
    if (client->is_closing) {
        return;
    }
    if (err != NULL && state != GRPC_CHANNEL_READY) {
        endpoint->problem = *err;
    }
    switch (state) {
    case GRPC_CHANNEL_CONNECTING:
        picker_on_dialled(&client->picker, endpoint->index, client_now_ms(client));
        break;
    case GRPC_CHANNEL_READY:
        endpoint->problem.code = 0;
        endpoint->was_ready = true;
        picker_on_ready(&client->picker, endpoint->index);
        break;
    case GRPC_CHANNEL_BACKOFF:
        endpoint->was_ready = false;
        picker_on_failed(&client->picker, endpoint->index, client_now_ms(client));
        break;
    case GRPC_CHANNEL_IDLE:
        if (endpoint->was_ready) {
            picker_on_lost(&client->picker, endpoint->index);
        }
        endpoint->was_ready = false;
        break;
    }
    client_pump_soon(client);
}

static void dial(struct kv_client *client, size_t index)
{
    picker_on_dialled(&client->picker, index, client_now_ms(client));
    grpc_channel_reset_backoff(client->endpoints[index].channel);
    grpc_channel_connect(client->endpoints[index].channel);
}

const char *kv_client_endpoint(const struct kv_client *client)
{
    size_t current = client->picker.current;
    return client->picker.endpoints[current].state == PICKER_READY ? client->endpoints[current].name
                                                                   : NULL;
}

/* The channel words its errors as grpc-go does; people need only the end of that:
 * connection error: desc = "transport: Error while dialing: dial tcp ADDRESS: connect: REASON" */
static void append_problem(struct buf *out, const char *text)
{
    static const char *const markers[] = {"desc = \"", "Error while dialing: ", "dial tcp ",
                                          "dial unix "};
    const char *begin = text;
    for (size_t i = 0; i < sizeof markers / sizeof markers[0]; i++) {
        const char *found = strstr(begin, markers[i]);
        begin = found != NULL ? found + strlen(markers[i]) : begin;
        const char *space = strchr(begin, ' ');
        if (found != NULL && strncmp(markers[i], "dial", 4) == 0 && space != NULL) {
            begin = space + 1; /* the address was named already */
        }
    }
    size_t size = strlen(begin);
    bool is_quoted = begin != text && size > 0 && begin[size - 1] == '"';
    buf_append(out, begin, is_quoted ? size - 1 : size);
}

const char *kv_client_problems(struct kv_client *client)
{
    buf_clear(&client->problems);
    for (size_t i = 0; i < client->endpoint_count; i++) {
        const struct client_endpoint *endpoint = &client->endpoints[i];
        if (endpoint->problem.code != 0) {
            buf_append_format(&client->problems,
                              "%s%s: ", buf_size(&client->problems) == 0 ? "" : "; ",
                              endpoint->name);
            append_problem(&client->problems, endpoint->problem.text);
        }
    }
    return buf_text(&client->problems);
}

/* Who waits for a connection. */

void client_wait(struct kv_client *client, struct client_waiter *waiter)
{
    waiter->since_ms = client_now_ms(client);
    list_push_back(&client->waiting, &waiter->link);
    client_pump_soon(client);
}

void client_wait_cancel(struct client_waiter *waiter)
{
    list_remove(&waiter->link);
}

void client_pump_soon(struct kv_client *client)
{
    wire_loop_defer(client->wire, &client->pump);
}

static bool lacks_token(const struct kv_client *client)
{
    return client->auth.state == AUTH_WANTED || client->auth.state == AUTH_ASKING;
}

struct client_endpoint *client_try_endpoint(struct kv_client *client, bool needs_token)
{
    /* Nobody overtakes those who wait already. */
    if (client->is_closing || !list_is_empty(&client->waiting) ||
        (needs_token && lacks_token(client))) {
        return NULL;
    }
    int index = picker_choose(&client->picker, client_now_ms(client));
    return index < 0 ? NULL : &client->endpoints[index];
}

/* Move the waiters to a list of their own, so that those who queue again do not come round. */
static void take_waiters(struct kv_client *client, struct list *taken)
{
    list_init(taken);
    for (struct list *item = list_pop_front(&client->waiting); item != NULL;
         item = list_pop_front(&client->waiting)) {
        list_push_back(taken, item);
    }
}

void client_fail_waiters(struct kv_client *client, bool only_needing_token, enum grpc_status status,
                         const char *text)
{
    struct list taken;
    take_waiters(client, &taken);
    for (struct list *item = list_pop_front(&taken); item != NULL; item = list_pop_front(&taken)) {
        struct client_waiter *waiter = container_of(item, struct client_waiter, link);
        if (only_needing_token && !waiter->needs_token) {
            list_push_back(&client->waiting, item);
        } else {
            waiter->failed(waiter, status, text);
        }
    }
}

static void serve_waiters(struct kv_client *client, struct client_endpoint *endpoint)
{
    struct list taken;
    take_waiters(client, &taken);
    bool wants_token = false;
    for (struct list *item = list_pop_front(&taken); item != NULL; item = list_pop_front(&taken)) {
        struct client_waiter *waiter = container_of(item, struct client_waiter, link);
        if (client->is_closing || (waiter->needs_token && lacks_token(client))) {
            wants_token = true;
            list_push_back(&client->waiting, item);
        } else {
            waiter->ready(waiter, endpoint);
        }
    }
    if (wants_token && !client->is_closing && client->auth.state == AUTH_WANTED) {
        auth_ask(client);
    }
}

/* Give up on those who waited too long; returns when the next one's patience ends. */
static uint64_t expire_waiters(struct kv_client *client)
{
    if (client->dial_timeout_ms == 0) {
        return UINT64_MAX;
    }
    uint64_t now_ms = client_now_ms(client);
    uint64_t next_ms = UINT64_MAX;
    struct list taken;
    take_waiters(client, &taken);
    for (struct list *item = list_pop_front(&taken); item != NULL; item = list_pop_front(&taken)) {
        struct client_waiter *waiter = container_of(item, struct client_waiter, link);
        uint64_t limit_ms = waiter->since_ms + client->dial_timeout_ms;
        if (now_ms < limit_ms) {
            next_ms = limit_ms < next_ms ? limit_ms : next_ms;
            list_push_back(&client->waiting, item);
            continue;
        }
        const char *problems = kv_client_problems(client);
        CLEANUP(buf) struct buf text = BUF_INIT;
        buf_append_format(&text, UNREACHABLE_TEXT "%s%s", *problems == '\0' ? "" : ": ", problems);
        waiter->failed(waiter, GRPC_UNAVAILABLE, buf_text(&text));
    }
    return next_ms;
}

static void pump_while_closing(struct kv_client *client)
{
    client_fail_waiters(client, false, GRPC_CANCELED, "context canceled");
    calls_cancel_paused(client);
    if (client->open_channel_count == 0 && list_is_empty(&client->calls) &&
        list_is_empty(&client->streams)) {
        free_client(client);
    }
}

static void pump(struct kv_client *client)
{
    if (client->is_closing) {
        pump_while_closing(client);
        return;
    }
    timers_clear(client->timers, &client->dial_timer);
    if (list_is_empty(&client->waiting)) {
        return;
    }
    uint64_t now_ms = client_now_ms(client);
    int chosen = picker_choose(&client->picker, now_ms);
    if (chosen >= 0) {
        serve_waiters(client, &client->endpoints[chosen]);
        return;
    }
    uint64_t wake_ms;
    int index = picker_dial(&client->picker, now_ms, &wake_ms);
    while (index >= 0) {
        dial(client, (size_t)index);
        index = picker_dial(&client->picker, now_ms, &wake_ms);
    }
    uint64_t expiry_ms = expire_waiters(client);
    wake_ms = expiry_ms < wake_ms ? expiry_ms : wake_ms;
    if (wake_ms != UINT64_MAX && !client->is_closing) {
        timers_set(client->timers, &client->dial_timer, wake_ms);
    }
}

static void pump_task(struct wire_task *task)
{
    pump(container_of(task, struct kv_client, pump));
}

static void dial_timer_fired(struct timer *timer)
{
    client_pump_soon(container_of(timer, struct kv_client, dial_timer));
}

void client_on_status(struct kv_client *client, struct client_endpoint *endpoint,
                      enum grpc_status status, const char *text)
{
    static const char *const useless[] = {
        "etcdserver: no leader",
        "etcdserver: server stopped",
        "etcdserver: rpc not supported for learner",
    };
    if (status != GRPC_UNAVAILABLE && status != GRPC_FAILED_PRECONDITION) {
        return;
    }
    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
        if (strcmp(text, useless[i]) == 0) {
            picker_on_refused(&client->picker, endpoint->index, client_now_ms(client));
        }
    }
}

uint64_t client_retry_delay_ms(struct kv_client *client, uint32_t attempt)
{
    uint64_t delay_ms = UINT64_C(25) << (attempt < 6 ? attempt : 6);
    delay_ms = delay_ms > 1000 ? 1000 : delay_ms;
    return delay_ms / 2 + prng_below(&client->prng, delay_ms / 2 + 1);
}

void kv_error_append_text(struct buf *out, enum grpc_status status, const char *text)
{
    bool is_plain =
        strncmp(text, "etcdserver: ", 12) == 0 ||
        strncmp(text, UNREACHABLE_TEXT, sizeof UNREACHABLE_TEXT - 1) == 0 ||
        (status == GRPC_DEADLINE_EXCEEDED && strcmp(text, "context deadline exceeded") == 0) ||
        (status == GRPC_CANCELED && strcmp(text, "context canceled") == 0);
    if (is_plain) {
        buf_append_text(out, text);
    } else {
        buf_append_format(out, "rpc error: code = %s desc = %s", grpc_status_name(status), text);
    }
}

/* The beginning of the client. */

/* As grpc-go: servers take more frequent pings for an attack (etcd grants one in 5 s) and close the
 * connection. */
enum { KEEPALIVE_MIN_MS = 10000 };

static uint32_t keepalive_time_ms(const struct kv_client_options *options)
{
    uint32_t wanted_ms = options->keepalive_time_ms;
    return wanted_ms != 0 && wanted_ms < KEEPALIVE_MIN_MS ? KEEPALIVE_MIN_MS : wanted_ms;
}

static int make_tls(struct kv_client *client, const struct kv_client_options *options,
                    bool is_wanted, struct err *err)
{
    if (!is_wanted) {
        return 0;
    }
    const struct tls_options tls = {
        .role = HTTP_CLIENT,
        .certificate_file = options->cert_file,
        .key_file = options->key_file,
        .ca_file = options->ca_file,
        .skip_verify = options->insecure_skip_verify,
        .server_name = options->server_name,
    };
    struct err reason = {.code = ERR_INVALID};
    client->tls = tls_context_new(&tls, &reason);
    return client->tls != NULL
               ? 0
               : err_set(err, reason.code < 0 ? reason.code : ERR_INVALID, "%s", reason.text);
}

static void make_channel(struct kv_client *client, const struct kv_client_options *options,
                         const struct endpoint_address *address, bool with_tls)
{
    struct client_endpoint *endpoint = &client->endpoints[client->endpoint_count];
    endpoint->client = client;
    endpoint->index = client->endpoint_count;
    endpoint->name = mem_strdup(options->endpoints[endpoint->index]);
    const struct grpc_channel_options channel = {
        .host = address->host,
        .port = address->port,
        .unix_path = address->unix_path[0] != '\0' ? address->unix_path : NULL,
        .user_agent = "coracle-kv-client",
        .tls = with_tls ? client->tls : NULL,
        .limits = {.keepalive_time_ms = keepalive_time_ms(options),
                   .keepalive_timeout_ms = options->keepalive_timeout_ms},
        .connect_timeout_ms = options->dial_timeout_ms,
        .seed = prng_split(&client->prng),
        .receive_bytes_max = options->receive_bytes_max,
        .on_state = on_channel_state,
        .context = endpoint,
    };
    endpoint->channel = grpc_channel_new(client->wire, &channel);
    client->endpoint_count += 1;
    client->open_channel_count += 1;
}

static int parse_endpoints(const struct kv_client_options *options,
                           struct endpoint_address *addresses, struct err *err)
{
    if (options->endpoint_count == 0) {
        return err_set(err, ERR_INVALID, "no endpoints are given");
    }
    if (options->endpoint_count > KV_CLIENT_ENDPOINTS_MAX) {
        return err_set(err, ERR_INVALID, "more than %d endpoints", KV_CLIENT_ENDPOINTS_MAX);
    }
    for (size_t i = 0; i < options->endpoint_count; i++) {
        int result = endpoint_address_parse(options->endpoints[i], &addresses[i], err);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

int kv_client_new(const struct kv_client_options *options, struct kv_client **ret, struct err *err)
{
    _Static_assert((int)KV_CLIENT_ENDPOINTS_MAX <= (int)PICKER_ENDPOINTS_MAX,
                   "the picker holds them all");
    CLEANUP(free)
    struct endpoint_address *addresses = mem_calloc(KV_CLIENT_ENDPOINTS_MAX, sizeof *addresses);
    int result = parse_endpoints(options, addresses, err);
    if (result < 0) {
        return result;
    }
    bool tls_by_default = options->secure_transport || options->ca_file != NULL ||
                          options->cert_file != NULL || options->key_file != NULL;
    bool with_tls[KV_CLIENT_ENDPOINTS_MAX];
    bool any_tls = false;
    for (size_t i = 0; i < options->endpoint_count; i++) {
        with_tls[i] = addresses[i].security == ENDPOINT_TLS ||
                      (addresses[i].security == ENDPOINT_AS_CONFIGURED && tls_by_default);
        any_tls |= with_tls[i];
    }
    struct kv_client *client = mem_zalloc(sizeof *client);
    result = make_tls(client, options, any_tls, err);
    if (result < 0) {
        mem_free(client);
        return result;
    }
    client->wire = options->wire;
    client->timers = wire_loop_timers(options->wire);
    client->dial_timeout_ms = options->dial_timeout_ms;
    prng_init(&client->prng, options->seed);
    list_init(&client->waiting);
    list_init(&client->calls);
    list_init(&client->streams);
    timer_init(&client->dial_timer, dial_timer_fired);
    wire_task_init(&client->pump, pump_task);
    auth_init(&client->auth, options);
    picker_init(&client->picker, options->endpoint_count, prng_split(&client->prng),
                options->spread);
    for (size_t i = 0; i < options->endpoint_count; i++) {
        make_channel(client, options, &addresses[i], with_tls[i]);
    }
    *ret = client;
    return 0;
}
