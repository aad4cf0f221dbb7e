#include "orchestrator/words/usage.h"

#include <stdio.h>

#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/tree.h"

struct usage usage_of(const json_t *map)
{
    return (struct usage){.cpu_milli = quantity_to_milli(quantity_in(map, "cpu")),
                          .memory_bytes = quantity_to_units(quantity_in(map, "memory")),
                          .pods = quantity_to_units(quantity_in(map, "pods"))};
}

struct usage usage_of_pod(const json_t *pod)
{
    struct usage sum = {.pods = 1};
    const json_t *containers = tree_find(pod, "spec.containers");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        struct usage one = usage_of(tree_find(json_array_get(containers, i), "resources.requests"));
        sum.cpu_milli += one.cpu_milli;
        sum.memory_bytes += one.memory_bytes;
    }
    return sum;
}

bool usage_is_active(const json_t *pod)
{
    return !tree_has_text(pod, "status.phase", "Succeeded") &&
           !tree_has_text(pod, "status.phase", "Failed");
}

const char *usage_cpu_text(int64_t milli, char text[USAGE_TEXT_SIZE])
{
    (void)snprintf(text, USAGE_TEXT_SIZE, milli % 1000 == 0 ? "%lld" : "%lldm",
                   (long long)(milli % 1000 == 0 ? milli / 1000 : milli));
    return text;
}

const char *usage_memory_text(int64_t bytes, char text[USAGE_TEXT_SIZE])
{
    static const char *const units[] = {"B", "Ki", "Mi", "Gi", "Ti"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit < 4; unit++) {
        value /= 1024;
    }
    (void)snprintf(text, USAGE_TEXT_SIZE, value < 10 && unit > 0 ? "%.1f%s" : "%.0f%s", value,
                   bytes == 0 ? "" : units[unit]);
    return text;
}
