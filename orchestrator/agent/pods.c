#include "orchestrator/agent/pods.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "orchestrator/agent/pod_status.h"
#include "orchestrator/agent/pods_internal.h"
#include "orchestrator/agent/status_patch.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/tree.h"

int64_t pods_now_ms(void)
{
    return clock_realtime_ms();
}

/* ---- turns ---- */

static struct timers *timers_of(const struct pods *pods)
{
    return wire_loop_timers(pods->options.wire);
}

void work_wake(struct work *work)
{
    struct pods *pods = work->pods;
    list_remove(&work->due);
    list_push_back(&pods->due, &work->due);
    wire_loop_defer(pods->options.wire, &pods->turn);
}

static void on_work_timer(struct timer *timer)
{
    work_wake(container_of(timer, struct work, timer));
}

void work_wake_at(struct work *work, int64_t time_ms)
{
    struct timers *timers = timers_of(work->pods);
    int64_t delay_ms = time_ms - pods_now_ms();
    uint64_t deadline_ms = timers->now_ms + (uint64_t)(delay_ms < 1 ? 1 : delay_ms);
    if (!timer_is_set(&work->timer) || work->timer.deadline_ms > deadline_ms) {
        timers_set(timers, &work->timer, deadline_ms);
    }
}

struct job *job_new(struct work *work, const struct unit *unit)
{
    struct job *job = mem_zalloc(sizeof(*job));
    job->work = work;
    job->index = unit == NULL ? SIZE_MAX : work_index(work, unit);
    work->references++;
    return job;
}

struct unit *job_unit(const struct job *job)
{
    return job->index == SIZE_MAX ? NULL : &job->work->record->units[job->index];
}

struct work *job_end(struct job *job)
{
    struct work *work = job->work;
    mem_free(job);
    if (--work->references == 0 && work->is_dropped) {
        work_free(work);
        return NULL;
    }
    if (!work->is_dropped) {
        work_wake(work);
    }
    return work->is_dropped ? NULL : work;
}

size_t work_index(const struct work *work, const struct unit *unit)
{
    return (size_t)(unit - work->record->units);
}

struct work *work_new(struct pods *pods, json_t *take_pod)
{
    struct work *work = mem_zalloc(sizeof(*work));
    work->pods = pods;
    work->record = pod_record_new(take_pod, pods_now_ms());
    work->record->driver = work;
    work->tokens = json_object();
    list_init(&work->due);
    timer_init(&work->timer, on_work_timer);
    list_push_back(&pods->works, &work->link);
    return work;
}

void work_free(struct work *work)
{
    json_decref(work->tokens);
    json_decref(work->mirrored);
    json_decref(work->sent);
    json_decref(work->accepted);
    pod_record_free(work->record);
    mem_free(work);
}

static void work_drop(struct work *work)
{
    struct pods *pods = work->pods;
    for (size_t i = 0; i < work->record->unit_count; i++) {
        process_close(&work->record->units[i]);
    }
    list_remove(&work->link);
    list_remove(&work->due);
    timers_clear(timers_of(pods), &work->timer);
    work->is_dropped = true;
    if (work->references == 0) {
        work_free(work);
    }
    pods_mark_objects(pods);
}

/* ---- what the API is told ---- */

static void on_status(void *context, int code, const json_t *body)
{
    struct job *job = context;
    struct work *work = job->work;
    work->is_status_sent = false;
    if (!work->is_dropped && code == 200) {
        json_decref(work->accepted);
        work->accepted = work->sent;
        work->sent = NULL;
        work_take_pod(work, body);
    } else if (!work->is_dropped && code != 404) {
        work_wake_at(work, pods_now_ms() + RETRY_MS_MIN);
    }
    (void)job_end(job);
}

static const json_t *status_holder(const struct work *work)
{
    return work->record->is_static ? work->mirrored : work->record->pod;
}

