/* pod_record.h - one pod as its node sees it: what the API wants, and what is true here.
 *
 * The driver (pods.h) fills in what happens; pod_step.h says what to do next; pod_status.h tells
 * the API. All three only read and write this. Times are milliseconds since 1970. */
#ifndef ORCHESTRATOR_AGENT_POD_RECORD_H
#define ORCHESTRATOR_AGENT_POD_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/agent/probe.h"

enum unit_type { UNIT_INIT = 0, UNIT_MAIN, UNIT_EPHEMERAL };

enum unit_state {
    UNIT_WAITING = 0, /* has no process; waiting_reason says why */
    UNIT_STARTING,    /* pulled, configured, created: the driver is at it */
    UNIT_RUNNING,
    UNIT_EXITED,
};

enum unit_stop {
    STOP_NONE = 0,
    STOP_HOOK, /* preStop runs */
    STOP_TERM, /* was told to end */
    STOP_KILL, /* was killed */
};

enum { CONTAINER_ID_TEXT_SIZE = 65, IMAGE_ID_TEXT_SIZE = 160 };

/* A container of a pod, through all its restarts. Texts are owned. */
struct unit {
    char *name;
    enum unit_type type;
    bool is_sidecar;    /* an init container with restartPolicy Always */
    const json_t *spec; /* in the record's pod */
    enum unit_state state;
    int attempt;  /* of the present or last process; -1: none yet. Names its directory */
    int restarts; /* as the API counts */
    char id[CONTAINER_ID_TEXT_SIZE];
    char image_id[IMAGE_ID_TEXT_SIZE];
    char stop_signal[32]; /* of the image */
    int64_t pid;
    int64_t started_ms;
    int64_t finished_ms;
    int exit_code;
    int signal;
    char *end_reason; /* Completed, Error, OOMKilled, StartError, … */
    char *end_message;
    char *waiting_reason;
    char *waiting_message;
    json_t *last;            /* "terminated" of the process before; owned */
    int64_t retry_ms;        /* not before */
    int64_t backoff_ms;      /* of crashes */
    int64_t pull_backoff_ms; /* of images */
    bool is_started;         /* postStart and startup probe are through */
    bool is_hook_done;       /* postStart */
    bool is_ready;
    struct probe probes[PROBE_TYPES];
    enum unit_stop stop;
    int64_t kill_ms;    /* then STOP_KILL */
    int64_t stopped_ms; /* when stopping began */
    int64_t grace_ms;   /* of the stop that began */
    void *process;      /* the driver's */
};

enum sandbox_state { SANDBOX_NONE = 0, SANDBOX_MAKING, SANDBOX_READY, SANDBOX_REMOVING };

struct pod_record {
    json_t *pod; /* owned: as the API has it */
    char uid[64];
    bool is_gone;   /* not in the API any more */
    bool is_static; /* from a file of this node */
    enum sandbox_state sandbox;
    char address[48];
    char *sandbox_message; /* why it could not be made; NULL */
    bool are_volumes_ready;
    bool are_volumes_busy;
    char *volumes_message; /* why not; NULL */
    json_t *volume_paths;  /* owned: {"volume":"/path/on/the/node"}; NULL before */
    int64_t retry_ms;      /* of volumes and sandbox: not before */
    int64_t backoff_ms;
    int64_t started_ms; /* when the agent saw it first: status.startTime */
    char *fail_reason;  /* Evicted, DeadlineExceeded, OutOfcpu, …: the pod failed; NULL */
    char *fail_message;
    bool is_cleaned;        /* nothing of it is left but files */
    bool is_removed;        /* its files, too */
    bool is_deletion_asked; /* the API was told that it may go */
    struct unit *units;     /* init containers, containers, ephemeral ones */
    size_t unit_count;
    void *driver;
};

/* take_pod must have a uid and a spec. */
struct pod_record *pod_record_new(json_t *take_pod, int64_t now_ms);
void pod_record_free(struct pod_record *record);
/* The API's new state of the same pod (same uid). */
void pod_record_update(struct pod_record *record, json_t *take_pod);
struct unit *pod_record_find(const struct pod_record *record, const char *name); /* may be NULL */

/* What happened to a unit. */
void unit_set_text(char **field, const char *text); /* NULL clears */
void unit_set_waiting(struct unit *unit, const char *reason, const char *message);
void unit_set_running(struct unit *unit, int64_t started_ms);
/* Ends the process; plans the back-off of the next one. */
void unit_set_exited(struct unit *unit, int exit_code, int signal, const char *reason,
                     int64_t finished_ms);

/* Pure looks at a pod. */
const char *pod_restart_policy(const struct pod_record *record);
bool pod_record_is_ending(const struct pod_record *record);   /* deleted, failed, or gone */
bool pod_record_is_finished(const struct pod_record *record); /* nothing runs or will run again */
bool unit_wants_restart(const struct pod_record *record, const struct unit *unit);
bool pod_is_host_network(const struct pod_record *record);
/* The state of a unit as "terminated" of the API; new. */
json_t *unit_terminated(const struct unit *unit);

#endif
