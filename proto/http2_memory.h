/* http2_memory.h - nghttp2's heap: small blocks are kept by a session for its next frames.
 *
 * nghttp2 allocates some twenty small blocks for a request. They come in few sizes and go soon, so
 * a list per size serves nearly all of them; a tenth of the server's instructions were malloc's. */
#ifndef PROTO_HTTP2_MEMORY_H
#define PROTO_HTTP2_MEMORY_H

#include <nghttp2/nghttp2.h>
#include <stdint.h>

enum { HTTP2_MEMORY_CLASSES = 5 };

struct http2_memory_block;

struct http2_memory {
    struct http2_memory_block *spare[HTTP2_MEMORY_CLASSES];
    uint32_t spare_count[HTTP2_MEMORY_CLASSES];
};

/* Must outlive the nghttp2 session that uses it. */
nghttp2_mem http2_memory_functions(struct http2_memory *memory);
void http2_memory_deinit(struct http2_memory *memory);

#endif
