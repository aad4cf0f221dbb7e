/* key_value.h - one stored change: an encoded mvccpb.KeyValue, as clients receive it. */
#ifndef KVSTORE_MVCC_KEY_VALUE_H
#define KVSTORE_MVCC_KEY_VALUE_H

#include <stdint.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct key_value {
    struct bytes key;
    struct bytes value;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    int64_t lease;
};

/* A new blob; a tombstone is a record with a key and a mod revision only. */
struct blob *key_value_encode(const struct key_value *record);
/* Append the encoding to out. */
void key_value_append(struct buf *out, const struct key_value *record);
size_t key_value_size(const struct key_value *record);
/* Fields borrow the input. 0 or ERR_MALFORMED. */
MUST_USE int key_value_decode(struct bytes encoded, struct key_value *ret_record);

#endif
