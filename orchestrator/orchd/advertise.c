#include "orchestrator/orchd/advertise.h"

#include <string.h>

#include "base/list.h"

enum { CHECK_MS = 10 * 1000, RETRY_MS = 200, WITHDRAW_MS = 1000 };

struct advertise {
    struct registry *registry;
    struct timers *timers;
    struct timer timer;
    char *name;
    json_t *slice;
    bool is_busy;
    bool is_withdrawn;
    void (*done)(void *context);
    void *context;
};

static void again(struct advertise *advertise, uint64_t delay_ms)
{
    timers_set(advertise->timers, &advertise->timer, advertise->timers->now_ms + delay_ms);
}

static void submit(struct advertise *advertise, enum request_verb verb, registry_done *done)
{
    CLEANUP(json) json_t *groups = json_pack("[s]", "system:masters");
    const struct request request = {
        .verb = verb,
        .kind = kinds_find_storage(NULL, "endpointslices"),
        .namespace = "default",
        .name = advertise->name,
        .subresource = "",
        .body = verb == REQUEST_APPLY ? advertise->slice : NULL,
        .field_manager = "orchd-api",
        .force = true,
        .user = {.name = "system:coracle", .uid = "", .groups = groups},
    };
    advertise->is_busy = true;
    registry_submit(advertise->registry, &request, done, advertise);
}

static void on_written(void *context, const struct registry_reply *reply)
{
    struct advertise *advertise = context;
    advertise->is_busy = false;
    if (advertise->is_withdrawn) {
        return;
    }
    /* Until the controllers have made the namespace it is refused. */
    again(advertise, reply->code < 300 ? CHECK_MS : RETRY_MS);
}

static void end(struct advertise *advertise)
{
    if (advertise->done != NULL) {
        TAKE_PTR(advertise->done)(advertise->context);
    }
}

static void on_withdrawn(void *context, const struct registry_reply *reply)
{
    (void)reply; /* it was there or not; the process ends either way */
    end(context);
}

static void on_time(struct timer *timer)
{
    struct advertise *advertise = container_of(timer, struct advertise, timer);
    if (advertise->is_withdrawn) {
        end(advertise); /* the store does not answer */
        return;
    }
    if (advertise->is_busy) {
        return;
    }
    if (!registry_is_synced(advertise->registry)) {
        again(advertise, RETRY_MS);
        return;
    }
    const json_t *found = cache_find(registry_cache(advertise->registry), "endpointslices",
                                     "default", advertise->name);
    if (tree_equal(json_object_get(found, "endpoints"),
                   json_object_get(advertise->slice, "endpoints")) &&
        tree_equal(json_object_get(found, "ports"), json_object_get(advertise->slice, "ports"))) {
        again(advertise, CHECK_MS);
        return;
    }
    submit(advertise, REQUEST_APPLY, on_written);
}

struct advertise *advertise_new(struct registry *registry, struct timers *timers,
                                const char *address, uint16_t port)
{
    struct advertise *advertise = mem_zalloc(sizeof(*advertise));
    advertise->registry = registry;
    advertise->timers = timers;
    advertise->name = mem_printf("kubernetes-%s", address);
    advertise->slice = json_pack(
        "{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}}, s:s, s:[{s:s, s:i, s:s}], s:[{s:[s], s:{s:b}}]}",
        "apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name",
        advertise->name, "namespace", "default", "labels", "kubernetes.io/service-name",
        "kubernetes", "endpointslice.kubernetes.io/managed-by", "orchd-api", "addressType", "IPv4",
        "ports", "name", "https", "port", (int)port, "protocol", "TCP", "endpoints", "addresses",
        address, "conditions", "ready", 1);
    timer_init(&advertise->timer, on_time);
    again(advertise, 1);
    return advertise;
}

void advertise_withdraw(struct advertise *advertise, void (*done)(void *context), void *context)
{
    advertise->is_withdrawn = true;
    advertise->done = done;
    advertise->context = context;
    submit(advertise, REQUEST_DELETE, on_withdrawn);
    again(advertise, WITHDRAW_MS);
}

void advertise_free(struct advertise *advertise)
{
    if (advertise == NULL) {
        return;
    }
    timers_clear(advertise->timers, &advertise->timer);
    json_decref(advertise->slice);
    mem_free(advertise->name);
    mem_free(advertise);
}
