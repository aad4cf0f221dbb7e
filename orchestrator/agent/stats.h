/* stats.h - what the node and its pods use, measured now and then through the shims. */
#ifndef ORCHESTRATOR_AGENT_STATS_H
#define ORCHESTRATOR_AGENT_STATS_H

#include "orchestrator/agent/pods.h"
#include "proto/wire_loop.h"

struct stats;

enum { STATS_PERIOD_MS = 10 * 1000 };

/* Borrowed. */
struct stats *stats_new(struct wire_loop *wire, struct pods *pods, const char *node_name);
/* {"name","timestamp","window","node":{"cpuNano","memoryBytes"},"pods":[…]}; new. Containers appear
 * when they were measured twice. */
json_t *stats_report(void *stats);
/* The last measured memory of a pod, bytes; 0: not measured. */
int64_t stats_pod_memory(const struct stats *stats, const struct pod_record *record);

#endif
