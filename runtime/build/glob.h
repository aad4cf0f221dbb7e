/* glob.h - the patterns of COPY and of .dockerignore: Go's filepath.Match, and ** for any number of
 * directories. Pure. */
#ifndef RUNTIME_BUILD_GLOB_H
#define RUNTIME_BUILD_GLOB_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"

/* * and ? stop at slashes, [a-z] and [^a-z], \ takes the next character as it is. A pattern that is
 * not well formed matches nothing. */
bool glob_match(const char *pattern, const char *path);
/* True when the pattern has one of the special characters. */
bool glob_is_pattern(const char *text);

struct ignore {
    struct ignore_rule *rules; /* in the arena */
    unsigned count;
};

struct ignore_rule {
    const char *pattern; /* cleaned, without a leading slash */
    bool is_exception;   /* ! */
};

/* The lines of a .dockerignore; comments and empty lines are left out. */
void ignore_parse(struct bytes text, struct arena *arena, struct ignore *ret);
/* The last rule that matches the path or one of its parents decides. path: "a/b", no leading slash.
 */
bool ignore_matches(const struct ignore *ignore, const char *path);

#endif
