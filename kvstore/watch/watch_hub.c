#include "kvstore/watch/watch_hub.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "kvstore/watch/watch_internal.h"

struct watch_hub *watch_hub_new(struct mvcc *mvcc)
{
    struct watch_hub *hub = mem_zalloc(sizeof *hub);
    hub->mvcc = mvcc;
    hub->fragment_bytes = WATCH_FRAGMENT_BYTES_DEFAULT;
    list_init(&hub->streams);
    list_init(&hub->ready);
    list_init(&hub->synced);
    list_init(&hub->waiting);
    list_init(&hub->active);
    list_init(&hub->progress);
    watch_index_init(&hub->synced_index);
    watch_index_init(&hub->active_index);
    return hub;
}

void watch_hub_free(struct watch_hub *hub)
{
    if (hub == NULL) {
        return;
    }
    while (!list_is_empty(&hub->streams)) {
        watch_stream_free(container_of(hub->streams.next, struct watch_stream, in_hub));
    }
    watch_index_deinit(&hub->synced_index);
    watch_index_deinit(&hub->active_index);
    watch_matches_deinit(&hub->matches);
    watch_deliveries_deinit(&hub->fresh);
    watch_deliveries_deinit(&hub->passed);
    mem_free(hub);
}

void watch_hub_set_identity(struct watch_hub *hub, uint64_t cluster_id, uint64_t member_id)
{
    hub->cluster_id = cluster_id;
    hub->member_id = member_id;
}

void watch_hub_set_term(struct watch_hub *hub, uint64_t raft_term)
{
    hub->raft_term = raft_term;
}

void watch_hub_set_fragment_bytes(struct watch_hub *hub, size_t bytes)
{
    hub->fragment_bytes = bytes;
}

/* --- streams --------------------------------------------------------------------------------- */

struct watch_stream *watch_stream_new(struct watch_hub *hub, void *context)
{
    struct watch_stream *stream = mem_zalloc(sizeof *stream);
    stream->hub = hub;
    stream->context = context;
    list_push_back(&hub->streams, &stream->in_hub);
    list_init(&stream->in_ready);
    list_init(&stream->blocked);
    u64_map_init(&stream->watchers);
    hub->stream_count += 1;
    return stream;
}

void watch_stream_free(struct watch_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    size_t cursor = 0;
    uint64_t id;
    void *watcher;
    while (u64_map_next(&stream->watchers, &cursor, &id, &watcher)) {
        watcher_free(watcher);
    }
    u64_map_deinit(&stream->watchers);
    while (stream->count > 0) {
        watch_queue_pop(stream);
    }
    mem_free(stream->items);
    list_remove(&stream->in_ready);
    list_remove(&stream->in_hub);
    stream->hub->stream_count -= 1;
    mem_free(stream);
}

void *watch_hub_next_ready(struct watch_hub *hub)
{
    struct list *item = list_pop_front(&hub->ready);
    if (item == NULL) {
        return NULL;
    }
    struct watch_stream *stream = container_of(item, struct watch_stream, in_ready);
    stream->is_reported = true;
    return stream->context;
}

bool watch_stream_has_output(const struct watch_stream *stream)
{
    return stream->count > 0;
}

/* --- watchers -------------------------------------------------------------------------------- */

/* Take it out of where its state keeps it, put it where the new one does. */
void watcher_set_state(struct watcher *watcher, enum watcher_state state)
{
    struct watch_hub *hub = watcher->stream->hub;
    if (watcher->node.group != NULL) {
        watch_index_remove(watcher->state == WATCHER_SYNCED ? &hub->synced_index
                                                            : &hub->active_index,
                           &watcher->node);
    }
    list_remove(&watcher->in_state);
    watcher->stream->unsynced -= watcher->state == WATCHER_SYNCED ? 0 : 1;
    watcher->stream->unsynced += state == WATCHER_SYNCED ? 0 : 1;
    watcher->state = state;
    switch (state) {
    case WATCHER_SYNCED:
        list_push_back(&hub->synced, &watcher->in_state);
        watch_index_add(&hub->synced_index, &watcher->node);
        break;
    case WATCHER_WAITING:
        list_push_back(&hub->waiting, &watcher->in_state);
        break;
    case WATCHER_ACTIVE:
        list_push_back(&hub->active, &watcher->in_state);
        watch_index_add(&hub->active_index, &watcher->node);
        break;
    case WATCHER_BLOCKED:
        list_push_back(&watcher->stream->blocked, &watcher->in_state);
        break;
    }
}

