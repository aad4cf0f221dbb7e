/* base64.h - RFC 4648: what Secret data and protobuf bytes look like in JSON. */
#ifndef ORCHESTRATOR_OBJECTS_BASE64_H
#define ORCHESTRATOR_OBJECTS_BASE64_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Standard alphabet with padding; the caller frees. */
char *base64_encode(struct bytes data);
/* URL alphabet without padding; the caller frees. */
char *base64_encode_url(struct bytes data);
/* Either alphabet, padded or not; appended to out. ERR_MALFORMED. */
MUST_USE int base64_decode(const char *text, struct buf *out);

#endif
