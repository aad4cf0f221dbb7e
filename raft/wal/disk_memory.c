#include "raft/wal/disk_memory.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"

enum { NAME_SIZE = 64, SECTOR = DISK_MEMORY_SECTOR_SIZE };

/* What the cache knows about a sector. STALE: a failed sync dropped it; readers see it until the
 * file is opened again, the medium never will. */
enum sector_state { SECTOR_CLEAN, SECTOR_DIRTY, SECTOR_STALE };

struct image {
    uint8_t *data;
    uint64_t size;
};

struct inode {
    struct image cache;
    struct image medium;
    uint8_t *sectors; /* enum sector_state; of the cache, rounded up */
    uint64_t sector_capacity;
    bool is_marked; /* while sweeping */
};

struct name {
    char text[NAME_SIZE];
    struct inode *inode;
};

struct name_table {
    struct name *names;
    size_t count;
    size_t capacity;
};

enum name_change_type { NAME_CREATE = 1, NAME_RENAME, NAME_UNLINK };

struct name_change {
    enum name_change_type type;
    char from[NAME_SIZE];
    char to[NAME_SIZE];
    struct inode *inode; /* of CREATE */
};

struct disk_memory {
    struct disk base;
    struct prng prng;
    struct name_table cache;
    struct name_table medium;
    struct name_change *changes; /* not synced, oldest first */
    size_t change_count;
    size_t change_capacity;
    struct inode **inodes;
    size_t inode_count;
    size_t inode_capacity;
    struct inode **handles; /* NULL: closed */
    size_t handle_count;
    size_t handle_capacity;
    uint64_t capacity;
    uint64_t call_count;
    disk_memory_hook *hook;
    void *hook_context;
};

static struct disk_memory *memory_of(struct disk *disk)
{
    return (struct disk_memory *)(void *)disk;
}

/* ---- Inodes ---- */

static void image_resize(struct image *image, uint64_t size)
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

static uint64_t sector_count(uint64_t size)
{
    return (size + SECTOR - 1) / SECTOR;
}

static void inode_resize(struct inode *inode, uint64_t size)
{
    image_resize(&inode->cache, size);
    uint64_t count = sector_count(size);
    if (count > inode->sector_capacity) {
        inode->sectors = mem_realloc(inode->sectors, count);
        memset(inode->sectors + inode->sector_capacity, SECTOR_CLEAN,
               count - inode->sector_capacity);
        inode->sector_capacity = count;
    }
}

static struct inode *inode_new(struct disk_memory *memory)
{
    if (memory->inode_count == memory->inode_capacity) {
        memory->inode_capacity = memory->inode_capacity * 2 + 8;
        memory->inodes =
            mem_reallocarray(memory->inodes, memory->inode_capacity, sizeof(*memory->inodes));
    }
    struct inode *inode = mem_zalloc(sizeof *inode);
    memory->inodes[memory->inode_count++] = inode;
    return inode;
}

static void inode_free(struct inode *inode)
{
    mem_free(inode->cache.data);
    mem_free(inode->medium.data);
    mem_free(inode->sectors);
    mem_free(inode);
}

static void copy_sector(struct image *to, const struct image *from, uint64_t sector)
{
    uint64_t start = sector * SECTOR;
    uint64_t limit = to->size < from->size ? to->size : from->size;
    if (start < limit) {
        uint64_t size = limit - start < SECTOR ? limit - start : SECTOR;
        memcpy(to->data + start, from->data + start, size);
    }
}

/* ---- Names ---- */

static struct name *table_find(const struct name_table *table, const char *text)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->names[i].text, text) == 0) {
            return &table->names[i];
        }
    }
    return NULL;
}

static void table_remove(struct name_table *table, const char *text)
{
    struct name *name = table_find(table, text);
    if (name != NULL) {
        size_t at = (size_t)(name - table->names);
        memmove(name, name + 1, (table->count - at - 1) * sizeof *name);
        table->count--;
    }
}

static void table_set(struct name_table *table, const char *text, struct inode *inode)
{
    table_remove(table, text);
    if (table->count == table->capacity) {
        table->capacity = table->capacity * 2 + 8;
        table->names = mem_reallocarray(table->names, table->capacity, sizeof *table->names);
    }
    struct name *name = &table->names[table->count++];
    CHECK(strlen(text) < NAME_SIZE);
    strcpy(name->text, text);
    name->inode = inode;
}

