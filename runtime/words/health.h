/* health.h - the health of a container: Config.Healthcheck, run by its monitor.
 *
 * Source: image-spec config.md and Docker's HEALTHCHECK. The first probe runs at once, and probes
 * come quickly until one succeeds; failures count as if they came every `interval` after
 * `start period`, so that nothing is unhealthy earlier than with Docker. */
#ifndef RUNTIME_WORDS_HEALTH_H
#define RUNTIME_WORDS_HEALTH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "runtime/words/container.h"

enum { HEALTH_TEXT_SIZE = 16, HEALTH_OUTPUT_MAX = 4096 };

/* True when the container has a health check. */
bool health_is_wanted(const struct container *container);
/* A process that probes until the caller's process ends or kills it; -1 when there is none. */
pid_t health_spawn(const struct container *container);
void health_stop(pid_t pid);
/* "starting", "healthy", "unhealthy", or "" without a check. out: HEALTH_TEXT_SIZE. */
void health_read(const struct container *container, char *out);
/* Status, FailingStreak and Log as docker inspect shows them; NULL without a check. */
json_t *health_describe(const struct container *container);

/* ---- the rules; pure ---- */

struct health_rules {
    int64_t interval_ms, timeout_ms, start_period_ms, start_interval_ms; /* 0: by default */
    int retries;
};
struct health_state {
    enum { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY } status;
    int streak;              /* failures that count */
    int64_t last_counted_ms; /* when the last of them was */
    int probes;
};
struct health_rules health_rules_read(const json_t *check);
/* After a probe at now_ms (since the start): the new state. Returns how long to wait for the next
 * one. */
int64_t health_advance(const struct health_rules *rules, struct health_state *state, int64_t now_ms,
                       bool is_good);

#endif
