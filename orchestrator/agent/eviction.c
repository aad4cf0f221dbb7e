#include "orchestrator/agent/eviction.h"

#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/tree.h"

enum { PRIORITY_CRITICAL = 2000000000 }; /* system-cluster-critical */

static int64_t requested_bytes(const struct pod_record *record)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < record->unit_count; i++) {
        const struct unit *unit = &record->units[i];
        if (unit->type == UNIT_MAIN || unit->is_sidecar) {
            bytes += quantity_to_units(
                quantity_in(tree_find(unit->spec, "resources.requests"), "memory"));
        }
    }
    return bytes;
}

static bool may_go(const struct pod_record *record)
{
    return !record->is_static && !record->is_cleaned && !pod_record_is_ending(record) &&
           !pod_record_is_finished(record) &&
           tree_int(record->pod, "spec.priority", 0) < PRIORITY_CRITICAL;
}

/* True when a has to go before b. */
static bool is_before(const struct eviction_candidate *a, const struct eviction_candidate *b)
{
    int64_t over_a = a->used_bytes - requested_bytes(a->record);
    int64_t over_b = b->used_bytes - requested_bytes(b->record);
    int64_t priority_a = tree_int(a->record->pod, "spec.priority", 0);
    int64_t priority_b = tree_int(b->record->pod, "spec.priority", 0);
    if ((over_a > 0) != (over_b > 0)) {
        return over_a > 0;
    }
    return priority_a != priority_b ? priority_a < priority_b : over_a > over_b;
}

struct pod_record *eviction_choose(const struct eviction_candidate *candidates, size_t count)
{
    const struct eviction_candidate *chosen = NULL;
    for (size_t i = 0; i < count; i++) {
        if (may_go(candidates[i].record) && (chosen == NULL || is_before(&candidates[i], chosen))) {
            chosen = &candidates[i];
        }
    }
    return chosen == NULL ? NULL : chosen->record;
}
