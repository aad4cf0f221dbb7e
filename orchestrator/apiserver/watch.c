/* watch.c - watches: one JSON object a line, from the cache's history.
 *
 * A watch is a position in the history, not a queue: a client that does not read costs nothing
 * more, and when it falls too far behind it is told so (410) and lists again. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/apiserver/call.h"
#include "orchestrator/registry/plan_parts.h"

enum { BOOKMARK_MS = 60 * 1000, TIMEOUT_MS_MIN = 1800 * 1000, TIMEOUT_MS_MAX = 3600 * 1000 };

struct watch {
    struct list link;
    struct call *call;  /* a reference */
    struct timer timer; /* the next bookmark, or the end */
    uint64_t end_ms;    /* of the loop's timers */
    struct label_selector labels;
    struct field_selector fields;
    uint64_t position;
    uint64_t revision; /* everything up to here has been told */
    bool wants_bookmarks;
    bool has_told_columns;
    bool is_started;
};

static void watch_fired(struct timer *timer);

static struct timers *timers_of(const struct watch *watch)
{
    return wire_loop_timers(watch->call->server->options.wire);
}

static void watch_free(struct watch *watch)
{
    timers_clear(timers_of(watch), &watch->timer);
    list_remove(&watch->link);
    label_selector_deinit(&watch->labels);
    field_selector_deinit(&watch->fields);
    call_unref(watch->call);
    mem_free(watch);
}

static void send_event(struct watch *watch, const char *type, const json_t *object)
{
    CLEANUP(json) json_t *event = json_pack("{s:s, s:O}", "type", type, "object", object);
    CLEANUP(free) char *text = json_dumps(event, JSON_COMPACT);
    CLEANUP(buf) struct buf line = BUF_INIT;
    buf_append_text(&line, text == NULL ? "{}" : text);
    buf_append_u8(&line, '\n');
    http_exchange_send(watch->call->x, buf_bytes(&line));
}

static void send_object(struct watch *watch, const char *type, const json_t *stored)
{
    struct call *call = watch->call;
    const struct kind *kind = call->request.kind;
    CLEANUP(json) json_t *object = convert_from_stored(stored, kind);
    if (call->form == CALL_TABLE) {
        CLEANUP(json) json_t *list = json_pack("[O]", object);
        CLEANUP(json)
        json_t *metadata = json_pack("{s:s}", "resourceVersion",
                                     tree_text_or(object, "metadata.resourceVersion", ""));
        CLEANUP(json)
        json_t *table =
            table_new(kind, list, metadata, call_include(call), !watch->has_told_columns,
                      registry_now_ms(call->server->options.registry));
        watch->has_told_columns = true;
        send_event(watch, type, table);
        return;
    }
    if (call->form == CALL_METADATA) {
        CLEANUP(json)
        json_t *partial =
            json_pack("{s:s, s:s, s:O}", "kind", "PartialObjectMetadata", "apiVersion",
                      "meta.k8s.io/v1", "metadata", json_object_get(object, "metadata"));
        send_event(watch, type, partial);
        return;
    }
    send_event(watch, type, object);
}

static void send_bookmark(struct watch *watch, bool ends_initial)
{
    const struct kind *kind = watch->call->request.kind;
    char api_version[KIND_API_VERSION_SIZE];
    CLEANUP(free) char *version = mem_printf("%llu", (unsigned long long)watch->revision);
    bool is_table = watch->call->form == CALL_TABLE;
    CLEANUP(json)
    json_t *object =
        json_pack("{s:s, s:s, s:{s:s}}", "kind", is_table ? "Table" : kind->kind, "apiVersion",
                  is_table ? "meta.k8s.io/v1" : kind_api_version(kind, api_version), "metadata",
                  "resourceVersion", version);
    if (ends_initial) {
        object_set_annotation(object, "k8s.io/initial-events-end", "true");
    }
    send_event(watch, "BOOKMARK", object);
}

static void send_expired(struct watch *watch)
{
    CLEANUP(json) json_t *status = status_expired("too old resource version");
    send_event(watch, "ERROR", status);
    http_exchange_finish(watch->call->x, NULL, 0);
}