static void table_apply(struct name_table *table, const struct name_change *change)
{
    struct name *from = table_find(table, change->from);
    switch (change->type) {
    case NAME_CREATE:
        table_set(table, change->from, change->inode);
        return;
    case NAME_RENAME:
        if (from != NULL) { /* else its creation was lost */
            struct inode *inode = from->inode;
            table_remove(table, change->from);
            table_set(table, change->to, inode);
        }
        return;
    case NAME_UNLINK:
        table_remove(table, change->from);
        return;
    }
    CHECK_UNREACHABLE();
}

static void change_name(struct disk_memory *memory, enum name_change_type type, const char *from,
                        const char *to, struct inode *inode)
{
    if (memory->change_count == memory->change_capacity) {
        memory->change_capacity = memory->change_capacity * 2 + 8;
        memory->changes =
            mem_reallocarray(memory->changes, memory->change_capacity, sizeof *memory->changes);
    }
    struct name_change *change = &memory->changes[memory->change_count++];
    memset(change, 0, sizeof *change);
    change->type = type;
    change->inode = inode;
    CHECK(strlen(from) < NAME_SIZE && strlen(to) < NAME_SIZE);
    strcpy(change->from, from);
    strcpy(change->to, to);
    table_apply(&memory->cache, change);
}

static void mark_table(const struct name_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        table->names[i].inode->is_marked = true;
    }
}

/* Free what no name, handle or unsynced change refers to. */
static void sweep(struct disk_memory *memory)
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
            inode_free(memory->inodes[i]);
        }
    }
    memory->inode_count = kept;
}

/* ---- Calls ---- */

static int enter(struct disk_memory *memory, enum disk_call call)
{
    uint64_t number = ++memory->call_count;
    return memory->hook == NULL ? 0 : memory->hook(memory->hook_context, call, number);
}

static struct inode *inode_of(struct disk_memory *memory, disk_file file)
{
    CHECK(file >= 0 && (size_t)file < memory->handle_count);
    return memory->handles[file]; /* NULL: lost in a crash */
}

static disk_file handle_new(struct disk_memory *memory, struct inode *inode)
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
    struct disk_memory *memory = memory_of(disk);
    int rc = enter(memory, DISK_CALL_OPEN);
    if (rc != 0) {
        return rc;
    }
    struct name *name = table_find(&memory->cache, text);
    if (is_created) {
        if (name != NULL) {
            return -EEXIST;
        }
        struct inode *inode = inode_new(memory);
        change_name(memory, NAME_CREATE, text, "", inode);
        *ret_file = handle_new(memory, inode);
        return 0;
    }
    if (name == NULL) {
        return -ENOENT;
    }
    for (uint64_t i = 0; i < sector_count(name->inode->cache.size); i++) {
        if (name->inode->sectors[i] == SECTOR_STALE) {
            copy_sector(&name->inode->cache, &name->inode->medium, i);
            name->inode->sectors[i] = SECTOR_CLEAN;
        }
    }
    *ret_file = handle_new(memory, name->inode);
    return 0;
}

static void close_file(struct disk *disk, disk_file file)
{
    struct disk_memory *memory = memory_of(disk);
    CHECK(file >= 0 && (size_t)file < memory->handle_count);
    memory->handles[file] = NULL;
    sweep(memory);
}

static uint64_t used_bytes(const struct disk_memory *memory)
{
    uint64_t used = 0;
    for (size_t i = 0; i < memory->cache.count; i++) {
        used += memory->cache.names[i].inode->cache.size;
    }
    return used;
}

static int grow(struct disk_memory *memory, struct inode *inode, uint64_t size)
{
    if (size <= inode->cache.size) {
        return 0;
    }
    if (memory->capacity > 0 && used_bytes(memory) + size - inode->cache.size > memory->capacity) {
        return -ENOSPC;
    }
    inode_resize(inode, size);
    return 0;
}

