/* work_queue.h - keys to work on: each once, later again with growing delays when it failed.
 *
 * Pure: the owner says what time it is (milliseconds, monotonic). A key that is added while it is
 * worked on is worked on once more afterwards. */
#ifndef ORCHESTRATOR_CACHE_WORK_QUEUE_H
#define ORCHESTRATOR_CACHE_WORK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct work_queue;

struct work_queue *work_queue_new(uint64_t retry_ms_min, uint64_t retry_ms_max);
void work_queue_free(struct work_queue *queue);

void work_queue_add(struct work_queue *queue, const char *key, uint64_t now_ms);
/* Not before this delay; an earlier wish for the same key stays. */
void work_queue_add_after(struct work_queue *queue, const char *key, uint64_t now_ms,
                          uint64_t delay_ms);
/* The next key that is due, in the order of their times; NULL when none is. It belongs to the
 * caller until work_queue_done or work_queue_retry, and is valid that long. */
const char *work_queue_take(struct work_queue *queue, uint64_t now_ms);
void work_queue_done(struct work_queue *queue, const char *key, uint64_t now_ms);
/* It failed: again after retry_ms_min, doubled with each failure in a row. */
void work_queue_retry(struct work_queue *queue, const char *key, uint64_t now_ms);
/* When the next key is due; UINT64_MAX: none waits. */
uint64_t work_queue_deadline(const struct work_queue *queue);
bool work_queue_is_idle(const struct work_queue *queue); /* nothing waits, nothing is worked on */

#endif
