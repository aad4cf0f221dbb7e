/* auth_internal.h - shared by the files of this folder only. */
#ifndef KVSTORE_AUTH_AUTH_INTERNAL_H
#define KVSTORE_AUTH_AUTH_INTERNAL_H

#include "base/list.h"
#include "kvstore/auth/auth.h"
#include "kvstore/auth/interval.h"

enum auth_permission_type { AUTH_READ = 0, AUTH_WRITE = 1, AUTH_READ_WRITE = 2 };

struct auth_permission {
    uint64_t type; /* enum auth_permission_type, as authpb numbers it */
    struct bytes key;
    struct bytes range_end;
};

struct auth_role {
    uint64_t id; /* the auth revision at its creation: names its meta key */
    struct bytes name;
    struct auth_permission *permissions; /* sorted by key */
    uint32_t permission_count;
};

struct auth_user {
    uint64_t id;
    struct bytes name;
    struct bytes password; /* base64 of bcrypt; empty: none */
    bool no_password;
    struct bytes *roles; /* sorted */
    uint32_t role_count;
    /* What the roles allow, merged; valid at this auth revision. */
    uint64_t merged_revision; /* 0: never */
    struct interval_set readable;
    struct interval_set writable;
};

struct auth_token {
    struct list link; /* oldest use first */
    struct list hash_link;
    struct bytes text;
    struct bytes user;
    uint64_t deadline_ms;
};

enum { AUTH_TOKEN_BUCKETS = 1024 };

struct auth {
    bool enabled;
    uint64_t revision;
    struct auth_user **users; /* sorted by name */
    uint32_t user_count;
    struct auth_role **roles;
    uint32_t role_count;
    uint64_t token_ttl_ms;
    struct list tokens;
    struct list token_buckets[AUTH_TOKEN_BUCKETS];
    uint32_t token_count;
};

struct auth_user *auth_find_user(const struct auth *auth, struct bytes name);
struct auth_role *auth_find_role(const struct auth *auth, struct bytes name);
bool auth_user_has_role(const struct auth_user *user, struct bytes role);
/* Fresh readable and writable of the user. */
void auth_merge_permissions(const struct auth *auth, struct auth_user *user);

struct bytes auth_copy(struct bytes bytes); /* owned, free with auth_drop */
void auth_drop(struct bytes bytes);

/* auth_store.c: users and roles in the meta table */
void auth_user_free(struct auth_user *user);
void auth_role_free(struct auth_role *role);
void auth_insert_user(struct auth *auth, struct auth_user *user);
void auth_insert_role(struct auth *auth, struct auth_role *role);
void auth_user_add_role(struct auth_user *user, struct bytes role);
void auth_user_drop_role(struct auth_user *user, struct bytes role);
void auth_role_add_permission(struct auth_role *role, const struct auth_permission *permission);
void auth_role_drop_permission(struct auth_role *role, uint32_t at);
void auth_clear_store(struct auth *auth);
void auth_store_user(const struct auth_user *user, struct backend_batch *batch);
void auth_store_role(const struct auth_role *role, struct backend_batch *batch);
void auth_unstore_user(const struct auth_user *user, struct backend_batch *batch);
void auth_unstore_role(const struct auth_role *role, struct backend_batch *batch);
void auth_store_state(const struct auth *auth, struct backend_batch *batch);
void auth_encode_permission(struct buf *out, uint32_t number,
                            const struct auth_permission *permission);
MUST_USE int auth_decode_permission(struct bytes message, struct auth_permission *ret);

/* token.c */
void auth_init_tokens(struct auth *auth);
void auth_add_token(struct auth *auth, struct bytes text, struct bytes user, uint64_t now_ms);
void auth_drop_tokens_of(struct auth *auth, struct bytes user);
void auth_drop_all_tokens(struct auth *auth);

#endif
