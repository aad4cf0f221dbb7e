/* hash.h - SHA-256 over a stream of bytes, as digests name content. */
#ifndef RUNTIME_IMAGE_HASH_H
#define RUNTIME_IMAGE_HASH_H

#include "base/bytes.h"
#include "runtime/image/reference.h"

struct hash; /* wraps the cryptography library's context */

struct hash *hash_new(void);
void hash_free(struct hash *hash);
void hash_update(struct hash *hash, struct bytes bytes);
/* "sha256:<hex>" of all bytes so far; out holds REFERENCE_DIGEST_MAX + 1. Ends the hash. */
void hash_finish(struct hash *hash, char *out);
/* One call for bytes that are at hand. */
void hash_bytes(struct bytes bytes, char *out);

/* Chain id (image-spec config.md "Layer ChainID"): of the parent's chain id, NULL for the first
 * layer, and this layer's diff id. All are "sha256:<hex>"; out as above and may be parent. */
void hash_chain(const char *parent, const char *diff_id, char *out);

static inline void cleanup_hash(struct hash **hash)
{
    hash_free(*hash);
}

#endif
