#include "kvstore/migrate/etcd_store.h"

#include "base/byte_order.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/migrate/etcd_copy.h"
#include "kvstore/mvcc/key_value.h"
#include "kvstore/mvcc/meta_key.h"
#include "kvstore/mvcc/mvcc_meta.h"

/* Keys of bucket "key": main u64 '_' sub u64, big-endian, and 't' behind it for a deletion. */
enum { REVISION_SIZE = 17, TOMBSTONE_SIZE = 18, BATCH_BYTES = 4 << 20 };

static int flush(struct etcd_copy *copy, uint64_t at_least, struct err *err)
{
    if (backend_batch_bytes(copy->batch) < at_least) {
        return 0;
    }
    int code = backend_restore_write(copy->backend, &copy->batch, 1, err);
    backend_batch_free(copy->batch);
    copy->batch = backend_batch_new(++copy->sequence);
    return code;
}

int etcd_copy_bucket(struct etcd_copy *copy, const char *name, etcd_copy_item *on_item,
                     struct err *err)
{
    struct bbolt_bucket bucket;
    struct bbolt_cursor cursor;
    struct bbolt_item item;
    int code = bbolt_bucket_find(copy->db, bytes_from_text(name), &bucket, err);
    if (code != 0) {
        return code == ERR_NOT_FOUND ? 0 : code;
    }
    bbolt_cursor_init(&cursor, &bucket);
    code = bbolt_cursor_next(&cursor, &item, err);
    while (code == 0) {
        code = on_item(copy, &item, err);
        code = code != 0 ? code : flush(copy, BATCH_BYTES, err);
        code = code != 0 ? code : bbolt_cursor_next(&cursor, &item, err);
    }
    return code == ERR_NOT_FOUND ? 0 : code;
}

static int find_number(const struct bbolt *db, const char *bucket_name, const char *key,
                       unsigned size, uint64_t *ret_value, struct err *err)
{
    struct bbolt_bucket bucket;
    struct bbolt_cursor cursor;
    struct bbolt_item item;
    int code = bbolt_bucket_find(db, bytes_from_text(bucket_name), &bucket, err);
    if (code != 0) {
        return code == ERR_NOT_FOUND ? 0 : code;
    }
    bbolt_cursor_init(&cursor, &bucket);
    while ((code = bbolt_cursor_next(&cursor, &item, err)) == 0) {
        if (!bytes_equal(item.key, bytes_from_text(key))) {
            continue;
        }
        if (item.value.size < size) {
            return err_set(err, ERR_CORRUPT, "%s of the database has %zu bytes", key,
                           item.value.size);
        }
        *ret_value = load_be(item.value.data, size);
        return 0;
    }
    return code == ERR_NOT_FOUND ? 0 : code;
}

int etcd_copy_number(struct etcd_copy *copy, const char *bucket, const char *key, unsigned size,
                     uint64_t *ret_value, struct err *err)
{
    return find_number(copy->db, bucket, key, size, ret_value, err);
}

int etcd_store_read_position(const struct bbolt *db, uint64_t *ret_index, uint64_t *ret_term,
                             struct err *err)
{
    uint64_t index = 0;
    uint64_t term = 0;
    int code = find_number(db, "meta", "consistent_index", 8, &index, err);
    code = code != 0 ? code : find_number(db, "meta", "term", 8, &term, err);
    if (code == 0) {
        *ret_index = index;
        *ret_term = term;
    }
    return code;
}

/* --- revisions ------------------------------------------------------------------------------- */

static void put_record(struct etcd_copy *copy, struct backend_revision at, bool is_tombstone,
                       struct bytes value, struct key_value *record)
{
    struct blob *blob;
    if (is_tombstone) { /* ours name their revision, etcd's only the key */
        blob = key_value_encode(
            &(struct key_value){.key = record->key, .mod_revision = (int64_t)at.main});
    } else {
        blob = blob_new_copy(value.data, value.size);
    }
    backend_batch_put(copy->batch, at, is_tombstone, blob);
    blob_unref(blob);
    copy->found.record_count += 1;
}

