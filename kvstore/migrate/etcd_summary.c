#include "kvstore/migrate/etcd_summary.h"

#include "base/byte_order.h"
#include "base/crc32c.h"

static int add_bucket(const struct bbolt_bucket *bucket, bool is_keys, struct etcd_summary *summary,
                      struct err *err)
{
    struct bbolt_cursor cursor;
    struct bbolt_item item;
    bbolt_cursor_init(&cursor, bucket);
    int code = bbolt_cursor_next(&cursor, &item, err);
    for (; code == 0; code = bbolt_cursor_next(&cursor, &item, err)) {
        summary->hash = crc32c(summary->hash, item.key.data, item.key.size);
        summary->hash = crc32c(summary->hash, item.value.data, item.value.size);
        summary->key_count += 1;
        if (is_keys && item.key.size >= 8) {
            summary->revision = (int64_t)load_be(item.key.data, 8);
        }
    }
    return code == ERR_NOT_FOUND ? 0 : code;
}

int etcd_summary_read(const struct bbolt *db, struct etcd_summary *ret, struct err *err)
{
    struct bbolt_bucket root = bbolt_root(db);
    struct bbolt_cursor cursor;
    struct bbolt_item item;
    struct etcd_summary summary = {0};
    bbolt_cursor_init(&cursor, &root);
    int code = bbolt_cursor_next(&cursor, &item, err);
    for (; code == 0; code = bbolt_cursor_next(&cursor, &item, err)) {
        struct bbolt_bucket bucket;
        code = bbolt_bucket_open(db, &item, &bucket, err);
        if (code != 0) {
            return code;
        }
        summary.hash = crc32c(summary.hash, item.key.data, item.key.size);
        bool is_keys = bytes_equal(item.key, BYTES_LITERAL("key"));
        code = add_bucket(&bucket, is_keys, &summary, err);
        if (code != 0) {
            return code;
        }
    }
    if (code != ERR_NOT_FOUND) {
        return code;
    }
    *ret = summary;
    return 0;
}
