#include "proto/http1_session.h"

#include <ctype.h>
#include <strings.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/http1_internal.h"

static void on_timer(struct timer *timer);

static void init_parser(struct http1_session *session)
{
    http_parser_init(&session->parser,
                     session->options.role == HTTP_SERVER ? HTTP_REQUEST : HTTP_RESPONSE);
    session->parser.data = session;
}

static void arm(struct http1_session *session)
{
    const struct http_limits *limits = &session->options.limits;
    struct timers *timers = session->options.timers;
    if (session->options.role == HTTP_CLIENT ||
        (session->current != NULL && !session->in_headers)) {
        return; /* an answer takes the time it takes */
    }
    uint64_t at_ms = session->since_ms +
                     (session->in_headers ? limits->header_timeout_ms : limits->idle_timeout_ms);
    if (!timer_is_set(&session->timer) || session->timer.deadline_ms > at_ms) {
        timers_set(timers, &session->timer, at_ms);
    }
}

struct http1_session *http1_session_new(const struct http_session_options *options)
{
    struct http1_session *session = mem_zalloc(sizeof *session);
    session->options = *options;
    session->since_ms = options->timers->now_ms;
    http_exchange_pool_init(&session->pool);
    chain_init(&session->head);
    timer_init(&session->timer, on_timer);
    init_parser(session);
    arm(session);
    return session;
}

void http1_close_current(struct http1_session *session, int reason)
{
    struct http_exchange *x = TAKE_PTR(session->current);
    if (x != NULL) {
        http_exchange_close(&session->pool, x, reason);
    }
    session->since_ms = session->options.timers->now_ms;
    session->wants_abort = false;
    session->is_upgrade = false;
    arm(session);
}

void http1_session_free(struct http1_session *session, int reason)
{
    if (session == NULL) {
        return;
    }
    CHECK(!session->is_receiving);
    http1_close_current(session, reason);
    timers_clear(session->options.timers, &session->timer);
    http_exchange_pool_deinit(&session->pool);
    buf_deinit(&session->unparsed);
    buf_deinit(&session->field);
    buf_deinit(&session->value);
    buf_deinit(&session->url);
    chain_deinit(&session->head);
    mem_free(session);
}

static void on_timer(struct timer *timer)
{
    struct http1_session *session = container_of(timer, struct http1_session, timer);
    const struct http_limits *limits = &session->options.limits;
    uint64_t now_ms = session->options.timers->now_ms;
    bool is_waiting = session->current == NULL || session->in_headers;
    uint32_t limit_ms = session->in_headers ? limits->header_timeout_ms : limits->idle_timeout_ms;
    if (!is_waiting || now_ms < session->since_ms + limit_ms) {
        arm(session);
        return;
    }
    if (session->in_headers) {
        http1_write_error(session, 408);
    }
    session->options.on_dead(
        session->options.context, session->in_headers ? ERR_TIMEOUT : 0,
        session->in_headers ? "header section not complete within the time limit" : "idle");
}

/* Parser callbacks. */

static int on_message_begin(http_parser *parser)
{
    struct http1_session *session = parser->data;
    session->in_headers = true;
    session->refusal = 0;
    session->since_ms = session->options.timers->now_ms;
    buf_clear(&session->url);
    buf_clear(&session->field);
    buf_clear(&session->value);
    session->value_begun = false;
    if (session->options.role == HTTP_SERVER) {
        CHECK(session->current == NULL);
        session->current =
            http_exchange_open(&session->pool, &session->options, &http1_exchange_ops, session);
        session->current->version = 1;
    } else if (session->current == NULL) {
        return 1; /* an answer to no request */
    }
    return 0;
}

static bool refuse(struct http1_session *session, unsigned status)
{
    session->refusal = session->refusal == 0 ? status : session->refusal;
    return false;
}

static bool count_header_bytes(struct http1_session *session, size_t size)
{
    struct http_exchange *x = session->current;
    uint32_t left = session->options.limits.header_list_bytes_max - x->header_bytes;
    if (session->refusal != 0 || size > left) {
        return refuse(session, 431);
    }
    x->header_bytes += (uint32_t)size;
    return true;
}

static int on_url(http_parser *parser, const char *data, size_t size)
{
    struct http1_session *session = parser->data;
    if (!count_header_bytes(session, size)) {
        return 1;
    }
    buf_append(&session->url, data, size);
    return 0;
}

