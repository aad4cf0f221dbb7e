/* orch_world.h - a whole control plane in one process: memory store, registry, controllers,
 * scheduler, and nodes whose pods run at once. Time is virtual. */
#ifndef TESTS_UNIT_ORCHESTRATOR_ORCH_WORLD_H
#define TESTS_UNIT_ORCHESTRATOR_ORCH_WORLD_H

#include "orchestrator/controllers/runtime.h"
#include "orchestrator/registry/store_memory.h"
#include "orchestrator/scheduler/loop.h"

struct orch_world {
    struct store_memory *memory;
    struct registry *registry;
    struct runtime *runtime;
    struct scheduler_loop *scheduler;
    struct timers timers;
    struct prng prng;
    bool runs_pods;          /* pods that have a node get ready by themselves */
    const char *silent_node; /* all others say every ten seconds that they live; NULL: none */
};

struct orch_world *orch_world_new(uint64_t seed);
void orch_world_free(struct orch_world *world);
/* Everything that is due now, until nothing happens any more. */
void orch_world_settle(struct orch_world *world);
/* Let time pass, with all that falls due in it. */
void orch_world_pass(struct orch_world *world, uint64_t ms);
/* One request, answered: the code; *ret_body (may be NULL) is new. */
int orch_world_ask(struct orch_world *world, enum request_verb verb, const char *storage,
                   const char *namespace, const char *name, const char *subresource,
                   const char *body_text, json_t **ret_body);
void orch_world_add_node(struct orch_world *world, const char *name);
/* The settled state of an object; NULL when there is none. Borrowed until something happens. */
const json_t *orch_world_find(const struct orch_world *world, const char *storage,
                              const char *name);
/* Objects in the namespace default whose label key has this value (NULL: any). */
size_t orch_world_count(const struct orch_world *world, const char *storage, const char *key,
                        const char *value);

#endif
