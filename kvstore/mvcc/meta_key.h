/* meta_key.h - keys of the meta table that end in a number: "lease/" and an id, and the like. */
#ifndef KVSTORE_MVCC_META_KEY_H
#define KVSTORE_MVCC_META_KEY_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"

enum { META_KEY_SIZE_MAX = 32, META_ID_SIZE = 8 };

/* prefix and the id, big-endian so that keys sort by id. memory has META_KEY_SIZE_MAX bytes. */
static inline struct bytes meta_key_make(uint8_t *memory, struct bytes prefix, uint64_t id)
{
    CHECK(prefix.size + META_ID_SIZE <= META_KEY_SIZE_MAX);
    memcpy(memory, prefix.data, prefix.size);
    for (unsigned i = 0; i < META_ID_SIZE; i++) {
        memory[prefix.size + i] = (uint8_t)(id >> (56 - 8 * i));
    }
    return bytes_make(memory, prefix.size + META_ID_SIZE);
}

/* The id behind a prefix of this size; the key is long enough. */
static inline uint64_t meta_key_id(struct bytes key, size_t prefix_size)
{
    uint64_t id = 0;
    for (unsigned i = 0; i < META_ID_SIZE; i++) {
        id = id << 8 | key.data[prefix_size + i];
    }
    return id;
}

#endif
