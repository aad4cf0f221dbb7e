/* The JSON gateway as bytes: HTTP/1.1 text in, HTTP/1.1 text out, a gRPC handler between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/arena_allocator.h"
#include "proto/grpc_gateway.h"
#include "proto/http1_session.h"
#include "proto/rpc.pb-c.h"

enum { RANGE, WATCH, SNAPSHOT };

static const struct grpc_method methods[] = {
    {"/etcdserverpb.KV/Range", NULL, false, false, RANGE},
    {"/etcdserverpb.Watch/Watch", &etcdserverpb__watch_request__descriptor, true, true, WATCH},
    {"/etcdserverpb.Maintenance/Snapshot", NULL, false, true, SNAPSHOT},
};

struct world {
    struct timers timers;
    struct grpc_server *server;
    struct grpc_gateway *gateway;
    struct http1_session *session;
    struct chain out;
    struct buf written;
    unsigned start_count;
    unsigned half_close_count;
    unsigned cancel_count;
    bool fails;  /* unary calls */
    bool hangs;  /* no answer */
    bool pauses; /* after the first message of a stream */
    char token[40];
    struct grpc_call *last;
};

static struct world world;

static void on_call_start(struct grpc_call *call)
{
    world.start_count++;
    world.last = call;
    assert_true(grpc_call_is_gateway(call));
    struct bytes token = grpc_call_metadata(call, "authorization");
    (void)snprintf(world.token, sizeof world.token, "%.*s", (int)token.size,
                   token.data == NULL ? "" : (const char *)token.data);
}

static void answer_range(struct grpc_call *call, struct bytes raw)
{
    struct arena arena = ARENA_INIT;
    const Etcdserverpb__RangeRequest *request = (const Etcdserverpb__RangeRequest *)proto_decode(
        &etcdserverpb__range_request__descriptor, raw, &arena);
    assert_non_null(request);
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    kv.key = request->key;
    response.n_kvs = request->key.len > 0 ? 1 : 0;
    response.kvs = kvs;
    response.count = request->limit;
    grpc_call_send_message(call, &response.base);
    grpc_call_finish(call, GRPC_OK, NULL);
    arena_deinit(&arena);
}

static void answer_watch(struct grpc_call *call, const ProtobufCMessage *decoded)
{
    const Etcdserverpb__WatchRequest *request = (const Etcdserverpb__WatchRequest *)decoded;
    Etcdserverpb__WatchResponse response;
    etcdserverpb__watch_response__init(&response);
    response.created =
        request->request_union_case == ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    response.watch_id = response.created ? request->create_request->watch_id : 9;
    grpc_call_send_message(call, &response.base);
    if (world.pauses) {
        grpc_call_pause(call);
    }
}

static void on_message(struct grpc_call *call, const struct grpc_message *message)
{
    if (world.hangs) {
        return;
    }
    if (world.fails) {
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "etcdserver: key is not \"provided\"");
        return;
    }
    switch (grpc_call_method(call)->id) {
    case RANGE:
        answer_range(call, message->raw);
        break;
    case WATCH:
        answer_watch(call, message->decoded);
        break;
    default: { /* two parts, put together from pieces, then an error */
        struct blob *blob = blob_new_copy("\x1a\x03"
                                          "abc",
                                          5);
        grpc_call_send_blob(call, BYTES_LITERAL("\x10\x05"), blob, 0, 5);
        grpc_call_send(call, bytes_make(NULL, 0));
        grpc_call_finish(call, GRPC_UNAVAILABLE, "etcdserver: server stopped");
        blob_unref(blob);
        break;
    }
    }
}

static void on_half_close(struct grpc_call *call)
{
    world.half_close_count++;
    if (grpc_call_method(call)->id == WATCH) {
        grpc_call_finish(call, GRPC_OK, NULL);
    }
}

static void on_cancel(struct grpc_call *call, enum grpc_status reason)
{
    (void)call;
    (void)reason;
    world.cancel_count++;
}

static const struct grpc_handler grpc_handler = {.on_call_start = on_call_start,
                                                 .on_message = on_message,
                                                 .on_half_close = on_half_close,
                                                 .on_cancel = on_cancel};

