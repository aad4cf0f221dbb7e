/* From a revision's changes to the queues of the streams, one watcher's events together. */
#include "base/check.h"
#include "base/mem.h"
#include "kvstore/mvcc/planted.h"
#include "kvstore/watch/watch_internal.h"

enum { DELIVERIES_KEPT = 4096 };

/* The value before; left out when the revision before is compacted (etcd reads it at main - 1). */
static void load_previous(struct watch_hub *hub, struct watch_event *event,
                          struct revision previous)
{
    event->has_previous = true;
    if (previous.main != 0 && event->at.main - 1 >= mvcc_compact_revision(hub->mvcc)) {
        event->previous = mvcc_get_blob(hub->mvcc, previous);
    }
}

static void add_delivery(struct watch_deliveries *to, struct watcher *watcher,
                         struct watch_event *event)
{
    if (to->count == to->capacity) {
        to->capacity = to->capacity == 0 ? 64 : to->capacity * 2;
        to->items = mem_reallocarray(to->items, to->capacity, sizeof *to->items);
    }
    event->reference_count += 1;
    to->items[to->count++] = (struct watch_delivery){watcher, event};
}

static bool wants(const struct watcher *watcher, const struct mvcc_change *change)
{
    if (change->at.main < watcher->next && !PLANTED(54)) {
        return false;
    }
    return !(change->is_delete ? watcher->no_delete : watcher->no_put);
}

void watch_offer(struct watch_hub *hub, const struct watch_index *index,
                 const struct mvcc_change *change, struct watch_deliveries *to)
{
    watch_index_find(index, change->key, &hub->matches);
    struct watch_event *event = NULL;
    for (uint32_t i = 0; i < hub->matches.count; i++) {
        struct watcher *watcher = container_of(hub->matches.nodes[i], struct watcher, node);
        if (!wants(watcher, change)) {
            continue;
        }
        if (event == NULL) {
            event = watch_event_new(change);
        }
        if (watcher->prev_kv && !event->has_previous) {
            load_previous(hub, event, change->previous);
        }
        add_delivery(to, watcher, event);
    }
    watch_event_unref(event);
}

/* Stable merge sort by watcher, so that each one's events of the revision are together. */
static void sort_deliveries(struct watch_delivery *items, uint32_t count)
{
    struct watch_delivery *other = mem_reallocarray(NULL, count, sizeof *other);
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t at = 0; at < count; at += 2 * width) {
            uint32_t middle = count - at < width ? count : at + width;
            uint32_t end = count - at < 2 * width ? count : at + 2 * width;
            uint32_t a = at;
            uint32_t b = middle;
            for (uint32_t to = at; to < end; to++) {
                bool take_a = a < middle &&
                              (b == end || items[a].watcher->serial <= items[b].watcher->serial);
                other[to] = take_a ? items[a++] : items[b++];
            }
        }
        memcpy(items, other, count * sizeof *items);
    }
    mem_free(other);
}

/* One change gives each watcher one event; with more, a watcher's events may lie apart. */
static bool needs_sorting(const struct watch_deliveries *deliveries)
{
    bool is_sorted = true;
    bool is_one_event = true;
    for (uint32_t i = 1; i < deliveries->count; i++) {
        const struct watch_delivery *before = &deliveries->items[i - 1];
        const struct watch_delivery *item = &deliveries->items[i];
        is_sorted = is_sorted && before->watcher->serial <= item->watcher->serial;
        is_one_event = is_one_event && before->event == item->event;
    }
    return !is_sorted && !is_one_event;
}

/* All events that one watcher gets from the revision, or none and its position. */
static void deliver_group(struct watcher *watcher, const struct watch_delivery *items,
                          uint32_t count, int64_t main)
{
    struct watch_stream *stream = watcher->stream;
    if (watch_queue_is_full(stream)) {
        if (!PLANTED(52)) {
            watcher->next = main;
            watcher_set_state(watcher, WATCHER_BLOCKED);
        }
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        items[i].event->reference_count += 1;
        watch_queue_push(stream, (struct watch_item){
                                     .kind = ITEM_EVENT,
                                     .prev_kv = watcher->prev_kv,
                                     .fragment = watcher->fragment,
                                     .watch_id = watcher->id,
                                     .event = items[i].event,
                                 });
    }
    watcher->next = main + 1;
    watcher->had_event = true;
}

void watch_flush(struct watch_deliveries *deliveries, int64_t main)
{
    struct watch_delivery *items = deliveries->items;
    if (needs_sorting(deliveries)) {
        sort_deliveries(items, deliveries->count);
    }
    for (uint32_t i = 0; i < deliveries->count;) {
        uint32_t end = i + 1;
        while (end < deliveries->count && items[end].watcher == items[i].watcher) {
            end += 1;
        }
        deliver_group(items[i].watcher, &items[i], end - i, main);
        i = end;
    }
    watch_deliveries_drop(deliveries, NULL);
}

void watch_deliveries_drop(struct watch_deliveries *deliveries, const struct watcher *watcher)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < deliveries->count; i++) {
        if (watcher != NULL && deliveries->items[i].watcher != watcher) {
            deliveries->items[kept++] = deliveries->items[i];
        } else {
            watch_event_unref(deliveries->items[i].event);
        }
    }
    deliveries->count = kept;
    if (kept == 0 && deliveries->capacity > DELIVERIES_KEPT) {
        watch_deliveries_deinit(deliveries);
    }
}

void watch_deliveries_deinit(struct watch_deliveries *deliveries)
{
    for (uint32_t i = 0; i < deliveries->count; i++) {
        watch_event_unref(deliveries->items[i].event);
    }
    mem_free(deliveries->items);
    *deliveries = (struct watch_deliveries){.items = NULL};
}

/* Too much for one go: everybody reads it from the store, in slices. */
static void postpone(struct watch_hub *hub, int64_t main)
{
    while (!list_is_empty(&hub->synced)) {
        struct watcher *watcher = container_of(hub->synced.next, struct watcher, in_state);
        watcher->next = main > watcher->next ? main : watcher->next;
        watcher_set_state(watcher, WATCHER_WAITING);
    }
}

void watch_hub_notify(struct watch_hub *hub, const struct mvcc_change *changes, uint32_t count)
{
    if (list_is_empty(&hub->synced)) {
        return;
    }
    if (count > WATCH_CHANGES_AT_ONCE_MAX) {
        postpone(hub, changes[0].at.main);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        watch_offer(hub, &hub->synced_index, &changes[i], &hub->fresh);
    }
    watch_flush(&hub->fresh, changes[0].at.main);
}
