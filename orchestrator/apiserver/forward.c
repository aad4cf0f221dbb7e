#include "orchestrator/apiserver/forward.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/status.h"

enum { HEAD_BYTES_MAX = 16 * 1024, HEADERS_MAX = 32, ANSWER_BYTES_MAX = 16 << 20, DIAL_MS = 5000 };

/* From the client's exchange to the node and back; or, with done, one answer. */
struct tunnel {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    struct wire_loop *wire;
    struct timer timer;      /* until the head of the answer */
    struct http_exchange *x; /* NULL: its client has gone */
    struct buf request;
    struct buf input; /* the head of the answer; all of it with done */
    forward_done *done;
    void *context;
    bool has_head;
    bool is_raw;
    bool is_paused;
    bool is_closing;
    bool has_ended;
};

struct piece {
    uv_write_t write;
    struct tunnel *tunnel;
    size_t size;
    uint8_t data[];
};

static void on_closed(uv_handle_t *handle)
{
    struct tunnel *tunnel = handle->data;
    buf_deinit(&tunnel->request);
    buf_deinit(&tunnel->input);
    if (tunnel->x != NULL) {
        if (tunnel->x->data == tunnel) {
            tunnel->x->handler = NULL; /* what is queued still goes out */
        }
        http_exchange_unref(tunnel->x);
    }
    mem_free(tunnel);
}

static void close_tunnel(struct tunnel *tunnel)
{
    if (!tunnel->is_closing) {
        tunnel->is_closing = true;
        timers_clear(wire_loop_timers(tunnel->wire), &tunnel->timer);
        uv_close((uv_handle_t *)&tunnel->tcp, on_closed);
    }
}

static void reply_status(struct http_exchange *x, json_t *take_status)
{
    char *text = json_dumps(take_status, JSON_COMPACT);
    http_exchange_reply(x, (unsigned)status_code(take_status), "application/json",
                        bytes_from_text(text));
    free(text);
    json_decref(take_status);
}

static void fail(struct tunnel *tunnel, const char *reason)
{
    if (tunnel->done != NULL && !tunnel->has_ended) {
        tunnel->has_ended = true;
        tunnel->done(tunnel->context, 0, NULL);
    } else if (tunnel->done == NULL && !tunnel->has_head) {
        reply_status(tunnel->x,
                     status_new(502, "InternalError", "error dialing backend: %s", reason));
    } else if (tunnel->done == NULL) {
        http_exchange_finish(tunnel->x, NULL, 0);
    }
    close_tunnel(tunnel);
}

/* ---- from the client ---- */

static void on_written(uv_write_t *write, int status)
{
    struct piece *piece = container_of(write, struct piece, write);
    struct tunnel *tunnel = piece->tunnel;
    (void)status; /* reading tells */
    if (!tunnel->is_closing) {
        http_exchange_consume(tunnel->x, piece->size);
    }
    mem_free(piece);
}

static void on_client_body(struct http_exchange *x, struct bytes data)
{
    struct tunnel *tunnel = x->data;
    struct piece *piece = mem_alloc(sizeof(*piece) + data.size);
    piece->tunnel = tunnel;
    piece->size = data.size;
    memcpy(piece->data, data.data, data.size);
    uv_buf_t buf = uv_buf_init((char *)piece->data, (unsigned)data.size);
    if (tunnel->is_closing ||
        uv_write(&piece->write, (uv_stream_t *)&tunnel->tcp, &buf, 1, on_written) != 0) {
        mem_free(piece);
    }
}

