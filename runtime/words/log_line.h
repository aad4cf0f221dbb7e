/* log_line.h - one line of a container's log, "TIME STREAM TAG TEXT" (CRI). Pure. */
#ifndef RUNTIME_WORDS_LOG_LINE_H
#define RUNTIME_WORDS_LOG_LINE_H

#include <stdbool.h>

#include "base/bytes.h"

struct log_line {
    struct bytes time; /* RFC 3339 with nanoseconds, UTC: comparable as text */
    bool is_error;     /* stderr */
    bool is_partial;   /* the line goes on in the next one */
    struct bytes text; /* without the newline */
};

/* line is without its newline. False when it is not such a line. */
bool log_line_parse(struct bytes line, struct log_line *ret);

#endif
