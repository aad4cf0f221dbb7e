/* http1_session.h - HTTP/1.1 and 1.0 (RFC 9112) as a byte filter over http-parser.
 *
 * Server: keep-alive, chunked bodies both ways, Expect: 100-continue, HEAD, upgrade (hijack). One
 * exchange at a time; what a client pipelines waits unparsed until the answer is complete. Client:
 * one request after the other. */
#ifndef PROTO_HTTP1_SESSION_H
#define PROTO_HTTP1_SESSION_H

#include "base/err.h"
#include "proto/http2_session.h"
#include "proto/http_session.h"

struct http1_session;

struct http1_session *http1_session_new(const struct http_session_options *options);
void http1_session_free(struct http1_session *session, int reason);

/* As http2_session_receive; a malformed request is answered 400 before the close. */
MUST_USE int http1_session_receive(struct http1_session *session, struct bytes input,
                                   struct err *err);
/* The peer's stream has ended. 0: an answer is still being written. */
MUST_USE int http1_session_receive_end(struct http1_session *session, struct err *err);
MUST_USE int http1_session_send(struct http1_session *session, struct chain *out, size_t limit,
                                struct err *err);
/* False: stop reading from the socket until on_output is called. */
bool http1_session_wants_input(const struct http1_session *session);
bool http1_session_has_output(const struct http1_session *session);
bool http1_session_is_done(const struct http1_session *session);
uint32_t http1_session_exchange_count(const struct http1_session *session);
void http1_session_drain(struct http1_session *session);

/* Client: NULL while an exchange is open or after the connection's last one. The body is chunked
 * unless headers have content-length; GET, HEAD and DELETE without one have no body. */
struct http_exchange *http1_session_request(struct http1_session *session,
                                            const struct http2_request *request,
                                            const struct http_handler *handler, void *data);

#endif
