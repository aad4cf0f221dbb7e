#include "proto/dialer.h"

#include <stdio.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/transport.h"

enum { CONNECT_TIMEOUT_MS = 5000 };

/* resolve -> connect (one address after the other) -> established -> end. The object goes when
 * nothing of libuv's points to it any more. */
struct dialer {
    struct wire_loop *wire;
    struct dialer_options options; /* with texts of our own */
    char *host;
    char *unix_path;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    struct addrinfo *addresses; /* from libuv */
    struct addrinfo *next_address;
    struct transport *transport; /* of the running attempt or the connection */
    struct timer timeout;
    struct wire_task start_task;
    struct err last_error;
    unsigned holds; /* resolve, sockets, the owner */
    bool is_ended;
};

static void hold(struct dialer *dialer)
{
    dialer->holds++;
}

static void release(struct dialer *dialer)
{
    CHECK(dialer->holds > 0);
    dialer->holds--;
    if (dialer->holds > 0) {
        return;
    }
    if (dialer->addresses != NULL) {
        uv_freeaddrinfo(dialer->addresses);
    }
    tls_context_unref(dialer->options.tls);
    mem_free(dialer->host);
    mem_free(dialer->unix_path);
    mem_free(dialer);
}

static void stop(struct dialer *dialer)
{
    dialer->is_ended = true;
    timers_clear(wire_loop_timers(dialer->wire), &dialer->timeout);
    wire_task_cancel(&dialer->start_task);
    (void)uv_cancel((uv_req_t *)&dialer->resolve); /* fails when it is done or was never begun */
}

static void end(struct dialer *dialer, int code, const char *reason)
{
    if (dialer->is_ended) {
        return;
    }
    stop(dialer);
    dialer->options.on_end(dialer->options.context, code, reason);
    release(dialer);
}

void dialer_close(struct dialer *dialer)
{
    CHECK(!dialer->is_ended);
    stop(dialer);
    if (dialer->transport != NULL) {
        transport_abort(dialer->transport, ERR_CANCELLED, "closed");
    }
    release(dialer);
}

static void on_transport_end(struct transport *transport, int code, const char *reason)
{
    struct dialer *dialer = transport->owner;
    if (dialer->transport == transport) {
        dialer->transport = NULL;
        end(dialer, code, reason);
    }
}

static void on_transport_gone(struct transport *transport)
{
    struct dialer *dialer = transport->owner;
    if (dialer->transport == transport) {
        dialer->transport = NULL;
    }
    release(dialer);
}

static const struct transport_events transport_events = {
    .on_end = on_transport_end,
    .on_gone = on_transport_gone,
};

static void on_output(void *context)
{
    struct dialer *dialer = context;
    if (dialer->transport != NULL) {
        transport_wake(dialer->transport);
    }
}

static void on_dead(void *context, int code, const char *reason)
{
    struct dialer *dialer = context;
    if (dialer->transport != NULL) {
        transport_end(dialer->transport, code, reason);
    }
}

static void on_established(void *context)
{
    struct dialer *dialer = context;
    timers_clear(wire_loop_timers(dialer->wire), &dialer->timeout);
    if (!dialer->is_ended) {
        dialer->options.on_established(dialer->options.context, dialer->transport->connection);
    }
}

static void try_next(struct dialer *dialer);

static void begin(struct dialer *dialer)
{
    char address[80];
    struct transport *transport = dialer->transport;
    transport_address(transport, address, sizeof address);
    if (dialer->unix_path == NULL) {
        (void)uv_tcp_nodelay(&transport->uv.tcp, 1);
        (void)uv_tcp_keepalive(&transport->uv.tcp, 1, 30);
    }
    const struct connection_options options = {
        .http = {.role = HTTP_CLIENT,
                 .limits = dialer->options.limits,
                 .timers = wire_loop_timers(dialer->wire),
                 .on_output = on_output,
                 .on_dead = on_dead,
                 .context = dialer},
        .tls = dialer->options.tls,
        .tls_name = dialer->host,
        .address = address,
        .on_established = on_established,
    };
    struct err err = {0};
    struct connection *connection = connection_new(&options, &err);
    if (connection == NULL) {
        dialer->transport = NULL;
        transport_abort(transport, err.code, err.text);
        end(dialer, err.code, err.text);
        return;
    }
    transport_start(transport, connection, /* is_server= */ false,
                    dialer->options.limits.output_bytes_max);
}

static void fail_attempt(struct dialer *dialer, int code)
{
    (void)err_set(&dialer->last_error, code, "connect: %s", uv_strerror(code));
    struct transport *transport = TAKE_PTR(dialer->transport);
    transport_abort(transport, code, dialer->last_error.text);
    try_next(dialer);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct dialer *dialer = request->data;
    if (dialer->is_ended || dialer->transport == NULL) {
        return; /* the attempt was given up; its socket is closing */
    }
    if (status < 0) {
        fail_attempt(dialer, status);
        return;
    }
    begin(dialer);
}

