#include "base/heap.h"

#include "base/check.h"
#include "base/mem.h"

enum { HEAP_CAPACITY_MIN = 16 };

void heap_init(struct heap *heap, heap_less *less)
{
    *heap = (struct heap){.less = less};
}

void heap_deinit(struct heap *heap)
{
    mem_free(heap->nodes);
    *heap = (struct heap){.less = heap->less};
}

void heap_clear(struct heap *heap)
{
    for (uint32_t i = 0; i < heap->count; i++) {
        heap->nodes[i]->position = HEAP_ABSENT;
    }
    heap->count = 0;
}

static void place(struct heap *heap, uint32_t position, struct heap_node *node)
{
    heap->nodes[position] = node;
    node->position = position;
}

static void sift_up(struct heap *heap, struct heap_node *node)
{
    uint32_t position = node->position;
    while (position > 0) {
        uint32_t parent = (position - 1) / 2;
        if (!heap->less(node, heap->nodes[parent])) {
            break;
        }
        place(heap, position, heap->nodes[parent]);
        position = parent;
    }
    place(heap, position, node);
}

static void sift_down(struct heap *heap, struct heap_node *node)
{
    uint32_t position = node->position;
    for (;;) {
        uint32_t child = position * 2 + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && heap->less(heap->nodes[child + 1], heap->nodes[child])) {
            child += 1;
        }
        if (!heap->less(heap->nodes[child], node)) {
            break;
        }
        place(heap, position, heap->nodes[child]);
        position = child;
    }
    place(heap, position, node);
}

void heap_insert(struct heap *heap, struct heap_node *node)
{
    CHECK(!heap_contains(node));
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity == 0 ? (uint32_t)HEAP_CAPACITY_MIN : heap->capacity * 2;
        heap->nodes = mem_reallocarray(heap->nodes, heap->capacity, sizeof(struct heap_node *));
    }
    place(heap, heap->count, node);
    heap->count += 1;
    sift_up(heap, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!heap_contains(node)) {
        return;
    }
    uint32_t position = node->position;
    CHECK(position < heap->count && heap->nodes[position] == node);
    heap->count -= 1;
    struct heap_node *last = heap->nodes[heap->count];
    node->position = HEAP_ABSENT;
    if (last != node) {
        place(heap, position, last);
        heap_update(heap, last);
    }
}

void heap_update(struct heap *heap, struct heap_node *node)
{
    CHECK(heap_contains(node));
    sift_up(heap, node);
    sift_down(heap, node);
}

struct heap_node *heap_peek(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}

struct heap_node *heap_pop(struct heap *heap)
{
    struct heap_node *first = heap_peek(heap);
    if (first != NULL) {
        heap_remove(heap, first);
    }
    return first;
}
