/* kv_model.h - a random run of the store beside a naive one that keeps a full copy of every
 * revision. */
#ifndef TESTS_UNIT_KVSTORE_KV_MODEL_H
#define TESTS_UNIT_KVSTORE_KV_MODEL_H

#include <stdint.h>

/* NULL, or what was different. The same seed gives the same run. */
const char *kv_model_run(uint64_t seed, uint32_t steps);

#endif
