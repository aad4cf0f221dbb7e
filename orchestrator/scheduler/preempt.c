#include "orchestrator/scheduler/preempt.h"

#include <stdlib.h>
#include <string.h>

/* A node as it would be without some of its pods. */
struct trial {
    struct pod_query *query;
    const struct cache *cache;
    const struct node_info *real;
    struct node_info node;
    struct pod_info **gone; /* lowest priority first */
    size_t gone_count;
};

static int compare_priority(const void *a, const void *b)
{
    int64_t x = (*(struct pod_info *const *)a)->priority;
    int64_t y = (*(struct pod_info *const *)b)->priority;
    return x < y ? -1 : x > y;
}

static void take_away(struct trial *trial, struct pod_info *pod)
{
    struct node_info *node = &trial->node;
    for (size_t i = 0; i < node->pod_count; i++) {
        if (node->pods[i] == pod) {
            node->pods[i] = node->pods[--node->pod_count];
            break;
        }
    }
    node_info_change_used(node, &pod->requests, -1);
    pod_query_count(trial->query, trial->real, pod, -1);
}

static void put_back(struct trial *trial, struct pod_info *pod)
{
    trial->node.pods[trial->node.pod_count++] = pod;
    node_info_change_used(&trial->node, &pod->requests, 1);
    pod_query_count(trial->query, trial->real, pod, 1);
}

static bool fits(const struct trial *trial)
{
    char buffer[256];
    return pod_query_misfit(trial->query, trial->cache, &trial->node, buffer, sizeof(buffer)) ==
           NULL;
}

/* Lowest priority first until the pod fits; then those that need not go stay, highest first. */
static bool find_victims(struct trial *trial, struct pod_info **lower, size_t count)
{
    while (!fits(trial)) {
        if (trial->gone_count == count) {
            return false;
        }
        trial->gone[trial->gone_count] = lower[trial->gone_count];
        take_away(trial, lower[trial->gone_count]);
        trial->gone_count++;
    }
    for (size_t i = trial->gone_count; i-- > 0;) {
        put_back(trial, trial->gone[i]);
        if (fits(trial)) {
            trial->gone_count--;
            memmove(&trial->gone[i], &trial->gone[i + 1],
                    (trial->gone_count - i) * sizeof(trial->gone[0]));
        } else {
            take_away(trial, trial->gone[i]);
        }
    }
    return trial->gone_count > 0;
}

/* What a node costs: first the highest priority that goes, then how many. */
struct cost {
    int64_t priority;
    size_t count;
};

static bool is_cheaper(const struct cost *a, const struct cost *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->count < b->count;
}

static void try_node(struct pod_query *query, const struct cache *cache,
                     const struct node_info *node, int64_t priority, struct cost *best,
                     struct decision *ret)
{
    struct trial trial = {.query = query, .cache = cache, .real = node, .node = *node};
    struct pod_info **lower = mem_calloc(node->pod_count, sizeof(lower[0]));
    size_t count = 0;
    trial.node.pods = mem_calloc(node->pod_count, sizeof(lower[0]));
    trial.gone = mem_calloc(node->pod_count, sizeof(lower[0]));
    trial.node.used.extended = tree_copy(node->used.extended);
    memcpy(trial.node.pods, node->pods, node->pod_count * sizeof(lower[0]));
    for (size_t i = 0; i < node->pod_count; i++) {
        if (node->pods[i]->priority < priority) {
            lower[count++] = node->pods[i];
        }
    }
    qsort(lower, count, sizeof(lower[0]), compare_priority);
    if (find_victims(&trial, lower, count)) {
        struct cost cost = {trial.gone[trial.gone_count - 1]->priority, trial.gone_count};
        if (ret->victims == NULL || is_cheaper(&cost, best)) {
            *best = cost;
            ret->nominated = node->name;
            json_decref(ret->victims);
            ret->victims = json_array();
            for (size_t i = 0; i < trial.gone_count; i++) {
                json_array_append(ret->victims, trial.gone[i]->pod);
            }
        }
    }
    for (size_t i = 0; i < trial.gone_count; i++) {
        pod_query_count(query, node, trial.gone[i], 1);
    }
    json_decref(trial.node.used.extended);
    mem_free(trial.gone);
    mem_free(trial.node.pods);
    mem_free(lower);
}

void preempt(struct pod_query *query, const struct node_table *table, const struct cache *cache,
             struct decision *ret)
{
    char buffer[256];
    struct cost best = {0};
    int64_t priority = tree_int(query->spec, "priority", 0);
    if (tree_has_text(query->spec, "preemptionPolicy", "Never")) {
        return;
    }
    for (size_t n = 0; n < table->count; n++) {
        const struct node_info *node = table->nodes[n];
        bool may_help =
            node->node != NULL && node->least_priority < priority && node->pod_count > 0 &&
            pod_query_misfit_for_good(query, cache, node, buffer, sizeof(buffer)) == NULL;
        if (may_help) {
            try_node(query, cache, node, priority, &best, ret);
        }
    }
}
