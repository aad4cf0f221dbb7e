/* affinity.c - rules about other pods: (anti-)affinity and topology spread. */
#include <string.h>

#include "orchestrator/objects/selector.h"
#include "orchestrator/scheduler/placement.h"
#include "orchestrator/scheduler/scheduler.h"

static const char *domain_of(const struct node_info *node, const char *topology_key)
{
    return node->node == NULL ? NULL : object_label(node->node, topology_key);
}

static bool same_domain(const struct node_info *a, const struct node_info *b, const char *key)
{
    const char *x = domain_of(a, key);
    const char *y = domain_of(b, key);
    return x != NULL && y != NULL && strcmp(x, y) == 0;
}

/* Does a term of pod speak of other? Namespaces: listed ones, or pod's own. */
static bool term_selects(const json_t *term, const json_t *pod, const json_t *other)
{
    const json_t *namespaces = json_object_get(term, "namespaces");
    const json_t *selector = json_object_get(term, "namespaceSelector");
    bool is_there =
        json_array_size(namespaces) > 0
            ? tree_list_has_text(namespaces, object_namespace(other))
            : selector != NULL || strcmp(object_namespace(pod), object_namespace(other)) == 0;
    return is_there && label_selector_object_matches(json_object_get(term, "labelSelector"),
                                                     object_labels(other));
}

static bool domain_has_match(const struct node_table *table, const struct node_info *node,
                             const json_t *pod, const json_t *term, bool *ret_anywhere)
{
    const char *key = tree_text_or(term, "topologyKey", "");
    for (size_t n = 0; n < table->count; n++) {
        const struct node_info *other = table->nodes[n];
        bool is_same = same_domain(node, other, key);
        for (size_t i = 0; i < other->pod_count; i++) {
            if (term_selects(term, pod, other->pods[i]->pod)) {
                *ret_anywhere = true;
                if (is_same) {
                    return true;
                }
            }
        }
    }
    return false;
}

static const json_t *required_terms(const json_t *pod, const char *kind)
{
    CLEANUP(free)
    char *path =
        mem_printf("spec.affinity.%s.requiredDuringSchedulingIgnoredDuringExecution", kind);
    return tree_find(pod, path);
}

/* Pods that are there may refuse the new one, too. */
static bool is_refused_by_others(const struct node_table *table, const struct node_info *node,
                                 const json_t *pod)
{
    for (size_t n = 0; n < table->count; n++) {
        const struct node_info *other = table->nodes[n];
        for (size_t i = 0; i < other->pod_count; i++) {
            const json_t *existing = other->pods[i]->pod;
            if (tree_find(existing, "spec.affinity.podAntiAffinity") == NULL) {
                continue;
            }
            const json_t *terms = required_terms(existing, "podAntiAffinity");
            for (size_t t = 0; t < json_array_size(terms); t++) {
                const json_t *term = json_array_get(terms, t);
                if (term_selects(term, existing, pod) &&
                    same_domain(node, other, tree_text_or(term, "topologyKey", ""))) {
                    return true;
                }
            }
        }
    }
    return false;
}

const char *affinity_misfit(const struct node_table *table, const struct node_info *node,
                            const json_t *pod)
{
    const json_t *wanted = required_terms(pod, "podAffinity");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *term = json_array_get(wanted, i);
        bool anywhere = false;
        if (domain_of(node, tree_text_or(term, "topologyKey", "")) == NULL) {
            return "node(s) didn't match pod affinity rules";
        }
        bool is_first = !domain_has_match(table, node, pod, term, &anywhere);
        /* The first pod of a group that wants to be together may go anywhere. */
        if (is_first && (anywhere || !term_selects(term, pod, pod))) {
            return "node(s) didn't match pod affinity rules";
        }
    }
    const json_t *unwanted = required_terms(pod, "podAntiAffinity");
    for (size_t i = 0; i < json_array_size(unwanted); i++) {
        bool anywhere = false;
        if (domain_has_match(table, node, pod, json_array_get(unwanted, i), &anywhere)) {
            return "node(s) didn't match pod anti-affinity rules";
        }
    }
    return is_refused_by_others(table, node, pod)
               ? "node(s) didn't satisfy existing pods anti-affinity rules"
               : NULL;
}

