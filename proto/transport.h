/* transport.h - a connected socket and the connection (proto/connection.h) on it: what listener and
 * dialer share. Not for users. */
#ifndef PROTO_TRANSPORT_H
#define PROTO_TRANSPORT_H

#include <uv.h>

#include "proto/connection.h"
#include "proto/wire_loop.h"

struct transport;

struct transport_events {
    /* The connection is over (its exchanges are closed): 0 for a normal end. The socket may linger
     * until on_gone. Called from the loop, not from within transport functions. */
    void (*on_end)(struct transport *transport, int code, const char *reason);
    /* The memory is freed after this returns. */
    void (*on_gone)(struct transport *transport);
};

struct transport {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct wire_loop *wire;
    const struct transport_events *events;
    void *owner;
    struct list link;              /* the owner's */
    struct connection *connection; /* NULL once ended */

    struct list dirty;    /* in the loop's list while there is something to flush */
    struct chain pending; /* made by the connection, not given to the socket */
    struct chain writing; /* the running uv_write's */
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct wire_task end_task;
    struct timer linger;
    struct err end_error;
    size_t output_bytes_max;
    size_t received_while_writing;
    bool is_writing;
    bool is_reading;
    bool is_receiving;
    bool is_server;
    bool has_end; /* the peer has closed its side */
    bool is_ending;
    bool is_shut;
    bool is_closing;
};

/* is_pipe: the handle is a unix socket. The caller connects or accepts on transport->uv.stream. */
struct transport *transport_new(struct wire_loop *wire, bool is_pipe,
                                const struct transport_events *events, void *owner);
/* The socket is connected: take over the connection and begin. */
void transport_start(struct transport *transport, struct connection *connection, bool is_server,
                     size_t output_bytes_max);
/* Something is to be written: flush before the loop sleeps. */
void transport_wake(struct transport *transport);
/* End the connection: what is queued is still written. on_end follows from the loop. */
void transport_end(struct transport *transport, int code, const char *reason);
/* Close the socket now; on_end (if a connection was started) and on_gone follow. */
void transport_abort(struct transport *transport, int code, const char *reason);
void transport_flush(struct transport *transport); /* for wire_loop.c */

/* "127.0.0.1:80", "[::1]:80" or "unix:". */
void transport_address(const struct transport *transport, char *text, size_t size);

#endif
