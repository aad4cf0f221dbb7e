#include "orchestrator/scheduler/pod_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/objects/selector.h"
#include "orchestrator/scheduler/placement.h"

enum { SCORE_MAX = 100, NODE_AFFINITY_WEIGHT = 2, AVOIDED_PENALTY = 3 * SCORE_MAX };

static bool uses_claims(const json_t *spec)
{
    const json_t *volumes = json_object_get(spec, "volumes");
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        if (json_object_get(json_array_get(volumes, i), "persistentVolumeClaim") != NULL) {
            return true;
        }
    }
    return false;
}

/* A cordoned node may not have its taint yet. */
static bool tolerates_unschedulable(const json_t *spec)
{
    CLEANUP(json)
    json_t *taint =
        json_pack("{s:s, s:s}", "key", "node.kubernetes.io/unschedulable", "effect", "NoSchedule");
    const json_t *list = json_object_get(spec, "tolerations");
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (placement_tolerates(json_array_get(list, i), taint)) {
            return true;
        }
    }
    return false;
}

void pod_query_init(struct pod_query *query, const struct node_table *table, const json_t *pod)
{
    const json_t *spec = json_object_get(pod, "spec");
    *query = (struct pod_query){
        .pod = pod,
        .spec = spec,
        .self = {.namespace = object_namespace(pod), .labels = object_labels(pod)},
        .controller_uid = tree_text(object_controller(pod), "uid"),
        .host_ports = pod_host_ports(pod),
        .has_claims = uses_claims(spec),
        .node_preferred = tree_find(
            spec, "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution"),
        .node_required =
            tree_find(spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"),
    };
    const json_t *selector = json_object_get(spec, "nodeSelector");
    query->node_selector = json_object_size(selector) > 0 ? selector : NULL;
    query->controller_hash =
        query->controller_uid == NULL ? 0 : bytes_hash(bytes_from_text(query->controller_uid));
    query->tolerates_unschedulable = tolerates_unschedulable(spec);
    pod_requests(pod, &query->requests);
    topology_compile(query, table);
}

void pod_query_deinit(struct pod_query *query)
{
    for (size_t i = 0; i < query->rule_count; i++) {
        json_decref(query->rules[i].selector);
        bytes_map_deinit(&query->rules[i].domains);
    }
    mem_free(query->rules);
    json_decref(query->host_ports);
    resource_amounts_deinit(&query->requests);
    *query = (struct pod_query){0};
}

static const char *taint_misfit(const struct pod_query *query, const struct node_info *node,
                                char *buffer, size_t size)
{
    if (node->is_unschedulable && !query->tolerates_unschedulable) {
        return "node(s) were unschedulable";
    }
    const json_t *taint =
        node->has_taints ? placement_untolerated(query->spec, node->node, NULL) : NULL;
    if (taint == NULL) {
        return NULL;
    }
    (void)snprintf(buffer, size, "node(s) had untolerated taint {%s: %s}",
                   tree_text_or(taint, "key", ""), tree_text_or(taint, "value", ""));
    return buffer;
}

static bool ports_collide(const json_t *a, const json_t *b)
{
    const char *ip_a = tree_text_or(a, "hostIP", "0.0.0.0");
    const char *ip_b = tree_text_or(b, "hostIP", "0.0.0.0");
    bool same_ip =
        strcmp(ip_a, ip_b) == 0 || strcmp(ip_a, "0.0.0.0") == 0 || strcmp(ip_b, "0.0.0.0") == 0;
    return tree_int(a, "hostPort", 0) == tree_int(b, "hostPort", 0) && same_ip &&
           strcmp(tree_text_or(a, "protocol", "TCP"), tree_text_or(b, "protocol", "TCP")) == 0;
}

static bool host_ports_taken(const struct pod_query *query, const struct node_info *node)
{
    for (size_t i = 0; query->host_ports != NULL && i < node->pod_count; i++) {
        const json_t *taken = node->pods[i]->host_ports;
        for (size_t a = 0; a < json_array_size(query->host_ports); a++) {
            for (size_t b = 0; b < json_array_size(taken); b++) {
                if (ports_collide(json_array_get(query->host_ports, a), json_array_get(taken, b))) {
                    return true;
                }
            }
        }
    }
    return false;
}

static const char *extended_misfit(const struct node_info *node,
                                   const struct resource_amounts *requests, char *buffer,
                                   size_t size)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(requests->extended, name, value)
    {
        int64_t have = json_integer_value(json_object_get(node->allocatable.extended, name));
        int64_t used = json_integer_value(json_object_get(node->used.extended, name));
        if (used + json_integer_value(value) > have) {
            (void)snprintf(buffer, size, "Insufficient %s", name);
            return buffer;
        }
    }
    return NULL;
}

static const char *resource_misfit(const struct node_info *node,
                                   const struct resource_amounts *requests, char *buffer,
                                   size_t size)
{
    const struct resource_amounts *have = &node->allocatable;
    const struct resource_amounts *used = &node->used;
    if ((int64_t)node->pod_count + 1 > node->pods_max) {
        return "Too many pods";
    }
    if (requests->cpu_milli > 0 && used->cpu_milli + requests->cpu_milli > have->cpu_milli) {
        return "Insufficient cpu";
    }
    if (requests->memory_bytes > 0 &&
        used->memory_bytes + requests->memory_bytes > have->memory_bytes) {
        return "Insufficient memory";
    }
    if (requests->storage_bytes > 0 &&
        used->storage_bytes + requests->storage_bytes > have->storage_bytes) {
        return "Insufficient ephemeral-storage";
    }
    return extended_misfit(node, requests, buffer, size);
}

