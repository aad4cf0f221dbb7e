/* byte_order.h - numbers as bytes, lowest first (le) or highest first (be), of 1 to 8 bytes. For
 * formats on disks and wires; the machine's own order never shows. Compilers make single
 * instructions of calls with a constant size. */
#ifndef BASE_BYTE_ORDER_H
#define BASE_BYTE_ORDER_H

#include <stdint.h>

#include "base/buf.h"

static inline void store_le(uint8_t *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline uint64_t load_le(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = size; i > 0; i--) {
        value = value << 8 | from[i - 1];
    }
    return value;
}

static inline void append_le(struct buf *out, uint64_t value, unsigned size)
{
    uint8_t bytes[8];
    store_le(bytes, value, size);
    buf_append(out, bytes, size);
}

static inline void store_be(uint8_t *to, uint64_t value, unsigned size)
{
    for (unsigned i = size; i > 0; i--) {
        to[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

static inline uint64_t load_be(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value = value << 8 | from[i];
    }
    return value;
}

#endif
