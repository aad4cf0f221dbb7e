#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/tls_internal.h"

/* AEAD with forward secrecy only (RFC 7525, RFC 9113 appendix A). */
static const char default_ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

static const uint8_t alpn_both[] = "\x02h2\x08http/1.1";
static const uint8_t alpn_http1[] = "\x08http/1.1";

enum { FILE_COUNT = 4 };

struct tls_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
};

static void stamp_file(const char *path, struct tls_stamp *stamp)
{
    struct stat info;
    memset(stamp, 0, sizeof *stamp);
    if (path != NULL && stat(path, &info) == 0) {
        stamp->device = info.st_dev;
        stamp->inode = info.st_ino;
        stamp->size = info.st_size;
        stamp->modified = info.st_mtim;
    }
}

static void stamp_files(const struct tls_options *options, struct tls_stamp stamps[FILE_COUNT])
{
    stamp_file(options->certificate_file, &stamps[0]);
    stamp_file(options->key_file, &stamps[1]);
    stamp_file(options->ca_file, &stamps[2]);
    stamp_file(options->crl_file, &stamps[3]);
}

const char *tls_error_text(char *text, size_t size)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    (void)snprintf(text, size, "%s", reason == NULL ? "unknown TLS error" : reason);
    ERR_clear_error();
    return text;
}

static int fail(struct err *err, const char *what, const char *path)
{
    char reason[200];
    return err_set(err, ERR_INVALID, "%s %s: %s", what, path,
                   tls_error_text(reason, sizeof reason));
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                       const unsigned char *in, unsigned in_size, void *context)
{
    (void)ssl;
    const struct tls_context *tls = context;
    const uint8_t *ours = tls->options.only_http1 ? alpn_http1 : alpn_both;
    unsigned size = tls->options.only_http1 ? sizeof alpn_http1 - 1 : sizeof alpn_both - 1;
    unsigned char *selected = NULL;
    if (SSL_select_next_proto(&selected, out_size, ours, size, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

static int load_identity(SSL_CTX *ssl, const struct tls_options *options, struct err *err)
{
    if (options->certificate_file == NULL) {
        return 0;
    }
    if (SSL_CTX_use_certificate_chain_file(ssl, options->certificate_file) != 1) {
        return fail(err, "certificate", options->certificate_file);
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, options->key_file, SSL_FILETYPE_PEM) != 1) {
        return fail(err, "private key", options->key_file);
    }
    return SSL_CTX_check_private_key(ssl) == 1 ? 0 : fail(err, "private key", options->key_file);
}

/* A list that was not renewed in time still tells whom to refuse. To refuse everybody because of
 * it, as OpenSSL does, would stop a cluster at a date; etcd does not look at the date either. */
static int on_verified(int is_ok, X509_STORE_CTX *context)
{
    if (is_ok == 0 && X509_STORE_CTX_get_error(context) == X509_V_ERR_CRL_HAS_EXPIRED) {
        X509_STORE_CTX_set_error(context, X509_V_OK);
        return 1;
    }
    return is_ok;
}

static int load_trust(SSL_CTX *ssl, const struct tls_options *options, struct err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    if (options->ca_file != NULL) {
        if (SSL_CTX_load_verify_file(ssl, options->ca_file) != 1) {
            return fail(err, "trusted certificates", options->ca_file);
        }
        if (options->role == HTTP_SERVER) {
            SSL_CTX_set_client_CA_list(ssl, SSL_load_client_CA_file(options->ca_file));
        }
    } else if (options->role == HTTP_CLIENT && SSL_CTX_set_default_verify_paths(ssl) != 1) {
        return fail(err, "trusted certificates", "of the system");
    }
    if (options->crl_file != NULL) {
        X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
        if (lookup == NULL ||
            (X509_load_crl_file(lookup, options->crl_file, X509_FILETYPE_PEM) < 1 &&
             X509_load_crl_file(lookup, options->crl_file, X509_FILETYPE_ASN1) < 1)) {
            return fail(err, "revocation list", options->crl_file);
        }
        (void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
        X509_STORE_set_verify_cb(store, on_verified);
    }
    return 0;
}

static int version_number(enum tls_version version)
{
    return version == TLS_VERSION_1_3   ? TLS1_3_VERSION
           : version == TLS_VERSION_1_2 ? TLS1_2_VERSION
                                        : 0;
}

static int set_protocol(SSL_CTX *ssl, struct tls_context *context, struct err *err)
{
    const struct tls_options *options = &context->options;
    int version_min = version_number(options->version_min);
    (void)SSL_CTX_set_min_proto_version(ssl, version_min == 0 ? TLS1_2_VERSION : version_min);
    (void)SSL_CTX_set_max_proto_version(ssl, version_number(options->version_max));
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ssl, 0);
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const char *ciphers = options->cipher_suites == NULL ? default_ciphers : options->cipher_suites;
    if (SSL_CTX_set_cipher_list(ssl, ciphers) != 1) {
        return fail(err, "cipher suites", ciphers);
    }
    if (options->role == HTTP_SERVER) {
        SSL_CTX_set_alpn_select_cb(ssl, select_alpn, context);
        return 0;
    }
    const uint8_t *ours = options->only_http1 ? alpn_http1 : alpn_both;
    unsigned size = options->only_http1 ? sizeof alpn_http1 - 1 : sizeof alpn_both - 1;
    CHECK(SSL_CTX_set_alpn_protos(ssl, ours, size) == 0);
    return 0;
}

static void set_verification(SSL_CTX *ssl, struct tls_context *context)
{
    const struct tls_options *options = &context->options;
    int mode = SSL_VERIFY_NONE;
    if (options->role == HTTP_CLIENT) {
        mode = options->skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    } else if (options->require_certificate) {
        mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    } else if (options->ca_file != NULL) {
        mode = SSL_VERIFY_PEER; /* a certificate is welcome, a bad one is not */
    }
    SSL_CTX_set_verify(ssl, mode, NULL);
    if (options->role == HTTP_SERVER) {
        SSL_CTX_set_cert_verify_callback(ssl, tls_check_chain, context);
    }
}

static SSL_CTX *load(struct tls_context *context, struct err *err)
{
    const struct tls_options *options = &context->options;
    ERR_clear_error();
    SSL_CTX *ssl =
        SSL_CTX_new(options->role == HTTP_SERVER ? TLS_server_method() : TLS_client_method());
    CHECK(ssl != NULL);
    set_verification(ssl, context);
    if (set_protocol(ssl, context, err) < 0 || load_identity(ssl, options, err) < 0 ||
        load_trust(ssl, options, err) < 0) {
        SSL_CTX_free(ssl);
        return NULL;
    }
    ERR_clear_error();
    return ssl;
}

static const char *copy_text(const char *text)
{
    return text == NULL ? NULL : mem_strdup(text);
}

static const char *const *copy_list(const char *const *list)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    if (list == NULL) {
        return NULL;
    }
    const char **copy = mem_calloc(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = mem_strdup(list[i]);
    }
    return copy;
}

static void free_list(const char *const *list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        mem_free((void *)(uintptr_t)list[i]);
    }
    mem_free((void *)(uintptr_t)list);
}

