/* The TLS filter as bytes in, bytes out: two sessions talk to each other without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "proto/tls.h"
#include "tests/unit/proto/certificates.h"

static struct authority authority;

static int setup(void **state)
{
    (void)state;
    authority_init(&authority, "ca");
    authority_issue(&authority, "server",
                    &(struct certificate_options){.common_name = "server",
                                                  .alternative_names =
                                                      "DNS:localhost,DNS:kv.example,IP:127.0.0.1"});
    authority_issue(
        &authority, "alice",
        &(struct certificate_options){.common_name = "alice",
                                      .alternative_names = "DNS:alice.example,URI:spiffe://a/b"});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    authority_deinit(&authority);
    return 0;
}

#define PATH(file) authority_path(&authority, file)

static struct tls_options server_options(void)
{
    return (struct tls_options){.role = HTTP_SERVER,
                                .certificate_file = PATH("server.pem"),
                                .key_file = PATH("server.key")};
}

static struct tls_options client_options(void)
{
    return (struct tls_options){.role = HTTP_CLIENT, .ca_file = PATH("ca.pem")};
}

static struct tls_context *context_of(const struct tls_options *options)
{
    struct err err = {0};
    struct tls_context *context = tls_context_new(options, &err);
    assert_string_equal(err.text, "");
    assert_non_null(context);
    return context;
}

struct pair {
    struct tls_context *server_context;
    struct tls_context *client_context;
    struct tls_session *server;
    struct tls_session *client;
    struct buf server_plain;
    struct buf client_plain;
    struct err server_err;
    struct err client_err;
};

static void pair_open(struct pair *pair, const struct tls_options *server,
                      const struct tls_options *client, const char *name)
{
    memset(pair, 0, sizeof *pair);
    pair->server_context = context_of(server);
    pair->client_context = context_of(client);
    pair->server = tls_session_new(pair->server_context, NULL);
    pair->client = tls_session_new(pair->client_context, name);
}

static void pair_close(struct pair *pair)
{
    tls_session_free(pair->server);
    tls_session_free(pair->client);
    tls_context_unref(pair->server_context);
    tls_context_unref(pair->client_context);
    buf_deinit(&pair->server_plain);
    buf_deinit(&pair->client_plain);
}

/* Hand what from has written to to, step bytes at a time. */
static bool pass(struct tls_session *from, struct tls_session *to, struct buf *plain, size_t step,
                 struct err *err)
{
    struct buf *output = tls_session_output(from);
    bool moved = buf_size(output) > 0;
    while (buf_size(output) > 0 && err->code == 0) {
        size_t size = buf_size(output) < step ? buf_size(output) : step;
        (void)!tls_session_receive(to, bytes_make(buf_bytes(output).data, size), plain, err);
        buf_consume(output, size);
    }
    buf_clear(output);
    return moved;
}

static void pump(struct pair *pair, size_t step)
{
    bool moved = true;
    while (moved) {
        moved = pass(pair->client, pair->server, &pair->server_plain, step, &pair->server_err);
        moved =
            pass(pair->server, pair->client, &pair->client_plain, step, &pair->client_err) || moved;
    }
}

static void shake_hands(struct pair *pair)
{
    (void)!tls_session_start(pair->client, &pair->client_err);
    pump(pair, SIZE_MAX);
}

static void test_both_sides_agree_on_tls_1_3_and_h2(void **state)
{
    (void)state;
    struct pair pair;
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    pair_open(&pair, &server, &client, "localhost");
    shake_hands(&pair);
    assert_true(tls_session_is_established(pair.server));
    assert_true(tls_session_is_established(pair.client));
    assert_true(tls_session_is_h2(pair.server));
    assert_true(tls_session_is_h2(pair.client));
    assert_string_equal(tls_session_version(pair.client), "TLSv1.3");
    assert_null(tls_session_peer(pair.server)); /* the client has no certificate */
    assert_string_equal(tls_session_peer(pair.client)->common_name, "server");
    pair_close(&pair);
}

