/* yaml_text.h - YAML of Compose files as JSON values with places, and JSON as YAML. Pure.
 *
 * Source: compose-spec 10-fragments.md, 13-merge.md; YAML 1.2 core schema with 1.1's octal numbers.
 * Aliases and << are resolved; a key that stands twice is an error. */
#ifndef RUNTIME_COMPOSE_YAML_TEXT_H
#define RUNTIME_COMPOSE_YAML_TEXT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "runtime/compose/places.h"

enum {
    YAML_TEXT_SIZE_MAX = 4 << 20,
    YAML_TEXT_DEPTH_MAX = 100,
    YAML_TEXT_NODES_MAX = 200000, /* after aliases, which can multiply */
};

/* A value tagged !reset or !override is an object with this one key. */
#define YAML_TEXT_RESET "!reset"
#define YAML_TEXT_OVERRIDE "!override"

/* The one document of a file; an empty file is an empty object. The caller owns *ret.
 * ERR_MALFORMED and ERR_TOO_LARGE say "path:line: …". */
MUST_USE int yaml_text_parse(struct bytes text, const char *path, struct places *places,
                             json_t **ret, struct err *err);

/* Append as YAML, keys in the order they have. */
void yaml_text_write(const json_t *value, struct buf *out);

#endif
