#include "orchestrator/cache/cache.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "orchestrator/objects/tree.h"

struct entry {
    char *key;
    json_t *object;
    uint64_t round; /* the replacement that last saw it */
};

struct past_event {
    struct cache_event event; /* holds references */
};

struct table {
    char *storage;
    struct entry *entries; /* sorted by key */
    size_t count;
    size_t capacity;
    struct past_event *history; /* a ring: event n is at n % history_capacity */
    size_t history_capacity;
    uint64_t first;           /* position of the oldest event kept */
    uint64_t next;            /* position of the next event */
    uint64_t oldest_revision; /* events after it are all kept */
};

struct cache {
    struct bytes_map tables;
    size_t history_max;
    uint64_t revision;
    uint64_t round;
    bool is_replacing;
    cache_listener *listener;
    void *listener_context;
};

struct cache *cache_new(size_t history_max)
{
    CHECK(history_max > 0);
    struct cache *cache = mem_zalloc(sizeof(*cache));
    bytes_map_init(&cache->tables);
    cache->history_max = history_max;
    return cache;
}

static void event_drop(struct past_event *past)
{
    json_decref(tree_mutable(past->event.object));
    json_decref(tree_mutable(past->event.previous));
    *past = (struct past_event){0};
}

static void history_clear(struct table *table, uint64_t revision)
{
    for (; table->first < table->next; table->first++) {
        event_drop(&table->history[table->first % table->history_capacity]);
    }
    table->oldest_revision = revision;
}

static void table_free(struct table *table)
{
    history_clear(table, 0);
    for (size_t i = 0; i < table->count; i++) {
        mem_free(table->entries[i].key);
        json_decref(table->entries[i].object);
    }
    mem_free(table->entries);
    mem_free(table->history);
    mem_free(table->storage);
    mem_free(table);
}

void cache_free(struct cache *cache)
{
    if (cache == NULL) {
        return;
    }
    size_t cursor = 0;
    struct bytes key;
    void *table = NULL;
    while (bytes_map_next(&cache->tables, &cursor, &key, &table)) {
        table_free(table);
    }
    bytes_map_deinit(&cache->tables);
    mem_free(cache);
}

uint64_t cache_revision(const struct cache *cache)
{
    return cache->revision;
}

void cache_set_revision(struct cache *cache, uint64_t revision)
{
    if (revision > cache->revision) {
        cache->revision = revision;
    }
}

static struct table *find_table(const struct cache *cache, const char *storage)
{
    return bytes_map_find(&cache->tables, bytes_from_text(storage));
}

static struct table *make_table(struct cache *cache, const char *storage)
{
    struct table *table = find_table(cache, storage);
    if (table == NULL) {
        table = mem_zalloc(sizeof(*table));
        table->storage = mem_strdup(storage);
        table->oldest_revision = cache->revision;
        (void)bytes_map_set(&cache->tables, bytes_from_text(storage), table);
    }
    return table;
}

/* The index of the first entry that is not before key. */
static size_t lower_bound(const struct table *table, const char *key)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(table->entries[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct entry *find_entry(const struct table *table, const char *key)
{
    size_t at = lower_bound(table, key);
    bool is_there = at < table->count && strcmp(table->entries[at].key, key) == 0;
    return is_there ? &table->entries[at] : NULL;
}

static char *make_key(const char *namespace, const char *name)
{
    return *namespace == '\0' ? mem_strdup(name) : mem_printf("%s/%s", namespace, name);
}

/* Room for one more event: the ring grows to its limit, then forgets its oldest. */
static void history_make_room(struct table *table, size_t history_max)
{
    size_t used = (size_t)(table->next - table->first);
    if (used < table->history_capacity) {
        return;
    }
    if (table->history_capacity == history_max) {
        struct past_event *oldest = &table->history[table->first % table->history_capacity];
        table->oldest_revision = oldest->event.revision;
        event_drop(oldest);
        table->first++;
        return;
    }
    size_t capacity = table->history_capacity == 0 ? 16 : table->history_capacity * 2;
    capacity = capacity > history_max ? history_max : capacity;
    struct past_event *history = mem_calloc(capacity, sizeof(history[0]));
    for (uint64_t at = table->first; at < table->next; at++) {
        CHECK(table->history_capacity > 0);
        history[at % capacity] = table->history[at % table->history_capacity];
    }
    mem_free(table->history);
    table->history = history;
    table->history_capacity = capacity;
}

static void tell(struct cache *cache, struct table *table, const struct cache_event *event)
{
    history_make_room(table, cache->history_max);
    struct past_event *past = &table->history[table->next % table->history_capacity];
    past->event = *event;
    json_incref(tree_mutable(event->object));
    json_incref(tree_mutable(event->previous));
    table->next++;
    cache_set_revision(cache, event->revision);
    if (cache->listener != NULL) {
        cache->listener(cache->listener_context, table->storage, event);
    }
}

static struct entry *insert_entry(struct table *table, const char *key)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        table->entries =
            mem_reallocarray(table->entries, table->capacity, sizeof(table->entries[0]));
    }
    size_t at = lower_bound(table, key);
    memmove(&table->entries[at + 1], &table->entries[at],
            (table->count - at) * sizeof(table->entries[0]));
    table->count++;
    table->entries[at] = (struct entry){.key = mem_strdup(key)};
    return &table->entries[at];
}

