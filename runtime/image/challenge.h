/* challenge.h - the WWW-Authenticate header of a registry (RFC 9110 section 11.6.1). Pure. */
#ifndef RUNTIME_IMAGE_CHALLENGE_H
#define RUNTIME_IMAGE_CHALLENGE_H

#include "base/err.h"

enum challenge_scheme { CHALLENGE_BASIC = 1, CHALLENGE_BEARER };

struct challenge {
    enum challenge_scheme scheme;
    char realm[1024]; /* of Bearer: where tokens are given out */
    char service[256];
    char scope[512];
};

/* The first scheme that we know. ERR_UNSUPPORTED, ERR_MALFORMED. */
MUST_USE int challenge_parse(const char *text, struct challenge *ret, struct err *err);

#endif
