/* Users and roles in memory and in the backend's meta table:
 *
 *   auth/state          field 1: enabled, field 2: auth revision
 *   auth/user/ + id     authpb.User; the id is the auth revision at its creation, 8 bytes
 *   auth/role/ + id     authpb.Role */
#include "base/check.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/auth/auth_internal.h"
#include "kvstore/backend/backend.h"

#define META_STATE BYTES_LITERAL("auth/state")
#define META_USER "auth/user/"
#define META_ROLE "auth/role/"

enum { META_PREFIX = sizeof META_USER - 1, META_KEY_SIZE = META_PREFIX + 8, META_SCAN = 16 };
_Static_assert(sizeof META_USER == sizeof META_ROLE, "one size of key");

struct bytes auth_copy(struct bytes bytes)
{
    if (bytes.size == 0) {
        return (struct bytes){NULL, 0};
    }
    return bytes_make(mem_dup(bytes.data, bytes.size), bytes.size);
}

void auth_drop(struct bytes bytes)
{
    mem_free((void *)(uintptr_t)bytes.data);
}

void auth_user_free(struct auth_user *user)
{
    for (uint32_t i = 0; i < user->role_count; i++) {
        auth_drop(user->roles[i]);
    }
    mem_free(user->roles);
    auth_drop(user->name);
    auth_drop(user->password);
    interval_set_clear(&user->readable);
    interval_set_clear(&user->writable);
    mem_free(user);
}

void auth_role_free(struct auth_role *role)
{
    while (role->permission_count > 0) {
        auth_role_drop_permission(role, role->permission_count - 1);
    }
    mem_free(role->permissions);
    auth_drop(role->name);
    mem_free(role);
}

void auth_clear_store(struct auth *auth)
{
    for (uint32_t i = 0; i < auth->user_count; i++) {
        auth_user_free(auth->users[i]);
    }
    for (uint32_t i = 0; i < auth->role_count; i++) {
        auth_role_free(auth->roles[i]);
    }
    mem_free(auth->users);
    mem_free(auth->roles);
    auth->users = NULL;
    auth->roles = NULL;
    auth->user_count = 0;
    auth->role_count = 0;
    auth->enabled = false;
    auth->revision = 1;
}

void auth_insert_user(struct auth *auth, struct auth_user *user)
{
    uint32_t at = 0;
    while (at < auth->user_count && bytes_compare(auth->users[at]->name, user->name) < 0) {
        at += 1;
    }
    auth->users = mem_reallocarray(auth->users, auth->user_count + 1, sizeof auth->users[0]);
    memmove(auth->users + at + 1, auth->users + at,
            (auth->user_count - at) * sizeof auth->users[0]);
    auth->users[at] = user;
    auth->user_count += 1;
}

void auth_insert_role(struct auth *auth, struct auth_role *role)
{
    uint32_t at = 0;
    while (at < auth->role_count && bytes_compare(auth->roles[at]->name, role->name) < 0) {
        at += 1;
    }
    auth->roles = mem_reallocarray(auth->roles, auth->role_count + 1, sizeof auth->roles[0]);
    memmove(auth->roles + at + 1, auth->roles + at,
            (auth->role_count - at) * sizeof auth->roles[0]);
    auth->roles[at] = role;
    auth->role_count += 1;
}

void auth_user_add_role(struct auth_user *user, struct bytes role)
{
    uint32_t at = 0;
    while (at < user->role_count && bytes_compare(user->roles[at], role) < 0) {
        at += 1;
    }
    user->roles = mem_reallocarray(user->roles, user->role_count + 1, sizeof user->roles[0]);
    memmove(user->roles + at + 1, user->roles + at,
            (user->role_count - at) * sizeof user->roles[0]);
    user->roles[at] = auth_copy(role);
    user->role_count += 1;
}

void auth_user_drop_role(struct auth_user *user, struct bytes role)
{
    uint32_t at = 0;
    while (at < user->role_count && !bytes_equal(user->roles[at], role)) {
        at += 1;
    }
    CHECK(at < user->role_count);
    auth_drop(user->roles[at]);
    user->role_count -= 1;
    memmove(user->roles + at, user->roles + at + 1,
            (user->role_count - at) * sizeof user->roles[0]);
}

