/* controllers.h - the controllers, one file each. */
#ifndef ORCHESTRATOR_CONTROLLERS_CONTROLLERS_H
#define ORCHESTRATOR_CONTROLLERS_CONTROLLERS_H

#include "orchestrator/controllers/controller.h"

extern const struct controller controller_bootstrap;
extern const struct controller controller_claim_protection;
extern const struct controller controller_cron_job;
extern const struct controller controller_daemon_set;
extern const struct controller controller_definition;
extern const struct controller controller_deployment;
extern const struct controller controller_autoscaler;
extern const struct controller controller_volume_binder;
extern const struct controller controller_disruption;
extern const struct controller controller_endpoint_slice;
extern const struct controller controller_event_ttl;
extern const struct controller controller_garbage;
extern const struct controller controller_job;
extern const struct controller controller_namespace;
extern const struct controller controller_node;
extern const struct controller controller_node_range;
extern const struct controller controller_pod_gc;
extern const struct controller controller_quota;
extern const struct controller controller_replica_set;
extern const struct controller controller_replication;
extern const struct controller controller_service_account;
extern const struct controller controller_stateful_set;

#endif
