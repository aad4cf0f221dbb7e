#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/wal/disk_memory_internal.h"

/* ---- Inodes ---- */

void disk_image_resize(struct disk_image *image, uint64_t size)
{
    if (size == image->size) {
        return;
    }
    image->data = mem_realloc(image->data, size == 0 ? 1 : size);
    if (size > image->size) {
        memset(image->data + image->size, 0, size - image->size);
    }
    image->size = size;
}

uint64_t disk_sector_count(uint64_t size)
{
    return (size + DISK_SECTOR - 1) / DISK_SECTOR;
}

void disk_inode_resize(struct disk_inode *inode, uint64_t size)
{
    disk_image_resize(&inode->cache, size);
    uint64_t count = disk_sector_count(size);
    if (count > inode->sector_capacity) {
        inode->sectors = mem_realloc(inode->sectors, count);
        memset(inode->sectors + inode->sector_capacity, SECTOR_CLEAN,
               count - inode->sector_capacity);
        inode->sector_capacity = count;
    }
}

struct disk_inode *disk_inode_new(struct disk_memory *memory)
{
    if (memory->inode_count == memory->inode_capacity) {
        memory->inode_capacity = memory->inode_capacity * 2 + 8;
        memory->inodes =
            mem_reallocarray(memory->inodes, memory->inode_capacity, sizeof(*memory->inodes));
    }
    struct disk_inode *inode = mem_zalloc(sizeof *inode);
    memory->inodes[memory->inode_count++] = inode;
    return inode;
}

void disk_inode_free(struct disk_inode *inode)
{
    mem_free(inode->cache.data);
    mem_free(inode->medium.data);
    mem_free(inode->sectors);
    mem_free(inode);
}

void disk_copy_sector(struct disk_image *to, const struct disk_image *from, uint64_t sector)
{
    uint64_t start = sector * DISK_SECTOR;
    uint64_t limit = to->size < from->size ? to->size : from->size;
    if (start < limit) {
        uint64_t size = limit - start < DISK_SECTOR ? limit - start : DISK_SECTOR;
        memcpy(to->data + start, from->data + start, size);
    }
}

/* ---- Names ---- */

static void set_text(char to[DISK_NAME_SIZE], const char *text)
{
    size_t size = strlen(text) + 1;
    CHECK(size <= DISK_NAME_SIZE);
    memcpy(to, text, size);
}

struct disk_name *disk_table_find(const struct disk_name_table *table, const char *text)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->names[i].text, text) == 0) {
            return &table->names[i];
        }
    }
    return NULL;
}

static void table_remove(struct disk_name_table *table, const char *text)
{
    struct disk_name *name = disk_table_find(table, text);
    if (name != NULL) {
        size_t at = (size_t)(name - table->names);
        memmove(name, name + 1, (table->count - at - 1) * sizeof *name);
        table->count--;
    }
}

void disk_table_set(struct disk_name_table *table, const char *text, struct disk_inode *inode)
{
    table_remove(table, text);
    if (table->count == table->capacity) {
        table->capacity = table->capacity * 2 + 8;
        table->names = mem_reallocarray(table->names, table->capacity, sizeof *table->names);
    }
    struct disk_name *name = &table->names[table->count++];
    set_text(name->text, text);
    name->inode = inode;
}

void disk_table_apply(struct disk_name_table *table, const struct disk_name_change *change)
{
    struct disk_name *from = disk_table_find(table, change->from);
    switch (change->type) {
    case NAME_CREATE:
        disk_table_set(table, change->from, change->inode);
        return;
    case NAME_RENAME:
        if (from != NULL) { /* else its creation was lost */
            struct disk_inode *inode = from->inode;
            table_remove(table, change->from);
            disk_table_set(table, change->to, inode);
        }
        return;
    case NAME_UNLINK:
        table_remove(table, change->from);
        return;
    }
    CHECK_UNREACHABLE();
}

void disk_change_name(struct disk_memory *memory, enum disk_name_change_type type, const char *from,
                      const char *to, struct disk_inode *inode)
{
    if (memory->change_count == memory->change_capacity) {
        memory->change_capacity = memory->change_capacity * 2 + 8;
        memory->changes =
            mem_reallocarray(memory->changes, memory->change_capacity, sizeof *memory->changes);
    }
    struct disk_name_change *change = &memory->changes[memory->change_count++];
    memset(change, 0, sizeof *change);
    change->type = type;
    change->inode = inode;
    set_text(change->from, from);
    set_text(change->to, to);
    disk_table_apply(&memory->cache, change);
}

static void mark_table(const struct disk_name_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        table->names[i].inode->is_marked = true;
    }
}

void disk_sweep(struct disk_memory *memory)
{
    for (size_t i = 0; i < memory->inode_count; i++) {
        memory->inodes[i]->is_marked = false;
    }
    mark_table(&memory->cache);
    mark_table(&memory->medium);
    for (size_t i = 0; i < memory->change_count; i++) {
        if (memory->changes[i].inode != NULL) {
            memory->changes[i].inode->is_marked = true;
        }
    }
    for (size_t i = 0; i < memory->handle_count; i++) {
        if (memory->handles[i] != NULL) {
            memory->handles[i]->is_marked = true;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < memory->inode_count; i++) {
        if (memory->inodes[i]->is_marked) {
            memory->inodes[kept++] = memory->inodes[i];
        } else {
            disk_inode_free(memory->inodes[i]);
        }
    }
    memory->inode_count = kept;
}
