/* log_filter.h - from lines of a container's log file to what `kubectl logs` shows. Pure.
 *
 * Lines are those of the CRI: "2026-01-02T03:04:05.123456789Z stdout F text"; P is a part of one.
 */
#ifndef ORCHESTRATOR_AGENT_LOG_FILTER_H
#define ORCHESTRATOR_AGENT_LOG_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct log_filter {
    int64_t since_ms;   /* since 1970; 0: all */
    int64_t bytes_left; /* INT64_MAX: no limit */
    bool has_timestamps;
    bool is_within_line; /* the last one was a part */
};

/* line is without its newline. What cannot be read is left out. */
void log_filter_line(struct log_filter *filter, struct bytes line, struct buf *out);
/* Where the last count lines begin in text that ends with a newline; whole lines are counted, and
 * the parts of a line belong together. *ret_missing: how many more there would have to be. */
size_t log_tail_offset(struct bytes text, int64_t count, int64_t *ret_missing);

#endif
