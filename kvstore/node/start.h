/* start.h - what a member starts from: the rules that connect the log and the store at a start.
 *
 * A new cluster begins with a snapshot at index 1 that holds its members and that all of them make
 * alike, so whoever joins later gets the members like any other state. The store remembers the
 * snapshot that it was last replaced by (or began with), durably before the log records it (R34):
 * so a crash between the two is told from a lost log. */
#ifndef KVSTORE_NODE_START_H
#define KVSTORE_NODE_START_H

#include "base/err.h"
#include "kvstore/backend/backend.h"
#include "raft/raft.h"

struct cluster_member;

/* The snapshot that the store's content came from; all zero in a new store. ERR_CORRUPT, or the
 * backend's error. */
MUST_USE int start_read_installed(struct backend *backend, struct raft_snapshot_meta *ret,
                                  struct err *err);
/* Note it, in the last batch of a received snapshot. */
void start_add_installed(struct backend_batch *batch, const struct raft_snapshot_meta *meta);

/* Whether the store is that of the log beside it, or of nobody yet: then it is noted. Before the
 * backend's thread runs. ERR_WRONG_CLUSTER, or the backend's error. */
MUST_USE int start_check_identity(struct backend *backend, uint64_t cluster_id, raft_id member_id,
                                  struct err *err);

/* The first start of an initial member: put the members into the empty store, durably, and say what
 * the log has to record as its snapshot before anything else. Before the backend's thread runs. */
MUST_USE int start_seed(struct backend *backend, const struct cluster_member *members,
                        uint32_t count, struct raft_snapshot_meta *ret, struct err *err);

/* Complete what was read from the log (hard state, snapshot, entries) by what the store knows. */
void start_restore(struct raft_restored *restored, const struct raft_snapshot_meta *installed,
                   struct backend_position applied);

#endif
