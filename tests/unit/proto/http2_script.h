/* http2_script.h - a server session and hand-made frames, for tests that need more than a well-bred
 * client. */
#ifndef TESTS_UNIT_PROTO_HTTP2_SCRIPT_H
#define TESTS_UNIT_PROTO_HTTP2_SCRIPT_H

#include "base/buf.h"
#include "proto/http2_session.h"

enum frame_type {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
    FRAME_TYPE_COUNT,
};

enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

/* What the session's output says. */
struct seen {
    unsigned frames[FRAME_TYPE_COUNT];
    unsigned acks;
    uint32_t goaway_code;
    uint32_t goaway_last_stream;
    char goaway_text[100];
    uint32_t reset_code; /* of the last RST_STREAM */
    uint32_t reset_stream;
    uint64_t window_connection; /* sums of WINDOW_UPDATE */
    uint64_t window_stream;
    size_t data_bytes;
    unsigned ended_streams;
};

struct script {
    struct timers timers;
    struct http2_session *session;
    struct chain out;
    struct buf in; /* frames being put together */
    struct err err;
    int rv;        /* of the last receive */
    int dead_code; /* told by on_dead */
    char dead_text[200];
    unsigned wakes; /* on_output */
    /* The handler. */
    unsigned request_count;
    unsigned end_count;
    unsigned close_count;
    int close_reason;
    size_t body_bytes;
    size_t answer_bytes; /* the answer's body; 0: no answer is given */
    bool hoards;         /* body is not consumed */
    struct http_exchange *last;
};

void script_open(struct script *script, const struct http_limits *limits);
void script_close(struct script *script);
/* Preface and empty SETTINGS, taken in. */
void script_greet(struct script *script);

void script_preface(struct script *script);
void script_frame(struct script *script, enum frame_type type, uint8_t flags, uint32_t stream,
                  const void *payload, size_t size);
/* HEADERS of "POST /echo" with END_HEADERS. */
void script_request(struct script *script, uint32_t stream, bool ends);
/* Field blocks, in script->in's style: literals without indexing. */
void script_literal(struct buf *block, const char *name, const char *value);
void script_request_block(struct buf *block);
void script_u32_frame(struct script *script, enum frame_type type, uint32_t stream, uint32_t value);

/* Feed what was put together; false: the session failed (script->err). */
bool script_feed(struct script *script);
bool script_feed_by(struct script *script, size_t step);
/* Drain all output. */
struct seen script_drain(struct script *script);
void script_wait(struct script *script, uint64_t ms);

#endif
