/* map.h - hash maps: from 64-bit numbers, and from bytes, to pointers.
 *
 * Deterministic: the same operations give the same iteration order in every process, so a pure core
 * may use them. Values are borrowed; the byte keys of a bytes_map are copied. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct u64_map_slot {
    uint64_t key;
    void *value; /* NULL: free */
};

struct u64_map {
    struct u64_map_slot *slots;
    size_t count;
    size_t capacity; /* 0 or a power of two */
};

void u64_map_init(struct u64_map *map);
void u64_map_deinit(struct u64_map *map);
void *u64_map_find(const struct u64_map *map, uint64_t key); /* NULL: absent */
/* Insert or replace; value is not NULL. Returns the value that was there, or NULL. */
void *u64_map_set(struct u64_map *map, uint64_t key, void *value);
void *u64_map_remove(struct u64_map *map, uint64_t key); /* the value, or NULL */
/* Iterate: start with *cursor = 0; false at the end. Do not change the map meanwhile. */
bool u64_map_next(const struct u64_map *map, size_t *cursor, uint64_t *ret_key, void **ret_value);

struct bytes_map_slot {
    uint64_t hash;
    uint8_t *key;
    size_t key_size;
    void *value; /* NULL: free */
};

struct bytes_map {
    struct bytes_map_slot *slots;
    size_t count;
    size_t capacity;
};

void bytes_map_init(struct bytes_map *map);
void bytes_map_deinit(struct bytes_map *map);
void *bytes_map_find(const struct bytes_map *map, struct bytes key);
void *bytes_map_set(struct bytes_map *map, struct bytes key, void *value);
void *bytes_map_remove(struct bytes_map *map, struct bytes key);
bool bytes_map_next(const struct bytes_map *map, size_t *cursor, struct bytes *ret_key,
                    void **ret_value);

/* 64-bit hash of bytes; stable between processes (not for untrusted, adversarial key sets). */
uint64_t bytes_hash(struct bytes bytes);

#endif