static void test_data_passes_byte_by_byte(void **state)
{
    (void)state;
    struct pair pair;
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    struct err err = {0};
    pair_open(&pair, &server, &client, "127.0.0.1");
    assert_int_equal(tls_session_start(pair.client, &err), 0);
    pump(&pair, 1);
    assert_true(tls_session_is_established(pair.server));
    struct buf large = BUF_INIT;
    memset(buf_reserve(&large, 100000), 'x', 100000);
    buf_commit(&large, 100000);
    assert_int_equal(tls_session_send(pair.client, BYTES_LITERAL("ping"), &err), 0);
    assert_int_equal(tls_session_send(pair.server, buf_bytes(&large), &err), 0);
    pump(&pair, 1);
    assert_true(bytes_equal(buf_bytes(&pair.server_plain), BYTES_LITERAL("ping")));
    assert_true(bytes_equal(buf_bytes(&pair.client_plain), buf_bytes(&large)));
    tls_session_shutdown(pair.client);
    pump(&pair, 1);
    assert_int_equal(pair.server_err.code, ERR_CLOSED);
    buf_deinit(&large);
    pair_close(&pair);
}

static void test_mutual_tls_tells_who_the_client_is(void **state)
{
    (void)state;
    struct pair pair;
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    server.ca_file = PATH("ca.pem");
    server.require_certificate = true;
    client.certificate_file = PATH("alice.pem");
    client.key_file = PATH("alice.key");
    pair_open(&pair, &server, &client, "localhost");
    shake_hands(&pair);
    const struct tls_peer *peer = tls_session_peer(pair.server);
    assert_non_null(peer);
    assert_string_equal(peer->common_name, "alice");
    assert_string_equal(peer->subject, "CN=alice");
    assert_string_equal(peer->names[0], "alice.example");
    assert_string_equal(peer->names[1], "spiffe://a/b");
    assert_null(peer->names[2]);
    pair_close(&pair);
}

/* The handshake ends with this error on the server (or the client). */
static void expect_refusal(const struct tls_options *server, const struct tls_options *client,
                           const char *name, bool by_server, int code, const char *text)
{
    struct pair pair;
    pair_open(&pair, server, client, name);
    shake_hands(&pair);
    const struct err *err = by_server ? &pair.server_err : &pair.client_err;
    assert_int_equal(err->code, code);
    if (strstr(err->text, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, err->text);
    }
    assert_false(tls_session_is_established(by_server ? pair.server : pair.client));
    pair_close(&pair);
}

static void test_a_client_without_a_certificate_is_refused(void **state)
{
    (void)state;
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    server.ca_file = PATH("ca.pem");
    server.require_certificate = true;
    expect_refusal(&server, &client, "localhost", true, ERR_DENIED,
                   "peer did not return a certificate");
}

static void expect_client_refused(const char *file, const char *text)
{
    char pem[32];
    char key[32];
    (void)snprintf(pem, sizeof pem, "%s.pem", file);
    (void)snprintf(key, sizeof key, "%s.key", file);
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    server.ca_file = PATH("ca.pem");
    server.require_certificate = true;
    client.certificate_file = PATH(pem);
    client.key_file = PATH(key);
    expect_refusal(&server, &client, "localhost", true, ERR_DENIED, text);
}

static void test_certificates_outside_their_time_are_refused(void **state)
{
    (void)state;
    authority_issue(&authority, "old",
                    &(struct certificate_options){.common_name = "old", .is_expired = true});
    authority_issue(
        &authority, "young",
        &(struct certificate_options){.common_name = "young", .is_not_yet_valid = true});
    expect_client_refused("old", "certificate has expired");
    expect_client_refused("young", "certificate is not yet valid");
}

static void test_a_certificate_of_another_authority_is_refused(void **state)
{
    (void)state;
    struct authority other;
    authority_init(&other, "ca");
    authority_issue(&other, "mallory", &(struct certificate_options){.common_name = "mallory"});
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    server.ca_file = PATH("ca.pem");
    client.certificate_file = authority_path(&other, "mallory.pem");
    client.key_file = authority_path(&other, "mallory.key");
    /* Even a server that does not require certificates refuses a bad one. */
    expect_refusal(&server, &client, "localhost", true, ERR_DENIED, "certificate refused");
    client = client_options();
    client.ca_file = authority_path(&other, "ca.pem");
    expect_refusal(&server, &client, "localhost", false, ERR_DENIED, "certificate refused");
    authority_deinit(&other);
}

