/* port_stream.c - kubectl port-forward: SPDY in a WebSocket on one side, connections into the pod's
 * network namespace on the other. Each local connection of kubectl is a pair of streams, "error"
 * and "data", with the same requestid (kubernetes-api.md 1.8). */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "orchestrator/agent/server.h"
#include "orchestrator/agent/spdy.h"
#include "orchestrator/agent/web_socket.h"
#include "orchestrator/objects/tree.h"

enum { CONNECTIONS_MAX = 256, QUEUE_BYTES_MAX = 1 << 20 };

struct port_stream {
    struct http_exchange *x; /* a reference */
    struct web_socket *socket;
    struct spdy *spdy;
    struct wire_loop *wire;
    char *netns;       /* NULL: the node's own */
    json_t *errors;    /* {"requestid": id of the error stream} */
    struct list links; /* of struct port_link */
    size_t count;
};

/* One connection to a port of the pod. */
struct port_link {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    struct port_stream *stream; /* NULL: the client has gone */
    struct list link;
    uint32_t id;
    uint32_t error_id;
    int port;
    struct buf early; /* from the client before it is connected */
    bool is_connected;
    bool has_client_end;
    bool is_paused;
};

struct piece {
    uv_write_t write;
    uint8_t data[];
};

static const char *const protocols[] = {"SPDY/3.1+portforward.k8s.io", NULL};

static void flush(struct port_stream *stream)
{
    struct buf *output = spdy_output(stream->spdy);
    if (buf_size(output) > 0) {
        web_socket_send(stream->socket, bytes_make(NULL, 0), buf_bytes(output));
        buf_clear(output);
    }
}

/* ---- one connection ---- */

static void on_closed(uv_handle_t *handle)
{
    struct port_link *link = handle->data;
    buf_deinit(&link->early);
    mem_free(link);
}

static void close_link(struct port_link *link)
{
    if (link->stream != NULL) {
        link->stream->count--;
        link->stream = NULL;
        list_remove(&link->link);
        uv_close((uv_handle_t *)&link->tcp, on_closed);
    }
}

/* Says why on the error stream, and ends both. */
static void fail_link(struct port_link *link, const char *reason)
{
    struct port_stream *stream = link->stream;
    CLEANUP(free)
    char *text =
        mem_printf("failed to connect to localhost:%d inside the pod: %s", link->port, reason);
    if (link->error_id != 0) {
        spdy_send(stream->spdy, link->error_id, bytes_from_text(text), true);
    }
    spdy_send(stream->spdy, link->id, bytes_make(NULL, 0), true);
    flush(stream);
    close_link(link);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* reading tells */
    mem_free(container_of(write, struct piece, write));
}

