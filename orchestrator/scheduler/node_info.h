/* node_info.h - what the scheduler knows of each node: its resources, and the pods that use them.
 * Kept up to date event by event, so that a decision never walks all pods. Pure. */
#ifndef ORCHESTRATOR_SCHEDULER_NODE_INFO_H
#define ORCHESTRATOR_SCHEDULER_NODE_INFO_H

#include "base/map.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/tree.h"

/* Amounts of the common resources; others are looked up by name. */
struct resource_amounts {
    int64_t cpu_milli;
    int64_t memory_bytes;
    int64_t storage_bytes; /* ephemeral */
    json_t *extended;      /* owned: name to integer; NULL for none */
};

struct pod_info {
    json_t *pod; /* a reference */
    /* Of the pod, borrowed: lookups by name are dear where each pod is asked about each rule. */
    const char *namespace;
    const json_t *labels;
    const json_t *refusals; /* terms of its required anti-affinity; NULL: none */
    bool is_deleting;
    struct resource_amounts requests;
    int64_t priority;
    const char *controller_uid; /* of the pod; NULL: none. Borrowed from it */
    uint64_t controller_hash;   /* of controller_uid */
    json_t *host_ports;         /* owned; NULL: none */
};

struct node_info {
    char *name;
    json_t *node;         /* a reference; NULL: pods are known of it, but it is not (yet) */
    const json_t *labels; /* of the node, borrowed */
    bool has_taints;
    bool is_unschedulable;
    struct bytes_map images; /* names of the images that are there */
    struct resource_amounts allocatable;
    int64_t pods_max;
    struct resource_amounts used;
    struct pod_info **pods; /* owned */
    size_t pod_count;
    size_t pod_capacity;
    size_t refusing_count;  /* pods that refuse others */
    int64_t least_priority; /* no pod here has a lower one; may be too low after one has left */
};

/* All nodes, and where each pod is. */
struct node_table {
    struct node_info **nodes; /* owned; in the order in which they came */
    size_t count;
    size_t capacity;
    struct bytes_map by_name;
    struct bytes_map node_of_pod; /* uid to node_info */
    size_t refusing_count;        /* pods that refuse others, on all nodes */
};

void node_table_init(struct node_table *table);
void node_table_deinit(struct node_table *table);
void node_table_set_node(struct node_table *table, const json_t *node);
void node_table_remove_node(struct node_table *table, const char *name);
/* A pod that has a node and is not finished; replaces what was known of it. */
void node_table_set_pod(struct node_table *table, const json_t *pod, const char *node_name);
void node_table_remove_pod(struct node_table *table, const char *uid);
struct node_info *node_table_find(const struct node_table *table, const char *name);

/* The sum of the containers' requests, or the largest init container where that is more, and the
 * overhead. */
void pod_requests(const json_t *pod, struct resource_amounts *ret);
/* The ports that the pod takes of its node (hostPort), each {"hostPort","hostIP","protocol"}; the
 * caller's. NULL: none. */
json_t *pod_host_ports(const json_t *pod);
/* Add (sign 1) or take away (-1) what a pod uses. */
void node_info_change_used(struct node_info *info, const struct resource_amounts *amounts,
                           int sign);
void resource_amounts_deinit(struct resource_amounts *amounts);

#endif
