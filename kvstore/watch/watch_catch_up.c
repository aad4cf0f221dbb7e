/* Watchers whose start lies in the past, and those that were too slow: one pass over the revisions
 * for all of them together. The pass goes from the lowest position to the newest revision; who is
 * there when it ends is synced. Who comes later and lies before the pass waits for the next one. */
#include "base/check.h"
#include "kvstore/watch/watch_internal.h"

enum { SCAN_RECORDS = 128 };

/* The position that counts: an active watcher has everything below the pass. */
static int64_t position_of(const struct watcher *watcher)
{
    int64_t cursor = watcher->stream->hub->cursor;
    return watcher->state == WATCHER_ACTIVE && cursor > watcher->next ? cursor : watcher->next;
}

static void cancel_compacted(struct watcher *watcher)
{
    struct watch_stream *stream = watcher->stream;
    watch_queue_control(stream, ITEM_COMPACTED, watcher->id,
                        mvcc_compact_revision(stream->hub->mvcc), NULL);
    (void)u64_map_remove(&stream->watchers, (uint64_t)watcher->id);
    watcher_free(watcher);
}

static void cancel_all_compacted(struct list *watchers, int64_t compact_revision)
{
    list_foreach_safe (item, watchers) {
        struct watcher *watcher = container_of(item, struct watcher, in_state);
        if (position_of(watcher) < compact_revision) {
            cancel_compacted(watcher);
        }
    }
}

static void check_compaction(struct watch_hub *hub)
{
    if (!hub->check_compaction) {
        return;
    }
    hub->check_compaction = false;
    int64_t compact_revision = mvcc_compact_revision(hub->mvcc);
    cancel_all_compacted(&hub->waiting, compact_revision);
    cancel_all_compacted(&hub->active, compact_revision);
    list_foreach (item, &hub->streams) {
        cancel_all_compacted(&container_of(item, struct watch_stream, in_hub)->blocked,
                             compact_revision);
    }
}

/* Let in who waits: everybody when no pass is under way, else who lies at or behind it. */
static void admit(struct watch_hub *hub)
{
    bool is_new_pass = list_is_empty(&hub->active);
    int64_t now = mvcc_revision(hub->mvcc);
    if (is_new_pass) {
        hub->cursor = now + 1;
        hub->cursor_sub = 0;
    }
    /* A part of the cursor's revision has been seen already. */
    int64_t first = hub->cursor + (hub->cursor_sub > 0 ? 1 : 0);
    list_foreach_safe (item, &hub->waiting) {
        struct watcher *watcher = container_of(item, struct watcher, in_state);
        if (watcher->next > now) {
            watcher_set_state(watcher, WATCHER_SYNCED);
        } else if (is_new_pass || watcher->next >= first) {
            watcher_set_state(watcher, WATCHER_ACTIVE);
            hub->cursor = watcher->next < hub->cursor ? watcher->next : hub->cursor;
        }
    }
}

static void finish_pass(struct watch_hub *hub)
{
    int64_t next = mvcc_revision(hub->mvcc) + 1;
    while (!list_is_empty(&hub->active)) {
        struct watcher *watcher = container_of(hub->active.next, struct watcher, in_state);
        watcher->next = next;
        watcher_set_state(watcher, WATCHER_SYNCED);
    }
}

/* The stored record as the change it once was. */
static int change_of(struct watch_hub *hub, const struct backend_record *stored,
                     struct mvcc_change *ret_change, struct blob **ret_kv)
{
    struct key_value record;
    if (key_value_decode(stored->value, &record) != 0) {
        return mvcc_fail_record(hub->mvcc, stored->revision);
    }
    struct revision at = {(int64_t)stored->revision.main, stored->revision.sub};
    *ret_kv = blob_new_copy(stored->value.data, stored->value.size);
    *ret_change = (struct mvcc_change){
        .at = at,
        .is_delete = stored->is_tombstone,
        .key = record.key,
        .kv = *ret_kv,
    };
    const struct key_entry *entry = key_index_find(mvcc_index(hub->mvcc), record.key);
    struct key_past past;
    if (entry != NULL && key_entry_before(entry, (struct revision){at.main, 0}, &past) &&
        !past.is_tombstone) {
        ret_change->previous = (struct revision){past.main, past.sub};
    }
    return 0;
}

static bool wants_record(struct watch_hub *hub, const struct backend_record *stored)
{
    struct key_value record;
    if (key_value_decode(stored->value, &record) != 0) {
        return true; /* change_of reports it */
    }
    watch_index_find(&hub->active_index, record.key, &hub->matches);
    return hub->matches.count > 0;
}

static int scan_record(struct watch_hub *hub, const struct backend_record *stored)
{
    if (!wants_record(hub, stored)) {
        return 0;
    }
    struct mvcc_change change;
    struct blob *kv = NULL;
    int code = change_of(hub, stored, &change, &kv);
    if (code == 0) {
        watch_offer(hub, &hub->active_index, &change, &hub->passed);
        blob_unref(kv);
    }
    return code;
}

static void move_cursor(struct watch_hub *hub, int64_t main)
{
    watch_flush(&hub->passed, hub->cursor);
    hub->cursor = main;
    hub->cursor_sub = 0;
}

/* Revisions from the cursor on, until enough records were seen: to the end of a revision, unless
 * that is far away. True: the pass is over. */
static bool scan(struct watch_hub *hub, uint32_t records)
{
    struct revision end = {mvcc_revision(hub->mvcc) + 1, 0};
    uint32_t done = 0;
    for (;;) {
        struct backend_record found[SCAN_RECORDS];
        uint32_t count = 0;
        struct revision at = {hub->cursor, hub->cursor_sub};
        if (list_is_empty(&hub->active) ||
            mvcc_scan(hub->mvcc, at, end, found, SCAN_RECORDS, &count) != 0 || count == 0) {
            move_cursor(hub, end.main);
            return true;
        }
        for (uint32_t i = 0; i < count; i++) {
            int64_t main = (int64_t)found[i].revision.main;
            if (main != hub->cursor) {
                move_cursor(hub, main);
                if ((records != 0 && done >= records) || list_is_empty(&hub->active)) {
                    return list_is_empty(&hub->active);
                }
            }
            if (scan_record(hub, &found[i]) != 0) {
                return true;
            }
            done += 1;
            hub->cursor_sub = found[i].revision.sub + 1;
        }
        if (records != 0 && done >= records + SCAN_RECORDS) {
            return false;
        }
    }
}

static bool can_work(const struct watch_hub *hub)
{
    return !list_is_empty(&hub->waiting) || !list_is_empty(&hub->active);
}

bool watch_hub_step(struct watch_hub *hub, uint32_t records)
{
    check_compaction(hub);
    if (!can_work(hub)) {
        return false;
    }
    admit(hub);
    if (!list_is_empty(&hub->active) && scan(hub, records) && mvcc_failure(hub->mvcc) == 0) {
        finish_pass(hub);
    }
    return can_work(hub) && mvcc_failure(hub->mvcc) == 0;
}
