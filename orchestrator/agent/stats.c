#include "orchestrator/agent/stats.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/list.h"
#include "orchestrator/agent/shim_link.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"

struct sample {
    int64_t time_ns;
    int64_t cpu_ns; /* used since its start */
    int64_t memory_bytes;
};

/* A container, by its id: the last two samples. */
struct measured {
    struct stats *stats;
    struct list link;
    struct shim_link *shim; /* a question under way */
    char id[CONTAINER_ID_TEXT_SIZE];
    struct sample now;
    struct sample before; /* time 0: none */
    bool is_seen;
};

struct stats {
    struct wire_loop *wire;
    struct pods *pods;
    char *node_name;
    struct timer timer;
    struct list measured;
    struct sample now;
    struct sample before;
};

static int64_t rate_of(const struct sample *before, const struct sample *now)
{
    int64_t elapsed_ns = now->time_ns - before->time_ns;
    if (before->time_ns == 0 || elapsed_ns <= 0 || now->cpu_ns < before->cpu_ns) {
        return 0;
    }
    return (int64_t)((double)(now->cpu_ns - before->cpu_ns) * 1e9 / (double)elapsed_ns);
}

/* ---- the machine ---- */

static int64_t machine_cpu_ns(void)
{
    CLEANUP(file) FILE *file = fopen("/proc/stat", "re");
    long long user = 0;
    long long nice = 0;
    long long system = 0;
    if (file == NULL || fscanf(file, "cpu %lld %lld %lld", &user, &nice, &system) != 3) {
        return 0;
    }
    return (user + nice + system) * (INT64_C(1000000000) / sysconf(_SC_CLK_TCK));
}

static int64_t machine_memory(void)
{
    CLEANUP(file) FILE *file = fopen("/proc/meminfo", "re");
    char line[200];
    long long total = 0;
    long long available = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "MemTotal: %lld", &total); /* most lines are others */
        (void)sscanf(line, "MemAvailable: %lld", &available);
    }
    return (total - available) * 1024;
}

static void measure_machine(struct stats *stats)
{
    stats->before = stats->now;
    stats->now = (struct sample){.time_ns = clock_realtime_ms() * 1000000,
                                 .cpu_ns = machine_cpu_ns(),
                                 .memory_bytes = machine_memory()};
}

/* ---- containers ---- */

static void on_reply(void *context, const Coracle__Shim__ShimReply *reply)
{
    struct measured *measured = context;
    if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_STATS) {
        const Coracle__Shim__ShimStats *told = reply->stats;
        measured->before = measured->now;
        measured->now = (struct sample){.time_ns = told->taken_at_ns,
                                        .cpu_ns = (int64_t)told->cpu_usage_ns,
                                        .memory_bytes = (int64_t)told->memory_working_set_bytes};
    }
    shim_link_close(measured->shim);
    measured->shim = NULL;
}

static void on_end(void *context, int code)
{
    struct measured *measured = context;
    (void)code;
    measured->shim = NULL;
}

static const struct shim_link_events link_events = {.on_reply = on_reply, .on_end = on_end};

static struct measured *find(const struct stats *stats, const char *id)
{
    list_foreach (item, &stats->measured) {
        struct measured *measured = container_of(item, struct measured, link);
        if (strcmp(measured->id, id) == 0) {
            return measured;
        }
    }
    return NULL;
}

static void measure_unit(struct stats *stats, const struct unit *unit)
{
    struct measured *measured = find(stats, unit->id);
    if (measured == NULL) {
        measured = mem_zalloc(sizeof(*measured));
        measured->stats = stats;
        (void)snprintf(measured->id, sizeof(measured->id), "%s", unit->id);
        list_push_back(&stats->measured, &measured->link);
    }
    measured->is_seen = true;
    if (measured->shim == NULL) {
        Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
        Coracle__Shim__ShimStatsRequest body = CORACLE__SHIM__SHIM_STATS_REQUEST__INIT;
        CLEANUP(free) char *path = pods_socket(stats->pods, unit);
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_STATS;
        request.stats = &body;
        measured->shim = shim_link_open(wire_loop_uv(stats->wire), path, &link_events, measured);
        (void)shim_link_send(measured->shim, &request);
    }
}

