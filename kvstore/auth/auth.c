#include "kvstore/auth/auth.h"

#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/auth/auth_internal.h"

#define ROOT BYTES_LITERAL("root")

struct auth *auth_new(void)
{
    struct auth *auth = mem_zalloc(sizeof *auth);
    auth->revision = 1;
    auth_init_tokens(auth);
    return auth;
}

void auth_free(struct auth *auth)
{
    if (auth == NULL) {
        return;
    }
    auth_drop_all_tokens(auth);
    auth_clear_store(auth);
    mem_free(auth);
}

bool auth_is_enabled(const struct auth *auth)
{
    return auth->enabled;
}

uint64_t auth_revision(const struct auth *auth)
{
    return auth->revision;
}

struct auth_user *auth_find_user(const struct auth *auth, struct bytes name)
{
    uint32_t low = 0;
    uint32_t high = auth->user_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = bytes_compare(auth->users[middle]->name, name);
        if (order == 0) {
            return auth->users[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

struct auth_role *auth_find_role(const struct auth *auth, struct bytes name)
{
    for (uint32_t i = 0; i < auth->role_count; i++) {
        if (bytes_equal(auth->roles[i]->name, name)) {
            return auth->roles[i];
        }
    }
    return NULL;
}

bool auth_user_has_role(const struct auth_user *user, struct bytes role)
{
    for (uint32_t i = 0; i < user->role_count; i++) {
        if (bytes_equal(user->roles[i], role)) {
            return true;
        }
    }
    return false;
}

struct bytes auth_password_hash(const struct auth *auth, struct bytes name)
{
    const struct auth_user *user = auth_find_user(auth, name);
    return user == NULL || user->no_password ? (struct bytes){NULL, 0} : user->password;
}

bool auth_user_exists(const struct auth *auth, struct bytes name)
{
    return auth_find_user(auth, name) != NULL;
}

void auth_merge_permissions(const struct auth *auth, struct auth_user *user)
{
    if (user->merged_revision == auth->revision) {
        return;
    }
    interval_set_clear(&user->readable);
    interval_set_clear(&user->writable);
    for (uint32_t i = 0; i < user->role_count; i++) {
        const struct auth_role *role = auth_find_role(auth, user->roles[i]);
        for (uint32_t p = 0; role != NULL && p < role->permission_count; p++) {
            const struct auth_permission *permission = &role->permissions[p];
            struct interval interval = interval_make(permission->key, permission->range_end);
            if (permission->type != AUTH_WRITE) {
                interval_set_add(&user->readable, &interval);
            }
            if (permission->type != AUTH_READ) {
                interval_set_add(&user->writable, &interval);
            }
        }
    }
    user->merged_revision = auth->revision;
}

/* --- operations ------------------------------------------------------------------------------ */

/* The fields of all requests: no two of them use one number for different kinds. */
struct auth_request {
    struct bytes first;  /* field 1: name, user or role */
    struct bytes second; /* field 2: role, key, permission or (never used here) password */
    struct bytes third;  /* field 3: options, range end, hashed password, token */
    struct bytes fourth; /* field 4: hashed password */
    bool has_second;
};

struct auth_context {
    struct auth *auth;
    struct auth_request request;
    uint64_t index;
    uint64_t now_ms;
    struct backend_batch *batch;
    struct buf *reply; /* NULL: nobody waits */
};

static bool decode(struct bytes message, struct auth_request *ret)
{
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    *ret = (struct auth_request){0};
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_BYTES(1):
            ret->first = field.bytes;
            break;
        case PB_BYTES(2):
            ret->second = field.bytes;
            ret->has_second = true;
            break;
        case PB_BYTES(3):
            ret->third = field.bytes;
            break;
        case PB_BYTES(4):
            ret->fourth = field.bytes;
            break;
        default:
            break;
        }
    }
    return !reader.failed;
}

static void bump(struct auth_context *context)
{
    context->auth->revision += 1;
    auth_store_state(context->auth, context->batch);
}

static enum etcd_error enable(struct auth_context *context)
{
    struct auth *auth = context->auth;
    if (auth->enabled) {
        return ETCD_OK;
    }
    const struct auth_user *root = auth_find_user(auth, ROOT);
    if (root == NULL) {
        return ETCD_ROOT_USER_MISSING;
    }
    if (!auth_user_has_role(root, ROOT)) {
        return ETCD_ROOT_ROLE_MISSING;
    }
    auth->enabled = true;
    auth_store_state(auth, context->batch);
    return ETCD_OK;
}

static enum etcd_error disable(struct auth_context *context)
{
    if (context->auth->enabled) {
        context->auth->enabled = false;
        auth_drop_all_tokens(context->auth);
        bump(context);
    }
    return ETCD_OK;
}

static enum etcd_error status(struct auth_context *context)
{
    if (context->reply != NULL) {
        pb_put_u64(context->reply, 2, context->auth->enabled ? 1 : 0);
        pb_put_u64(context->reply, 3, context->auth->revision);
    }
    return ETCD_OK;
}

/* The password was checked by the member that proposed this, against the auth revision in the
 * entry's header. An empty token: that member signs one itself (JWT). */
static enum etcd_error authenticate(struct auth_context *context)
{
    if (!context->auth->enabled) {
        return ETCD_AUTH_NOT_ENABLED;
    }
    const struct auth_user *user = auth_find_user(context->auth, context->request.first);
    if (user == NULL || user->no_password || context->request.third.size > AUTH_TOKEN_SIZE_MAX) {
        return ETCD_AUTH_FAILED;
    }
    if (context->request.third.size == 0) {
        return ETCD_OK;
    }
    struct buf token = BUF_INIT;
    buf_append_bytes(&token, context->request.third);
    buf_append_format(&token, ".%llu", (unsigned long long)context->index);
    auth_add_token(context->auth, buf_bytes(&token), user->name, context->now_ms);
    if (context->reply != NULL) {
        pb_put_bytes(context->reply, 2, buf_bytes(&token));
    }
    buf_deinit(&token);
    return ETCD_OK;
}

static enum etcd_error user_add(struct auth_context *context)
{
    const struct auth_request *request = &context->request;
    if (request->first.size == 0) {
        return ETCD_USER_EMPTY;
    }
    if (auth_find_user(context->auth, request->first) != NULL) {
        return ETCD_USER_EXISTS;
    }
    struct pb_reader reader = pb_reader_make(request->third);
    struct pb_field field;
    bool no_password = false;
    while (pb_next(&reader, &field)) {
        no_password = field.key == PB_VARINT(1) ? field.value != 0 : no_password;
    }
    if (reader.failed) {
        return ETCD_INVALID_ENTRY;
    }
    bump(context);
    struct auth_user *user = mem_zalloc(sizeof *user);
    user->id = context->auth->revision;
    user->name = auth_copy(request->first);
    user->no_password = no_password;
    user->password = no_password ? (struct bytes){NULL, 0} : auth_copy(request->fourth);
    auth_insert_user(context->auth, user);
    auth_store_user(user, context->batch);
    return ETCD_OK;
}

static enum etcd_error user_delete(struct auth_context *context)
{
    struct auth *auth = context->auth;
    if (auth->enabled && bytes_equal(context->request.first, ROOT)) {
        return ETCD_INVALID_AUTH_MANAGEMENT;
    }
    struct auth_user *user = auth_find_user(auth, context->request.first);
    if (user == NULL) {
        return ETCD_USER_NOT_FOUND;
    }
    uint32_t at = 0;
    while (auth->users[at] != user) {
        at += 1;
    }
    auth->user_count -= 1;
    memmove(auth->users + at, auth->users + at + 1,
            (auth->user_count - at) * sizeof auth->users[0]);
    auth_unstore_user(user, context->batch);
    auth_drop_tokens_of(auth, user->name);
    auth_user_free(user);
    bump(context);
    return ETCD_OK;
}

static enum etcd_error user_get(struct auth_context *context)
{
    const struct auth_user *user = auth_find_user(context->auth, context->request.first);
    if (user == NULL) {
        return ETCD_USER_NOT_FOUND;
    }
    for (uint32_t i = 0; context->reply != NULL && i < user->role_count; i++) {
        pb_put_message(context->reply, 2, user->roles[i]);
    }
    return ETCD_OK;
}

static enum etcd_error user_list(struct auth_context *context)
{
    for (uint32_t i = 0; context->reply != NULL && i < context->auth->user_count; i++) {
        pb_put_message(context->reply, 2, context->auth->users[i]->name);
    }
    return ETCD_OK;
}

static enum etcd_error user_change_password(struct auth_context *context)
{
    struct auth_user *user = auth_find_user(context->auth, context->request.first);
    if (user == NULL) {
        return ETCD_USER_NOT_FOUND;
    }
    auth_drop(user->password);
    user->password =
        user->no_password ? (struct bytes){NULL, 0} : auth_copy(context->request.third);
    auth_store_user(user, context->batch);
    auth_drop_tokens_of(context->auth, user->name);
    bump(context);
    return ETCD_OK;
}

static enum etcd_error user_grant_role(struct auth_context *context)
{
    struct auth_user *user = auth_find_user(context->auth, context->request.first);
    struct bytes role = context->request.second;
    if (user == NULL) {
        return ETCD_USER_NOT_FOUND;
    }
    /* etcd: root needs no record of its own. */
    if (!bytes_equal(role, ROOT) && auth_find_role(context->auth, role) == NULL) {
        return ETCD_ROLE_NOT_FOUND;
    }
    if (auth_user_has_role(user, role)) {
        return ETCD_OK;
    }
    auth_user_add_role(user, role);
    auth_store_user(user, context->batch);
    bump(context);
    return ETCD_OK;
}

static enum etcd_error user_revoke_role(struct auth_context *context)
{
    struct bytes role = context->request.second;
    if (context->auth->enabled && bytes_equal(context->request.first, ROOT) &&
        bytes_equal(role, ROOT)) {
        return ETCD_INVALID_AUTH_MANAGEMENT;
    }
    struct auth_user *user = auth_find_user(context->auth, context->request.first);
    if (user == NULL) {
        return ETCD_USER_NOT_FOUND;
    }
    if (!auth_user_has_role(user, role)) {
        return ETCD_ROLE_NOT_GRANTED;
    }
    auth_user_drop_role(user, role);
    auth_store_user(user, context->batch);
    bump(context);
    return ETCD_OK;
}

static enum etcd_error role_add(struct auth_context *context)
{
    if (context->request.first.size == 0) {
        return ETCD_ROLE_EMPTY;
    }
    if (auth_find_role(context->auth, context->request.first) != NULL) {
        return ETCD_ROLE_EXISTS;
    }
    bump(context);
    struct auth_role *role = mem_zalloc(sizeof *role);
    role->id = context->auth->revision;
    role->name = auth_copy(context->request.first);
    auth_insert_role(context->auth, role);
    auth_store_role(role, context->batch);
    return ETCD_OK;
}

static enum etcd_error role_delete(struct auth_context *context)
{
    struct auth *auth = context->auth;
    if (auth->enabled && bytes_equal(context->request.first, ROOT)) {
        return ETCD_INVALID_AUTH_MANAGEMENT;
    }
    struct auth_role *role = auth_find_role(auth, context->request.first);
    if (role == NULL) {
        return ETCD_ROLE_NOT_FOUND;
    }
    for (uint32_t i = 0; i < auth->user_count; i++) {
        struct auth_user *user = auth->users[i];
        if (auth_user_has_role(user, role->name)) {
            auth_user_drop_role(user, role->name);
            auth_store_user(user, context->batch);
            auth_drop_tokens_of(auth, user->name);
        }
    }
    uint32_t at = 0;
    while (auth->roles[at] != role) {
        at += 1;
    }
    auth->role_count -= 1;
    memmove(auth->roles + at, auth->roles + at + 1,
            (auth->role_count - at) * sizeof auth->roles[0]);
    auth_unstore_role(role, context->batch);
    auth_role_free(role);
    bump(context);
    return ETCD_OK;
}

static enum etcd_error role_get(struct auth_context *context)
{
    const struct auth_role *role = auth_find_role(context->auth, context->request.first);
    if (role == NULL) {
        return ETCD_ROLE_NOT_FOUND;
    }
    for (uint32_t i = 0; context->reply != NULL && i < role->permission_count; i++) {
        auth_encode_permission(context->reply, 2, &role->permissions[i]);
    }
    return ETCD_OK;
}

static enum etcd_error role_list(struct auth_context *context)
{
    for (uint32_t i = 0; context->reply != NULL && i < context->auth->role_count; i++) {
        pb_put_message(context->reply, 2, context->auth->roles[i]->name);
    }
    return ETCD_OK;
}

/* The position of exactly this range, or permission_count. */
static uint32_t find_permission(const struct auth_role *role, struct bytes key,
                                struct bytes range_end)
{
    uint32_t at = 0;
    while (at < role->permission_count &&
           !(bytes_equal(role->permissions[at].key, key) &&
             bytes_equal(role->permissions[at].range_end, range_end))) {
        at += 1;
    }
    return at;
}

static bool is_valid_permission(const struct auth_permission *permission)
{
    struct bytes end = permission->range_end;
    bool is_range = end.size == 0 || (end.size == 1 && end.data[0] == 0) ||
                    bytes_compare(permission->key, end) < 0;
    return permission->key.size > 0 && is_range && permission->type <= AUTH_READ_WRITE;
}

static enum etcd_error role_grant_permission(struct auth_context *context)
{
    struct auth_permission permission;
    if (!context->request.has_second) {
        return ETCD_PERMISSION_NOT_GIVEN;
    }
    if (auth_decode_permission(context->request.second, &permission) != 0) {
        return ETCD_INVALID_ENTRY;
    }
    if (!is_valid_permission(&permission)) {
        return ETCD_INVALID_AUTH_MANAGEMENT;
    }
    struct auth_role *role = auth_find_role(context->auth, context->request.first);
    if (role == NULL) {
        return ETCD_ROLE_NOT_FOUND;
    }
    uint32_t at = find_permission(role, permission.key, permission.range_end);
    if (at < role->permission_count) {
        role->permissions[at].type = permission.type;
    } else {
        auth_role_add_permission(role, &permission);
    }
    auth_store_role(role, context->batch);
    bump(context);
    return ETCD_OK;
}

static enum etcd_error role_revoke_permission(struct auth_context *context)
{
    struct auth_role *role = auth_find_role(context->auth, context->request.first);
    if (role == NULL) {
        return ETCD_ROLE_NOT_FOUND;
    }
    uint32_t at = find_permission(role, context->request.second, context->request.third);
    if (at == role->permission_count) {
        return ETCD_PERMISSION_NOT_GRANTED;
    }
    auth_role_drop_permission(role, at);
    auth_store_role(role, context->batch);
    bump(context);
    return ETCD_OK;
}

enum etcd_error auth_apply(struct auth *auth, enum auth_op op, struct bytes request, uint64_t index,
                           uint64_t now_ms, struct backend_batch *batch, struct buf *reply)
{
    struct auth_context context = {
        .auth = auth, .index = index, .now_ms = now_ms, .batch = batch, .reply = reply};
    if (!decode(request, &context.request)) {
        return ETCD_INVALID_ENTRY;
    }
    switch (op) {
    case AUTH_OP_ENABLE:
        return enable(&context);
    case AUTH_OP_DISABLE:
        return disable(&context);
    case AUTH_OP_AUTHENTICATE:
        return authenticate(&context);
    case AUTH_OP_STATUS:
        return status(&context);
    case AUTH_OP_USER_ADD:
        return user_add(&context);
    case AUTH_OP_USER_DELETE:
        return user_delete(&context);
    case AUTH_OP_USER_GET:
        return user_get(&context);
    case AUTH_OP_USER_CHANGE_PASSWORD:
        return user_change_password(&context);
    case AUTH_OP_USER_GRANT_ROLE:
        return user_grant_role(&context);
    case AUTH_OP_USER_REVOKE_ROLE:
        return user_revoke_role(&context);
    case AUTH_OP_USER_LIST:
        return user_list(&context);
    case AUTH_OP_ROLE_LIST:
        return role_list(&context);
    case AUTH_OP_ROLE_ADD:
        return role_add(&context);
    case AUTH_OP_ROLE_DELETE:
        return role_delete(&context);
    case AUTH_OP_ROLE_GET:
        return role_get(&context);
    case AUTH_OP_ROLE_GRANT_PERMISSION:
        return role_grant_permission(&context);
    case AUTH_OP_ROLE_REVOKE_PERMISSION:
        return role_revoke_permission(&context);
    }
    return ETCD_INVALID_ENTRY;
}
