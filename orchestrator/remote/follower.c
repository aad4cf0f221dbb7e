/* follower.c - a resource of the API server in a cache: list it, then watch from there; list again
 * when the history that the watch needs is gone (410). */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/remote/remote_internal.h"

static void begin(struct follower *follower);

static void again(struct follower *follower)
{
    struct timers *timers = wire_loop_timers(follower->remote->options.wire);
    timers_set(timers, &follower->retry, timers->now_ms + follower->backoff_ms);
    uint32_t doubled_ms = follower->backoff_ms * 2;
    follower->backoff_ms = doubled_ms < REMOTE_BACKOFF_MS_MAX ? doubled_ms : REMOTE_BACKOFF_MS_MAX;
}

static void set_version(struct follower *follower, const char *version)
{
    mem_free(follower->version);
    follower->version = version == NULL ? NULL : mem_strdup(version);
    if (version != NULL) {
        cache_set_revision(follower->remote->options.cache, strtoull(version, NULL, 10));
    }
}

static void put(struct follower *follower, const json_t *object)
{
    struct cache *cache = follower->remote->options.cache;
    uint64_t revision = object_revision(object);
    /* Resources arrive one after the other, so an object may be older than what is known. */
    revision = revision < cache_revision(cache) ? cache_revision(cache) : revision;
    cache_put(cache, follower->storage, object_namespace(object), object_name(object),
              json_incref(tree_mutable(object)), revision);
}

static void take_out(struct follower *follower, const json_t *object)
{
    struct cache *cache = follower->remote->options.cache;
    if (cache_find(cache, follower->storage, object_namespace(object), object_name(object)) !=
        NULL) {
        cache_remove(cache, follower->storage, object_namespace(object), object_name(object),
                     cache_revision(cache));
    }
}

/* What is in the cache and not in the listing was deleted while nobody watched. */
static void remove_missing(struct follower *follower, const json_t *items)
{
    struct bytes_map known;
    bytes_map_init(&known);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *object = json_array_get(items, i);
        CLEANUP(free)
        char *key = mem_printf("%s/%s", object_namespace(object), object_name(object));
        (void)bytes_map_set(&known, bytes_from_text(key), tree_mutable(object));
    }
    CLEANUP(json) json_t *gone = json_array();
    struct cache_cursor c = cache_list(follower->remote->options.cache, follower->storage, "");
    while (cache_next(&c)) {
        CLEANUP(free)
        char *key = mem_printf("%s/%s", object_namespace(c.object), object_name(c.object));
        if (bytes_map_find(&known, bytes_from_text(key)) == NULL) {
            json_array_append(gone, tree_mutable(c.object));
        }
    }
    for (size_t i = 0; i < json_array_size(gone); i++) {
        take_out(follower, json_array_get(gone, i));
    }
    bytes_map_deinit(&known);
}

static void on_list_end(void *context, unsigned code, struct bytes body)
{
    struct follower *follower = context;
    follower->call = NULL;
    CLEANUP(json) json_t *list = NULL;
    if (code == 200) {
        list = json_loadb((const char *)body.data, body.size, 0, NULL);
    }
    const char *version = tree_text(list, "metadata.resourceVersion");
    if (version == NULL) {
        again(follower);
        return;
    }
    const json_t *items = json_object_get(list, "items");
    remove_missing(follower, items);
    for (size_t i = 0; i < json_array_size(items); i++) {
        put(follower, json_array_get(items, i));
    }
    set_version(follower, version);
    follower->is_synced = true;
    follower->backoff_ms = REMOTE_BACKOFF_MS_MIN;
    remote_note_change(follower->remote);
    begin(follower);
}

static void on_watch_line(void *context, struct bytes line)
{
    struct follower *follower = context;
    CLEANUP(json) json_t *event = json_loadb((const char *)line.data, line.size, 0, NULL);
    const char *type = tree_text_or(event, "type", "");
    const json_t *object = json_object_get(event, "object");
    const char *version = tree_text(object, "metadata.resourceVersion");
    if (strcmp(type, "ERROR") == 0 || version == NULL) {
        set_version(follower, NULL); /* list anew when the server ends the watch */
        return;
    }
    follower->backoff_ms = REMOTE_BACKOFF_MS_MIN;
    if (strcmp(type, "DELETED") == 0) {
        take_out(follower, object);
    } else if (strcmp(type, "BOOKMARK") != 0) {
        put(follower, object);
    }
    set_version(follower, version);
    if (strcmp(type, "BOOKMARK") != 0) {
        remote_note_change(follower->remote);
    }
}

static void on_watch_end(void *context, unsigned code, struct bytes body)
{
    struct follower *follower = context;
    (void)body;
    follower->call = NULL;
    if (code == 410) {
        set_version(follower, NULL);
    }
    if (follower->remote->connection != NULL) {
        again(follower);
    }
}

static void begin(struct follower *follower)
{
    bool lists = follower->version == NULL;
    CLEANUP(free)
    char *path = lists ? mem_strdup(follower->path)
                       : mem_printf("%s?watch=1&allowWatchBookmarks=true&resourceVersion=%s",
                                    follower->path, follower->version);
    const struct remote_call_options options = {
        .method = "GET",
        .path = path,
        .on_line = lists ? NULL : on_watch_line,
        .on_end = lists ? on_list_end : on_watch_end,
        .context = follower,
    };
    follower->call = remote_call_begin(follower->remote, &options);
    if (follower->call == NULL) {
        again(follower); /* the connection takes no more requests: it ends soon */
    }
}

void follower_start(struct follower *follower)
{
    if (follower->call == NULL && !timer_is_set(&follower->retry)) {
        begin(follower);
    }
}

void follower_stop(struct follower *follower)
{
    timers_clear(wire_loop_timers(follower->remote->options.wire), &follower->retry);
    if (follower->call != NULL) {
        remote_call_forget(TAKE_PTR(follower->call));
    }
}
