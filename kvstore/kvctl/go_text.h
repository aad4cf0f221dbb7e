/* go_text.h - text as Go's standard library reads and writes it.
 *
 * etcdctl is a Go program; its outputs (quoted strings, durations, sizes) and its inputs (quoted
 * words, numbers, durations) are what scripts rely on, so kvctl follows them to the byte. */
#ifndef KVSTORE_KVCTL_GO_TEXT_H
#define KVSTORE_KVCTL_GO_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Append as %q (strconv.Quote): printable UTF-8 stays, the rest is escaped. */
void go_text_append_quoted(struct buf *out, struct bytes text);
/* Append as encoding/json writes a string: < > & and U+2028/9 are escaped, bad UTF-8 is U+FFFD. */
void go_text_append_json(struct buf *out, struct bytes text);
/* Append as encoding/json writes a []byte: standard base64 in quotes. */
void go_text_append_json_base64(struct buf *out, struct bytes data);
/* Append "\x66\x6f" for every byte (etcdctl's --hex). */
void go_text_append_hex(struct buf *out, struct bytes data);

/* Read one Go string literal ("..." with escapes, or `...`) at the front of *text and step over it.
 * Appends the value to out. Error: ERR_INVALID. */
MUST_USE int go_text_unquote(struct bytes *text, struct buf *out);

/* strconv.ParseInt(text, base, 64); base 0 takes 0x, 0o, 0b and 0 prefixes. Errors: ERR_INVALID
 * with the wording of Go: strconv.ParseInt: parsing "x": invalid syntax. */
MUST_USE int go_text_parse_i64(const char *text, int base, int64_t *ret, struct err *err);
MUST_USE int go_text_parse_u64(const char *text, int base, uint64_t *ret, struct err *err);
MUST_USE int go_text_parse_bool(const char *text, bool *ret);
/* time.ParseDuration; Error: ERR_INVALID. Negative durations are refused: no flag of ours takes
 * one.
 */
MUST_USE int go_text_parse_duration_ns(const char *text, uint64_t *ret_ns);

/* time.Duration.String(): "1.234567ms", "2m30s". */
void go_text_append_duration(struct buf *out, uint64_t duration_ns);
/* humanize.Bytes: "25 kB", "1.1 MB" (powers of 1000). */
void go_text_append_size(struct buf *out, uint64_t size_bytes);

#endif
