#include "orchestrator/agent/api.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "orchestrator/objects/tree.h"
#include "proto/dialer.h"
#include "proto/http2_session.h"

enum {
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 2000,
    CALL_TIMEOUT_MS = 30 * 1000,
    KEEPALIVE_MS = 15 * 1000,
    KEEPALIVE_TIMEOUT_MS = 10 * 1000,
    ANSWER_BYTES_MAX = 64 << 20,
};

struct api {
    struct wire_loop *wire;
    const struct kubeconfig *config;
    struct tls_context *tls;
    char *authority;
    char *authorization; /* NULL: none */
    struct dialer *dialer;
    struct connection *connection; /* NULL until established */
    struct list waiting;           /* exchanges that want a connection */
    struct list active;
    struct list finished; /* done is due */
    struct wire_task finish;
    struct timer retry;
    uint32_t retry_ms;
    bool is_lost; /* said so in the log */
};

struct api_exchange {
    struct api *api;
    struct list link;
    char *method;
    char *path;
    char *type;
    char *body;
    size_t body_size;
    struct http_exchange *x; /* NULL while waiting */
    struct buf answer;
    api_line *line; /* NULL: one answer */
    api_done *done; /* NULL: nobody cares any more */
    void *context;
    struct timer timeout;
    int code;
};

struct timers *api_timers(struct api *api)
{
    return wire_loop_timers(api->wire);
}

static void exchange_free(struct api_exchange *exchange)
{
    list_remove(&exchange->link);
    timers_clear(api_timers(exchange->api), &exchange->timeout);
    mem_free(exchange->method);
    mem_free(exchange->path);
    mem_free(exchange->type);
    free(exchange->body);
    buf_deinit(&exchange->answer);
    mem_free(exchange);
}

/* done runs from the loop. */
static void finish_later(struct api_exchange *exchange)
{
    struct api *api = exchange->api;
    if (exchange->x != NULL) {
        exchange->x->handler = NULL;
        exchange->x->data = NULL;
        exchange->x = NULL;
    }
    timers_clear(api_timers(api), &exchange->timeout);
    list_remove(&exchange->link);
    list_push_back(&api->finished, &exchange->link);
    wire_loop_defer(api->wire, &api->finish);
}

static void run_finished(struct wire_task *task)
{
    struct api *api = container_of(task, struct api, finish);
    struct list finished;
    list_init(&finished);
    list_splice_back(&finished, &api->finished);
    for (struct list *item; (item = list_pop_front(&finished)) != NULL;) {
        struct api_exchange *exchange = container_of(item, struct api_exchange, link);
        CLEANUP(json) json_t *body = NULL;
        if (exchange->line == NULL || exchange->code != 200) {
            body = json_loadb((const char *)buf_bytes(&exchange->answer).data,
                              buf_size(&exchange->answer), 0, NULL);
        }
        api_done *done = exchange->done;
        void *context = exchange->context;
        int code = exchange->code;
        exchange_free(exchange);
        if (done != NULL) {
            done(context, code, body);
        }
    }
}

/* ---- the answer ---- */

static void on_headers(struct http_exchange *x)
{
    struct api_exchange *exchange = x->data;
    exchange->code = (int)x->status;
}

