/* shim_frame.h - frames of shim.proto: 4 bytes of length, big endian, then the message. Pure. */
#ifndef RUNTIME_CONTAINER_SHIM_SHIM_FRAME_H
#define RUNTIME_CONTAINER_SHIM_SHIM_FRAME_H

#include "base/buf.h"
#include "base/err.h"

enum { SHIM_FRAME_HEADER_SIZE = 4 };

/* The first whole message of what has been received: 1, 0 when more bytes are needed, ERR_TOO_LARGE
 * when the frame is longer than SHIM_FRAME_SIZE_MAX. The body lies in received. */
MUST_USE int shim_frame_next(struct bytes received, struct bytes *ret_body);
void shim_frame_append_header(struct buf *out, uint32_t size);

#endif
