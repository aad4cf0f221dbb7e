/* disk_memory_internal.h - the inside of a disk in memory. Private to the disk_memory*.c files. */
#ifndef RAFT_WAL_DISK_MEMORY_INTERNAL_H
#define RAFT_WAL_DISK_MEMORY_INTERNAL_H

#include "base/prng.h"
#include "raft/wal/disk_memory.h"

enum { DISK_NAME_SIZE = 64, DISK_SECTOR = DISK_MEMORY_SECTOR_SIZE };

/* What the cache knows about a sector. STALE: a failed sync dropped it; readers see it until the
 * file is opened again, the medium never will. */
enum disk_sector_state { SECTOR_CLEAN, SECTOR_DIRTY, SECTOR_STALE };

struct disk_image {
    uint8_t *data;
    uint64_t size;
};

struct disk_inode {
    struct disk_image cache;
    struct disk_image medium;
    uint8_t *sectors; /* enum disk_sector_state; of the cache, rounded up */
    uint64_t sector_capacity;
    bool is_marked; /* while sweeping */
};

struct disk_name {
    char text[DISK_NAME_SIZE];
    struct disk_inode *inode;
};

struct disk_name_table {
    struct disk_name *names;
    size_t count;
    size_t capacity;
};

enum disk_name_change_type { NAME_CREATE = 1, NAME_RENAME, NAME_UNLINK };

struct disk_name_change {
    enum disk_name_change_type type;
    char from[DISK_NAME_SIZE];
    char to[DISK_NAME_SIZE];
    struct disk_inode *inode; /* of CREATE */
};

struct disk_memory {
    struct disk base;
    struct prng prng;
    struct disk_name_table cache;
    struct disk_name_table medium;
    struct disk_name_change *changes; /* not synced, oldest first */
    size_t change_count;
    size_t change_capacity;
    struct disk_inode **inodes;
    size_t inode_count;
    size_t inode_capacity;
    struct disk_inode **handles; /* NULL: closed */
    size_t handle_count;
    size_t handle_capacity;
    uint64_t capacity;
    uint64_t call_count;
    disk_memory_hook *hook;
    void *hook_context;
};

static inline struct disk_memory *disk_memory_of(struct disk *disk)
{
    return (struct disk_memory *)(void *)disk;
}

void disk_image_resize(struct disk_image *image, uint64_t size);
uint64_t disk_sector_count(uint64_t size);
/* Copy one sector as far as both images reach. */
void disk_copy_sector(struct disk_image *to, const struct disk_image *from, uint64_t sector);

struct disk_inode *disk_inode_new(struct disk_memory *memory);
void disk_inode_free(struct disk_inode *inode);
void disk_inode_resize(struct disk_inode *inode, uint64_t size); /* of the cache */

struct disk_name *disk_table_find(const struct disk_name_table *table,
                                  const char *text); /* NULL: none */
void disk_table_set(struct disk_name_table *table, const char *text, struct disk_inode *inode);
void disk_table_apply(struct disk_name_table *table, const struct disk_name_change *change);
/* In the cache at once, on the medium when the directory is synced. */
void disk_change_name(struct disk_memory *memory, enum disk_name_change_type type, const char *from,
                      const char *to, struct disk_inode *inode);

/* Free what no name, handle or unsynced change refers to. */
void disk_sweep(struct disk_memory *memory);

extern const struct disk_operations disk_memory_operations;

#endif
