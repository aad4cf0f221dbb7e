/* installed.h - what the store says it starts from: the initial members of a new cluster, or the
 * snapshot that a peer sent. Durable in the store before the log knows of it (R34), so that a crash
 * between the two is told from a lost log. */
#ifndef KVSTORE_SERVER_INSTALLED_H
#define KVSTORE_SERVER_INSTALLED_H

#include "base/err.h"
#include "kvstore/backend/backend.h"
#include "raft/raft.h"

/* All zero in a new store. ERR_CORRUPT, or the backend's error. */
MUST_USE int installed_read(struct backend *backend, struct raft_snapshot_meta *ret,
                            struct err *err);
/* As part of the batch that brings the state itself. */
void installed_add(struct backend_batch *batch, const struct raft_snapshot_meta *meta);

#endif
