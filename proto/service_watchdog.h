/* service_watchdog.h - a sign of life to the service manager at half the time it waits, from the
 * loop itself: a loop that hangs is silent, and is restarted. */
#ifndef PROTO_SERVICE_WATCHDOG_H
#define PROTO_SERVICE_WATCHDOG_H

#include <stdbool.h>

#include "proto/timers.h"

struct service_watchdog {
    struct timer timer;
    struct timers *timers;
    uint64_t interval_ms;
    bool (*is_healthy)(void *context, uint64_t patience_ms); /* NULL: the loop runs, so yes */
    void *context;
};

/* Does nothing where no service manager waits. timers is borrowed until the stop. */
void service_watchdog_start(struct service_watchdog *watchdog, struct timers *timers,
                            bool (*is_healthy)(void *context, uint64_t patience_ms), void *context);
void service_watchdog_stop(struct service_watchdog *watchdog); /* zeroed and never started: fine */

#endif
