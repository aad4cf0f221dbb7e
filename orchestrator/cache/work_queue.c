#include "orchestrator/cache/work_queue.h"

#include <string.h>

#include "base/check.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct item {
    struct heap_node node;
    uint64_t due_ms;
    uint64_t order; /* equal times: first come, first served */
    uint32_t failures;
    bool is_working;
    bool is_wanted_again; /* added while it was worked on */
    uint64_t again_ms;
    char key[];
};

struct work_queue {
    struct heap due;
    struct bytes_map items;
    uint64_t order;
    uint64_t retry_ms_min;
    uint64_t retry_ms_max;
    size_t working_count;
};

static bool item_less(const struct heap_node *a, const struct heap_node *b)
{
    const struct item *x = container_of(a, struct item, node);
    const struct item *y = container_of(b, struct item, node);
    return x->due_ms != y->due_ms ? x->due_ms < y->due_ms : x->order < y->order;
}

struct work_queue *work_queue_new(uint64_t retry_ms_min, uint64_t retry_ms_max)
{
    CHECK(retry_ms_min > 0 && retry_ms_min <= retry_ms_max);
    struct work_queue *queue = mem_zalloc(sizeof(*queue));
    heap_init(&queue->due, item_less);
    bytes_map_init(&queue->items);
    queue->retry_ms_min = retry_ms_min;
    queue->retry_ms_max = retry_ms_max;
    return queue;
}

void work_queue_free(struct work_queue *queue)
{
    if (queue == NULL) {
        return;
    }
    size_t cursor = 0;
    struct bytes key;
    void *item = NULL;
    while (bytes_map_next(&queue->items, &cursor, &key, &item)) {
        mem_free(item);
    }
    bytes_map_deinit(&queue->items);
    heap_deinit(&queue->due);
    mem_free(queue);
}

static struct item *find_item(const struct work_queue *queue, const char *key)
{
    return bytes_map_find(&queue->items, bytes_from_text(key));
}

static void schedule(struct work_queue *queue, struct item *item, uint64_t due_ms)
{
    if (heap_contains(&item->node)) {
        if (item->due_ms <= due_ms) {
            return;
        }
        item->due_ms = due_ms;
        heap_update(&queue->due, &item->node);
        return;
    }
    item->due_ms = due_ms;
    item->order = queue->order++;
    heap_insert(&queue->due, &item->node);
}

void work_queue_add_after(struct work_queue *queue, const char *key, uint64_t now_ms,
                          uint64_t delay_ms)
{
    struct item *item = find_item(queue, key);
    if (item == NULL) {
        size_t size = strlen(key) + 1;
        item = mem_zalloc(sizeof(*item) + size);
        memcpy(item->key, key, size);
        heap_node_init(&item->node);
        (void)bytes_map_set(&queue->items, bytes_from_text(key), item);
    }
    uint64_t due_ms = now_ms + delay_ms;
    if (item->is_working) {
        item->again_ms = item->is_wanted_again && item->again_ms < due_ms ? item->again_ms : due_ms;
        item->is_wanted_again = true;
        return;
    }
    schedule(queue, item, due_ms);
}

void work_queue_add(struct work_queue *queue, const char *key, uint64_t now_ms)
{
    work_queue_add_after(queue, key, now_ms, 0);
}

const char *work_queue_take(struct work_queue *queue, uint64_t now_ms)
{
    struct heap_node *node = heap_peek(&queue->due);
    struct item *item = node == NULL ? NULL : container_of(node, struct item, node);
    if (item == NULL || item->due_ms > now_ms) {
        return NULL;
    }
    (void)heap_pop(&queue->due);
    item->is_working = true;
    queue->working_count++;
    return item->key;
}

static struct item *finish(struct work_queue *queue, const char *key)
{
    struct item *item = find_item(queue, key);
    CHECK(item != NULL && item->is_working);
    item->is_working = false;
    queue->working_count--;
    return item;
}

void work_queue_done(struct work_queue *queue, const char *key, uint64_t now_ms)
{
    (void)now_ms;
    struct item *item = finish(queue, key);
    item->failures = 0;
    if (item->is_wanted_again) {
        item->is_wanted_again = false;
        schedule(queue, item, item->again_ms);
        return;
    }
    (void)bytes_map_remove(&queue->items, bytes_from_text(item->key));
    mem_free(item);
}

void work_queue_retry(struct work_queue *queue, const char *key, uint64_t now_ms)
{
    struct item *item = finish(queue, key);
    uint64_t delay_ms = queue->retry_ms_min;
    for (uint32_t i = 0; i < item->failures && delay_ms < queue->retry_ms_max; i++) {
        delay_ms *= 2;
    }
    item->failures++;
    item->is_wanted_again = false;
    schedule(queue, item,
             now_ms + (delay_ms > queue->retry_ms_max ? queue->retry_ms_max : delay_ms));
}

uint64_t work_queue_deadline(const struct work_queue *queue)
{
    const struct heap_node *node = heap_peek(&queue->due);
    return node == NULL ? UINT64_MAX : container_of(node, struct item, node)->due_ms;
}

bool work_queue_is_idle(const struct work_queue *queue)
{
    return heap_peek(&queue->due) == NULL && queue->working_count == 0;
}