void auth_role_add_permission(struct auth_role *role, const struct auth_permission *permission)
{
    uint32_t at = 0;
    while (at < role->permission_count &&
           bytes_compare(role->permissions[at].key, permission->key) <= 0) {
        at += 1;
    }
    role->permissions = mem_reallocarray(role->permissions, role->permission_count + 1,
                                         sizeof role->permissions[0]);
    memmove(role->permissions + at + 1, role->permissions + at,
            (role->permission_count - at) * sizeof role->permissions[0]);
    role->permissions[at] = (struct auth_permission){.type = permission->type,
                                                     .key = auth_copy(permission->key),
                                                     .range_end = auth_copy(permission->range_end)};
    role->permission_count += 1;
}

void auth_role_drop_permission(struct auth_role *role, uint32_t at)
{
    auth_drop(role->permissions[at].key);
    auth_drop(role->permissions[at].range_end);
    role->permission_count -= 1;
    memmove(role->permissions + at, role->permissions + at + 1,
            (role->permission_count - at) * sizeof role->permissions[0]);
}

/* --- encoding -------------------------------------------------------------------------------- */

void auth_encode_permission(struct buf *out, uint32_t number,
                            const struct auth_permission *permission)
{
    size_t mark = pb_begin_message(out, number);
    pb_put_u64(out, 1, permission->type);
    pb_put_bytes(out, 2, permission->key);
    pb_put_bytes(out, 3, permission->range_end);
    pb_end_message(out, mark);
}

int auth_decode_permission(struct bytes message, struct auth_permission *ret)
{
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    *ret = (struct auth_permission){0};
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            ret->type = field.value;
        } else if (field.key == PB_BYTES(2)) {
            ret->key = field.bytes;
        } else if (field.key == PB_BYTES(3)) {
            ret->range_end = field.bytes;
        }
    }
    return reader.failed ? ERR_MALFORMED : 0;
}

static struct bytes meta_key(uint8_t *memory, const char *prefix, uint64_t id)
{
    memcpy(memory, prefix, META_PREFIX);
    for (unsigned i = 0; i < 8; i++) {
        memory[META_PREFIX + i] = (uint8_t)(id >> (56 - 8 * i));
    }
    return bytes_make(memory, META_KEY_SIZE);
}

static uint64_t id_of(struct bytes key)
{
    uint64_t id = 0;
    for (unsigned i = 0; i < 8; i++) {
        id = id << 8 | key.data[META_PREFIX + i];
    }
    return id;
}

void auth_store_user(const struct auth_user *user, struct backend_batch *batch)
{
    uint8_t key[META_KEY_SIZE];
    struct buf value = BUF_INIT;
    pb_put_bytes(&value, 1, user->name);
    pb_put_bytes(&value, 2, user->password);
    for (uint32_t i = 0; i < user->role_count; i++) {
        pb_put_message(&value, 3, user->roles[i]);
    }
    if (user->no_password) {
        size_t mark = pb_begin_message(&value, 4);
        pb_put_u64(&value, 1, 1);
        pb_end_message(&value, mark);
    }
    backend_batch_meta_put(batch, meta_key(key, META_USER, user->id), buf_bytes(&value));
    buf_deinit(&value);
}

void auth_store_role(const struct auth_role *role, struct backend_batch *batch)
{
    uint8_t key[META_KEY_SIZE];
    struct buf value = BUF_INIT;
    pb_put_bytes(&value, 1, role->name);
    for (uint32_t i = 0; i < role->permission_count; i++) {
        auth_encode_permission(&value, 2, &role->permissions[i]);
    }
    backend_batch_meta_put(batch, meta_key(key, META_ROLE, role->id), buf_bytes(&value));
    buf_deinit(&value);
}

void auth_unstore_user(const struct auth_user *user, struct backend_batch *batch)
{
    uint8_t key[META_KEY_SIZE];
    backend_batch_meta_delete(batch, meta_key(key, META_USER, user->id));
}

void auth_unstore_role(const struct auth_role *role, struct backend_batch *batch)
{
    uint8_t key[META_KEY_SIZE];
    backend_batch_meta_delete(batch, meta_key(key, META_ROLE, role->id));
}

