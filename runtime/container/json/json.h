/* json.h - a strict, dependency-free JSON parser (RFC 8259) for files of bounded size. Pure.
 *
 * The document becomes a tree in the caller's arena. Each value knows its parent, so that an error
 * found later can name the path of the field ("process.rlimits[2].type").
 *
 * Stricter than the RFC allows it to be: text must be UTF-8, a string cannot contain U+0000 (it
 * would end a C string early and so mean two things), nesting is at most JSON_DEPTH_MAX. A repeated
 * key is accepted, the last one counts, as in Go, which writes these files. */
#ifndef RUNTIME_CONTAINER_JSON_JSON_H
#define RUNTIME_CONTAINER_JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    JSON_DEPTH_MAX = 64,
    JSON_SIZE_MAX = 16 << 20, /* bytes of a document */
};

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_type type;
    bool boolean;
    const char *text; /* string: decoded; number: as written; NUL-terminated */
    size_t text_size; /* bytes */
    const char *key;  /* in an object; NULL elsewhere */
    size_t count;     /* of children */
    struct json_value *first;
    struct json_value *next;
    struct json_value *parent; /* NULL: the document */
};

/* Parse one document. ERR_MALFORMED with line and column, ERR_TOO_LARGE. The tree lives in arena.
 */
MUST_USE int json_parse(struct arena *arena, struct bytes text, struct json_value **ret,
                        struct err *err);

/* The member of an object, NULL when object is NULL, no object, or lacks it. */
const struct json_value *json_find(const struct json_value *object, const char *key);

const char *json_type_name(enum json_type type); /* "a string", "an object", ... */

/* A number without fraction or exponent in range; false otherwise. */
bool json_get_i64(const struct json_value *value, int64_t *ret);
bool json_get_u64(const struct json_value *value, uint64_t *ret);

/* "linux.namespaces[1].type" of value; the document itself is "". Truncated to size. */
void json_path(const struct json_value *value, char *out, size_t size);

/* Append value as compact JSON. */
void json_append(struct buf *out, const struct json_value *value);

#endif
