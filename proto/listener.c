#include "proto/listener.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/transport.h"

enum { CONNECTIONS_MAX = 10000, HANDSHAKES_MAX = 1000, BACKLOG = 1024, OUTPUT_BYTES = 1 << 20 };

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct wire_loop *wire;
    struct listener_options options;
    struct list transports;
    uint32_t connection_count;
    uint32_t handle_count; /* sockets not yet gone, with the listening one */
    struct timer grace;
    bool is_closing;
    void (*closed)(void *context);
    void *closed_context;
};

static void release(struct listener *listener)
{
    CHECK(listener->handle_count > 0);
    listener->handle_count--;
    if (listener->handle_count > 0) {
        return;
    }
    timers_clear(wire_loop_timers(listener->wire), &listener->grace);
    void (*closed)(void *context) = listener->closed;
    void *context = listener->closed_context;
    tls_context_unref(listener->options.tls);
    mem_free(listener);
    if (closed != NULL) {
        closed(context);
    }
}

static void on_transport_end(struct transport *transport, int code, const char *reason)
{
    struct listener *listener = transport->owner;
    list_remove(&transport->link);
    listener->connection_count--;
    const struct listener_events *events = listener->options.events;
    if (code != 0 && code != ERR_CLOSED && code != UV_ECONNRESET && events != NULL &&
        events->on_trouble != NULL) {
        char address[80];
        transport_address(transport, address, sizeof address);
        events->on_trouble(listener->options.events_context, address, reason);
    }
}

static void on_transport_gone(struct transport *transport)
{
    release(transport->owner);
}

static const struct transport_events transport_events = {
    .on_end = on_transport_end,
    .on_gone = on_transport_gone,
};

static void on_output(void *context)
{
    transport_wake(context);
}

static void on_dead(void *context, int code, const char *reason)
{
    transport_end(context, code, reason);
}

static uint32_t handshake_count(const struct listener *listener)
{
    uint32_t count = 0;
    list_foreach (link, &listener->transports) {
        const struct transport *transport = container_of(link, struct transport, link);
        count += connection_is_established(transport->connection) ? 0 : 1;
    }
    return count;
}

static bool has_room(const struct listener *listener)
{
    if (listener->connection_count >= listener->options.connections_max) {
        return false;
    }
    /* Counting is linear: only when there are enough connections for it to matter. */
    return listener->connection_count < listener->options.handshakes_max ||
           handshake_count(listener) < listener->options.handshakes_max;
}

static void refresh_certificates(struct listener *listener)
{
    if (listener->options.tls == NULL) {
        return;
    }
    struct err err = {0};
    const struct listener_events *events = listener->options.events;
    if (tls_context_reload_if_changed(listener->options.tls, &err) < 0 && events != NULL &&
        events->on_reload_error != NULL) {
        events->on_reload_error(listener->options.events_context, &err);
    }
}

static void begin(struct listener *listener, struct transport *transport)
{
    char address[80];
    transport_address(transport, address, sizeof address);
    refresh_certificates(listener);
    const struct connection_options options = {
        .http = {.role = HTTP_SERVER,
                 .limits = listener->options.limits,
                 .handler = listener->options.handler,
                 .handler_data = listener->options.handler_data,
                 .timers = wire_loop_timers(listener->wire),
                 .on_output = on_output,
                 .on_dead = on_dead,
                 .context = transport},
        .tls = listener->options.tls,
        .plaintext_too = listener->options.plaintext_too,
        .address = address,
    };
    struct err err = {0};
    struct connection *connection = connection_new(&options, &err);
    if (connection == NULL) {
        transport_abort(transport, err.code, err.text);
        return;
    }
    list_push_back(&listener->transports, &transport->link);
    listener->connection_count++;
    transport_start(transport, connection, /* is_server= */ true,
                    listener->options.limits.output_bytes_max);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;
    if (status < 0) {
        return; /* out of descriptors: libuv has closed the one it could not keep */
    }
    bool is_pipe = listener->options.unix_path != NULL;
    struct transport *transport =
        transport_new(listener->wire, is_pipe, &transport_events, listener);
    listener->handle_count++;
    if (uv_accept(stream, &transport->uv.stream) != 0 || !has_room(listener)) {
        transport_abort(transport, ERR_BUSY, "too many connections");
        return;
    }
    if (!is_pipe) {
        (void)uv_tcp_nodelay(&transport->uv.tcp, 1);
        (void)uv_tcp_keepalive(&transport->uv.tcp, 1, 30);
    }
    begin(listener, transport);
}

