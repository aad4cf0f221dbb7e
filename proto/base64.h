/* base64.h - bytes as text (RFC 4648): standard alphabet with padding out; standard or URL-safe
 * alphabet, with or without padding, in. */
#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include "base/arena.h"
#include "base/buf.h"

void base64_append(struct buf *out, struct bytes data);
/* Decoded into arena; false if text is not base64. */
bool base64_parse(struct bytes text, struct arena *arena, struct bytes *ret_data);

#endif
