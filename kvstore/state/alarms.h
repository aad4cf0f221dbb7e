/* alarms.h - the replicated set of raised alarms: a few pairs of member and kind. */
#ifndef KVSTORE_STATE_ALARMS_H
#define KVSTORE_STATE_ALARMS_H

#include <stdbool.h>
#include <stdint.h>

#include "kvstore/state/kv.h"

enum { ALARMS_MAX = 64 };

/* Sorted by kind, then member. */
struct alarms {
    struct kv_alarm_member alarm[ALARMS_MAX];
    uint32_t count;
};

/* False: the set is full (more members than a cluster can have). Raising twice is fine. */
bool alarms_raise(struct alarms *alarms, struct kv_alarm_member alarm);
bool alarms_clear(struct alarms *alarms, struct kv_alarm_member alarm); /* false: was not raised */
bool alarms_has(const struct alarms *alarms, struct kv_alarm_member alarm);
bool alarms_any(const struct alarms *alarms, enum kv_alarm kind);

#endif
