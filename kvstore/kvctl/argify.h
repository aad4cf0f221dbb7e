/* argify.h - a line of an interactive command as words: "double quoted" with Go's escapes, 'single
 * quoted' as it is, and plain words up to the next space (quotes inside them are part of them). */
#ifndef KVSTORE_KVCTL_ARGIFY_H
#define KVSTORE_KVCTL_ARGIFY_H

#include "base/arena.h"
#include "base/err.h"

/* Words and the array live in arena. ERR_INVALID: a bad escape in a quoted word. */
MUST_USE int argify(const char *line, struct arena *arena, const char *const **ret_words,
                    int *ret_count, struct err *err);

#endif
