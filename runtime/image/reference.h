/* reference.h - names of images: [host[:port]/]path[:tag][@digest].
 *
 * Source: the reference grammar of distribution (distribution-spec 1.1 "Pulling manifests") with
 * Docker's defaults: host docker.io, one-component paths below library/, tag latest. Pure. */
#ifndef RUNTIME_IMAGE_REFERENCE_H
#define RUNTIME_IMAGE_REFERENCE_H

#include <stdbool.h>

#include "base/err.h"

enum {
    REFERENCE_NAME_MAX = 255, /* host and path together, by the specification */
    REFERENCE_TAG_MAX = 128,
    REFERENCE_DIGEST_MAX = 136, /* "sha512:" and 128 digits do not fit on purpose: sha256 only */
    REFERENCE_TEXT_MAX = REFERENCE_NAME_MAX + REFERENCE_TAG_MAX + REFERENCE_DIGEST_MAX + 3,
};

struct reference {
    char host[REFERENCE_NAME_MAX + 1];     /* "docker.io", "localhost:5000" */
    char path[REFERENCE_NAME_MAX + 1];     /* "library/busybox" */
    char tag[REFERENCE_TAG_MAX + 1];       /* "" when only a digest was given */
    char digest[REFERENCE_DIGEST_MAX + 1]; /* "sha256:…" or "" */
};

/* Parse what a person typed and fill in the defaults. ERR_INVALID with the reason. */
MUST_USE int reference_parse(const char *text, struct reference *ret, struct err *err);

/* "docker.io/library/busybox:latest": the one form that is stored. out holds REFERENCE_TEXT_MAX
 * + 1. */
void reference_format(const struct reference *reference, char *out);
/* "busybox:latest": what people read. Same size. */
void reference_format_familiar(const struct reference *reference, char *out);
/* "busybox": the repository as people read it. out holds REFERENCE_NAME_MAX + 1. */
void reference_format_repository(const struct reference *reference, char *out);

/* True for "sha256:" and 64 lower-case hexadecimal digits. */
bool digest_is_valid(const char *digest);
/* The digits of a valid digest. */
const char *digest_hex(const char *digest);

#endif
