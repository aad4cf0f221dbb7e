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

/* "reason" of the newest OpenSSL error, and forget the rest. text is at least 200 bytes. */
const char *tls_error_text(char *text, size_t size);

#endif
