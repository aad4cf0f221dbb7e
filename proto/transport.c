#include "proto/transport.h"

#include <stdio.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/wire_loop_internal.h"

enum {
    VECTORS_MAX = 64,
    LINGER_MS = 1000,
    /* Input a server takes while its output does not move: a client that reads nothing gets no more
     * work done. A client always reads on, or two busy ends could wait for each other for ever. */
    RECEIVE_WHILE_WRITING_MAX = 64 * 1024,
};

static void on_end_task(struct wire_task *task);
static void on_linger(struct timer *timer);
static void start_reading(struct transport *transport);

struct transport *transport_new(struct wire_loop *wire, bool is_pipe,
                                const struct transport_events *events, void *owner)
{
    struct transport *transport = mem_zalloc(sizeof *transport);
    transport->wire = wire;
    transport->events = events;
    transport->owner = owner;
    list_init(&transport->link);
    list_init(&transport->dirty);
    chain_init(&transport->pending);
    chain_init(&transport->writing);
    wire_task_init(&transport->end_task, on_end_task);
    timer_init(&transport->linger, on_linger);
    int rv = is_pipe ? uv_pipe_init(wire->uv, &transport->uv.pipe, /* ipc= */ 0)
                     : uv_tcp_init(wire->uv, &transport->uv.tcp);
    CHECK(rv == 0);
    transport->uv.handle.data = transport;
    return transport;
}

static void on_closed(uv_handle_t *handle)
{
    struct transport *transport = handle->data;
    transport->events->on_gone(transport);
    chain_deinit(&transport->pending);
    chain_deinit(&transport->writing);
    mem_free(transport);
}

static void close_handle(struct transport *transport)
{
    if (transport->is_closing) {
        return;
    }
    transport->is_closing = true;
    list_remove(&transport->dirty);
    wire_task_cancel(&transport->end_task);
    timers_clear(&transport->wire->timers, &transport->linger);
    uv_close(&transport->uv.handle, on_closed);
}

static void on_linger(struct timer *timer)
{
    close_handle(container_of(timer, struct transport, linger));
}

static void stop_connection(struct transport *transport)
{
    struct connection *connection = TAKE_PTR(transport->connection);
    if (connection == NULL) {
        return;
    }
    int code = transport->end_error.code;
    connection_free(connection, code == 0 ? ERR_CLOSED : code);
    transport->events->on_end(transport, code, transport->end_error.text);
}

static void on_shut(uv_shutdown_t *request, int status)
{
    struct transport *transport = request->handle->data;
    if (status != 0 && status != UV_ECANCELED) {
        close_handle(transport);
    }
}

/* The output is written. Closing a socket that has unread input would make the kernel send a reset,
 * which can overtake our last bytes: say that we are done, and read on for a moment. */
static void linger(struct transport *transport)
{
    if (transport->is_shut || transport->is_closing) {
        return;
    }
    transport->is_shut = true;
    if (transport->has_end) {
        close_handle(transport);
        return;
    }
    if (uv_shutdown(&transport->shutdown, &transport->uv.stream, on_shut) != 0) {
        close_handle(transport);
        return;
    }
    timers_set(&transport->wire->timers, &transport->linger,
               transport->wire->timers.now_ms + LINGER_MS);
    start_reading(transport);
}

static void on_end_task(struct wire_task *task)
{
    struct transport *transport = container_of(task, struct transport, end_task);
    if (transport->connection != NULL) {
        struct err ignored;
        /* The last words: a GOAWAY, an alert. */
        int rv = connection_send(transport->connection, &transport->pending,
                                 transport->output_bytes_max, &ignored);
        (void)rv; /* it ends in any case */
    }
    stop_connection(transport);
    transport_wake(transport);
}

void transport_end(struct transport *transport, int code, const char *reason)
{
    if (transport->is_ending || transport->is_closing) {
        return;
    }
    transport->is_ending = true;
    if (code != 0) {
        (void)err_set(&transport->end_error, code, "%s", reason);
    }
    wire_loop_defer(transport->wire, &transport->end_task);
}

void transport_abort(struct transport *transport, int code, const char *reason)
{
    if (transport->is_closing) {
        return;
    }
    CHECK(!transport->is_receiving);
    if (!transport->is_ending) {
        transport->is_ending = true;
        (void)err_set(&transport->end_error, code, "%s", reason);
    }
    stop_connection(transport);
    close_handle(transport);
}

static void on_written(uv_write_t *request, int status)
{
    struct transport *transport = request->handle->data;
    transport->is_writing = false;
    transport->received_while_writing = 0;
    chain_clear(&transport->writing);
    if (transport->is_closing) {
        return;
    }
    if (status < 0) {
        transport_abort(transport, status, uv_strerror(status));
        return;
    }
    start_reading(transport);
    transport_wake(transport);
}

/* What uv_try_write left: libuv keeps it until the socket takes it. */
static void write_later(struct transport *transport)
{
    CHECK(transport->writing.size == 0);
    struct chain empty = transport->writing;
    transport->writing = transport->pending;
    transport->pending = empty;
    uint32_t count = transport->writing.end - transport->writing.first;
    uv_buf_t *buffers = mem_calloc(count, sizeof *buffers);
    /* A uv_buf_t is a struct iovec on Unix: base, then length. */
    _Static_assert(sizeof(uv_buf_t) == sizeof(struct iovec), "uv_buf_t is not an iovec");
    (void)chain_peek(&transport->writing, (struct iovec *)buffers, count);
    int rv = uv_write(&transport->write, &transport->uv.stream, buffers, count, on_written);
    mem_free(buffers);
    if (rv < 0) {
        transport_abort(transport, rv, uv_strerror(rv));
        return;
    }
    transport->is_writing = true;
}

