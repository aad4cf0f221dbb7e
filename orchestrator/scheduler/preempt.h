/* preempt.h - which pods of lower priority have to go, so that a pod fits (kubernetes-api 3.1).
 * Pure. */
#ifndef ORCHESTRATOR_SCHEDULER_PREEMPT_H
#define ORCHESTRATOR_SCHEDULER_PREEMPT_H

#include "orchestrator/scheduler/pod_query.h"
#include "orchestrator/scheduler/scheduler.h"

/* Sets nominated and victims of ret where it helps; query is the same after as before. */
void preempt(struct pod_query *query, const struct node_table *table, const struct cache *cache,
             struct decision *ret);

#endif
