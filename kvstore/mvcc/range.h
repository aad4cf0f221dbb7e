/* range.h - one Range at one revision, in slices: kvs are appended to the reply as they are found.
 *
 * Natural order without filters stops at the limit and counts in O(log n); sorting and filters look
 * at everything, as etcd does. Source: RangeRequest of the public API. */
#ifndef KVSTORE_MVCC_RANGE_H
#define KVSTORE_MVCC_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "kvstore/mvcc/mvcc.h"
#include "kvstore/mvcc/request.h"

enum range_status {
    RANGE_OK,
    RANGE_MORE,      /* the slice is over */
    RANGE_COMPACTED, /* the revision is gone, or went while slices were under way */
    RANGE_FUTURE,    /* the revision does not exist yet */
    RANGE_FAILED,    /* mvcc_failure() */
    RANGE_TOO_LARGE, /* the reply would pass RANGE_REPLY_BYTES_MAX */
};

enum { RANGE_REPLY_BYTES_MAX = 1 << 29 };

struct range_item {
    size_t offset; /* in the scratch buffer */
    uint32_t size;
    uint32_t ordinal; /* in key order, so that sorting is stable */
    struct bytes value;
    int64_t number;
};

/* Everything is internal but the results. */
struct range {
    struct range_request request; /* borrows the caller's bytes for the life of the range */
    struct key_range keys;
    bool is_single;
    bool is_ordered; /* natural order and no filter: stop at the limit */
    int64_t at;      /* the revision it is pinned to */
    bool has_count;  /* count is known without a scan */
    bool started;
    struct buf last_key; /* where the next slice goes on, exclusive */
    struct buf scratch;  /* records that wait for sorting */
    struct range_item *items;
    uint32_t item_count;
    uint32_t item_capacity;
    uint64_t emitted;
    uint64_t scanned_bytes;
    bool has_last;

    uint64_t count; /* result: keys in the range at the revision */
    bool more;      /* result */
};

/* Pin the revision. now: the newest revision the reader may see. Status OK: go on with steps. */
enum range_status range_start(struct range *range, struct mvcc *mvcc,
                              const struct range_request *request, int64_t now);
/* Look at no more than items keys and about bytes bytes (0: no limit); append `kvs` fields (number
 * 2) to out. RANGE_OK: complete, count and more are set. */
enum range_status range_step(struct range *range, struct mvcc *mvcc, uint32_t items, uint32_t bytes,
                             struct buf *out);
void range_deinit(struct range *range);

/* Sort by number or value, ties in key order. Internal, here for its test. */
void range_items_sort(struct range_item *items, uint32_t count, bool by_value, bool descending);

#endif
