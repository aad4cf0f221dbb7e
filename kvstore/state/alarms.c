#include "kvstore/state/alarms.h"

#include <string.h>

static bool goes_before(struct kv_alarm_member a, struct kv_alarm_member b)
{
    return a.alarm != b.alarm ? a.alarm < b.alarm : a.member_id < b.member_id;
}

static uint32_t position_of(const struct alarms *alarms, struct kv_alarm_member alarm)
{
    uint32_t at = 0;
    while (at < alarms->count && goes_before(alarms->alarm[at], alarm)) {
        at += 1;
    }
    return at;
}

static bool is_at(const struct alarms *alarms, uint32_t at, struct kv_alarm_member alarm)
{
    return at < alarms->count && !goes_before(alarm, alarms->alarm[at]);
}

bool alarms_raise(struct alarms *alarms, struct kv_alarm_member alarm)
{
    uint32_t at = position_of(alarms, alarm);
    if (is_at(alarms, at, alarm)) {
        return true;
    }
    if (alarms->count == ALARMS_MAX) {
        return false;
    }
    memmove(alarms->alarm + at + 1, alarms->alarm + at,
            (alarms->count - at) * sizeof alarms->alarm[0]);
    alarms->alarm[at] = alarm;
    alarms->count += 1;
    return true;
}

bool alarms_clear(struct alarms *alarms, struct kv_alarm_member alarm)
{
    uint32_t at = position_of(alarms, alarm);
    if (!is_at(alarms, at, alarm)) {
        return false;
    }
    alarms->count -= 1;
    memmove(alarms->alarm + at, alarms->alarm + at + 1,
            (alarms->count - at) * sizeof alarms->alarm[0]);
    return true;
}

bool alarms_has(const struct alarms *alarms, struct kv_alarm_member alarm)
{
    return is_at(alarms, position_of(alarms, alarm), alarm);
}

bool alarms_any(const struct alarms *alarms, enum kv_alarm kind)
{
    for (uint32_t i = 0; i < alarms->count; i++) {
        if (alarms->alarm[i].alarm == kind) {
            return true;
        }
    }
    return false;
}
