/* HTTP/1.1 requests of any make: answered, refused, hijacked; never lost. */
#include "base/check.h"
#include "proto/http1_session.h"
#include "tests/fuzz/fuzz.h"

static void on_headers(struct http_exchange *x)
{
    unsigned *open = x->data;
    ++*open;
    if (x->path.size % 5 == 4 && http_exchange_hijack(x, NULL, 0) == 0) {
        http_exchange_send(x, BYTES_LITERAL("raw"));
    } else if (x->path.size % 5 == 3) {
        http_exchange_reply(x, 404, "text/plain", x->path);
    }
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    http_exchange_send(x, x->is_hijacked ? data : bytes_make(NULL, 0));
    http_exchange_consume(x, data.size);
}

static void on_end(struct http_exchange *x)
{
    if (x->is_hijacked) {
        http_exchange_finish(x, NULL, 0);
    } else if (x->body_bytes % 2 == 0) {
        http_exchange_reply(x, 200, "text/plain", x->path);
    } else {
        http_exchange_respond(x, 200, NULL, 0);
        http_exchange_send(x, x->path);
        http_exchange_finish(x, NULL, 0);
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    unsigned *open = x->data;
    CHECK(reason <= 0);
    --*open;
}

static const struct http_handler handler = {
    .on_headers = on_headers, .on_body = on_body, .on_end = on_end, .on_close = on_close};

static void on_output(void *context)
{
    (void)context;
}

static void on_dead(void *context, int code, const char *reason)
{
    (void)code;
    (void)reason;
    *(bool *)context = true;
}

static void drain(struct http1_session *session)
{
    struct chain out;
    struct err err = {0};
    chain_init(&out);
    do {
        chain_clear(&out);
        CHECK(http1_session_send(session, &out, 1000, &err) == 0);
    } while (out.size > 0);
    chain_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct timers timers;
    bool is_dead = false;
    unsigned open = 0;
    if (size == 0 || size > 20000) {
        return 0;
    }
    timers_init(&timers, 1);
    struct http_session_options options = {.role = HTTP_SERVER,
                                           .handler = &handler,
                                           .handler_data = &open,
                                           .timers = &timers,
                                           .on_output = on_output,
                                           .on_dead = on_dead,
                                           .context = &is_dead};
    http_limits_set_defaults(&options.limits);
    struct http1_session *session = http1_session_new(&options);
    struct err err = {0};
    size_t step = (size_t)1 << (data[0] & 15);
    int rv = 0;
    for (size_t at = 1; at < size && rv == 0 && !is_dead && !http1_session_is_done(session);
         at += step) {
        size_t part = size - at < step ? size - at : step;
        rv = http1_session_receive(session, bytes_make(data + at, part), &err);
        drain(session);
        timers_advance(&timers, timers.now_ms + part * 10);
    }
    if (rv == 0) {
        (void)!http1_session_receive_end(session, &err);
        drain(session);
    }
    http1_session_free(session, ERR_CLOSED);
    CHECK(open == 0);
    timers_deinit(&timers);
    return 0;
}
