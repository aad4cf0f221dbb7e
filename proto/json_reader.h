/* json_reader.h - JSON text (RFC 8259), token by token, strict. Strings are unescaped into an
 * arena. */
#ifndef PROTO_JSON_READER_H
#define PROTO_JSON_READER_H

#include "base/arena.h"
#include "base/bytes.h"

enum { JSON_DEPTH_MAX = 100 };

enum json_type {
    JSON_END, /* of the input */
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_BOOL,
    JSON_NULL,
    JSON_BAD, /* anything else */
};

struct json_reader {
    const uint8_t *start;
    struct bytes left;
    struct arena *arena;
};

struct json_reader json_reader_make(struct bytes text, struct arena *arena);
/* Bytes read so far, for error texts. */
size_t json_reader_position(const struct json_reader *reader);

/* What comes next, by its first character; white space is passed over. */
enum json_type json_peek(struct json_reader *reader);
/* Each takes what it names, or returns false (malformed, or something else comes next). */
bool json_take_mark(struct json_reader *reader, char mark); /* one of {}[]:, */
bool json_take_string(struct json_reader *reader, struct bytes *ret_text);
bool json_take_number(struct json_reader *reader, struct bytes *ret_text);
bool json_take_bool(struct json_reader *reader, bool *ret_value);
bool json_take_null(struct json_reader *reader);
/* A value of any type, and all in it. */
bool json_skip_value(struct json_reader *reader, unsigned depth);

#endif