static void measure_pod(void *context, struct pod_record *record)
{
    for (size_t i = 0; i < record->unit_count; i++) {
        if (record->units[i].state == UNIT_RUNNING) {
            measure_unit(context, &record->units[i]);
        }
    }
}

static void on_timer(struct timer *timer)
{
    struct stats *stats = container_of(timer, struct stats, timer);
    struct timers *timers = wire_loop_timers(stats->wire);
    measure_machine(stats);
    list_foreach (item, &stats->measured) {
        container_of(item, struct measured, link)->is_seen = false;
    }
    pods_each(stats->pods, measure_pod, stats);
    list_foreach_safe (item, &stats->measured) {
        struct measured *measured = container_of(item, struct measured, link);
        if (!measured->is_seen) {
            list_remove(&measured->link);
            shim_link_close(measured->shim);
            mem_free(measured);
        }
    }
    timers_set(timers, &stats->timer, timers->now_ms + STATS_PERIOD_MS);
}

/* ---- telling ---- */

struct report {
    struct stats *stats;
    json_t *pods;
};

static void report_pod(void *context, struct pod_record *record)
{
    struct report *report = context;
    json_t *containers = json_array();
    for (size_t i = 0; i < record->unit_count; i++) {
        const struct unit *unit = &record->units[i];
        const struct measured *measured = find(report->stats, unit->id);
        if (unit->state == UNIT_RUNNING && measured != NULL && measured->before.time_ns > 0) {
            json_array_append_new(containers,
                                  json_pack("{s:s, s:I, s:I}", "name", unit->name, "cpuNano",
                                            (json_int_t)rate_of(&measured->before, &measured->now),
                                            "memoryBytes", (json_int_t)measured->now.memory_bytes));
        }
    }
    if (json_array_size(containers) > 0) {
        json_array_append_new(
            report->pods, json_pack("{s:s, s:s, s:O}", "namespace", object_namespace(record->pod),
                                    "name", object_name(record->pod), "containers", containers));
    }
    json_decref(containers);
}

json_t *stats_report(void *context)
{
    struct stats *stats = context;
    char time[TIMESTAMP_SIZE];
    struct report report = {.stats = stats, .pods = json_array()};
    pods_each(stats->pods, report_pod, &report);
    return json_pack("{s:s, s:s, s:o, s:{s:I, s:I}, s:o}", "name", stats->node_name, "timestamp",
                     timestamp_format(stats->now.time_ns / 1000000, time), "window",
                     json_sprintf("%ds", STATS_PERIOD_MS / 1000), "node", "cpuNano",
                     (json_int_t)rate_of(&stats->before, &stats->now), "memoryBytes",
                     (json_int_t)stats->now.memory_bytes, "pods", report.pods);
}

int64_t stats_pod_memory(const struct stats *stats, const struct pod_record *record)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < record->unit_count; i++) {
        const struct measured *measured = find(stats, record->units[i].id);
        bytes += measured == NULL ? 0 : measured->now.memory_bytes;
    }
    return bytes;
}

struct stats *stats_new(struct wire_loop *wire, struct pods *pods, const char *node_name)
{
    struct stats *stats = mem_zalloc(sizeof(*stats));
    struct timers *timers = wire_loop_timers(wire);
    stats->wire = wire;
    stats->pods = pods;
    stats->node_name = mem_strdup(node_name);
    list_init(&stats->measured);
    timer_init(&stats->timer, on_timer);
    measure_machine(stats);
    timers_set(timers, &stats->timer, timers->now_ms + 1000);
    return stats;
}