static int64_t preferred_score(const struct node_table *table, const struct node_info *node,
                               const json_t *pod, const char *path, int sign)
{
    int64_t score = 0;
    const json_t *terms = tree_find(pod, path);
    for (size_t i = 0; i < json_array_size(terms); i++) {
        const json_t *weighted = json_array_get(terms, i);
        bool anywhere = false;
        if (domain_has_match(table, node, pod, json_object_get(weighted, "podAffinityTerm"),
                             &anywhere)) {
            score += sign * tree_int(weighted, "weight", 1);
        }
    }
    return score;
}

int64_t affinity_score(const struct node_table *table, const struct node_info *node,
                       const json_t *pod)
{
    return preferred_score(table, node, pod,
                           "spec.affinity.podAffinity."
                           "preferredDuringSchedulingIgnoredDuringExecution",
                           1) +
           preferred_score(table, node, pod,
                           "spec.affinity.podAntiAffinity."
                           "preferredDuringSchedulingIgnoredDuringExecution",
                           -1);
}

static int64_t count_matches(const struct node_info *node, const json_t *pod,
                             const json_t *selector)
{
    int64_t count = 0;
    for (size_t i = 0; i < node->pod_count; i++) {
        const json_t *other = node->pods[i]->pod;
        count += strcmp(object_namespace(pod), object_namespace(other)) == 0 &&
                 !object_is_deleting(other) &&
                 label_selector_object_matches(selector, object_labels(other));
    }
    return count;
}

/* Matching pods in the domain of node, and the smallest number in any eligible domain. */
static void count_domains(const struct node_table *table, const struct node_info *node,
                          const json_t *pod, const json_t *constraint, int64_t *ret_here,
                          int64_t *ret_least)
{
    const char *key = tree_text_or(constraint, "topologyKey", "");
    const json_t *selector = json_object_get(constraint, "labelSelector");
    CLEANUP(json) json_t *domains = json_object();
    for (size_t n = 0; n < table->count; n++) {
        const struct node_info *other = table->nodes[n];
        const char *domain = domain_of(other, key);
        if (domain == NULL || !placement_matches_node(json_object_get(pod, "spec"), other->node)) {
            continue;
        }
        int64_t count = json_integer_value(json_object_get(domains, domain)) +
                        count_matches(other, pod, selector);
        json_object_set_new(domains, domain, json_integer(count));
    }
    int64_t least = INT64_MAX;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(domains, name, value)
    {
        least = json_integer_value(value) < least ? json_integer_value(value) : least;
    }
    int64_t minimum = tree_int(constraint, "minDomains", 0);
    *ret_least = (int64_t)json_object_size(domains) < minimum || least == INT64_MAX ? 0 : least;
    const char *here = domain_of(node, key);
    *ret_here = here == NULL ? 0 : json_integer_value(json_object_get(domains, here));
}

const char *spread_misfit(const struct node_table *table, const struct node_info *node,
                          const json_t *pod)
{
    const json_t *constraints = tree_find(pod, "spec.topologySpreadConstraints");
    for (size_t i = 0; i < json_array_size(constraints); i++) {
        const json_t *constraint = json_array_get(constraints, i);
        if (!tree_has_text(constraint, "whenUnsatisfiable", "DoNotSchedule")) {
            continue;
        }
        int64_t here = 0;
        int64_t least = 0;
        if (domain_of(node, tree_text_or(constraint, "topologyKey", "")) == NULL) {
            return "node(s) didn't match pod topology spread constraints (missing required label)";
        }
        count_domains(table, node, pod, constraint, &here, &least);
        bool counts_self = label_selector_object_matches(
            json_object_get(constraint, "labelSelector"), object_labels(pod));
        if (here + counts_self - least > tree_int(constraint, "maxSkew", 1)) {
            return "node(s) didn't match pod topology spread constraints";
        }
    }
    return NULL;
}

int64_t spread_crowd(const struct node_table *table, const struct node_info *node,
                     const json_t *pod)
{
    int64_t crowd = 0;
    const json_t *constraints = tree_find(pod, "spec.topologySpreadConstraints");
    for (size_t i = 0; i < json_array_size(constraints); i++) {
        int64_t here = 0;
        int64_t least = 0;
        count_domains(table, node, pod, json_array_get(constraints, i), &here, &least);
        crowd += here - least;
    }
    if (json_array_size(constraints) > 0) {
        return crowd;
    }
    /* Without constraints, pods of one controller keep apart. */
    const json_t *controller = object_controller(pod);
    const char *uid = tree_text(controller, "uid");
    for (size_t i = 0; uid != NULL && i < node->pod_count; i++) {
        crowd += tree_has_text(object_controller(node->pods[i]->pod), "uid", uid);
    }
    return crowd;
}
