#include "proto/http2_session.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/http2_internal.h"

enum { MAX_SETTINGS_PER_FRAME = 32, MAX_CONTINUATIONS = 8, MAX_OUTBOUND_ACKS = 1000 };
enum { DRAIN_PING_MS = 1000, AWAIT_END_MS = 1000 };

static nghttp2_session *make_nghttp2(struct http2_session *session)
{
    const struct http_limits *limits = &session->options.limits;
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    nghttp2_session *ng = NULL;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    CHECK(nghttp2_option_new(&option) == 0);
    http2_set_receive_callbacks(callbacks);
    http2_set_send_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, MAX_OUTBOUND_ACKS);
    nghttp2_option_set_max_settings(option, MAX_SETTINGS_PER_FRAME);
    nghttp2_option_set_max_continuations(option, MAX_CONTINUATIONS);
    nghttp2_option_set_stream_reset_rate_limit(option, limits->resets_burst, limits->resets_per_s);
    bool is_server = session->options.role == HTTP_SERVER;
    nghttp2_option_set_no_http_messaging(option, is_server); /* proto/http2_validate.h does it */
    nghttp2_mem memory = http2_memory_functions(&session->memory);
    int rv = is_server ? nghttp2_session_server_new3(&ng, callbacks, session, option, &memory)
                       : nghttp2_session_client_new3(&ng, callbacks, session, option, &memory);
    CHECK(rv == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return ng;
}

static void submit_settings(struct http2_session *session)
{
    const struct http_limits *limits = &session->options.limits;
    bool is_server = session->options.role == HTTP_SERVER;
    nghttp2_settings_entry entries[5];
    size_t count = 0;
    if (is_server) {
        entries[count++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                                    limits->concurrent_streams_max};
        /* Priorities of RFC 7540 cost a tree per connection and nobody here uses them. */
        entries[count++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1};
    } else {
        entries[count++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    }
    entries[count++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->stream_window_bytes};
    entries[count++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                                                limits->header_list_bytes_max};
    CHECK(nghttp2_submit_settings(session->ng, NGHTTP2_FLAG_NONE, entries, count) == 0);
    CHECK(nghttp2_session_set_local_window_size(session->ng, NGHTTP2_FLAG_NONE, 0,
                                                (int32_t)limits->connection_window_bytes) == 0);
}

static void on_timer(struct timer *timer);

struct http2_session *http2_session_new(const struct http_session_options *options)
{
    CHECK(options->limits.stream_window_bytes <= INT32_MAX);
    CHECK(options->limits.connection_window_bytes <= INT32_MAX);
    struct http2_session *session = mem_zalloc(sizeof *session);
    session->options = *options;
    http_exchange_pool_init(&session->pool);
    list_init(&session->lingering);
    timer_init(&session->timer, on_timer);
    session->created_ms = options->timers->now_ms;
    session->received_ms = session->created_ms;
    session->ng = make_nghttp2(session);
    submit_settings(session);
    http2_arm(session);
    return session;
}

void http2_session_free(struct http2_session *session, int reason)
{
    if (session == NULL) {
        return;
    }
    CHECK(!session->is_receiving && session->sending == NULL);
    while (!list_is_empty(&session->pool.open)) {
        struct http_exchange *x = container_of(session->pool.open.next, struct http_exchange, link);
        http_exchange_close(&session->pool, x, reason);
    }
    timers_clear(session->options.timers, &session->timer);
    nghttp2_session_del(session->ng);
    http2_memory_deinit(&session->memory);
    http_exchange_pool_deinit(&session->pool);
    mem_free(session);
}

int http2_session_receive(struct http2_session *session, struct bytes input, struct err *err)
{
    CHECK(!session->is_receiving);
    if (session->failure.code != 0) {
        return err_set(err, session->failure.code, "%s", session->failure.text);
    }
    session->received_ms = session->options.timers->now_ms;
    session->ping_sent_ms = 0;
    session->is_receiving = true;
    ssize_t used = nghttp2_session_mem_recv(session->ng, input.data, input.size);
    session->is_receiving = false;
    if (session->failure.code != 0) {
        return err_set(err, session->failure.code, "%s", session->failure.text);
    }
    if (used == NGHTTP2_ERR_FLOODED) {
        http2_fail(session, ERR_BUSY, NGHTTP2_ENHANCE_YOUR_CALM, "flood of HTTP/2 frames");
        return err_set(err, ERR_BUSY, "flood of HTTP/2 frames");
    }
    if (used < 0) {
        return err_set(err, ERR_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)used));
    }
    if (session->header_since_ms != 0 || !timer_is_set(&session->timer)) {
        http2_arm(session);
    }
    return 0;
}

