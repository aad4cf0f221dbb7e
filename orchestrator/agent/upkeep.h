/* upkeep.h - keeps the node usable: looks at memory and disk, removes images that nobody uses, and
 * evicts pods when that does not help. */
#ifndef ORCHESTRATOR_AGENT_UPKEEP_H
#define ORCHESTRATOR_AGENT_UPKEEP_H

#include "orchestrator/agent/node.h"
#include "orchestrator/agent/pods.h"
#include "orchestrator/agent/program.h"
#include "orchestrator/agent/stats.h"

/* Borrowed. */
struct upkeep_options {
    struct wire_loop *wire;
    struct node *node;
    struct pods *pods;
    struct stats *stats;
    struct programs *programs;
    const char *image_store;
    int64_t memory_min_bytes; /* less available memory is pressure */
    int64_t disk_min_percent; /* less free space of the store's disk is pressure */
};

struct upkeep;

struct upkeep *upkeep_new(const struct upkeep_options *options);

#endif
