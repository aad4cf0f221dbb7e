/* scheduler.h - which node a pod goes to (kubernetes-api 3.1). Pure: a table of nodes in, a
 * decision out; scheduler/loop.h feeds it and binds. */
#ifndef ORCHESTRATOR_SCHEDULER_SCHEDULER_H
#define ORCHESTRATOR_SCHEDULER_SCHEDULER_H

#include "base/prng.h"
#include "orchestrator/cache/cache.h"
#include "orchestrator/scheduler/node_info.h"

enum { SCHEDULER_REASONS_MAX = 32, SCHEDULER_MESSAGE_SIZE = 1024 };

struct decision {
    const char *node;                     /* borrowed from the table; NULL: none fits */
    char message[SCHEDULER_MESSAGE_SIZE]; /* why none fits, as Kubernetes words it */
    /* When pods of lower priority have to go first: where, and who (list of references). */
    const char *nominated;
    json_t *victims; /* owned; NULL for none */
};

void decision_deinit(struct decision *decision);
static inline void cleanup_decision(struct decision *decision)
{
    decision_deinit(decision);
}

/* cache is looked at for claims, volumes and namespaces only. */
void schedule(const struct node_table *table, const struct cache *cache, const json_t *pod,
              struct prng *prng, struct decision *ret);

#endif