static int check_options(const struct tls_options *options, struct err *err)
{
    if ((options->certificate_file == NULL) != (options->key_file == NULL)) {
        return err_set(err, ERR_INVALID, "a certificate and its private key come together");
    }
    if (options->role == HTTP_SERVER && options->certificate_file == NULL) {
        return err_set(err, ERR_INVALID, "a TLS server needs a certificate");
    }
    if (options->role == HTTP_SERVER && options->require_certificate && options->ca_file == NULL) {
        return err_set(err, ERR_INVALID,
                       "client certificates cannot be verified without trusted certificates");
    }
    if (options->version_max != TLS_VERSION_DEFAULT &&
        options->version_max < options->version_min) {
        return err_set(err, ERR_INVALID, "TLS maximum version is below the minimum");
    }
    return 0;
}

struct tls_context *tls_context_new(const struct tls_options *options, struct err *err)
{
    if (check_options(options, err) < 0) {
        return NULL;
    }
    struct tls_context *context = mem_zalloc(sizeof *context);
    context->reference_count = 1;
    context->options = *options;
    struct tls_options *own = &context->options;
    own->certificate_file = copy_text(options->certificate_file);
    own->key_file = copy_text(options->key_file);
    own->ca_file = copy_text(options->ca_file);
    own->crl_file = copy_text(options->crl_file);
    own->server_name = copy_text(options->server_name);
    own->cipher_suites = copy_text(options->cipher_suites);
    own->allowed_common_names = copy_list(options->allowed_common_names);
    own->allowed_host_names = copy_list(options->allowed_host_names);
    context->stamps = mem_calloc(FILE_COUNT, sizeof *context->stamps);
    stamp_files(own, context->stamps);
    context->ssl = load(context, err);
    if (context->ssl == NULL) {
        tls_context_unref(context);
        return NULL;
    }
    return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->reference_count++;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL) {
        return;
    }
    CHECK(context->reference_count > 0);
    context->reference_count--;
    if (context->reference_count > 0) {
        return;
    }
    struct tls_options *own = &context->options;
    const char *const texts[] = {own->certificate_file, own->key_file,    own->ca_file,
                                 own->crl_file,         own->server_name, own->cipher_suites};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        mem_free((void *)(uintptr_t)texts[i]);
    }
    free_list(own->allowed_common_names);
    free_list(own->allowed_host_names);
    SSL_CTX_free(context->ssl);
    mem_free(context->stamps);
    mem_free(context);
}

int tls_context_reload(struct tls_context *context, struct err *err)
{
    struct err failure = {0};
    SSL_CTX *fresh = load(context, &failure);
    if (fresh == NULL) {
        return err_set(err, failure.code, "%s", failure.text);
    }
    SSL_CTX_free(context->ssl); /* sessions hold their own reference */
    context->ssl = fresh;
    return 0;
}

int tls_context_reload_if_changed(struct tls_context *context, struct err *err)
{
    struct tls_stamp now[FILE_COUNT];
    stamp_files(&context->options, now);
    if (memcmp(now, context->stamps, sizeof now) == 0) {
        return 0;
    }
    memcpy(context->stamps, now, sizeof now);
    int rv = tls_context_reload(context, err);
    return rv < 0 ? rv : 1;
}
