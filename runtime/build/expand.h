/* expand.h - variables and words of Dockerfile instructions. Pure. */
#ifndef RUNTIME_BUILD_EXPAND_H
#define RUNTIME_BUILD_EXPAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

/* The value of a variable, or NULL. */
typedef const char *expand_lookup(void *context, const char *name, size_t size);

struct expand {
    expand_lookup *lookup;
    void *context;
    char escape;
    struct arena *arena; /* results */
};

/* $v ${v} ${v:-w} ${v-w} ${v:+w} ${v+w}; quotes are removed, in single quotes nothing is expanded.
 * ERR_MALFORMED. */
MUST_USE int expand_text(const struct expand *expand, const char *text, const char **ret,
                         struct err *err);
/* As expand_text without removing quotes: heredoc bodies. */
MUST_USE int expand_body(const struct expand *expand, const char *text, const char **ret,
                         struct err *err);
/* Split at white space outside of quotes, then expand each word. At most words_max. */
MUST_USE int expand_words(const struct expand *expand, const char *text, const char **words,
                          uint32_t words_max, uint32_t *ret_count, struct err *err);

#endif
