/* blob.h - immutable, reference-counted bytes.
 *
 * The one way for bytes to outlive a call: entry payloads, values and watch events are created once
 * and shared. The count is atomic, so a blob may be handed to another thread whole; its bytes never
 * change once a second holder exists. */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct blob {
    atomic_uint_fast32_t reference_count;
    uint32_t size; /* bytes in data */
    uint8_t data[];
};

enum { BLOB_SIZE_MAX = 1 << 30 };

/* A new blob with one reference; data is not initialised. Fill it before sharing it. */
struct blob *blob_new(size_t size);
struct blob *blob_new_copy(const void *data, size_t size);
struct blob *blob_ref(struct blob *blob); /* returns blob; NULL is fine */
void blob_unref(struct blob *blob);       /* the last one frees; NULL is fine */

static inline struct bytes blob_bytes(const struct blob *blob)
{
    return blob == NULL ? (struct bytes){NULL, 0} : bytes_make(blob->data, blob->size);
}

#endif
