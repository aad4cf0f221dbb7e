/* interpolate.h - variables in the values of Compose files. Pure.
 *
 * Source: compose-spec 12-interpolation.md: $V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+r} ${V+r},
 * nested, $$ for a dollar. */
#ifndef RUNTIME_COMPOSE_INTERPOLATE_H
#define RUNTIME_COMPOSE_INTERPOLATE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/compose/places.h"

enum { INTERPOLATE_DEPTH_MAX = 20, INTERPOLATE_SIZE_MAX = 1 << 20 };

/* Append text with its variables replaced. environment: an object of texts. unset: names that have
 * no value and no default are added as keys (may be NULL). ERR_MALFORMED without a place. */
MUST_USE int interpolate_text(const char *text, const json_t *environment, json_t *unset,
                              struct buf *out, struct err *err);

/* All texts of a tree, in place; keys stay. Errors name the place. */
MUST_USE int interpolate_tree(json_t *tree, const json_t *environment, json_t *unset,
                              struct places *places, struct err *err);

#endif
