#include "kvstore/server/auto_compaction.h"

#include <string.h>

#include "base/mem.h"

static void note(struct auto_compaction *compaction, int64_t revision)
{
    if (compaction->seen_max == 0) {
        return;
    }
    if (compaction->seen_count == compaction->seen_max) {
        compaction->seen_count -= 1;
        memmove(compaction->seen, compaction->seen + 1,
                compaction->seen_count * sizeof compaction->seen[0]);
    }
    compaction->seen[compaction->seen_count++] = revision;
}

void auto_compaction_init(struct auto_compaction *compaction, uint64_t period_ms,
                          int64_t kept_revisions, uint64_t now_ms, int64_t revision)
{
    *compaction = (struct auto_compaction){
        .period_ms = period_ms, .kept_revisions = kept_revisions, .last_success_ms = now_ms};
    if (period_ms != 0) {
        uint64_t interval = period_ms < AUTO_COMPACTION_PERIOD_MAX_MS
                                ? period_ms
                                : (uint64_t)AUTO_COMPACTION_PERIOD_MAX_MS;
        uint64_t look = interval / AUTO_COMPACTION_LOOKS;
        compaction->look_interval_ms = look == 0 ? 1 : look;
        compaction->wait_ms = period_ms;
        compaction->seen_max = (uint32_t)(period_ms / compaction->look_interval_ms);
        compaction->seen = mem_calloc(compaction->seen_max, sizeof compaction->seen[0]);
        note(compaction, revision);
    } else if (kept_revisions != 0) {
        compaction->look_interval_ms = AUTO_COMPACTION_REVISION_MS;
    }
}

void auto_compaction_deinit(struct auto_compaction *compaction)
{
    mem_free(compaction->seen);
    compaction->seen = NULL;
}

static int64_t look_by_time(struct auto_compaction *compaction, uint64_t now_ms, bool is_leader)
{
    int64_t target = compaction->seen[0];
    if (!is_leader || now_ms - compaction->last_success_ms < compaction->wait_ms ||
        target == compaction->last_revision) {
        return 0;
    }
    /* The whole period was waited for once. */
    compaction->wait_ms = compaction->look_interval_ms * AUTO_COMPACTION_LOOKS;
    return target;
}

int64_t auto_compaction_look(struct auto_compaction *compaction, uint64_t now_ms, int64_t revision,
                             bool is_leader)
{
    if (compaction->period_ms != 0) {
        int64_t target = look_by_time(compaction, now_ms, is_leader);
        note(compaction, revision);
        return target;
    }
    int64_t target = revision - compaction->kept_revisions;
    bool is_due = is_leader && compaction->kept_revisions != 0 && target > 0 &&
                  target != compaction->last_revision;
    return is_due ? target : 0;
}

void auto_compaction_done(struct auto_compaction *compaction, uint64_t now_ms, int64_t revision)
{
    compaction->last_success_ms = now_ms;
    compaction->last_revision = revision;
}
