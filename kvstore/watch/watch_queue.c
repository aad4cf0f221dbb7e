/* The queue of a stream: answers and shared events that wait for the client to read. */
#include "base/check.h"
#include "base/mem.h"
#include "kvstore/watch/watch_internal.h"

enum {
    EVENT_OVERHEAD = 64,
    STREAM_FAIR_BYTES = 64 << 10, /* below it the hub's limit does not count */
};

struct watch_event *watch_event_new(const struct mvcc_change *change)
{
    struct watch_event *event = mem_zalloc(sizeof *event);
    event->reference_count = 1;
    event->is_delete = change->is_delete;
    event->at = change->at;
    event->kv = blob_ref(change->kv);
    return event;
}

void watch_event_unref(struct watch_event *event)
{
    if (event == NULL) {
        return;
    }
    CHECK(event->reference_count > 0);
    event->reference_count -= 1;
    if (event->reference_count == 0) {
        blob_unref(event->kv);
        blob_unref(event->previous);
        mem_free(event);
    }
}

size_t watch_event_bytes(const struct watch_event *event)
{
    CHECK(event != NULL);
    return EVENT_OVERHEAD + event->kv->size + blob_bytes(event->previous).size;
}

static void grow(struct watch_stream *stream)
{
    CHECK(stream->capacity <= UINT32_MAX / 2);
    uint32_t capacity = stream->capacity == 0 ? 4 : stream->capacity * 2;
    struct watch_item *items = mem_reallocarray(NULL, capacity, sizeof *items);
    for (uint32_t i = 0; i < stream->count; i++) {
        items[i] = *watch_queue_at(stream, i);
    }
    mem_free(stream->items);
    stream->items = items;
    stream->capacity = capacity;
    stream->first = 0;
}

const struct watch_item *watch_queue_at(const struct watch_stream *stream, uint32_t position)
{
    return &stream->items[(stream->first + position) & (stream->capacity - 1)];
}

void watch_queue_push(struct watch_stream *stream, struct watch_item item)
{
    if (stream->count == stream->capacity) {
        grow(stream);
    }
    stream->items[(stream->first + stream->count) & (stream->capacity - 1)] = item;
    stream->count += 1;
    stream->hub->item_count += 1;
    if (item.kind == ITEM_EVENT) {
        stream->bytes += watch_event_bytes(item.event);
        stream->hub->bytes += watch_event_bytes(item.event);
    } else {
        stream->controls += 1;
    }
    if (!stream->is_reported && list_is_empty(&stream->in_ready)) {
        list_push_back(&stream->hub->ready, &stream->in_ready);
    }
}

void watch_queue_control(struct watch_stream *stream, enum watch_item_kind kind, int64_t watch_id,
                         int64_t revision, const char *reason)
{
    watch_queue_push(stream, (struct watch_item){
                                 .kind = kind,
                                 .watch_id = watch_id,
                                 .revision = revision,
                                 .reason = reason == NULL ? NULL : mem_strdup(reason),
                             });
}

void watch_queue_pop(struct watch_stream *stream)
{
    CHECK(stream->count > 0);
    struct watch_item *item = &stream->items[stream->first];
    if (item->kind == ITEM_EVENT) {
        stream->bytes -= watch_event_bytes(item->event);
        stream->hub->bytes -= watch_event_bytes(item->event);
        watch_event_unref(item->event);
    } else {
        stream->controls -= 1;
        mem_free(item->reason);
    }
    stream->first = (stream->first + 1) & (stream->capacity - 1);
    stream->count -= 1;
    stream->hub->item_count -= 1;
    if (stream->count == 0 && stream->capacity > 64) {
        mem_free(stream->items); /* a burst is over: an idle stream is small */
        stream->items = NULL;
        stream->capacity = 0;
        stream->first = 0;
    }
}

bool watch_queue_is_full(const struct watch_stream *stream)
{
    return stream->bytes >= WATCH_STREAM_BYTES_MAX ||
           (stream->hub->bytes >= WATCH_HUB_BYTES_MAX && stream->bytes >= STREAM_FAIR_BYTES);
}
