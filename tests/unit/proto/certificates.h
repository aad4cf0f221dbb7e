/* certificates.h - a certificate authority for tests: fresh keys in a directory of its own. */
#ifndef TESTS_UNIT_PROTO_CERTIFICATES_H
#define TESTS_UNIT_PROTO_CERTIFICATES_H

#include <openssl/x509.h>
#include <stdbool.h>

struct authority {
    char directory[64];
    X509 *certificate;
    EVP_PKEY *key;
    long next_serial;
};

struct certificate_options {
    const char *common_name;
    const char *alternative_names; /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
    bool is_expired;
    bool is_not_yet_valid;
};

/* Makes the directory and writes <name>.pem of the authority itself. */
void authority_init(struct authority *authority, const char *name);
void authority_deinit(struct authority *authority); /* removes the directory */
/* A path in the directory; valid until the process ends. */
const char *authority_path(const struct authority *authority, const char *file);
/* Writes <file>.pem and <file>.key; returns the serial number. */
long authority_issue(struct authority *authority, const char *file,
                     const struct certificate_options *options);
/* Writes <file>.crl that revokes one serial number (0: none). */
void authority_revoke(struct authority *authority, const char *file, long serial);

#endif
