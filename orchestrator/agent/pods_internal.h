/* pods_internal.h - for the files of the pod workers: pods.c (table, turns, status), pods_watch.c,
 * pod_prepare.c (volumes, sandbox), pod_start.c (image, configuration, process), pod_run.c (its
 * life and end), pod_check.c (probes and hooks), pod_load.c (after a restart of the agent). */
#ifndef ORCHESTRATOR_AGENT_PODS_INTERNAL_H
#define ORCHESTRATOR_AGENT_PODS_INTERNAL_H

#include "base/list.h"
#include "base/log.h"
#include "orchestrator/agent/objects.h"
#include "orchestrator/agent/pod_env.h"
#include "orchestrator/agent/pod_step.h"
#include "orchestrator/agent/pods.h"
#include "orchestrator/agent/shim_link.h"

enum {
    RETRY_MS_MIN = 500,
    RETRY_MS_MAX = 30 * 1000,
    RETRY_CONFIG_MS = 5000,
    PULL_BACKOFF_MS_MIN = 10 * 1000,
    PULL_BACKOFF_MS_MAX = 300 * 1000,
    REFRESH_MS = 20 * 1000, /* of files whose sources are not watched (tokens) */
};

struct pods {
    struct pods_options options;
    struct objects *objects;
    struct api_watch *watch;
    struct api_watch *services_watch;
    json_t *services;    /* {"namespace/name": Service} */
    json_t *allocatable; /* {"cpu","memory"} of the node */
    struct list works;
    struct list due; /* works whose turn it is */
    struct wire_task turn;
    struct timer static_timer; /* looks at the folder of static pods again */
    bool is_network_ready;
    bool is_listed;
};

/* The worker of a pod. */
struct work {
    struct pods *pods;
    struct pod_record *record;
    struct list link;
    struct list due;
    struct timer timer;
    unsigned references; /* of what is under way */
    bool is_dropped;
    bool is_status_sent; /* a patch is under way */
    bool is_loading;     /* its processes are being looked for */
    bool is_restored;    /* it was there before the agent; the API's pod has not come yet */
    bool wants_refresh;  /* its volumes' sources changed */
    int64_t refresh_ms;
    json_t *tokens; /* {"audience expiry": {"token","due"}} */
    bool is_token_asked;
    json_t *sent;     /* the status under way; NULL: none */
    json_t *accepted; /* the last one that the API took; NULL: none */
    json_t *mirrored; /* the API's copy of a static pod; NULL: none */
};

/* A running process of a unit: unit->process. */
struct process {
    struct work *work;
    size_t index; /* of the unit */
    struct shim_link *link;
    struct timer timer; /* of probes */
    bool is_restored;   /* it ran before the agent */
    bool is_ended;
};

/* Something under way for a unit or a pod (index SIZE_MAX). */
struct job {
    struct work *work;
    size_t index;
};
struct job *job_new(struct work *work, const struct unit *unit);
struct unit *job_unit(const struct job *job);
/* Frees the job; gives the work its turn. NULL when the pod is forgotten. */
struct work *job_end(struct job *job);

void work_wake(struct work *work); /* its turn comes soon */
void work_wake_at(struct work *work, int64_t time_ms);
size_t work_index(const struct work *work, const struct unit *unit);
struct pod_surroundings pods_surroundings(struct pods *pods);
void pods_note(struct pods *pods, const struct pod_record *record, const struct unit *unit,
               const char *type, const char *reason, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* pods_watch.c */
void pods_watch(struct pods *pods);
void work_take_pod(struct work *work, const json_t *pod); /* the API's new state of it */
void pods_mark_objects(struct pods *pods);                /* forget what no pod refers to */
void pods_on_object(void *context, const char *resource, const char *namespace, const char *name);

/* Steps. */
void work_make_volumes(struct work *work);
void work_refresh_volumes(struct work *work);
void work_make_sandbox(struct work *work);
void work_clean(struct work *work, bool removes_files);
void work_start_unit(struct work *work, struct unit *unit);
void work_stop_unit(struct work *work, struct unit *unit, int64_t grace_ms);
void work_kill_unit(struct work *work, struct unit *unit);

/* pod_run.c: adopt a process; on_lost when there is none. */
void process_open(struct work *work, struct unit *unit, bool is_restored);
void process_close(struct unit *unit);
/* pod_check.c */
void process_plan_probes(struct process *process);
typedef void check_done(void *context, bool is_success, const char *output);
/* One exec, httpGet, tcpSocket, grpc or sleep handler; exactly one call of done. */
void check_run(struct work *work, const struct unit *unit, const json_t *handler,
               int64_t timeout_ms, check_done *done, void *context);

/* pod_load.c */
struct work *work_new(struct pods *pods, json_t *take_pod);
void work_free(struct work *work);
void pods_load(struct pods *pods);
void work_restore_probes(struct work *work);
/* static_pods.c */
void static_pods_scan(struct pods *pods);

#endif
