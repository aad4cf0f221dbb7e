/* stream.h - bytes that are pulled through a chain: file -> hash -> decompression -> hash -> tar.
 *
 * A stream owns its source: freeing the outermost frees the chain. Chunks are borrowed until the
 * next call on the same stream. */
#ifndef RUNTIME_IMAGE_STREAM_H
#define RUNTIME_IMAGE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "runtime/image/hash.h"

enum { STREAM_CHUNK_SIZE = 256 << 10 };

struct stream {
    /* 1: *chunk is not empty; 0: the end (again and again); negative: error. */
    int (*next)(struct stream *stream, struct bytes *chunk, struct err *err);
    void (*free)(struct stream *stream); /* this stage only */
    /* Pass over up to size bytes without reading them; returns how many. NULL: cannot. */
    int64_t (*skip)(struct stream *stream, int64_t size);
    struct stream *source; /* NULL for the first */
};

MUST_USE int stream_next(struct stream *stream, struct bytes *chunk, struct err *err);
void stream_free(struct stream *stream); /* the whole chain; NULL is fine */
/* Read to the end and forget the bytes (for the hashes on the way). */
MUST_USE int stream_drain(struct stream *stream, struct err *err);
/* Write what is left to a file. */
MUST_USE int stream_copy(struct stream *stream, int fd, int64_t *ret_size, struct err *err);

/* fd is borrowed. size < 0: to the end of the file, read() from where it stands (pipes);
 * otherwise exactly size bytes from offset by pread; fewer are an error. */
struct stream *stream_new_file(int fd, int64_t offset, int64_t size);
/* bytes are borrowed. */
struct stream *stream_new_bytes(struct bytes bytes);
/* Passes the bytes on and hashes them; hash is borrowed. */
struct stream *stream_new_hash(struct stream *source, struct hash *hash);
/* Calls progress for each chunk. */
struct stream *stream_new_tap(struct stream *source,
                              int (*tap)(void *context, struct bytes chunk, struct err *err),
                              void *context);
/* gzip, zstd or nothing, by the first bytes (never by a media type). bytes_max limits the result:
 * more is ERR_TOO_LARGE. */
struct stream *stream_new_decompress(struct stream *source, int64_t bytes_max);

/* Passes on what another stream gives; that one is borrowed and outlives it. */
struct stream *stream_new_borrowed(struct stream *lender);
/* Of a stream_new_decompress that has given its first chunk: there was nothing to decompress. */
bool stream_is_plain(const struct stream *decompress);
/* Runs what comes before it in a thread of its own. The source and what its stages borrow belong to
 * that thread until the end, an error, or the freeing of this stage (which must come first). */
struct stream *stream_new_ahead(struct stream *source);

static inline void cleanup_stream(struct stream **stream)
{
    stream_free(*stream);
}

#endif