static void give_lines(struct api_exchange *exchange)
{
    for (;;) {
        struct bytes all = buf_bytes(&exchange->answer);
        const uint8_t *end = all.size == 0 ? NULL : memchr(all.data, '\n', all.size);
        if (end == NULL || exchange->done == NULL) {
            return;
        }
        size_t size = (size_t)(end - all.data);
        exchange->line(exchange->context, bytes_make(all.data, size));
        buf_consume(&exchange->answer, size + 1);
    }
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    struct api_exchange *exchange = x->data;
    http_exchange_consume(x, data.size);
    if (buf_size(&exchange->answer) + data.size > ANSWER_BYTES_MAX) {
        exchange->code = 0;
        http_exchange_reset(x, HTTP_RESET_CANCEL);
        return;
    }
    buf_append_bytes(&exchange->answer, data);
    if (exchange->line != NULL && exchange->code == 200) {
        give_lines(exchange);
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    struct api_exchange *exchange = x->data;
    exchange->code = reason == 0 || exchange->line != NULL ? exchange->code : 0;
    exchange->x = NULL;
    finish_later(exchange);
}

static const struct http_handler answer_handler = {
    .on_headers = on_headers, .on_body = on_body, .on_close = on_close};

/* ---- the connection ---- */

static void start_dialer(struct api *api);

static bool begin(struct api_exchange *exchange)
{
    struct api *api = exchange->api;
    struct http_header headers[4] = {
        HTTP_HEADER_INIT("accept", "application/json"),
        HTTP_HEADER_INIT("user-agent", "orchd-agent/v1"),
    };
    size_t count = 2;
    if (api->authorization != NULL) {
        headers[count++] = (struct http_header){.name = BYTES_LITERAL("authorization"),
                                                .value = bytes_from_text(api->authorization),
                                                .flags = HTTP_HEADER_VARYING};
    }
    if (exchange->body != NULL) {
        headers[count++] = (struct http_header){.name = BYTES_LITERAL("content-type"),
                                                .value = bytes_from_text(exchange->type)};
    }
    const struct http2_request request = {
        .method = bytes_from_text(exchange->method),
        .scheme = bytes_from_text(api->config->is_tls ? "https" : "http"),
        .authority = bytes_from_text(api->authority),
        .path = bytes_from_text(exchange->path),
        .headers = headers,
        .header_count = count,
    };
    struct http2_session *session = connection_http2(api->connection);
    struct http_exchange *x =
        session == NULL ? NULL
                        : http2_session_request(session, &request, &answer_handler, exchange);
    if (x == NULL) {
        return false;
    }
    exchange->x = x;
    if (exchange->body != NULL) {
        http_exchange_send(x, bytes_make(exchange->body, exchange->body_size));
    }
    http_exchange_finish(x, NULL, 0);
    if (exchange->line == NULL) {
        struct timers *timers = api_timers(api);
        timers_set(timers, &exchange->timeout, timers->now_ms + CALL_TIMEOUT_MS);
    }
    return true;
}

static void submit(struct api_exchange *exchange)
{
    struct api *api = exchange->api;
    list_remove(&exchange->link);
    if (api->connection != NULL && begin(exchange)) {
        list_push_back(&api->active, &exchange->link);
        return;
    }
    list_push_back(&api->waiting, &exchange->link);
    if (api->dialer == NULL && !timer_is_set(&api->retry)) {
        start_dialer(api);
    }
}

static void on_established(void *context, struct connection *connection)
{
    struct api *api = context;
    api->connection = connection;
    api->retry_ms = RETRY_MS_MIN;
    if (api->is_lost) {
        api->is_lost = false;
        log_info("connected to the API server", LOG_TEXT("server", api->authority));
    }
    struct list waiting;
    list_init(&waiting);
    list_splice_back(&waiting, &api->waiting);
    for (struct list *item; (item = list_pop_front(&waiting)) != NULL;) {
        submit(container_of(item, struct api_exchange, link));
    }
}

static void on_end(void *context, int code, const char *reason)
{
    struct api *api = context;
    bool was_established = api->connection != NULL;
    api->dialer = NULL;
    api->connection = NULL;
    if (!api->is_lost) {
        api->is_lost = true;
        log_warn("no connection to the API server", LOG_TEXT("server", api->authority),
                 LOG_TEXT("reason", code == 0 ? "closed by the server" : reason));
    }
    list_foreach_safe (item, &api->waiting) {
        if (!was_established) {
            finish_later(container_of(item, struct api_exchange, link));
        }
    }
    struct timers *timers = api_timers(api);
    timers_set(timers, &api->retry, timers->now_ms + api->retry_ms);
    api->retry_ms = api->retry_ms * 2 < RETRY_MS_MAX ? api->retry_ms * 2 : RETRY_MS_MAX;
}

static void on_retry(struct timer *timer)
{
    struct api *api = container_of(timer, struct api, retry);
    if (!list_is_empty(&api->waiting)) {
        start_dialer(api);
    }
}

static void start_dialer(struct api *api)
{
    const struct dialer_options options = {
        .host = api->config->host,
        .port = api->config->port,
        .tls = api->tls,
        .limits = {.keepalive_time_ms = KEEPALIVE_MS, .keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS},
        .on_established = on_established,
        .on_end = on_end,
        .context = api,
    };
    api->dialer = dialer_open(api->wire, &options);
}

/* ---- asking ---- */

static void on_timeout(struct timer *timer)
{
    struct api_exchange *exchange = container_of(timer, struct api_exchange, timeout);
    exchange->code = 0;
    http_exchange_reset(exchange->x, HTTP_RESET_CANCEL);
    finish_later(exchange);
}

static struct api_exchange *exchange_new(struct api *api, const char *method, const char *path)
{
    struct api_exchange *exchange = mem_zalloc(sizeof(*exchange));
    exchange->api = api;
    exchange->method = mem_strdup(method);
    exchange->path = mem_strdup(path);
    list_init(&exchange->link);
    buf_init(&exchange->answer);
    timer_init(&exchange->timeout, on_timeout);
    return exchange;
}

void api_call(struct api *api, const struct api_request *request, api_done *done, void *context)
{
    struct api_exchange *exchange = exchange_new(api, request->method, request->path);
    exchange->done = done;
    exchange->context = context;
    exchange->type = mem_strdup(request->type == NULL ? "application/json" : request->type);
    if (request->body != NULL) {
        exchange->body = json_dumps(request->body, JSON_COMPACT);
        exchange->body_size = strlen(exchange->body);
    }
    submit(exchange);
}

struct api_exchange *api_stream(struct api *api, const char *path, api_line *line, api_done *done,
                                void *context)
{
    struct api_exchange *exchange = exchange_new(api, "GET", path);
    exchange->line = line;
    exchange->done = done;
    exchange->context = context;
    submit(exchange);
    return exchange;
}

void api_stream_cancel(struct api_exchange *exchange)
{
    exchange->done = NULL;
    if (exchange->x != NULL) {
        http_exchange_reset(exchange->x, HTTP_RESET_CANCEL);
    }
    finish_later(exchange);
}

struct api *api_new(struct wire_loop *wire, const struct kubeconfig *config, struct err *err)
{
    struct api *api = mem_zalloc(sizeof(*api));
    api->wire = wire;
    api->config = config;
    api->retry_ms = RETRY_MS_MIN;
    list_init(&api->waiting);
    list_init(&api->active);
    list_init(&api->finished);
    wire_task_init(&api->finish, run_finished);
    timer_init(&api->retry, on_retry);
    bool is_ip6 = strchr(config->host, ':') != NULL;
    api->authority = mem_printf(is_ip6 ? "[%s]:%u" : "%s:%u", config->host, config->port);
    if (config->token != NULL) {
        api->authorization = mem_printf("Bearer %s", config->token);
    }
    if (config->is_tls) {
        const struct tls_options options = {
            .role = HTTP_CLIENT,
            .certificate_file = config->certificate_file,
            .key_file = config->key_file,
            .ca_file = config->ca_file,
            .skip_verify = config->skips_verify,
            .server_name = config->host,
        };
        api->tls = tls_context_new(&options, err);
        if (api->tls == NULL) {
            api_free(api);
            return NULL;
        }
    }
    return api;
}

static void free_all(struct list *list)
{
    for (struct list *item; (item = list_pop_front(list)) != NULL;) {
        struct api_exchange *exchange = container_of(item, struct api_exchange, link);
        if (exchange->x != NULL) {
            exchange->x->handler = NULL;
        }
        exchange_free(exchange);
    }
}

void api_free(struct api *api)
{
    if (api == NULL) {
        return;
    }
    free_all(&api->waiting);
    free_all(&api->active);
    free_all(&api->finished);
    wire_task_cancel(&api->finish);
    timers_clear(api_timers(api), &api->retry);
    if (api->dialer != NULL) {
        dialer_close(api->dialer);
    }
    if (api->tls != NULL) {
        tls_context_unref(api->tls);
    }
    mem_free(api->authority);
    mem_free(api->authorization);
    mem_free(api);
}
