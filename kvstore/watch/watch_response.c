/* WatchResponse messages from a stream's queue. Source: WatchResponse of the public API. */
#include "base/byte_order.h"
#include "base/check.h"
#include "base/pb.h"
#include "kvstore/mvcc/planted.h"
#include "kvstore/watch/watch_internal.h"

enum {
    LENGTH_BYTES = 4,
    /* Events of following revisions join a response up to this size. */
    JOINED_BYTES_MAX = 64 << 10,
};

static void put_header(const struct watch_hub *hub, struct buf *out, int64_t revision)
{
    size_t mark = pb_begin_message(out, 1);
    pb_put_u64(out, 1, hub->cluster_id);
    pb_put_u64(out, 2, hub->member_id);
    pb_put_i64(out, 3, revision);
    pb_put_u64(out, 4, hub->raft_term);
    pb_end_message(out, mark);
}

static void put_control(const struct watch_hub *hub, struct buf *out, const struct watch_item *item)
{
    put_header(hub, out, item->kind == ITEM_COMPACTED ? 0 : item->revision);
    pb_put_i64(out, 2, item->watch_id);
    pb_put_u64(out, 3, item->kind == ITEM_CREATED);
    bool is_canceled = item->kind == ITEM_CANCELED || item->kind == ITEM_COMPACTED ||
                       (item->kind == ITEM_CREATED && item->reason != NULL);
    pb_put_u64(out, 4, is_canceled);
    pb_put_i64(out, 5, item->kind == ITEM_COMPACTED ? item->revision : 0);
    if (item->reason != NULL) {
        pb_put_text(out, 6, item->reason);
    }
}

static size_t event_size(const struct watch_item *item)
{
    const struct watch_event *event = item->event;
    size_t size = (event->is_delete ? 2U : 0U) + pb_message_size(2, event->kv->size);
    if (item->prev_kv && event->previous != NULL) {
        size += pb_message_size(3, event->previous->size);
    }
    return size;
}

static void put_event(struct buf *out, const struct watch_item *item)
{
    const struct watch_event *event = item->event;
    pb_put_message_head(out, 11, event_size(item));
    pb_put_u64(out, 1, event->is_delete);
    pb_put_message(out, 2, blob_bytes(event->kv));
    if (item->prev_kv && event->previous != NULL) {
        pb_put_message(out, 3, blob_bytes(event->previous));
    }
}

/* Does the next event belong to the same watcher, and to the same revision? */
static bool is_same_watcher(const struct watch_item *a, const struct watch_item *b)
{
    return a->kind == ITEM_EVENT && b->kind == ITEM_EVENT && a->watch_id == b->watch_id;
}

struct run {
    uint32_t count; /* events of this response */
    bool is_fragment;
    int64_t revision;
};

/* How many events at the front make the next response. A revision is cut only for a client that
 * takes fragments. */
static struct run next_run(const struct watch_stream *stream)
{
    size_t size = 0;
    struct run run = {0, false, 0};
    const struct watch_item *head = watch_queue_at(stream, 0);
    size_t fragment_bytes = stream->hub->fragment_bytes;
    while (run.count < stream->count) {
        const struct watch_item *item = watch_queue_at(stream, run.count);
        if (!is_same_watcher(head, item)) {
            break;
        }
        bool same_revision = run.count > 0 && item->event->at.main == run.revision;
        size_t next = event_size(item);
        if (run.count > 0 && !same_revision && size + next > JOINED_BYTES_MAX) {
            break;
        }
        if (PLANTED(56) && same_revision) {
            break;
        }
        if (same_revision && head->fragment && size + next > fragment_bytes) {
            run.is_fragment = true;
            break;
        }
        size += next;
        run.revision = item->event->at.main;
        run.count += 1;
    }
    return run;
}

static void put_events(struct watch_stream *stream, struct buf *out)
{
    struct run run = next_run(stream);
    put_header(stream->hub, out, run.revision);
    pb_put_i64(out, 2, watch_queue_at(stream, 0)->watch_id);
    pb_put_u64(out, 7, run.is_fragment);
    for (uint32_t i = 0; i < run.count; i++) {
        put_event(out, watch_queue_at(stream, 0));
        watch_queue_pop(stream);
    }
}

static void put_response(struct watch_stream *stream, struct buf *out)
{
    uint8_t zero[LENGTH_BYTES] = {0};
    size_t start = buf_size(out);
    buf_append(out, zero, sizeof zero);
    const struct watch_item *head = watch_queue_at(stream, 0);
    if (head->kind == ITEM_EVENT) {
        put_events(stream, out);
    } else {
        put_control(stream->hub, out, head);
        watch_queue_pop(stream);
    }
    size_t size = buf_size(out) - start - LENGTH_BYTES;
    CHECK(size <= UINT32_MAX);
    store_be(out->data + out->start + start, size, LENGTH_BYTES);
}

static void unblock(struct watch_stream *stream)
{
    if (stream->bytes > WATCH_STREAM_BYTES_MAX / 2) {
        return;
    }
    while (!list_is_empty(&stream->blocked)) {
        watcher_set_state(container_of(stream->blocked.next, struct watcher, in_state),
                          WATCHER_WAITING);
    }
}

bool watch_take_next(struct bytes *taken, struct bytes *ret_message)
{
    if (taken->size == 0) {
        return false;
    }
    CHECK(taken->size >= LENGTH_BYTES);
    size_t size = (size_t)load_be(taken->data, LENGTH_BYTES);
    CHECK(size <= taken->size - LENGTH_BYTES);
    *ret_message = bytes_make(taken->data + LENGTH_BYTES, size);
    *taken = bytes_make(taken->data + LENGTH_BYTES + size, taken->size - LENGTH_BYTES - size);
    return true;
}

uint32_t watch_stream_take(struct watch_stream *stream, struct buf *out, size_t max_bytes)
{
    uint32_t count = 0;
    size_t start = buf_size(out);
    while (stream->count > 0 && buf_size(out) - start <= max_bytes) {
        put_response(stream, out);
        count += 1;
    }
    stream->is_reported = false;
    list_remove(&stream->in_ready);
    if (stream->count > 0) {
        stream->is_reported = true; /* the caller saw that there is more */
    }
    unblock(stream);
    return count;
}
