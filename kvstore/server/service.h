/* service.h - the etcd services on a client listener: gRPC calls in, core calls out.
 *
 * Unary methods and RangeStream go through one path (service.c); Watch, LeaseKeepAlive, Snapshot
 * and Defragment have files of their own. */
#ifndef KVSTORE_SERVER_SERVICE_H
#define KVSTORE_SERVER_SERVICE_H

#include "kvstore/server/auth_service.h"
#include "kvstore/server/core.h"
#include "proto/grpc_server.h"

/* The context of the gRPC server. */
struct service {
    struct core *core;
    struct metrics *metrics;
    bool is_stopping;
    struct list watch_streams; /* struct watch_call */
    struct list keep_alives;
    struct list snapshots;
    struct timers *timers;
    struct list parked; /* reads whose client does not take its answers; asked again later */
    struct timer parked_timer;
    struct auth_service auth;
    uint64_t slow_request_ms;          /* --warning-unary-request-duration */
    struct service_counters *counters; /* of each method, in the order of service_methods */
};

enum service_method {
    SERVICE_WATCH = 1000, /* below: enum node_method */
    SERVICE_LEASE_KEEP_ALIVE,
    SERVICE_SNAPSHOT,
    SERVICE_DEFRAGMENT,
    SERVICE_HEALTH_CHECK,
    SERVICE_HEALTH_WATCH,
    SERVICE_AUTHENTICATE,
    SERVICE_USER_ADD,
    SERVICE_USER_CHANGE_PASSWORD,
    SERVICE_LOCK,
    SERVICE_UNLOCK,
    SERVICE_CAMPAIGN,
    SERVICE_PROCLAIM,
    SERVICE_LEADER,
    SERVICE_RESIGN,
    SERVICE_OBSERVE
};

void service_init(struct service *service, struct core *core, struct metrics *metrics,
                  struct timers *timers, const struct config *config);
void service_deinit(struct service *service);
/* The core has lost its leader, or has one again: streams that asked for one end with an error. */
void service_on_leader(struct service *service, bool has_leader);
/* Every watch stream ends with this error. */
void service_close_watches(struct service *service, enum etcd_error error);

extern const struct grpc_handler service_handler;
extern const struct grpc_method service_methods[];
extern const size_t service_method_count;

/* service_metrics.c: grpc_server_* of each method, 0 from the start. The sending and finishing of
 * every call goes through here. */
struct service_counters *service_counters_new(struct metrics *metrics, bool is_extensive);
void service_count_start(struct grpc_call *call);
void service_count_received(struct grpc_call *call, size_t size);
void service_count_end(struct grpc_call *call, enum grpc_status status);
void service_send(struct grpc_call *call, struct bytes message);
void service_finish(struct grpc_call *call, enum grpc_status status, const char *text);

/* For what gets an id: random, 1..INT64_MAX. */
uint64_t service_fresh_id(void);

/* Finish a call with an etcd error. */
void service_fail(struct grpc_call *call, enum etcd_error error);
/* True if the client's "hasleader" metadata is not met; the call is finished then. */
bool service_lacks_leader(struct grpc_call *call);

/* watch_service.c */
void watch_service_start(struct grpc_call *call);
void watch_service_message(struct grpc_call *call, struct bytes message);
void watch_service_half_close(struct grpc_call *call);
void watch_service_cancel(struct grpc_call *call);
void watch_service_writable(struct grpc_call *call);
void watch_service_ready(void *stream); /* the hub's context: struct watch_target */

/* lease_service.c */
void lease_service_start(struct grpc_call *call);
void lease_service_message(struct grpc_call *call, struct bytes message);
void lease_service_half_close(struct grpc_call *call);
void lease_service_cancel(struct grpc_call *call);

/* maintenance_service.c */
void maintenance_service_snapshot(struct grpc_call *call);
void maintenance_service_snapshot_writable(struct grpc_call *call);
void maintenance_service_snapshot_cancel(struct grpc_call *call);
void maintenance_service_defragment(struct grpc_call *call);

#endif
