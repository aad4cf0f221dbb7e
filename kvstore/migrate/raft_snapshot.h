/* raft_snapshot.h - etcd's small snapshot files (member/snap/TERM-INDEX.snap): which log position
 * the database is known to cover. What else they hold, the members in JSON, is not used. Source:
 * the public sources of etcd (snap/snappb/snap.proto, raft's raftpb/raft.proto). */
#ifndef KVSTORE_MIGRATE_RAFT_SNAPSHOT_H
#define KVSTORE_MIGRATE_RAFT_SNAPSHOT_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct raft_snapshot_file {
    uint64_t index;
    uint64_t term;
    uint32_t voter_count; /* of the cluster at index */
};

/* ERR_CORRUPT: the checksum, or it cannot be decoded. */
MUST_USE int raft_snapshot_read(struct bytes file, struct raft_snapshot_file *ret, struct err *err);

#endif
