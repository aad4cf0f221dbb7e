/* What a client sends on a watch stream. Source: WatchRequest of the public API. */
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/mvcc/planted.h"
#include "kvstore/mvcc/request.h"
#include "kvstore/watch/watch_internal.h"

enum { FILTER_NO_PUT = 0, FILTER_NO_DELETE = 1 };

static const int64_t NO_WATCH = -1;

struct create_request {
    struct bytes key;
    struct bytes range_end;
    int64_t start_revision;
    int64_t watch_id;
    bool progress_notify;
    bool prev_kv;
    bool fragment;
    bool no_put;
    bool no_delete;
};

static void add_filter(struct create_request *request, uint64_t filter)
{
    request->no_put = request->no_put || filter == FILTER_NO_PUT;
    request->no_delete = request->no_delete || filter == FILTER_NO_DELETE;
}

static bool add_packed_filters(struct create_request *request, struct bytes packed)
{
    struct pb_reader reader = pb_reader_make(packed);
    uint64_t filter;
    while (reader.at != reader.end) {
        if (!pb_read_varint(&reader, &filter)) {
            return false;
        }
        add_filter(request, filter);
    }
    return true;
}

static int decode_create(struct bytes message, struct create_request *ret_request)
{
    struct create_request request = {0};
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_BYTES(1):
            request.key = field.bytes;
            break;
        case PB_BYTES(2):
            request.range_end = field.bytes;
            break;
        case PB_VARINT(3):
            request.start_revision = (int64_t)field.value;
            break;
        case PB_VARINT(4):
            request.progress_notify = field.value != 0;
            break;
        case PB_VARINT(5):
            add_filter(&request, field.value);
            break;
        case PB_BYTES(5):
            if (!add_packed_filters(&request, field.bytes)) {
                return ERR_MALFORMED;
            }
            break;
        case PB_VARINT(6):
            request.prev_kv = field.value != 0;
            break;
        case PB_VARINT(7):
            request.watch_id = (int64_t)field.value;
            break;
        case PB_VARINT(8):
            request.fragment = field.value != 0;
            break;
        default:
            break;
        }
    }
    if (request.key.size == 0) {
        request.key = BYTES_LITERAL("\0");
    }
    *ret_request = request;
    return reader.failed ? ERR_MALFORMED : 0;
}

/* Which of the three requests it is, by field number; 0: none is set, the request is ignored. */
static int decode_union(struct bytes message, uint32_t *ret_kind, struct bytes *ret_request)
{
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    *ret_kind = 0;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_BYTES(1) || field.key == PB_BYTES(2) || field.key == PB_BYTES(3)) {
            *ret_kind = (uint32_t)(field.key >> 3);
            *ret_request = field.bytes;
        }
    }
    return reader.failed ? ERR_MALFORMED : 0;
}

static void answer_created(struct watch_stream *stream, int64_t id)
{
    watch_queue_control(stream, ITEM_CREATED, id, mvcc_revision(stream->hub->mvcc), NULL);
}

void watch_stream_refuse(struct watch_stream *stream, const char *reason)
{
    CHECK(reason != NULL);
    watch_queue_control(stream, ITEM_CREATED, NO_WATCH, mvcc_revision(stream->hub->mvcc), reason);
}

/* One allocation: the watcher, then its key and range end. */
static struct watcher *watcher_new(struct watch_stream *stream,
                                   const struct create_request *request)
{
    struct watcher *watcher =
        mem_zalloc(sizeof *watcher + request->key.size + request->range_end.size);
    uint8_t *bytes = (uint8_t *)(watcher + 1);
    memcpy(bytes, request->key.data, request->key.size);
    struct bytes key = bytes_make(bytes, request->key.size);
    struct bytes end = bytes_make(bytes + key.size, request->range_end.size);
    if (end.size > 0) {
        memcpy(bytes + key.size, request->range_end.data, end.size);
    }
    watcher->node.is_single = !request_range(key, end, &watcher->node.range);
    if (watcher->node.is_single) {
        watcher->node.range = (struct key_range){.start = key};
    }
    watcher->stream = stream;
    watcher->serial = stream->hub->next_serial++;
    watcher->progress_notify = request->progress_notify;
    watcher->prev_kv = request->prev_kv;
    watcher->fragment = request->fragment;
    watcher->no_put = request->no_put;
    watcher->no_delete = request->no_delete;
    list_init(&watcher->in_state);
    list_init(&watcher->in_progress);
    list_init(&watcher->node.in_group);
    return watcher;
}

static int64_t free_id(struct watch_stream *stream)
{
    while (u64_map_find(&stream->watchers, (uint64_t)stream->next_id) != NULL) {
        stream->next_id += 1;
    }
    return stream->next_id++;
}