static void write_link(struct port_link *link, struct bytes data)
{
    struct piece *piece = mem_alloc(sizeof(*piece) + data.size);
    if (data.size > 0) {
        memcpy(piece->data, data.data, data.size);
    }
    uv_buf_t buf = uv_buf_init((char *)piece->data, (unsigned)data.size);
    if (uv_write(&piece->write, (uv_stream_t *)&link->tcp, &buf, 1, on_written) != 0) {
        mem_free(piece);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char room[65536]; /* used up before the next read */
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(room, sizeof(room));
}

static void on_read(uv_stream_t *tcp, ssize_t count, const uv_buf_t *buf)
{
    struct port_link *link = tcp->data;
    struct port_stream *stream = link->stream;
    if (stream == NULL) {
        return;
    }
    if (count > 0) {
        spdy_send(stream->spdy, link->id, bytes_make(buf->base, (size_t)count), false);
        flush(stream);
        if (http_exchange_queued_bytes(stream->x) > QUEUE_BYTES_MAX) {
            link->is_paused = true;
            uv_read_stop(tcp);
        }
    } else if (count < 0) {
        spdy_send(stream->spdy, link->id, bytes_make(NULL, 0), true);
        if (link->error_id != 0) {
            spdy_send(stream->spdy, link->error_id, bytes_make(NULL, 0), true);
        }
        flush(stream);
        close_link(link);
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct port_link *link = connect->data;
    if (link->stream == NULL) {
        return;
    }
    if (status != 0) {
        fail_link(link, uv_strerror(status));
        return;
    }
    link->is_connected = true;
    if (buf_size(&link->early) > 0) {
        write_link(link, buf_bytes(&link->early));
        buf_clear(&link->early);
    }
    if (link->has_client_end) {
        (void)uv_shutdown(&link->shutdown, (uv_stream_t *)&link->tcp, NULL);
    }
    uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read);
}

/* A socket belongs to the namespace in which it was made: visit, and come back. This program has
 * one thread that does so; libuv's others only read and write files. */
static int socket_in(const char *netns)
{
    if (netns == NULL) {
        return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    CLEANUP(close_fd) int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    CLEANUP(close_fd) int there = open(netns, O_RDONLY | O_CLOEXEC);
    if (own < 0 || there < 0 || setns(there, CLONE_NEWNET) != 0) {
        return -1;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (setns(own, CLONE_NEWNET) != 0) {
        abort(); /* everything after this would happen in the pod's network */
    }
    return fd;
}

static void open_link(struct port_stream *stream, uint32_t id, const json_t *headers)
{
    const char *request = tree_text_or(headers, "requestid", "");
    const char *port = tree_text_or(headers, "port", "");
    struct port_link *link = mem_zalloc(sizeof(*link));
    struct sockaddr_in address;
    link->stream = stream;
    link->id = id;
    link->error_id = (uint32_t)tree_int(stream->errors, request, 0);
    link->port = (int)strtol(port, NULL, 10);
    link->tcp.data = link;
    link->connect.data = link;
    buf_init(&link->early);
    uv_tcp_init(wire_loop_uv(stream->wire), &link->tcp);
    list_push_back(&stream->links, &link->link);
    stream->count++;
    int fd = stream->count > CONNECTIONS_MAX ? -1 : socket_in(stream->netns);
    if (fd < 0 || link->port <= 0 || link->port > UINT16_MAX || uv_tcp_open(&link->tcp, fd) != 0 ||
        uv_ip4_addr("127.0.0.1", link->port, &address) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        fail_link(link, fd < 0 ? strerror(errno) : "no right port");
        return;
    }
    int status =
        uv_tcp_connect(&link->connect, &link->tcp, (const struct sockaddr *)&address, on_connected);
    if (status != 0) {
        fail_link(link, uv_strerror(status));
    }
}

static struct port_link *find_link(const struct port_stream *stream, uint32_t id)
{
    list_foreach (item, &stream->links) {
        struct port_link *link = container_of(item, struct port_link, link);
        if (link->id == id) {
            return link;
        }
    }
    return NULL;
}

/* ---- SPDY ---- */

static void on_stream(void *context, uint32_t id, const json_t *headers, bool is_end)
{
    struct port_stream *stream = context;
    const char *type = tree_text_or(headers, "streamtype", "");
    (void)is_end;
    spdy_reply(stream->spdy, id);
    if (strcmp(type, "error") == 0) {
        json_object_set_new(stream->errors, tree_text_or(headers, "requestid", ""),
                            json_integer(id));
    } else if (strcmp(type, "data") == 0) {
        open_link(stream, id, headers);
    } else {
        spdy_reset(stream->spdy, id);
    }
}

static void on_data(void *context, uint32_t id, struct bytes data, bool is_end)
{
    struct port_link *link = find_link(context, id);
    if (link == NULL) {
        return; /* an error stream, or over */
    }
    if (data.size > 0 && link->is_connected) {
        write_link(link, data);
    } else if (data.size > 0) {
        buf_append_bytes(&link->early, data);
    }
    if (is_end) {
        link->has_client_end = true;
        if (link->is_connected) {
            (void)uv_shutdown(&link->shutdown, (uv_stream_t *)&link->tcp, NULL);
        }
    }
}

static void on_reset(void *context, uint32_t id)
{
    struct port_link *link = find_link(context, id);
    if (link != NULL) {
        close_link(link);
    }
}

static const struct spdy_events spdy_events = {
    .on_stream = on_stream, .on_data = on_data, .on_reset = on_reset};

static void on_message(void *context, struct bytes message)
{
    struct port_stream *stream = context;
    if (spdy_receive(stream->spdy, message) != 0) {
        web_socket_close(stream->socket);
        return;
    }
    flush(stream);
}

/* ---- the exchange ---- */

static void on_body(struct http_exchange *x, struct bytes data)
{
    struct port_stream *stream = x->data;
    bool is_open = web_socket_receive(stream->socket, data);
    http_exchange_consume(x, data.size);
    if (!is_open) {
        http_exchange_finish(x, NULL, 0);
    }
}

static void on_end(struct http_exchange *x)
{
    http_exchange_finish(x, NULL, 0);
}

static void on_writable(struct http_exchange *x)
{
    struct port_stream *stream = x->data;
    list_foreach (item, &stream->links) {
        struct port_link *link = container_of(item, struct port_link, link);
        if (link->is_paused) {
            link->is_paused = false;
            uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read);
        }
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    struct port_stream *stream = x->data;
    (void)reason;
    x->handler = NULL;
    while (!list_is_empty(&stream->links)) {
        close_link(container_of(stream->links.next, struct port_link, link));
    }
    web_socket_free(stream->socket);
    spdy_free(stream->spdy);
    json_decref(stream->errors);
    mem_free(stream->netns);
    http_exchange_unref(stream->x);
    mem_free(stream);
}

static const struct http_handler handler = {
    .on_body = on_body, .on_end = on_end, .on_writable = on_writable, .on_close = on_close};

void port_stream_start(struct server_call *call)
{
    if (call->record->sandbox != SANDBOX_READY) {
        server_refuse(call, 400, "BadRequest", "pod %s does not run",
                      object_name(call->record->pod));
        return;
    }
    struct port_stream *stream = mem_zalloc(sizeof(*stream));
    stream->spdy = spdy_new(&spdy_events, stream);
    stream->socket =
        stream->spdy == NULL ? NULL : web_socket_accept(call->x, protocols, on_message, stream);
    json_decref(call->query);
    call->query = NULL;
    if (stream->socket == NULL) {
        spdy_free(stream->spdy);
        mem_free(stream);
        return;
    }
    CLEANUP(free) char *directory = pods_directory(call->pods, call->record);
    stream->x = http_exchange_ref(call->x);
    stream->wire = call->wire;
    stream->netns = pod_is_host_network(call->record) ? NULL : mem_printf("%s/ns/net", directory);
    stream->errors = json_object();
    list_init(&stream->links);
    call->x->handler = &handler;
    call->x->data = stream;
}