static bool selects(const struct watch *watch, const json_t *object)
{
    const char *namespace = watch->call->request.namespace;
    return object != NULL &&
           (*namespace == '\0' || strcmp(object_namespace(object), namespace) == 0) &&
           label_selector_matches(&watch->labels, object_labels(object)) &&
           field_selector_matches(&watch->fields, object);
}

/* An object that comes to match is added, one that matches no more is deleted. */
static void tell(struct watch *watch, const struct cache_event *event)
{
    bool was_selected = selects(watch, event->previous);
    bool is_selected = event->type != CACHE_DELETED && selects(watch, event->object);
    if (is_selected) {
        send_object(watch, was_selected ? "MODIFIED" : "ADDED", event->object);
    } else if (was_selected && event->type == CACHE_DELETED) {
        send_object(watch, "DELETED", event->object);
    } else if (was_selected) {
        CLEANUP(json) json_t *last = json_copy(tree_mutable(event->previous));
        CLEANUP(json) json_t *metadata = json_copy(json_object_get(last, "metadata"));
        json_object_set(metadata, "resourceVersion",
                        tree_find(event->object, "metadata.resourceVersion"));
        json_object_set(last, "metadata", metadata);
        send_object(watch, "DELETED", last);
    }
}

/* Send what is new, as far as the client takes it. False: the watch is over. */
static bool pump(struct watch *watch)
{
    struct call *call = watch->call;
    const struct cache *cache = registry_cache(call->server->options.registry);
    const char *storage = call->request.kind->storage;
    struct cache_event event;
    if (call->is_over || !http_exchange_is_open(call->x)) {
        return false;
    }
    while (http_exchange_queued_bytes(call->x) < HTTP_QUEUE_HIGH_BYTES) {
        int result = cache_read(cache, storage, &watch->position, &event);
        if (result < 0) {
            send_expired(watch);
            return false;
        }
        if (result == 0) {
            uint64_t revision = cache_revision(cache);
            watch->revision = revision > watch->revision ? revision : watch->revision;
            return true;
        }
        if (event.revision > watch->revision) {
            tell(watch, &event);
        }
    }
    return true;
}

static void pump_or_free(struct watch *watch)
{
    if (watch->is_started && !pump(watch)) {
        watch_free(watch);
    }
}

static void on_progress(void *context, uint64_t revision)
{
    (void)revision;
    struct apiserver *server = context;
    list_foreach_safe (item, &server->watches) {
        pump_or_free(container_of(item, struct watch, link));
    }
}

void watches_init(struct apiserver *server)
{
    registry_add_progress(server->options.registry, on_progress, server);
}

void watches_close(struct apiserver *server)
{
    list_foreach_safe (item, &server->watches) {
        struct watch *watch = container_of(item, struct watch, link);
        http_exchange_finish(watch->call->x, NULL, 0);
        watch_free(watch);
    }
}

static void set_timer(struct watch *watch)
{
    uint64_t now_ms = timers_of(watch)->now_ms;
    uint64_t next_ms = watch->wants_bookmarks ? now_ms + BOOKMARK_MS : watch->end_ms;
    timers_set(timers_of(watch), &watch->timer, next_ms < watch->end_ms ? next_ms : watch->end_ms);
}

static void watch_fired(struct timer *timer)
{
    struct watch *watch = container_of(timer, struct watch, timer);
    if (!pump(watch)) {
        watch_free(watch);
        return;
    }
    if (watch->wants_bookmarks) {
        send_bookmark(watch, false);
    }
    if (timers_of(watch)->now_ms >= watch->end_ms) {
        http_exchange_finish(watch->call->x, NULL, 0);
        watch_free(watch);
        return;
    }
    set_timer(watch);
}