/* Claims must be there; bound volumes say where they can be used. */
static const char *volume_misfit(const struct pod_query *query, const struct cache *cache,
                                 const struct node_info *node, char *buffer, size_t size)
{
    const json_t *volumes = json_object_get(query->spec, "volumes");
    for (size_t i = 0; query->has_claims && i < json_array_size(volumes); i++) {
        const char *name = tree_text(json_array_get(volumes, i), "persistentVolumeClaim.claimName");
        if (name == NULL) {
            continue;
        }
        const json_t *claim =
            cache_find(cache, "persistentvolumeclaims", query->self.namespace, name);
        if (claim == NULL) {
            (void)snprintf(buffer, size, "persistentvolumeclaim \"%s\" not found", name);
            return buffer;
        }
        const char *volume_name = tree_text_or(claim, "spec.volumeName", "");
        const json_t *volume = cache_find(cache, "persistentvolumes", "", volume_name);
        if (volume == NULL) {
            return "pod has unbound immediate PersistentVolumeClaims";
        }
        if (!placement_selector_matches(tree_find(volume, "spec.nodeAffinity.required"),
                                        node->node)) {
            return "node(s) had volume node affinity conflict";
        }
    }
    return NULL;
}

bool pod_query_chooses(const struct pod_query *query, const struct node_info *node)
{
    return (query->node_selector == NULL ||
            label_map_matches(query->node_selector, node->labels)) &&
           (query->node_required == NULL ||
            placement_selector_matches(query->node_required, node->node));
}

const char *pod_query_misfit_for_good(const struct pod_query *query, const struct cache *cache,
                                      const struct node_info *node, char *buffer, size_t size)
{
    const char *reason = taint_misfit(query, node, buffer, size);
    if (reason == NULL && !pod_query_chooses(query, node)) {
        reason = "node(s) didn't match Pod's node affinity/selector";
    }
    return reason != NULL ? reason : volume_misfit(query, cache, node, buffer, size);
}

const char *pod_query_misfit(const struct pod_query *query, const struct cache *cache,
                             const struct node_info *node, char *buffer, size_t size)
{
    const char *reason = pod_query_misfit_for_good(query, cache, node, buffer, size);
    if (reason == NULL && host_ports_taken(query, node)) {
        reason = "node(s) didn't have free ports for the requested pod ports";
    }
    reason = reason != NULL ? reason : resource_misfit(node, &query->requests, buffer, size);
    return reason != NULL ? reason : topology_misfit(query, node);
}

static int64_t percent_free(int64_t used, int64_t have)
{
    return have <= 0 || used > have ? 0 : (have - used) * SCORE_MAX / have;
}

/* Pods without requests count a little, so that they spread, too. */
static int64_t resource_score(const struct node_info *node, const struct resource_amounts *requests)
{
    int64_t cpu = requests->cpu_milli == 0 ? 100 : requests->cpu_milli;
    int64_t memory = requests->memory_bytes == 0 ? 200 * 1024 * 1024 : requests->memory_bytes;
    int64_t free_cpu = percent_free(node->used.cpu_milli + cpu, node->allocatable.cpu_milli);
    int64_t free_memory =
        percent_free(node->used.memory_bytes + memory, node->allocatable.memory_bytes);
    int64_t least = (free_cpu + free_memory) / 2;
    int64_t balance = SCORE_MAX - llabs(free_cpu - free_memory) / 2;
    return least + balance;
}

static int64_t node_affinity_score(const struct pod_query *query, const struct node_info *node)
{
    int64_t score = 0;
    const json_t *terms = query->node_preferred;
    for (size_t i = 0; i < json_array_size(terms); i++) {
        const json_t *weighted = json_array_get(terms, i);
        if (placement_term_matches(json_object_get(weighted, "preference"), node->node)) {
            score += tree_int(weighted, "weight", 1);
        }
    }
    return score;
}

static int64_t image_score(const struct pod_query *query, const struct node_info *node)
{
    const json_t *containers = json_object_get(query->spec, "containers");
    for (size_t c = 0; c < json_array_size(containers); c++) {
        const char *image = tree_text_or(json_array_get(containers, c), "image", "");
        if (bytes_map_find(&node->images, bytes_from_text(image)) != NULL) {
            return SCORE_MAX / 4;
        }
    }
    return 0;
}

int64_t pod_query_score(const struct pod_query *query, const struct node_info *node)
{
    bool is_avoided = node->has_taints &&
                      placement_untolerated(query->spec, node->node, "PreferNoSchedule") != NULL;
    int64_t score = resource_score(node, &query->requests) + topology_score(query, node);
    score += NODE_AFFINITY_WEIGHT * node_affinity_score(query, node);
    score += node->images.count > 0 ? image_score(query, node) : 0;
    return score - (is_avoided ? AVOIDED_PENALTY : 0);
}
