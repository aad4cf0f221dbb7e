#include "kvstore/server/jwt.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "kvstore/server/config.h"
#include "proto/base64.h"
#include "proto/json_reader.h"

enum {
    SIGNATURE_MAX = 1024,
    KEY_FILE_MAX = 64 << 10,
    TOKEN_SIZE_MAX = 8192,
    TTL_DEFAULT_S = 300,
    METHOD_SIZE = 8
};

enum jwt_family { JWT_RS, JWT_PS, JWT_ES, JWT_HS };

struct jwt {
    char method[METHOD_SIZE]; /* "RS256" */
    enum jwt_family family;
    const EVP_MD *digest;
    size_t coordinate_size; /* ES: bytes of r and of s */
    EVP_PKEY *sign_key;     /* NULL: none */
    EVP_PKEY *verify_key;
    uint8_t *secret; /* HS */
    size_t secret_size;
    int64_t ttl_s;
};

/* --- options --------------------------------------------------------------------------------- */

static int set_method(struct jwt *jwt, const char *method, struct err *err)
{
    static const char *const families[] = {"RS", "PS", "ES", "HS"};
    int family = 0;
    while (family < 4 && strncmp(method, families[family], 2) != 0) {
        family += 1;
    }
    const char *bits = family < 4 ? method + 2 : "";
    jwt->digest = strcmp(bits, "256") == 0   ? EVP_sha256()
                  : strcmp(bits, "384") == 0 ? EVP_sha384()
                  : strcmp(bits, "512") == 0 ? EVP_sha512()
                                             : NULL;
    if (jwt->digest == NULL) {
        return err_set(err, ERR_INVALID, "the sign-method '%s' is not known", method);
    }
    jwt->family = (enum jwt_family)family;
    jwt->coordinate_size = strcmp(bits, "256") == 0 ? 32 : strcmp(bits, "384") == 0 ? 48 : 66;
    (void)snprintf(jwt->method, sizeof jwt->method, "%s", method);
    return 0;
}

static int read_secret(struct jwt *jwt, FILE *file, const char *path, struct err *err)
{
    jwt->secret = mem_alloc(KEY_FILE_MAX);
    jwt->secret_size = fread(jwt->secret, 1, KEY_FILE_MAX, file);
    return jwt->secret_size > 0 && jwt->secret_size < KEY_FILE_MAX
               ? 0
               : err_set(err, ERR_INVALID, "the key file %s is empty or too large", path);
}

static bool is_right_kind(const struct jwt *jwt, const EVP_PKEY *key)
{
    int type = EVP_PKEY_get_base_id(key);
    if (jwt->family == JWT_ES) {
        return type == EVP_PKEY_EC &&
               (size_t)(EVP_PKEY_get_bits(key) + 7) / 8 == jwt->coordinate_size;
    }
    return type == EVP_PKEY_RSA;
}

/* A public key, or a certificate with one. */
static EVP_PKEY *read_public(FILE *file)
{
    EVP_PKEY *key = PEM_read_PUBKEY(file, NULL, NULL, NULL);
    if (key != NULL) {
        return key;
    }
    rewind(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    key = certificate == NULL ? NULL : X509_get_pubkey(certificate);
    X509_free(certificate);
    return key;
}

static int read_key(struct jwt *jwt, const char *path, bool is_private, struct err *err)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return err_set(err, ERR_IO, "cannot open the key file %s", path);
    }
    int code = 0;
    if (jwt->family == JWT_HS) {
        code = read_secret(jwt, file, path, err);
    } else {
        EVP_PKEY *key =
            is_private ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : read_public(file);
        if (key == NULL || !is_right_kind(jwt, key)) {
            EVP_PKEY_free(key);
            code = err_set(err, ERR_INVALID, "%s holds no key for %s", path, jwt->method);
        } else if (is_private) {
            jwt->sign_key = key;
        } else {
            jwt->verify_key = key;
        }
    }
    (void)fclose(file); /* it was only read */
    return code;
}

/* The value of name in "jwt,name=value,name=value", or "". */
static const char *option(struct arena *arena, const char *options, const char *name)
{
    size_t name_size = strlen(name);
    for (const char *at = strchr(options, ','); at != NULL; at = strchr(at, ',')) {
        at += 1;
        if (strncmp(at, name, name_size) == 0 && at[name_size] == '=') {
            const char *value = at + name_size + 1;
            return arena_text(arena, bytes_make(value, strcspn(value, ",")));
        }
    }
    return "";
}

