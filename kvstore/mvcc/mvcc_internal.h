/* mvcc_internal.h - the parts of the versioned store, for the files of this folder. */
#ifndef KVSTORE_MVCC_MVCC_INTERNAL_H
#define KVSTORE_MVCC_MVCC_INTERNAL_H

#include "kvstore/mvcc/mvcc.h"
#include "kvstore/mvcc/mvcc_meta.h"
#include "kvstore/mvcc/pending.h"

struct mvcc {
    struct backend *backend;
    struct key_index *index;
    struct pending pending;

    struct backend_batch *batch; /* being filled; NULL: nothing yet */
    uint64_t next_sequence;      /* of the batch being filled, or the next one */

    int64_t revision;
    int64_t compact_revision; /* logical */
    int64_t compacted;        /* physical and stored */

    struct revision compact_cursor; /* everything before it is removed, as far as it has to be */
    int64_t compacted_scanned;      /* the scan reached it; stored with compacted_sequence */
    uint64_t compacted_sequence;
    uint64_t removed_count;

    bool in_transaction;
    struct mvcc_change *changes;
    uint32_t change_count;
    uint32_t change_capacity;

    struct err failure;
};

/* Remember the first failure; returns its code. */
int mvcc_fail(struct mvcc *mvcc, const struct err *failure);

#endif
