/* loop.h - the scheduler at work: a queue of pods without a node, a decision for each, and its
 * binding. */
#ifndef ORCHESTRATOR_SCHEDULER_LOOP_H
#define ORCHESTRATOR_SCHEDULER_LOOP_H

#include "orchestrator/registry/registry.h"
#include "proto/timers.h"

struct scheduler_loop;

/* Both are borrowed. Off at first. */
struct scheduler_loop *scheduler_loop_new(struct registry *registry, struct timers *timers,
                                          uint64_t seed);
void scheduler_loop_free(struct scheduler_loop *loop); /* the registry is freed before */
void scheduler_loop_set_active(struct scheduler_loop *loop, bool is_active);

#endif
