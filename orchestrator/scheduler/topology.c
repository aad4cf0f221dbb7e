/* topology.c - rules about other pods: (anti-)affinity and topology spread. */
#include <string.h>

#include "orchestrator/objects/selector.h"
#include "orchestrator/scheduler/placement.h"
#include "orchestrator/scheduler/pod_query.h"

#define REQUIRED ".requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED ".preferredDuringSchedulingIgnoredDuringExecution"

enum { AFFINITY_WEIGHT = 2, CROWD_WEIGHT = 20 };

static const char *domain_of(const struct node_info *node, const char *topology_key)
{
    return json_string_value(json_object_get(node->labels, topology_key));
}

/* Does a term of a pod in namespace speak of other? Namespaces: listed ones, or the pod's own. */
static bool term_selects(const json_t *term, const char *namespace, const struct pod_info *other)
{
    const json_t *namespaces = json_object_get(term, "namespaces");
    bool is_there = json_array_size(namespaces) > 0
                        ? tree_list_has_text(namespaces, other->namespace)
                        : strcmp(namespace, other->namespace) == 0 ||
                              json_object_get(term, "namespaceSelector") != NULL;
    return is_there &&
           label_selector_object_matches(json_object_get(term, "labelSelector"), other->labels);
}

static bool is_spread(const struct pod_rule *rule)
{
    return rule->type == RULE_SPREAD || rule->type == RULE_SPREAD_SOFT;
}

static bool rule_selects(const struct pod_query *query, const struct pod_rule *rule,
                         const struct pod_info *other)
{
    if (!is_spread(rule)) {
        return term_selects(rule->term, query->self.namespace, other);
    }
    return strcmp(query->self.namespace, other->namespace) == 0 && !other->is_deleting &&
           label_selector_object_matches(rule->selector, other->labels);
}

/* A domain without pods is a domain, too, and a map holds no NULL: the count is kept one higher. */
static int64_t domain_count(const struct pod_rule *rule, const char *domain)
{
    intptr_t found = (intptr_t)bytes_map_find(&rule->domains, bytes_from_text(domain));
    return found == 0 ? 0 : (int64_t)found - 1;
}

static void add_to_domain(struct pod_rule *rule, const char *domain, int64_t change)
{
    int64_t count = domain_count(rule, domain) + change;
    rule->total += change;
    (void)bytes_map_set(&rule->domains, bytes_from_text(domain), (void *)(intptr_t)(count + 1));
}

/* Spread counts only the nodes that the pod may be on (nodeAffinityPolicy: Honor, the default;
 * nodeTaintsPolicy: Ignore, the default). */
static bool is_eligible(const struct pod_query *query, const struct pod_rule *rule,
                        const struct node_info *node)
{
    if (!is_spread(rule)) {
        return true;
    }
    if (!pod_query_chooses(query, node) &&
        !tree_has_text(rule->term, "nodeAffinityPolicy", "Ignore")) {
        return false;
    }
    return !tree_has_text(rule->term, "nodeTaintsPolicy", "Honor") ||
           placement_untolerated(query->spec, node->node, NULL) == NULL;
}

static void count_node(const struct pod_query *query, struct pod_rule *rule,
                       const struct node_info *node)
{
    const char *domain = domain_of(node, rule->key);
    if (domain == NULL || !is_eligible(query, rule, node)) {
        return;
    }
    int64_t count = 0;
    for (size_t i = 0; i < node->pod_count; i++) {
        count += rule_selects(query, rule, node->pods[i]);
    }
    add_to_domain(rule, domain, count);
}

static struct pod_rule *add_rule(struct pod_query *query, enum rule_type type, const json_t *term,
                                 const char *key)
{
    query->rules = mem_reallocarray(query->rules, query->rule_count + 1, sizeof(query->rules[0]));
    struct pod_rule *rule = &query->rules[query->rule_count++];
    *rule = (struct pod_rule){.type = type, .term = term, .key = key};
    bytes_map_init(&rule->domains);
    return rule;
}

