#include "orchestrator/agent/upkeep.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "orchestrator/agent/eviction.h"
#include "orchestrator/objects/tree.h"

enum {
    LOOK_MS = 10 * 1000,
    FIRST_LOOK_MS = 1000,
    CANDIDATES_MAX = 1024,
    IMAGES_TOLD_MAX = 50,        /* kubelet: nodeStatusMaxImages */
    PRESSURE_MS = 5 * 60 * 1000, /* it is told so long after its end */
    IMAGE_DISK_FREE_MIN = 15,    /* percent; below, unused images go */
    RELIEF_MS = 30 * 1000,       /* between two evictions: the first may have helped */
};

struct upkeep {
    struct upkeep_options options;
    struct timer timer;
    int64_t memory_until_ms; /* pressure is told until then */
    int64_t disk_until_ms;
    int64_t next_eviction_ms;
    bool is_asking; /* for the images */
};

static int64_t available_memory(void)
{
    CLEANUP(file) FILE *file = fopen("/proc/meminfo", "re");
    char line[200];
    long long available = INT64_MAX / 1024;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "MemAvailable: %lld", &available) == 1) {
            break;
        }
    }
    return available * 1024;
}

static int64_t free_disk_percent(const struct upkeep *upkeep)
{
    struct statvfs about;
    if (statvfs(upkeep->options.image_store, &about) != 0 || about.f_blocks == 0) {
        return 100;
    }
    return (int64_t)(about.f_bavail * 100 / about.f_blocks);
}

/* ---- eviction ---- */

struct choice {
    const struct upkeep *upkeep;
    struct eviction_candidate candidates[CANDIDATES_MAX];
    size_t count;
};

static void add_candidate(void *context, struct pod_record *record)
{
    struct choice *choice = context;
    if (choice->count < CANDIDATES_MAX) {
        choice->candidates[choice->count++] = (struct eviction_candidate){
            .record = record,
            .used_bytes = stats_pod_memory(choice->upkeep->options.stats, record)};
    }
}

static void evict(struct upkeep *upkeep, const char *resource)
{
    CLEANUP(free) struct choice *choice = mem_zalloc(sizeof(*choice));
    CLEANUP(free)
    char *message = mem_printf("The node was low on resource: %s.", resource);
    choice->upkeep = upkeep;
    pods_each(upkeep->options.pods, add_candidate, choice);
    struct pod_record *record = eviction_choose(choice->candidates, choice->count);
    if (record != NULL && pods_now_ms() >= upkeep->next_eviction_ms) {
        upkeep->next_eviction_ms = pods_now_ms() + RELIEF_MS;
        log_warn("evicting a pod", LOG_TEXT("pod", object_name(record->pod)),
                 LOG_TEXT("resource", resource));
        pods_evict(upkeep->options.pods, record, "Evicted", message);
    }
}

/* ---- images ---- */

struct usage {
    const char *id;
    bool is_used;
};

static void look_for_user(void *context, struct pod_record *record)
{
    struct usage *usage = context;
    for (size_t i = 0; i < record->unit_count; i++) {
        const struct unit *unit = &record->units[i];
        usage->is_used |= strcmp(unit->image_id, usage->id) == 0 || unit->state == UNIT_STARTING;
    }
}

static void on_image_removed(void *context, const json_t *answer, const char *reason,
                             const char *message)
{
    (void)context;
    (void)reason;
    if (answer == NULL) {
        log_warn("cannot remove an image", LOG_TEXT("reason", message));
    }
}

static void remove_unused(struct upkeep *upkeep, const json_t *images)
{
    for (size_t i = 0; i < json_array_size(images); i++) {
        struct usage usage = {.id = tree_text_or(json_array_get(images, i), "id", "")};
        pods_each(upkeep->options.pods, look_for_user, &usage);
        if (!usage.is_used) {
            log_info("removing an unused image", LOG_TEXT("image", usage.id));
            programs_pod(upkeep->options.programs, "image-remove",
                         json_pack("{s:s}", "id", usage.id), on_image_removed, upkeep);
            return; /* one at a time, until there is room */
        }
    }
}

static void on_images(void *context, const json_t *answer, const char *reason, const char *message)
{
    struct upkeep *upkeep = context;
    const json_t *images = json_object_get(answer, "images");
    json_t *told = json_array();
    (void)reason;
    (void)message;
    upkeep->is_asking = false;
    for (size_t i = 0; i < json_array_size(images) && i < IMAGES_TOLD_MAX; i++) {
        const json_t *image = json_array_get(images, i);
        json_array_append_new(told,
                              json_pack("{s:O, s:I}", "names", json_object_get(image, "names"),
                                        "sizeBytes", (json_int_t)tree_int(image, "size", 0)));
    }
    node_set_images(upkeep->options.node, told);
    if (free_disk_percent(upkeep) < IMAGE_DISK_FREE_MIN) {
        remove_unused(upkeep, images);
    }
}

static void look(struct upkeep *upkeep)
{
    int64_t now_ms = pods_now_ms();
    bool is_memory_low = available_memory() < upkeep->options.memory_min_bytes;
    bool is_disk_low = free_disk_percent(upkeep) < upkeep->options.disk_min_percent;
    upkeep->memory_until_ms = is_memory_low ? now_ms + PRESSURE_MS : upkeep->memory_until_ms;
    upkeep->disk_until_ms = is_disk_low ? now_ms + PRESSURE_MS : upkeep->disk_until_ms;
    node_set_pressure(upkeep->options.node, now_ms < upkeep->memory_until_ms,
                      now_ms < upkeep->disk_until_ms, false);
    if (is_memory_low || is_disk_low) {
        evict(upkeep, is_memory_low ? "memory" : "ephemeral-storage");
    }
    if (!upkeep->is_asking) {
        upkeep->is_asking = true;
        programs_pod(upkeep->options.programs, "image-list", json_object(), on_images, upkeep);
    }
}

static void on_timer(struct timer *timer)
{
    struct upkeep *upkeep = container_of(timer, struct upkeep, timer);
    struct timers *timers = wire_loop_timers(upkeep->options.wire);
    look(upkeep);
    timers_set(timers, &upkeep->timer, timers->now_ms + LOOK_MS);
}

struct upkeep *upkeep_new(const struct upkeep_options *options)
{
    struct upkeep *upkeep = mem_zalloc(sizeof(*upkeep));
    struct timers *timers = wire_loop_timers(options->wire);
    upkeep->options = *options;
    timer_init(&upkeep->timer, on_timer);
    timers_set(timers, &upkeep->timer, timers->now_ms + FIRST_LOOK_MS);
    return upkeep;
}