static void on_client_end(struct http_exchange *x)
{
    struct tunnel *tunnel = x->data;
    if (tunnel->is_raw && !tunnel->is_closing) {
        (void)uv_shutdown(&tunnel->shutdown, (uv_stream_t *)&tunnel->tcp, NULL);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf);

static void on_client_writable(struct http_exchange *x)
{
    struct tunnel *tunnel = x->data;
    if (tunnel->is_paused && !tunnel->is_closing) {
        tunnel->is_paused = false;
        uv_read_start((uv_stream_t *)&tunnel->tcp, on_alloc, on_read);
    }
}

static void on_client_close(struct http_exchange *x, int reason)
{
    (void)reason;
    close_tunnel(x->data);
}

static const struct http_handler client_handler = {.on_body = on_client_body,
                                                   .on_end = on_client_end,
                                                   .on_writable = on_client_writable,
                                                   .on_close = on_client_close};

/* ---- from the node ---- */

static size_t parse_headers(char *text, struct http_header *headers)
{
    size_t count = 0;
    (void)strsep(&text, "\n"); /* the status line */
    for (char *line = strsep(&text, "\n"); line != NULL && count < HEADERS_MAX;
         line = strsep(&text, "\n")) {
        char *colon = strchr(line, ':');
        line[strcspn(line, "\r")] = '\0';
        if (colon == NULL) {
            continue;
        }
        *colon++ = '\0';
        colon += strspn(colon, " ");
        for (char *at = line; *at != '\0'; at++) {
            *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
        }
        if (strcmp(line, "connection") != 0 && strcmp(line, "transfer-encoding") != 0 &&
            strcmp(line, "keep-alive") != 0) {
            headers[count++] = (struct http_header){.name = bytes_from_text(line),
                                                    .value = bytes_from_text(colon)};
        }
    }
    return count;
}

static void take_head(struct tunnel *tunnel, size_t size)
{
    struct http_header headers[HEADERS_MAX];
    int code = 502;
    CLEANUP(free)
    char *text = mem_printf("%.*s", (int)size, (const char *)buf_bytes(&tunnel->input).data);
    if (sscanf(text, "HTTP/1.%*d %3d", &code) != 1) {
        fail(tunnel, "the agent's answer is not HTTP");
        return;
    }
    timers_clear(wire_loop_timers(tunnel->wire), &tunnel->timer);
    size_t count = parse_headers(text, headers);
    if (code == 101 && http_exchange_hijack(tunnel->x, headers, count) != 0) {
        fail(tunnel, "the client did not ask for an upgrade");
        return;
    }
    tunnel->has_head = true;
    tunnel->is_raw = code == 101;
    if (code != 101) {
        http_exchange_respond(tunnel->x, (unsigned)code, headers, count);
    }
    buf_consume(&tunnel->input, size);
    if (buf_size(&tunnel->input) > 0) {
        http_exchange_send(tunnel->x, buf_bytes(&tunnel->input));
        buf_clear(&tunnel->input);
    }
}

static void find_head(struct tunnel *tunnel)
{
    struct bytes all = buf_bytes(&tunnel->input);
    const uint8_t *end = all.size == 0 ? NULL : memmem(all.data, all.size, "\r\n\r\n", 4);
    if (end != NULL) {
        take_head(tunnel, (size_t)(end - all.data) + 4);
    } else if (all.size > HEAD_BYTES_MAX) {
        fail(tunnel, "the agent's answer is not HTTP");
    }
}

static void take_answer(struct tunnel *tunnel)
{
    struct bytes all = buf_bytes(&tunnel->input);
    const uint8_t *end = all.size == 0 ? NULL : memmem(all.data, all.size, "\r\n\r\n", 4);
    int code = 0;
    if (end == NULL || sscanf(buf_text(&tunnel->input), "HTTP/1.%*d %3d", &code) != 1) {
        fail(tunnel, "");
        return;
    }
    size_t size = (size_t)(end - all.data) + 4;
    CLEANUP(json)
    json_t *body = json_loadb((const char *)all.data + size, all.size - size, 0, NULL);
    tunnel->has_ended = true;
    tunnel->done(tunnel->context, code, body);
    close_tunnel(tunnel);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct tunnel *tunnel = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)buf_reserve(&tunnel->input, 32768), 32768);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct tunnel *tunnel = stream->data;
    (void)buf;
    if (count < 0) {
        if (tunnel->done != NULL) {
            take_answer(tunnel);
        } else {
            fail(tunnel, "the agent closed the connection");
        }
        return;
    }
    buf_commit(&tunnel->input, (size_t)count);
    if (tunnel->done != NULL) {
        if (buf_size(&tunnel->input) > ANSWER_BYTES_MAX) {
            fail(tunnel, "");
        }
        return;
    }
    if (!tunnel->has_head) {
        find_head(tunnel);
        return;
    }
    http_exchange_send(tunnel->x, buf_bytes(&tunnel->input));
    buf_clear(&tunnel->input);
    if (http_exchange_queued_bytes(tunnel->x) > HTTP_QUEUE_HIGH_BYTES) {
        tunnel->is_paused = true;
        uv_read_stop(stream);
    }
}