static void compile_rule(struct pod_query *query, const struct node_table *table,
                         enum rule_type type, const json_t *term, int64_t weight)
{
    struct pod_rule *rule = add_rule(query, type, term, tree_text_or(term, "topologyKey", ""));
    rule->weight = weight;
    if (is_spread(rule)) {
        rule->selector = tree_copy(json_object_get(term, "labelSelector"));
        const json_t *keys = json_object_get(term, "matchLabelKeys");
        for (size_t i = 0; i < json_array_size(keys) && rule->selector != NULL; i++) {
            const char *key = json_string_value(json_array_get(keys, i));
            const char *value = object_label(query->pod, key == NULL ? "" : key);
            if (value != NULL) {
                json_object_set_new(tree_make_object(rule->selector, "matchLabels"), key,
                                    json_string(value));
            }
        }
    }
    rule->selects_self = rule_selects(query, rule, &query->self);
    for (size_t n = 0; n < table->count; n++) {
        count_node(query, rule, table->nodes[n]);
    }
}

static void compile_terms(struct pod_query *query, const struct node_table *table, const char *path,
                          enum rule_type type)
{
    const json_t *terms = tree_find(query->spec, path);
    for (size_t i = 0; i < json_array_size(terms); i++) {
        compile_rule(query, table, type, json_array_get(terms, i), 0);
    }
}

static void compile_preferences(struct pod_query *query, const struct node_table *table,
                                const char *path, int sign)
{
    const json_t *terms = tree_find(query->spec, path);
    for (size_t i = 0; i < json_array_size(terms); i++) {
        const json_t *weighted = json_array_get(terms, i);
        compile_rule(query, table, RULE_PREFERENCE, json_object_get(weighted, "podAffinityTerm"),
                     sign * tree_int(weighted, "weight", 1));
    }
}

static struct pod_rule *refusal(struct pod_query *query, const char *key)
{
    for (size_t i = 0; i < query->rule_count; i++) {
        if (query->rules[i].type == RULE_REFUSED && strcmp(query->rules[i].key, key) == 0) {
            return &query->rules[i];
        }
    }
    return add_rule(query, RULE_REFUSED, NULL, key);
}

/* Pods that are there may refuse the new one. */
static void count_refusals(struct pod_query *query, const struct node_info *node,
                           const struct pod_info *existing, int sign)
{
    for (size_t t = 0; t < json_array_size(existing->refusals); t++) {
        const json_t *term = json_array_get(existing->refusals, t);
        const char *key = tree_text_or(term, "topologyKey", "");
        const char *domain = domain_of(node, key);
        if (domain != NULL && term_selects(term, existing->namespace, &query->self)) {
            add_to_domain(refusal(query, key), domain, sign);
        }
    }
}

/* The smallest number of matching pods in any domain; 0 while there are fewer domains than
 * minDomains. */
static int64_t least_crowded(const struct pod_rule *rule)
{
    int64_t least = INT64_MAX;
    int64_t domains = 0;
    size_t cursor = 0;
    struct bytes domain;
    void *value = NULL;
    while (bytes_map_next(&rule->domains, &cursor, &domain, &value)) {
        int64_t count = (int64_t)(intptr_t)value - 1;
        least = count < least ? count : least;
        domains++;
    }
    return domains < tree_int(rule->term, "minDomains", 1) ? 0 : least;
}

/* After the counts changed. */
static void settle(struct pod_query *query)
{
    for (size_t i = 0; i < query->rule_count; i++) {
        if (query->rules[i].type == RULE_SPREAD) {
            query->rules[i].least = least_crowded(&query->rules[i]);
        }
    }
}

void topology_compile(struct pod_query *query, const struct node_table *table)
{
    if (tree_find(query->spec, "affinity") != NULL) {
        compile_terms(query, table, "affinity.podAffinity" REQUIRED, RULE_NEAR);
        compile_terms(query, table, "affinity.podAntiAffinity" REQUIRED, RULE_APART);
        compile_preferences(query, table, "affinity.podAffinity" PREFERRED, 1);
        compile_preferences(query, table, "affinity.podAntiAffinity" PREFERRED, -1);
    }
    const json_t *constraints = json_object_get(query->spec, "topologySpreadConstraints");
    for (size_t i = 0; i < json_array_size(constraints); i++) {
        const json_t *constraint = json_array_get(constraints, i);
        bool is_hard = tree_has_text(constraint, "whenUnsatisfiable", "DoNotSchedule");
        compile_rule(query, table, is_hard ? RULE_SPREAD : RULE_SPREAD_SOFT, constraint, 0);
    }
    for (size_t n = 0; n < table->count && table->refusing_count > 0; n++) {
        const struct node_info *node = table->nodes[n];
        for (size_t i = 0; i < node->pod_count && node->refusing_count > 0; i++) {
            if (node->pods[i]->refusals != NULL) {
                count_refusals(query, node, node->pods[i], 1);
            }
        }
    }
    settle(query);
}

