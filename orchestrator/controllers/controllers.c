#include "orchestrator/controllers/controllers.h"

const struct controller *const controllers_all[] = {
    &controller_bootstrap,
    &controller_namespace,
    &controller_service_account,
    &controller_garbage,
    &controller_deployment,
    &controller_replica_set,
    &controller_replication,
    &controller_stateful_set,
    &controller_daemon_set,
    &controller_job,
    &controller_cron_job,
    &controller_endpoint_slice,
    &controller_node,
    &controller_disruption,
    &controller_quota,
    &controller_event_ttl,
    &controller_pod_gc,
    &controller_claim_protection,
    NULL,
};
