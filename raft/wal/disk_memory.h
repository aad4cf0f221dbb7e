/* disk_memory.h - a disk in memory that loses, tears, reorders and damages like a real one.
 *
 * Pure and deterministic: the same calls and the same seed give the same disk. A write lives in a
 * cache until its file is synced; disk_memory_crash() decides, sector by sector, what of the cache
 * reached the medium. The same holds for names (create, rename, unlink) and sync_directory. */
#ifndef RAFT_WAL_DISK_MEMORY_H
#define RAFT_WAL_DISK_MEMORY_H

#include "raft/wal/disk.h"

enum { DISK_MEMORY_SECTOR_SIZE = 512 /* bytes that are written whole or not at all */ };

/* The calls that can fail and that count as one step. */
enum disk_call {
    DISK_CALL_OPEN = 1,
    DISK_CALL_WRITE,
    DISK_CALL_READ,
    DISK_CALL_SIZE,
    DISK_CALL_ALLOCATE,
    DISK_CALL_SYNC,
    DISK_CALL_SYNC_DIRECTORY,
    DISK_CALL_RENAME,
    DISK_CALL_UNLINK,
    DISK_CALL_LIST,
};

/* Called before each call; not 0: the call fails with that code. A failed write leaves any part of
 * its sectors in the cache, a failed sync any part on the medium (by the seed). This is also where
 * a simulator adds latency or stops the program. */
typedef int disk_memory_hook(void *context, enum disk_call call, uint64_t number);

struct disk *disk_memory_new(uint64_t seed);
void disk_memory_free(struct disk *disk); /* NULL is fine */

void disk_memory_set_hook(struct disk *disk, disk_memory_hook *hook, void *context);
void disk_memory_set_capacity(struct disk *disk, uint64_t bytes); /* 0: no limit; -ENOSPC beyond */
uint64_t disk_memory_call_count(const struct disk *disk);

enum disk_memory_crash {
    DISK_CRASH_LOSE_ALL,  /* nothing that was not synced survives */
    DISK_CRASH_KEEP_ALL,  /* everything written survives, as when only the process dies */
    DISK_CRASH_KEEP_SOME, /* any subset of the unsynced sectors and of the unsynced names */
};

/* Power loss: close all files and settle the cache. Afterwards the medium equals the cache. */
void disk_memory_crash(struct disk *disk, enum disk_memory_crash how, uint64_t seed);

/* A copy of disk as it is, cache included: lets one script be crashed in many ways. The hook is not
 * copied. */
struct disk *disk_memory_clone(const struct disk *disk);

/* Damage: flip one bit of a file in cache and on the medium. False: no such file or bit. */
bool disk_memory_flip_bit(struct disk *disk, const char *name, uint64_t bit);

/* The bytes of a file as a reader sees them; NULL: no such file. Borrowed until the next call. */
const uint8_t *disk_memory_find(const struct disk *disk, const char *name, uint64_t *ret_size);

#endif
