/* etcd_replay.h - the entries of etcd's log that its database does not cover yet, applied by our
 * own state machine: both speak InternalRaftRequest. */
#ifndef KVSTORE_MIGRATE_ETCD_REPLAY_H
#define KVSTORE_MIGRATE_ETCD_REPLAY_H

#include "kvstore/backend/backend.h"
#include "kvstore/migrate/etcd_wal.h"

struct etcd_replay {
    uint64_t applied_count;
    uint64_t uncommitted_count; /* of them: not known to be committed by this member */
    uint64_t index;             /* of the last entry */
    uint64_t term;
    int64_t revision;
};

/* Entries above the backend's applied index, to the end of the log: a client may have been told of
 * the last ones although this member did not hear so; taking one that nobody was told of harms
 * nobody. ERR_CORRUPT; the backend's error. */
MUST_USE int etcd_replay_log(const struct etcd_wal *wal, struct backend *backend,
                             struct etcd_replay *ret, struct err *err);

#endif
