/* placement.h - may this pod be on this node? The rules that need no other pods. Pure. */
#ifndef ORCHESTRATOR_SCHEDULER_PLACEMENT_H
#define ORCHESTRATOR_SCHEDULER_PLACEMENT_H

#include "orchestrator/objects/tree.h"

/* nodeSelector, and requiredDuringSchedulingIgnoredDuringExecution of nodeAffinity. */
bool placement_matches_node(const json_t *pod_spec, const json_t *node);
/* A NodeSelector (terms are alternatives); NULL matches. */
bool placement_selector_matches(const json_t *node_selector, const json_t *node);
/* One NodeSelectorTerm; an empty one matches nothing. */
bool placement_term_matches(const json_t *term, const json_t *node);
/* The first taint with this effect (NULL: NoSchedule or NoExecute) that the pod does not tolerate;
 * NULL when there is none. Borrowed. */
const json_t *placement_untolerated(const json_t *pod_spec, const json_t *node, const char *effect);
bool placement_tolerates(const json_t *toleration, const json_t *taint);

#endif
