#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/http1_internal.h"

enum { CHUNK_BYTES_MAX = 64 * 1024 };

void http1_note_output(struct http1_session *session)
{
    session->options.on_output(session->options.context);
}

const char *http1_status_text(unsigned status)
{
    switch (status) {
#define XX(number, name, text)                                                                     \
    case number:                                                                                   \
        return #text;
        HTTP_STATUS_MAP(XX)
#undef XX
    default:
        return "Unknown";
    }
}

static void write_text(struct http1_session *session, const char *text)
{
    chain_append(&session->head, bytes_from_text(text));
}

static void write_headers(struct http1_session *session, const struct http_header *headers,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        chain_append(&session->head, headers[i].name);
        write_text(session, ": ");
        chain_append(&session->head, headers[i].value);
        write_text(session, "\r\n");
    }
}

static bool has_header(const struct http_header *headers, size_t count, const char *name)
{
    const struct http_headers all = {.items = (struct http_header *)(uintptr_t)headers,
                                     .count = (uint32_t)count};
    return http_headers_find(&all, name) != NULL;
}

static void write_status_line(struct http1_session *session, unsigned status)
{
    char line[80];
    int size = snprintf(line, sizeof line, "HTTP/1.1 %u %s\r\n", status, http1_status_text(status));
    CHECK(size > 0 && (size_t)size < sizeof line);
    write_text(session, line);
}

void http1_write_error(struct http1_session *session, unsigned status)
{
    const struct http_exchange *x = session->current;
    if (session->options.role != HTTP_SERVER || (x != NULL && x->headers_sent)) {
        return;
    }
    write_status_line(session, status);
    write_text(session, "content-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n");
    char body[80];
    (void)snprintf(body, sizeof body, "%u %s\n", status, http1_status_text(status));
    write_text(session, body);
}

static enum http1_framing response_framing(const struct http1_session *session,
                                           const struct http_exchange *x, unsigned status,
                                           const struct http_header *headers, size_t count,
                                           bool ends)
{
    if (ends || status == 204 || status == 304 || bytes_equal(x->method, BYTES_LITERAL("HEAD"))) {
        return HTTP1_FRAMING_NONE;
    }
    if (has_header(headers, count, "content-length")) {
        return HTTP1_FRAMING_LENGTH;
    }
    return session->parser.http_major == 1 && session->parser.http_minor >= 1
               ? HTTP1_FRAMING_CHUNKED
               : HTTP1_FRAMING_CLOSE;
}

static void respond(struct http_exchange *x, unsigned status, const struct http_header *headers,
                    size_t count, bool ends)
{
    struct http1_session *session = x->session;
    session->framing = response_framing(session, x, status, headers, count, ends);
    if (session->framing == HTTP1_FRAMING_CLOSE || session->is_draining || session->is_over) {
        session->keep_alive = false;
    }
    write_status_line(session, status);
    write_headers(session, headers, count);
    bool has_length = has_header(headers, count, "content-length");
    if (ends && !has_length && status >= 200 && status != 204 && status != 304) {
        write_text(session, "content-length: 0\r\n");
    }
    if (session->framing == HTTP1_FRAMING_CHUNKED) {
        write_text(session, "transfer-encoding: chunked\r\n");
    }
    if (!session->keep_alive) {
        write_text(session, "connection: close\r\n");
    } else if (session->parser.http_minor == 0) {
        write_text(session, "connection: keep-alive\r\n");
    }
    write_text(session, "\r\n");
    http1_note_output(session);
}

static void output(struct http_exchange *x)
{
    http1_note_output(x->session);
}

static void consume(struct http_exchange *x, size_t size)
{
    struct http1_session *session = x->session;
    bool was_full = x->unconsumed_bytes + size >= HTTP1_UNCONSUMED_MAX;
    if (was_full && !session->is_receiving) {
        http1_note_output(session); /* reading may go on */
    }
}

static void reset(struct http_exchange *x, enum http_reset code)
{
    (void)code;
    struct http1_session *session = x->session;
    session->wants_abort = true;
    http1_note_output(session);
}

static int hijack(struct http_exchange *x, const struct http_header *headers, size_t count)
{
    struct http1_session *session = x->session;
    if (session->options.role != HTTP_SERVER || !session->is_upgrade) {
        return ERR_UNSUPPORTED;
    }
    x->is_hijacked = true;
    x->headers_sent = true;
    x->in_ended = false;
    session->framing = HTTP1_FRAMING_CLOSE;
    session->keep_alive = false;
    write_status_line(session, 101);
    write_headers(session, headers, count);
    write_text(session, "connection: Upgrade\r\n\r\n");
    http1_note_output(session);
    return 0;
}

const struct http_exchange_ops http1_exchange_ops = {
    .respond = respond,
    .output = output,
    .consume = consume,
    .reset = reset,
    .hijack = hijack,
};