static int write_file(struct disk *disk, disk_file file, const void *data, size_t size,
                      uint64_t offset)
{
    struct disk_memory *memory = memory_of(disk);
    struct inode *inode = inode_of(memory, file);
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
        uint64_t sector = at / SECTOR;
        uint64_t end =
            (sector + 1) * SECTOR < offset + size ? (sector + 1) * SECTOR : offset + size;
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
    struct disk_memory *memory = memory_of(disk);
    struct inode *inode = inode_of(memory, file);
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
    struct disk_memory *memory = memory_of(disk);
    struct inode *inode = inode_of(memory, file);
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
    struct disk_memory *memory = memory_of(disk);
    struct inode *inode = inode_of(memory, file);
    int rc = enter(memory, DISK_CALL_ALLOCATE);
    if (rc != 0) {
        return rc;
    }
    return inode == NULL ? -EBADF : grow(memory, inode, size);
}

static int sync_file(struct disk *disk, disk_file file)
{
    struct disk_memory *memory = memory_of(disk);
    struct inode *inode = inode_of(memory, file);
    int failure = enter(memory, DISK_CALL_SYNC);
    if (inode == NULL) {
        return -EBADF;
    }
    if (failure == 0 || prng_chance(&memory->prng, 1, 2)) {
        image_resize(&inode->medium, inode->cache.size);
    }
    for (uint64_t i = 0; i < sector_count(inode->cache.size); i++) {
        if (inode->sectors[i] != SECTOR_DIRTY) {
            continue;
        }
        bool is_written = failure == 0 || prng_chance(&memory->prng, 1, 2);
        if (is_written) {
            copy_sector(&inode->medium, &inode->cache, i);
        }
        inode->sectors[i] = is_written ? SECTOR_CLEAN : SECTOR_STALE;
    }
    return failure;
}

static int sync_directory(struct disk *disk)
{
    struct disk_memory *memory = memory_of(disk);
    int failure = enter(memory, DISK_CALL_SYNC_DIRECTORY);
    if (failure != 0) {
        return failure;
    }
    for (size_t i = 0; i < memory->change_count; i++) {
        table_apply(&memory->medium, &memory->changes[i]);
    }
    memory->change_count = 0;
    sweep(memory);
    return 0;
}

static int rename_file(struct disk *disk, const char *from, const char *to)
{
    struct disk_memory *memory = memory_of(disk);
    int rc = enter(memory, DISK_CALL_RENAME);
    if (rc != 0) {
        return rc;
    }
    if (table_find(&memory->cache, from) == NULL) {
        return -ENOENT;
    }
    change_name(memory, NAME_RENAME, from, to, NULL);
    return 0;
}

static int unlink_file(struct disk *disk, const char *text)
{
    struct disk_memory *memory = memory_of(disk);
    int rc = enter(memory, DISK_CALL_UNLINK);
    if (rc != 0) {
        return rc;
    }
    if (table_find(&memory->cache, text) == NULL) {
        return -ENOENT;
    }
    change_name(memory, NAME_UNLINK, text, "", NULL);
    return 0;
}

static int list(struct disk *disk, disk_list_entry *entry, void *context)
{
    struct disk_memory *memory = memory_of(disk);
    int rc = enter(memory, DISK_CALL_LIST);
    for (size_t i = 0; rc == 0 && i < memory->cache.count; i++) {
        entry(context, memory->cache.names[i].text);
    }
    return rc;
}

static const struct disk_operations operations = {
    .open = open_file,
    .close = close_file,
    .write = write_file,
    .read = read_file,
    .size = size_of_file,
    .allocate = allocate,
    .sync = sync_file,
    .sync_directory = sync_directory,
    .rename = rename_file,
    .unlink = unlink_file,
    .list = list,
};

/* ---- Control ---- */

struct disk *disk_memory_new(uint64_t seed)
{
    struct disk_memory *memory = mem_zalloc(sizeof *memory);
    memory->base.operations = &operations;
    prng_init(&memory->prng, seed);
    return &memory->base;
}

