#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/wal/disk_memory_internal.h"

static int enter(struct disk_memory *memory, enum disk_call call)
{
    uint64_t number = ++memory->call_count;
    return memory->hook == NULL ? 0 : memory->hook(memory->hook_context, call, number);
}

static struct disk_inode *inode_of(struct disk_memory *memory, disk_file file)
{
    CHECK(file >= 0 && (size_t)file < memory->handle_count);
    return memory->handles[file]; /* NULL: lost in a crash */
}

static disk_file handle_new(struct disk_memory *memory, struct disk_inode *inode)
{
    if (memory->handle_count == memory->handle_capacity) {
        memory->handle_capacity = memory->handle_capacity * 2 + 8;
        memory->handles =
            mem_reallocarray(memory->handles, memory->handle_capacity, sizeof(*memory->handles));
    }
    memory->handles[memory->handle_count] = inode;
    return (disk_file)memory->handle_count++;
}

static int open_file(struct disk *disk, const char *text, bool is_created, disk_file *ret_file)
{
    struct disk_memory *memory = disk_memory_of(disk);
    int rc = enter(memory, DISK_CALL_OPEN);
    if (rc != 0) {
        return rc;
    }
    struct disk_name *name = disk_table_find(&memory->cache, text);
    if (is_created) {
        if (name != NULL) {
            return -EEXIST;
        }
        struct disk_inode *inode = disk_inode_new(memory);
        disk_change_name(memory, NAME_CREATE, text, "", inode);
        *ret_file = handle_new(memory, inode);
        return 0;
    }
    if (name == NULL) {
        return -ENOENT;
    }
    for (uint64_t i = 0; i < disk_sector_count(name->inode->cache.size); i++) {
        if (name->inode->sectors[i] == SECTOR_STALE) {
            disk_copy_sector(&name->inode->cache, &name->inode->medium, i);
            name->inode->sectors[i] = SECTOR_CLEAN;
        }
    }
    *ret_file = handle_new(memory, name->inode);
    return 0;
}

static void close_file(struct disk *disk, disk_file file)
{
    struct disk_memory *memory = disk_memory_of(disk);
    CHECK(file >= 0 && (size_t)file < memory->handle_count);
    memory->handles[file] = NULL;
    disk_sweep(memory);
}

static uint64_t used_bytes(const struct disk_memory *memory)
{
    uint64_t used = 0;
    for (size_t i = 0; i < memory->cache.count; i++) {
        used += memory->cache.names[i].inode->cache.size;
    }
    return used;
}

static int grow(struct disk_memory *memory, struct disk_inode *inode, uint64_t size)
{
    if (size <= inode->cache.size) {
        return 0;
    }
    if (memory->capacity > 0 && used_bytes(memory) + size - inode->cache.size > memory->capacity) {
        return -ENOSPC;
    }
    disk_inode_resize(inode, size);
    return 0;
}

static int write_file(struct disk *disk, disk_file file, const void *data, size_t size,
                      uint64_t offset)
{
    struct disk_memory *memory = disk_memory_of(disk);
    struct disk_inode *inode = inode_of(memory, file);
    int failure = enter(memory, DISK_CALL_WRITE);
    if (inode == NULL) {
        return -EBADF;
    }
    int rc = grow(memory, inode, offset + size);
    if (rc != 0) {
        return rc;
    }
    const uint8_t *from = data;
    for (uint64_t at = offset; at < offset + size;) {
        uint64_t sector = at / DISK_SECTOR;
        uint64_t end =
            (sector + 1) * DISK_SECTOR < offset + size ? (sector + 1) * DISK_SECTOR : offset + size;
        if (failure == 0 || prng_chance(&memory->prng, 1, 2)) {
            memcpy(inode->cache.data + at, from + (at - offset), end - at);
            inode->sectors[sector] = SECTOR_DIRTY;
        }
        at = end;
    }
    return failure;
}

static int read_file(struct disk *disk, disk_file file, void *data, size_t size, uint64_t offset)
{
    struct disk_memory *memory = disk_memory_of(disk);
    struct disk_inode *inode = inode_of(memory, file);
    int rc = enter(memory, DISK_CALL_READ);
    if (rc != 0) {
        return rc;
    }
    if (inode == NULL || offset + size > inode->cache.size) {
        return inode == NULL ? -EBADF : -EIO;
    }
    memcpy(data, inode->cache.data + offset, size);
    return 0;
}

