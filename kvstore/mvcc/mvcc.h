/* mvcc.h - the versioned store: key index, applied but not yet stored revisions, the backend.
 *
 * Writes happen at apply, between mvcc_begin and mvcc_end: one main revision, a sub revision for
 * each change. A change is in the index and in `pending` at once, and in the next batch for the
 * backend; reads find it by its revision number in pending until it is stored.
 *
 * A backend read that fails (ERR_CORRUPT, ERR_IO) is remembered: mvcc_failure. The member must stop
 * then, it never answers from what it could not read. */
#ifndef KVSTORE_MVCC_MVCC_H
#define KVSTORE_MVCC_MVCC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/bytes.h"
#include "base/err.h"
#include "kvstore/backend/backend.h"
#include "kvstore/mvcc/key_index.h"
#include "kvstore/mvcc/key_value.h"
#include "kvstore/mvcc/revision.h"

struct mvcc;

/* One change of the transaction that mvcc_end closed. */
struct mvcc_change {
    struct revision at;
    bool is_delete;
    struct bytes key;         /* borrowed from kv */
    struct blob *kv;          /* the encoded KeyValue; borrowed */
    struct revision previous; /* the live revision it replaces; main 0: none */
};

struct mvcc *mvcc_new(struct backend *backend);
void mvcc_free(struct mvcc *mvcc); /* NULL is fine */

/* Everything again from a backend by one scan in revision order; an open transaction is dropped.
 * visit_lease is called for each live key that hangs on a lease, after the scan. */
typedef void mvcc_visit_lease(void *context, int64_t lease, struct bytes key);
MUST_USE int mvcc_restore(struct mvcc *mvcc, struct backend *backend, mvcc_visit_lease *visit_lease,
                          void *context, struct err *err);

int64_t mvcc_revision(const struct mvcc *mvcc); /* of the last closed transaction; 1: empty */
int64_t mvcc_compact_revision(const struct mvcc *mvcc);
int64_t mvcc_compacted(const struct mvcc *mvcc); /* physically, and stored */
const struct key_index *mvcc_index(const struct mvcc *mvcc);
int mvcc_failure(const struct mvcc *mvcc); /* 0, or the error of a failed backend read */
const struct err *mvcc_failure_detail(const struct mvcc *mvcc);
/* A record that cannot be decoded; returns ERR_CORRUPT. */
int mvcc_fail_record(struct mvcc *mvcc, struct backend_revision revision);

/* --- writes ------------------------------------------------------------------------------ */

void mvcc_begin(struct mvcc *mvcc);
/* The newest revision a read inside the transaction sees: revision() + 1 after the first change. */
int64_t mvcc_now(const struct mvcc *mvcc);
bool mvcc_has_changes(const struct mvcc *mvcc);
/* The entry afterwards; its previous state in *ret_before, mod 0 if there was none. */
struct key_entry *mvcc_put(struct mvcc *mvcc, struct bytes key, struct bytes value, int64_t lease,
                           struct key_entry *ret_before);
void mvcc_delete(struct mvcc *mvcc, struct key_entry *entry); /* a live one */
/* Close the transaction. *ret_count changes, borrowed until the next mvcc_begin. */
const struct mvcc_change *mvcc_end(struct mvcc *mvcc, uint32_t *ret_count);

/* --- reads ------------------------------------------------------------------------------- */

/* The encoded KeyValue of a revision, borrowed until the backend is renewed or a batch is stored.
 * 0, or the failure that mvcc_failure reports from now on; a missing revision is ERR_CORRUPT. */
MUST_USE int mvcc_get(struct mvcc *mvcc, struct revision revision, struct bytes *ret_encoded);

/* Records with from <= revision < end in order, stored ones then pending ones. *ret_count less than
 * capacity does not mean the end, 0 does. */
MUST_USE int mvcc_scan(struct mvcc *mvcc, struct revision from, struct revision end,
                       struct backend_record *ret_records, uint32_t capacity, uint32_t *ret_count);

/* A reference to a revision's record; NULL after a failure. */
struct blob *mvcc_get_blob(struct mvcc *mvcc, struct revision revision);

/* --- compaction -------------------------------------------------------------------------- */

/* Logical: revisions below cannot be asked for any more. mvcc_compact_step removes them. */
void mvcc_compact(struct mvcc *mvcc, int64_t revision);
/* One slice, at most items revisions. True: more is left. */
bool mvcc_compact_step(struct mvcc *mvcc, uint32_t items);

/* --- storing ----------------------------------------------------------------------------- */

/* The batch that is being filled, for the meta changes of the same entry. */
struct backend_batch *mvcc_batch(struct mvcc *mvcc);
uint64_t mvcc_batch_bytes(const struct mvcc *mvcc);
bool mvcc_has_batch(const struct mvcc *mvcc);
/* Take it: the revision is added to it, the caller set the position. NULL: nothing changed. */
struct backend_batch *mvcc_take_batch(struct mvcc *mvcc, uint64_t *ret_sequence);
void mvcc_on_stored(struct mvcc *mvcc, uint64_t sequence);
uint64_t mvcc_pending_count(const struct mvcc *mvcc);
uint64_t mvcc_pending_bytes(const struct mvcc *mvcc);
uint64_t mvcc_removed_count(const struct mvcc *mvcc); /* revisions removed by compactions */

void mvcc_check(const struct mvcc *mvcc);

#endif
