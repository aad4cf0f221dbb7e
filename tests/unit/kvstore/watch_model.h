/* watch_model.h - a random run of a store with watchers, checked against the log of all changes. */
#ifndef TESTS_UNIT_KVSTORE_WATCH_MODEL_H
#define TESTS_UNIT_KVSTORE_WATCH_MODEL_H

#include <stdint.h>

/* NULL, or the guarantee that was broken. The same seed gives the same run. */
const char *watch_model_run(uint64_t seed, uint32_t steps);

#endif