void disk_memory_free(struct disk *disk)
{
    if (disk == NULL) {
        return;
    }
    struct disk_memory *memory = memory_of(disk);
    for (size_t i = 0; i < memory->inode_count; i++) {
        inode_free(memory->inodes[i]);
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
    memory_of(disk)->hook = hook;
    memory_of(disk)->hook_context = context;
}

void disk_memory_set_capacity(struct disk *disk, uint64_t bytes)
{
    memory_of(disk)->capacity = bytes;
}

uint64_t disk_memory_call_count(const struct disk *disk)
{
    return ((const struct disk_memory *)(const void *)disk)->call_count;
}

static bool survives(struct prng *prng, enum disk_memory_crash how)
{
    return how == DISK_CRASH_KEEP_ALL || (how == DISK_CRASH_KEEP_SOME && prng_chance(prng, 1, 2));
}

static void settle_inode(struct inode *inode, struct prng *prng, enum disk_memory_crash how)
{
    if (survives(prng, how)) {
        image_resize(&inode->medium, inode->cache.size);
    }
    uint64_t count = sector_count(inode->cache.size);
    for (uint64_t i = 0; i < count; i++) {
        /* Only the process died: what a failed sync dropped is still in the cache, and dirty no
         * more. A power loss takes it. */
        if (inode->sectors[i] == SECTOR_DIRTY && survives(prng, how)) {
            if (inode->medium.size < inode->cache.size) {
                image_resize(&inode->medium, inode->cache.size); /* the size goes with the data */
            }
            copy_sector(&inode->medium, &inode->cache, i);
        }
    }
    image_resize(&inode->cache, inode->medium.size);
    if (inode->medium.size > 0) {
        memcpy(inode->cache.data, inode->medium.data, inode->medium.size);
    }
    if (count > 0) {
        memset(inode->sectors, SECTOR_CLEAN, count);
    }
}

void disk_memory_crash(struct disk *disk, enum disk_memory_crash how, uint64_t seed)
{
    struct disk_memory *memory = memory_of(disk);
    struct prng prng;
    prng_init(&prng, seed);
    for (size_t i = 0; i < memory->change_count; i++) {
        if (survives(&prng, how)) {
            table_apply(&memory->medium, &memory->changes[i]);
        }
    }
    memory->change_count = 0;
    memory->cache.count = 0;
    for (size_t i = 0; i < memory->medium.count; i++) {
        table_set(&memory->cache, memory->medium.names[i].text, memory->medium.names[i].inode);
    }
    for (size_t i = 0; i < memory->inode_count; i++) {
        settle_inode(memory->inodes[i], &prng, how);
    }
    for (size_t i = 0; i < memory->handle_count; i++) {
        memory->handles[i] = NULL;
    }
    sweep(memory);
}

static struct inode *find_copy(const struct disk_memory *from, const struct disk_memory *to,
                               const struct inode *inode)
{
    for (size_t i = 0; i < from->inode_count; i++) {
        if (from->inodes[i] == inode) {
            return to->inodes[i];
        }
    }
    return NULL;
}

static void copy_table(const struct disk_memory *from, struct disk_memory *to,
                       const struct name_table *source, struct name_table *target)
{
    for (size_t i = 0; i < source->count; i++) {
        table_set(target, source->names[i].text, find_copy(from, to, source->names[i].inode));
    }
}

static void copy_inode(struct inode *to, const struct inode *from)
{
    inode_resize(to, from->cache.size);
    image_resize(&to->medium, from->medium.size);
    if (from->cache.size > 0) {
        memcpy(to->cache.data, from->cache.data, from->cache.size);
        memcpy(to->sectors, from->sectors, sector_count(from->cache.size));
    }
    if (from->medium.size > 0) {
        memcpy(to->medium.data, from->medium.data, from->medium.size);
    }
}

struct disk *disk_memory_clone(const struct disk *disk)
{
    const struct disk_memory *from = (const struct disk_memory *)(const void *)disk;
    struct disk_memory *to = memory_of(disk_memory_new(0));
    to->prng = from->prng;
    to->capacity = from->capacity;
    for (size_t i = 0; i < from->inode_count; i++) {
        copy_inode(inode_new(to), from->inodes[i]);
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
    struct name *name = table_find(&memory_of(disk)->cache, text);
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
    const struct name *name = table_find(&memory->cache, text);
    if (name == NULL) {
        return NULL;
    }
    *ret_size = name->inode->cache.size;
    return name->inode->cache.data;
}