static void test_a_server_with_another_name_is_refused(void **state)
{
    (void)state;
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    expect_refusal(&server, &client, "other.example", false, ERR_DENIED, "hostname mismatch");
    expect_refusal(&server, &client, "127.0.0.2", false, ERR_DENIED, "IP address mismatch");
    struct pair pair;
    client.skip_verify = true;
    pair_open(&pair, &server, &client, "other.example");
    shake_hands(&pair);
    assert_true(tls_session_is_established(pair.client));
    assert_null(tls_session_peer(pair.client)); /* nobody was verified */
    pair_close(&pair);
    client = client_options();
    client.server_name = "kv.example";
    pair_open(&pair, &server, &client, "other.example");
    shake_hands(&pair);
    assert_true(tls_session_is_established(pair.client));
    pair_close(&pair);
}

static void test_a_revoked_certificate_is_refused(void **state)
{
    (void)state;
    long serial =
        authority_issue(&authority, "bob", &(struct certificate_options){.common_name = "bob"});
    authority_revoke(&authority, "list", serial);
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    server.ca_file = PATH("ca.pem");
    server.crl_file = PATH("list.crl");
    server.require_certificate = true;
    client.certificate_file = PATH("bob.pem");
    client.key_file = PATH("bob.key");
    expect_refusal(&server, &client, "localhost", true, ERR_DENIED, "certificate revoked");
    struct pair pair;
    client.certificate_file = PATH("alice.pem");
    client.key_file = PATH("alice.key");
    pair_open(&pair, &server, &client, "localhost");
    shake_hands(&pair);
    assert_true(tls_session_is_established(pair.server));
    pair_close(&pair);
}

static void test_allow_lists_come_on_top_of_the_chain(void **state)
{
    (void)state;
    static const char *const good_names[] = {"bob", "alice", NULL};
    static const char *const bad_names[] = {"bob", NULL};
    static const char *const good_hosts[] = {"alice.example", NULL};
    static const char *const bad_hosts[] = {"bob.example", NULL};
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    server.ca_file = PATH("ca.pem");
    server.require_certificate = true;
    client.certificate_file = PATH("alice.pem");
    client.key_file = PATH("alice.key");
    server.allowed_common_names = bad_names;
    expect_refusal(&server, &client, "localhost", true, ERR_DENIED, "common name of");
    server.allowed_common_names = good_names;
    server.allowed_host_names = bad_hosts;
    expect_refusal(&server, &client, "localhost", true, ERR_DENIED, "host name is not allowed for");
    server.allowed_host_names = good_hosts;
    struct pair pair;
    pair_open(&pair, &server, &client, "localhost");
    shake_hands(&pair);
    assert_true(tls_session_is_established(pair.server));
    pair_close(&pair);
}

static void test_versions_below_the_minimum_are_refused(void **state)
{
    (void)state;
    struct tls_options server = server_options();
    struct tls_options client = client_options();
    server.version_min = TLS_VERSION_1_3;
    client.version_max = TLS_VERSION_1_2;
    expect_refusal(&server, &client, "localhost", true, ERR_PROTOCOL, "unsupported protocol");
    server.version_min = TLS_VERSION_1_2;
    struct pair pair;
    pair_open(&pair, &server, &client, "localhost");
    shake_hands(&pair);
    assert_string_equal(tls_session_version(pair.client), "TLSv1.2");
    pair_close(&pair);
}

static void test_garbage_is_a_protocol_error(void **state)
{
    (void)state;
    static const char *const inputs[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff",
                                         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "xxxxxxxxxxxxxxxx"};
    struct tls_options options = server_options();
    struct tls_context *context = context_of(&options);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct tls_session *session = tls_session_new(context, NULL);
        CLEANUP(buf) struct buf plain = BUF_INIT;
        struct err err = {0};
        assert_int_equal(tls_session_receive(session, bytes_from_text(inputs[i]), &plain, &err),
                         ERR_PROTOCOL);
        assert_non_null(strstr(err.text, "tls: handshake failed: "));
        assert_int_equal(tls_session_receive(session, BYTES_LITERAL("x"), &plain, &err),
                         ERR_CLOSED);
        tls_session_free(session);
    }
    tls_context_unref(context);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void expect_served(struct tls_context *context, const char *common_name)
{
    struct tls_options options = client_options();
    struct pair pair = {.server_context = tls_context_ref(context),
                        .client_context = context_of(&options)};
    pair.server = tls_session_new(pair.server_context, NULL);
    pair.client = tls_session_new(pair.client_context, "localhost");
    shake_hands(&pair);
    assert_true(tls_session_is_established(pair.client));
    assert_string_equal(tls_session_peer(pair.client)->common_name, common_name);
    pair_close(&pair);
}

