#include "base/clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now); /* cannot fail for these clocks */
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_monotonic_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000U;
}

uint64_t clock_boottime_ms(void)
{
    return read_ns(CLOCK_BOOTTIME) / 1000000U;
}

int64_t clock_realtime_ms(void)
{
    return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000U);
}
