#include "tests/support/bbolt_file.h"

#include <string.h>

struct pair {
    const char *key;
    const void *value;
    uint32_t value_size;
    uint32_t flags;
};

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static void put_head(uint8_t *page, uint64_t id, unsigned flags, unsigned count, unsigned overflow)
{
    put(page, id, 8);
    put(page + 8, flags, 2);
    put(page + 10, count, 2);
    put(page + 12, overflow, 4);
}

/* Returns the size used. */
static size_t put_leaf(uint8_t *page, uint64_t id, unsigned overflow, const struct pair *pairs,
                       unsigned count)
{
    size_t at = 16 + (size_t)count * 16;
    put_head(page, id, 2, count, overflow);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *element = page + 16 + (size_t)i * 16;
        size_t key_size = strlen(pairs[i].key);
        put(element, pairs[i].flags, 4);
        put(element + 4, at - (16 + (size_t)i * 16), 4);
        put(element + 8, key_size, 4);
        put(element + 12, pairs[i].value_size, 4);
        memcpy(page + at, pairs[i].key, key_size);
        memcpy(page + at + key_size, pairs[i].value, pairs[i].value_size);
        at += key_size + pairs[i].value_size;
    }
    return at;
}

static void put_branch(uint8_t *page, uint64_t id)
{
    static const char *const keys[] = {"a", "m"};
    put_head(page, id, 1, 2, 0);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *element = page + 16 + (size_t)i * 16;
        put(element, 32 + i - 16 * i, 4);
        put(element + 4, 1, 4);
        put(element + 8, 6 + i, 8);
        page[16 + 32 + i] = (uint8_t)keys[i][0];
    }
}

void bbolt_file_seal(uint8_t *file, unsigned meta)
{
    uint8_t *at = file + (size_t)meta * BBOLT_FILE_PAGE + 16;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (unsigned i = 0; i < 56; i++) {
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    }
    put(at + 56, hash, 8);
}

static void put_meta(uint8_t *file, unsigned index, uint64_t root, uint64_t txid)
{
    uint8_t *page = file + (size_t)index * BBOLT_FILE_PAGE;
    put_head(page, index, 4, 0, 0);
    put(page + 16, 0xED0CDAED, 4);
    put(page + 20, 2, 4);
    put(page + 24, BBOLT_FILE_PAGE, 4);
    put(page + 32, root, 8);
    put(page + 48, 3, 8);
    put(page + 56, BBOLT_FILE_PAGES, 8);
    put(page + 64, txid, 8);
    bbolt_file_seal(file, index);
}

void bbolt_file_make(struct buf *out)
{
    static uint8_t long_value[600];
    size_t size = (size_t)BBOLT_FILE_PAGE * BBOLT_FILE_PAGES;
    uint8_t *file = buf_reserve(out, size);
    uint8_t big[16] = {5};
    uint8_t small[256] = {0};
    memset(file, 0, size);
    memset(long_value, 'v', sizeof long_value);
    put_meta(file, 0, 2, 2);
    put_meta(file, 1, 4, 3);
    (void)put_leaf(file + 2 * BBOLT_FILE_PAGE, 2, 0, NULL, 0);
    put_head(file + 3 * BBOLT_FILE_PAGE, 3, 16, 0, 0);
    const struct pair inside[] = {{"one", "1", 1, 0}, {"two", "", 0, 0}};
    size_t small_size = 16 + put_leaf(small + 16, 0, 0, inside, 2);
    const struct pair roots[] = {{"big", big, 16, 1}, {"small", small, (uint32_t)small_size, 1}};
    (void)put_leaf(file + 4 * BBOLT_FILE_PAGE, 4, 0, roots, 2);
    put_branch(file + 5 * BBOLT_FILE_PAGE, 5);
    const struct pair first[] = {{"a", "A", 1, 0}, {"b", "B", 1, 0}};
    const struct pair second[] = {{"m", "M", 1, 0}, {"z", long_value, sizeof long_value, 0}};
    (void)put_leaf(file + 6 * BBOLT_FILE_PAGE, 6, 0, first, 2);
    (void)put_leaf(file + 7 * BBOLT_FILE_PAGE, 7, 1, second, 2);
    buf_commit(out, size);
}
