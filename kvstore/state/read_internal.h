/* read_internal.h - a read under way; for the files that step it. */
#ifndef KVSTORE_STATE_READ_INTERNAL_H
#define KVSTORE_STATE_READ_INTERNAL_H

#include "kvstore/state/kv_internal.h"

struct kv_read {
    struct kv *kv;
    enum kv_op op_kind;
    struct bytes request;
    uint8_t *owned;   /* the request's memory; NULL: the caller's */
    struct buf reply; /* so far */

    struct range range; /* RANGE, RANGE_STREAM, and one operation of TXN */
    bool has_range;

    struct arena arena; /* TXN: the decoded request */
    struct txn_request txn;
    const struct txn_ops *ops; /* the chosen branch; NULL: not started */
    uint32_t op;
    int64_t now; /* the revision everything is read at */
    struct buf part;

    uint32_t chunk_keys; /* RANGE_STREAM: size of the next message */

    struct revision cursor; /* HASH_KV, HASH */
    int64_t hash_revision;
    int64_t hash_compact;
    uint32_t crc;
    bool is_pinned; /* revision and compaction are given, not those of now */
    bool started;
};

/* Decode, check and pin a range without a reply. */
enum etcd_error read_start_range(struct kv_read *read);

/* read_stream.c, hash.c */
enum kv_read_state read_step_stream(struct kv_read *read, struct kv_budget budget,
                                    struct buf *reply, enum etcd_error *ret_error);
/* Before the first step: as it was just after the compaction at compact_revision. What has been
 * compacted since must not be removed before the read is done. */
void read_pin_hash(struct kv_read *read, int64_t revision, int64_t compact_revision);
enum kv_read_state read_step_hash(struct kv_read *read, struct kv_budget budget, struct buf *reply,
                                  enum etcd_error *ret_error);

#endif
