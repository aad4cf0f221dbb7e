/* Tokens are what was signed with our key and our method, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/cleanup.h"
#include "kvstore/server/jwt.h"

enum { NOW = 1000000, TTL = 60 };

static char directory[] = "/tmp/test_jwt_XXXXXX";

/* Key files "<name>.key" and "<name>.pub". */
static void write_keys(const char *name, EVP_PKEY *key)
{
    char path[128];
    assert_non_null(key);
    (void)snprintf(path, sizeof path, "%s/%s.key", directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof path, "%s/%s.pub", directory, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_PUBKEY(file, key), 1);
    assert_int_equal(fclose(file), 0);
    EVP_PKEY_free(key);
}

static int make_keys(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    write_keys("rsa", EVP_RSA_gen(2048));
    write_keys("other", EVP_RSA_gen(2048));
    write_keys("ec256", EVP_EC_gen("P-256"));
    write_keys("ec384", EVP_EC_gen("P-384"));
    write_keys("ec521", EVP_EC_gen("P-521"));
    return 0;
}

static int remove_keys(void **state)
{
    (void)state;
    static const char *const names[] = {"rsa", "other", "ec256", "ec384", "ec521"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s.key", directory, names[i]);
        assert_int_equal(unlink(path), 0);
        (void)snprintf(path, sizeof path, "%s/%s.pub", directory, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    return rmdir(directory);
}

static int open_jwt(const char *method, const char *key, const char *public_key, struct jwt **ret)
{
    char options[512];
    struct err err = {0};
    (void)snprintf(options, sizeof options,
                   "jwt,sign-method=%s,priv-key=%s/%s.key,pub-key=%s/%s.pub,ttl=%ds", method,
                   directory, key, directory, public_key, TTL);
    return jwt_new(options, ret, &err);
}

static int verify(const struct jwt *jwt, struct bytes token, int64_t now_s)
{
    CLEANUP(arena) struct arena arena = {0};
    struct bytes name;
    uint64_t revision;
    int code = jwt_verify(jwt, token, now_s, &arena, &name, &revision);
    if (code == 0) {
        assert_true(bytes_equal(name, BYTES_LITERAL("a \"user\"")));
        assert_int_equal(revision, 42);
    }
    return code;
}

static void sign(const struct jwt *jwt, struct buf *token)
{
    assert_int_equal(jwt_sign(jwt, BYTES_LITERAL("a \"user\""), 42, NOW, token), 0);
}

static void test_a_token_is_good_until_it_expires_and_not_with_one_letter_changed(void **state)
{
    (void)state;
    static const char *const methods[][2] = {
        {"RS256", "rsa"},   {"RS384", "rsa"},   {"RS512", "rsa"},   {"PS256", "rsa"},
        {"PS512", "rsa"},   {"ES256", "ec256"}, {"ES384", "ec384"}, {"ES512", "ec521"},
        {"HS256", "ec256"}, {"HS384", "rsa"},   {"HS512", "rsa"}};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct jwt *jwt = NULL;
        CLEANUP(buf) struct buf token = BUF_INIT;
        assert_int_equal(open_jwt(methods[i][0], methods[i][1], methods[i][1], &jwt), 0);
        sign(jwt, &token);
        assert_int_equal(verify(jwt, buf_bytes(&token), NOW), 0);
        assert_int_equal(verify(jwt, buf_bytes(&token), NOW + TTL - 1), 0);
        assert_int_equal(verify(jwt, buf_bytes(&token), NOW + TTL), ERR_DENIED);
        size_t size = buf_size(&token);
        for (size_t at = 0; at + 1 < size; at += 7) { /* the last letter has unused bits */
            uint8_t *letter = token.data + token.start + at;
            uint8_t old = *letter;
            *letter = old == 'A' ? 'B' : 'A';
            assert_int_equal(verify(jwt, buf_bytes(&token), NOW), ERR_DENIED);
            *letter = old;
        }
        for (size_t length = 0; length < size; length += 11) {
            assert_int_equal(verify(jwt, bytes_make(token.data + token.start, length), NOW),
                             ERR_DENIED);
        }
        jwt_free(jwt);
    }
}

static void test_a_token_of_another_key_or_method_is_refused(void **state)
{
    (void)state;
    struct jwt *jwt = NULL;
    struct jwt *other_key = NULL;
    struct jwt *other_method = NULL;
    CLEANUP(buf) struct buf token = BUF_INIT;
    assert_int_equal(open_jwt("RS256", "rsa", "rsa", &jwt), 0);
    assert_int_equal(open_jwt("RS256", "other", "other", &other_key), 0);
    assert_int_equal(open_jwt("RS512", "rsa", "rsa", &other_method), 0);
    sign(jwt, &token);
    assert_int_equal(verify(other_key, buf_bytes(&token), NOW), ERR_DENIED);
    assert_int_equal(verify(other_method, buf_bytes(&token), NOW), ERR_DENIED);
    /* {"alg":"none","typ":"JWT"} . {"username":"a","revision":42,"exp":9000000} . nothing */
    assert_int_equal(verify(jwt,
                            BYTES_LITERAL("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0."
                                          "eyJ1c2VybmFtZSI6ImEiLCJyZXZpc2lvbiI6NDIsImV4cCI6"
                                          "OTAwMDAwMH0."),
                            NOW),
                     ERR_DENIED);
    jwt_free(jwt);
    jwt_free(other_key);
    jwt_free(other_method);
}

static void test_wrong_options_are_refused(void **state)
{
    (void)state;
    struct jwt *jwt = NULL;
    struct err err = {0};
    assert_int_equal(open_jwt("XS256", "rsa", "rsa", &jwt), ERR_INVALID);
    assert_int_equal(open_jwt("RS255", "rsa", "rsa", &jwt), ERR_INVALID);
    assert_int_equal(open_jwt("RS256", "ec256", "ec256", &jwt), ERR_INVALID);
    assert_int_equal(open_jwt("ES256", "ec384", "ec384", &jwt), ERR_INVALID);
    assert_int_equal(open_jwt("RS256", "missing", "rsa", &jwt), ERR_IO);
    assert_int_equal(jwt_new("jwt,sign-method=RS256", &jwt, &err), ERR_INVALID);
    assert_int_equal(jwt_new("jwt,sign-method=RS256,ttl=x", &jwt, &err), ERR_INVALID);
}

static void test_without_a_private_key_tokens_are_only_verified(void **state)
{
    (void)state;
    struct jwt *both = NULL;
    struct jwt *verifier = NULL;
    struct err err = {0};
    char options[256];
    CLEANUP(buf) struct buf token = BUF_INIT;
    (void)snprintf(options, sizeof options, "jwt,pub-key=%s/rsa.pub,sign-method=RS256", directory);
    assert_int_equal(jwt_new(options, &verifier, &err), 0);
    assert_int_equal(open_jwt("RS256", "rsa", "rsa", &both), 0);
    sign(both, &token);
    assert_int_equal(verify(verifier, buf_bytes(&token), NOW), 0);
    assert_int_equal(jwt_sign(verifier, BYTES_LITERAL("a"), 1, NOW, &token), ERR_DENIED);
    jwt_free(both);
    jwt_free(verifier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_good_until_it_expires_and_not_with_one_letter_changed),
        cmocka_unit_test(test_a_token_of_another_key_or_method_is_refused),
        cmocka_unit_test(test_wrong_options_are_refused),
        cmocka_unit_test(test_without_a_private_key_tokens_are_only_verified),
    };
    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
