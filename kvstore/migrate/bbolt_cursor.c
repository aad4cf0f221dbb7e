/* From page to page, depth first. */
#include <stdio.h>

#include "base/byte_order.h"
#include "kvstore/migrate/bbolt.h"

enum { PAGE_HEAD = 16, ELEMENT_SIZE = 16, BUCKET_FLAG = 1 };

void bbolt_cursor_init(struct bbolt_cursor *cursor, const struct bbolt_bucket *bucket)
{
    cursor->bucket = *bucket;
    cursor->depth = 0;
    cursor->has_begun = false;
    cursor->pages_seen = 0;
    cursor->last_key = (struct bytes){NULL, 0};
}

static int push(struct bbolt_cursor *cursor, const struct bbolt_page *page, struct err *err)
{
    if (cursor->depth == BBOLT_DEPTH_MAX) {
        return err_set(err, ERR_CORRUPT, "the tree of the database is deeper than %d pages",
                       BBOLT_DEPTH_MAX);
    }
    cursor->stack[cursor->depth].page = *page;
    cursor->stack[cursor->depth].next = 0;
    cursor->depth += 1;
    return 0;
}

static int push_id(struct bbolt_cursor *cursor, uint64_t id, struct err *err)
{
    struct bbolt_page page;
    if (cursor->pages_seen++ > cursor->bucket.db->page_count) {
        return err_set(err, ERR_CORRUPT, "the tree of the database goes in a circle");
    }
    int code = bbolt_page_get(cursor->bucket.db, id, &page, err);
    return code != 0 ? code : push(cursor, &page, err);
}

static int begin(struct bbolt_cursor *cursor, struct err *err)
{
    struct bbolt_page page;
    cursor->has_begun = true;
    if (cursor->bucket.root != 0) {
        return push_id(cursor, cursor->bucket.root, err);
    }
    int code = bbolt_page_parse(cursor->bucket.inline_page, "a page inside a bucket", &page, err);
    if (code == 0 && page.flags != BBOLT_LEAF) {
        code = err_set(err, ERR_CORRUPT, "a page inside a bucket of the database is no leaf");
    }
    return code != 0 ? code : push(cursor, &page, err);
}

/* size bytes at pos, which counts from the element. */
static bool slice(const struct bbolt_page *page, size_t element, uint64_t pos, uint64_t size,
                  struct bytes *ret)
{
    uint64_t start = element + pos;
    if (start > page->data.size || size > page->data.size - start) {
        return false;
    }
    *ret = bytes_make(page->data.data + start, (size_t)size);
    return true;
}

static int read_leaf(struct bbolt_cursor *cursor, const struct bbolt_page *page, uint32_t index,
                     struct bbolt_item *ret, struct err *err)
{
    size_t at = PAGE_HEAD + (size_t)index * ELEMENT_SIZE;
    const uint8_t *element = page->data.data + at;
    uint64_t pos = load_le(element + 4, 4);
    uint64_t key_size = load_le(element + 8, 4);
    uint64_t value_size = load_le(element + 12, 4);
    struct bbolt_item item = {.is_bucket = (element[0] & BUCKET_FLAG) != 0};
    if (!slice(page, at, pos, key_size, &item.key) ||
        !slice(page, at, pos + key_size, value_size, &item.value)) {
        return err_set(err, ERR_CORRUPT, "a pair of the database lies outside its page");
    }
    if (cursor->last_key.data != NULL && bytes_compare(cursor->last_key, item.key) >= 0) {
        return err_set(err, ERR_CORRUPT, "the keys of the database are not in order");
    }
    cursor->last_key = item.key;
    *ret = item;
    return 0;
}

int bbolt_cursor_next(struct bbolt_cursor *cursor, struct bbolt_item *ret, struct err *err)
{
    int code = cursor->has_begun ? 0 : begin(cursor, err);
    while (code == 0 && cursor->depth > 0) {
        const struct bbolt_page *page = &cursor->stack[cursor->depth - 1].page;
        uint32_t index = cursor->stack[cursor->depth - 1].next;
        if (index == page->count) {
            cursor->depth -= 1;
            continue;
        }
        cursor->stack[cursor->depth - 1].next = index + 1;
        if (page->flags == BBOLT_LEAF) {
            return read_leaf(cursor, page, index, ret, err);
        }
        const uint8_t *element = page->data.data + PAGE_HEAD + (size_t)index * ELEMENT_SIZE;
        code = push_id(cursor, load_le(element + 8, 8), err);
    }
    return code != 0 ? code : err_set(err, ERR_NOT_FOUND, "the end of the bucket");
}
