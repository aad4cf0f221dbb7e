/* timestamp.h - times and durations as the API writes them. Times are milliseconds since
 * 1970-01-01 UTC. */
#ifndef ORCHESTRATOR_OBJECTS_TIMESTAMP_H
#define ORCHESTRATOR_OBJECTS_TIMESTAMP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { TIMESTAMP_SIZE = 32, DURATION_TEXT_SIZE = 64 };

struct civil_time {
    int64_t year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
    int hour;
    int minute;
    int second;
    int weekday; /* 0 is Sunday */
};

struct civil_time civil_from_seconds(int64_t seconds);
int64_t civil_to_seconds(const struct civil_time *civil); /* weekday is ignored */

/* RFC 3339 in UTC with whole seconds: 2026-11-23T18:55:25Z; returns text. */
const char *timestamp_format(int64_t time_ms, char text[TIMESTAMP_SIZE]);
/* With six digits of the second, as MicroTime. */
const char *timestamp_format_micro(int64_t time_ms, char text[TIMESTAMP_SIZE]);
/* RFC 3339 with any offset and fraction. ERR_MALFORMED. */
MUST_USE int timestamp_parse(const char *text, int64_t *ret_time_ms);
/* The time at a path of an object; fallback when absent or malformed. */
int64_t timestamp_at(const json_t *object, const char *path, int64_t fallback_ms);

/* Short for people, as kubectl shows ages: 5s, 3m2s, 47h, 12d. */
const char *duration_format_short(int64_t duration_ms, char text[DURATION_TEXT_SIZE]);
/* Go's duration: "1h2m3.5s", "100ms". ERR_MALFORMED. */
MUST_USE int duration_parse(const char *text, int64_t *ret_duration_ms);

#endif
