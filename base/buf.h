/* buf.h - a growable byte buffer with a read position: append at the end, consume at the front. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/bytes.h"

struct buf {
    uint8_t *data;
    size_t start;    /* bytes consumed */
    size_t end;      /* bytes written */
    size_t capacity; /* bytes allocated */
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        NULL, 0, 0, 0                                                                              \
    }

void buf_init(struct buf *buf);
void buf_deinit(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */

static inline size_t buf_size(const struct buf *buf)
{
    return buf->end - buf->start;
}

static inline struct bytes buf_bytes(const struct buf *buf)
{
    if (buf->data == NULL) {
        return bytes_make(NULL, 0);
    }
    return bytes_make(buf->data + buf->start, buf_size(buf));
}

/* Room for size more bytes; the pointer is valid until the next call. buf_commit makes them count.
 */
uint8_t *buf_reserve(struct buf *buf, size_t size);
void buf_commit(struct buf *buf, size_t size);
void buf_consume(struct buf *buf, size_t size);
void buf_truncate(struct buf *buf, size_t size); /* keep the first size bytes of what is unread */

void buf_append(struct buf *buf, const void *data, size_t size);
void buf_append_bytes(struct buf *buf, struct bytes bytes);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_u8(struct buf *buf, uint8_t value);
__attribute__((format(printf, 2, 3))) void buf_append_format(struct buf *buf, const char *format,
                                                             ...);
__attribute__((format(printf, 2, 0))) void buf_append_vformat(struct buf *buf, const char *format,
                                                              va_list arguments);

/* The unread bytes and a NUL after them (not counted). Valid until the next call. */
const char *buf_text(struct buf *buf);
/* A copy of the unread bytes as a blob; the buffer is unchanged. */
struct blob *buf_to_blob(const struct buf *buf);

static inline void cleanup_buf(struct buf *buf)
{
    buf_deinit(buf);
}

#endif
