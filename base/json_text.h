/* json_text.h - writing strings as JSON (RFC 8259 section 7). */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include "base/buf.h"
#include "base/bytes.h"

/* Append text in quotes; control characters are escaped, invalid UTF-8 becomes U+FFFD. */
void json_text_append_quoted(struct buf *out, struct bytes text);

#endif
