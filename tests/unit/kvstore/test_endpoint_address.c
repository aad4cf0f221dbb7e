#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/client/endpoint_address.h"
#include "kvstore/client/key_range.h"

static void test_every_form_of_endpoint_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
        const char *unix_path;
        enum endpoint_security security;
    } cases[] = {
        {"127.0.0.1:2379", "127.0.0.1", 2379, "", ENDPOINT_AS_CONFIGURED},
        {"example.org", "example.org", 2379, "", ENDPOINT_AS_CONFIGURED},
        {"http://a:1", "a", 1, "", ENDPOINT_PLAIN},
        {"https://b:65535/path", "b", 65535, "", ENDPOINT_TLS},
        {"[::1]:22", "::1", 22, "", ENDPOINT_AS_CONFIGURED},
        {"https://[fe80::1]", "fe80::1", 2379, "", ENDPOINT_TLS},
        {"::1", "::1", 2379, "", ENDPOINT_AS_CONFIGURED},
        {"unix:/run/kv.sock", "", 0, "/run/kv.sock", ENDPOINT_PLAIN},
        {"unix:///run/kv.sock", "", 0, "/run/kv.sock", ENDPOINT_PLAIN},
        {"unixs:///run/kv.sock", "", 0, "/run/kv.sock", ENDPOINT_TLS},
        {"unix://relative:1", "", 0, "relative:1", ENDPOINT_PLAIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct endpoint_address address;
        struct err err;
        assert_int_equal(endpoint_address_parse(cases[i].text, &address, &err), 0);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        assert_string_equal(address.unix_path, cases[i].unix_path);
        assert_int_equal(address.security, cases[i].security);
    }
}

static void test_what_is_no_endpoint_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",        ":1",      "a:",   "a:0",      "a:65536", "a:x",
                                      "ftp://a", "http://", "[::1", "[::1]x:1", "unix:",   "a:-1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct endpoint_address address;
        struct err err;
        assert_int_equal(endpoint_address_parse(bad[i], &address, &err), ERR_INVALID);
        assert_non_null(strstr(err.text, bad[i]));
    }
    char endless[400];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    struct endpoint_address address;
    assert_int_equal(endpoint_address_parse(endless, &address, NULL), ERR_INVALID);
}

static void test_the_end_of_a_prefix_is_right_behind_it(void **state)
{
    (void)state;
    static const struct {
        struct bytes prefix;
        struct bytes end;
    } cases[] = {
        {{(const uint8_t *)"abc", 3}, {(const uint8_t *)"abd", 3}},
        {{(const uint8_t *)"a\xff", 2}, {(const uint8_t *)"b", 1}},
        {{(const uint8_t *)"a\xff\xff", 3}, {(const uint8_t *)"b", 1}},
        {{(const uint8_t *)"\xff", 1}, {(const uint8_t *)"", 1}},
        {{(const uint8_t *)"", 0}, {(const uint8_t *)"", 1}},
        {{(const uint8_t *)"\xfe\xff", 2}, {(const uint8_t *)"\xff", 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(buf) struct buf out = BUF_INIT;
        key_range_append_prefix_end(&out, cases[i].prefix);
        assert_true(bytes_equal(buf_bytes(&out), cases[i].end));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_form_of_endpoint_is_read),
        cmocka_unit_test(test_what_is_no_endpoint_is_refused),
        cmocka_unit_test(test_the_end_of_a_prefix_is_right_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
