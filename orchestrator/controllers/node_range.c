/* node_range.c - each node gets a range of pod addresses of its own.
 *
 * One key for all nodes: ranges of two nodes that come at the same time must not be chosen by two
 * reconciles that do not see each other's choice. */
#include <string.h>

#include "orchestrator/controllers/controllers.h"

static const char *range_of(const json_t *node)
{
    return tree_text_or(node, "spec.podCIDR", "");
}

static json_t *ranges_in_use(const struct cache *cache)
{
    json_t *used = json_object();
    struct cache_cursor c = cache_list(cache, "nodes", "");
    while (cache_next(&c)) {
        if (*range_of(c.object) != '\0') {
            json_object_set_new(used, range_of(c.object), json_true());
        }
    }
    return used;
}

/* The first free range from *next on, marked as used; NULL when all are in use. The caller frees.
 */
static char *take_range(const struct controller_settings *settings, json_t *used, uint32_t *next)
{
    for (; *next < settings->pod_cidr_count; ++*next) {
        uint32_t base = settings->pod_cidr_first + (*next << 8);
        char *range = mem_printf("%u.%u.%u.0/24", base >> 24, base >> 16 & 255, base >> 8 & 255);
        if (json_object_get(used, range) == NULL) {
            json_object_set_new(used, range, json_true());
            return range;
        }
        mem_free(range);
    }
    return NULL;
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    CLEANUP(json) json_t *used = ranges_in_use(in->cache);
    uint32_t next = 0;
    struct cache_cursor c = cache_list(in->cache, "nodes", "");
    while (cache_next(&c)) {
        if (*range_of(c.object) != '\0' || object_is_deleting(c.object)) {
            continue;
        }
        CLEANUP(free) char *range = take_range(in->settings, used, &next);
        if (range == NULL) {
            actions_event(out, in, c.object, "Warning", "CIDRNotAvailable",
                          "Node %s gets no range of pod addresses: all are in use",
                          object_name(c.object));
            return;
        }
        /* Without resourceVersion: nobody else gives ranges, and nodes change all the time. */
        actions_patch(out, controller_kind("nodes"), c.object,
                      json_pack("{s:{s:s, s:[s]}}", "spec", "podCIDR", range, "podCIDRs", range));
    }
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    (void)cache;
    if (strcmp(storage, "nodes") == 0 &&
        (event->type == CACHE_DELETED || *range_of(event->object) == '\0')) {
        wake_key(wakeups, "", "cluster");
    }
}

const struct controller controller_node_range = {
    .name = "node-ipam-controller", .wake = wake, .reconcile = reconcile};