static int configure(struct jwt *jwt, const char *options, struct err *err)
{
    CLEANUP(arena) struct arena arena = {0};
    const char *ttl = option(&arena, options, "ttl");
    const char *public_key = option(&arena, options, "pub-key");
    const char *private_key = option(&arena, options, "priv-key");
    int64_t ttl_ns = INT64_C(1000000000) * TTL_DEFAULT_S;
    if (ttl[0] != 0 && (config_parse_duration(ttl, &ttl_ns) != 0 || ttl_ns < 1000000000)) {
        return err_set(err, ERR_INVALID, "'%s' is not a time to live for tokens", ttl);
    }
    jwt->ttl_s = ttl_ns / 1000000000;
    int code = set_method(jwt, option(&arena, options, "sign-method"), err);
    if (code == 0 && private_key[0] != 0) {
        code = read_key(jwt, private_key, /* is_private= */ true, err);
    }
    if (code == 0 && jwt->family != JWT_HS && public_key[0] != 0) {
        code = read_key(jwt, public_key, /* is_private= */ false, err);
    }
    if (code == 0 && jwt->verify_key == NULL && jwt->sign_key != NULL) {
        jwt->verify_key = jwt->sign_key; /* a private key holds the public one */
        code = EVP_PKEY_up_ref(jwt->verify_key) == 1 ? 0 : ERR_INVALID;
    }
    if (code == 0 && jwt->verify_key == NULL && jwt->secret == NULL) {
        code = err_set(err, ERR_INVALID, "--auth-token=jwt needs a key to verify tokens");
    }
    return code;
}

int jwt_new(const char *options, struct jwt **ret_jwt, struct err *err)
{
    struct jwt *jwt = mem_zalloc(sizeof *jwt);
    int code = configure(jwt, options, err);
    if (code != 0) {
        jwt_free(jwt);
        return code;
    }
    *ret_jwt = jwt;
    return 0;
}

void jwt_free(struct jwt *jwt)
{
    if (jwt == NULL) {
        return;
    }
    EVP_PKEY_free(jwt->sign_key);
    EVP_PKEY_free(jwt->verify_key);
    if (jwt->secret != NULL) {
        OPENSSL_cleanse(jwt->secret, jwt->secret_size);
    }
    mem_free(jwt->secret);
    mem_free(jwt);
}

/* --- signatures ------------------------------------------------------------------------------ */

static bool set_padding(const struct jwt *jwt, EVP_PKEY_CTX *context)
{
    return jwt->family != JWT_PS ||
           (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1);
}

/* JWS wants r and s side by side, OpenSSL speaks DER. */
static bool der_to_pair(const struct jwt *jwt, uint8_t *signature, size_t *size)
{
    const uint8_t *at = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)*size);
    int width = (int)jwt->coordinate_size;
    bool ok = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, width) == width &&
              BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + width, width) == width;
    ECDSA_SIG_free(pair);
    *size = 2 * jwt->coordinate_size;
    return ok;
}

static bool pair_to_der(const struct jwt *jwt, struct bytes raw, uint8_t *out, size_t *ret_size)
{
    int width = (int)jwt->coordinate_size;
    if (raw.size != 2 * jwt->coordinate_size) {
        return false;
    }
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw.data, width, NULL);
    BIGNUM *s = BN_bin2bn(raw.data + width, width, NULL);
    if (pair == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(pair);
        return false;
    }
    int size = i2d_ECDSA_SIG(pair, &out);
    ECDSA_SIG_free(pair);
    *ret_size = size > 0 ? (size_t)size : 0;
    return size > 0;
}