void http2_fail(struct http2_session *session, int code, uint32_t http2_code, const char *text)
{
    if (session->failure.code != 0) {
        return;
    }
    (void)err_set(&session->failure, code, "%s", text);
    int32_t last = nghttp2_session_get_last_proc_stream_id(session->ng);
    /* It can only fail for want of memory or after an earlier GOAWAY; the connection ends anyway.
     */
    (void)nghttp2_submit_goaway(session->ng, NGHTTP2_FLAG_NONE, last, http2_code,
                                (const uint8_t *)text, strlen(text));
    session->goaway_sent = true;
    http2_note_output(session);
}

void http2_count_reset(struct http2_session *session)
{
    const struct http_limits *limits = &session->options.limits;
    if (!http_bucket_take(&session->resets, limits->resets_burst, limits->resets_per_s,
                          session->options.timers->now_ms)) {
        http2_fail(session, ERR_BUSY, NGHTTP2_ENHANCE_YOUR_CALM, "too many stream errors");
    }
}

void http2_note_output(struct http2_session *session)
{
    if (session->sending == NULL) {
        session->options.on_output(session->options.context);
    }
}

void http2_ping(struct http2_session *session, uint8_t kind)
{
    const uint8_t payload[8] = {kind};
    CHECK(nghttp2_submit_ping(session->ng, NGHTTP2_FLAG_NONE, payload) == 0);
    http2_note_output(session);
}

void http2_session_drain(struct http2_session *session)
{
    if (session->drain_since_ms != 0 || session->goaway_sent) {
        return;
    }
    CHECK(session->options.role == HTTP_SERVER);
    uint64_t now_ms = session->options.timers->now_ms;
    session->drain_since_ms = now_ms == 0 ? 1 : now_ms;
    /* "No new streams soon": requests that are on their way are still taken until the peer answers
     * the ping, so that none is lost without need. */
    (void)nghttp2_submit_shutdown_notice(session->ng);
    http2_ping(session, HTTP2_PING_DRAIN);
    http2_arm(session);
}

void http2_finish_drain(struct http2_session *session)
{
    if (session->drain_since_ms == 0 || session->goaway_sent) {
        return;
    }
    session->goaway_sent = true;
    (void)nghttp2_submit_goaway(session->ng, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(session->ng),
                                NGHTTP2_NO_ERROR, NULL, 0);
    http2_note_output(session);
}

/* RFC 9113 section 8.1 lets a server reset the stream (NO_ERROR) at once. Clients whose request is
 * on its way in a second write (curl 7.88) then lose the answer, so it waits. */
void http2_await_end(struct http2_session *session, struct http_exchange *x)
{
    x->answered_ms = session->options.timers->now_ms;
    list_push_back(&session->lingering, &x->linger);
    http2_arm(session);
}

static void stop_awaiting(struct http2_session *session)
{
    uint64_t now_ms = session->options.timers->now_ms;
    list_foreach_safe (item, &session->lingering) {
        struct http_exchange *x = container_of(item, struct http_exchange, linger);
        if (x->answered_ms + AWAIT_END_MS > now_ms) {
            return;
        }
        list_remove(&x->linger);
        http_exchange_reset(x, HTTP_RESET_NO_ERROR);
    }
}

bool http2_session_has_output(const struct http2_session *session)
{
    return nghttp2_session_want_write(session->ng) != 0;
}

bool http2_session_is_done(const struct http2_session *session)
{
    if (nghttp2_session_want_write(session->ng) != 0) {
        return false;
    }
    return session->failure.code != 0 || nghttp2_session_want_read(session->ng) == 0 ||
           (session->goaway_sent && session->pool.open_count == 0) ||
           (session->options.role == HTTP_CLIENT && session->has_peer_goaway &&
            session->pool.open_count == 0);
}