/* Everything but its place in the stream's map. */
void watcher_free(struct watcher *watcher)
{
    struct watch_hub *hub = watcher->stream->hub;
    if (watcher->state == WATCHER_ACTIVE) {
        watch_deliveries_drop(&hub->passed, watcher);
    }
    if (watcher->node.group != NULL) {
        watch_index_remove(watcher->state == WATCHER_SYNCED ? &hub->synced_index
                                                            : &hub->active_index,
                           &watcher->node);
    }
    list_remove(&watcher->in_state);
    list_remove(&watcher->in_progress);
    watcher->stream->unsynced -= watcher->state == WATCHER_SYNCED ? 0 : 1;
    hub->watcher_count -= 1;
    mem_free(watcher);
}

/* --- notifications --------------------------------------------------------------------------- */

/* Nothing is promised to a watcher before its start (as in etcd). */
static bool can_promise(const struct watcher *watcher, int64_t revision)
{
    return watcher->state == WATCHER_SYNCED && watcher->start <= revision;
}

void watch_hub_progress(struct watch_hub *hub)
{
    int64_t revision = mvcc_revision(hub->mvcc);
    list_foreach (item, &hub->progress) {
        struct watcher *watcher = container_of(item, struct watcher, in_progress);
        bool is_quiet = !watcher->had_event;
        watcher->had_event = false;
        if (is_quiet && can_promise(watcher, revision) &&
            watcher->stream->controls < WATCH_STREAM_CONTROLS_MAX) {
            watch_queue_control(watcher->stream, ITEM_PROGRESS, watcher->id, revision, NULL);
        }
    }
}

void watch_hub_compacted(struct watch_hub *hub)
{
    hub->check_compaction = true;
}

void watch_hub_replaced(struct watch_hub *hub, int64_t old_revision)
{
    while (!list_is_empty(&hub->synced)) {
        struct watcher *watcher = container_of(hub->synced.next, struct watcher, in_state);
        watcher->next = old_revision + 1 > watcher->next ? old_revision + 1 : watcher->next;
        watcher_set_state(watcher, WATCHER_WAITING);
    }
    watch_deliveries_drop(&hub->passed, NULL);
    hub->cursor_sub = 0;
    list_foreach_safe (item, &hub->active) {
        struct watcher *watcher = container_of(item, struct watcher, in_state);
        watcher->next = hub->cursor > watcher->next ? hub->cursor : watcher->next;
        watcher_set_state(watcher, WATCHER_WAITING);
    }
    hub->check_compaction = true;
}

void watch_hub_stats(const struct watch_hub *hub, struct watch_stats *ret_stats)
{
    *ret_stats = (struct watch_stats){
        .streams = hub->stream_count,
        .watchers = hub->watcher_count,
        .pending_events = hub->item_count,
        .queued_bytes = hub->bytes,
    };
    list_foreach (item, &hub->streams) {
        ret_stats->slow_watchers += container_of(item, struct watch_stream, in_hub)->unsynced;
    }
}

void watch_hub_check(const struct watch_hub *hub)
{
    uint64_t watchers = 0;
    size_t bytes = 0;
    list_foreach (item, &hub->streams) {
        const struct watch_stream *stream = container_of(item, struct watch_stream, in_hub);
        uint32_t unsynced = 0;
        size_t cursor = 0;
        uint64_t id;
        void *value;
        while (u64_map_next(&stream->watchers, &cursor, &id, &value)) {
            const struct watcher *watcher = value;
            bool in_index = watcher->state == WATCHER_SYNCED || watcher->state == WATCHER_ACTIVE;
            CHECK(watcher->stream == stream && (uint64_t)watcher->id == id);
            CHECK(in_index == (watcher->node.group != NULL));
            unsynced += watcher->state == WATCHER_SYNCED ? 0 : 1;
            watchers += 1;
        }
        CHECK(unsynced == stream->unsynced);
        CHECK(stream->count == 0 || stream->is_reported || !list_is_empty(&stream->in_ready));
        bytes += stream->bytes;
    }
    CHECK(watchers == hub->watcher_count);
    CHECK(bytes == hub->bytes);
}
