/* pods.h - the pods of this node: one worker each, which brings what runs to what the API wants. */
#ifndef ORCHESTRATOR_AGENT_PODS_H
#define ORCHESTRATOR_AGENT_PODS_H

#include "orchestrator/agent/api.h"
#include "orchestrator/agent/events.h"
#include "orchestrator/agent/pod_record.h"
#include "orchestrator/agent/program.h"

struct pods;

/* Borrowed; all outlive the object. */
struct pods_options {
    struct wire_loop *wire;
    struct api *api;
    struct programs *programs;
    struct events *events;
    const char *node_name;
    const char *node_ip;
    const char *data_dir;
    const char *run_dir; /* of sockets */
    const char *cgroup_parent;
    const char *cluster_dns; /* "" for the node's own resolvers */
    const char *cluster_domain;
    const char *static_path; /* NULL: none */
    int64_t cpu_milli;       /* of the node */
    int64_t memory_bytes;
};

struct pods *pods_new(const struct pods_options *options);
/* Finds what ran before the agent started, then watches the API. */
void pods_start(struct pods *pods);
void pods_free(struct pods *pods); /* containers go on */
/* The node has its range of pod addresses now. */
void pods_set_network_ready(struct pods *pods);

/* For logs, exec and the like, stats and eviction. */
struct pod_record *pods_find(const struct pods *pods, const char *namespace, const char *name);
void pods_each(const struct pods *pods, void (*visit)(void *context, struct pod_record *record),
               void *context);
/* The caller frees these. */
char *pods_directory(const struct pods *pods, const struct pod_record *record);
char *pods_attempt_directory(const struct pods *pods, const struct pod_record *record,
                             const struct unit *unit, int attempt);
char *pods_socket(const struct pods *pods, const struct unit *unit);
/* Fail a pod and stop it. */
void pods_evict(struct pods *pods, struct pod_record *record, const char *reason,
                const char *message);
/* The process object of an exec in a running container; new; NULL when it cannot be read. */
json_t *pods_exec_process(const struct pods *pods, const struct pod_record *record,
                          const struct unit *unit, const json_t *command, bool is_tty);
int64_t pods_now_ms(void);

#endif
