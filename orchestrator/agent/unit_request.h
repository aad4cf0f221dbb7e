/* unit_request.h - what kvpod is asked for to make a container. Pure. */
#ifndef ORCHESTRATOR_AGENT_UNIT_REQUEST_H
#define ORCHESTRATOR_AGENT_UNIT_REQUEST_H

#include "orchestrator/agent/pod_env.h"

struct unit_places {
    const char *pod_directory;
    const char *directory; /* of this attempt */
    const char *cgroup;    /* of the pod */
    const char *id;
    const char *pid_path;    /* of a shared process namespace; "" for none */
    int64_t memory_capacity; /* of the node, bytes: for oom_score_adj */
};

/* The request of container-create; new. ERR_INVALID: the pod cannot be run so. */
MUST_USE int unit_request_make(const struct pod_record *record, const struct unit *unit,
                               const json_t *env, const struct unit_places *places, json_t **ret,
                               struct err *err);

/* "guaranteed", "burstable" or "besteffort" below parent, and the pod; the caller frees. */
char *pod_cgroup(const struct pod_record *record, const char *parent);
/* The cgroup of the class alone; the caller frees. */
char *pod_cgroup_class(const struct pod_record *record, const char *parent);
/* The name that the pod's processes see. */
const char *pod_hostname(const struct pod_record *record);
/* A field of the container's security context, or else of the pod's. Borrowed; may be NULL. */
const json_t *unit_security(const struct pod_record *record, const struct unit *unit,
                            const char *field);

#endif
