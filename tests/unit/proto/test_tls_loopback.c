/* gRPC over TLS on real sockets, and what curl says to the same server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/proto/certificates.h"
#include "tests/unit/proto/loopback.h"

struct fixture {
    struct authority authority;
    struct tls_context *server;
    struct tls_context *client;
    struct tls_context *stranger;
};

static struct fixture fixture;

#define PATH(file) authority_path(&fixture.authority, file)

static struct tls_context *context_of(const struct tls_options *options)
{
    struct err err = {0};
    struct tls_context *context = tls_context_new(options, &err);
    assert_string_equal(err.text, "");
    return context;
}

static int setup(void **state)
{
    (void)state;
    authority_init(&fixture.authority, "ca");
    authority_issue(
        &fixture.authority, "server",
        &(struct certificate_options){.common_name = "server",
                                      .alternative_names = "DNS:localhost,IP:127.0.0.1"});
    authority_issue(&fixture.authority, "alice",
                    &(struct certificate_options){.common_name = "alice"});
    fixture.server = context_of(&(struct tls_options){.role = HTTP_SERVER,
                                                      .certificate_file = PATH("server.pem"),
                                                      .key_file = PATH("server.key"),
                                                      .ca_file = PATH("ca.pem"),
                                                      .require_certificate = true});
    fixture.client = context_of(&(struct tls_options){.role = HTTP_CLIENT,
                                                      .certificate_file = PATH("alice.pem"),
                                                      .key_file = PATH("alice.key"),
                                                      .ca_file = PATH("ca.pem")});
    fixture.stranger =
        context_of(&(struct tls_options){.role = HTTP_CLIENT, .ca_file = PATH("ca.pem")});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tls_context_unref(fixture.server);
    tls_context_unref(fixture.client);
    tls_context_unref(fixture.stranger);
    authority_deinit(&fixture.authority);
    return 0;
}

static void echo(struct loopback *loopback, struct outcome *outcome, size_t size, unsigned count)
{
    struct grpc_client_call *call = grpc_channel_start(
        loopback->channel, &(struct grpc_call_options){.path = "/test.Test/Echo",
                                                       .handler = &outcome_handler,
                                                       .data = outcome});
    struct blob *message = blob_new(size);
    memset(message->data, 'm', size);
    for (unsigned i = 0; i < count; i++) {
        grpc_client_call_send_blob(call, bytes_make(NULL, 0), message, 0, size);
    }
    blob_unref(message);
    grpc_client_call_half_close(call);
    loopback_run(loopback, &outcome->done);
}

static void test_calls_pass_over_mutual_tls_and_the_server_knows_the_client(void **state)
{
    (void)state;
    struct loopback loopback;
    struct outcome outcome = {0};
    loopback_open(&loopback, &(struct loopback_options){.server_tls = fixture.server,
                                                        .client_tls = fixture.client});
    echo(&loopback, &outcome, 50000, 100);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.message_count, 100);
    assert_int_equal(buf_size(&outcome.received), 5000000);
    assert_string_equal(loopback.peer_name, "alice");
    loopback_close(&loopback);
    outcome_deinit(&outcome);
}

static void test_a_client_without_a_certificate_gets_unavailable(void **state)
{
    (void)state;
    struct loopback loopback;
    struct outcome outcome = {0};
    loopback_open(&loopback, &(struct loopback_options){.server_tls = fixture.server,
                                                        .client_tls = fixture.stranger});
    echo(&loopback, &outcome, 10, 1);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_non_null(strstr(outcome.text, "certificate required"));
    assert_non_null(strstr(loopback.trouble, "peer did not return a certificate"));
    loopback_close(&loopback);
    outcome_deinit(&outcome);
}

static void test_a_plaintext_client_gets_unavailable(void **state)
{
    (void)state;
    struct loopback loopback;
    struct outcome outcome = {0};
    loopback_open(&loopback, &(struct loopback_options){.server_tls = fixture.server});
    echo(&loopback, &outcome, 10, 1);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_int_equal(loopback.trouble_count, 1);
    loopback_close(&loopback);
    outcome_deinit(&outcome);
}

static void test_a_tls_client_of_a_plaintext_server_gets_unavailable(void **state)
{
    (void)state;
    struct loopback loopback;
    struct outcome outcome = {0};
    loopback_open(&loopback, &(struct loopback_options){.client_tls = fixture.client});
    echo(&loopback, &outcome, 10, 1);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    loopback_close(&loopback);
    outcome_deinit(&outcome);
}

struct curl {
    unsigned done;
    int64_t status;
};

static void on_curl_exit(uv_process_t *process, int64_t status, int number)
{
    (void)number;
    struct curl *curl = process->data;
    curl->done++;
    curl->status = status;
    uv_close((uv_handle_t *)process, NULL);
}

static int64_t run_curl(struct loopback *loopback, char **arguments)
{
    struct curl curl = {0};
    uv_process_t process = {.data = &curl};
    uv_process_options_t options = {.exit_cb = on_curl_exit, .file = "curl", .args = arguments};
    assert_int_equal(uv_spawn(&loopback->loop, &process, &options), 0);
    loopback_run(loopback, &curl.done);
    (void)uv_run(&loopback->loop, UV_RUN_NOWAIT);
    return curl.status;
}

static void test_curl_speaks_both_versions_over_tls_and_is_verified(void **state)
{
    (void)state;
    struct loopback loopback;
    loopback_open(&loopback, &(struct loopback_options){.server_tls = fixture.server,
                                                        .client_tls = fixture.client});
    char url[64];
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", listener_port(loopback.listener));
    char ca[80];
    char pem[80];
    char key[80];
    (void)snprintf(ca, sizeof ca, "%s", PATH("ca.pem"));
    (void)snprintf(pem, sizeof pem, "%s", PATH("alice.pem"));
    (void)snprintf(key, sizeof key, "%s", PATH("alice.key"));
    char *versions[] = {"--http2", "--http1.1"};
    for (unsigned i = 0; i < 2; i++) {
        /* 22: an HTTP error status, here the 404 of a server that only knows gRPC. */
        char *arguments[] = {"curl",   "-sf", "-o",    "/dev/null", versions[i], "--cacert", ca,
                             "--cert", pem,   "--key", key,         url,         NULL};
        assert_int_equal(run_curl(&loopback, arguments), 22);
        char *nobody[] = {"curl", "-sf", "-o", "/dev/null", versions[i], "--cacert", ca, url, NULL};
        assert_int_equal(run_curl(&loopback, nobody), 56); /* the alert after the handshake */
    }
    loopback_close(&loopback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_pass_over_mutual_tls_and_the_server_knows_the_client),
        cmocka_unit_test(test_a_client_without_a_certificate_gets_unavailable),
        cmocka_unit_test(test_a_plaintext_client_gets_unavailable),
        cmocka_unit_test(test_a_tls_client_of_a_plaintext_server_gets_unavailable),
        cmocka_unit_test(test_curl_speaks_both_versions_over_tls_and_is_verified),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
