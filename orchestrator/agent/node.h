/* node.h - this node in the API: registered, its status, its lease. */
#ifndef ORCHESTRATOR_AGENT_NODE_H
#define ORCHESTRATOR_AGENT_NODE_H

#include "orchestrator/agent/api.h"
#include "orchestrator/agent/events.h"

struct node;

/* Borrowed; all outlive the object. */
struct node_options {
    struct wire_loop *wire;
    struct api *api;
    struct events *events;
    const char *name;
    const char *ip;
    const char *pod_cidr; /* NULL: the API gives one */
    const char *labels;   /* "a=b,c=d"; "" for none */
    const char *data_dir;
    uint16_t port; /* of the agent's server */
    int64_t cpu_milli;
    int64_t memory_bytes;
    int64_t pods_max;
    /* The range of pod addresses is known; called once. */
    void (*on_range)(void *context, const char *cidr);
    void *context;
};

struct node *node_new(const struct node_options *options);
void node_free(struct node *node);
/* The pod network stands: the node is ready. */
void node_set_network_ready(struct node *node, const char *message); /* NULL: it is ready */
/* What eviction found; a change is told at once. */
void node_set_pressure(struct node *node, bool memory, bool disk, bool pids);
/* [{"names":[…],"sizeBytes":n}]; taken. */
void node_set_images(struct node *node, json_t *take_images);

/* CPUs and memory of this machine. */
int64_t node_machine_cpu_milli(void);
int64_t node_machine_memory_bytes(void);

#endif