static int size_of_file(struct disk *disk, disk_file file, uint64_t *ret_size)
{
    struct disk_memory *memory = disk_memory_of(disk);
    struct disk_inode *inode = inode_of(memory, file);
    int rc = enter(memory, DISK_CALL_SIZE);
    if (rc == 0 && inode == NULL) {
        rc = -EBADF;
    }
    if (rc == 0) {
        *ret_size = inode->cache.size;
    }
    return rc;
}

static int allocate(struct disk *disk, disk_file file, uint64_t size)
{
    struct disk_memory *memory = disk_memory_of(disk);
    struct disk_inode *inode = inode_of(memory, file);
    int rc = enter(memory, DISK_CALL_ALLOCATE);
    if (rc != 0) {
        return rc;
    }
    return inode == NULL ? -EBADF : grow(memory, inode, size);
}

static void write_directly(struct disk *disk, disk_file file)
{
    (void)inode_of(disk_memory_of(disk), file); /* there is no cache to go around */
}

static int sync_file(struct disk *disk, disk_file file)
{
    struct disk_memory *memory = disk_memory_of(disk);
    struct disk_inode *inode = inode_of(memory, file);
    int failure = enter(memory, DISK_CALL_SYNC);
    if (inode == NULL) {
        return -EBADF;
    }
    if (failure == 0 || prng_chance(&memory->prng, 1, 2)) {
        disk_image_resize(&inode->medium, inode->cache.size);
    }
    for (uint64_t i = 0; i < disk_sector_count(inode->cache.size); i++) {
        if (inode->sectors[i] != SECTOR_DIRTY) {
            continue;
        }
        bool is_written = failure == 0 || prng_chance(&memory->prng, 1, 2);
        if (is_written) {
            disk_copy_sector(&inode->medium, &inode->cache, i);
        }
        inode->sectors[i] = is_written ? SECTOR_CLEAN : SECTOR_STALE;
    }
    return failure;
}

static int sync_directory(struct disk *disk)
{
    struct disk_memory *memory = disk_memory_of(disk);
    int failure = enter(memory, DISK_CALL_SYNC_DIRECTORY);
    if (failure != 0) {
        return failure;
    }
    for (size_t i = 0; i < memory->change_count; i++) {
        disk_table_apply(&memory->medium, &memory->changes[i]);
    }
    memory->change_count = 0;
    disk_sweep(memory);
    return 0;
}

static int rename_file(struct disk *disk, const char *from, const char *to)
{
    struct disk_memory *memory = disk_memory_of(disk);
    int rc = enter(memory, DISK_CALL_RENAME);
    if (rc != 0) {
        return rc;
    }
    if (disk_table_find(&memory->cache, from) == NULL) {
        return -ENOENT;
    }
    disk_change_name(memory, NAME_RENAME, from, to, NULL);
    return 0;
}

static int unlink_file(struct disk *disk, const char *text)
{
    struct disk_memory *memory = disk_memory_of(disk);
    int rc = enter(memory, DISK_CALL_UNLINK);
    if (rc != 0) {
        return rc;
    }
    if (disk_table_find(&memory->cache, text) == NULL) {
        return -ENOENT;
    }
    disk_change_name(memory, NAME_UNLINK, text, "", NULL);
    return 0;
}

static int list(struct disk *disk, disk_list_entry *entry, void *context)
{
    struct disk_memory *memory = disk_memory_of(disk);
    int rc = enter(memory, DISK_CALL_LIST);
    for (size_t i = 0; rc == 0 && i < memory->cache.count; i++) {
        entry(context, memory->cache.names[i].text);
    }
    return rc;
}

const struct disk_operations disk_memory_operations = {
    .open = open_file,
    .close = close_file,
    .write = write_file,
    .read = read_file,
    .size = size_of_file,
    .allocate = allocate,
    .write_directly = write_directly,
    .sync = sync_file,
    .sync_directory = sync_directory,
    .rename = rename_file,
    .unlink = unlink_file,
    .list = list,
};
