/* pod_check.c - probes and life-cycle hooks: what runs them, and what their results do. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/agent/check.h"
#include "orchestrator/agent/pod_status.h"
#include "orchestrator/agent/pods_internal.h"
#include "orchestrator/objects/tree.h"

enum { TIMEOUT_MS_DEFAULT = 1000, OUTPUT_BYTES_MAX = 500 };

/* ---- one check ---- */

struct running_check {
    struct job *job;
    check_done *done;
    void *context;
};

static void on_check(void *context, bool is_success, const char *output)
{
    struct running_check *running = context;
    struct job *job = running->job;
    running->done(running->context, is_success, output);
    mem_free(running);
    (void)job_end(job);
}

/* A port by number or by name of the container's ports. */
static int port_of(const struct unit *unit, const json_t *port)
{
    if (json_is_integer(port)) {
        return (int)json_integer_value(port);
    }
    const json_t *named =
        tree_find_item(json_object_get(unit->spec, "ports"), "name",
                       json_string_value(port) == NULL ? "" : json_string_value(port));
    return (int)tree_int(named, "containerPort", 0);
}

void check_run(struct work *work, const struct unit *unit, const json_t *handler,
               int64_t timeout_ms, check_done *done, void *context)
{
    const struct pods *pods = work->pods;
    const char *address =
        pod_is_host_network(work->record) ? pods->options.node_ip : work->record->address;
    const json_t *exec = json_object_get(handler, "exec");
    const json_t *http = json_object_get(handler, "httpGet");
    const json_t *tcp = json_object_get(handler, "tcpSocket");
    const json_t *grpc = json_object_get(handler, "grpc");
    struct running_check *running = mem_zalloc(sizeof(*running));
    running->job = job_new(work, unit);
    running->done = done;
    running->context = context;
    struct check_options options = {
        .wire = pods->options.wire,
        .timeout_ms = (uint64_t)timeout_ms,
        .done = on_check,
        .context = running,
        .host = address,
    };
    if (exec != NULL) {
        CLEANUP(free) char *socket = pods_socket(pods, unit);
        CLEANUP(json)
        json_t *process =
            pods_exec_process(pods, work->record, unit, json_object_get(exec, "command"), false);
        check_exec(&options, socket, process);
    } else if (http != NULL) {
        const char *host = tree_text_or(http, "host", "");
        options.host = *host == '\0' ? address : host;
        check_http(&options, port_of(unit, json_object_get(http, "port")), http);
    } else if (tcp != NULL) {
        const char *host = tree_text_or(tcp, "host", "");
        options.host = *host == '\0' ? address : host;
        check_tcp(&options, port_of(unit, json_object_get(tcp, "port")));
    } else if (grpc != NULL) {
        check_grpc(&options, port_of(unit, json_object_get(grpc, "port")),
                   tree_text_or(grpc, "service", ""));
    } else {
        check_sleep(&options, tree_int(handler, "sleep.seconds", 0) * 1000);
    }
}

/* ---- probes ---- */

struct probe_job {
    struct job *job;
    enum probe_type type;
    int attempt;
};

static bool is_wanted(const struct unit *unit, enum probe_type type)
{
    bool has_startup = json_object_get(unit->spec, "startupProbe") != NULL;
    bool is_past = !has_startup || unit->probes[PROBE_STARTUP].verdict == PROBE_PASSED;
    if (json_object_get(unit->spec, probe_field(type)) == NULL || unit->state != UNIT_RUNNING ||
        unit->stop != STOP_NONE || !unit->is_hook_done) {
        return false;
    }
    return type == PROBE_STARTUP ? !is_past : is_past;
}

static void act_on_failure(struct work *work, struct unit *unit, enum probe_type type)
{
    static const char *const names[] = {"startup", "liveness", "readiness"};
    const json_t *spec = json_object_get(unit->spec, probe_field(type));
    if (type == PROBE_READINESS || unit->probes[type].verdict != PROBE_FAILED ||
        unit->stop != STOP_NONE) {
        return;
    }
    int64_t grace_s =
        tree_int(spec, "terminationGracePeriodSeconds",
                 tree_int(work->record->pod, "spec.terminationGracePeriodSeconds", 30));
    pods_note(work->pods, work->record, unit, "Normal", "Killing",
              "Container %s failed %s probe, will be restarted", unit->name, names[type]);
    work_stop_unit(work, unit, grace_s * 1000);
}

static void on_probe(void *context, bool is_success, const char *output)
{
    struct probe_job *probing = context;
    struct job *job = probing->job;
    struct work *work = job->work;
    struct unit *unit = job_unit(job);
    static const char *const names[] = {"Startup", "Liveness", "Readiness"};
    enum probe_type type = probing->type;
    struct probe *probe = &unit->probes[type];
    const json_t *spec = json_object_get(unit->spec, probe_field(type));
    bool is_same = probing->attempt == unit->attempt && is_wanted(unit, type);
    mem_free(probing);
    if (is_same && !work->is_dropped) {
        int failures = probe->failures;
        bool is_news = probe_result(probe, spec, is_success, pods_now_ms());
        if (!is_success && (failures == 0 || is_news)) {
            pods_note(work->pods, work->record, unit, "Warning", "Unhealthy",
                      "%s probe failed: %.*s", names[type], OUTPUT_BYTES_MAX, output);
        }
        if (is_news && !is_success) {
            act_on_failure(work, unit, type);
        }
        unit_refresh(unit);
    } else {
        probe->is_running = false;
    }
    if (unit->process != NULL && !work->is_dropped) {
        process_plan_probes(unit->process);
    }
    (void)job_end(job);
}

static void start_probe(struct process *process, struct unit *unit, enum probe_type type)
{
    const json_t *spec = json_object_get(unit->spec, probe_field(type));
    struct probe_job *probing = mem_zalloc(sizeof(*probing));
    int64_t timeout_s = tree_int(spec, "timeoutSeconds", TIMEOUT_MS_DEFAULT / 1000);
    probing->job = job_new(process->work, unit);
    probing->type = type;
    probing->attempt = unit->attempt;
    unit->probes[type].is_running = true;
    check_run(process->work, unit, spec, timeout_s * 1000, on_probe, probing);
}

static void on_timer(struct timer *timer)
{
    process_plan_probes(container_of(timer, struct process, timer));
}

void process_plan_probes(struct process *process)
{
    struct unit *unit = &process->work->record->units[process->index];
    struct timers *timers = wire_loop_timers(process->work->pods->options.wire);
    int64_t now_ms = pods_now_ms();
    int64_t next_ms = INT64_MAX;
    process->timer.fired = on_timer;
    for (enum probe_type type = PROBE_STARTUP; type < PROBE_TYPES; type++) {
        struct probe *probe = &unit->probes[type];
        if (!is_wanted(unit, type)) {
            continue;
        }
        int64_t due_ms =
            probe_due(probe, json_object_get(unit->spec, probe_field(type)), unit->started_ms);
        if (due_ms <= now_ms) {
            start_probe(process, unit, type);
        } else if (due_ms < next_ms) {
            next_ms = due_ms;
        }
    }
    if (next_ms != INT64_MAX) {
        timers_set(timers, &process->timer, timers->now_ms + (uint64_t)(next_ms - now_ms));
    }
}