static void start_watcher(struct watch_stream *stream, struct watcher *watcher,
                          int64_t start_revision)
{
    struct watch_hub *hub = stream->hub;
    int64_t now = mvcc_revision(hub->mvcc);
    watcher->start = start_revision;
    watcher->next = start_revision == 0 ? now + 1 : start_revision;
    if (PLANTED(50) && start_revision > 1) {
        watcher->next = start_revision - 1;
    }
    (void)u64_map_set(&stream->watchers, (uint64_t)watcher->id, watcher);
    hub->watcher_count += 1;
    if (watcher->progress_notify) {
        list_push_back(&hub->progress, &watcher->in_progress);
    }
    watcher->state = WATCHER_SYNCED; /* so that the count of unsynced ones starts right */
    watcher_set_state(watcher, watcher->next > now ? WATCHER_SYNCED : WATCHER_WAITING);
    hub->check_compaction =
        hub->check_compaction || watcher->next < mvcc_compact_revision(hub->mvcc);
}

static const char *validate_create(const struct watch_stream *stream,
                                   const struct create_request *request)
{
    struct key_range range;
    if (request->start_revision < 0) {
        return "etcdserver: mvcc: required revision has been compacted";
    }
    if (request_range(request->key, request->range_end, &range) && !range.is_unbounded &&
        bytes_compare(range.start, range.end) >= 0) {
        return "mvcc: watcher range is empty";
    }
    if (request->watch_id != 0 &&
        u64_map_find(&stream->watchers, (uint64_t)request->watch_id) != NULL) {
        return "mvcc: duplicate watch ID provided on the WatchStream";
    }
    return NULL;
}

static int create(struct watch_stream *stream, struct bytes message)
{
    struct create_request request;
    if (decode_create(message, &request) != 0) {
        return ERR_MALFORMED;
    }
    const char *refusal = validate_create(stream, &request);
    if (refusal != NULL) {
        watch_stream_refuse(stream, refusal);
        return 0;
    }
    struct watcher *watcher = watcher_new(stream, &request);
    watcher->id = request.watch_id != 0 ? request.watch_id : free_id(stream);
    answer_created(stream, watcher->id);
    start_watcher(stream, watcher, request.start_revision);
    return 0;
}

static int cancel(struct watch_stream *stream, struct bytes message)
{
    int64_t id = 0;
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            id = (int64_t)field.value;
        }
    }
    if (reader.failed) {
        return ERR_MALFORMED;
    }
    struct watcher *watcher = u64_map_remove(&stream->watchers, (uint64_t)id);
    if (watcher == NULL) {
        return 0; /* etcd says nothing either */
    }
    watcher_free(watcher);
    watch_queue_control(stream, ITEM_CANCELED, id, mvcc_revision(stream->hub->mvcc), NULL);
    return 0;
}

static void progress(struct watch_stream *stream)
{
    int64_t revision = mvcc_revision(stream->hub->mvcc);
    if (stream->watchers.count == 0 || (stream->unsynced > 0 && !PLANTED(51))) {
        return;
    }
    size_t cursor = 0;
    uint64_t id;
    void *watcher;
    while (u64_map_next(&stream->watchers, &cursor, &id, &watcher)) {
        if (((const struct watcher *)watcher)->start > revision) {
            return; /* it starts in the future */
        }
    }
    watch_queue_control(stream, ITEM_PROGRESS, NO_WATCH, revision, NULL);
}

int watch_stream_request(struct watch_stream *stream, struct bytes request)
{
    uint32_t kind;
    struct bytes inner;
    if (stream->controls >= WATCH_STREAM_CONTROLS_MAX) {
        return ERR_BUSY;
    }
    if (decode_union(request, &kind, &inner) != 0) {
        return ERR_MALFORMED;
    }
    switch (kind) {
    case 1:
        return create(stream, inner);
    case 2:
        return cancel(stream, inner);
    case 3:
        progress(stream);
        return 0;
    default:
        return 0;
    }
}

int watch_request_range(struct bytes request, struct bytes *ret_key, struct bytes *ret_range_end,
                        bool *ret_prev_kv)
{
    uint32_t kind;
    struct bytes inner;
    struct create_request create_request;
    if (decode_union(request, &kind, &inner) != 0) {
        return ERR_MALFORMED;
    }
    if (kind != 1) {
        return ERR_NOT_FOUND;
    }
    if (decode_create(inner, &create_request) != 0) {
        return ERR_MALFORMED;
    }
    *ret_key = create_request.key;
    *ret_range_end = create_request.range_end;
    *ret_prev_kv = create_request.prev_kv;
    return 0;
}
