#include "proto/timers.h"

#include "base/check.h"
#include "base/list.h"

static bool is_earlier(const struct heap_node *a, const struct heap_node *b)
{
    const struct timer *x = container_of(a, struct timer, node);
    const struct timer *y = container_of(b, struct timer, node);
    if (x->deadline_ms != y->deadline_ms) {
        return x->deadline_ms < y->deadline_ms;
    }
    return x->order < y->order;
}

void timers_init(struct timers *timers, uint64_t now_ms)
{
    *timers = (struct timers){.now_ms = now_ms};
    heap_init(&timers->heap, is_earlier);
}

void timers_deinit(struct timers *timers)
{
    heap_deinit(&timers->heap);
}

void timer_init(struct timer *timer, timer_fired *fired)
{
    *timer = (struct timer){.fired = fired};
    heap_node_init(&timer->node);
}

void timers_set(struct timers *timers, struct timer *timer, uint64_t deadline_ms)
{
    timers_clear(timers, timer);
    timer->deadline_ms = deadline_ms;
    timer->order = timers->order++;
    heap_insert(&timers->heap, &timer->node);
}

void timers_clear(struct timers *timers, struct timer *timer)
{
    heap_remove(&timers->heap, &timer->node);
}

bool timer_is_set(const struct timer *timer)
{
    return heap_contains(&timer->node);
}

void timers_advance(struct timers *timers, uint64_t now_ms)
{
    CHECK(now_ms >= timers->now_ms);
    timers->now_ms = now_ms;
    /* A timer that sets itself for now fires at the next advance, not in this loop. */
    uint64_t order_end = timers->order;
    for (;;) {
        struct heap_node *node = heap_peek(&timers->heap);
        struct timer *timer = node == NULL ? NULL : container_of(node, struct timer, node);
        if (timer == NULL || timer->deadline_ms > now_ms || timer->order >= order_end) {
            return;
        }
        (void)heap_pop(&timers->heap);
        timer->fired(timer);
    }
}

uint64_t timers_deadline_ms(const struct timers *timers)
{
    struct heap_node *node = heap_peek(&timers->heap);
    return node == NULL ? UINT64_MAX : container_of(node, struct timer, node)->deadline_ms;
}
