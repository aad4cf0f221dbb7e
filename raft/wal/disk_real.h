/* disk_real.h - a directory of the operating system as a struct disk. */
#ifndef RAFT_WAL_DISK_REAL_H
#define RAFT_WAL_DISK_REAL_H

#include "raft/wal/disk.h"

struct disk_real_options {
    bool is_unsafe_no_sync; /* etcd's --unsafe-no-fsync: syncs do nothing; for tests only */
};

/* The directory exists (base/data_dir.h makes it). options may be NULL. */
MUST_USE int disk_real_open(const char *directory, const struct disk_real_options *options,
                            struct disk **ret_disk, struct err *err);
void disk_real_close(struct disk *disk); /* NULL is fine */

#endif
