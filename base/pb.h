/* pb.h - the protobuf wire format by hand: reading fields without copies, writing into buffers.
 *
 * For hot paths that splice already encoded messages; elsewhere the generated code is fine. Source:
 * the public "Encoding" chapter of the Protocol Buffers documentation. */
#ifndef BASE_PB_H
#define BASE_PB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

enum pb_type { PB_TYPE_VARINT = 0, PB_TYPE_FIXED64 = 1, PB_TYPE_BYTES = 2, PB_TYPE_FIXED32 = 5 };

/* A field's key as it is on the wire; unknown combinations are skipped by a switch's default. */
#define PB_VARINT(number) ((uint64_t)(number) << 3 | PB_TYPE_VARINT)
#define PB_BYTES(number) ((uint64_t)(number) << 3 | PB_TYPE_BYTES)

enum { PB_VARINT_BYTES_MAX = 10 };

struct pb_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed; /* the input ended inside a field, or a key or type is invalid */
};

struct pb_field {
    uint64_t key;       /* compare with PB_VARINT(n), PB_BYTES(n) */
    uint64_t value;     /* varint, fixed64, fixed32 */
    struct bytes bytes; /* PB_TYPE_BYTES: borrowed from the input */
};

static inline struct pb_reader pb_reader_make(struct bytes message)
{
    const uint8_t *end = message.size == 0 ? message.data : message.data + message.size;
    return (struct pb_reader){message.data, end, false};
}

/* The next field; false at the end or when the input is malformed (then failed is set). */
bool pb_next(struct pb_reader *reader, struct pb_field *ret_field);
/* One bare varint, as in packed lists. */
bool pb_read_varint(struct pb_reader *reader, uint64_t *ret_value);

static inline size_t pb_varint_size(uint64_t value)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

/* Write at a place with at least PB_VARINT_BYTES_MAX bytes of room; returns the byte after. */
static inline uint8_t *pb_write_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/* Encoded sizes; fields with default values take no space (proto3). */
static inline size_t pb_u64_size(uint32_t number, uint64_t value)
{
    return value == 0 ? 0 : pb_varint_size((uint64_t)number << 3) + pb_varint_size(value);
}

static inline size_t pb_message_size(uint32_t number, size_t size)
{
    return pb_varint_size((uint64_t)number << 3) + pb_varint_size(size) + size;
}

static inline size_t pb_bytes_size(uint32_t number, size_t size)
{
    return size == 0 ? 0 : pb_message_size(number, size);
}

void pb_put_varint(struct buf *out, uint64_t value);
void pb_put_u64(struct buf *out, uint32_t number, uint64_t value); /* 0 is left out */
static inline void pb_put_i64(struct buf *out, uint32_t number, int64_t value)
{
    pb_put_u64(out, number, (uint64_t)value);
}
void pb_put_bytes(struct buf *out, uint32_t number, struct bytes bytes); /* empty is left out */
void pb_put_text(struct buf *out, uint32_t number, const char *text);    /* "" is left out */
/* Key and length of a sub-message whose size bytes follow. */
void pb_put_message_head(struct buf *out, uint32_t number, size_t size);
void pb_put_message(struct buf *out, uint32_t number, struct bytes message);

/* A sub-message whose size is not known yet: begin, append its fields, end. One byte is kept for
 * the length; the content is moved when it needs more. */
size_t pb_begin_message(struct buf *out, uint32_t number);
void pb_end_message(struct buf *out, size_t mark);

#endif
