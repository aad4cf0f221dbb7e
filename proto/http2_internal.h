/* http2_internal.h - the HTTP/2 session's parts: http2_session.c (life, timers), http2_receive.c
 * (nghttp2's callbacks on what comes in), http2_send.c (frames out, exchange operations). */
#ifndef PROTO_HTTP2_INTERNAL_H
#define PROTO_HTTP2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "proto/http2_memory.h"
#include "proto/http2_session.h"

struct http2_session {
    struct http_session_options options;
    nghttp2_session *ng;
    struct http2_memory memory;
    struct http_exchange_pool pool;
    struct list lingering; /* exchanges answered before their request's end, oldest first */
    struct http_exchange *header_x; /* whose header section is being received */
    struct timer timer;

    /* During http2_session_send. */
    struct chain *sending;
    size_t sending_limit;

    uint64_t created_ms;
    uint64_t received_ms;     /* when bytes last came */
    uint64_t header_since_ms; /* a header section is being received; 0: none */
    uint64_t ping_sent_ms;    /* our keepalive ping is out; 0: none */
    uint64_t drain_since_ms;  /* the first GOAWAY is out; 0: none */

    /* The peer's pings, judged as grpc-go does. */
    uint64_t peer_ping_ms;
    uint32_t peer_ping_strikes;
    bool sent_since_ping;

    struct http_bucket resets;
    struct http_bucket frames;
    struct err failure; /* code 0: none */

    bool is_receiving;
    bool has_settings;
    bool has_peer_goaway;
    bool goaway_sent; /* the final one */
};

/* Counts a reset (RST_STREAM sent for the peer's fault); too many end the session. */
void http2_count_reset(struct http2_session *session);
/* End the session: GOAWAY with that code and text. The first failure counts. */
void http2_fail(struct http2_session *session, int code, uint32_t http2_code, const char *text);
/* Move the timer to the next thing that is due. */
void http2_arm(struct http2_session *session);
void http2_note_output(struct http2_session *session);
void http2_finish_drain(struct http2_session *session);
/* The answer is written in full, the request is not: its rest is awaited for a moment. */
void http2_await_end(struct http2_session *session, struct http_exchange *x);

/* Our pings tell themselves apart by the first byte. */
enum { HTTP2_PING_KEEPALIVE = 'k', HTTP2_PING_DRAIN = 'd' };
void http2_ping(struct http2_session *session, uint8_t kind);

void http2_set_receive_callbacks(nghttp2_session_callbacks *callbacks);
void http2_set_send_callbacks(nghttp2_session_callbacks *callbacks);
extern const struct http_exchange_ops http2_exchange_ops;

#endif
