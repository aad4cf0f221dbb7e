/* eviction.h - which pod has to go when the node runs out of memory or disk. Pure.
 *
 * Kubernetes "Node-pressure Eviction": first who uses more than was requested, then the lower
 * priority, then who is furthest above the request. */
#ifndef ORCHESTRATOR_AGENT_EVICTION_H
#define ORCHESTRATOR_AGENT_EVICTION_H

#include "orchestrator/agent/pod_record.h"

struct eviction_candidate {
    struct pod_record *record;
    int64_t used_bytes; /* memory */
};

/* NULL: none may go (static pods and those of the system's priority stay, and who goes already). */
struct pod_record *eviction_choose(const struct eviction_candidate *candidates, size_t count);

#endif
