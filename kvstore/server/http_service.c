#include "kvstore/server/http_service.h"

#include "base/cleanup.h"
#include "kvstore/server/http_access.h"

static const char text_plain[] = "text/plain; charset=utf-8";

bool http_query_find(struct bytes path, const char *name, unsigned nth, struct bytes *ret)
{
    const uint8_t *end = path.data + path.size;
    const uint8_t *at = memchr(path.data, '?', path.size);
    size_t name_size = strlen(name);
    while (at != NULL && at < end) {
        at += 1;
        const uint8_t *next = memchr(at, '&', (size_t)(end - at));
        size_t size = (size_t)((next == NULL ? end : next) - at);
        bool is_name = size >= name_size && memcmp(at, name, name_size) == 0 &&
                       (size == name_size || at[name_size] == '=');
        if (is_name && nth-- == 0) {
            size_t skip = size == name_size ? size : name_size + 1;
            *ret = bytes_make(at + skip, size - skip);
            return true;
        }
        at = next;
    }
    return false;
}

static void serve_version(struct http_service *http, struct http_exchange *x)
{
    CLEANUP(buf) struct buf body = BUF_INIT;
    bool is_decided = node_leader(core_node(http->service->core)) != 0;
    buf_append_format(&body, "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\",\"storage\":\"3.7.0\"}",
                      http->version, is_decided ? "3.7.0" : "not_decided");
    http_exchange_reply(x, 200, "application/json", buf_bytes(&body));
}

static void serve_metrics(struct http_service *http, struct http_exchange *x)
{
    CLEANUP(buf) struct buf body = BUF_INIT;
    http->refresh_metrics(http->context);
    metrics_write(http->metrics, &body);
    http_exchange_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", buf_bytes(&body));
}

/* What etcd's expvar page has that tools look at. */
static void serve_debug_vars(struct http_service *http, struct http_exchange *x)
{
    CLEANUP(buf) struct buf body = BUF_INIT;
    struct raft_status status;
    node_get_status(core_node(http->service->core), &status);
    buf_append_format(&body,
                      "{\n\"cmdline\": [\"kvd\"],\n\"raft.status\": {\"id\":\"%llx\","
                      "\"term\":%llu,\"vote\":\"%llx\",\"commit\":%llu,\"lead\":\"%llx\"}\n}\n",
                      (unsigned long long)status.id, (unsigned long long)status.term,
                      (unsigned long long)status.vote, (unsigned long long)status.commit,
                      (unsigned long long)status.leader);
    http_exchange_reply(x, 200, "application/json; charset=utf-8", buf_bytes(&body));
}

static bool path_is(struct bytes path, const char *text)
{
    return bytes_equal(path, bytes_from_text(text));
}

static bool path_is_below(struct bytes path, const char *text)
{
    return path_is(path, text) ||
           (bytes_has_prefix(path, bytes_from_text(text)) && path.data[strlen(text)] == '/');
}

static void route(struct http_service *http, struct http_exchange *x)
{
    const uint8_t *query = x->path.size == 0 ? NULL : memchr(x->path.data, '?', x->path.size);
    struct bytes path =
        query == NULL ? x->path : bytes_make(x->path.data, (size_t)(query - x->path.data));
    bool is_get = bytes_equal(x->method, BYTES_LITERAL("GET"));
    bool is_health =
        path_is(path, "/health") || path_is_below(path, "/livez") || path_is_below(path, "/readyz");
    if (!is_health && !path_is(path, "/version") && !path_is(path, "/metrics") &&
        !path_is(path, "/debug/vars")) {
        http_exchange_reply(x, 404, text_plain, BYTES_LITERAL("404 page not found\n"));
    } else if (!is_get) {
        http_exchange_reply(x, 405, text_plain, BYTES_LITERAL("Method Not Allowed\n"));
    } else if (is_health) {
        health_serve(http, x, path);
    } else if (path_is(path, "/version")) {
        serve_version(http, x);
    } else if (path_is(path, "/metrics")) {
        serve_metrics(http, x);
    } else {
        serve_debug_vars(http, x);
    }
}

static void on_headers(struct http_exchange *x)
{
    static const struct http_handler answered = {.on_headers = NULL};
    struct http_service *http = x->data;
    if (http->grpc != NULL && grpc_server_try_take(http->grpc, x)) {
        return;
    }
    if (http->cors != NULL && http_access_try_answer(http, x)) {
        x->handler = &answered;
        return;
    }
    if (http->gateway != NULL && grpc_gateway_try_take(http->gateway, x)) {
        return;
    }
    x->handler = &answered;
    route(http, x);
}

const struct http_handler http_service_handler = {.on_headers = on_headers};