struct http_exchange *http1_session_request(struct http1_session *session,
                                            const struct http2_request *request,
                                            const struct http_handler *handler, void *data)
{
    CHECK(session->options.role == HTTP_CLIENT);
    if (session->current != NULL || session->is_over) {
        return NULL;
    }
    struct http_exchange *x =
        http_exchange_open(&session->pool, &session->options, &http1_exchange_ops, session);
    session->current = x;
    x->handler = handler;
    x->data = data;
    x->version = 1;
    x->headers_sent = true;
    x->method = bytes_make(arena_dup(&x->arena, request->method.data, request->method.size),
                           request->method.size);
    const struct http_header *headers = request->headers;
    size_t count = request->header_count;
    bool has_length = has_header(headers, count, "content-length");
    bool is_bodiless = bytes_equal(x->method, BYTES_LITERAL("GET")) ||
                       bytes_equal(x->method, BYTES_LITERAL("HEAD")) ||
                       bytes_equal(x->method, BYTES_LITERAL("DELETE"));
    session->framing = has_length    ? HTTP1_FRAMING_LENGTH
                       : is_bodiless ? HTTP1_FRAMING_NONE
                                     : HTTP1_FRAMING_CHUNKED;
    chain_append(&session->head, request->method);
    write_text(session, " ");
    chain_append(&session->head, request->path);
    write_text(session, " HTTP/1.1\r\nhost: ");
    chain_append(&session->head, request->authority);
    write_text(session, "\r\n");
    write_headers(session, headers, count);
    write_text(session, session->framing == HTTP1_FRAMING_CHUNKED
                            ? "transfer-encoding: chunked\r\n\r\n"
                            : "\r\n");
    http1_note_output(session);
    return x;
}

static void send_body(struct http1_session *session, struct http_exchange *x, struct chain *out,
                      size_t limit)
{
    while (x->out.size > 0 && out->size < limit) {
        size_t size = x->out.size < CHUNK_BYTES_MAX ? x->out.size : (size_t)CHUNK_BYTES_MAX;
        if (session->framing == HTTP1_FRAMING_NONE) {
            chain_consume(&x->out, size); /* a body where none may be, as for HEAD */
            continue;
        }
        char line[24];
        if (session->framing == HTTP1_FRAMING_CHUNKED) {
            int length = snprintf(line, sizeof line, "%zx\r\n", size);
            chain_append(out, bytes_make(line, (size_t)length));
        }
        chain_move(out, &x->out, size);
        if (session->framing == HTTP1_FRAMING_CHUNKED) {
            chain_append(out, BYTES_LITERAL("\r\n"));
        }
    }
    http_exchange_taken(x);
}

/* The outgoing message is written in full. */
static bool end_output(struct http1_session *session, struct http_exchange *x, struct chain *out)
{
    if (!x->out_finished || !x->headers_sent || x->out.size > 0) {
        return false;
    }
    if (session->framing == HTTP1_FRAMING_CHUNKED) {
        chain_append(out, BYTES_LITERAL("0\r\n\r\n"));
        session->framing = HTTP1_FRAMING_NONE;
    }
    if (session->options.role == HTTP_CLIENT && !x->in_ended) {
        return false; /* the answer is still coming */
    }
    return true;
}

/* true: another exchange may have begun. */
static bool finish_current(struct http1_session *session, struct err *err, int *rv)
{
    bool is_complete = session->current->in_ended;
    http1_close_current(session, 0);
    if (!session->keep_alive || !is_complete || session->is_draining) {
        session->is_over = true;
        return false;
    }
    *rv = http1_parse_waiting(session, err);
    return *rv == 0 && session->current != NULL;
}

int http1_session_send(struct http1_session *session, struct chain *out, size_t limit,
                       struct err *err)
{
    CHECK(!session->is_receiving);
    bool again = true;
    int rv = 0;
    while (again) {
        again = false;
        chain_move(out, &session->head, session->head.size);
        struct http_exchange *x = session->current;
        if (x == NULL) {
            break;
        }
        if (session->wants_abort) {
            session->is_over = true;
            http1_close_current(session, ERR_CANCELLED);
            break;
        }
        if (x->is_hijacked && buf_size(&session->unparsed) > 0) {
            rv = http1_parse_waiting(session, err);
        }
        if (x->headers_sent) {
            send_body(session, x, out, limit);
        }
        if (end_output(session, x, out)) {
            again = finish_current(session, err, &rv);
        }
    }
    chain_move(out, &session->head, session->head.size);
    /* A malformed next request is answered already; the connection ends when that is written. */
    return rv < 0 ? 0 : rv;
}

bool http1_session_has_output(const struct http1_session *session)
{
    const struct http_exchange *x = session->current;
    return session->head.size > 0 || session->wants_abort ||
           (x != NULL && x->headers_sent && (x->out.size > 0 || x->out_finished));
}

bool http1_session_is_done(const struct http1_session *session)
{
    return session->is_over && session->head.size == 0 && session->current == NULL;
}
