/* memory_keeper.h - gives memory that a burst left free back to the system.
 *
 * The C library keeps what was freed for the next burst, which may never come. */
#ifndef KVSTORE_SERVER_MEMORY_KEEPER_H
#define KVSTORE_SERVER_MEMORY_KEEPER_H

#include <stdint.h>

#include "proto/timers.h"

struct memory_keeper {
    struct timers *timers;
    struct timer timer;
    int64_t kept_bytes; /* in memory and not in use, after the last look */
};

/* Once at start, before threads exist: large blocks go back to the system as soon as they are free.
 */
void memory_keeper_set_up(void);
void memory_keeper_start(struct memory_keeper *keeper, struct timers *timers);
void memory_keeper_stop(struct memory_keeper *keeper); /* never started is fine */

#endif
