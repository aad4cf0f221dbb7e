/* self_signed.h - the certificate of --auto-tls and --peer-auto-tls: made once, then kept. */
#ifndef KVSTORE_SERVER_SELF_SIGNED_H
#define KVSTORE_SERVER_SELF_SIGNED_H

#include <stdint.h>

#include "base/err.h"

/* What the certificate says. It is its own authority, so it proves nothing: it only encrypts. */
struct self_signed_options {
    const char *const *hosts; /* names and addresses that it is valid for */
    unsigned host_count;
    int64_t validity_days; /* > 0 */
};

/* Make folder_path/cert.pem and folder_path/key.pem (PEM, EC P-256, readable by us alone), unless
 * both are there and the certificate is still valid. folder_path must exist. 0, or ERR_IO or a
 * negative errno. */
MUST_USE int self_signed_ensure(const char *folder_path, const struct self_signed_options *options,
                                struct err *err);

#endif
