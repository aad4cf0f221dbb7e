/* http1_internal.h - the HTTP/1.1 session's parts: http1_session.c (life, parsing), http1_send.c
 * (output, exchange operations). */
#ifndef PROTO_HTTP1_INTERNAL_H
#define PROTO_HTTP1_INTERNAL_H

#include <http_parser.h>

#include "proto/http1_session.h"

enum http1_framing {
    HTTP1_FRAMING_NONE,   /* no body follows the head */
    HTTP1_FRAMING_LENGTH, /* content-length: bytes as they come */
    HTTP1_FRAMING_CHUNKED,
    HTTP1_FRAMING_CLOSE, /* until the connection closes */
};

struct http1_session {
    struct http_session_options options;
    http_parser parser;
    struct http_exchange_pool pool;
    struct http_exchange *current; /* NULL between exchanges */
    struct buf unparsed;           /* came while the current answer was not complete */
    struct buf field;              /* header name being parsed */
    struct buf value;
    struct buf url;
    struct chain head; /* output that is not body */
    struct timer timer;
    uint64_t since_ms; /* of the header section being read, or of the idle time */
    enum http1_framing framing;
    bool value_begun;
    bool is_receiving;
    bool in_headers;  /* a header section has begun and is not complete */
    bool is_upgrade;  /* the current request asked for one */
    bool keep_alive;  /* the connection outlives the current exchange */
    bool is_draining; /* close after the current exchange */
    bool is_over;     /* no further exchange; close once written */
    bool has_end;     /* the peer's stream has ended */
    bool wants_abort; /* the current exchange was reset */
    unsigned refusal; /* status for what http-parser takes and we do not; 0: none */
};

enum { HTTP1_UNCONSUMED_MAX = 256 * 1024, HTTP1_UNPARSED_MAX = 64 * 1024 };

/* Begin a request: status and framing come from the handler through http1_exchange_ops. */
extern const struct http_exchange_ops http1_exchange_ops;
/* Parse what waits, as far as the current exchange allows. */
int http1_parse_waiting(struct http1_session *session, struct err *err);
void http1_close_current(struct http1_session *session, int reason);
void http1_note_output(struct http1_session *session);
/* An answer of the session itself, before or instead of the handler's. */
void http1_write_error(struct http1_session *session, unsigned status);
const char *http1_status_text(unsigned status);

#endif
