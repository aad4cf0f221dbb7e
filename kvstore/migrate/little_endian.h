/* little_endian.h - numbers of etcd's files, at any alignment. */
#ifndef KVSTORE_MIGRATE_LITTLE_ENDIAN_H
#define KVSTORE_MIGRATE_LITTLE_ENDIAN_H

#include <stdint.h>

static inline uint64_t little_endian_get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

/* Keys of etcd's buckets are big-endian, so that they sort. */
static inline uint64_t big_endian_get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

#endif
