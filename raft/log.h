/* log.h - the part of the log that is in memory: one array without gaps, after a base position.
 *
 * Holds a reference to the data of each entry. Knows nothing of terms' meaning, commit or disk. */
#ifndef RAFT_LOG_H
#define RAFT_LOG_H

#include "raft/raft.h"

struct raft_log {
    struct raft_entry *entries; /* live: entries[head] .. entries[head + count - 1] */
    uint32_t head;
    uint32_t count;
    uint32_t capacity;
    uint64_t bytes;            /* RAFT_ENTRY_OVERHEAD and data of each */
    struct raft_position base; /* of the entry before the first */
};

void raft_log_init(struct raft_log *log, struct raft_position base);
void raft_log_deinit(struct raft_log *log);

static inline raft_index raft_log_first_index(const struct raft_log *log)
{
    return log->base.index + 1;
}

static inline raft_index raft_log_last_index(const struct raft_log *log)
{
    return log->base.index + log->count;
}

struct raft_position raft_log_last(const struct raft_log *log); /* the base if it is empty */
/* The term at an index from the base to the last entry; false elsewhere. */
bool raft_log_find_term(const struct raft_log *log, raft_index index, raft_term *term);
bool raft_log_has(const struct raft_log *log, struct raft_position position);
/* index must be that of an entry. Valid until the log changes; entries of ascending index follow.
 */
const struct raft_entry *raft_log_at(const struct raft_log *log, raft_index index);

/* Add one entry at the end, whose index must be the next (R24) and whose term must not descend. */
void raft_log_append(struct raft_log *log, const struct raft_entry *entry);
/* Drop the entries from index on. */
void raft_log_truncate(struct raft_log *log, raft_index from);
/* Drop the entries up to index, which must be an entry or the base. */
void raft_log_compact(struct raft_log *log, raft_index upto);
/* Drop all and start after base. */
void raft_log_reset(struct raft_log *log, struct raft_position base);

/* Bytes that an entry counts in every limit. */
uint64_t raft_entry_bytes(const struct raft_entry *entry);
/* How many entries from index on fit in bytes_max and count_max; at least one if there is one. */
uint32_t raft_log_fit(const struct raft_log *log, raft_index from, uint64_t bytes_max,
                      uint32_t count_max, uint64_t *ret_bytes);
/* The last position at or below index whose term is at most `term` (R20). The log's base bounds the
 * search: what lies before it is committed and agrees anyway. */
struct raft_position raft_log_find_conflict(const struct raft_log *log, raft_index index,
                                            raft_term term);

#endif
