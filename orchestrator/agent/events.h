/* events.h - Events about pods and the node, with kubelet's words. */
#ifndef ORCHESTRATOR_AGENT_EVENTS_H
#define ORCHESTRATOR_AGENT_EVENTS_H

#include "orchestrator/agent/api.h"

struct events {
    struct api *api;
    const char *node_name;
    uint64_t count; /* makes names different */
};

/* unit NULL: about the object as a whole. The same again within a while only counts up. */
__attribute__((format(printf, 6, 7))) void events_add(struct events *events, const json_t *object,
                                                      const char *unit, const char *type,
                                                      const char *reason, const char *format, ...);

#endif