uint32_t http2_session_exchange_count(const struct http2_session *session)
{
    return session->pool.open_count;
}

bool http2_session_is_established(const struct http2_session *session)
{
    return session->has_settings;
}

bool http2_session_is_draining(const struct http2_session *session)
{
    return session->has_peer_goaway || session->drain_since_ms != 0 || session->goaway_sent ||
           session->failure.code != 0;
}

/* What is due next and when; UINT64_MAX for nothing. */
enum due { DUE_NOTHING, DUE_HANDSHAKE, DUE_HEADERS, DUE_PING, DUE_PONG, DUE_GOAWAY, DUE_END };

static void consider(uint64_t *next_ms, enum due *due, uint64_t at_ms, enum due what)
{
    if (at_ms < *next_ms) {
        *next_ms = at_ms;
        *due = what;
    }
}

static enum due next_due(const struct http2_session *session, uint64_t *ret_at_ms)
{
    const struct http_limits *limits = &session->options.limits;
    enum due due = DUE_NOTHING;
    uint64_t next_ms = UINT64_MAX;
    if (!session->has_settings) {
        consider(&next_ms, &due, session->created_ms + limits->handshake_timeout_ms, DUE_HANDSHAKE);
    }
    if (session->header_since_ms != 0) {
        consider(&next_ms, &due, session->header_since_ms + limits->header_timeout_ms, DUE_HEADERS);
    }
    bool may_ping = session->options.role == HTTP_SERVER || session->pool.open_count > 0 ||
                    limits->pings_without_stream;
    if (session->ping_sent_ms != 0) {
        consider(&next_ms, &due, session->ping_sent_ms + limits->keepalive_timeout_ms, DUE_PONG);
    } else if (limits->keepalive_time_ms != UINT32_MAX && may_ping) {
        consider(&next_ms, &due, session->received_ms + limits->keepalive_time_ms, DUE_PING);
    }
    if (session->drain_since_ms != 0 && !session->goaway_sent) {
        consider(&next_ms, &due, session->drain_since_ms + DRAIN_PING_MS, DUE_GOAWAY);
    }
    if (!list_is_empty(&session->lingering)) {
        const struct http_exchange *x =
            container_of(session->lingering.next, struct http_exchange, linger);
        consider(&next_ms, &due, x->answered_ms + AWAIT_END_MS, DUE_END);
    }
    *ret_at_ms = next_ms;
    return due;
}

void http2_arm(struct http2_session *session)
{
    uint64_t at_ms = UINT64_MAX;
    if (next_due(session, &at_ms) == DUE_NOTHING) {
        return;
    }
    /* A timer that fires early finds nothing due and is set again: cheaper than moving it with
     * every frame. */
    if (!timer_is_set(&session->timer) || session->timer.deadline_ms > at_ms) {
        timers_set(session->options.timers, &session->timer, at_ms);
    }
}

static void on_timer(struct timer *timer)
{
    struct http2_session *session = container_of(timer, struct http2_session, timer);
    uint64_t at_ms = UINT64_MAX;
    enum due due = next_due(session, &at_ms);
    if (at_ms > session->options.timers->now_ms) {
        due = DUE_NOTHING;
    }
    switch (due) {
    case DUE_HANDSHAKE:
        session->options.on_dead(session->options.context, ERR_TIMEOUT,
                                 "no HTTP/2 settings within the time limit");
        return;
    case DUE_HEADERS:
        session->options.on_dead(session->options.context, ERR_TIMEOUT,
                                 "header section not complete within the time limit");
        return;
    case DUE_PONG:
        session->options.on_dead(session->options.context, ERR_TIMEOUT,
                                 "keepalive ping was not answered");
        return;
    case DUE_PING:
        session->ping_sent_ms = session->options.timers->now_ms;
        http2_ping(session, HTTP2_PING_KEEPALIVE);
        break;
    case DUE_GOAWAY:
        http2_finish_drain(session);
        break;
    case DUE_END:
        stop_awaiting(session);
        break;
    case DUE_NOTHING:
        break;
    }
    http2_arm(session);
}