static void on_request_written(uv_write_t *write, int status)
{
    (void)status; /* reading tells */
    mem_free(write);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct tunnel *tunnel = connect->data;
    if (tunnel->is_closing) {
        return;
    }
    if (status != 0) {
        fail(tunnel, uv_strerror(status));
        return;
    }
    struct bytes request = buf_bytes(&tunnel->request);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)request.data, (unsigned)request.size);
    uv_write_t *write = mem_zalloc(sizeof(*write));
    uv_read_start((uv_stream_t *)&tunnel->tcp, on_alloc, on_read);
    if (uv_write(write, (uv_stream_t *)&tunnel->tcp, &buf, 1, on_request_written) != 0) {
        mem_free(write);
    }
}

static void on_timer(struct timer *timer)
{
    fail(container_of(timer, struct tunnel, timer), "the agent does not answer");
}

static struct tunnel *tunnel_open(const struct forwarder *forwarder,
                                  const struct forward_target *target)
{
    struct tunnel *tunnel = mem_zalloc(sizeof(*tunnel));
    struct timers *timers = wire_loop_timers(forwarder->wire);
    struct sockaddr_in address;
    tunnel->wire = forwarder->wire;
    buf_init(&tunnel->request);
    buf_init(&tunnel->input);
    uv_tcp_init(wire_loop_uv(forwarder->wire), &tunnel->tcp);
    tunnel->tcp.data = tunnel;
    tunnel->connect.data = tunnel;
    timer_init(&tunnel->timer, on_timer);
    timers_set(timers, &tunnel->timer, timers->now_ms + DIAL_MS);
    if (uv_ip4_addr(target->host, target->port, &address) == 0) {
        /* What goes wrong here is told by the timer, too. */
        int ignored = uv_tcp_connect(&tunnel->connect, &tunnel->tcp,
                                     (const struct sockaddr *)&address, on_connected);
        (void)ignored;
    }
    (void)uv_tcp_nodelay(&tunnel->tcp, 1);
    return tunnel;
}

/* ---- where ---- */

json_t *forward_find(const struct forwarder *forwarder, const char *node,
                     struct forward_target *ret)
{
    const struct cache *cache = registry_cache(forwarder->registry);
    const json_t *object = cache_find(cache, "nodes", "", node);
    CLEANUP(free) char *name = mem_printf(FORWARD_SECRET_PREFIX "%s", node);
    const json_t *secret = cache_find(cache, "secrets", FORWARD_SECRET_NAMESPACE, name);
    const json_t *address =
        tree_find_item(tree_find(object, "status.addresses"), "type", "InternalIP");
    const char *token = tree_text(secret, "data." FORWARD_SECRET_KEY);
    int64_t port = tree_int(object, "status.daemonEndpoints.kubeletEndpoint.Port", 0);
    CLEANUP(buf) struct buf decoded = BUF_INIT;
    if (object == NULL || address == NULL || token == NULL || port == 0 ||
        base64_decode(token, &decoded) != 0) {
        return status_new(503, "ServiceUnavailable", "node %s cannot be reached: %s", node,
                          object == NULL  ? "there is no such node"
                          : token == NULL ? "its agent has not published its token"
                                          : "it has told no address and port of its agent");
    }
    (void)snprintf(ret->host, sizeof(ret->host), "%s", tree_text_or(address, "address", ""));
    ret->port = (uint16_t)port;
    ret->token = mem_strdup(buf_text(&decoded));
    return NULL;
}

