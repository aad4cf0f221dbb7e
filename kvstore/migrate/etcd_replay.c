#include "kvstore/migrate/etcd_replay.h"

#include <crypt.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/pb.h"
#include "kvstore/state/kv.h"
#include "proto/base64.h"

enum { STORE_BYTES = 4 << 20, BCRYPT_COST = 10 };

static int store(struct kv *kv, struct backend *backend, struct err *err)
{
    uint64_t sequence;
    struct backend_batch *batch = kv_take_batch(kv, &sequence);
    if (batch == NULL) {
        return 0;
    }
    int code = backend_commit(backend, &batch, 1, err);
    backend_batch_free(batch);
    return code != 0 ? code : kv_on_stored(kv, sequence, err);
}

/* bcrypt's text in base64; false: the password cannot be hashed. */
static bool hash_password(struct bytes password, struct buf *out)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    CLEANUP(free) struct crypt_data *data = mem_zalloc(sizeof *data);
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_bytes(&text, password);
    if (crypt_gensalt_rn("$2a$", BCRYPT_COST, NULL, 0, setting, sizeof setting) == NULL) {
        return false;
    }
    const char *hash = crypt_rn(buf_text(&text), setting, data, (int)sizeof *data);
    if (hash == NULL) {
        return false;
    }
    base64_append(out, bytes_from_text(hash));
    return true;
}

/* Before 3.4.10 etcd wrote the password itself into its log, and hashed it when it applied it. The
 * request again with the hash: in field 4 of a user that is added, 3 of one that is changed. */
static bool replace_password(enum kv_op op, struct bytes request, struct buf *out)
{
    uint32_t hash_field = op == KV_OP_AUTH_USER_ADD ? 4 : 3;
    struct pb_reader reader = pb_reader_make(request);
    struct pb_field field;
    struct bytes password = {NULL, 0};
    CLEANUP(buf) struct buf hash = BUF_INIT;
    bool has_hash = false;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_BYTES(2)) {
            password = field.bytes;
        } else if ((field.key & 7) == PB_TYPE_BYTES) {
            has_hash = has_hash || (field.key == PB_BYTES(hash_field) && field.bytes.size > 0);
            pb_put_message(out, (uint32_t)(field.key >> 3), field.bytes);
        }
    }
    if (reader.failed || has_hash || password.size == 0 || !hash_password(password, &hash)) {
        return false;
    }
    pb_put_bytes(out, hash_field, buf_bytes(&hash));
    return true;
}

static void apply_entry(struct kv *kv, const struct etcd_entry *entry)
{
    const struct kv_position at = {entry->index, entry->term};
    struct kv_entry_header header;
    enum kv_op op = KV_OP_NONE;
    struct bytes request;
    if (entry->type != ETCD_ENTRY_NORMAL || entry->data.size == 0) {
        kv_apply_nothing(kv, at); /* members are named anew */
        return;
    }
    CLEANUP(buf) struct buf changed = BUF_INIT;
    CLEANUP(buf) struct buf rewritten = BUF_INIT;
    bool is_ours = kv_entry_decode(entry->data, &header, &op, &request) == 0;
    bool has_password =
        is_ours && (op == KV_OP_AUTH_USER_ADD || op == KV_OP_AUTH_USER_CHANGE_PASSWORD);
    if (has_password && replace_password(op, request, &changed)) {
        kv_entry_encode(&rewritten, &header, op, buf_bytes(&changed));
        kv_apply(kv, at, buf_bytes(&rewritten), NULL);
        return;
    }
    kv_apply(kv, at, entry->data, NULL);
}

static int replay(const struct etcd_wal *wal, struct kv *kv, struct backend *backend,
                  struct etcd_replay *ret, struct err *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < wal->count; i++) {
        const struct etcd_entry *entry = &wal->entries[i];
        struct kv_position applied = kv_applied(kv);
        if (entry->index <= applied.index) {
            continue;
        }
        if (entry->term < applied.term) {
            return err_set(err, ERR_CORRUPT, "entry %llu of the log is of an older term",
                           (unsigned long long)entry->index);
        }
        apply_entry(kv, entry);
        ret->applied_count += 1;
        ret->uncommitted_count += entry->index > wal->commit ? 1 : 0;
        if (kv_unstored_bytes(kv) > STORE_BYTES) {
            code = store(kv, backend, err);
        }
    }
    code = code != 0 ? code : store(kv, backend, err);
    return code != 0 ? code : kv_failure(kv, err);
}

int etcd_replay_log(const struct etcd_wal *wal, struct backend *backend, struct etcd_replay *ret,
                    struct err *err)
{
    struct etcd_replay result = {0};
    struct kv *kv = kv_new(&(struct kv_options){.backend = backend, .quota_bytes = -1});
    int code = kv_restore(kv, backend, err);
    code = code != 0 ? code : replay(wal, kv, backend, &result, err);
    if (code == 0) {
        result.index = kv_applied(kv).index;
        result.term = kv_applied(kv).term;
        result.revision = kv_revision(kv);
        *ret = result;
    }
    kv_free(kv);
    return code;
}