/* From the address that the caller wants; those of another family are not tried. */
static int bind_local(struct dialer *dialer, const struct sockaddr *remote)
{
    struct sockaddr_storage local;
    const char *text = dialer->options.local_address;
    if (text == NULL) {
        return 0;
    }
    int rv = remote->sa_family == AF_INET6 ? uv_ip6_addr(text, 0, (struct sockaddr_in6 *)&local)
                                           : uv_ip4_addr(text, 0, (struct sockaddr_in *)&local);
    return rv != 0 ? rv
                   : uv_tcp_bind(&dialer->transport->uv.tcp, (const struct sockaddr *)&local, 0);
}

static void connect_to(struct dialer *dialer, const struct sockaddr *address)
{
    dialer->transport =
        transport_new(dialer->wire, /* is_pipe= */ false, &transport_events, dialer);
    hold(dialer);
    dialer->connect.data = dialer;
    int rv = bind_local(dialer, address);
    if (rv == 0) {
        rv = uv_tcp_connect(&dialer->connect, &dialer->transport->uv.tcp, address, on_connected);
    }
    if (rv < 0) {
        fail_attempt(dialer, rv);
    }
}

static void try_next(struct dialer *dialer)
{
    if (dialer->is_ended) {
        return;
    }
    struct addrinfo *address = dialer->next_address;
    if (address == NULL) {
        end(dialer, dialer->last_error.code, dialer->last_error.text);
        return;
    }
    dialer->next_address = address->ai_next;
    connect_to(dialer, address->ai_addr);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct dialer *dialer = container_of(request, struct dialer, resolve);
    dialer->addresses = addresses;
    dialer->next_address = addresses;
    if (status < 0 && !dialer->is_ended) {
        char text[200];
        (void)snprintf(text, sizeof text, "lookup %s: %s", dialer->host, uv_strerror(status));
        end(dialer, status, text);
    } else {
        try_next(dialer);
    }
    release(dialer);
}

static void resolve(struct dialer *dialer)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    (void)snprintf(port, sizeof port, "%u", dialer->options.port);
    int rv = uv_getaddrinfo(wire_loop_uv(dialer->wire), &dialer->resolve, on_resolved, dialer->host,
                            port, &hints);
    if (rv < 0) {
        end(dialer, rv, uv_strerror(rv));
        return;
    }
    hold(dialer);
}

static void connect_unix(struct dialer *dialer)
{
    dialer->transport = transport_new(dialer->wire, /* is_pipe= */ true, &transport_events, dialer);
    hold(dialer);
    dialer->connect.data = dialer;
    uv_pipe_connect(&dialer->connect, &dialer->transport->uv.pipe, dialer->unix_path, on_connected);
}

static void start(struct wire_task *task)
{
    struct dialer *dialer = container_of(task, struct dialer, start_task);
    struct sockaddr_storage address;
    uint16_t port = dialer->options.port;
    if (dialer->unix_path != NULL) {
        connect_unix(dialer);
    } else if (uv_ip4_addr(dialer->host, port, (struct sockaddr_in *)&address) == 0 ||
               uv_ip6_addr(dialer->host, port, (struct sockaddr_in6 *)&address) == 0) {
        connect_to(dialer, (const struct sockaddr *)&address);
    } else {
        resolve(dialer);
    }
}

static void on_timeout(struct timer *timer)
{
    struct dialer *dialer = container_of(timer, struct dialer, timeout);
    struct transport *transport = dialer->transport;
    if (transport != NULL && transport->connection != NULL) {
        transport_abort(transport, ERR_TIMEOUT, "handshake not complete within the time limit");
        return; /* on_transport_end has told */
    }
    dialer->transport = NULL;
    if (transport != NULL) {
        transport_abort(transport, ERR_TIMEOUT, "");
    }
    end(dialer, ERR_TIMEOUT, "connect: i/o timeout");
}

struct dialer *dialer_open(struct wire_loop *wire, const struct dialer_options *options)
{
    CHECK(options->unix_path != NULL || options->host != NULL);
    struct dialer *dialer = mem_zalloc(sizeof *dialer);
    dialer->wire = wire;
    dialer->options = *options;
    http_limits_set_defaults(&dialer->options.limits);
    dialer->host = options->host == NULL ? NULL : mem_strdup(options->host);
    dialer->unix_path = options->unix_path == NULL ? NULL : mem_strdup(options->unix_path);
    dialer->options.tls = options->tls == NULL ? NULL : tls_context_ref(options->tls);
    dialer->holds = 1;
    timer_init(&dialer->timeout, on_timeout);
    struct timers *timers = wire_loop_timers(wire);
    uint32_t timeout_ms = options->connect_timeout_ms;
    timers_set(timers, &dialer->timeout,
               timers->now_ms + (timeout_ms == 0 ? (uint32_t)CONNECT_TIMEOUT_MS : timeout_ms));
    wire_task_init(&dialer->start_task, start);
    wire_loop_defer(wire, &dialer->start_task);
    return dialer;
}