/* The client's fields that matter to the agent. */
static void append_upgrade(const struct http_exchange *x, struct buf *out)
{
    static const char *const names[] = {"upgrade", "sec-websocket-key", "sec-websocket-version",
                                        "sec-websocket-protocol"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (uint32_t k = 0; k < x->headers.count; k++) {
            const struct http_header *header = &x->headers.items[k];
            if (bytes_equal(header->name, bytes_from_text(names[i]))) {
                buf_append_format(out, "%s: %.*s\r\n", names[i], (int)header->value.size,
                                  (const char *)header->value.data);
            }
        }
    }
}

void forward_pod(const struct forwarder *forwarder, struct http_exchange *x,
                 const struct request *request, const json_t *pod)
{
    struct forward_target target = {.token = NULL};
    const char *node = tree_text_or(pod, "spec.nodeName", "");
    const uint8_t *mark = x->path.size == 0 ? NULL : memchr(x->path.data, '?', x->path.size);
    size_t query_size = mark == NULL ? 0 : x->path.size - (size_t)(mark - x->path.data);
    if (*node == '\0') {
        reply_status(x, status_bad_request("pod %s does not have a host assigned", request->name));
        x->handler = NULL;
        return;
    }
    json_t *refusal = forward_find(forwarder, node, &target);
    if (refusal != NULL) {
        reply_status(x, refusal);
        x->handler = NULL;
        return;
    }
    struct tunnel *tunnel = tunnel_open(forwarder, &target);
    bool is_upgrade = http_headers_find(&x->headers, "upgrade") != NULL;
    /* HTTP/1.0 without an upgrade: the answer ends with the connection. */
    buf_append_format(&tunnel->request, "GET /%s/%s/%s%.*s HTTP/1.%d\r\nHost: %s\r\n",
                      request->subresource, request->namespace, request->name, (int)query_size,
                      mark == NULL ? "" : (const char *)mark, is_upgrade ? 1 : 0, node);
    buf_append_format(&tunnel->request, "Authorization: Bearer %s\r\n", target.token);
    if (is_upgrade) {
        buf_append_text(&tunnel->request, "Connection: Upgrade\r\n");
        append_upgrade(x, &tunnel->request);
    }
    buf_append_text(&tunnel->request, "\r\n");
    mem_free(target.token);
    tunnel->x = http_exchange_ref(x);
    x->handler = &client_handler;
    x->data = tunnel;
}

/* ---- one answer ---- */

struct no_answer {
    struct wire_task task;
    forward_done *done;
    void *context;
};

static void run_no_answer(struct wire_task *task)
{
    struct no_answer *answer = container_of(task, struct no_answer, task);
    answer->done(answer->context, 0, NULL);
    mem_free(answer);
}

void forward_get(const struct forwarder *forwarder, const char *node, const char *path,
                 forward_done *done, void *context)
{
    struct forward_target target = {.token = NULL};
    json_t *refusal = forward_find(forwarder, node, &target);
    if (refusal != NULL) {
        struct no_answer *answer = mem_zalloc(sizeof(*answer));
        answer->done = done;
        answer->context = context;
        wire_task_init(&answer->task, run_no_answer);
        wire_loop_defer(forwarder->wire, &answer->task);
        json_decref(refusal);
        return;
    }
    struct tunnel *tunnel = tunnel_open(forwarder, &target);
    buf_append_format(&tunnel->request,
                      "GET %s HTTP/1.0\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, node,
                      target.token);
    mem_free(target.token);
    tunnel->done = done;
    tunnel->context = context;
}
