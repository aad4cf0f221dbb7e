/* restore_internal.h - a restore under way; shared by restore_*.c. */
#ifndef KVSTORE_KVCTL_RESTORE_INTERNAL_H
#define KVSTORE_KVCTL_RESTORE_INTERNAL_H

#include <stdio.h>

#include "kvstore/backend/lmdb.h"
#include "kvstore/kvctl/restore_dir.h"
#include "kvstore/migrate/etcd_dir.h"
#include "kvstore/migrate/etcd_store.h"
#include "kvstore/server/bootstrap.h"
#include "kvstore/state/kv_snapshot.h"
#include "raft/raft.h"

/* Everything of one restore, freed in reverse whatever happened. */
struct restoring {
    const struct restore_options *options;
    struct config config;
    struct bootstrap bootstrap;
    char *part_dir;
    char *store_dir;
    char *wal_dir;
    int lock_fd;
    struct backend *backend;
    struct raft_snapshot_meta meta;
    uint64_t old_cluster_id;
    uint64_t read_bytes;
    struct etcd_dir *etcd; /* NULL: an image of kvd */
    struct etcd_store copied;
    struct restore_result result;
};

/* Fill the open backend, and meta.last: from an image of kvd, from files of etcd. */
MUST_USE int restore_from_image(struct restoring *r, struct err *err);
MUST_USE int restore_from_etcd(struct restoring *r, struct err *err);
/* When the database is in its place: the entries of etcd's log behind it. Sets meta.last. */
MUST_USE int restore_replay_etcd(struct restoring *r, struct err *err);

#endif
