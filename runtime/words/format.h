/* format.h - the part of docker's --format that people use: "json", and fields as {{.Name}}. */
#ifndef RUNTIME_WORDS_FORMAT_H
#define RUNTIME_WORDS_FORMAT_H

#include <jansson.h>

#include "base/buf.h"

/* Expand {{.A.B}} and {{json .A}} with values of an object; unknown fields become "<no value>".
 * "\t" and "\n" are understood. Pure. */
void format_expand(const char *format, const json_t *row, struct buf *out);
/* Print one row and a newline; "json" prints the whole object. */
void format_row(const char *format, const json_t *row);

#endif
