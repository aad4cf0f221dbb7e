/* chain.h - bytes waiting to be sent: small pieces are copied together, large ones are shared
 * blobs.
 *
 * Appended at the end, taken at the front. A writer gets the whole as an array of iovecs. */
#ifndef PROTO_CHAIN_H
#define PROTO_CHAIN_H

#include <sys/uio.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/bytes.h"

enum { CHAIN_COPY_BYTES_MAX = 2048 }; /* up to here a copy is cheaper than an iovec */

struct chain_segment {
    struct blob *blob; /* NULL: the next bytes of copied */
    uint32_t offset;   /* in the blob */
    uint32_t size;
};

struct chain {
    struct buf copied;
    struct chain_segment *segments;
    uint32_t first;
    uint32_t end;
    uint32_t capacity;
    size_t size; /* bytes in all */
};

void chain_init(struct chain *chain);
void chain_deinit(struct chain *chain);
void chain_clear(struct chain *chain); /* keeps small memory */

void chain_append(struct chain *chain, struct bytes bytes);
/* A reference of its own to blob[offset, offset+size); copies it if it is small. */
void chain_append_blob(struct chain *chain, struct blob *blob, size_t offset, size_t size);
/* Room for size bytes at the end; chain_commit makes them count. Nothing else in between. */
uint8_t *chain_reserve(struct chain *chain, size_t size);
void chain_commit(struct chain *chain, size_t size);
/* Move the first size bytes of from to the end of to. */
void chain_move(struct chain *to, struct chain *from, size_t size);
void chain_consume(struct chain *chain, size_t size);

/* The first pieces, at most count; returns how many. Valid until the chain changes. */
unsigned chain_peek(const struct chain *chain, struct iovec *vectors, unsigned count);
/* The first piece; empty when the chain is. */
struct bytes chain_front(const struct chain *chain);

#endif
