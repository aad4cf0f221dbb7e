/* tls_internal.h - tls_context.c (files, options, reload) and tls_session.c (the filter). */
#ifndef PROTO_TLS_INTERNAL_H
#define PROTO_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "proto/tls.h"

struct tls_context {
    unsigned reference_count;
    struct tls_options options; /* texts are our own copies */
    SSL_CTX *ssl;
    struct tls_stamp *stamps; /* of the files when they were last looked at */
};

struct tls_session {
    struct tls_context *context;
    SSL *ssl; /* owns both BIOs */
    BIO *in;
    BIO *out;
    struct buf output;
    struct tls_peer peer;
    char *remote;       /* server: "address:port" of the client; NULL: not known */
    struct err refusal; /* why a good chain was not enough; code 0: it was */
    bool has_peer;
    bool is_established;
    bool is_over;
};

/* tls_check.c: for SSL_CTX_set_cert_verify_callback; context is the struct tls_context. */
int tls_check_chain(X509_STORE_CTX *store, void *context);
bool tls_is_address(const char *name);
char *tls_common_name(X509 *certificate); /* "" if it has none; the caller's */
char *tls_subject(X509 *certificate);     /* RFC 2253 text; the caller's */

/* "reason" of the newest OpenSSL error, and forget the rest. text is at least 200 bytes. */
const char *tls_error_text(char *text, size_t size);

#endif
