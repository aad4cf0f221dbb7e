/* watch_internal.h - what the files of the watch hub share. */
#ifndef KVSTORE_WATCH_WATCH_INTERNAL_H
#define KVSTORE_WATCH_WATCH_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "kvstore/watch/watch_feed.h"
#include "kvstore/watch/watch_index.h"

/*            create(start > now or 0)
 *   ---------------------------------------> SYNCED --- its stream is full ---> BLOCKED
 *   |                                          ^                                  |
 * create(old start)                            | the pass reaches now             | client reads
 *   v                                          |                                  |
 * WAITING --- a pass begins, or is before it -> ACTIVE --- its stream is full ----+
 *   ^                                                                             |
 *   +-----------------------------------------------------------------------------+
 */
enum watcher_state { WATCHER_SYNCED, WATCHER_WAITING, WATCHER_ACTIVE, WATCHER_BLOCKED };

struct watcher {
    struct watch_node node; /* in an index while SYNCED or ACTIVE */
    struct watch_stream *stream;
    struct list in_state;    /* in the hub's list of its state, or the stream's blocked list */
    struct list in_progress; /* in the hub's list of those that want notifications */
    int64_t id;
    int64_t start; /* as asked for; 0: from now on */
    int64_t next;  /* every event below is delivered or was not asked for */
    uint64_t serial;
    enum watcher_state state;
    bool progress_notify;
    bool had_event; /* since the last progress tick */
    bool prev_kv;
    bool fragment;
    bool no_put;
    bool no_delete;
};

/* Shared by every queue it is in. Core thread only, so the count is plain. */
struct watch_event {
    uint32_t reference_count;
    bool is_delete;
    bool has_previous; /* previous was looked for */
    struct revision at;
    struct blob *kv;
    struct blob *previous; /* NULL: none */
};

enum watch_item_kind { ITEM_EVENT, ITEM_CREATED, ITEM_CANCELED, ITEM_COMPACTED, ITEM_PROGRESS };

struct watch_item {
    enum watch_item_kind kind;
    bool prev_kv;
    bool fragment;
    int64_t watch_id;
    int64_t revision;          /* the header's, or the compact revision */
    struct watch_event *event; /* ITEM_EVENT */
    char *reason;              /* owned; NULL: none */
};

struct watch_stream {
    struct watch_hub *hub;
    void *context;
    struct list in_hub;
    struct list in_ready;
    bool is_reported; /* to the caller, since its last take */
    struct u64_map watchers;
    struct list blocked;
    int64_t next_id;
    uint32_t unsynced;
    /* The queue: a ring. */
    struct watch_item *items;
    uint32_t first;
    uint32_t count;
    uint32_t capacity; /* 0 or a power of two */
    uint32_t controls;
    size_t bytes;
};

struct watch_delivery {
    struct watcher *watcher;
    struct watch_event *event; /* a reference */
};

/* Of one revision, until it is flushed. */
struct watch_deliveries {
    struct watch_delivery *items;
    uint32_t count;
    uint32_t capacity;
};

struct watch_hub {
    struct mvcc *mvcc;
    uint64_t cluster_id;
    uint64_t member_id;
    uint64_t raft_term;
    size_t fragment_bytes;
    struct list streams;
    struct list ready;
    struct list synced; /* watchers by state */
    struct list waiting;
    struct list active;
    struct list progress;
    struct watch_index synced_index;
    struct watch_index active_index;
    int64_t cursor;      /* of the pass: revisions below are delivered to ACTIVE watchers */
    uint32_t cursor_sub; /* of that revision, records below are in passed */
    uint64_t next_serial;
    size_t bytes;
    uint64_t stream_count;
    uint64_t watcher_count;
    uint64_t item_count;
    bool check_compaction;
    struct watch_deliveries fresh;  /* to SYNCED watchers */
    struct watch_deliveries passed; /* to ACTIVE ones; a large revision takes several slices */
    struct watch_matches matches;
};

/* --- watch_queue.c --- */
struct watch_event *watch_event_new(const struct mvcc_change *change);
void watch_event_unref(struct watch_event *event);
size_t watch_event_bytes(const struct watch_event *event);
void watch_queue_push(struct watch_stream *stream, struct watch_item item); /* takes it over */
void watch_queue_control(struct watch_stream *stream, enum watch_item_kind kind, int64_t watch_id,
                         int64_t revision, const char *reason);
const struct watch_item *watch_queue_at(const struct watch_stream *stream, uint32_t position);
void watch_queue_pop(struct watch_stream *stream);
bool watch_queue_is_full(const struct watch_stream *stream);

/* --- watch_deliver.c --- */
/* Offer a change to the watchers of an index; flush after the last one of a revision. */
void watch_offer(struct watch_hub *hub, const struct watch_index *index,
                 const struct mvcc_change *change, struct watch_deliveries *to);
void watch_flush(struct watch_deliveries *deliveries, int64_t main);
/* What is not wanted any more: of one watcher, or (NULL) all. */
void watch_deliveries_drop(struct watch_deliveries *deliveries, const struct watcher *watcher);
void watch_deliveries_deinit(struct watch_deliveries *deliveries);

/* --- watch_hub.c --- */
void watcher_set_state(struct watcher *watcher, enum watcher_state state);
void watcher_free(struct watcher *watcher);

#endif
