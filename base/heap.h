/* heap.h - an intrusive binary min-heap that can also remove from the middle. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEAP_ABSENT = UINT32_MAX };

/* Embed it; set position to HEAP_ABSENT (heap_node_init) before the first use. */
struct heap_node {
    uint32_t position;
};

typedef bool heap_less(const struct heap_node *a, const struct heap_node *b);

struct heap {
    struct heap_node **nodes;
    uint32_t count;
    uint32_t capacity;
    heap_less *less;
};

static inline void heap_node_init(struct heap_node *node)
{
    node->position = HEAP_ABSENT;
}

static inline bool heap_contains(const struct heap_node *node)
{
    return node->position != HEAP_ABSENT;
}

void heap_init(struct heap *heap, heap_less *less);
void heap_deinit(struct heap *heap);
void heap_clear(struct heap *heap); /* every node is absent then */
void heap_insert(struct heap *heap, struct heap_node *node);
void heap_remove(struct heap *heap, struct heap_node *node); /* absent is fine */
void heap_update(struct heap *heap, struct heap_node *node); /* its key changed */
struct heap_node *heap_peek(const struct heap *heap);        /* NULL when empty */
struct heap_node *heap_pop(struct heap *heap);               /* NULL when empty */

#endif