static const struct certificate_options renewable = {.alternative_names = "DNS:localhost"};

static void issue_as(const char *common_name)
{
    struct certificate_options options = renewable;
    options.common_name = common_name;
    authority_issue(&authority, "renewed", &options);
}

static void test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not(void **state)
{
    (void)state;
    issue_as("first");
    struct tls_options options = server_options();
    options.certificate_file = PATH("renewed.pem");
    options.key_file = PATH("renewed.key");
    struct tls_context *context = context_of(&options);
    struct err err = {0};
    assert_int_equal(tls_context_reload_if_changed(context, &err), 0);
    expect_served(context, "first");
    issue_as("second");
    assert_int_equal(tls_context_reload_if_changed(context, &err), 1);
    expect_served(context, "second");
    /* Half written: an error that names the file, once; what was there goes on. */
    write_file(PATH("renewed.pem"), "-----BEGIN CERTIFICATE-----\nMIIB");
    assert_true(tls_context_reload_if_changed(context, &err) < 0);
    assert_non_null(strstr(err.text, "renewed.pem"));
    assert_int_equal(tls_context_reload_if_changed(context, &err), 0);
    expect_served(context, "second");
    /* A certificate that is not this key's. */
    issue_as("third");
    issue_as("fourth");
    authority_issue(&authority, "stranger", &(struct certificate_options){.common_name = "x"});
    assert_int_equal(rename(PATH("stranger.key"), PATH("renewed.key")), 0);
    assert_true(tls_context_reload_if_changed(context, &err) < 0);
    assert_non_null(strstr(err.text, "key"));
    expect_served(context, "second");
    issue_as("fifth");
    assert_int_equal(tls_context_reload_if_changed(context, &err), 1);
    expect_served(context, "fifth");
    tls_context_unref(context);
}

static void test_options_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    struct err err = {0};
    struct tls_options options = server_options();
    options.key_file = NULL;
    assert_null(tls_context_new(&options, &err));
    assert_int_equal(err.code, ERR_INVALID);
    options = server_options();
    options.require_certificate = true;
    assert_null(tls_context_new(&options, &err));
    options = server_options();
    options.certificate_file = "/nonexistent.pem";
    assert_null(tls_context_new(&options, &err));
    assert_non_null(strstr(err.text, "/nonexistent.pem"));
    options = server_options();
    options.cipher_suites = "NIX";
    assert_null(tls_context_new(&options, &err));
    options = client_options();
    options.ca_file = PATH("server.key");
    assert_null(tls_context_new(&options, &err));
    options = (struct tls_options){.role = HTTP_SERVER};
    assert_null(tls_context_new(&options, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_agree_on_tls_1_3_and_h2),
        cmocka_unit_test(test_data_passes_byte_by_byte),
        cmocka_unit_test(test_mutual_tls_tells_who_the_client_is),
        cmocka_unit_test(test_a_client_without_a_certificate_is_refused),
        cmocka_unit_test(test_certificates_outside_their_time_are_refused),
        cmocka_unit_test(test_a_certificate_of_another_authority_is_refused),
        cmocka_unit_test(test_a_server_with_another_name_is_refused),
        cmocka_unit_test(test_a_revoked_certificate_is_refused),
        cmocka_unit_test(test_allow_lists_come_on_top_of_the_chain),
        cmocka_unit_test(test_versions_below_the_minimum_are_refused),
        cmocka_unit_test(test_garbage_is_a_protocol_error),
        cmocka_unit_test(test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not),
        cmocka_unit_test(test_options_that_contradict_each_other_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
