/* jwt.h - signed tokens (RFC 7515, RFC 7519) with the claims username, revision and exp, as etcd's
 * --auth-token=jwt makes them.
 *
 * The algorithm is the configured one and no other; a token that names another is refused. RS, PS,
 * ES and HS with 256, 384 and 512 bits. */
#ifndef KVSTORE_SERVER_JWT_H
#define KVSTORE_SERVER_JWT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct jwt;

/* "jwt,sign-method=RS256,pub-key=file,priv-key=file,ttl=5m". Without a private key tokens are only
 * verified. HS takes the bytes of the private key's file. 0, ERR_INVALID, ERR_IO. */
MUST_USE int jwt_new(const char *options, struct jwt **ret_jwt, struct err *err);
void jwt_free(struct jwt *jwt); /* NULL is fine */

/* Append a token that ends ttl from now. ERR_DENIED: there is no private key. */
MUST_USE int jwt_sign(const struct jwt *jwt, struct bytes username, uint64_t revision,
                      int64_t now_s, struct buf *out);
/* 0, or ERR_DENIED: not signed by us, expired, or not ours at all. The name is in the arena. */
MUST_USE int jwt_verify(const struct jwt *jwt, struct bytes token, int64_t now_s,
                        struct arena *arena, struct bytes *ret_username, uint64_t *ret_revision);

#endif
