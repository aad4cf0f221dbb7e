#include "orchestrator/dns/zone.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/dns/zone_internal.h"
#include "orchestrator/objects/tree.h"

void zone_init(struct zone *zone, const struct cache *cache, const struct zone_settings *settings)
{
    *zone = (struct zone){.cache = cache, .settings = *settings};
    bytes_map_init(&zone->slices.lists);
    bytes_map_init(&zone->names);
}

static void clear_names(struct zone *zone)
{
    size_t cursor = 0;
    struct bytes key;
    void *value = NULL;
    while (bytes_map_next(&zone->names, &cursor, &key, &value)) {
        mem_free(value);
    }
    bytes_map_deinit(&zone->names);
}

void zone_deinit(struct zone *zone)
{
    slice_index_deinit(&zone->slices);
    clear_names(zone);
}

static void add_name(struct zone *zone, const char *address, char *take_name)
{
    if (address == NULL || bytes_map_find(&zone->names, bytes_from_text(address)) != NULL) {
        mem_free(take_name); /* the first one counts: services come in the order of their names */
    } else {
        (void)bytes_map_set(&zone->names, bytes_from_text(address), take_name);
    }
}

bool zone_is_headless(const json_t *service)
{
    return tree_has_text(service, "spec.clusterIP", "None");
}

/* The first label of an endpoint's name; text has room for any label. */
static const char *endpoint_label(const json_t *endpoint, const char *address, char text[64])
{
    const char *hostname = tree_text(endpoint, "hostname");
    (void)snprintf(text, 64, "%s", hostname != NULL && *hostname != '\0' ? hostname : address);
    for (char *c = text; hostname == NULL && *c != '\0'; c++) {
        *c = *c == '.' ? '-' : *c;
    }
    return text;
}

static const char *endpoint_address(const json_t *endpoint)
{
    const char *address =
        json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0));
    bool is_ready = tree_bool(endpoint, "conditions.ready", true);
    return is_ready && backend_is_address(address) ? address : NULL;
}

void zone_visit_endpoints(const struct zone *zone, const json_t *service,
                          zone_visit_endpoint *visit, void *context)
{
    const json_t *slices =
        slice_index_find(&zone->slices, object_namespace(service), object_name(service));
    for (size_t i = 0; i < json_array_size(slices); i++) {
        const json_t *slice = json_array_get(slices, i);
        const json_t *endpoints = json_object_get(slice, "endpoints");
        for (size_t j = 0; j < json_array_size(endpoints); j++) {
            const json_t *endpoint = json_array_get(endpoints, j);
            const char *address = endpoint_address(endpoint);
            char label[64];
            if (address != NULL) {
                visit(context, slice, endpoint_label(endpoint, address, label), address);
            }
        }
    }
}

char *zone_service_name(const struct zone *zone, const json_t *service)
{
    return mem_printf("%s.%s.svc.%s", object_name(service), object_namespace(service),
                      zone->settings.domain);
}

struct naming {
    struct zone *zone;
    const char *service_name;
};

static void name_endpoint(void *context, const json_t *slice, const char *label,
                          const char *address)
{
    const struct naming *naming = context;
    (void)slice;
    add_name(naming->zone, address, mem_printf("%s.%s", label, naming->service_name));
}

void zone_refresh(struct zone *zone)
{
    slice_index_deinit(&zone->slices);
    slice_index_init(&zone->slices, zone->cache);
    clear_names(zone);
    bytes_map_init(&zone->names);
    struct cache_cursor c = cache_list(zone->cache, "services", "");
    while (cache_next(&c)) {
        CLEANUP(free) char *name = zone_service_name(zone, c.object);
        struct naming naming = {.zone = zone, .service_name = name};
        if (zone_is_headless(c.object)) {
            zone_visit_endpoints(zone, c.object, name_endpoint, &naming);
        } else {
            const char *address = tree_text(c.object, "spec.clusterIP");
            add_name(zone, backend_is_address(address) ? address : NULL, mem_strdup(name));
        }
    }
}