static int bind_tcp(struct listener *listener, const struct listener_options *options)
{
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    if (uv_ip4_addr(options->host, options->port, (struct sockaddr_in *)&address) != 0 &&
        uv_ip6_addr(options->host, options->port, (struct sockaddr_in6 *)&address) != 0) {
        return UV_EINVAL;
    }
    int rv = uv_tcp_init_ex(wire_loop_uv(listener->wire), &listener->uv.tcp, address.ss_family);
    CHECK(rv == 0);
    uv_os_fd_t fd = -1;
    int on = 1;
    if (options->reuse_port && uv_fileno(&listener->uv.handle, &fd) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
        return -errno;
    }
    unsigned flags = address.ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
    return uv_tcp_bind(&listener->uv.tcp, (const struct sockaddr *)&address, flags);
}

static int bind_unix(struct listener *listener, const struct listener_options *options)
{
    CHECK(uv_pipe_init(wire_loop_uv(listener->wire), &listener->uv.pipe, 0) == 0);
    /* A socket file that an earlier process left behind cannot be bound again. */
    uv_fs_t request;
    (void)uv_fs_unlink(NULL, &request, options->unix_path, NULL);
    uv_fs_req_cleanup(&request);
    return uv_pipe_bind(&listener->uv.pipe, options->unix_path);
}

static void set_defaults(struct listener_options *options)
{
    http_limits_set_defaults(&options->limits);
    options->connections_max =
        options->connections_max == 0 ? CONNECTIONS_MAX : options->connections_max;
    options->handshakes_max =
        options->handshakes_max == 0 ? HANDSHAKES_MAX : options->handshakes_max;
    options->backlog = options->backlog == 0 ? BACKLOG : options->backlog;
}

static void on_grace_over(struct timer *timer);

static void on_listener_closed(uv_handle_t *handle)
{
    release(handle->data);
}

struct listener *listener_open(struct wire_loop *wire, const struct listener_options *options,
                               struct err *err)
{
    struct listener *listener = mem_zalloc(sizeof *listener);
    listener->wire = wire;
    listener->options = *options;
    listener->handle_count = 1;
    set_defaults(&listener->options);
    list_init(&listener->transports);
    timer_init(&listener->grace, on_grace_over);
    listener->options.tls = options->tls == NULL ? NULL : tls_context_ref(options->tls);
    int rv =
        options->unix_path != NULL ? bind_unix(listener, options) : bind_tcp(listener, options);
    listener->uv.handle.data = listener;
    if (rv == 0) {
        rv = uv_listen(&listener->uv.stream, listener->options.backlog, on_connection);
    }
    if (rv == 0) {
        return listener;
    }
    if (options->unix_path != NULL) {
        (void)err_set(err, rv, "listen on unix:%s: %s", options->unix_path, uv_strerror(rv));
    } else {
        (void)err_set(err, rv, "listen on %s:%u: %s", options->host, options->port,
                      uv_strerror(rv));
    }
    if (listener->uv.handle.type == UV_UNKNOWN_HANDLE) { /* the address was no address */
        release(listener);
    } else {
        uv_close(&listener->uv.handle, on_listener_closed);
    }
    return NULL;
}

uint16_t listener_port(const struct listener *listener)
{
    struct sockaddr_storage address;
    int length = sizeof address;
    if (listener->options.unix_path != NULL ||
        uv_tcp_getsockname(&listener->uv.tcp, (struct sockaddr *)&address, &length) != 0) {
        return 0;
    }
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

uint32_t listener_connection_count(const struct listener *listener)
{
    return listener->connection_count;
}

static void on_grace_over(struct timer *timer)
{
    struct listener *listener = container_of(timer, struct listener, grace);
    list_foreach_safe (link, &listener->transports) {
        transport_abort(container_of(link, struct transport, link), ERR_CLOSED,
                        "the server shuts down");
    }
}

void listener_close(struct listener *listener, uint32_t grace_ms, void (*done)(void *context),
                    void *context)
{
    CHECK(!listener->is_closing);
    listener->is_closing = true;
    listener->closed = done;
    listener->closed_context = context;
    struct timers *timers = wire_loop_timers(listener->wire);
    uv_close(&listener->uv.handle, on_listener_closed);
    timers_set(timers, &listener->grace, timers->now_ms + grace_ms);
    list_foreach (link, &listener->transports) {
        struct transport *transport = container_of(link, struct transport, link);
        connection_drain(transport->connection);
        transport_wake(transport);
    }
}
