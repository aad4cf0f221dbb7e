/* From a revision's changes to the queues of the streams, one watcher's events together. */
#include "base/check.h"
#include "base/mem.h"
#include "kvstore/mvcc/planted.h"
#include "kvstore/watch/watch_internal.h"

/* The value before; left out when the revision before is compacted (etcd reads it at main - 1). */
static void load_previous(struct watch_hub *hub, struct watch_event *event,
                          struct revision previous)
{
    event->has_previous = true;
    if (previous.main != 0 && event->at.main - 1 >= mvcc_compact_revision(hub->mvcc)) {
        event->previous = mvcc_get_blob(hub->mvcc, previous);
    }
}

static void add_delivery(struct watch_hub *hub, struct watcher *watcher, struct watch_event *event)
{
    if (hub->delivery_count == hub->delivery_capacity) {
        hub->delivery_capacity = hub->delivery_capacity == 0 ? 64 : hub->delivery_capacity * 2;
        hub->deliveries =
            mem_reallocarray(hub->deliveries, hub->delivery_capacity, sizeof *hub->deliveries);
    }
    event->reference_count += 1;
    hub->deliveries[hub->delivery_count++] = (struct watch_delivery){watcher, event};
}

static bool wants(const struct watcher *watcher, const struct mvcc_change *change)
{
    if (change->at.main < watcher->next && !PLANTED(54)) {
        return false;
    }
    return !(change->is_delete ? watcher->no_delete : watcher->no_put);
}

void watch_offer(struct watch_hub *hub, const struct watch_index *index,
                 const struct mvcc_change *change)
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
        add_delivery(hub, watcher, event);
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
static bool needs_sorting(const struct watch_hub *hub)
{
    bool is_sorted = true;
    bool is_one_event = true;
    for (uint32_t i = 1; i < hub->delivery_count; i++) {
        const struct watch_delivery *before = &hub->deliveries[i - 1];
        is_sorted = is_sorted && before->watcher->serial <= hub->deliveries[i].watcher->serial;
        is_one_event = is_one_event && before->event == hub->deliveries[i].event;
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

void watch_flush(struct watch_hub *hub, int64_t main)
{
    if (needs_sorting(hub)) {
        sort_deliveries(hub->deliveries, hub->delivery_count);
    }
    for (uint32_t i = 0; i < hub->delivery_count;) {
        uint32_t end = i + 1;
        while (end < hub->delivery_count &&
               hub->deliveries[end].watcher == hub->deliveries[i].watcher) {
            end += 1;
        }
        deliver_group(hub->deliveries[i].watcher, &hub->deliveries[i], end - i, main);
        i = end;
    }
    for (uint32_t i = 0; i < hub->delivery_count; i++) {
        watch_event_unref(hub->deliveries[i].event);
    }
    hub->delivery_count = 0;
}

void watch_hub_notify(struct watch_hub *hub, const struct mvcc_change *changes, uint32_t count)
{
    if (list_is_empty(&hub->synced)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        watch_offer(hub, &hub->synced_index, &changes[i]);
    }
    watch_flush(hub, changes[0].at.main);
}
