/* json.h - jansson, with our errors and our clean-up. */
#ifndef RUNTIME_IMAGE_JSON_H
#define RUNTIME_IMAGE_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/err.h"

/* A JSON object; anything else is ERR_MALFORMED with the place. The caller owns *ret. */
MUST_USE int json_parse(struct bytes text, const char *what, json_t **ret, struct err *err);
/* As json_parse for any JSON value. */
MUST_USE int json_parse_any(struct bytes text, const char *what, json_t **ret, struct err *err);

/* The text of a key; fallback when it is absent, null or not a text. object may be NULL. */
const char *json_get_text(const json_t *object, const char *key, const char *fallback);
int64_t json_get_integer(const json_t *object, const char *key, int64_t fallback);
bool json_get_flag(const json_t *object, const char *key);

/* Compact text, or two-space indented; appended. */
void json_write(const json_t *value, bool is_indented, struct buf *out);

/* A string value; text that is not UTF-8 becomes "?"-marked text, never NULL. */
json_t *json_text(const char *text);

static inline void cleanup_json(json_t **value)
{
    json_decref(*value);
}

#endif
