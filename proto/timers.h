/* timers.h - deadlines in a heap. Pure: whoever runs the loop says what time it is. */
#ifndef PROTO_TIMERS_H
#define PROTO_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"

struct timer;
typedef void timer_fired(struct timer *timer);

/* Embed it. */
struct timer {
    struct heap_node node;
    uint64_t deadline_ms;
    uint64_t order; /* equal deadlines fire in the order they were set */
    timer_fired *fired;
};

struct timers {
    struct heap heap;
    uint64_t now_ms; /* set by timers_advance; monotonic */
    uint64_t order;
};

void timers_init(struct timers *timers, uint64_t now_ms);
void timers_deinit(struct timers *timers);

void timer_init(struct timer *timer, timer_fired *fired);
void timers_set(struct timers *timers, struct timer *timer, uint64_t deadline_ms);
void timers_clear(struct timers *timers, struct timer *timer); /* not set is fine */
bool timer_is_set(const struct timer *timer);

/* The clock moves to now_ms and what is due fires. A timer may set or clear any timer. */
void timers_advance(struct timers *timers, uint64_t now_ms);
/* UINT64_MAX: none is set. */
uint64_t timers_deadline_ms(const struct timers *timers);

#endif
