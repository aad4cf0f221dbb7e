/* HashKV: CRC-32C over "key" and every revision that survives the last compaction, with its stored
 * bytes, up to a revision. Equal on all members whatever each has removed physically so far: what
 * counts is what a finished compaction would leave. */
#include "base/crc32c.h"
#include "base/pb.h"
#include "kvstore/state/read_internal.h"

enum { SCAN_RECORDS = 128, REVISION_BYTES = 17 };

static enum etcd_error start(struct kv_read *read)
{
    struct mvcc *mvcc = read->kv->mvcc;
    int64_t revision = 0;
    struct pb_reader reader = pb_reader_make(read->request);
    struct pb_field field;
    while (read->op_kind == KV_OP_HASH_KV && pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            revision = (int64_t)field.value;
        }
    }
    if (reader.failed) {
        return ETCD_INVALID_REQUEST;
    }
    if (!read->started) {
        read->now = mvcc_revision(mvcc);
        read->hash_revision = revision <= 0 ? read->now : revision;
    }
    if (read->hash_revision > read->now) {
        return ETCD_FUTURE_REVISION;
    }
    read->hash_compact = mvcc_compact_revision(mvcc);
    if (read->hash_revision < read->hash_compact) {
        return ETCD_COMPACTED;
    }
    read->cursor = (struct revision){0, 0};
    read->crc = crc32c(0, "key", 3);
    read->started = true;
    return ETCD_OK;
}

void read_pin_hash(struct kv_read *read, int64_t revision, int64_t compact_revision)
{
    read->now = mvcc_revision(read->kv->mvcc);
    read->hash_revision = revision;
    read->hash_compact = compact_revision;
    read->cursor = (struct revision){0, 0};
    read->crc = crc32c(0, "key", 3);
    read->is_pinned = true;
    read->started = true;
}

/* The layout of etcd's revision keys: main, '_', sub, and 't' for a tombstone. */
static void revision_bytes(struct backend_revision revision, uint8_t *bytes)
{
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(revision.main >> (56 - 8 * i));
        bytes[9 + i] = (uint8_t)((uint64_t)revision.sub >> (56 - 8 * i));
    }
    bytes[8] = '_';
}

static bool counts(const struct kv_read *read, const struct backend_record *stored)
{
    struct mvcc *mvcc = read->kv->mvcc;
    struct key_value record;
    int64_t main = (int64_t)stored->revision.main;
    if (main > read->hash_compact) {
        return true;
    }
    if (stored->is_tombstone) {
        return false; /* one at the compact revision may still be there */
    }
    if (key_value_decode(stored->value, &record) != 0) {
        (void)mvcc_fail_record(mvcc, stored->revision);
        return false;
    }
    const struct key_entry *entry = key_index_find(mvcc_index(mvcc), record.key);
    return entry != NULL && key_entry_survives(entry, (struct revision){main, stored->revision.sub},
                                               read->hash_compact);
}

static void add(struct kv_read *read, const struct backend_record *stored)
{
    uint8_t key[REVISION_BYTES + 1];
    revision_bytes(stored->revision, key);
    key[REVISION_BYTES] = 't';
    read->crc = crc32c(read->crc, key, REVISION_BYTES + (stored->is_tombstone ? 1U : 0U));
    read->crc = crc32c(read->crc, stored->value.data, stored->value.size);
}

/* HashKVResponse; etcd says -1 while nothing was ever compacted. */
static void put_hash(const struct kv *kv, int64_t now, const struct kv_kept_hash *hash,
                     struct buf *reply)
{
    reply_header(kv, reply, now);
    pb_put_u64(reply, 2, hash->hash);
    pb_put_i64(reply, 3, hash->compact_revision == 0 ? -1 : hash->compact_revision);
    pb_put_i64(reply, 4, hash->revision);
}

void reply_hash(const struct kv *kv, const struct kv_kept_hash *hash, struct buf *reply)
{
    put_hash(kv, mvcc_revision(kv->mvcc), hash, reply);
}

static void put_reply(const struct kv_read *read, struct buf *reply)
{
    if (read->op_kind == KV_OP_HASH_KV) {
        const struct kv_kept_hash hash = {.revision = read->hash_revision,
                                          .compact_revision = read->hash_compact,
                                          .hash = read->crc};
        put_hash(read->kv, read->now, &hash, reply);
    } else {
        reply_header(read->kv, reply, read->now);
        pb_put_u64(reply, 2, read->crc);
    }
}

enum kv_read_state read_step_hash(struct kv_read *read, struct kv_budget budget, struct buf *reply,
                                  enum etcd_error *ret_error)
{
    struct mvcc *mvcc = read->kv->mvcc;
    /* A compaction in the middle changes what counts: begin again. */
    bool has_changed = !read->is_pinned && read->hash_compact != mvcc_compact_revision(mvcc);
    if (!read->started || has_changed) {
        enum etcd_error error = start(read);
        if (error != ETCD_OK) {
            *ret_error = error;
            return KV_READ_DONE;
        }
    }
    struct revision end = {read->hash_revision + 1, 0};
    uint64_t bytes = 0;
    for (uint32_t done = 0; budget.items == 0 || done < budget.items;) {
        struct backend_record records[SCAN_RECORDS];
        uint32_t count = 0;
        if (mvcc_scan(mvcc, read->cursor, end, records, SCAN_RECORDS, &count) != 0) {
            *ret_error = ETCD_CORRUPT;
            return KV_READ_DONE;
        }
        for (uint32_t i = 0; i < count; i++) {
            bytes += records[i].value.size;
            if (counts(read, &records[i])) {
                add(read, &records[i]);
            }
        }
        if (count == 0 || mvcc_failure(mvcc) != 0) {
            *ret_error = mvcc_failure(mvcc) != 0 ? ETCD_CORRUPT : ETCD_OK;
            put_reply(read, reply);
            return KV_READ_DONE;
        }
        struct backend_revision last = records[count - 1].revision;
        read->cursor = (struct revision){(int64_t)last.main, last.sub + 1};
        done += count;
        if (budget.bytes != 0 && bytes >= budget.bytes) {
            break;
        }
    }
    return KV_READ_MORE;
}
