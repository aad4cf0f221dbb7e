#include "base/buf.h"

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

enum { BUF_CAPACITY_MIN = 64 };

void buf_init(struct buf *buf)
{
    *buf = (struct buf)BUF_INIT;
}

void buf_deinit(struct buf *buf)
{
    mem_free(buf->data);
    buf_init(buf);
}

void buf_clear(struct buf *buf)
{
    buf->start = 0;
    buf->end = 0;
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
    if (buf->capacity - buf->end >= size) {
        return buf->data + buf->end;
    }
    size_t unread = buf_size(buf);
    /* Moving the unread bytes to the front is worth it only when they are the smaller part. */
    if (buf->start > 0 && buf->capacity - unread >= size && buf->start >= unread) {
        memmove(buf->data, buf->data + buf->start, unread);
    } else {
        size_t capacity = buf->capacity < BUF_CAPACITY_MIN ? BUF_CAPACITY_MIN : buf->capacity;
        while (capacity - unread < size) {
            CHECK(capacity <= SIZE_MAX / 2);
            capacity *= 2;
        }
        uint8_t *data = mem_alloc(capacity);
        if (unread > 0) {
            memcpy(data, buf->data + buf->start, unread);
        }
        mem_free(buf->data);
        buf->data = data;
        buf->capacity = capacity;
    }
    buf->start = 0;
    buf->end = unread;
    return buf->data + buf->end;
}

void buf_commit(struct buf *buf, size_t size)
{
    CHECK(size <= buf->capacity - buf->end);
    buf->end += size;
}

void buf_consume(struct buf *buf, size_t size)
{
    CHECK(size <= buf_size(buf));
    buf->start += size;
    if (buf->start == buf->end) {
        buf_clear(buf);
    }
}

void buf_truncate(struct buf *buf, size_t size)
{
    CHECK(size <= buf_size(buf));
    buf->end = buf->start + size;
}

void buf_append(struct buf *buf, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(buf_reserve(buf, size), data, size);
        buf->end += size;
    }
}

void buf_append_bytes(struct buf *buf, struct bytes bytes)
{
    buf_append(buf, bytes.data, bytes.size);
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_u8(struct buf *buf, uint8_t value)
{
    *buf_reserve(buf, 1) = value;
    buf->end += 1;
}

void buf_append_vformat(struct buf *buf, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    CHECK(length >= 0);
    char *place = (char *)buf_reserve(buf, (size_t)length + 1);
    (void)vsnprintf(place, (size_t)length + 1, format, arguments);
    buf->end += (size_t)length;
}

void buf_append_format(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buf_append_vformat(buf, format, arguments);
    va_end(arguments);
}

const char *buf_text(struct buf *buf)
{
    *buf_reserve(buf, 1) = 0;
    return (const char *)buf->data + buf->start;
}

struct blob *buf_to_blob(const struct buf *buf)
{
    struct bytes bytes = buf_bytes(buf);
    return blob_new_copy(bytes.data, bytes.size);
}