void cache_put(struct cache *cache, const char *storage, const char *namespace, const char *name,
               json_t *take_object, uint64_t revision)
{
    struct table *table = make_table(cache, storage);
    char *key = make_key(namespace, name);
    struct entry *entry = find_entry(table, key);
    json_t *previous = entry == NULL ? NULL : entry->object;
    bool is_new = entry == NULL;
    if (is_new) {
        entry = insert_entry(table, key);
    }
    mem_free(key);
    entry->object = take_object;
    entry->round = cache->round;
    bool is_same = previous != NULL && object_revision(previous) == object_revision(take_object);
    if (!is_same) {
        tell(cache, table,
             &(struct cache_event){.type = is_new ? CACHE_ADDED : CACHE_MODIFIED,
                                   .revision = revision,
                                   .object = take_object,
                                   .previous = previous});
    }
    json_decref(previous);
}

static void remove_entry(struct cache *cache, struct table *table, struct entry *entry,
                         uint64_t revision)
{
    char *key = entry->key;
    json_t *previous = entry->object;
    size_t at = (size_t)(entry - table->entries);
    memmove(entry, entry + 1, (table->count - at - 1) * sizeof(*entry));
    table->count--;
    /* The event shows the last state at the revision of its removal. */
    json_t *last = json_copy(previous);
    json_t *metadata = json_copy(json_object_get(previous, "metadata"));
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)revision);
    if (metadata != NULL) {
        json_object_set_new(metadata, "resourceVersion", json_string(text));
        json_object_set_new(last, "metadata", metadata);
    }
    tell(cache, table,
         &(struct cache_event){
             .type = CACHE_DELETED, .revision = revision, .object = last, .previous = previous});
    json_decref(last);
    json_decref(previous);
    mem_free(key);
}

void cache_remove(struct cache *cache, const char *storage, const char *namespace, const char *name,
                  uint64_t revision)
{
    struct table *table = find_table(cache, storage);
    CLEANUP(free) char *key = make_key(namespace, name);
    struct entry *entry = table == NULL ? NULL : find_entry(table, key);
    if (entry != NULL) {
        remove_entry(cache, table, entry, revision);
    }
    cache_set_revision(cache, revision);
}

void cache_replace_begin(struct cache *cache)
{
    CHECK(!cache->is_replacing);
    cache->is_replacing = true;
    cache->round++;
}

void cache_replace_end(struct cache *cache, uint64_t revision)
{
    CHECK(cache->is_replacing);
    cache->is_replacing = false;
    size_t cursor = 0;
    struct bytes key;
    void *found = NULL;
    while (bytes_map_next(&cache->tables, &cursor, &key, &found)) {
        struct table *table = found;
        for (size_t i = table->count; i > 0; i--) {
            if (table->entries[i - 1].round != cache->round) {
                remove_entry(cache, table, &table->entries[i - 1], revision);
            }
        }
        history_clear(table, revision);
    }
    cache_set_revision(cache, revision);
}

const json_t *cache_find(const struct cache *cache, const char *storage, const char *namespace,
                         const char *name)
{
    const struct table *table = find_table(cache, storage);
    CLEANUP(free) char *key = make_key(namespace, name);
    const struct entry *entry = table == NULL ? NULL : find_entry(table, key);
    return entry == NULL ? NULL : entry->object;
}

size_t cache_count(const struct cache *cache, const char *storage)
{
    const struct table *table = find_table(cache, storage);
    return table == NULL ? 0 : table->count;
}

struct cache_cursor cache_list(const struct cache *cache, const char *storage,
                               const char *namespace)
{
    struct cache_cursor cursor = {.table = find_table(cache, storage)};
    if (*namespace != '\0') {
        (void)snprintf(cursor.prefix, sizeof(cursor.prefix), "%s/", namespace);
    }
    if (cursor.table != NULL) {
        cursor.index = lower_bound(cursor.table, cursor.prefix);
    }
    return cursor;
}

struct cache_cursor cache_list_after(const struct cache *cache, const char *storage,
                                     const char *namespace, const char *key)
{
    struct cache_cursor cursor = cache_list(cache, storage, namespace);
    const struct table *table = cursor.table;
    if (table != NULL) {
        size_t at = lower_bound(table, key);
        at += at < table->count && strcmp(table->entries[at].key, key) == 0;
        cursor.index = at > cursor.index ? at : cursor.index;
    }
    return cursor;
}

bool cache_next(struct cache_cursor *cursor)
{
    const struct table *table = cursor->table;
    if (table == NULL || cursor->index >= table->count) {
        return false;
    }
    const struct entry *entry = &table->entries[cursor->index];
    if (strncmp(entry->key, cursor->prefix, strlen(cursor->prefix)) != 0) {
        return false;
    }
    cursor->object = entry->object;
    cursor->key = entry->key;
    cursor->index++;
    return true;
}

int cache_position(const struct cache *cache, const char *storage, uint64_t revision,
                   uint64_t *ret_position)
{
    const struct table *table = find_table(cache, storage);
    if (table == NULL) {
        *ret_position = 0;
        return 0;
    }
    if (revision < table->oldest_revision) {
        return ERR_CLOSED;
    }
    uint64_t low = table->first;
    uint64_t high = table->next;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (table->history[middle % table->history_capacity].event.revision <= revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_position = low;
    return 0;
}

int cache_read(const struct cache *cache, const char *storage, uint64_t *position,
               struct cache_event *ret_event)
{
    const struct table *table = find_table(cache, storage);
    if (table == NULL || *position >= table->next) {
        return 0;
    }
    if (*position < table->first) {
        return ERR_CLOSED;
    }
    *ret_event = table->history[*position % table->history_capacity].event;
    (*position)++;
    return 1;
}

void cache_set_listener(struct cache *cache, cache_listener *listener, void *context)
{
    cache->listener = listener;
    cache->listener_context = context;
}
