/* http_session.h - between http_exchange.h and the two sessions that implement it. Not for users.
 */
#ifndef PROTO_HTTP_SESSION_H
#define PROTO_HTTP_SESSION_H

#include "proto/http_exchange.h"
#include "proto/timers.h"

/* What a session does for an open exchange. */
struct http_exchange_ops {
    /* ends: the headers are the whole message. */
    void (*respond)(struct http_exchange *x, unsigned status, const struct http_header *headers,
                    size_t count, bool ends);
    void (*output)(struct http_exchange *x); /* out, out_finished or out_trailers changed */
    void (*consume)(struct http_exchange *x, size_t size);
    void (*reset)(struct http_exchange *x, enum http_reset code);
    int (*hijack)(struct http_exchange *x, const struct http_header *headers, size_t count);
};

/* What owns a session (a connection) and what the session tells it. */
struct http_session_options {
    enum http_role role;
    struct http_limits limits;          /* complete: http_limits_set_defaults */
    const struct http_handler *handler; /* server: of new exchanges */
    void *handler_data;
    const struct http_peer *peer; /* outlives the session */
    struct timers *timers;
    /* There is something to send: call the session's send before the loop sleeps. */
    void (*on_output)(void *context);
    /* From a timer: the connection is to be closed. Not called from within receive or send. */
    void (*on_dead)(void *context, int code, const char *reason);
    void *context;
};

/* Exchanges of one session, and the memory of some that ended. */
struct http_exchange_pool {
    struct list open;
    struct list spare;
    uint32_t open_count;
    uint32_t spare_count;
    size_t queued_bytes; /* of all open ones */
};

void http_exchange_pool_init(struct http_exchange_pool *pool);
void http_exchange_pool_deinit(struct http_exchange_pool *pool); /* open ones are closed before */
struct http_exchange *http_exchange_open(struct http_exchange_pool *pool,
                                         const struct http_session_options *options,
                                         const struct http_exchange_ops *ops, void *session);
/* Tells the handler and drops the session's reference. */
void http_exchange_close(struct http_exchange_pool *pool, struct http_exchange *x, int reason);
/* Incoming body: to the handler, or consumed if there is none. */
void http_exchange_receive(struct http_exchange *x, struct bytes data);
void http_exchange_receive_headers(struct http_exchange *x);
void http_exchange_receive_end(struct http_exchange *x);
/* Bytes were appended to x->out, which is open, without http_exchange_send. */
void http_exchange_note_output(struct http_exchange *x);
/* The connection took bytes out of x->out: tell the handler if it waits for that. */
void http_exchange_taken(struct http_exchange *x);
/* Append a copy (in the arena) of a header field, false if over the limits. */
bool http_exchange_add_header(struct http_exchange *x, struct http_headers *headers,
                              const struct http_limits *limits, struct bytes name,
                              struct bytes value);

/* A token bucket for floods. */
struct http_bucket {
    uint64_t tokens_milli;
    uint64_t filled_ms;
};

/* Take one token; false when it is empty. A bucket of zeros starts full at its first use. */
bool http_bucket_take(struct http_bucket *bucket, uint32_t burst, uint32_t per_s, uint64_t now_ms);

#endif
