#include "proto/service_watchdog.h"

#include "base/list.h"
#include "base/service_notify.h"

static void fired(struct timer *timer)
{
    struct service_watchdog *watchdog = container_of(timer, struct service_watchdog, timer);
    if (watchdog->is_healthy == NULL ||
        watchdog->is_healthy(watchdog->context, watchdog->interval_ms)) {
        service_notify("WATCHDOG=1");
    }
    timers_set(watchdog->timers, timer, watchdog->timers->now_ms + watchdog->interval_ms);
}

void service_watchdog_start(struct service_watchdog *watchdog, struct timers *timers,
                            bool (*is_healthy)(void *context, uint64_t patience_ms), void *context)
{
    uint64_t wait_ms = service_watchdog_ms();
    *watchdog = (struct service_watchdog){
        .timers = timers,
        .interval_ms = wait_ms / 2,
        .is_healthy = is_healthy,
        .context = context,
    };
    timer_init(&watchdog->timer, fired);
    if (watchdog->interval_ms > 0) {
        timers_set(timers, &watchdog->timer, timers->now_ms); /* at once: READY may be far */
    }
}

void service_watchdog_stop(struct service_watchdog *watchdog)
{
    if (watchdog->timers != NULL) {
        timers_clear(watchdog->timers, &watchdog->timer);
    }
}
