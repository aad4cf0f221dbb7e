/* token.h - the bearer tokens of service accounts: JSON Web Tokens signed with HMAC-SHA-256
 * (RFC 7515, RFC 7519), by a key that all API servers of a cluster share. */
#ifndef ORCHESTRATOR_APISERVER_TOKEN_H
#define ORCHESTRATOR_APISERVER_TOKEN_H

#include <jansson.h>

#include "base/bytes.h"
#include "base/err.h"

#define TOKEN_ISSUER "https://kubernetes.default.svc"

/* A token with these claims; the caller frees. */
char *token_sign(const json_t *claims, struct bytes key);
/* The claims of a token whose signature is right; new. Expiry is the caller's to check.
 * ERR_MALFORMED: no such token; ERR_DENIED: another key signed it. */
MUST_USE int token_verify(const char *token, struct bytes key, json_t **ret_claims);

#endif
