/* upkeep.h - what a member does by itself, without being asked: compaction by --auto-compaction-*,
 * comparing the store's hash with the other members (corruption_check.h). */
#ifndef KVSTORE_SERVER_UPKEEP_H
#define KVSTORE_SERVER_UPKEEP_H

#include "kvstore/server/auto_compaction.h"
#include "kvstore/server/core.h"
#include "kvstore/server/corruption_check.h"
#include "proto/timers.h"

enum { UPKEEP_TICK_MS = 1000 };

struct config;
struct service;

struct upkeep {
    struct core *core;
    struct timers *timers;
    struct metrics *metrics;
    struct auto_compaction compaction;
    struct timer compaction_timer;
    struct core_call compaction_call;
    struct buf compaction_body;
    int64_t compaction_target; /* of the call under way; 0: none */
    struct service *service;
    struct corruption_check corruption;
    struct timer tick_timer;
    bool is_fenced; /* at the last tick */
};

/* The timers run from here on. */
void upkeep_start(struct upkeep *upkeep, struct service *service, struct timers *timers,
                  const struct config *config);
void upkeep_stop(struct upkeep *upkeep); /* before the core is closed; not started is fine */
void upkeep_deinit(struct upkeep *upkeep);

#endif