void auth_store_state(const struct auth *auth, struct backend_batch *batch)
{
    struct buf value = BUF_INIT;
    pb_put_u64(&value, 1, auth->enabled ? 1 : 0);
    pb_put_u64(&value, 2, auth->revision);
    backend_batch_meta_put(batch, META_STATE, buf_bytes(&value));
    buf_deinit(&value);
}

/* --- loading --------------------------------------------------------------------------------- */

static int load_user(struct auth *auth, const struct backend_meta *meta)
{
    struct auth_user *user = mem_zalloc(sizeof *user);
    struct pb_reader reader = pb_reader_make(meta->value);
    struct pb_field field;
    user->id = id_of(meta->key);
    while (pb_next(&reader, &field)) {
        if (field.key == PB_BYTES(1) && user->name.size == 0) {
            user->name = auth_copy(field.bytes);
        } else if (field.key == PB_BYTES(2) && user->password.size == 0) {
            user->password = auth_copy(field.bytes);
        } else if (field.key == PB_BYTES(3)) {
            auth_user_add_role(user, field.bytes);
        } else if (field.key == PB_BYTES(4)) {
            user->no_password = true;
        }
    }
    if (reader.failed || user->name.size == 0 || auth_find_user(auth, user->name) != NULL) {
        auth_user_free(user);
        return ERR_CORRUPT;
    }
    auth_insert_user(auth, user);
    return 0;
}

static int load_role(struct auth *auth, const struct backend_meta *meta)
{
    struct auth_role *role = mem_zalloc(sizeof *role);
    struct pb_reader reader = pb_reader_make(meta->value);
    struct pb_field field;
    int code = 0;
    role->id = id_of(meta->key);
    while (code == 0 && pb_next(&reader, &field)) {
        struct auth_permission permission;
        if (field.key == PB_BYTES(1) && role->name.size == 0) {
            role->name = auth_copy(field.bytes);
        } else if (field.key == PB_BYTES(2)) {
            code = auth_decode_permission(field.bytes, &permission);
            if (code == 0) {
                auth_role_add_permission(role, &permission);
            }
        }
    }
    if (code != 0 || reader.failed || role->name.size == 0 ||
        auth_find_role(auth, role->name) != NULL) {
        auth_role_free(role);
        return ERR_CORRUPT;
    }
    auth_insert_role(auth, role);
    return 0;
}

static int load_all(struct auth *auth, struct backend *backend, const char *prefix,
                    int (*load)(struct auth *, const struct backend_meta *), struct err *err)
{
    struct backend_meta found[META_SCAN];
    uint8_t last[META_KEY_SIZE];
    struct bytes after = {NULL, 0};
    uint32_t count = META_SCAN;
    while (count == META_SCAN) {
        int code = backend_meta_scan(backend, bytes_from_text(prefix), after, found, META_SCAN,
                                     &count, err);
        for (uint32_t i = 0; code == 0 && i < count; i++) {
            code = found[i].key.size == META_KEY_SIZE ? load(auth, &found[i]) : ERR_CORRUPT;
            if (code != 0) {
                return err_set(err, code, "an entry under '%s' cannot be decoded", prefix);
            }
        }
        if (code != 0) {
            return code;
        }
        if (count > 0) {
            memcpy(last, found[count - 1].key.data, META_KEY_SIZE);
            after = bytes_make(last, META_KEY_SIZE);
        }
    }
    return 0;
}

int auth_restore(struct auth *auth, struct backend *backend, struct err *err)
{
    struct bytes state;
    auth_clear_store(auth);
    int code = backend_meta_get(backend, META_STATE, &state, err);
    if (code == ERR_NOT_FOUND) {
        return 0; /* no user was ever made */
    }
    if (code != 0) {
        return code;
    }
    struct pb_reader reader = pb_reader_make(state);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            auth->enabled = field.value != 0;
        } else if (field.key == PB_VARINT(2)) {
            auth->revision = field.value;
        }
    }
    if (reader.failed || auth->revision == 0) {
        return err_set(err, ERR_CORRUPT, "the stored state of auth cannot be decoded");
    }
    code = load_all(auth, backend, META_USER, load_user, err);
    return code != 0 ? code : load_all(auth, backend, META_ROLE, load_role, err);
}