/* The field whose value has ended. */
static bool add_field(struct http1_session *session)
{
    if (!session->value_begun) {
        return true;
    }
    struct http_exchange *x = session->current;
    struct http_headers *headers = x->headers_received ? &x->trailers : &x->headers;
    for (size_t i = 0; i < buf_size(&session->field); i++) {
        uint8_t *letter = &session->field.data[session->field.start + i];
        if (*letter <= ' ') { /* "Name : value" has fooled proxies (RFC 9112 section 5.1) */
            return refuse(session, 400);
        }
        *letter = (uint8_t)tolower(*letter);
    }
    bool fits = count_header_bytes(session, 32) &&
                http_exchange_add_header(x, headers, &session->options.limits,
                                         buf_bytes(&session->field), buf_bytes(&session->value));
    buf_clear(&session->field);
    buf_clear(&session->value);
    session->value_begun = false;
    return fits || refuse(session, 431);
}

static int on_header_field(http_parser *parser, const char *data, size_t size)
{
    struct http1_session *session = parser->data;
    if (!add_field(session) || !count_header_bytes(session, size)) {
        return 1;
    }
    buf_append(&session->field, data, size);
    return 0;
}

static int on_header_value(http_parser *parser, const char *data, size_t size)
{
    struct http1_session *session = parser->data;
    if (!count_header_bytes(session, size)) {
        return 1;
    }
    session->value_begun = true;
    buf_append(&session->value, data, size);
    return 0;
}

/* "http://host/path" (a proxy's form) is cut to its path. */
static struct bytes path_of(struct http_exchange *x, struct bytes url)
{
    struct bytes scheme_end = BYTES_LITERAL("://");
    const uint8_t *found = url.size == 0 || url.data[0] == '/'
                               ? NULL
                               : memmem(url.data, url.size, scheme_end.data, scheme_end.size);
    if (found != NULL) {
        const uint8_t *end = url.data + url.size;
        const uint8_t *host = found + scheme_end.size;
        const uint8_t *slash = memchr(host, '/', (size_t)(end - host));
        url = slash == NULL ? BYTES_LITERAL("/") : bytes_make(slash, (size_t)(end - slash));
    }
    return bytes_make(arena_dup(&x->arena, url.data, url.size), url.size);
}

static void fill_request(struct http1_session *session, struct http_exchange *x)
{
    x->method = bytes_from_text(http_method_str((enum http_method)session->parser.method));
    x->path = path_of(x, buf_bytes(&session->url));
    x->authority = http_headers_value(&x->headers, "host");
    x->scheme = session->options.peer != NULL && session->options.peer->is_tls
                    ? BYTES_LITERAL("https")
                    : BYTES_LITERAL("http");
}