/* True when the API has it. */
static bool send_status(struct work *work)
{
    const struct pod_record *record = work->record;
    const json_t *holder = status_holder(work);
    if (holder == NULL || record->is_gone) {
        return true;
    }
    CLEANUP(json)
    json_t *status = pod_status_make(record, work->pods->options.node_ip, pods_now_ms());
    CLEANUP(json) json_t *patch = status_patch_make(json_object_get(holder, "status"), status);
    if (work->is_status_sent) {
        return false;
    }
    /* What the API took and shows in another way (a field it does not know) is not sent again. */
    if (json_object_size(patch) == 0 || tree_equal(work->accepted, status)) {
        return true;
    }
    json_decref(work->sent);
    work->sent = json_incref(status);
    CLEANUP(json)
    json_t *body =
        json_pack("{s:{s:s}, s:O}", "metadata", "uid", object_uid(holder), "status", patch);
    CLEANUP(free)
    char *path = mem_printf("/api/v1/namespaces/%s/pods/%s/status", object_namespace(holder),
                            object_name(holder));
    const struct api_request request = {
        .method = "PATCH", .path = path, .type = API_MERGE_PATCH, .body = body};
    work->is_status_sent = true;
    api_call(work->pods->options.api, &request, on_status, job_new(work, NULL));
    return false;
}

static void on_deleted(void *context, int code, const json_t *body)
{
    struct job *job = context;
    struct work *work = job->work;
    (void)body;
    if (code != 200 && code != 404 && code != 409) {
        work->record->is_deletion_asked = false;
        work_wake_at(work, pods_now_ms() + RETRY_MS_MIN);
    } else if (!work->is_dropped) {
        work->record->is_gone = true;
    }
    (void)job_end(job);
}

/* Nothing is left here: the API may forget it. */
static void forget(struct work *work)
{
    struct pod_record *record = work->record;
    if (record->is_gone || record->is_static) {
        work_drop(work);
        return;
    }
    if (record->is_deletion_asked || !send_status(work)) {
        return;
    }
    record->is_deletion_asked = true;
    CLEANUP(json)
    json_t *body =
        json_pack("{s:s, s:s, s:i, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
                  "gracePeriodSeconds", 0, "preconditions", "uid", record->uid);
    CLEANUP(free)
    char *path = mem_printf("/api/v1/namespaces/%s/pods/%s", object_namespace(record->pod),
                            object_name(record->pod));
    const struct api_request request = {.method = "DELETE", .path = path, .body = body};
    api_call(work->pods->options.api, &request, on_deleted, job_new(work, NULL));
}

/* ---- one turn ---- */

/* True when the work is gone. */
static bool do_step(struct work *work, const struct step *step)
{
    switch (step->type) {
    case STEP_MAKE_VOLUMES:
        work_make_volumes(work);
        break;
    case STEP_MAKE_SANDBOX:
        work_make_sandbox(work);
        break;
    case STEP_START:
        work_start_unit(work, step->unit);
        break;
    case STEP_STOP:
        work_stop_unit(work, step->unit, step->grace_ms);
        break;
    case STEP_KILL:
        work_kill_unit(work, step->unit);
        break;
    case STEP_CLEAN:
        work_clean(work, false);
        break;
    case STEP_REMOVE:
        work_clean(work, true);
        break;
    case STEP_FORGET:
        forget(work);
        return true;
    }
    return false;
}

static void take_turn(struct work *work)
{
    struct steps steps;
    if (work->is_loading || (!work->pods->is_listed && !work->record->is_static)) {
        return;
    }
    timers_clear(timers_of(work->pods), &work->timer);
    pod_step(work->record, pods_now_ms(), &steps);
    for (size_t i = 0; i < steps.count; i++) {
        if (do_step(work, &steps.items[i])) {
            return;
        }
    }
    for (size_t i = 0; i < work->record->unit_count; i++) {
        unit_refresh(&work->record->units[i]);
    }
    if (work->record->are_volumes_ready && !pod_record_is_ending(work->record)) {
        work_refresh_volumes(work);
    }
    if (steps.again_ms != INT64_MAX) {
        work_wake_at(work, steps.again_ms);
    }
    (void)send_status(work);
}

static void run_turns(struct wire_task *task)
{
    struct pods *pods = container_of(task, struct pods, turn);
    struct list due;
    list_init(&due);
    list_splice_back(&due, &pods->due);
    for (struct list *item; (item = list_pop_front(&due)) != NULL;) {
        take_turn(container_of(item, struct work, due));
    }
}

static const json_t *find_object(void *context, const char *resource, const char *namespace,
                                 const char *name)
{
    return objects_find(context, resource, namespace, name);
}

