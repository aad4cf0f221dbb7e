#include "orchestrator/proxy/backends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/objects/tree.h"

#define LABEL_SERVICE "kubernetes.io/service-name"

void slice_index_init(struct slice_index *index, const struct cache *cache)
{
    bytes_map_init(&index->lists);
    struct cache_cursor c = cache_list(cache, "endpointslices", "");
    while (cache_next(&c)) {
        const char *service = object_label(c.object, LABEL_SERVICE);
        if (service == NULL || !tree_has_text(c.object, "addressType", "IPv4")) {
            continue;
        }
        CLEANUP(free) char *key = mem_printf("%s/%s", object_namespace(c.object), service);
        json_t *list = bytes_map_find(&index->lists, bytes_from_text(key));
        if (list == NULL) {
            list = json_array();
            (void)bytes_map_set(&index->lists, bytes_from_text(key), list);
        }
        json_array_append(list, tree_mutable(c.object));
    }
}

void slice_index_deinit(struct slice_index *index)
{
    size_t cursor = 0;
    struct bytes key;
    void *value = NULL;
    while (bytes_map_next(&index->lists, &cursor, &key, &value)) {
        json_decref(value);
    }
    bytes_map_deinit(&index->lists);
}

const json_t *slice_index_find(const struct slice_index *index, const char *namespace,
                               const char *service)
{
    CLEANUP(free) char *key = mem_printf("%s/%s", namespace, service);
    return bytes_map_find(&index->lists, bytes_from_text(key));
}

bool backend_is_address(const char *text)
{
    unsigned part[4];
    char again[16];
    char rest = '\0';
    if (text == NULL || strlen(text) >= sizeof(again) ||
        sscanf(text, "%3u.%3u.%3u.%3u%c", &part[0], &part[1], &part[2], &part[3], &rest) != 4 ||
        part[0] > 255 || part[1] > 255 || part[2] > 255 || part[3] > 255) {
        return false;
    }
    (void)snprintf(again, sizeof(again), "%u.%u.%u.%u", part[0], part[1], part[2], part[3]);
    return strcmp(text, again) == 0;
}

static void add(struct backends *backends, const struct backend *backend)
{
    if (backends->count == backends->capacity) {
        backends->capacity = backends->capacity == 0 ? 8 : backends->capacity * 2;
        backends->items =
            mem_reallocarray(backends->items, backends->capacity, sizeof(*backends->items));
    }
    backends->items[backends->count++] = *backend;
}

/* The number of the slice's port; 0 when it has no port of this name and protocol. */
static uint16_t find_port(const json_t *slice, const char *port_name, const char *protocol)
{
    const json_t *ports = json_object_get(slice, "ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        int64_t number = tree_int(port, "port", 0);
        if (strcmp(tree_text_or(port, "name", ""), port_name) == 0 &&
            strcmp(tree_text_or(port, "protocol", "TCP"), protocol) == 0 && number > 0 &&
            number <= UINT16_MAX) {
            return (uint16_t)number;
        }
    }
    return 0;
}

static void add_endpoint(struct backends *backends, const json_t *endpoint, uint16_t port,
                         const char *node_name)
{
    const json_t *conditions = json_object_get(endpoint, "conditions");
    bool is_ready = tree_bool(conditions, "ready", true); /* unknown is ready */
    struct backend backend = {
        .port = port,
        .is_local = tree_has_text(endpoint, "nodeName", node_name),
        .is_ready = is_ready,
        .may_serve_last = tree_bool(conditions, "serving", is_ready) &&
                          tree_bool(conditions, "terminating", false),
    };
    /* Only the first address counts: the others are the same endpoint's (discovery/v1). */
    const char *address =
        json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0));
    if (backend_is_address(address)) {
        (void)snprintf(backend.address, sizeof(backend.address), "%s", address);
        add(backends, &backend);
    }
}

static int compare(const void *a, const void *b)
{
    const struct backend *left = a;
    const struct backend *right = b;
    int order = strcmp(left->address, right->address);
    if (order == 0) {
        order = (left->port > right->port) - (left->port < right->port);
    }
    /* While an endpoint moves between slices it may be in two: the better word counts. */
    return order != 0 ? order : right->is_ready - left->is_ready;
}

void backends_collect(struct backends *backends, const json_t *slices, const char *port_name,
                      const char *protocol, const char *node_name)
{
    *backends = (struct backends){0};
    for (size_t i = 0; i < json_array_size(slices); i++) {
        const json_t *slice = json_array_get(slices, i);
        uint16_t port = find_port(slice, port_name, protocol);
        const json_t *endpoints = json_object_get(slice, "endpoints");
        for (size_t j = 0; port != 0 && j < json_array_size(endpoints); j++) {
            add_endpoint(backends, json_array_get(endpoints, j), port, node_name);
        }
    }
    if (backends->count == 0) {
        return;
    }
    qsort(backends->items, backends->count, sizeof(*backends->items), compare);
    size_t kept = 1;
    for (size_t i = 1; i < backends->count; i++) {
        const struct backend *last = &backends->items[kept - 1];
        if (strcmp(last->address, backends->items[i].address) != 0 ||
            last->port != backends->items[i].port) {
            backends->items[kept++] = backends->items[i];
        }
    }
    backends->count = kept;
}

void backends_deinit(struct backends *backends)
{
    mem_free(backends->items);
    *backends = (struct backends){0};
}

void backends_choose(const struct backends *all, bool only_local, struct backends *chosen)
{
    *chosen = (struct backends){0};
    for (int round = 0; round < 2 && chosen->count == 0; round++) {
        for (size_t i = 0; i < all->count; i++) {
            const struct backend *backend = &all->items[i];
            if ((!only_local || backend->is_local) &&
                (round == 0 ? backend->is_ready : backend->may_serve_last)) {
                add(chosen, backend);
            }
        }
    }
}