static void on_writable(struct http_exchange *x)
{
    struct call *call = x->data;
    list_foreach_safe (item, &call->server->watches) {
        struct watch *watch = container_of(item, struct watch, link);
        if (watch->call == call) {
            pump_or_free(watch);
            return;
        }
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    (void)reason;
    struct call *call = x->data;
    call->is_over = true;
    x->data = NULL;
    list_foreach_safe (item, &call->server->watches) {
        struct watch *watch = container_of(item, struct watch, link);
        if (watch->call == call && watch->is_started) {
            watch_free(watch);
        }
    }
    call_unref(call);
}

static const struct http_handler watch_handler = {.on_writable = on_writable, .on_close = on_close};

static void send_all(struct watch *watch)
{
    const struct call *call = watch->call;
    const struct cache *cache = registry_cache(call->server->options.registry);
    struct cache_cursor cursor =
        cache_list(cache, call->request.kind->storage, call->request.namespace);
    while (cache_next(&cursor)) {
        if (selects(watch, cursor.object)) {
            send_object(watch, "ADDED", cursor.object);
        }
    }
    watch->revision = cache_revision(cache);
}

static json_t *find_start(struct watch *watch, bool *ret_sends_all)
{
    const struct call *call = watch->call;
    const struct cache *cache = registry_cache(call->server->options.registry);
    const char *storage = call->request.kind->storage;
    const char *version = route_query(&call->route, "resourceVersion");
    bool from_now = version == NULL || *version == '\0' || strcmp(version, "0") == 0;
    bool sends_initial = route_query_bool(&call->route, "sendInitialEvents");
    *ret_sends_all = from_now || sends_initial;
    if (!*ret_sends_all) {
        char *end = NULL;
        watch->revision = strtoull(version, &end, 10);
        if (*end != '\0') {
            return status_bad_request("Invalid value: \"%s\": strconv.ParseUint: parsing: invalid "
                                      "syntax",
                                      version);
        }
        return cache_position(cache, storage, watch->revision, &watch->position) == 0
                   ? NULL
                   : status_expired("too old resource version");
    }
    return cache_position(cache, storage, UINT64_MAX, &watch->position) == 0
               ? NULL
               : status_internal("the cache has no end");
}

static void start(struct watch *watch)
{
    struct call *call = watch->call;
    bool sends_all = false;
    json_t *refusal = find_start(watch, &sends_all);
    if (refusal != NULL) {
        call_refuse(call, refusal);
        watch_free(watch);
        return;
    }
    static const struct http_header headers[] = {
        HTTP_HEADER_INIT("content-type", "application/json"),
        HTTP_HEADER_INIT("cache-control", "no-cache, private"),
    };
    http_exchange_respond(call->x, 200, headers, 2);
    call->server->counts.watches++;
    call->server->counts.requests[2]++;
    watch->is_started = true;
    if (sends_all) {
        send_all(watch);
        if (route_query_bool(&call->route, "sendInitialEvents")) {
            send_bookmark(watch, true);
        }
    }
    set_timer(watch);
    pump_or_free(watch);
}

static void synced(void *context, const json_t *status)
{
    struct watch *watch = context;
    if (status != NULL) {
        call_reply(watch->call, (unsigned)status_code(status), status);
        watch_free(watch);
    } else if (watch->call->is_over) {
        watch_free(watch);
    } else {
        start(watch);
    }
}

void call_serve_watch(struct call *call)
{
    struct apiserver *server = call->server;
    struct watch *watch = mem_zalloc(sizeof(*watch));
    call_ref(call);
    watch->call = call;
    timer_init(&watch->timer, watch_fired);
    list_push_back(&server->watches, &watch->link);
    const char *labels = route_query(&call->route, "labelSelector");
    const char *fields = route_query(&call->route, "fieldSelector");
    json_t *refusal = label_selector_parse(&watch->labels, labels == NULL ? "" : labels);
    if (refusal == NULL) {
        refusal =
            field_selector_parse(&watch->fields, call->request.kind, fields == NULL ? "" : fields);
    }
    if (refusal != NULL) {
        call_refuse(call, refusal);
        watch_free(watch);
        return;
    }
    int64_t timeout_s = route_query_int(&call->route, "timeoutSeconds", 0);
    uint64_t length_ms = timeout_s > 0
                             ? (uint64_t)timeout_s * 1000
                             : prng_between(&server->prng, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX);
    watch->end_ms = timers_of(watch)->now_ms + length_ms;
    watch->wants_bookmarks = route_query_bool(&call->route, "allowWatchBookmarks");
    call->x->handler = &watch_handler;
    const char *version = route_query(&call->route, "resourceVersion");
    bool is_any = version != NULL && *version != '\0';
    if (is_any && registry_is_synced(server->options.registry)) {
        start(watch);
        return;
    }
    registry_sync(server->options.registry, synced, watch);
}
