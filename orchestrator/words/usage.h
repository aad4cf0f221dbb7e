/* usage.h - what pods ask for and what nodes have, in numbers. */
#ifndef ORCHESTRATOR_WORDS_USAGE_H
#define ORCHESTRATOR_WORDS_USAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct usage {
    int64_t cpu_milli;
    int64_t memory_bytes;
    int64_t pods;
};

/* Of a map such as {"cpu": "100m", "memory": "64Mi"}; what is absent or no quantity counts as 0. */
struct usage usage_of(const json_t *map);
/* Requests of all its containers. */
struct usage usage_of_pod(const json_t *pod);
/* Neither succeeded nor failed. */
bool usage_is_active(const json_t *pod);
/* "250m", "1.5Gi" into text. */
enum { USAGE_TEXT_SIZE = 32 };
const char *usage_cpu_text(int64_t milli, char text[USAGE_TEXT_SIZE]);
const char *usage_memory_text(int64_t bytes, char text[USAGE_TEXT_SIZE]);

#endif
