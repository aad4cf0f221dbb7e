#include "orchestrator/scheduler/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "orchestrator/scheduler/placement.h"

enum { SCORE_MAX = 100 };

void decision_deinit(struct decision *decision)
{
    json_decref(decision->victims);
    decision->victims = NULL;
}

static const char *taint_misfit(const struct node_info *node, const json_t *spec, char *buffer,
                                size_t size)
{
    const json_t *taint = placement_untolerated(spec, node->node, NULL);
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

static void collect_host_ports(const json_t *pod, json_t *ports)
{
    const json_t *containers = tree_find(pod, "spec.containers");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        const json_t *list = json_object_get(json_array_get(containers, i), "ports");
        for (size_t k = 0; k < json_array_size(list); k++) {
            if (tree_int(json_array_get(list, k), "hostPort", 0) != 0) {
                json_array_append(ports, json_array_get(list, k));
            }
        }
    }
}

static bool host_ports_taken(const struct node_info *node, const json_t *pod)
{
    CLEANUP(json) json_t *wanted = json_array();
    collect_host_ports(pod, wanted);
    for (size_t i = 0; json_array_size(wanted) > 0 && i < node->pod_count; i++) {
        CLEANUP(json) json_t *taken = json_array();
        collect_host_ports(node->pods[i]->pod, taken);
        for (size_t a = 0; a < json_array_size(wanted); a++) {
            for (size_t b = 0; b < json_array_size(taken); b++) {
                if (ports_collide(json_array_get(wanted, a), json_array_get(taken, b))) {
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
static const char *volume_misfit(const struct cache *cache, const struct node_info *node,
                                 const json_t *pod, char *buffer, size_t size)
{
    const json_t *volumes = tree_find(pod, "spec.volumes");
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        const char *name = tree_text(json_array_get(volumes, i), "persistentVolumeClaim.claimName");
        if (name == NULL) {
            continue;
        }
        const json_t *claim =
            cache_find(cache, "persistentvolumeclaims", object_namespace(pod), name);
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

const char *scheduler_misfit(const struct node_table *table, const struct cache *cache,
                             const struct node_info *node, const json_t *pod,
                             const struct resource_amounts *requests, char *buffer, size_t size)
{
    const json_t *spec = json_object_get(pod, "spec");
    if (tree_bool(node->node, "spec.unschedulable", false)) {
        const char *taint = taint_misfit(node, spec, buffer, size);
        if (taint != NULL) {
            return "node(s) were unschedulable";
        }
    }
    const char *reason = taint_misfit(node, spec, buffer, size);
    if (reason != NULL) {
        return reason;
    }
    if (!placement_matches_node(spec, node->node)) {
        return "node(s) didn't match Pod's node affinity/selector";
    }
    if (host_ports_taken(node, pod)) {
        return "node(s) didn't have free ports for the requested pod ports";
    }
    reason = resource_misfit(node, requests, buffer, size);
    reason = reason != NULL ? reason : volume_misfit(cache, node, pod, buffer, size);
    reason = reason != NULL ? reason : spread_misfit(table, node, pod);
    return reason != NULL ? reason : affinity_misfit(table, node, pod);
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

static int64_t node_affinity_score(const struct node_info *node, const json_t *pod)
{
    int64_t score = 0;
    const json_t *terms = tree_find(pod, "spec.affinity.nodeAffinity."
                                         "preferredDuringSchedulingIgnoredDuringExecution");
    for (size_t i = 0; i < json_array_size(terms); i++) {
        const json_t *weighted = json_array_get(terms, i);
        if (placement_term_matches(json_object_get(weighted, "preference"), node->node)) {
            score += tree_int(weighted, "weight", 1);
        }
    }
    return score;
}

static int64_t image_score(const struct node_info *node, const json_t *pod)
{
    int64_t found = 0;
    const json_t *images = tree_find(node->node, "status.images");
    const json_t *containers = tree_find(pod, "spec.containers");
    for (size_t c = 0; c < json_array_size(containers) && json_array_size(images) > 0; c++) {
        const char *image = tree_text_or(json_array_get(containers, c), "image", "");
        for (size_t i = 0; i < json_array_size(images); i++) {
            found += tree_list_has_text(json_object_get(json_array_get(images, i), "names"), image);
        }
    }
    return found > 0 ? SCORE_MAX / 4 : 0;
}

static int64_t score_of(const struct node_table *table, const struct node_info *node,
                        const json_t *pod, const struct resource_amounts *requests)
{
    const json_t *spec = json_object_get(pod, "spec");
    bool is_avoided = placement_untolerated(spec, node->node, "PreferNoSchedule") != NULL;
    int64_t score = resource_score(node, requests);
    score += 2 * node_affinity_score(node, pod) + 2 * affinity_score(table, node, pod);
    score -= is_avoided ? 3 * SCORE_MAX : 0;
    score -= 2 * 10 * spread_crowd(table, node, pod);
    return score + image_score(node, pod);
}

/* Reasons, and on how many nodes each was found. */
struct reasons {
    char *texts[SCHEDULER_REASONS_MAX];
    int counts[SCHEDULER_REASONS_MAX];
    size_t count;
};

static void add_reason(struct reasons *reasons, const char *text)
{
    for (size_t i = 0; i < reasons->count; i++) {
        if (strcmp(reasons->texts[i], text) == 0) {
            reasons->counts[i]++;
            return;
        }
    }
    if (reasons->count < SCHEDULER_REASONS_MAX) {
        reasons->texts[reasons->count] = mem_strdup(text);
        reasons->counts[reasons->count++] = 1;
    }
}

static void write_message(struct reasons *reasons, size_t nodes, struct decision *ret)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_format(&text, "0/%zu nodes are available", nodes);
    for (size_t i = 0; i < reasons->count; i++) {
        buf_append_format(&text, "%s%d %s", i == 0 ? ": " : ", ", reasons->counts[i],
                          reasons->texts[i]);
        mem_free(reasons->texts[i]);
    }
    buf_append_text(&text, ".");
    (void)snprintf(ret->message, sizeof(ret->message), "%s", buf_text(&text));
}

static int compare_priority(const void *a, const void *b)
{
    int64_t x = (*(struct pod_info *const *)a)->priority;
    int64_t y = (*(struct pod_info *const *)b)->priority;
    return x < y ? -1 : x > y;
}

/* A copy of the node without pods below priority, lowest first, until the pod fits: the victims;
 * NULL when even that does not help. */
static json_t *find_victims(const struct node_table *table, const struct cache *cache,
                            const struct node_info *node, const json_t *pod,
                            const struct resource_amounts *requests, int64_t priority)
{
    char buffer[256];
    struct node_info trial = *node;
    struct pod_info **pods = mem_calloc(node->pod_count + 1, sizeof(pods[0]));
    memcpy(pods, node->pods, node->pod_count * sizeof(pods[0]));
    qsort(pods, node->pod_count, sizeof(pods[0]), compare_priority);
    trial.pods = pods;
    json_t *victims = json_array();
    size_t at = 0;
    const char *reason = "";
    while (reason != NULL && at < node->pod_count && pods[0]->priority < priority) {
        const struct pod_info *victim = pods[0];
        trial.used.cpu_milli -= victim->requests.cpu_milli;
        trial.used.memory_bytes -= victim->requests.memory_bytes;
        trial.used.storage_bytes -= victim->requests.storage_bytes;
        json_array_append(victims, victim->pod);
        trial.pod_count--;
        memmove(pods, pods + 1, trial.pod_count * sizeof(pods[0]));
        at++;
        reason = scheduler_misfit(table, cache, &trial, pod, requests, buffer, sizeof(buffer));
        if (trial.pod_count == 0) {
            break;
        }
    }
    mem_free(pods);
    if (reason != NULL) {
        json_decref(victims);
        return NULL;
    }
    return victims;
}

/* The node where the fewest pods of lower priority have to go. */
static void preempt(const struct node_table *table, const struct cache *cache, const json_t *pod,
                    const struct resource_amounts *requests, struct decision *ret)
{
    int64_t priority = tree_int(pod, "spec.priority", 0);
    if (tree_has_text(pod, "spec.preemptionPolicy", "Never") || priority <= 0) {
        return;
    }
    for (size_t n = 0; n < table->count; n++) {
        const struct node_info *node = table->nodes[n];
        if (node->node == NULL || node->pod_count == 0) {
            continue;
        }
        json_t *victims = find_victims(table, cache, node, pod, requests, priority);
        bool is_better =
            victims != NULL &&
            (ret->victims == NULL || json_array_size(victims) < json_array_size(ret->victims));
        if (is_better) {
            json_decref(ret->victims);
            ret->victims = json_incref(victims);
            ret->nominated = node->name;
        }
        json_decref(victims);
    }
}

void schedule(const struct node_table *table, const struct cache *cache, const json_t *pod,
              struct prng *prng, struct decision *ret)
{
    *ret = (struct decision){0};
    struct resource_amounts requests;
    struct reasons reasons = {0};
    char buffer[256];
    pod_requests(pod, &requests);
    int64_t best = INT64_MIN;
    uint64_t ties = 0;
    size_t nodes = 0;
    for (size_t n = 0; n < table->count; n++) {
        const struct node_info *node = table->nodes[n];
        if (node->node == NULL) {
            continue;
        }
        nodes++;
        const char *reason =
            scheduler_misfit(table, cache, node, pod, &requests, buffer, sizeof(buffer));
        if (reason != NULL) {
            add_reason(&reasons, reason);
            continue;
        }
        int64_t score = score_of(table, node, pod, &requests);
        ties = score == best ? ties + 1 : 1;
        bool wins_tie = score == best && prng_below(prng, ties) == 0;
        if (score > best || wins_tie) {
            best = score;
            ret->node = node->name;
        }
    }
    write_message(&reasons, nodes, ret);
    if (ret->node == NULL) {
        preempt(table, cache, pod, &requests, ret);
    }
    resource_amounts_deinit(&requests);
}
