#include "orchestrator/agent/probe.h"

#include "orchestrator/objects/tree.h"

enum { PERIOD_S = 10, FAILURES = 3 };

const char *probe_field(enum probe_type type)
{
    static const char *const fields[] = {"startupProbe", "livenessProbe", "readinessProbe"};
    return fields[type];
}

void probe_reset(struct probe *probe)
{
    *probe = (struct probe){.due_ms = 0, .is_running = probe->is_running};
}

int64_t probe_due(struct probe *probe, const json_t *spec, int64_t started_ms)
{
    if (probe->is_running) {
        return INT64_MAX;
    }
    if (probe->due_ms == 0) {
        probe->due_ms = started_ms + tree_int(spec, "initialDelaySeconds", 0) * 1000;
    }
    return probe->due_ms;
}

bool probe_result(struct probe *probe, const json_t *spec, bool is_success, int64_t now_ms)
{
    int64_t period_s = tree_int(spec, "periodSeconds", PERIOD_S);
    enum probe_verdict before = probe->verdict;
    probe->is_running = false;
    probe->due_ms = now_ms + (period_s < 1 ? 1 : period_s) * 1000;
    if (is_success) {
        probe->failures = 0;
        if (++probe->successes >= tree_int(spec, "successThreshold", 1)) {
            probe->verdict = PROBE_PASSED;
        }
        return probe->verdict != before;
    }
    probe->successes = 0;
    if (++probe->failures >= tree_int(spec, "failureThreshold", FAILURES)) {
        probe->verdict = PROBE_FAILED;
        return true;
    }
    return false;
}