void pod_query_count(struct pod_query *query, const struct node_info *node,
                     const struct pod_info *pod, int sign)
{
    for (size_t i = 0; i < query->rule_count; i++) {
        struct pod_rule *rule = &query->rules[i];
        const char *domain = domain_of(node, rule->key);
        if (rule->type != RULE_REFUSED && domain != NULL && is_eligible(query, rule, node) &&
            rule_selects(query, rule, pod)) {
            add_to_domain(rule, domain, sign);
        }
    }
    if (pod->refusals != NULL) {
        count_refusals(query, node, pod, sign);
    }
    settle(query);
}

static const char *spread_misfit(const struct pod_rule *rule, const char *domain)
{
    if (domain == NULL) {
        return "node(s) didn't match pod topology spread constraints (missing required label)";
    }
    int64_t skew = domain_count(rule, domain) + rule->selects_self - rule->least;
    return skew > tree_int(rule->term, "maxSkew", 1)
               ? "node(s) didn't match pod topology spread constraints"
               : NULL;
}

static const char *rule_misfit(const struct pod_rule *rule, const struct node_info *node)
{
    const char *domain = domain_of(node, rule->key);
    int64_t here = domain == NULL ? 0 : domain_count(rule, domain);
    switch (rule->type) {
    case RULE_SPREAD:
        return spread_misfit(rule, domain);
    case RULE_NEAR:
        /* The first pod of a group that wants to be together may go anywhere. */
        return domain == NULL || (here == 0 && (rule->total > 0 || !rule->selects_self))
                   ? "node(s) didn't match pod affinity rules"
                   : NULL;
    case RULE_APART:
        return here > 0 ? "node(s) didn't match pod anti-affinity rules" : NULL;
    case RULE_REFUSED:
        return here > 0 ? "node(s) didn't satisfy existing pods anti-affinity rules" : NULL;
    case RULE_PREFERENCE:
    case RULE_SPREAD_SOFT:
        break;
    }
    return NULL;
}

const char *topology_misfit(const struct pod_query *query, const struct node_info *node)
{
    const char *reason = NULL;
    for (size_t i = 0; i < query->rule_count && reason == NULL; i++) {
        reason = rule_misfit(&query->rules[i], node);
    }
    return reason;
}

/* Without constraints, pods of one controller keep apart. */
static int64_t siblings_on(const struct pod_query *query, const struct node_info *node)
{
    int64_t count = 0;
    for (size_t i = 0; query->controller_uid != NULL && i < node->pod_count; i++) {
        const struct pod_info *other = node->pods[i];
        count += other->controller_hash == query->controller_hash &&
                 other->controller_uid != NULL &&
                 strcmp(other->controller_uid, query->controller_uid) == 0;
    }
    return count;
}

int64_t topology_score(const struct pod_query *query, const struct node_info *node)
{
    int64_t score = 0;
    int64_t crowd = 0;
    bool has_spread = false;
    for (size_t i = 0; i < query->rule_count; i++) {
        const struct pod_rule *rule = &query->rules[i];
        const char *domain = domain_of(node, rule->key);
        int64_t here = domain == NULL ? 0 : domain_count(rule, domain);
        if (rule->type == RULE_PREFERENCE) {
            score += here > 0 ? AFFINITY_WEIGHT * rule->weight : 0;
        } else if (is_spread(rule)) {
            has_spread = true;
            crowd += here;
        }
    }
    crowd = has_spread ? crowd : siblings_on(query, node);
    return score - CROWD_WEIGHT * crowd;
}