static void on_request(struct http_exchange *x)
{
    if (!grpc_server_try_take(world.server, x) && !grpc_gateway_try_take(world.gateway, x)) {
        x->handler = NULL;
        http_exchange_reply(x, 200, "text/plain", BYTES_LITERAL("other"));
    }
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

static int setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    timers_init(&world.timers, 1000);
    chain_init(&world.out);
    world.server = grpc_server_new(&(struct grpc_server_options){.methods = methods,
                                                                 .method_count = 3,
                                                                 .handler = &grpc_handler,
                                                                 .timers = &world.timers,
                                                                 .receive_bytes_max = 1000});
    world.gateway = grpc_gateway_new(world.server, "/v3/", etcd_routes, etcd_route_count);
    struct http_session_options options = {.role = HTTP_SERVER,
                                           .handler = &http_handler,
                                           .timers = &world.timers,
                                           .on_output = on_output,
                                           .on_dead = on_dead};
    http_limits_set_defaults(&options.limits);
    world.session = http1_session_new(&options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http1_session_free(world.session, ERR_CLOSED);
    assert_int_equal(grpc_server_call_count(world.server), 0);
    grpc_gateway_free(world.gateway);
    grpc_server_free(world.server);
    assert_int_equal(timers_deadline_ms(&world.timers), UINT64_MAX);
    timers_deinit(&world.timers);
    chain_deinit(&world.out);
    buf_deinit(&world.written);
    return 0;
}

static const char *drain(void)
{
    buf_clear(&world.written);
    for (;;) {
        struct err err = {0};
        assert_int_equal(http1_session_send(world.session, &world.out, 4096, &err), 0);
        if (world.out.size == 0) {
            return buf_text(&world.written);
        }
        while (world.out.size > 0) {
            struct bytes front = chain_front(&world.out);
            buf_append_bytes(&world.written, front);
            chain_consume(&world.out, front.size);
        }
    }
}

static void feed(const char *text)
{
    struct err err = {0};
    assert_int_equal(http1_session_receive(world.session, bytes_from_text(text), &err), 0);
}

static const char *post(const char *path, const char *body)
{
    char text[500];
    (void)snprintf(
        text, sizeof text,
        "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: t1\r\nContent-Length: %zu\r\n\r\n%s", path,
        strlen(body), body);
    feed(text);
    return drain();
}

static void expect_answer(const char *got, const char *status, const char *body)
{
    char expected[500];
    (void)snprintf(expected, sizeof expected,
                   "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                   status, strlen(body), body);
    assert_string_equal(got, expected);
}

static void test_a_unary_call_is_json_both_ways(void **state)
{
    (void)state;
    expect_answer(post("/v3/kv/range", "{\"key\":\"Zm9v\",\"limit\":7}"), "200 OK",
                  "{\"kvs\":[{\"key\":\"Zm9v\"}],\"count\":\"7\"}");
    assert_string_equal(world.token, "t1");
    assert_int_equal(world.half_close_count, 0);
    expect_answer(post("/v3/kv/range?pretty=1", ""), "200 OK", "{}");
    assert_int_equal(world.start_count, 2);
}

static void test_errors_carry_code_message_and_http_status(void **state)
{
    (void)state;
    world.fails = true;
    expect_answer(post("/v3/kv/range", "{}"), "400 Bad Request",
                  "{\"code\":3,\"message\":\"etcdserver: key is not \\\"provided\\\"\","
                  "\"details\":[]}");
    world.fails = false;
    expect_answer(post("/v3/kv/range", "{\"limit\":\"x\"}"), "400 Bad Request",
                  "{\"code\":3,\"message\":\"json: invalid whole number for limit at byte 12\","
                  "\"details\":[]}");
    expect_answer(post("/v3/nothing", "{}"), "404 Not Found",
                  "{\"code\":5,\"message\":\"Not Found\",\"details\":[]}");
    expect_answer(post("/v3/auth/enable", "{}"), "501 Not Implemented",
                  "{\"code\":12,\"message\":\"method is not implemented\",\"details\":[]}");
    feed("GET /v3/kv/range HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(drain(), "501 Not Implemented",
                  "{\"code\":12,\"message\":\"Method Not Allowed\",\"details\":[]}");
    assert_int_equal(world.start_count, 2);
    assert_int_equal(world.cancel_count, 1); /* the malformed one, which the gateway answered */
}

static void test_other_paths_are_not_the_gateway_s(void **state)
{
    (void)state;
    assert_non_null(strstr(post("/v3x", "{}"), "other"));
    assert_non_null(strstr(post("/health", "{}"), "other"));
}

static void test_a_server_stream_is_lines_of_results_and_a_last_error(void **state)
{
    (void)state;
    assert_string_equal(
        post("/v3/maintenance/snapshot", "{}"),
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        "transfer-encoding: chunked\r\n\r\n"
        "89\r\n{\"result\":{\"remaining_bytes\":\"5\",\"blob\":\"YWJj\"}}\n"
        "{\"result\":{}}\n"
        "{\"error\":{\"code\":14,\"message\":\"etcdserver: server stopped\",\"details\":[]}}\n"
        "\r\n0\r\n\r\n");
}

static void test_a_stream_takes_objects_as_they_come(void **state)
{
    (void)state;
    feed("POST /v3/watch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
         "1f\r\n{\"create_request\":{\"watch_id\":7\r\n");
    assert_string_equal(drain(), "");
    feed("2\r\n}}\r\n");
    const char *text = drain();
    assert_non_null(strstr(text, "{\"result\":{\"watch_id\":\"7\",\"created\":true}}\n"));
    feed("2f\r\n {\"progress_request\":{}}{\"progress_request\":{}}\r\n0\r\n\r\n");
    text = drain();
    assert_non_null(strstr(text, "{\"result\":{\"watch_id\":\"9\"}}\n{\"result\":{\"watch_id\":"));
    assert_int_equal(world.half_close_count, 1);
}

static void test_a_broken_stream_ends_with_an_error(void **state)
{
    (void)state;
    assert_non_null(strstr(post("/v3/watch", "{\"create_request\":{}} x"),
                           "{\"error\":{\"code\":3,\"message\":\"json: expected an object\""));
    assert_int_equal(world.cancel_count, 1);
    const char *text = post("/v3/watch", "{\"create_request\":");
    assert_memory_equal(text, "HTTP/1.1 400 Bad Request\r\n", 26);
    assert_non_null(strstr(text, "{\"error\":{\"code\":3"));
}

static void test_a_paused_stream_waits(void **state)
{
    (void)state;
    world.pauses = true;
    const char *text = post("/v3/watch", "{\"progress_request\":{}}{\"progress_request\":{}}");
    assert_null(strstr(text, "}}\n{")); /* one answer */
    world.pauses = false;
    grpc_call_resume(world.last);
    assert_string_equal(drain(), "");
    timers_advance(&world.timers, 1000);
    assert_non_null(strstr(drain(), "{\"result\":{\"watch_id\":\"9\"}}\n"));
    assert_int_equal(world.half_close_count, 1);
}

static void test_a_body_beyond_reason_is_refused(void **state)
{
    (void)state;
    char *body = mem_alloc(80001);
    memset(body, ' ', 80000);
    body[80000] = 0;
    feed("POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 80000\r\n\r\n");
    feed(body);
    assert_memory_equal(drain(), "HTTP/1.1 429 Too Many Requests\r\n", 32);
    mem_free(body);
}

static void test_a_deadline_is_504(void **state)
{
    (void)state;
    world.hangs = true;
    feed("POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nGrpc-Timeout: 50m\r\nContent-Length: "
         "2\r\n\r\n{}");
    assert_string_equal(drain(), "");
    timers_advance(&world.timers, 1050);
    expect_answer(drain(), "504 Gateway Timeout",
                  "{\"code\":4,\"message\":\"context deadline exceeded\",\"details\":[]}");
    assert_int_equal(world.cancel_count, 1);
}

static const ProtobufCMessageDescriptor *input_of(const char *method, bool output)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &etcdserverpb__kv__descriptor,          &etcdserverpb__watch__descriptor,
        &etcdserverpb__lease__descriptor,       &etcdserverpb__cluster__descriptor,
        &etcdserverpb__maintenance__descriptor, &etcdserverpb__auth__descriptor};
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        for (unsigned k = 0; k < services[i]->n_methods; k++) {
            char path[100];
            (void)snprintf(path, sizeof path, "/%s/%s", services[i]->name,
                           services[i]->methods[k].name);
            if (strcmp(path, method) == 0) {
                return output ? services[i]->methods[k].output : services[i]->methods[k].input;
            }
        }
    }
    return NULL;
}

static void test_routes_have_the_types_of_their_methods(void **state)
{
    (void)state;
    unsigned found = 0;
    for (size_t i = 0; i < etcd_route_count; i++) {
        if (strncmp(etcd_routes[i].method, "/etcdserverpb.", 14) == 0) {
            found++;
            assert_ptr_equal(input_of(etcd_routes[i].method, false), etcd_routes[i].request);
            assert_ptr_equal(input_of(etcd_routes[i].method, true), etcd_routes[i].response);
        }
    }
    assert_int_equal(found, 44);
}

int main(void)
{
#define GATEWAY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        GATEWAY(test_a_unary_call_is_json_both_ways),
        GATEWAY(test_errors_carry_code_message_and_http_status),
        GATEWAY(test_other_paths_are_not_the_gateway_s),
        GATEWAY(test_a_server_stream_is_lines_of_results_and_a_last_error),
        GATEWAY(test_a_stream_takes_objects_as_they_come),
        GATEWAY(test_a_broken_stream_ends_with_an_error),
        GATEWAY(test_a_paused_stream_waits),
        GATEWAY(test_a_body_beyond_reason_is_refused),
        GATEWAY(test_a_deadline_is_504),
        cmocka_unit_test(test_routes_have_the_types_of_their_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
