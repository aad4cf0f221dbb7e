/* F13: the JSON gateway behind an HTTP/1.1 session. The first byte: route and size of the pieces;
 * the rest is the body. */
#include <stdio.h>

#include "base/check.h"
#include "proto/grpc_gateway.h"
#include "proto/http1_session.h"
#include "tests/fuzz/fuzz.h"

static const struct grpc_method methods[] = {
    {"/etcdserverpb.KV/Range", NULL, false, false, 0},
    {"/etcdserverpb.KV/Txn", NULL, false, false, 0},
    {"/etcdserverpb.Watch/Watch", NULL, true, true, 1},
    {"/etcdserverpb.Maintenance/Snapshot", NULL, false, true, 2},
};

static const char *const paths[] = {"/v3/kv/range", "/v3/kv/txn", "/v3/watch",
                                    "/v3/maintenance/snapshot"};

static void on_message(struct grpc_call *call, const struct grpc_message *message)
{
    switch (grpc_call_method(call)->id) {
    case 0:
        if (message->raw.size % 2 == 0) {
            grpc_call_send(call, bytes_make("\x20\x07", 2));
            grpc_call_finish(call, GRPC_OK, NULL);
        } else {
            grpc_call_finish(call, GRPC_NOT_FOUND, "odd");
        }
        break;
    case 1:
        grpc_call_send(call, bytes_make("\x10\x01", 2));
        if (message->raw.size % 3 == 1) {
            grpc_call_pause(call);
            grpc_call_resume(call);
        }
        break;
    default:
        grpc_call_send(call, bytes_make(NULL, 0));
        grpc_call_finish(call, GRPC_OK, NULL);
        break;
    }
}

static void on_half_close(struct grpc_call *call)
{
    if (grpc_call_method(call)->id == 1) {
        grpc_call_finish(call, GRPC_OK, NULL);
    }
}

static void on_cancel(struct grpc_call *call, enum grpc_status reason)
{
    CHECK(!grpc_call_is_open(call) && reason != GRPC_OK);
}

static const struct grpc_handler grpc_handler = {
    .on_message = on_message, .on_half_close = on_half_close, .on_cancel = on_cancel};

static void on_request(struct http_exchange *x)
{
    CHECK(grpc_gateway_try_take(x->data, x));
}

static const struct http_handler http_handler = {.on_headers = on_request};

static void on_output(void *context)
{
    (void)context;
}

static void on_dead(void *context, int code, const char *reason)
{
    (void)context;
    (void)code;
    (void)reason;
}

static void feed(struct http1_session *session, struct timers *timers, struct bytes input)
{
    struct err err = {0};
    struct chain out;
    if (http1_session_is_done(session)) {
        return;
    }
    CHECK(http1_session_receive(session, input, &err) == 0);
    chain_init(&out);
    do {
        chain_clear(&out);
        CHECK(http1_session_send(session, &out, 4000, &err) == 0);
    } while (out.size > 0);
    chain_deinit(&out);
    timers_advance(timers, timers->now_ms + 1);
}

static void run(struct http1_session *session, struct timers *timers, const uint8_t *data,
                size_t size)
{
    char head[200];
    int head_size =
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                 paths[data[0] & 3], size - 1);
    feed(session, timers, bytes_make(head, (size_t)head_size));
    size_t step = (size_t)1 << (data[0] >> 2 & 15);
    for (size_t at = 1; at < size; at += step) {
        feed(session, timers, bytes_make(data + at, size - at < step ? size - at : step));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct timers timers;
    if (size == 0 || size > 10000) {
        return 0;
    }
    timers_init(&timers, 1);
    struct grpc_server *server =
        grpc_server_new(&(struct grpc_server_options){.methods = methods,
                                                      .method_count = 4,
                                                      .handler = &grpc_handler,
                                                      .timers = &timers,
                                                      .receive_bytes_max = 5000});
    struct grpc_gateway *gateway = grpc_gateway_new(server, "/v3/", etcd_routes, etcd_route_count);
    struct http_session_options options = {.role = HTTP_SERVER,
                                           .handler = &http_handler,
                                           .handler_data = gateway,
                                           .timers = &timers,
                                           .on_output = on_output,
                                           .on_dead = on_dead};
    http_limits_set_defaults(&options.limits);
    struct http1_session *session = http1_session_new(&options);
    run(session, &timers, data, size);
    http1_session_free(session, ERR_CLOSED);
    CHECK(grpc_server_call_count(server) == 0);
    grpc_gateway_free(gateway);
    grpc_server_free(server);
    CHECK(timers_deadline_ms(&timers) == UINT64_MAX);
    timers_deinit(&timers);
    return 0;
}
