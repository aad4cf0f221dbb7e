/* upkeep.h - what a member does by itself, without being asked: compaction by --auto-compaction-*,
 * comparing the store's hash with the other members (corruption_check.h). */
#ifndef KVSTORE_SERVER_UPKEEP_H
#define KVSTORE_SERVER_UPKEEP_H

#include "kvstore/server/auto_compaction.h"
#include "kvstore/server/core.h"
#include "proto/timers.h"

struct config;

struct upkeep {
    struct core *core;
    struct timers *timers;
    struct metrics *metrics;
    struct auto_compaction compaction;
    struct timer compaction_timer;
    struct core_call compaction_call;
    struct buf compaction_body;
    int64_t compaction_target; /* of the call under way; 0: none */
};

/* The timers run from here on. */
void upkeep_start(struct upkeep *upkeep, struct core *core, struct timers *timers,
                  struct metrics *metrics, const struct config *config);
void upkeep_stop(struct upkeep *upkeep); /* before the core is closed; not started is fine */
void upkeep_deinit(struct upkeep *upkeep);

#endif
