#include "tests/unit/proto/loopback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/rpc.pb-c.h"

static const struct grpc_method methods[] = {
    {"/etcdserverpb.KV/Range", &etcdserverpb__range_request__descriptor, false, false,
     LOOPBACK_RANGE},
    {"/test.Test/Echo", NULL, true, true, LOOPBACK_ECHO},
    {"/test.Test/Hang", NULL, false, false, LOOPBACK_HANG},
    {"/test.Test/Fail", NULL, false, false, LOOPBACK_FAIL},
    {"/test.Test/Flood", NULL, false, true, LOOPBACK_FLOOD},
    {"/test.Test/Collect", NULL, true, false, LOOPBACK_COLLECT},
};

static void answer_range(struct grpc_call *call, const struct grpc_message *message)
{
    const Etcdserverpb__RangeRequest *request =
        (const Etcdserverpb__RangeRequest *)message->decoded;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    kv.key = request->key;
    kv.mod_revision = request->limit;
    response.kvs = kvs;
    response.n_kvs = 1;
    response.count = 1;
    grpc_call_send_message(call, &response.base);
    grpc_call_finish(call, GRPC_OK, NULL);
}

static void flood(struct grpc_call *call)
{
    struct loopback *loopback = grpc_call_context(call);
    size_t sent = (size_t)(uintptr_t)grpc_call_data(call);
    while (sent < LOOPBACK_FLOOD_COUNT && grpc_call_is_writable(call)) {
        grpc_call_send_blob(call, bytes_make(NULL, 0), loopback->flood, 0, loopback->flood->size);
        sent++;
    }
    grpc_call_set_data(call, (void *)(uintptr_t)sent);
    if (sent == LOOPBACK_FLOOD_COUNT) {
        grpc_call_finish(call, GRPC_OK, NULL);
    }
}

static void on_call_start(struct grpc_call *call)
{
    struct loopback *loopback = grpc_call_context(call);
    const struct tls_peer *peer = grpc_call_peer(call)->tls;
    (void)snprintf(loopback->peer_name, sizeof loopback->peer_name, "%s",
                   peer == NULL ? "" : peer->common_name);
}

static void on_message(struct grpc_call *call, const struct grpc_message *message)
{
    switch ((enum loopback_method)grpc_call_method(call)->id) {
    case LOOPBACK_RANGE:
        answer_range(call, message);
        break;
    case LOOPBACK_ECHO:
        grpc_call_send(call, message->raw);
        break;
    case LOOPBACK_HANG:
        break;
    case LOOPBACK_FAIL:
        grpc_call_finish(call, GRPC_NOT_FOUND, "etcdserver: nothing\nat 100% of ä");
        break;
    case LOOPBACK_FLOOD:
        flood(call);
        break;
    case LOOPBACK_COLLECT: {
        size_t size = (size_t)(uintptr_t)grpc_call_data(call) + message->raw.size;
        grpc_call_set_data(call, (void *)(uintptr_t)size);
        break;
    }
    }
}

static void on_half_close(struct grpc_call *call)
{
    char text[24];
    switch ((enum loopback_method)grpc_call_method(call)->id) {
    case LOOPBACK_ECHO:
        grpc_call_finish(call, GRPC_OK, NULL);
        break;
    case LOOPBACK_COLLECT:
        (void)snprintf(text, sizeof text, "%zu", (size_t)(uintptr_t)grpc_call_data(call));
        grpc_call_send(call, bytes_from_text(text));
        grpc_call_finish(call, GRPC_OK, NULL);
        break;
    default:
        break;
    }
}

static void on_cancel(struct grpc_call *call, enum grpc_status reason)
{
    struct loopback *loopback = grpc_call_context(call);
    loopback->cancel_count++;
    loopback->cancel_reason = reason;
}

static void on_writable(struct grpc_call *call)
{
    if (grpc_call_method(call)->id == LOOPBACK_FLOOD) {
        flood(call);
    }
}

static const struct grpc_handler handler = {
    .on_call_start = on_call_start,
    .on_message = on_message,
    .on_half_close = on_half_close,
    .on_cancel = on_cancel,
    .on_writable = on_writable,
};

static void on_trouble(void *context, const char *address, const char *reason)
{
    struct loopback *loopback = context;
    assert_non_null(address);
    loopback->trouble_count++;
    (void)snprintf(loopback->trouble, sizeof loopback->trouble, "%s", reason);
}

static const struct listener_events events = {.on_trouble = on_trouble};

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the loop waited too long");
}

static void fill_unix_path(char *path, size_t size)
{
    (void)snprintf(path, size, "/tmp/coracle-test-%d.sock", (int)getpid());
}

