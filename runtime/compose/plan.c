#include "runtime/compose/plan.h"

#include <string.h>

#include "runtime/image/json.h"

const char *plan_action_text(enum plan_action action)
{
    static const char *const texts[] = {
        [PLAN_KEEP] = "Running",       [PLAN_START] = "Started",  [PLAN_CREATE] = "Started",
        [PLAN_RECREATE] = "Recreated", [PLAN_REMOVE] = "Removed",
    };
    return texts[action];
}

static bool is_of(const json_t *container, const char *service)
{
    return strcmp(json_get_text(container, "Service", ""), service) == 0 &&
           !json_get_flag(container, "Oneoff");
}

static enum plan_action choose(const struct plan_service *service, const json_t *container,
                               const struct plan_options *options)
{
    const char *status = json_get_text(container, "Status", "");
    bool runs = strcmp(status, "running") == 0 || strcmp(status, "restarting") == 0 ||
                strcmp(status, "paused") == 0;
    bool is_other = strcmp(json_get_text(container, "Hash", ""), service->hash) != 0 ||
                    (service->image[0] != '\0' &&
                     strcmp(json_get_text(container, "Image", ""), service->image) != 0) ||
                    strcmp(status, "dead") == 0;
    if (options->is_forced || (is_other && !options->keeps_old)) {
        return PLAN_RECREATE;
    }
    return runs || !options->starts ? PLAN_KEEP : PLAN_START;
}

static void add(json_t *steps, enum plan_action action, int number, json_t *container)
{
    json_t *step = json_pack("{si si}", "Action", (int)action, "Number", number);
    if (container != NULL) {
        json_object_set(step, "Container", container);
    }
    json_array_append_new(steps, step);
}

json_t *plan_make(const struct plan_service *service, const json_t *existing,
                  const struct plan_options *options)
{
    json_t *steps = json_array();
    for (int number = 1; number <= service->scale; number++) {
        json_t *found = NULL;
        for (size_t i = 0; found == NULL && i < json_array_size(existing); i++) {
            json_t *container = json_array_get(existing, i);
            bool is_it = is_of(container, service->name) &&
                         json_get_integer(container, "Number", 0) == number;
            found = is_it ? container : NULL;
        }
        add(steps, found == NULL ? PLAN_CREATE : choose(service, found, options), number, found);
    }
    CLEANUP(json) json_t *seen = json_object();
    for (size_t i = 0; i < json_array_size(existing); i++) {
        json_t *container = json_array_get(existing, i);
        int64_t number = json_get_integer(container, "Number", 0);
        if (!is_of(container, service->name)) {
            continue;
        }
        CLEANUP(free) char *key = mem_printf("%lld", (long long)number);
        bool is_extra = number < 1 || number > service->scale || json_object_get(seen, key) != NULL;
        json_object_set_new(seen, key, json_true());
        if (is_extra) {
            add(steps, PLAN_REMOVE, (int)number, container);
        }
    }
    return steps;
}

json_t *plan_orphans(const json_t *services, const json_t *services_off, const json_t *existing)
{
    json_t *orphans = json_array();
    for (size_t i = 0; i < json_array_size(existing); i++) {
        json_t *container = json_array_get(existing, i);
        const char *service = json_get_text(container, "Service", "");
        if (json_object_get(services, service) == NULL &&
            json_object_get(services_off, service) == NULL && !json_get_flag(container, "Oneoff")) {
            json_array_append(orphans, container);
        }
    }
    return orphans;
}