static bool make_signature(const struct jwt *jwt, struct bytes text, uint8_t *out, size_t *ret_size)
{
    *ret_size = SIGNATURE_MAX;
    if (jwt->family == JWT_HS) {
        unsigned size = 0;
        const uint8_t *made =
            HMAC(jwt->digest, jwt->secret, (int)jwt->secret_size, text.data, text.size, out, &size);
        *ret_size = size;
        return made != NULL;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key = NULL;
    bool ok = context != NULL &&
              EVP_DigestSignInit(context, &key, jwt->digest, NULL, jwt->sign_key) == 1 &&
              set_padding(jwt, key) &&
              EVP_DigestSign(context, out, ret_size, text.data, text.size) == 1;
    EVP_MD_CTX_free(context);
    return ok && (jwt->family != JWT_ES || der_to_pair(jwt, out, ret_size));
}

static bool check_signature(const struct jwt *jwt, struct bytes text, struct bytes signature)
{
    uint8_t made[SIGNATURE_MAX];
    size_t size = 0;
    if (signature.size == 0 || signature.size > SIGNATURE_MAX / 2) {
        return false;
    }
    if (jwt->family == JWT_HS) {
        return make_signature(jwt, text, made, &size) && size == signature.size &&
               CRYPTO_memcmp(made, signature.data, size) == 0;
    }
    if (jwt->family == JWT_ES) {
        if (!pair_to_der(jwt, signature, made, &size)) {
            return false;
        }
        signature = bytes_make(made, size);
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key = NULL;
    bool ok = context != NULL &&
              EVP_DigestVerifyInit(context, &key, jwt->digest, NULL, jwt->verify_key) == 1 &&
              set_padding(jwt, key) &&
              EVP_DigestVerify(context, signature.data, signature.size, text.data, text.size) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

/* --- tokens ---------------------------------------------------------------------------------- */

/* The URL-safe alphabet without padding. */
static void append_part(struct buf *out, struct bytes data)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    base64_append(&text, data);
    struct bytes standard = buf_bytes(&text);
    for (size_t i = 0; i < standard.size && standard.data[i] != '='; i++) {
        uint8_t letter = standard.data[i];
        buf_append_u8(out, letter == '+' ? '-' : letter == '/' ? '_' : letter);
    }
}

int jwt_sign(const struct jwt *jwt, struct bytes username, uint64_t revision, int64_t now_s,
             struct buf *out)
{
    if (jwt->sign_key == NULL && jwt->secret == NULL) {
        return ERR_DENIED;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(buf) struct buf part = BUF_INIT;
    buf_append_format(&part, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", jwt->method);
    append_part(&text, buf_bytes(&part));
    buf_append_u8(&text, '.');
    buf_clear(&part);
    buf_append_format(&part, "{\"exp\":%lld,\"revision\":%llu,\"username\":",
                      (long long)(now_s + jwt->ttl_s), (unsigned long long)revision);
    json_text_append_quoted(&part, username);
    buf_append_u8(&part, '}');
    append_part(&text, buf_bytes(&part));
    uint8_t signature[SIGNATURE_MAX];
    size_t size = 0;
    if (!make_signature(jwt, buf_bytes(&text), signature, &size)) {
        return ERR_INVALID;
    }
    buf_append_u8(&text, '.');
    append_part(&text, bytes_make(signature, size));
    buf_append_bytes(out, buf_bytes(&text));
    return 0;
}

struct claims {
    struct bytes algorithm;
    struct bytes username;
    double revision;
    double expiry_s;
};

static bool take_number(struct json_reader *reader, double *ret)
{
    struct bytes text;
    char digits[32];
    if (!json_take_number(reader, &text) || text.size >= sizeof digits) {
        return false;
    }
    memcpy(digits, text.data, text.size);
    digits[text.size] = 0;
    *ret = strtod(digits, NULL);
    return *ret >= 0 && *ret < 9e15;
}

static bool take_member(struct json_reader *reader, struct claims *claims)
{
    struct bytes name;
    if (!json_take_string(reader, &name) || !json_take_mark(reader, ':')) {
        return false;
    }
    if (bytes_equal(name, BYTES_LITERAL("alg"))) {
        return json_take_string(reader, &claims->algorithm);
    }
    if (bytes_equal(name, BYTES_LITERAL("username"))) {
        return json_take_string(reader, &claims->username);
    }
    if (bytes_equal(name, BYTES_LITERAL("revision"))) {
        return take_number(reader, &claims->revision);
    }
    if (bytes_equal(name, BYTES_LITERAL("exp"))) {
        return take_number(reader, &claims->expiry_s);
    }
    return json_skip_value(reader, 0);
}

/* One part of a token: an object in base64. */
static bool decode_part(struct bytes part, struct arena *arena, struct claims *claims)
{
    struct bytes text;
    if (!base64_parse(part, arena, &text)) {
        return false;
    }
    struct json_reader reader = json_reader_make(text, arena);
    if (!json_take_mark(&reader, '{')) {
        return false;
    }
    bool is_first = true;
    while (!json_take_mark(&reader, '}')) {
        if ((!is_first && !json_take_mark(&reader, ',')) || !take_member(&reader, claims)) {
            return false;
        }
        is_first = false;
    }
    return json_peek(&reader) == JSON_END;
}

int jwt_verify(const struct jwt *jwt, struct bytes token, int64_t now_s, struct arena *arena,
               struct bytes *ret_username, uint64_t *ret_revision)
{
    struct claims header = {0};
    struct claims claims = {.revision = -1, .expiry_s = -1};
    struct bytes signature;
    if (token.size == 0 || token.size > TOKEN_SIZE_MAX) {
        return ERR_DENIED;
    }
    const uint8_t *end = token.data + token.size;
    const uint8_t *first = memchr(token.data, '.', token.size);
    const uint8_t *last = memrchr(token.data, '.', token.size);
    if (first == NULL || first == last) {
        return ERR_DENIED;
    }
    struct bytes text = bytes_make(token.data, (size_t)(last - token.data));
    if (!decode_part(bytes_make(token.data, (size_t)(first - token.data)), arena, &header) ||
        !bytes_equal(header.algorithm, bytes_from_text(jwt->method)) ||
        !base64_parse(bytes_make(last + 1, (size_t)(end - last - 1)), arena, &signature) ||
        !check_signature(jwt, text, signature)) {
        return ERR_DENIED;
    }
    if (!decode_part(bytes_make(first + 1, (size_t)(last - first - 1)), arena, &claims) ||
        claims.username.size == 0 || claims.revision < 0 || claims.expiry_s <= (double)now_s) {
        return ERR_DENIED;
    }
    *ret_username = claims.username;
    *ret_revision = (uint64_t)claims.revision;
    return 0;
}
