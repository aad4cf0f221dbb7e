#include "raft/wal/disk_memory.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/wal/disk_memory_internal.h"

struct disk *disk_memory_new(uint64_t seed)
{
    struct disk_memory *memory = mem_zalloc(sizeof *memory);
    memory->base.operations = &disk_memory_operations;
    prng_init(&memory->prng, seed);
    return &memory->base;
}

void disk_memory_free(struct disk *disk)
{
    if (disk == NULL) {
        return;
    }
    struct disk_memory *memory = disk_memory_of(disk);
    for (size_t i = 0; i < memory->inode_count; i++) {
        disk_inode_free(memory->inodes[i]);
    }
    mem_free(memory->inodes);
    mem_free(memory->handles);
    mem_free(memory->changes);
    mem_free(memory->cache.names);
    mem_free(memory->medium.names);
    mem_free(memory);
}

void disk_memory_set_hook(struct disk *disk, disk_memory_hook *hook, void *context)
{
    disk_memory_of(disk)->hook = hook;
    disk_memory_of(disk)->hook_context = context;
}

void disk_memory_set_capacity(struct disk *disk, uint64_t bytes)
{
    disk_memory_of(disk)->capacity = bytes;
}

uint64_t disk_memory_call_count(const struct disk *disk)
{
    return ((const struct disk_memory *)(const void *)disk)->call_count;
}

static bool survives(struct prng *prng, enum disk_memory_crash how)
{
    return how == DISK_CRASH_KEEP_ALL || (how == DISK_CRASH_KEEP_SOME && prng_chance(prng, 1, 2));
}

static void settle_inode(struct disk_inode *inode, struct prng *prng, enum disk_memory_crash how)
{
    if (survives(prng, how)) {
        disk_image_resize(&inode->medium, inode->cache.size);
    }
    uint64_t count = disk_sector_count(inode->cache.size);
    for (uint64_t i = 0; i < count; i++) {
        /* Only the process died: what a failed sync dropped is still in the cache, and dirty no
         * more. A power loss takes it. */
        if (inode->sectors[i] == SECTOR_DIRTY && survives(prng, how)) {
            if (inode->medium.size < inode->cache.size) {
                disk_image_resize(&inode->medium,
                                  inode->cache.size); /* the size goes with the data */
            }
            disk_copy_sector(&inode->medium, &inode->cache, i);
        }
    }
    disk_image_resize(&inode->cache, inode->medium.size);
    if (inode->medium.size > 0) {
        memcpy(inode->cache.data, inode->medium.data, inode->medium.size);
    }
    if (count > 0) {
        memset(inode->sectors, SECTOR_CLEAN, count);
    }
}

void disk_memory_crash(struct disk *disk, enum disk_memory_crash how, uint64_t seed)
{
    struct disk_memory *memory = disk_memory_of(disk);
    struct prng prng;
    prng_init(&prng, seed);
    for (size_t i = 0; i < memory->change_count; i++) {
        if (survives(&prng, how)) {
            disk_table_apply(&memory->medium, &memory->changes[i]);
        }
    }
    memory->change_count = 0;
    memory->cache.count = 0;
    for (size_t i = 0; i < memory->medium.count; i++) {
        disk_table_set(&memory->cache, memory->medium.names[i].text, memory->medium.names[i].inode);
    }
    for (size_t i = 0; i < memory->inode_count; i++) {
        settle_inode(memory->inodes[i], &prng, how);
    }
    for (size_t i = 0; i < memory->handle_count; i++) {
        memory->handles[i] = NULL;
    }
    disk_sweep(memory);
}

static struct disk_inode *find_copy(const struct disk_memory *from, const struct disk_memory *to,
                                    const struct disk_inode *inode)
{
    for (size_t i = 0; i < from->inode_count; i++) {
        if (from->inodes[i] == inode) {
            return to->inodes[i];
        }
    }
    return NULL;
}

static void copy_table(const struct disk_memory *from, struct disk_memory *to,
                       const struct disk_name_table *source, struct disk_name_table *target)
{
    for (size_t i = 0; i < source->count; i++) {
        disk_table_set(target, source->names[i].text, find_copy(from, to, source->names[i].inode));
    }
}

static void copy_inode(struct disk_inode *to, const struct disk_inode *from)
{
    disk_inode_resize(to, from->cache.size);
    disk_image_resize(&to->medium, from->medium.size);
    if (from->cache.size > 0) {
        memcpy(to->cache.data, from->cache.data, from->cache.size);
        memcpy(to->sectors, from->sectors, disk_sector_count(from->cache.size));
    }
    if (from->medium.size > 0) {
        memcpy(to->medium.data, from->medium.data, from->medium.size);
    }
}

struct disk *disk_memory_clone(const struct disk *disk)
{
    const struct disk_memory *from = (const struct disk_memory *)(const void *)disk;
    struct disk_memory *to = disk_memory_of(disk_memory_new(0));
    to->prng = from->prng;
    to->capacity = from->capacity;
    for (size_t i = 0; i < from->inode_count; i++) {
        copy_inode(disk_inode_new(to), from->inodes[i]);
    }
    copy_table(from, to, &from->cache, &to->cache);
    copy_table(from, to, &from->medium, &to->medium);
    if (from->change_count > 0) {
        to->changes = mem_dup(from->changes, from->change_count * sizeof *from->changes);
        to->change_count = from->change_count;
        to->change_capacity = from->change_count;
    }
    for (size_t i = 0; i < to->change_count; i++) {
        to->changes[i].inode = find_copy(from, to, from->changes[i].inode);
    }
    return &to->base;
}

bool disk_memory_flip_bit(struct disk *disk, const char *text, uint64_t bit)
{
    struct disk_name *name = disk_table_find(&disk_memory_of(disk)->cache, text);
    if (name == NULL || bit / 8 >= name->inode->cache.size) {
        return false;
    }
    uint8_t mask = (uint8_t)(1U << (bit % 8));
    name->inode->cache.data[bit / 8] ^= mask;
    if (bit / 8 < name->inode->medium.size) {
        name->inode->medium.data[bit / 8] ^= mask;
    }
    return true;
}

const uint8_t *disk_memory_find(const struct disk *disk, const char *text, uint64_t *ret_size)
{
    const struct disk_memory *memory = (const struct disk_memory *)(const void *)disk;
    const struct disk_name *name = disk_table_find(&memory->cache, text);
    if (name == NULL) {
        return NULL;
    }
    *ret_size = name->inode->cache.size;
    return name->inode->cache.data;
}
