/* pull_secret.h - logins for registries from imagePullSecrets. Pure. */
#ifndef ORCHESTRATOR_AGENT_PULL_SECRET_H
#define ORCHESTRATOR_AGENT_PULL_SECRET_H

#include "orchestrator/agent/pod_env.h"

/* A Docker config.json with the logins of all secrets that are there; new; NULL for none. */
json_t *pull_secret_config(const struct pod_record *record, const struct pod_surroundings *around);

#endif
