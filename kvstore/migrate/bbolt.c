#include "kvstore/migrate/bbolt.h"

#include <stdio.h>

#include "base/byte_order.h"

enum {
    PAGE_HEAD = 16,
    MAGIC_OFFSET = PAGE_HEAD,
    META_SIZE = 64,    /* after the page's head */
    META_CHECKED = 56, /* what the checksum covers */
    BUCKET_HEAD = 16,
    VERSION = 2,
};

static const uint32_t MAGIC = 0xED0CDAED;

/* FNV-1a, 64 bits. */
static uint64_t checksum(const uint8_t *data, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

bool bbolt_is_file(struct bytes file)
{
    return file.size >= PAGE_HEAD + META_SIZE && load_le(file.data + MAGIC_OFFSET, 4) == MAGIC;
}

/* The meta page at offset, if it is one that can be believed. */
static bool read_meta(struct bytes file, size_t offset, struct bbolt *ret, uint32_t *ret_version)
{
    if (file.size < offset + PAGE_HEAD + META_SIZE) {
        return false;
    }
    const uint8_t *meta = file.data + offset + PAGE_HEAD;
    if (load_le(meta, 4) != MAGIC ||
        checksum(meta, META_CHECKED) != load_le(meta + META_CHECKED, 8)) {
        return false;
    }
    uint64_t page_size = load_le(meta + 8, 4);
    *ret_version = (uint32_t)load_le(meta + 4, 4);
    if (page_size < BBOLT_PAGE_SIZE_MIN || page_size > BBOLT_PAGE_SIZE_MAX ||
        (page_size & (page_size - 1)) != 0 || *ret_version != VERSION) {
        return false;
    }
    *ret = (struct bbolt){
        .file = file,
        .page_size = (uint32_t)page_size,
        .page_count = file.size / page_size,
        .root = load_le(meta + 16, 8),
        .txid = load_le(meta + 48, 8),
    };
    return true;
}

int bbolt_init(struct bbolt *db, struct bytes file, struct err *err)
{
    struct bbolt first;
    struct bbolt second;
    uint32_t version = VERSION;
    bool has_first = read_meta(file, 0, &first, &version);
    bool has_second = false;
    if (has_first) {
        has_second = read_meta(file, first.page_size, &second, &version);
    }
    /* The first is damaged: the second is where the page size says, which only it knows. */
    for (size_t size = BBOLT_PAGE_SIZE_MIN;
         !has_first && !has_second && size <= BBOLT_PAGE_SIZE_MAX; size *= 2) {
        has_second = read_meta(file, size, &second, &version) && second.page_size == size;
    }
    if (!has_first && !has_second) {
        return version != VERSION
                   ? err_set(err, ERR_UNSUPPORTED, "the database has format %u, not 2", version)
                   : err_set(err, ERR_CORRUPT, "the database has no valid meta page");
    }
    *db = !has_first || (has_second && second.txid > first.txid) ? second : first;
    return 0;
}

int bbolt_page_parse(struct bytes data, const char *name, struct bbolt_page *ret, struct err *err)
{
    if (data.size < PAGE_HEAD) {
        return err_set(err, ERR_CORRUPT, "%s of the database is cut short", name);
    }
    struct bbolt_page page = {
        .data = data,
        .flags = (uint16_t)load_le(data.data + 8, 2),
        .count = (uint16_t)load_le(data.data + 10, 2),
    };
    if (page.flags != BBOLT_BRANCH && page.flags != BBOLT_LEAF) {
        return err_set(err, ERR_CORRUPT, "%s of the database is neither branch nor leaf (0x%x)",
                       name, page.flags);
    }
    if ((data.size - PAGE_HEAD) / 16 < page.count) {
        return err_set(err, ERR_CORRUPT, "%s of the database cannot hold its %u elements", name,
                       page.count);
    }
    *ret = page;
    return 0;
}

int bbolt_page_get(const struct bbolt *db, uint64_t id, struct bbolt_page *ret, struct err *err)
{
    char name[40];
    (void)snprintf(name, sizeof name, "page %llu", (unsigned long long)id);
    if (id < 2 || id >= db->page_count) {
        return err_set(err, ERR_CORRUPT, "%s of the database is outside the file", name);
    }
    const uint8_t *at = db->file.data + id * db->page_size;
    uint64_t pages = load_le(at + 12, 4) + 1;
    if (load_le(at, 8) != id) {
        return err_set(err, ERR_CORRUPT, "%s of the database says it is page %llu", name,
                       (unsigned long long)load_le(at, 8));
    }
    if (pages > db->page_count - id) {
        return err_set(err, ERR_CORRUPT, "%s of the database is longer than the file", name);
    }
    return bbolt_page_parse(bytes_make(at, pages * db->page_size), name, ret, err);
}

struct bbolt_bucket bbolt_root(const struct bbolt *db)
{
    return (struct bbolt_bucket){.db = db, .root = db->root};
}

int bbolt_bucket_open(const struct bbolt *db, const struct bbolt_item *item,
                      struct bbolt_bucket *ret, struct err *err)
{
    if (!item->is_bucket || item->value.size < BUCKET_HEAD) {
        return err_set(err, ERR_CORRUPT, "bucket '%.*s' of the database is none",
                       (int)(item->key.size < 64 ? item->key.size : 64),
                       (const char *)item->key.data);
    }
    struct bbolt_bucket bucket = {.db = db, .root = load_le(item->value.data, 8)};
    if (bucket.root == 0) {
        bucket.inline_page =
            bytes_make(item->value.data + BUCKET_HEAD, item->value.size - BUCKET_HEAD);
    }
    *ret = bucket;
    return 0;
}

int bbolt_bucket_find(const struct bbolt *db, struct bytes name, struct bbolt_bucket *ret,
                      struct err *err)
{
    struct bbolt_bucket root = bbolt_root(db);
    struct bbolt_cursor cursor;
    struct bbolt_item item;
    bbolt_cursor_init(&cursor, &root);
    /* A dozen buckets: no search is worth its code. */
    for (;;) {
        int code = bbolt_cursor_next(&cursor, &item, err);
        if (code == ERR_NOT_FOUND) {
            return err_set(err, code, "the database has no bucket '%.*s'", (int)name.size,
                           (const char *)name.data);
        }
        if (code != 0) {
            return code;
        }
        if (bytes_equal(item.key, name)) {
            return bbolt_bucket_open(db, &item, ret, err);
        }
    }
}