/* false: nothing more can be written now. */
static bool write_pending(struct transport *transport)
{
    struct iovec vectors[VECTORS_MAX];
    while (transport->pending.size > 0) {
        unsigned count = chain_peek(&transport->pending, vectors, VECTORS_MAX);
        int size = uv_try_write(&transport->uv.stream, (const uv_buf_t *)vectors, count);
        if (size == UV_EAGAIN || size == 0) {
            write_later(transport);
            return false;
        }
        if (size < 0) {
            transport_abort(transport, size, uv_strerror(size));
            return false;
        }
        chain_consume(&transport->pending, (size_t)size);
    }
    return true;
}

void transport_flush(struct transport *transport)
{
    while (!transport->is_writing && !transport->is_closing) {
        if (transport->connection != NULL) {
            struct err err = {0};
            int rv = connection_send(transport->connection, &transport->pending,
                                     transport->output_bytes_max, &err);
            if (rv < 0) {
                transport_abort(transport, rv, err.text);
                return;
            }
        }
        if (transport->pending.size == 0) {
            break;
        }
        if (!write_pending(transport)) {
            return;
        }
    }
    if (transport->is_writing || transport->is_closing) {
        return;
    }
    if (transport->connection == NULL) {
        if (transport->is_ending) {
            linger(transport);
        }
    } else if (connection_is_done(transport->connection)) {
        transport_end(transport, 0, "");
    } else {
        start_reading(transport);
    }
}

void transport_wake(struct transport *transport)
{
    if (!transport->is_closing && list_is_empty(&transport->dirty)) {
        list_push_back(&transport->wire->dirty, &transport->dirty);
    }
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct transport *transport = handle->data;
    *buffer = uv_buf_init((char *)transport->wire->read_buffer, WIRE_READ_BYTES);
}

static bool wants_input(const struct transport *transport)
{
    bool is_stuck =
        transport->is_server && transport->received_while_writing > RECEIVE_WHILE_WRITING_MAX;
    return !is_stuck &&
           (transport->connection == NULL || connection_wants_input(transport->connection));
}

static void receive(struct transport *transport, struct bytes input)
{
    if (transport->connection == NULL || transport->is_ending) {
        return; /* lingering */
    }
    struct err err = {0};
    transport->is_receiving = true;
    int rv = connection_receive(transport->connection, input, &err);
    transport->is_receiving = false;
    if (rv < 0) {
        transport_end(transport, rv == ERR_CLOSED ? 0 : rv, err.text);
        return;
    }
    transport->received_while_writing += transport->is_writing ? input.size : 0;
    if (!wants_input(transport)) {
        (void)uv_read_stop(&transport->uv.stream);
        transport->is_reading = false;
    }
    transport_wake(transport);
}

static void receive_end(struct transport *transport, int status)
{
    if (transport->connection == NULL) {
        close_handle(transport); /* lingering is over */
        return;
    }
    struct err err = {0};
    transport->has_end = true;
    if (status == UV_EOF && connection_receive_end(transport->connection, &err) == 0) {
        (void)uv_read_stop(&transport->uv.stream);
        transport_wake(transport);
        return;
    }
    transport_abort(transport, status == UV_EOF ? ERR_CLOSED : status,
                    status == UV_EOF ? "connection closed by the peer" : uv_strerror(status));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct transport *transport = stream->data;
    wire_loop_touch(transport->wire);
    if (size > 0) {
        receive(transport, bytes_make(buffer->base, (size_t)size));
    } else if (size < 0) {
        receive_end(transport, (int)size);
    }
}

static void start_reading(struct transport *transport)
{
    if (transport->is_reading || transport->is_closing || !wants_input(transport)) {
        return;
    }
    if (uv_read_start(&transport->uv.stream, on_allocate, on_read) == 0) {
        transport->is_reading = true;
    }
}

void transport_start(struct transport *transport, struct connection *connection, bool is_server,
                     size_t output_bytes_max)
{
    transport->is_server = is_server;
    transport->connection = connection;
    transport->output_bytes_max = output_bytes_max;
    start_reading(transport);
    transport_wake(transport);
}

void transport_address(const struct transport *transport, char *text, size_t size)
{
    struct sockaddr_storage address;
    int length = sizeof address;
    char host[64] = "";
    if (transport->uv.handle.type != UV_TCP ||
        uv_tcp_getpeername(&transport->uv.tcp, (struct sockaddr *)&address, &length) != 0) {
        (void)snprintf(text, size, "unix:");
        return;
    }
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
        (void)uv_ip6_name(in6, host, sizeof host);
        (void)snprintf(text, size, "[%s]:%u", host, ntohs(in6->sin6_port));
        return;
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
    (void)uv_ip4_name(in, host, sizeof host);
    (void)snprintf(text, size, "%s:%u", host, ntohs(in->sin_port));
}
