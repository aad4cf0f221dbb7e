/* snapshot_count.h - what is in a backup of ours, without building a store of it. */
#ifndef KVSTORE_KVCTL_SNAPSHOT_COUNT_H
#define KVSTORE_KVCTL_SNAPSHOT_COUNT_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct snapshot_count {
    int64_t revision;      /* the newest that is stored */
    uint64_t record_count; /* key-values of all revisions, deletions too */
    uint64_t frame_count;
    uint32_t hash; /* etcd's files only: what etcdutl shows */
};

/* Read a file of our format (kvstore/state/kv_snapshot.h) from its beginning to its trailer, each
 * record's checksum included. ERR_CORRUPT: it is not one, or is damaged. */
MUST_USE int snapshot_count_read(FILE *file, struct snapshot_count *ret, struct err *err);
/* The same for a database of etcd; records are then the pairs of all buckets, as etcdutl counts. */
MUST_USE int snapshot_count_read_etcd(FILE *file, struct snapshot_count *ret, struct err *err);

#endif
