/* etcd_dir.h - the files of a stopped etcd member, or one database file, mapped for reading. */
#ifndef KVSTORE_MIGRATE_ETCD_DIR_H
#define KVSTORE_MIGRATE_ETCD_DIR_H

#include "kvstore/migrate/bbolt.h"
#include "kvstore/migrate/etcd_wal.h"

struct etcd_file {
    char *path;
    int fd;
    struct bytes bytes;
};

struct etcd_dir {
    struct etcd_file database;
    struct bbolt db;
    struct etcd_file *logs;
    size_t log_count;
    struct etcd_wal wal; /* empty for a database file */
    bool has_wal;
    uint64_t consistent_index;
    uint64_t term; /* of consistent_index; 1 if nobody knows */
};

/* path: a data directory (with member/snap/db), or a database file: a snapshot, or a copy of
 * member/snap/db. wal_dir: etcd's --wal-dir; NULL: inside. ERR_LOCKED: etcd runs on it;
 * ERR_CORRUPT; ERR_NOT_FOUND: no database there; a negative errno. */
MUST_USE int etcd_dir_open(const char *path, const char *wal_dir, struct etcd_dir **ret,
                           struct err *err);
void etcd_dir_close(struct etcd_dir *dir); /* NULL is fine */

#endif