struct pod_surroundings pods_surroundings(struct pods *pods)
{
    return (struct pod_surroundings){
        .objects = {.find = find_object, .context = pods->objects},
        .services = pods->services,
        .node_name = pods->options.node_name,
        .node_ip = pods->options.node_ip,
        .allocatable = pods->allocatable,
    };
}

/* ---- the rest ---- */

void pods_note(struct pods *pods, const struct pod_record *record, const struct unit *unit,
               const char *type, const char *reason, const char *format, ...)
{
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    events_add(pods->options.events, record->pod, unit == NULL ? NULL : unit->name, type, reason,
               "%s", text);
}

struct pod_record *pods_find(const struct pods *pods, const char *namespace, const char *name)
{
    list_foreach (item, &pods->works) {
        struct pod_record *record = container_of(item, struct work, link)->record;
        if (strcmp(object_name(record->pod), name) == 0 &&
            strcmp(object_namespace(record->pod), namespace) == 0) {
            return record;
        }
    }
    return NULL;
}

void pods_each(const struct pods *pods, void (*visit)(void *context, struct pod_record *record),
               void *context)
{
    list_foreach_safe (item, &pods->works) {
        visit(context, container_of(item, struct work, link)->record);
    }
}

void pods_evict(struct pods *pods, struct pod_record *record, const char *reason,
                const char *message)
{
    pods_note(pods, record, NULL, "Warning", reason, "%s", message);
    unit_set_text(&record->fail_reason, reason);
    unit_set_text(&record->fail_message, message);
    work_wake(record->driver);
}

char *pods_directory(const struct pods *pods, const struct pod_record *record)
{
    return mem_printf("%s/pods/%s", pods->options.data_dir, record->uid);
}

char *pods_attempt_directory(const struct pods *pods, const struct pod_record *record,
                             const struct unit *unit, int attempt)
{
    return mem_printf("%s/pods/%s/containers/%s/%d", pods->options.data_dir, record->uid,
                      unit->name, attempt);
}

char *pods_socket(const struct pods *pods, const struct unit *unit)
{
    return mem_printf("%s/%.24s.sock", pods->options.run_dir, unit->id);
}

json_t *pods_exec_process(const struct pods *pods, const struct pod_record *record,
                          const struct unit *unit, const json_t *command, bool is_tty)
{
    CLEANUP(free) char *directory = pods_attempt_directory(pods, record, unit, unit->attempt);
    CLEANUP(free) char *path = mem_printf("%s/config.json", directory);
    CLEANUP(json) json_t *config = disk_read_json(path);
    json_t *process = tree_copy(json_object_get(config, "process"));
    if (process != NULL) {
        tree_set_copy(process, "args", command);
        tree_set_bool(process, "terminal", is_tty);
        if (is_tty) {
            json_array_append_new(tree_make_list(process, "env"), json_string("TERM=xterm"));
        }
    }
    return process;
}

void pods_set_network_ready(struct pods *pods)
{
    pods->is_network_ready = true;
    list_foreach (item, &pods->works) {
        work_wake(container_of(item, struct work, link));
    }
}

struct pods *pods_new(const struct pods_options *options)
{
    struct pods *pods = mem_zalloc(sizeof(*pods));
    char text[QUANTITY_TEXT_SIZE];
    pods->options = *options;
    pods->services = json_object();
    pods->allocatable = json_object();
    tree_set_text(pods->allocatable, "cpu",
                  quantity_print(quantity_from_milli(options->cpu_milli), QUANTITY_DECIMAL, text));
    tree_set_int(pods->allocatable, "memory", options->memory_bytes);
    pods->objects = objects_new(options->api, pods_on_object, pods);
    list_init(&pods->works);
    list_init(&pods->due);
    wire_task_init(&pods->turn, run_turns);
    return pods;
}

void pods_start(struct pods *pods)
{
    pods_load(pods);
    static_pods_scan(pods);
    pods_watch(pods);
}

void pods_free(struct pods *pods)
{
    api_watch_free(pods->watch);
    api_watch_free(pods->services_watch);
    wire_task_cancel(&pods->turn);
    timers_clear(timers_of(pods), &pods->static_timer);
    objects_free(pods->objects);
    json_decref(pods->services);
    json_decref(pods->allocatable);
    mem_free(pods);
}
