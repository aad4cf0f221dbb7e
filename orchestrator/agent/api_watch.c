/* api_watch.c - list, then watch from there; list again when the history is gone. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/agent/api.h"
#include "orchestrator/objects/tree.h"

enum { RETRY_MS = 500, QUICK_MS = 50 };

struct api_watch {
    struct api *api;
    char *path;
    char *query;
    const struct api_watch_events *events;
    void *context;
    struct api_exchange *exchange; /* NULL between requests */
    struct timer timer;
    char revision[32]; /* "": list first */
    bool is_freed;     /* inside a callback */
    bool is_busy;
};

static void start(struct api_watch *watch);

static void on_timer(struct timer *timer)
{
    start(container_of(timer, struct api_watch, timer));
}

static void start_after(struct api_watch *watch, uint64_t delay_ms)
{
    struct timers *timers = api_timers(watch->api);
    timers_set(timers, &watch->timer, timers->now_ms + delay_ms);
}

static void watch_free(struct api_watch *watch)
{
    mem_free(watch->path);
    mem_free(watch->query);
    mem_free(watch);
}

/* False when the watch was freed by its owner meanwhile. */
static bool leave(struct api_watch *watch)
{
    watch->is_busy = false;
    if (watch->is_freed) {
        watch_free(watch);
        return false;
    }
    return true;
}

/* Items of a list have no apiVersion and kind of their own. */
static void complete_items(json_t *list)
{
    const char *version = tree_text_or(list, "apiVersion", "v1");
    const char *list_kind = tree_text_or(list, "kind", "List");
    size_t size = strlen(list_kind);
    CLEANUP(free) char *kind = mem_printf("%.*s", (int)(size > 4 ? size - 4 : 0), list_kind);
    json_t *items = json_object_get(list, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *item = json_array_get(items, i);
        if (json_object_get(item, "kind") == NULL) {
            json_object_set_new(item, "apiVersion", json_string(version));
            json_object_set_new(item, "kind", json_string(kind));
        }
    }
}

static void set_revision(struct api_watch *watch, const json_t *object)
{
    const char *revision = tree_text(object, "metadata.resourceVersion");
    if (revision != NULL) {
        (void)snprintf(watch->revision, sizeof(watch->revision), "%s", revision);
    }
}

static void on_listed(void *context, int code, const json_t *body)
{
    struct api_watch *watch = context;
    json_t *list = tree_mutable(body); /* parsed for us alone */
    watch->exchange = NULL;
    if (code != 200 || !json_is_array(json_object_get(list, "items"))) {
        start_after(watch, RETRY_MS);
        return;
    }
    complete_items(list);
    set_revision(watch, list);
    watch->is_busy = true;
    watch->events->on_list(watch->context, json_object_get(list, "items"));
    if (leave(watch)) {
        start(watch);
    }
}

static void on_line(void *context, struct bytes line)
{
    struct api_watch *watch = context;
    CLEANUP(json) json_t *event = json_loadb((const char *)line.data, line.size, 0, NULL);
    const char *type = tree_text_or(event, "type", "ERROR");
    const json_t *object = json_object_get(event, "object");
    if (strcmp(type, "ERROR") == 0) {
        watch->revision[0] = '\0';
        return;
    }
    set_revision(watch, object);
    if (strcmp(type, "BOOKMARK") != 0) {
        watch->is_busy = true;
        watch->events->on_change(watch->context, object, strcmp(type, "DELETED") == 0);
        (void)leave(watch);
    }
}

static void on_watched(void *context, int code, const json_t *body)
{
    struct api_watch *watch = context;
    (void)body;
    watch->exchange = NULL;
    if (code == 410 || code == 404 || code == 403) {
        watch->revision[0] = '\0';
    }
    start_after(watch, code == 200 ? QUICK_MS : RETRY_MS);
}

static void start(struct api_watch *watch)
{
    bool has_query = watch->query[0] != '\0';
    if (watch->revision[0] == '\0') {
        CLEANUP(free)
        char *path = mem_printf("%s%s%s", watch->path, has_query ? "?" : "", watch->query);
        watch->exchange = api_stream(watch->api, path, NULL, on_listed, watch);
        return;
    }
    CLEANUP(free)
    char *path = mem_printf("%s?%s%swatch=true&allowWatchBookmarks=true&resourceVersion=%s",
                            watch->path, watch->query, has_query ? "&" : "", watch->revision);
    watch->exchange = api_stream(watch->api, path, on_line, on_watched, watch);
}

struct api_watch *api_watch_new(struct api *api, const char *path, const char *query,
                                const struct api_watch_events *events, void *context)
{
    struct api_watch *watch = mem_zalloc(sizeof(*watch));
    watch->api = api;
    watch->path = mem_strdup(path);
    watch->query = mem_strdup(query);
    watch->events = events;
    watch->context = context;
    timer_init(&watch->timer, on_timer);
    start(watch);
    return watch;
}

void api_watch_free(struct api_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    timers_clear(api_timers(watch->api), &watch->timer);
    if (watch->exchange != NULL) {
        api_stream_cancel(watch->exchange);
        watch->exchange = NULL;
    }
    if (watch->is_busy) {
        watch->is_freed = true;
        return;
    }
    watch_free(watch);
}
