/* mvcc_meta.h - the revisions that are kept in the backend's meta table; for tools that make a
 * store. */
#ifndef KVSTORE_MVCC_MVCC_META_H
#define KVSTORE_MVCC_MVCC_META_H

#include "kvstore/backend/backend.h"

/* Each a number of eight bytes, big-endian. */
#define MVCC_META_REVISION BYTES_LITERAL("mvcc/revision")
#define MVCC_META_COMPACT BYTES_LITERAL("mvcc/compact")     /* asked for */
#define MVCC_META_COMPACTED BYTES_LITERAL("mvcc/compacted") /* everything up to it is removed */

void mvcc_meta_put_i64(struct backend_batch *batch, struct bytes key, int64_t value);
/* *ret_value stays as it is if the field is not there. ERR_CORRUPT; the backend's error. */
MUST_USE int mvcc_meta_get_i64(struct backend *backend, struct bytes key, int64_t *ret_value,
                               struct err *err);

#endif
