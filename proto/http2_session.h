/* http2_session.h - HTTP/2 (RFC 9113), either side, as a byte filter over nghttp2: bytes in,
 * exchanges to the handler, bytes out. No sockets, no clock.
 *
 * nghttp2 is fed and drained from the two functions that the connection calls at the top of the
 * loop; what handlers do inside its callbacks is only ever submitted. */
#ifndef PROTO_HTTP2_SESSION_H
#define PROTO_HTTP2_SESSION_H

#include "base/err.h"
#include "proto/http_session.h"

struct http2_session;

struct http2_session *http2_session_new(const struct http_session_options *options);
/* Open exchanges are closed with this reason (ERR_CLOSED). Not inside a callback. */
void http2_session_free(struct http2_session *session, int reason);

/* Bytes from the peer. On a negative code the connection is to be closed once the output (a GOAWAY)
 * is written; ERR_PROTOCOL, or ERR_BUSY for a flood. */
MUST_USE int http2_session_receive(struct http2_session *session, struct bytes input,
                                   struct err *err);
/* Add frames to out until it holds limit bytes or nothing is left; negative: close at once. */
MUST_USE int http2_session_send(struct http2_session *session, struct chain *out, size_t limit,
                                struct err *err);
bool http2_session_has_output(const struct http2_session *session);
/* Both sides said good-bye and nothing is under way: close the connection. */
bool http2_session_is_done(const struct http2_session *session);
uint32_t http2_session_exchange_count(const struct http2_session *session);
/* The peer's SETTINGS have arrived. */
bool http2_session_is_established(const struct http2_session *session);
/* No new exchange can be made: a GOAWAY came, or drain was called. */
bool http2_session_is_draining(const struct http2_session *session);

/* Server: GOAWAY now, a last one when the peer has seen it; running exchanges end normally. */
void http2_session_drain(struct http2_session *session);

struct http2_request {
    struct bytes method;
    struct bytes scheme;
    struct bytes authority;
    struct bytes path;
    const struct http_header *headers;
    size_t header_count;
};

/* Client: a new exchange, its body open until http_exchange_finish. NULL if the session drains or
 * has used up its stream numbers. */
struct http_exchange *http2_session_request(struct http2_session *session,
                                            const struct http2_request *request,
                                            const struct http_handler *handler, void *data);

#endif
