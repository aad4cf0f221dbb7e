#include <string.h>

#include "orchestrator/objects/quantity.h"
#include "orchestrator/registry/plan_parts.h"

struct qos_walk {
    bool has_any;       /* some request or limit of cpu or memory */
    bool is_guaranteed; /* so far every container's limits equal its requests, for both */
};

static void visit(const json_t *container, struct qos_walk *walk)
{
    static const char *const names[] = {"cpu", "memory"};
    const json_t *requests = tree_find(container, "resources.requests");
    const json_t *limits = tree_find(container, "resources.limits");
    for (size_t i = 0; i < 2; i++) {
        quantity request = quantity_in(requests, names[i]);
        quantity limit = quantity_in(limits, names[i]);
        request = json_object_get(requests, names[i]) == NULL ? limit : request;
        walk->has_any = walk->has_any || request > 0 || limit > 0;
        walk->is_guaranteed = walk->is_guaranteed && limit > 0 && request == limit;
    }
}

const char *pod_qos_class(const json_t *pod_spec)
{
    static const char *const lists[] = {"containers", "initContainers"};
    struct qos_walk walk = {.is_guaranteed = true};
    for (size_t l = 0; l < 2; l++) {
        const json_t *list = json_object_get(pod_spec, lists[l]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            visit(json_array_get(list, i), &walk);
        }
    }
    if (!walk.has_any) {
        return "BestEffort";
    }
    return walk.is_guaranteed ? "Guaranteed" : "Burstable";
}
