/* listener.h - accepts connections on one address and serves HTTP/2 and HTTP/1.1 on them, plaintext
 * or TLS, told apart by ALPN or by the first bytes.
 *
 * The only place, with proto/dialer.h, that knows sockets. */
#ifndef PROTO_LISTENER_H
#define PROTO_LISTENER_H

#include "base/err.h"
#include "proto/http_exchange.h"
#include "proto/tls.h"
#include "proto/wire_loop.h"

struct listener;

struct listener_events {
    /* A connection ended badly or was refused (handshake failed, flood, protocol): for the log.
     * reason is a text for people. May be NULL. */
    void (*on_trouble)(void *context, const char *peer_address, const char *reason);
    /* Reloading certificates failed; the old ones stay. May be NULL. */
    void (*on_reload_error)(void *context, const struct err *err);
};

struct listener_options {
    /* "127.0.0.1", "::", or a path for a unix socket (then port is not used). */
    const char *host;
    uint16_t port; /* 0: the system chooses, see listener_port */
    const char *unix_path;
    struct tls_context *tls; /* NULL: plaintext. A reference is taken */
    bool plaintext_too;      /* with tls: serve both on this port */
    /* on_headers of this handler sees every request first; x->data is handler_data. */
    const struct http_handler *handler;
    void *handler_data;
    struct http_limits limits; /* zeros: defaults */
    uint32_t connections_max;  /* 0: 10000; more are closed at once */
    uint32_t handshakes_max;   /* connections that have not finished a handshake: 0: 1000 */
    int backlog;               /* 0: 1024 */
    bool reuse_port;
    const struct listener_events *events; /* may be NULL */
    void *events_context;
};

/* Bind and listen. err says what could not be done with which address. */
struct listener *listener_open(struct wire_loop *wire, const struct listener_options *options,
                               struct err *err);
uint16_t listener_port(const struct listener *listener);
uint32_t listener_connection_count(const struct listener *listener);

/* Shutdown: stop accepting, send GOAWAY (HTTP/1.1: close after the running answer), close each
 * connection when its last exchange ends, all that is left after grace_ms. done runs from the loop
 * when nothing is left and the object is freed. */
void listener_close(struct listener *listener, uint32_t grace_ms, void (*done)(void *context),
                    void *context);

#endif
