/* memory.h - the backend in memory: pure, for unit tests and the simulator.
 *
 * It keeps what a disk would: commits since the last backend_sync() can be lost by a crash. */
#ifndef KVSTORE_BACKEND_MEMORY_H
#define KVSTORE_BACKEND_MEMORY_H

#include "kvstore/backend/backend.h"

struct backend *backend_memory_new(void);

/* What a power loss leaves: the state after some commit, not older than the last sync and not newer
 * than the last commit. keep_commits of the commits after the sync survive (clipped to how many
 * there are). Renews the view; an unfinished restore is gone. */
void backend_memory_crash(struct backend *backend, uint64_t keep_commits);

/* Commits that a crash could lose now. */
uint64_t backend_memory_unsynced_count(const struct backend *backend);

/* Flip one bit of the stored value of a revision (fault injection). False: no such revision. */
bool backend_memory_flip_bit(struct backend *backend, struct backend_revision revision,
                             uint64_t bit);

/* The next backend_commit() or backend_sync() fails with this code; ERR_IO is final as on a disk,
 * ERR_NO_SPACE is not. 0 takes it back. */
void backend_memory_fail_next(struct backend *backend, int code);

#endif
