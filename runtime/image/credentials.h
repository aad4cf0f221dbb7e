/* credentials.h - logins for registries, from the files that docker and podman write. */
#ifndef RUNTIME_IMAGE_CREDENTIALS_H
#define RUNTIME_IMAGE_CREDENTIALS_H

#include <jansson.h>

#include "base/err.h"

struct credentials {
    char user[256]; /* "": anonymous */
    char password[4096];
};

/* Look in $DOCKER_CONFIG or ~/.docker/config.json, then $REGISTRY_AUTH_FILE or
 * $XDG_RUNTIME_DIR/containers/auth.json. No entry is not an error. */
MUST_USE int credentials_find(const char *host, struct credentials *ret, struct err *err);

/* The "auths" entry of a host in such a document. Pure. ERR_NOT_FOUND, ERR_MALFORMED. */
MUST_USE int credentials_parse(const json_t *document, const char *host, struct credentials *ret,
                               struct err *err);

#endif
