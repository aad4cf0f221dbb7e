/* pod_step.h - what a pod needs next. Pure and level-triggered: the same record gives the same
 * steps, whatever happened before; the driver does them and calls again. */
#ifndef ORCHESTRATOR_AGENT_POD_STEP_H
#define ORCHESTRATOR_AGENT_POD_STEP_H

#include "orchestrator/agent/pod_record.h"

enum step_type {
    STEP_MAKE_VOLUMES = 1,
    STEP_MAKE_SANDBOX,
    STEP_START,  /* unit: image, configuration, process */
    STEP_STOP,   /* unit: hook, signal; at least grace_ms until it is killed */
    STEP_KILL,   /* unit: now */
    STEP_CLEAN,  /* processes, namespaces, cgroups, mounts */
    STEP_REMOVE, /* and files */
    STEP_FORGET, /* the API may forget it, and the driver */
};

struct step {
    enum step_type type;
    struct unit *unit;
    int64_t grace_ms;
    const char *reason; /* of a stop, for the event; may be NULL */
};

enum { STEPS_MAX = 64 };

struct steps {
    struct step items[STEPS_MAX];
    size_t count;
    int64_t again_ms; /* look again then; INT64_MAX: when something changes */
};

void pod_step(struct pod_record *record, int64_t now_ms, struct steps *out);

#endif
