/* wal_bytes.h - little-endian numbers in the log's bytes. Private to this folder. */
#ifndef RAFT_WAL_WAL_BYTES_H
#define RAFT_WAL_WAL_BYTES_H

#include <stdint.h>

static inline void wal_store(uint8_t *to, uint64_t value, int size)
{
    for (int i = 0; i < size; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline uint64_t wal_load(const uint8_t *from, int size)
{
    uint64_t value = 0;
    for (int i = size - 1; i >= 0; i--) {
        value = value << 8 | from[i];
    }
    return value;
}

static inline uint32_t wal_load_u32(const uint8_t *from)
{
    return (uint32_t)wal_load(from, 4);
}

#endif
