/* F3: a whole HTTP/2 server session with gRPC on it, fed with whatever comes. */
#include "base/check.h"
#include "proto/grpc_server.h"
#include "proto/http2_session.h"
#include "proto/rpc.pb-c.h"
#include "tests/fuzz/fuzz.h"

static const struct grpc_method methods[] = {
    {"/etcdserverpb.KV/Range", &etcdserverpb__range_request__descriptor, false, false, 0},
    {"/etcdserverpb.Watch/Watch", &etcdserverpb__watch_request__descriptor, true, true, 1},
    {"/e", NULL, true, true, 2},
};

static void on_message(struct grpc_call *call, const struct grpc_message *message)
{
    switch (grpc_call_method(call)->id) {
    case 0:
        grpc_call_send(call, message->raw);
        grpc_call_finish(call, GRPC_OK, NULL);
        break;
    case 1:
        if (message->raw.size % 3 == 0) {
            grpc_call_pause(call);
            grpc_call_resume(call);
        }
        grpc_call_send(call, message->raw);
        break;
    default:
        if (message->raw.size > 40) {
            grpc_call_finish(call, GRPC_OUT_OF_RANGE, "too long \xff");
        }
        break;
    }
}

static void on_half_close(struct grpc_call *call)
{
    grpc_call_finish(call, GRPC_OK, NULL);
}

static void on_cancel(struct grpc_call *call, enum grpc_status reason)
{
    (void)reason;
    CHECK(!grpc_call_is_open(call));
}

static const struct grpc_handler handler = {
    .on_message = on_message, .on_half_close = on_half_close, .on_cancel = on_cancel};

static void on_output(void *context)
{
    (void)context;
}

static void on_dead(void *context, int code, const char *reason)
{
    CHECK(code < 0 && reason != NULL);
    *(bool *)context = true;
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

/* The first byte says: greet properly (1), size of the pieces (2 to 7); the rest is input. */
static void run(struct http2_session *session, struct timers *timers, const bool *is_dead,
                const uint8_t *data, size_t size)
{
    static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    struct err err = {0};
    size_t step = (size_t)1 << (data[0] >> 1 & 15);
    if ((data[0] & 1) != 0) {
        CHECK(http2_session_receive(session, bytes_make(greeting, sizeof greeting), &err) == 0);
    }
    for (size_t at = 1; at < size && !*is_dead; at += step) {
        size_t part = size - at < step ? size - at : step;
        if (http2_session_receive(session, bytes_make(data + at, part), &err) < 0 ||
            !drain(session) || http2_session_is_done(session)) {
            return;
        }
        timers_advance(timers, timers->now_ms + part * 10);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct timers timers;
    bool is_dead = false;
    if (size == 0 || size > 20000) {
        return 0;
    }
    timers_init(&timers, 1);
    struct grpc_server *server =
        grpc_server_new(&(struct grpc_server_options){.methods = methods,
                                                      .method_count = 3,
                                                      .handler = &handler,
                                                      .timers = &timers,
                                                      .receive_bytes_max = 10000});
    struct http_session_options options = {.role = HTTP_SERVER,
                                           .handler = &grpc_server_http_handler,
                                           .handler_data = server,
                                           .timers = &timers,
                                           .on_output = on_output,
                                           .on_dead = on_dead,
                                           .context = &is_dead};
    http_limits_set_defaults(&options.limits);
    struct http2_session *session = http2_session_new(&options);
    run(session, &timers, &is_dead, data, size);
    http2_session_free(session, ERR_CLOSED);
    CHECK(grpc_server_call_count(server) == 0);
    grpc_server_free(server);
    CHECK(timers_deadline_ms(&timers) == UINT64_MAX); /* nothing is left armed */
    timers_deinit(&timers);
    return 0;
}