static void answer_expectation(struct http1_session *session, const struct http_exchange *x)
{
    struct bytes expect = http_headers_value(&x->headers, "expect");
    if (expect.size == 12 && strncasecmp((const char *)expect.data, "100-continue", 12) == 0 &&
        !x->headers_sent) {
        chain_append(&session->head, BYTES_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
        http1_note_output(session);
    }
}

static int on_headers_complete(http_parser *parser)
{
    struct http1_session *session = parser->data;
    if (!add_field(session)) {
        return -1;
    }
    struct http_exchange *x = session->current;
    session->keep_alive = http_should_keep_alive(parser) != 0;
    bool is_head = bytes_equal(x->method, BYTES_LITERAL("HEAD"));
    if (session->options.role == HTTP_CLIENT) {
        x->status = parser->status_code;
        if (x->status < 200 && x->status != 101) {
            x->headers.count = 0;
            x->header_bytes = 0;
            return 0;
        }
        session->in_headers = false;
        http_exchange_receive_headers(x);
        return is_head ? 1 : 0;
    }
    fill_request(session, x);
    bool has_host = x->authority.data != NULL || parser->http_minor == 0;
    if (parser->http_major != 1 || !has_host) {
        (void)refuse(session, parser->http_major != 1 ? 505 : 400);
        return -1;
    }
    session->in_headers = false;
    session->is_upgrade = parser->upgrade != 0;
    http_exchange_receive_headers(x);
    answer_expectation(session, x);
    return x->is_hijacked ? 2 : 0;
}

static int on_body(http_parser *parser, const char *data, size_t size)
{
    struct http1_session *session = parser->data;
    if (session->current != NULL) {
        http_exchange_receive(session->current, bytes_make(data, size));
    }
    return 0;
}

static int on_message_complete(http_parser *parser)
{
    struct http1_session *session = parser->data;
    struct http_exchange *x = session->current;
    bool is_informational =
        session->options.role == HTTP_CLIENT && x->status < 200 && x->status != 101;
    if (is_informational) {
        return 0;
    }
    (void)add_field(session); /* a trailer; too many are dropped */
    session->value_begun = false;
    http_parser_pause(parser, 1);
    if (!x->is_hijacked) {
        http_exchange_receive_end(x);
    }
    if (session->options.role == HTTP_CLIENT) {
        http1_note_output(session);
    }
    return 0;
}

static http_parser_settings parser_settings(void)
{
    return (http_parser_settings){.on_message_begin = on_message_begin,
                                  .on_url = on_url,
                                  .on_header_field = on_header_field,
                                  .on_header_value = on_header_value,
                                  .on_headers_complete = on_headers_complete,
                                  .on_body = on_body,
                                  .on_message_complete = on_message_complete};
}

/* May the parser go on, or does the next message wait for the end of this answer? */
static bool can_parse(const struct http1_session *session)
{
    return !session->is_over && (session->current == NULL ||
                                 (!session->current->in_ended && !session->current->is_hijacked));
}

static int parse_error(struct http1_session *session, struct err *err)
{
    enum http_errno code = HTTP_PARSER_ERRNO(&session->parser);
    bool is_ours = session->refusal != 0;
    unsigned status = is_ours ? session->refusal : code == HPE_HEADER_OVERFLOW ? 431 : 400;
    http1_write_error(session, status);
    session->is_over = true;
    return err_set(err, ERR_PROTOCOL, "HTTP/1.1: %s",
                   is_ours ? http1_status_text(status) : http_errno_description(code));
}

/* Parse input up to the end of one message; *input is what is left. */
static int parse(struct http1_session *session, struct bytes *input, struct err *err)
{
    http_parser_settings settings = parser_settings();
    size_t used =
        http_parser_execute(&session->parser, &settings, (const char *)input->data, input->size);
    enum http_errno code = HTTP_PARSER_ERRNO(&session->parser);
    if (code == HPE_PAUSED) {
        /* By on_message_complete, after the message's last byte. */
        http_parser_pause(&session->parser, 0);
    } else if (code != HPE_OK) {
        return parse_error(session, err);
    }
    input->data += used;
    input->size -= used;
    return 0;
}

static int take_in(struct http1_session *session, struct bytes *input, struct err *err)
{
    while (input->size > 0) {
        struct http_exchange *x = session->current;
        if (x != NULL && x->is_hijacked) {
            struct bytes raw = *input;
            *input = bytes_make(NULL, 0);
            http_exchange_receive(x, raw);
            return 0;
        }
        if (!can_parse(session)) {
            return 0;
        }
        int rv = parse(session, input, err);
        if (rv < 0) {
            return rv;
        }
    }
    return 0;
}

int http1_session_receive(struct http1_session *session, struct bytes input, struct err *err)
{
    CHECK(!session->is_receiving);
    if (session->is_over) {
        return 0;
    }
    if (buf_size(&session->unparsed) > 0) {
        buf_append_bytes(&session->unparsed, input);
        return http1_parse_waiting(session, err);
    }
    session->is_receiving = true;
    int rv = take_in(session, &input, err);
    session->is_receiving = false;
    buf_append_bytes(&session->unparsed, input);
    arm(session);
    return rv;
}

int http1_parse_waiting(struct http1_session *session, struct err *err)
{
    struct buf waiting = session->unparsed;
    buf_init(&session->unparsed);
    struct bytes input = buf_bytes(&waiting);
    session->is_receiving = true;
    int rv = take_in(session, &input, err);
    session->is_receiving = false;
    buf_append_bytes(&session->unparsed, input);
    buf_deinit(&waiting);
    arm(session);
    return rv;
}

int http1_session_receive_end(struct http1_session *session, struct err *err)
{
    session->has_end = true;
    struct http_exchange *x = session->current;
    if (x == NULL) {
        return err_set(err, ERR_CLOSED, "connection closed by the peer");
    }
    if (x->is_hijacked) {
        http_exchange_receive_end(x);
        return 0;
    }
    if (session->options.role == HTTP_CLIENT && !x->in_ended) {
        http_parser_settings settings = parser_settings();
        session->is_receiving = true;
        (void)http_parser_execute(&session->parser, &settings, NULL, 0);
        session->is_receiving = false;
    }
    if (!x->in_ended) {
        return err_set(err, ERR_CLOSED, "connection closed in the middle of a message");
    }
    session->keep_alive = false;
    return 0;
}

bool http1_session_wants_input(const struct http1_session *session)
{
    const struct http_exchange *x = session->current;
    return buf_size(&session->unparsed) < HTTP1_UNPARSED_MAX &&
           (x == NULL || x->unconsumed_bytes < HTTP1_UNCONSUMED_MAX);
}

uint32_t http1_session_exchange_count(const struct http1_session *session)
{
    return session->pool.open_count;
}

void http1_session_drain(struct http1_session *session)
{
    session->is_draining = true;
    if (session->current == NULL) {
        session->is_over = true;
    }
    http1_note_output(session);
}
