/* store_memory.h - a store in memory, for tests and the simulator.
 *
 * Completions and events wait in a queue until store_memory_step. */
#ifndef ORCHESTRATOR_REGISTRY_STORE_MEMORY_H
#define ORCHESTRATOR_REGISTRY_STORE_MEMORY_H

#include "orchestrator/registry/store.h"

struct store_memory;

struct store_memory *store_memory_new(void);
void store_memory_free(struct store_memory *memory); /* what is queued is dropped */
struct store *store_memory_store(struct store_memory *memory);

/* Run one queued completion or event; false when there is none. */
bool store_memory_step(struct store_memory *memory);
/* The next commits fail with this code and, if after is set, have taken effect all the same. */
void store_memory_fail_commits(struct store_memory *memory, int code, unsigned count, bool after);
/* The follower loses the events of the past and gets a new listing. */
void store_memory_lose_history(struct store_memory *memory);
uint64_t store_memory_revision(const struct store_memory *memory);
size_t store_memory_count(const struct store_memory *memory, const char *prefix);

#endif
