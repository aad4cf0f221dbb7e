/* A client's HTTP/2 session whose server says whatever it likes. */
#include "base/check.h"
#include "proto/http2_session.h"
#include "tests/fuzz/fuzz.h"

struct world {
    struct timers timers;
    struct http2_session *session;
    unsigned open;
    bool is_dead;
};

static void on_body(struct http_exchange *x, struct bytes data)
{
    http_exchange_consume(x, data.size);
    if (data.size % 7 == 6) {
        http_exchange_reset(x, HTTP_RESET_CANCEL);
    }
}

static void on_headers(struct http_exchange *x)
{
    CHECK(x->status >= 200 && x->status <= 999);
}

static void on_close(struct http_exchange *x, int reason)
{
    struct world *world = x->data;
    CHECK(reason <= 0 && world->open > 0);
    world->open--;
}

static const struct http_handler handler = {
    .on_headers = on_headers, .on_body = on_body, .on_close = on_close};

static void on_output(void *context)
{
    (void)context;
}

static void on_dead(void *context, int code, const char *reason)
{
    struct world *world = context;
    CHECK(code < 0 && reason != NULL);
    world->is_dead = true;
}

static void start_request(struct world *world)
{
    static const struct http_header header = HTTP_HEADER_INIT("te", "trailers");
    const struct http2_request request = {.method = BYTES_LITERAL("POST"),
                                          .scheme = BYTES_LITERAL("http"),
                                          .authority = BYTES_LITERAL("x"),
                                          .path = BYTES_LITERAL("/p"),
                                          .headers = &header,
                                          .header_count = 1};
    struct http_exchange *x = http2_session_request(world->session, &request, &handler, world);
    if (x != NULL) {
        world->open++;
        http_exchange_send(x, BYTES_LITERAL("body"));
        if (x->stream_id % 4 == 1) {
            http_exchange_finish(x, NULL, 0);
        }
    }
}

static bool drain(struct http2_session *session)
{
    struct chain out;
    struct err err = {0};
    chain_init(&out);
    int rv = 0;
    do {
        chain_clear(&out);
        rv = http2_session_send(session, &out, 4096, &err);
    } while (rv == 0 && out.size > 0);
    chain_deinit(&out);
    return rv == 0;
}

/* The first byte: the size of the pieces; before each piece a request may start. */
static void run(struct world *world, const uint8_t *data, size_t size)
{
    struct err err = {0};
    size_t step = (size_t)1 << (data[0] & 15);
    start_request(world);
    start_request(world);
    for (size_t at = 1; at < size && !world->is_dead; at += step) {
        size_t part = size - at < step ? size - at : step;
        if (!drain(world->session) ||
            http2_session_receive(world->session, bytes_make(data + at, part), &err) < 0 ||
            http2_session_is_done(world->session)) {
            return;
        }
        timers_advance(&world->timers, world->timers.now_ms + part * 10);
        if (data[at] % 5 == 0) {
            start_request(world);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {0};
    if (size == 0 || size > 20000) {
        return 0;
    }
    timers_init(&world.timers, 1);
    struct http_session_options options = {.role = HTTP_CLIENT,
                                           .timers = &world.timers,
                                           .on_output = on_output,
                                           .on_dead = on_dead,
                                           .context = &world};
    http_limits_set_defaults(&options.limits);
    world.session = http2_session_new(&options);
    run(&world, data, size);
    http2_session_free(world.session, ERR_CLOSED);
    CHECK(world.open == 0);
    timers_deinit(&world.timers);
    return 0;
}