void loopback_open(struct loopback *loopback, const struct loopback_options *options)
{
    static char unix_path[64];
    memset(loopback, 0, sizeof *loopback);
    fill_unix_path(unix_path, sizeof unix_path);
    assert_int_equal(uv_loop_init(&loopback->loop), 0);
    loopback->wire = wire_loop_new(&loopback->loop);
    loopback->flood = blob_new(LOOPBACK_FLOOD_BYTES);
    memset(loopback->flood->data, 'f', LOOPBACK_FLOOD_BYTES);
    assert_int_equal(uv_timer_init(&loopback->loop, &loopback->guard), 0);
    assert_int_equal(uv_timer_start(&loopback->guard, on_guard, 20 * 1000, 0), 0);
    loopback->server = grpc_server_new(
        &(struct grpc_server_options){.methods = methods,
                                      .method_count = sizeof methods / sizeof *methods,
                                      .handler = &handler,
                                      .context = loopback,
                                      .timers = wire_loop_timers(loopback->wire),
                                      .send_bytes_max = options->send_bytes_max});
    struct err err = {0};
    loopback->listener =
        listener_open(loopback->wire,
                      &(struct listener_options){.host = "127.0.0.1",
                                                 .unix_path = options->use_unix ? unix_path : NULL,
                                                 .tls = options->server_tls,
                                                 .handler = &grpc_server_http_handler,
                                                 .handler_data = loopback->server,
                                                 .limits = options->server_limits,
                                                 .handshakes_max = options->handshakes_max,
                                                 .connections_max = options->connections_max,
                                                 .events = &events,
                                                 .events_context = loopback},
                      &err);
    assert_string_equal(err.text, "");
    assert_non_null(loopback->listener);
    loopback->channel = grpc_channel_new(
        loopback->wire,
        &(struct grpc_channel_options){.host = options->client_host == NULL ? "127.0.0.1"
                                                                            : options->client_host,
                                       .port = listener_port(loopback->listener),
                                       .unix_path = options->use_unix ? unix_path : NULL,
                                       .tls = options->client_tls,
                                       .limits = options->client_limits,
                                       .seed = 1});
}

void loopback_run(struct loopback *loopback, const unsigned *flag)
{
    while (*flag == 0) {
        assert_true(uv_run(&loopback->loop, UV_RUN_ONCE) != 0 || *flag != 0);
    }
}

static void on_part_closed(void *context)
{
    struct loopback *loopback = context;
    loopback->closing--;
    if (loopback->closing == 0) {
        wire_loop_close(loopback->wire, NULL, NULL);
        uv_close((uv_handle_t *)&loopback->guard, NULL);
    }
}

void loopback_close(struct loopback *loopback)
{
    loopback->closing =
        (loopback->channel != NULL ? 1U : 0U) + (loopback->listener != NULL ? 1U : 0U);
    if (loopback->channel != NULL) {
        grpc_channel_close(loopback->channel, on_part_closed, loopback);
    }
    if (loopback->listener != NULL) {
        listener_close(loopback->listener, 100, on_part_closed, loopback);
    }
    (void)uv_run(&loopback->loop, UV_RUN_DEFAULT);
    assert_int_equal(loopback->closing, 0);
    assert_int_equal(grpc_server_call_count(loopback->server), 0);
    grpc_server_free(loopback->server);
    blob_unref(loopback->flood);
    assert_int_equal(uv_loop_close(&loopback->loop), 0);
}

static void on_client_message(struct grpc_client_call *call, const struct grpc_message *message)
{
    struct outcome *outcome = grpc_client_call_data(call);
    outcome->message_count++;
    buf_append_bytes(&outcome->received, message->raw);
}

static void on_finish(struct grpc_client_call *call, enum grpc_status status, const char *text,
                      const struct http_headers *trailers, bool was_sent)
{
    assert_non_null(trailers);
    struct outcome *outcome = grpc_client_call_data(call);
    outcome->done++;
    outcome->status = status;
    outcome->was_sent = was_sent;
    (void)snprintf(outcome->text, sizeof outcome->text, "%s", text);
}

const struct grpc_client_handler outcome_handler = {.on_message = on_client_message,
                                                    .on_finish = on_finish};

void outcome_unary_done(void *data, enum grpc_status status, const char *text,
                        const struct grpc_message *response, bool was_sent)
{
    struct outcome *outcome = data;
    outcome->done++;
    outcome->status = status;
    outcome->was_sent = was_sent;
    (void)snprintf(outcome->text, sizeof outcome->text, "%s", text);
    if (response != NULL) {
        outcome->message_count++;
        buf_append_bytes(&outcome->received, response->raw);
    }
}

void outcome_deinit(struct outcome *outcome)
{
    buf_deinit(&outcome->received);
}
