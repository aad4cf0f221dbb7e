/* cron.h - schedules of five fields: minute, hour, day of month, month, day of week. Pure. */
#ifndef ORCHESTRATOR_CONTROLLERS_CRON_H
#define ORCHESTRATOR_CONTROLLERS_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct cron {
    uint64_t minutes; /* a bit each */
    uint64_t hours;
    uint64_t days;
    uint64_t months;
    uint64_t weekdays;
    bool any_day; /* the field was a star: the other one decides alone */
    bool any_weekday;
};

/* "*", lists, ranges, steps, names of months and days, and @hourly, @daily, @weekly, @monthly,
 * @yearly. ERR_MALFORMED. */
MUST_USE int cron_parse(const char *text, struct cron *ret);
/* The first time after seconds (since 1970, UTC) in the next five years; -1: none. */
int64_t cron_next(const struct cron *cron, int64_t seconds);

#endif
