/* duration.h - "1m30s" of Compose: numbers with us, ms, s, m, h. Pure. */
#ifndef RUNTIME_COMPOSE_DURATION_H
#define RUNTIME_COMPOSE_DURATION_H

#include <stdint.h>

#include "base/err.h"

/* In nanoseconds; a number alone is seconds. ERR_MALFORMED. */
MUST_USE int duration_parse(const char *text, int64_t *ret_ns);

#endif
