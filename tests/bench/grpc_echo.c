/* grpc_echo - the wire alone: a gRPC server that does nothing, to measure against nghttpd.
 *
 *     grpc_echo PORT [answer bytes] [certificate.pem key.pem]
 *
 * /echo.Echo/Fixed   unary, an answer of the given size whatever the request
 * /echo.Echo/Echo    unary, answers the request
 * /echo.Echo/Stream  bidirectional, each message comes back
 * /echo.Echo/Many    server stream, 1000 messages of the given size
 * GET anything       the fixed answer over plain HTTP
 *
 *     h2load -n 200000 -c 100 -m 10 -t 1 -d body -H 'content-type: application/grpc' \
 *         http://127.0.0.1:21000/echo.Echo/Fixed        (body: five zero bytes) */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/check.h"
#include "proto/grpc_server.h"
#include "proto/listener.h"

enum { METHOD_FIXED, METHOD_ECHO, METHOD_STREAM, METHOD_MANY, MANY_MESSAGES = 1000 };

struct program {
    struct wire_loop *wire;
    struct grpc_server *server;
    struct listener *listener;
    struct blob *answer;
    uv_signal_t signals;
};

static const struct grpc_method methods[] = {
    {"/echo.Echo/Fixed", NULL, false, false, METHOD_FIXED},
    {"/echo.Echo/Echo", NULL, false, false, METHOD_ECHO},
    {"/echo.Echo/Stream", NULL, true, true, METHOD_STREAM},
    {"/echo.Echo/Many", NULL, false, true, METHOD_MANY},
};

static void send_many(struct grpc_call *call)
{
    struct program *program = grpc_call_context(call);
    size_t sent = (size_t)(uintptr_t)grpc_call_data(call);
    while (sent < MANY_MESSAGES && grpc_call_is_writable(call)) {
        grpc_call_send_blob(call, bytes_make(NULL, 0), program->answer, 0, program->answer->size);
        sent++;
    }
    grpc_call_set_data(call, (void *)(uintptr_t)sent);
    if (sent == MANY_MESSAGES) {
        grpc_call_finish(call, GRPC_OK, NULL);
    }
}

static void on_message(struct grpc_call *call, const struct grpc_message *message)
{
    struct program *program = grpc_call_context(call);
    switch (grpc_call_method(call)->id) {
    case METHOD_FIXED:
        grpc_call_send_blob(call, bytes_make(NULL, 0), program->answer, 0, program->answer->size);
        grpc_call_finish(call, GRPC_OK, NULL);
        break;
    case METHOD_ECHO:
        grpc_call_send(call, message->raw);
        grpc_call_finish(call, GRPC_OK, NULL);
        break;
    case METHOD_STREAM:
        grpc_call_send(call, message->raw);
        break;
    default:
        send_many(call);
        break;
    }
}

static void on_half_close(struct grpc_call *call)
{
    if (grpc_call_method(call)->id == METHOD_STREAM) {
        grpc_call_finish(call, GRPC_OK, NULL);
    }
}

static void on_writable(struct grpc_call *call)
{
    if (grpc_call_method(call)->id == METHOD_MANY) {
        send_many(call);
    }
}

static const struct grpc_handler handler = {
    .on_message = on_message, .on_half_close = on_half_close, .on_writable = on_writable};

static void on_request(struct http_exchange *x)
{
    struct program *program = x->data;
    if (!grpc_server_try_take(program->server, x)) {
        x->handler = NULL;
        http_exchange_reply(x, 200, "text/plain", blob_bytes(program->answer));
    }
}

static const struct http_handler router = {.on_headers = on_request};

static void on_wire_closed(void *context)
{
    (void)context;
}

static void on_listener_closed(void *context)
{
    struct program *program = context;
    grpc_server_free(program->server);
    wire_loop_close(program->wire, on_wire_closed, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct program *program = handle->data;
    uv_close((uv_handle_t *)handle, NULL);
    listener_close(program->listener, 1000, on_listener_closed, program);
}

static void on_trouble(void *context, const char *address, const char *reason)
{
    (void)context;
    (void)fprintf(stderr, "%s: %s\n", address, reason);
}

static const struct listener_events events = {.on_trouble = on_trouble};

static struct tls_context *tls_from(const char *certificate, const char *key)
{
    const struct tls_options options = {
        .role = HTTP_SERVER, .certificate_file = certificate, .key_file = key};
    struct err err = {0};
    struct tls_context *context = tls_context_new(&options, &err);
    if (context == NULL) {
        (void)fprintf(stderr, "grpc_echo: %s\n", err.text);
        exit(1);
    }
    return context;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: grpc_echo PORT [answer bytes] [certificate key]\n");
        return 2;
    }
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 300;
    struct program program = {.answer = blob_new(size)};
    memset(program.answer->data, 'x', size);
    (void)signal(SIGPIPE, SIG_IGN);
    uv_loop_t *loop = uv_default_loop();
    program.wire = wire_loop_new(loop);
    program.server = grpc_server_new(
        &(struct grpc_server_options){.methods = methods,
                                      .method_count = sizeof methods / sizeof *methods,
                                      .handler = &handler,
                                      .context = &program,
                                      .timers = wire_loop_timers(program.wire)});
    struct err err = {0};
    struct tls_context *tls = argc > 4 ? tls_from(argv[3], argv[4]) : NULL;
    program.listener =
        listener_open(program.wire,
                      &(struct listener_options){.host = "127.0.0.1",
                                                 .port = (uint16_t)strtoul(argv[1], NULL, 10),
                                                 .tls = tls,
                                                 .handler = &router,
                                                 .handler_data = &program,
                                                 .events = &events},
                      &err);
    tls_context_unref(tls);
    if (program.listener == NULL) {
        (void)fprintf(stderr, "grpc_echo: %s\n", err.text);
        return 1;
    }
    program.signals.data = &program;
    CHECK(uv_signal_init(loop, &program.signals) == 0);
    CHECK(uv_signal_start(&program.signals, on_signal, SIGTERM) == 0);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    int rv = uv_loop_close(loop);
    blob_unref(program.answer);
    return rv == 0 ? 0 : 1;
}