static int copy_revision(struct etcd_copy *copy, const struct bbolt_item *item, struct err *err)
{
    const uint8_t *key = item->key.data;
    bool is_tombstone = item->key.size == TOMBSTONE_SIZE && key[REVISION_SIZE] == 't';
    if (item->is_bucket || key == NULL || (item->key.size != REVISION_SIZE && !is_tombstone) ||
        key[8] != '_') {
        return err_set(err, ERR_CORRUPT, "a key of the database is not a revision");
    }
    uint64_t main = load_be(key, 8);
    uint64_t sub = load_be(key + 9, 8);
    if (main < 1 || main > INT64_MAX / 2 || sub > UINT32_MAX) {
        return err_set(err, ERR_CORRUPT, "the database has revision %llu/%llu",
                       (unsigned long long)main, (unsigned long long)sub);
    }
    copy->found.revision = (int64_t)main;
    if (item->value.size == 0) {
        return 0; /* the mark that etcdutl --bump-revision leaves */
    }
    struct key_value record;
    if (main < 2 || key_value_decode(item->value, &record) != 0 || record.key.size == 0 ||
        (!is_tombstone && (record.mod_revision != (int64_t)main || record.create_revision <= 0 ||
                           record.version <= 0))) {
        return err_set(err, ERR_CORRUPT, "revision %llu/%llu of the database is not a KeyValue",
                       (unsigned long long)main, (unsigned long long)sub);
    }
    put_record(copy, (struct backend_revision){main, (uint32_t)sub}, is_tombstone, item->value,
               &record);
    return 0;
}

/* --- leases ---------------------------------------------------------------------------------- */

static int copy_lease(struct etcd_copy *copy, const struct bbolt_item *item, struct err *err)
{
    uint8_t memory[META_KEY_SIZE_MAX];
    struct pb_reader reader = pb_reader_make(item->value);
    struct pb_field field;
    uint64_t id = 0;
    while (pb_next(&reader, &field)) {
        id = field.key == PB_VARINT(1) ? field.value : id;
    }
    if (item->key.size != META_ID_SIZE || reader.failed || id == 0) {
        return err_set(err, ERR_CORRUPT, "a lease of the database cannot be decoded");
    }
    /* The value is leasepb.Lease on both sides; the key of a lease that was negative once differs.
     */
    backend_batch_meta_put(copy->batch, meta_key_make(memory, BYTES_LITERAL("lease/"), id),
                           item->value);
    copy->found.lease_count += 1;
    return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

static int copy_marks(struct etcd_copy *copy, struct err *err)
{
    uint64_t finished = 0;
    uint64_t scheduled = 0;
    int code = etcd_copy_number(copy, "meta", "finishedCompactRev", 8, &finished, err);
    code = code != 0 ? code
                     : etcd_copy_number(copy, "meta", "scheduledCompactRev", 8, &scheduled, err);
    scheduled = scheduled > finished ? scheduled : finished;
    if (code == 0 && scheduled > INT64_MAX / 2) {
        code = err_set(err, ERR_CORRUPT, "the compaction mark of the database is damaged");
    }
    if (code != 0) {
        return code;
    }
    copy->found.compact_revision = (int64_t)scheduled;
    if (copy->found.revision < (int64_t)scheduled) {
        copy->found.revision = (int64_t)scheduled;
    }
    mvcc_meta_put_i64(copy->batch, MVCC_META_REVISION, copy->found.revision);
    mvcc_meta_put_i64(copy->batch, MVCC_META_COMPACT, (int64_t)scheduled);
    mvcc_meta_put_i64(copy->batch, MVCC_META_COMPACTED, (int64_t)finished);
    return 0;
}

int etcd_store_copy(const struct bbolt *db, uint64_t term, struct backend *backend,
                    struct etcd_store *ret, struct err *err)
{
    struct etcd_copy copy = {
        .db = db,
        .backend = backend,
        .batch = backend_batch_new(1),
        .sequence = 1,
        .found = {.revision = 1},
    };
    struct etcd_store *found = &copy.found;
    int code = etcd_store_read_position(db, &found->consistent_index, &found->term, err);
    code = code != 0 ? code : etcd_copy_bucket(&copy, "lease", copy_lease, err);
    code = code != 0 ? code : etcd_copy_auth(&copy, err);
    code = code != 0 ? code : etcd_copy_bucket(&copy, "key", copy_revision, err);
    code = code != 0 ? code : copy_marks(&copy, err);
    if (code == 0) {
        uint64_t index = found->consistent_index;
        backend_batch_set_applied(copy.batch,
                                  (struct backend_position){.index = index == 0 ? 1 : index,
                                                            .term = term == 0 ? 1 : term});
        code = flush(&copy, 0, err);
    }
    backend_batch_free(copy.batch);
    if (code == 0) {
        *ret = copy.found;
    }
    return code;
}
