/* auth.h - users, roles, permissions and tokens: the replicated part of authentication.
 *
 * Pure: no I/O, no clock, no randomness. Changed only by applied entries; the same entries give the
 * same users, roles and auth revision on every member. Passwords never come here in clear: a user
 * keeps the base64 of a bcrypt text that the proposing member made.
 *
 * Source of the rules: the Auth service of the public etcd v3 API (etcd-api.md 1.12). */
#ifndef KVSTORE_AUTH_AUTH_H
#define KVSTORE_AUTH_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "kvstore/state/etcd_error.h"

struct auth;
struct backend;
struct backend_batch;

enum {
    AUTH_TOKEN_TTL_DEFAULT_MS = 300 * 1000,
    AUTH_TOKEN_SIZE_MAX = 64,
    AUTH_TOKENS_MAX = 200000, /* the oldest go first */
};

/* Field numbers of etcdserverpb.InternalRaftRequest. */
enum auth_op {
    AUTH_OP_ENABLE = 1000,
    AUTH_OP_DISABLE = 1011,
    AUTH_OP_AUTHENTICATE = 1012,
    AUTH_OP_STATUS = 1013,
    AUTH_OP_USER_ADD = 1100,
    AUTH_OP_USER_DELETE = 1101,
    AUTH_OP_USER_GET = 1102,
    AUTH_OP_USER_CHANGE_PASSWORD = 1103,
    AUTH_OP_USER_GRANT_ROLE = 1104,
    AUTH_OP_USER_REVOKE_ROLE = 1105,
    AUTH_OP_USER_LIST = 1106,
    AUTH_OP_ROLE_LIST = 1107,
    AUTH_OP_ROLE_ADD = 1200,
    AUTH_OP_ROLE_DELETE = 1201,
    AUTH_OP_ROLE_GET = 1202,
    AUTH_OP_ROLE_GRANT_PERMISSION = 1203,
    AUTH_OP_ROLE_REVOKE_PERMISSION = 1204,
};

struct auth *auth_new(void);
void auth_free(struct auth *auth); /* NULL is fine */

/* Load users and roles from the backend's meta table; tokens stay. 0, ERR_CORRUPT or the backend's
 * error. */
MUST_USE int auth_restore(struct auth *auth, struct backend *backend, struct err *err);

bool auth_is_enabled(const struct auth *auth);
uint64_t auth_revision(const struct auth *auth); /* 1 at first; grows with each change */

/* Apply one AUTH_OP_* whose caller was authorised. Appends the response's fields after the header
 * to reply (NULL: nobody waits). index makes tokens unique, now_ms starts their life. Nothing
 * changes on an error; an undecodable request is ETCD_INVALID_ENTRY. */
enum etcd_error auth_apply(struct auth *auth, enum auth_op op, struct bytes request, uint64_t index,
                           uint64_t now_ms, struct backend_batch *batch, struct buf *reply);

/* What the member needs that checks a password: the stored base64 text, borrowed until the next
 * change; {NULL, 0}: no such user, or one without a password. */
struct bytes auth_password_hash(const struct auth *auth, struct bytes user);
bool auth_user_exists(const struct auth *auth, struct bytes user);

/* --- simple tokens: in memory on every member ---------------------------------------------- */

void auth_set_token_ttl(struct auth *auth, uint64_t ttl_ms); /* 0: the default */
/* Whose token it is, its life renewed; {NULL, 0}: unknown or expired. Borrowed until the next
 * change. */
struct bytes auth_token_user(struct auth *auth, struct bytes token, uint64_t now_ms);
uint32_t auth_token_count(const struct auth *auth);

#endif
