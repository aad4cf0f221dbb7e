/* pod_query.h - what one pod asks of a node, worked out once: its requests, its ports, and for each
 * rule about other pods how many of them are in which domain. After that a node is judged in a time
 * that does not depend on the number of pods. Pure.
 *
 * Rules: kubernetes-api 3.1 (filters and scores of the default scheduler profile). */
#ifndef ORCHESTRATOR_SCHEDULER_POD_QUERY_H
#define ORCHESTRATOR_SCHEDULER_POD_QUERY_H

#include "orchestrator/cache/cache.h"
#include "orchestrator/scheduler/node_info.h"

enum rule_type {
    RULE_NEAR,       /* required pod affinity */
    RULE_APART,      /* required pod anti-affinity */
    RULE_REFUSED,    /* anti-affinity of pods that are there already */
    RULE_PREFERENCE, /* preferred (anti-)affinity; weight < 0: anti */
    RULE_SPREAD,     /* topology spread, DoNotSchedule */
    RULE_SPREAD_SOFT /* topology spread, ScheduleAnyway */
};

/* One rule about other pods. */
struct pod_rule {
    enum rule_type type;
    const json_t *term;       /* borrowed from the pod; NULL for RULE_REFUSED */
    const char *key;          /* topology key, borrowed */
    json_t *selector;         /* owned; spread only: labelSelector with matchLabelKeys filled in */
    struct bytes_map domains; /* label value to the number of pods, as a pointer */
    int64_t total;            /* matching pods in any domain */
    int64_t least;            /* RULE_SPREAD: in the emptiest domain */
    int64_t weight;
    bool selects_self;
};

struct pod_query {
    const json_t *pod; /* borrowed, as long as the query lives */
    const json_t *spec;
    struct pod_info self;       /* only what rules ask of a pod; the rest is not set */
    const char *controller_uid; /* NULL: none */
    uint64_t controller_hash;
    struct resource_amounts requests;
    json_t *host_ports; /* owned; NULL: none */
    bool tolerates_unschedulable;
    bool has_claims;
    const json_t *node_selector;  /* NULL: none */
    const json_t *node_preferred; /* weighted terms; NULL: none */
    const json_t *node_required;  /* a NodeSelector; NULL: none */
    struct pod_rule *rules;       /* owned */
    size_t rule_count;
};

void pod_query_init(struct pod_query *query, const struct node_table *table, const json_t *pod);
void pod_query_deinit(struct pod_query *query);

/* A pod goes from the node (sign -1), or comes back (+1): what preemption tries out. */
void pod_query_count(struct pod_query *query, const struct node_info *node,
                     const struct pod_info *pod, int sign);

/* One node: NULL when the pod fits, else the reason ("Insufficient cpu"): static, or in buffer.
 * cache is looked at for claims and volumes. */
const char *pod_query_misfit(const struct pod_query *query, const struct cache *cache,
                             const struct node_info *node, char *buffer, size_t size);
/* The part of it that no other pod's leaving changes. */
const char *pod_query_misfit_for_good(const struct pod_query *query, const struct cache *cache,
                                      const struct node_info *node, char *buffer, size_t size);
/* Higher is better; only for nodes that fit. */
int64_t pod_query_score(const struct pod_query *query, const struct node_info *node);

/* spec.nodeSelector and required node affinity. */
bool pod_query_chooses(const struct pod_query *query, const struct node_info *node);

/* The rules about other pods (topology.c). */
void topology_compile(struct pod_query *query, const struct node_table *table);
const char *topology_misfit(const struct pod_query *query, const struct node_info *node);
int64_t topology_score(const struct pod_query *query, const struct node_info *node);

#endif
