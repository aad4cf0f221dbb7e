#include "kvstore/mvcc/pending.h"

#include "base/check.h"
#include "base/mem.h"

enum { PENDING_CAPACITY_MIN = 64, PENDING_CAPACITY_KEPT = 4096 };

void pending_deinit(struct pending *pending)
{
    for (uint32_t i = 0; i < pending->count; i++) {
        blob_unref(pending_item(pending, i)->kv);
    }
    mem_free(pending->items);
    *pending = (struct pending){0};
}

const struct pending_item *pending_item(const struct pending *pending, uint32_t position)
{
    CHECK(position < pending->count);
    return &pending->items[(pending->first + position) & (pending->capacity - 1)];
}

static void resize(struct pending *pending, uint32_t capacity)
{
    struct pending_item *items = mem_reallocarray(NULL, capacity, sizeof *items);
    for (uint32_t i = 0; i < pending->count; i++) {
        items[i] = *pending_item(pending, i);
    }
    mem_free(pending->items);
    pending->items = items;
    pending->capacity = capacity;
    pending->first = 0;
}

void pending_push(struct pending *pending, struct pending_item item)
{
    if (pending->count == pending->capacity) {
        CHECK(pending->capacity <= UINT32_MAX / 2);
        resize(pending,
               pending->capacity == 0 ? (uint32_t)PENDING_CAPACITY_MIN : pending->capacity * 2);
    }
    CHECK(pending->count == 0 ||
          revision_compare(pending_item(pending, pending->count - 1)->at, item.at) < 0);
    pending->items[(pending->first + pending->count) & (pending->capacity - 1)] = item;
    pending->count += 1;
    pending->bytes += item.kv->size;
}

void pending_drop(struct pending *pending, uint64_t sequence)
{
    while (pending->count > 0 && pending->items[pending->first].sequence <= sequence) {
        struct pending_item *item = &pending->items[pending->first];
        pending->bytes -= item->kv->size;
        blob_unref(item->kv);
        pending->first = (pending->first + 1) & (pending->capacity - 1);
        pending->count -= 1;
    }
    if (pending->count == 0 && pending->capacity > PENDING_CAPACITY_KEPT) {
        pending_deinit(pending); /* a burst is over: give its memory back */
    }
}

uint32_t pending_position(const struct pending *pending, struct revision at)
{
    uint32_t low = 0;
    uint32_t high = pending->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (revision_compare(pending_item(pending, middle)->at, at) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct pending_item *pending_find(const struct pending *pending, struct revision at)
{
    uint32_t position = pending_position(pending, at);
    if (position == pending->count || revision_compare(pending_item(pending, position)->at, at)) {
        return NULL;
    }
    return pending_item(pending, position);
}
