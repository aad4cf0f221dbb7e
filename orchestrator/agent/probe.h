/* probe.h - when a probe is due and what its results mean. Pure; prober.h makes them.
 *
 * Kubernetes API, Probe v1: initialDelaySeconds, periodSeconds, timeoutSeconds, successThreshold,
 * failureThreshold. */
#ifndef ORCHESTRATOR_AGENT_PROBE_H
#define ORCHESTRATOR_AGENT_PROBE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum probe_type { PROBE_STARTUP = 0, PROBE_LIVENESS, PROBE_READINESS, PROBE_TYPES };

enum probe_verdict { PROBE_UNKNOWN = 0, PROBE_PASSED, PROBE_FAILED };

struct probe {
    int64_t due_ms;             /* 0: not planned yet */
    int successes;              /* in a row */
    int failures;               /* in a row */
    enum probe_verdict verdict; /* by its thresholds */
    bool is_running;
};

/* "startupProbe", … */
const char *probe_field(enum probe_type type);

/* A container started at this time: everything begins anew. */
void probe_reset(struct probe *probe);
/* When it has to run next, and INT64_MAX while it runs. */
int64_t probe_due(struct probe *probe, const json_t *spec, int64_t started_ms);
/* It was run; true when the verdict is new, or a failed probe failed once more. */
bool probe_result(struct probe *probe, const json_t *spec, bool is_success, int64_t now_ms);

#endif
