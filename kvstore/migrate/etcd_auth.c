/* Users and roles. etcd stores a password as the text that bcrypt made; we store that text in
 * base64, as it travels in requests. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/pb.h"
#include "kvstore/migrate/etcd_copy.h"
#include "proto/base64.h"

enum { META_KEY_SIZE = 18 };

/* "auth/user/" or "auth/role/" and a number of eight bytes, big-endian. */
static struct bytes meta_key(uint8_t memory[META_KEY_SIZE], const char *prefix, uint64_t id)
{
    memcpy(memory, prefix, META_KEY_SIZE - 8);
    for (unsigned i = 0; i < 8; i++) {
        memory[META_KEY_SIZE - 8 + i] = (uint8_t)(id >> (56 - 8 * i));
    }
    return bytes_make(memory, META_KEY_SIZE);
}

static bool is_no_password(struct bytes options)
{
    struct pb_reader reader = pb_reader_make(options);
    struct pb_field field;
    bool value = false;
    while (pb_next(&reader, &field)) {
        value = field.key == PB_VARINT(1) ? field.value != 0 : value;
    }
    return value;
}

/* authpb.User: name 1, password 2, roles 3, options 4. */
static bool encode_user(struct bytes stored, struct buf *out)
{
    struct pb_reader reader = pb_reader_make(stored);
    struct pb_field field;
    bool has_name = false;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_BYTES(1)) {
            has_name = field.bytes.size > 0;
            pb_put_bytes(out, 1, field.bytes);
        } else if (field.key == PB_BYTES(2) && field.bytes.size > 0) {
            CLEANUP(buf) struct buf text = BUF_INIT;
            base64_append(&text, field.bytes);
            pb_put_bytes(out, 2, buf_bytes(&text));
        } else if (field.key == PB_BYTES(3)) {
            pb_put_message(out, 3, field.bytes);
        } else if (field.key == PB_BYTES(4) && is_no_password(field.bytes)) {
            pb_put_message(out, 4, field.bytes);
        }
    }
    return has_name && !reader.failed;
}

static int copy_user(struct etcd_copy *copy, const struct bbolt_item *item, struct err *err)
{
    uint8_t memory[META_KEY_SIZE];
    CLEANUP(buf) struct buf value = BUF_INIT;
    if (!encode_user(item->value, &value)) {
        return err_set(err, ERR_CORRUPT, "a user of the database cannot be decoded");
    }
    copy->found.user_count += 1;
    backend_batch_meta_put(copy->batch, meta_key(memory, "auth/user/", copy->found.user_count),
                           buf_bytes(&value));
    return 0;
}

/* authpb.Role is the same on both sides. */
static int copy_role(struct etcd_copy *copy, const struct bbolt_item *item, struct err *err)
{
    uint8_t memory[META_KEY_SIZE];
    struct pb_reader reader = pb_reader_make(item->value);
    struct pb_field field;
    bool has_name = false;
    while (pb_next(&reader, &field)) {
        has_name = has_name || (field.key == PB_BYTES(1) && field.bytes.size > 0);
    }
    if (!has_name || reader.failed) {
        return err_set(err, ERR_CORRUPT, "a role of the database cannot be decoded");
    }
    copy->found.role_count += 1;
    backend_batch_meta_put(copy->batch, meta_key(memory, "auth/role/", copy->found.role_count),
                           item->value);
    return 0;
}

int etcd_copy_auth(struct etcd_copy *copy, struct err *err)
{
    uint64_t enabled = 0;
    uint64_t revision = 1;
    int code = etcd_copy_bucket(copy, "authUsers", copy_user, err);
    code = code != 0 ? code : etcd_copy_bucket(copy, "authRoles", copy_role, err);
    code = code != 0 ? code : etcd_copy_number(copy, "auth", "authEnabled", 1, &enabled, err);
    code = code != 0 ? code : etcd_copy_number(copy, "auth", "authRevision", 8, &revision, err);
    if (code != 0) {
        return code;
    }
    /* New users are numbered by the revision that makes them: keep it above the numbers above. */
    uint64_t numbers = (uint64_t)copy->found.user_count + copy->found.role_count + 1;
    CLEANUP(buf) struct buf state = BUF_INIT;
    pb_put_u64(&state, 1, enabled);
    pb_put_u64(&state, 2, revision > numbers ? revision : numbers);
    backend_batch_meta_put(copy->batch, BYTES_LITERAL("auth/state"), buf_bytes(&state));
    copy->found.is_auth_enabled = enabled != 0;
    return 0;
}
