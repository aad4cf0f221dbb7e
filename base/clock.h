/* clock.h - the real clocks. Only programs and their loops read them: a pure core is told the time.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_ns(void); /* CLOCK_MONOTONIC */
uint64_t clock_monotonic_ms(void);
uint64_t clock_boottime_ms(void); /* goes on while the machine is suspended */
int64_t clock_realtime_ms(void);  /* since 1970-01-01 UTC */

#endif
