/* wal_script.h - a reproducible history of a log, and what must be found of it after a crash. */
#ifndef TESTS_UNIT_RAFT_WAL_SCRIPT_H
#define TESTS_UNIT_RAFT_WAL_SCRIPT_H

#include "base/prng.h"
#include "raft/wal/disk_memory.h"
#include "raft/wal/wal.h"

enum { SCRIPT_ENTRIES_MAX = 4096 };

/* The state of a log, comparable: what a reader of it must get. */
struct script_state {
    struct raft_hard_state hard_state;
    struct raft_snapshot_meta snapshot;
    struct raft_position entries[SCRIPT_ENTRIES_MAX]; /* after the snapshot */
    uint32_t entry_count;
};

struct script {
    struct prng prng;
    uint64_t sequence;
    struct script_state state;     /* acknowledged */
    struct script_state attempted; /* if the append under way became durable */
};

void script_init(struct script *script, uint64_t seed);

/* The next batch of the history; its effect is in script->attempted. */
struct wal_batch *script_next_batch(struct script *script, uint32_t data_bytes_max);
/* A batch that replaces nothing and adds count entries of size bytes. */
struct wal_batch *script_append_batch(struct script *script, uint32_t count, uint32_t size);
/* The batch was acknowledged. */
void script_acknowledge(struct script *script);

/* The data of an entry is a function of its position. */
struct blob *script_data(struct raft_position at, uint32_t size);

bool script_matches(const struct script_state *state, const struct wal_recovered *recovered);

/* What the log says if the backend installed a snapshot and the process died before the log's
 * record of it. False: no such thing was under way. */
bool script_adopted(const struct script *script, struct script_state *ret_state);

/* A small log on a disk: 512-byte alignment, small segments. The backend has what the last snapshot
 * covers, also one whose record was under way: backends come first. Borrows script. */
struct wal_options script_options(const struct script *script, struct disk *disk);

#endif
