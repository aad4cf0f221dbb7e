/* shell_words.h - "a 'b c' \"d\"" split into words as a shell would, without running one. Pure. */
#ifndef RUNTIME_COMPOSE_SHELL_WORDS_H
#define RUNTIME_COMPOSE_SHELL_WORDS_H

#include <jansson.h>

#include "base/err.h"

/* A list of texts; ERR_MALFORMED when a quote has no end. */
MUST_USE int shell_words_split(const char *text, json_t **ret, struct err *err);

#endif
