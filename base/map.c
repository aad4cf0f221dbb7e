#include "base/map.h"

#include "base/check.h"
#include "base/mem.h"

enum { MAP_CAPACITY_MIN = 16 };

static uint64_t mix(uint64_t value)
{
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdULL;
    value ^= value >> 33;
    value *= 0xc4ceb9fe1a85ec53ULL;
    value ^= value >> 33;
    return value;
}

uint64_t bytes_hash(struct bytes bytes)
{
    uint64_t hash = 0x9e3779b97f4a7c15ULL ^ bytes.size;
    size_t at = 0;
    for (; bytes.size - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, bytes.data + at, 8);
        hash = mix(hash ^ word) + 0x9e3779b97f4a7c15ULL;
    }
    uint64_t tail = 0;
    if (at < bytes.size) {
        memcpy(&tail, bytes.data + at, bytes.size - at);
    }
    return mix(hash ^ tail);
}

static bool is_full(size_t count, size_t capacity)
{
    return count + count / 3 >= capacity; /* at most 3/4 */
}

static size_t grown(size_t capacity)
{
    return capacity == 0 ? (size_t)MAP_CAPACITY_MIN : capacity * 2;
}

/* Linear probing without tombstones: may the slot at `at`, whose home is `home`, fill the hole? */
static bool can_move(size_t hole, size_t home, size_t at, size_t mask)
{
    return ((at - home) & mask) >= ((at - hole) & mask);
}

void u64_map_init(struct u64_map *map)
{
    *map = (struct u64_map){NULL, 0, 0};
}

void u64_map_deinit(struct u64_map *map)
{
    mem_free(map->slots);
    u64_map_init(map);
}

/* The slot of key, or the free slot where it belongs. */
static size_t u64_slot(const struct u64_map *map, uint64_t key)
{
    size_t mask = map->capacity - 1;
    size_t at = mix(key) & mask;
    while (map->slots[at].value != NULL && map->slots[at].key != key) {
        at = (at + 1) & mask;
    }
    return at;
}

void *u64_map_find(const struct u64_map *map, uint64_t key)
{
    return map->count == 0 ? NULL : map->slots[u64_slot(map, key)].value;
}

static void u64_grow(struct u64_map *map)
{
    struct u64_map old = *map;
    map->capacity = grown(old.capacity);
    map->slots = mem_calloc(map->capacity, sizeof *map->slots);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value != NULL) {
            map->slots[u64_slot(map, old.slots[i].key)] = old.slots[i];
        }
    }
    mem_free(old.slots);
}

void *u64_map_set(struct u64_map *map, uint64_t key, void *value)
{
    CHECK(value != NULL);
    if (is_full(map->count + 1, map->capacity)) {
        u64_grow(map);
    }
    struct u64_map_slot *slot = &map->slots[u64_slot(map, key)];
    void *before = slot->value;
    map->count += before == NULL;
    *slot = (struct u64_map_slot){key, value};
    return before;
}

void *u64_map_remove(struct u64_map *map, uint64_t key)
{
    if (map->count == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    size_t hole = u64_slot(map, key);
    void *value = map->slots[hole].value;
    if (value == NULL) {
        return NULL;
    }
    for (size_t at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
        if (can_move(hole, mix(map->slots[at].key) & mask, at, mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct u64_map_slot){0, NULL};
    map->count -= 1;
    return value;
}

bool u64_map_next(const struct u64_map *map, size_t *cursor, uint64_t *ret_key, void **ret_value)
{
    for (; *cursor < map->capacity; *cursor += 1) {
        const struct u64_map_slot *slot = &map->slots[*cursor];
        if (slot->value != NULL) {
            *ret_key = slot->key;
            *ret_value = slot->value;
            *cursor += 1;
            return true;
        }
    }
    return false;
}

void bytes_map_init(struct bytes_map *map)
{
    *map = (struct bytes_map){NULL, 0, 0};
}

void bytes_map_deinit(struct bytes_map *map)
{
    for (size_t i = 0; i < map->capacity; i++) {
        mem_free(map->slots[i].key);
    }
    mem_free(map->slots);
    bytes_map_init(map);
}

static size_t bytes_slot(const struct bytes_map *map, struct bytes key, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    size_t at = hash & mask;
    while (map->slots[at].value != NULL) {
        const struct bytes_map_slot *slot = &map->slots[at];
        if (slot->hash == hash && bytes_equal(bytes_make(slot->key, slot->key_size), key)) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

void *bytes_map_find(const struct bytes_map *map, struct bytes key)
{
    return map->count == 0 ? NULL : map->slots[bytes_slot(map, key, bytes_hash(key))].value;
}

static void bytes_grow(struct bytes_map *map)
{
    struct bytes_map old = *map;
    map->capacity = grown(old.capacity);
    map->slots = mem_calloc(map->capacity, sizeof *map->slots);
    for (size_t i = 0; i < old.capacity; i++) {
        const struct bytes_map_slot *slot = &old.slots[i];
        if (slot->value != NULL) {
            struct bytes key = bytes_make(slot->key, slot->key_size);
            map->slots[bytes_slot(map, key, slot->hash)] = *slot;
        }
    }
    mem_free(old.slots);
}

void *bytes_map_set(struct bytes_map *map, struct bytes key, void *value)
{
    CHECK(value != NULL);
    if (is_full(map->count + 1, map->capacity)) {
        bytes_grow(map);
    }
    uint64_t hash = bytes_hash(key);
    struct bytes_map_slot *slot = &map->slots[bytes_slot(map, key, hash)];
    void *before = slot->value;
    if (before == NULL) {
        *slot = (struct bytes_map_slot){hash, mem_dup(key.data, key.size), key.size, value};
        map->count += 1;
    } else {
        slot->value = value;
    }
    return before;
}

void *bytes_map_remove(struct bytes_map *map, struct bytes key)
{
    if (map->count == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    size_t hole = bytes_slot(map, key, bytes_hash(key));
    void *value = map->slots[hole].value;
    if (value == NULL) {
        return NULL;
    }
    mem_free(map->slots[hole].key);
    for (size_t at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
        if (can_move(hole, map->slots[at].hash & mask, at, mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct bytes_map_slot){0, NULL, 0, NULL};
    map->count -= 1;
    return value;
}

bool bytes_map_next(const struct bytes_map *map, size_t *cursor, struct bytes *ret_key,
                    void **ret_value)
{
    for (; *cursor < map->capacity; *cursor += 1) {
        const struct bytes_map_slot *slot = &map->slots[*cursor];
        if (slot->value != NULL) {
            *ret_key = bytes_make(slot->key, slot->key_size);
            *ret_value = slot->value;
            *cursor += 1;
            return true;
        }
    }
    return false;
}
