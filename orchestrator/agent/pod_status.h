/* pod_status.h - what the API is told about a pod. Pure. */
#ifndef ORCHESTRATOR_AGENT_POD_STATUS_H
#define ORCHESTRATOR_AGENT_POD_STATUS_H

#include "orchestrator/agent/pod_record.h"

/* Started and ready follow from the state, the hook and the probes. */
void unit_refresh(struct unit *unit);

/* The whole status; new. What others wrote there (conditions of other types, qosClass) stays. */
json_t *pod_status_make(const struct pod_record *record, const char *node_ip, int64_t now_ms);

#endif
