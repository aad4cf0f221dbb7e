/* record.h - one stored change: an encoded mvccpb.KeyValue, as clients receive it. */
#ifndef KVSTORE_MVCC_RECORD_H
#define KVSTORE_MVCC_RECORD_H

#include <stdint.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct record {
    struct bytes key;
    struct bytes value;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    int64_t lease;
};

/* A new blob; a tombstone is a record with a key and a mod revision only. */
struct blob *record_encode(const struct record *record);
/* Append the encoding to out. */
void record_append(struct buf *out, const struct record *record);
size_t record_size(const struct record *record);
/* Fields borrow the input. 0 or ERR_MALFORMED. */
MUST_USE int record_decode(struct bytes encoded, struct record *ret_record);

#endif
