/* connection.h - the filters of one connection, stacked: TLS (or not), then HTTP/2 or HTTP/1.1,
 * chosen by ALPN or by the first bytes. Bytes in, bytes out; sockets are the transport's. */
#ifndef PROTO_CONNECTION_H
#define PROTO_CONNECTION_H

#include "base/err.h"
#include "proto/http2_session.h"
#include "proto/tls.h"

struct connection;

struct connection_options {
    struct http_session_options http; /* peer is not used: see address */
    struct tls_context *tls;          /* NULL: plaintext; a reference is taken */
    const char *tls_name;             /* client: see tls_session_new */
    bool plaintext_too;               /* server: without TLS, too, told apart by the first byte */
    const char *address;              /* of the peer, for http_peer; copied */
    /* Client: TLS and the peer's SETTINGS are done, requests flow. May be NULL. */
    void (*on_established)(void *context);
};

/* A client's connection speaks HTTP/2; its first bytes are output at once. NULL if TLS could not
 * be set up. */
struct connection *connection_new(const struct connection_options *options, struct err *err);
void connection_free(struct connection *connection, int reason);

/* On a negative code: write what connection_send still gives, then close. ERR_CLOSED is a normal
 * end (TLS close_notify). */
MUST_USE int connection_receive(struct connection *connection, struct bytes input, struct err *err);
/* The peer will send no more (end of file): 0 if running answers may still be written. */
MUST_USE int connection_receive_end(struct connection *connection, struct err *err);
/* Bytes for the wire until out holds about limit. Negative: close at once. */
MUST_USE int connection_send(struct connection *connection, struct chain *out, size_t limit,
                             struct err *err);
/* False: stop reading from the socket until on_output is called. */
bool connection_wants_input(const struct connection *connection);
bool connection_has_output(const struct connection *connection);
bool connection_is_done(const struct connection *connection);
/* Handshake and choice of protocol are over. */
bool connection_is_established(const struct connection *connection);
uint32_t connection_exchange_count(const struct connection *connection);
void connection_drain(struct connection *connection);
/* The client's HTTP/2 session, to make requests on; NULL before TLS is done. */
struct http2_session *connection_http2(struct connection *connection);
const struct http_peer *connection_peer(const struct connection *connection);

#endif
