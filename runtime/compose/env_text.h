/* env_text.h - .env files and env_file: NAME=VALUE lines. Pure.
 *
 * Source: compose-spec 05-services.md "env_file format": # comments, quotes ('…' as it is, "…" with
 * escapes and variables, both over several lines), `export ` before a name, unquoted values end at
 * " #". A name alone has the value null: it is taken from the environment. */
#ifndef RUNTIME_COMPOSE_ENV_TEXT_H
#define RUNTIME_COMPOSE_ENV_TEXT_H

#include <jansson.h>

#include "base/bytes.h"
#include "base/err.h"

enum { ENV_TEXT_SIZE_MAX = 1 << 20 };

/* Sets names in values. environment: for variables in values, with what stands above. is_raw: no
 * quotes, no variables. ERR_MALFORMED says "path:line: …". */
MUST_USE int env_text_parse(struct bytes text, const char *path, bool is_raw,
                            const json_t *environment, json_t *values, struct err *err);

#endif
