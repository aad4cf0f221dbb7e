/* disk.h - the files of one directory, as the write-ahead log needs them.
 *
 * Two implementations: the real one (disk_real.h) and one in memory that forgets, tears and damages
 * writes as disks do (disk_memory.h), so that simulator and crash tests run the real log code.
 *
 * Functions return 0 or a negative errno. A write is complete or an error; nothing is retried here
 * except EINTR before anything happened. */
#ifndef RAFT_WAL_DISK_H
#define RAFT_WAL_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef int disk_file; /* >= 0: an open file */

struct disk;

/* Receives each file name of the directory, in no promised order. */
typedef void disk_list_entry(void *context, const char *name);

struct disk_operations {
    int (*open)(struct disk *disk, const char *name, bool is_created, disk_file *ret_file);
    void (*close)(struct disk *disk, disk_file file);
    int (*write)(struct disk *disk, disk_file file, const void *data, size_t size, uint64_t offset);
    int (*read)(struct disk *disk, disk_file file, void *data, size_t size, uint64_t offset);
    int (*size)(struct disk *disk, disk_file file, uint64_t *ret_size);
    int (*allocate)(struct disk *disk, disk_file file, uint64_t size);
    void (*write_directly)(struct disk *disk, disk_file file);
    int (*sync)(struct disk *disk, disk_file file);
    int (*sync_directory)(struct disk *disk);
    int (*rename)(struct disk *disk, const char *from, const char *to);
    int (*unlink)(struct disk *disk, const char *name);
    int (*list)(struct disk *disk, disk_list_entry *entry, void *context);
};

/* Embedded first in each implementation. */
struct disk {
    const struct disk_operations *operations;
};

/* Open for reading and writing. is_created: must not exist yet (-EEXIST), mode 0600. */
static inline MUST_USE int disk_open(struct disk *disk, const char *name, bool is_created,
                                     disk_file *ret_file)
{
    return disk->operations->open(disk, name, is_created, ret_file);
}

static inline void disk_close(struct disk *disk, disk_file file)
{
    disk->operations->close(disk, file);
}

/* All of it, or an error; then any part may have been written. */
static inline MUST_USE int disk_write(struct disk *disk, disk_file file, const void *data,
                                      size_t size, uint64_t offset)
{
    return disk->operations->write(disk, file, data, size, offset);
}

/* All of it; -EIO when the file is shorter. */
static inline MUST_USE int disk_read(struct disk *disk, disk_file file, void *data, size_t size,
                                     uint64_t offset)
{
    return disk->operations->read(disk, file, data, size, offset);
}

static inline MUST_USE int disk_size(struct disk *disk, disk_file file, uint64_t *ret_size)
{
    return disk->operations->size(disk, file, ret_size);
}

/* Make the file size bytes long with every block reserved; new bytes read as zero. -ENOSPC. */
static inline MUST_USE int disk_allocate(struct disk *disk, disk_file file, uint64_t size)
{
    return disk->operations->allocate(disk, file, size);
}

enum { DISK_PAGE_BYTES = 4096 };

/* From now on writes may go around the page cache, where the file system can do that. They have to
 * begin at a multiple of DISK_PAGE_BYTES, and may zero the rest of the page that they end in. */
static inline void disk_write_directly(struct disk *disk, disk_file file)
{
    disk->operations->write_directly(disk, file);
}

/* fdatasync: what was written survives a power loss. After an error nothing is known: stop. */
static inline MUST_USE int disk_sync(struct disk *disk, disk_file file)
{
    return disk->operations->sync(disk, file);
}

/* What was created, renamed or unlinked survives a power loss. */
static inline MUST_USE int disk_sync_directory(struct disk *disk)
{
    return disk->operations->sync_directory(disk);
}

static inline MUST_USE int disk_rename(struct disk *disk, const char *from, const char *to)
{
    return disk->operations->rename(disk, from, to);
}

static inline MUST_USE int disk_unlink(struct disk *disk, const char *name)
{
    return disk->operations->unlink(disk, name);
}

static inline MUST_USE int disk_list(struct disk *disk, disk_list_entry *entry, void *context)
{
    return disk->operations->list(disk, entry, context);
}

#endif
