/* http_exchange.h - one request and its answer, whatever HTTP version carries it.
 *
 * On a server the incoming message is the request and the outgoing one the response; on a client
 * the other way round. Life of an exchange, seen by its handler:
 *
 *     on_headers -> on_body* -> on_end -> on_close
 *
 * on_close comes exactly once after on_headers (on a client: in any case), may come at any point,
 * and is the last callback. Everything happens
 * on the thread of the connection's loop. Functions below may be called inside callbacks; what they
 * send leaves with the connection's next write, one for all exchanges of a loop iteration.
 *
 * The exchange is valid until on_close returns, longer only for who holds a reference. After the
 * close every function below is a harmless no-op, so a holder need not ask first. */
#ifndef PROTO_HTTP_EXCHANGE_H
#define PROTO_HTTP_EXCHANGE_H

#include "base/arena.h"
#include "base/blob.h"
#include "base/bytes.h"
#include "base/list.h"
#include "proto/chain.h"
#include "proto/http.h"
#include "proto/http2_validate.h"

struct http_exchange;

struct http_handler {
    /* Request line and fields, or the final (not 1xx) response's, are complete. The handler may
     * replace x->handler and x->data here, which is how a router hands on. */
    void (*on_headers)(struct http_exchange *x);
    /* Some of the incoming body, valid during the call. Whoever takes it says so with
     * http_exchange_consume, at once or later: until then the peer's window stays that much
     * smaller. NULL: the body is discarded and consumed. */
    void (*on_body)(struct http_exchange *x, struct bytes data);
    /* The incoming message is complete, x->trailers are set. May be NULL. */
    void (*on_end)(struct http_exchange *x);
    /* The queue fell from above HTTP_QUEUE_HIGH_BYTES to below half of it. May be NULL. */
    void (*on_writable)(struct http_exchange *x);
    /* 0: both messages are complete. ERR_CANCELLED: the peer reset the exchange. ERR_CLOSED: the
     * connection is gone. ERR_PROTOCOL: the peer broke the protocol. ERR_BUSY: refused before it
     * was worked on, may be tried again (REFUSED_STREAM, GOAWAY). ERR_TIMEOUT. May be NULL. */
    void (*on_close)(struct http_exchange *x, int reason);
};

enum { HTTP_QUEUE_HIGH_BYTES = 64 * 1024 };

enum http_reset {
    HTTP_RESET_NO_ERROR = 0, /* the answer is complete, the rest of the request is not wanted */
    HTTP_RESET_INTERNAL = 2,
    HTTP_RESET_REFUSED = 7,
    HTTP_RESET_CANCEL = 8,
    HTTP_RESET_ENHANCE_YOUR_CALM = 11,
};

struct http_exchange_ops;

/* Fields are for reading, except handler and data. */
struct http_exchange {
    const struct http_handler *handler; /* NULL: nobody listens any more */
    void *data;
    struct arena arena; /* dropped with the exchange; the handler may allocate in it */

    enum http_role role;
    uint8_t version;     /* 1 or 2 */
    struct bytes method; /* on both sides */
    struct bytes scheme;
    struct bytes authority;
    struct bytes path;            /* with the query; percent-encoded as it came */
    unsigned status;              /* client: of the response, 0 before */
    struct http_headers headers;  /* incoming, without the pseudo fields */
    struct http_headers trailers; /* incoming */

    /* Below: the sessions' own. */
    const struct http_exchange_ops *ops;
    void *session; /* NULL once closed */
    const struct http_peer *peer;
    struct list link;
    struct list linger; /* HTTP/2: answered, the request still comes */
    uint64_t answered_ms;
    uint32_t reference_count;
    int32_t stream_id;
    struct chain out;
    struct http_exchange_pool *pool; /* NULL once closed */
    size_t counted_bytes;            /* of out, in the pool's sum */
    struct http_headers out_trailers;
    struct http_headers extra;        /* of the answer, beside those given to respond */
    uint64_t body_bytes;              /* incoming, so far */
    struct http2_validator validator; /* HTTP/2 server */
    bool is_malformed;                /* HTTP/2 server: the fields break the protocol */
    uint32_t header_bytes;            /* of the section being read */
    uint32_t unconsumed_bytes;        /* given to on_body, not consumed yet */
    bool headers_sent;                /* the outgoing header section is under way */
    bool headers_received;
    bool out_finished; /* nothing will be added to out */
    bool in_ended;
    bool was_blocked; /* on_writable is due */
    bool is_parked;   /* HTTP/2: nghttp2 waits for nghttp2_session_resume_data */
    bool is_hijacked; /* HTTP/1.1: raw bytes both ways */
};

/* Server: a field for the answer, whoever makes it. Copied. Before it begins. */
void http_exchange_add_answer_header(struct http_exchange *x, const char *name, struct bytes value);
/* Server: begin the answer. Copies what is not HTTP_HEADER_STATIC. Once per exchange. */
void http_exchange_respond(struct http_exchange *x, unsigned status,
                           const struct http_header *headers, size_t count);
/* The same for an answer that is header fields only (no body, no trailers). */
void http_exchange_respond_alone(struct http_exchange *x, unsigned status,
                                 const struct http_header *headers, size_t count);
/* Add to the outgoing body: a copy, or a reference of its own to the blob. */
void http_exchange_send(struct http_exchange *x, struct bytes data);
void http_exchange_send_blob(struct http_exchange *x, struct blob *blob, size_t offset,
                             size_t size);
/* The outgoing message ends after what is queued. Trailers are copied; none on HTTP/1.1. */
void http_exchange_finish(struct http_exchange *x, const struct http_header *trailers,
                          size_t count);
/* Server: the whole answer in one call, with content-type and content-length. */
void http_exchange_reply(struct http_exchange *x, unsigned status, const char *content_type,
                         struct bytes body);
/* End both directions now; on_close follows later with ERR_CANCELLED. */
void http_exchange_reset(struct http_exchange *x, enum http_reset code);
/* size bytes given to on_body are dealt with. */
void http_exchange_consume(struct http_exchange *x, size_t size);
/* Bytes queued that the connection has not taken over. */
size_t http_exchange_queued_bytes(const struct http_exchange *x);
/* The same for all exchanges of its connection; 0 once closed. */
size_t http_exchange_connection_queued_bytes(const struct http_exchange *x);
bool http_exchange_is_open(const struct http_exchange *x);
/* HTTP/1.1 server: answer 101 with these fields; from now on bytes are raw both ways, on_end comes
 * at the end of the peer's stream, http_exchange_finish closes ours. ERR_UNSUPPORTED on HTTP/2 or
 * if the request did not ask for an upgrade. */
int http_exchange_hijack(struct http_exchange *x, const struct http_header *headers, size_t count)
    __attribute__((warn_unused_result));

struct http_exchange *http_exchange_ref(struct http_exchange *x);
void http_exchange_unref(struct http_exchange *x);

#endif
