/* bbolt.h - etcd's database file, read only: a B+tree of pages with buckets inside buckets.
 *
 *   page    = id u64 | flags u16 | count u16 | overflow u32 | elements (little-endian, host of Go)
 *   branch  = (pos u32 | key size u32 | page u64)*           pos counts from the element itself
 *   leaf    = (flags u32 | pos u32 | key size u32 | value size u32)*
 *   bucket  = a leaf's value with flag 1: root page u64 | sequence u64 | root 0: the page itself
 *   meta    = magic | version | page size | flags | root bucket | freelist | pages | txid | FNV-1a
 *
 * Two meta pages; the valid one with the higher transaction counts. The list of free pages is not
 * looked at. Pages have no checksums, so what can be checked is: numbers in range, every page met
 * once, keys in order. Source: the public sources of go.etcd.io/bbolt (page.go, db.go, bucket.go).
 */
#ifndef KVSTORE_MIGRATE_BBOLT_H
#define KVSTORE_MIGRATE_BBOLT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    BBOLT_PAGE_SIZE_MIN = 512,
    BBOLT_PAGE_SIZE_MAX = 65536,
    BBOLT_DEPTH_MAX = 32, /* a tree of 2^64 keys has fewer levels */
};

struct bbolt {
    struct bytes file; /* borrowed; must not change meanwhile */
    uint32_t page_size;
    uint64_t page_count; /* whole pages in the file */
    uint64_t root;       /* page of the bucket that holds all others */
    uint64_t txid;
};

/* A page that was found to lie inside the file. */
struct bbolt_page {
    struct bytes data; /* with the header and all overflow pages */
    uint16_t flags;
    uint16_t count;
};

enum { BBOLT_BRANCH = 1, BBOLT_LEAF = 2, BBOLT_META = 4, BBOLT_FREELIST = 16 };

struct bbolt_bucket {
    const struct bbolt *db;
    uint64_t root; /* 0: inline */
    struct bytes inline_page;
};

/* True if the bytes begin as such a file does. */
bool bbolt_is_file(struct bytes file);
/* ERR_CORRUPT: no valid meta page; ERR_UNSUPPORTED: another version of the format. */
MUST_USE int bbolt_init(struct bbolt *db, struct bytes file, struct err *err);
/* Page id of this file. ERR_CORRUPT. */
MUST_USE int bbolt_page_get(const struct bbolt *db, uint64_t id, struct bbolt_page *ret,
                            struct err *err);
/* What a page in memory holds; name is for the message. ERR_CORRUPT. */
MUST_USE int bbolt_page_parse(struct bytes data, const char *name, struct bbolt_page *ret,
                              struct err *err);

struct bbolt_bucket bbolt_root(const struct bbolt *db);
/* The bucket of this name in the root. ERR_NOT_FOUND, ERR_CORRUPT. */
MUST_USE int bbolt_bucket_find(const struct bbolt *db, struct bytes name, struct bbolt_bucket *ret,
                               struct err *err);

struct bbolt_item {
    struct bytes key; /* borrowed from the file */
    struct bytes value;
    bool is_bucket; /* value is one: bbolt_bucket_open */
};

MUST_USE int bbolt_bucket_open(const struct bbolt *db, const struct bbolt_item *item,
                               struct bbolt_bucket *ret, struct err *err);

/* All pairs of one bucket in the order of their keys. */
struct bbolt_cursor {
    struct bbolt_bucket bucket;
    struct {
        struct bbolt_page page;
        uint32_t next; /* element */
    } stack[BBOLT_DEPTH_MAX];
    unsigned depth;
    bool has_begun;
    uint64_t pages_seen; /* more than the file has: the tree goes in a circle */
    struct bytes last_key;
};

void bbolt_cursor_init(struct bbolt_cursor *cursor, const struct bbolt_bucket *bucket);
/* 0, ERR_NOT_FOUND at the end, ERR_CORRUPT. */
MUST_USE int bbolt_cursor_next(struct bbolt_cursor *cursor, struct bbolt_item *ret,
                               struct err *err);

#endif
