/* pod_run.c - a process from its start to its end: watched through its shim, told to stop, counted
 * out. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/agent/pods_internal.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"

enum {
    MESSAGE_BYTES_MAX = 4096, /* kubelet: MaxContainerTerminationMessageLength */
    LOG_MESSAGE_BYTES_MAX = 2048,
    LOG_MESSAGE_LINES_MAX = 80,
    LOG_TAIL_BYTES = 16 * 1024,
    STATE_ID = 1, /* of the first request on a link */
    WAIT_ID = 2,
    EXIT_UNKNOWN = 137,
};

static struct unit *unit_of(const struct process *process)
{
    return &process->work->record->units[process->index];
}

/* ---- the end ---- */

/* The text of CRI log lines without time and stream; the last ones. */
static void append_log_tail(const char *path, struct buf *out)
{
    CLEANUP(buf) struct buf log = BUF_INIT;
    CLEANUP(file) FILE *file = fopen(path, "re");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        return;
    }
    long size = ftell(file);
    long from = size > LOG_TAIL_BYTES ? size - LOG_TAIL_BYTES : 0;
    if (fseek(file, from, SEEK_SET) != 0) {
        return;
    }
    buf_commit(&log, fread(buf_reserve(&log, LOG_TAIL_BYTES), 1, LOG_TAIL_BYTES, file));
    char *text = (char *)(uintptr_t)buf_text(&log);
    for (char *line = strsep(&text, "\n"); line != NULL; line = strsep(&text, "\n")) {
        const char *at = line;
        for (int fields = 0; fields < 3 && at != NULL; fields++) {
            at = strchr(at, ' ');
            at = at == NULL ? NULL : at + 1;
        }
        if (at != NULL) {
            buf_append_format(out, "%s\n", at);
        }
    }
    size_t lines = 0;
    struct bytes all = buf_bytes(out);
    size_t start = all.size;
    while (start > 0 && all.size - start < LOG_MESSAGE_BYTES_MAX) {
        lines += all.data[start - 1] == '\n';
        if (lines > LOG_MESSAGE_LINES_MAX) {
            break;
        }
        start--;
    }
    buf_consume(out, start);
}

static void read_message(const struct work *work, struct unit *unit)
{
    CLEANUP(free)
    char *directory = pods_attempt_directory(work->pods, work->record, unit, unit->attempt);
    CLEANUP(free) char *path = mem_printf("%s/termination-log", directory);
    CLEANUP(buf) struct buf message = BUF_INIT;
    struct err ignored;
    err_ignore(disk_read(path, MESSAGE_BYTES_MAX, &message, &ignored)); /* then it said nothing */
    const char *policy = tree_text_or(unit->spec, "terminationMessagePolicy", "File");
    if (buf_size(&message) == 0 && unit->exit_code != 0 &&
        strcmp(policy, "FallbackToLogsOnError") == 0) {
        CLEANUP(free) char *log = mem_printf("%s/container.log", directory);
        append_log_tail(log, &message);
    }
    if (buf_size(&message) > 0) {
        json_t *text = json_string(buf_text(&message)); /* NULL: not UTF-8 */
        unit_set_text(&unit->end_message, text == NULL ? NULL : json_string_value(text));
        json_decref(text);
    }
}

static void on_removed(void *context, const json_t *answer, const char *reason, const char *message)
{
    (void)reason;
    if (answer == NULL) {
        log_warn("cannot remove the files of a container", LOG_TEXT("reason", message));
    }
    (void)job_end(context);
}

/* Its layer goes; its log stays, until the attempt after the next. */
static void remove_attempt(struct work *work, const struct unit *unit)
{
    CLEANUP(free)
    char *directory = pods_attempt_directory(work->pods, work->record, unit, unit->attempt);
    programs_pod(work->pods->options.programs, "container-remove",
                 json_pack("{s:s, s:s}", "directory", directory, "id", unit->id), on_removed,
                 job_new(work, unit));
    if (unit->attempt >= 2) {
        static const char *const files[] = {"container.log",  "container.log.1", "container.log.2",
                                            "config.json",    "exit.json",       "unit.json",
                                            "termination-log"};
        CLEANUP(free)
        char *old = pods_attempt_directory(work->pods, work->record, unit, unit->attempt - 2);
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
            CLEANUP(free) char *path = mem_printf("%s/%s", old, files[i]);
            (void)remove(path); /* most are there */
        }
        (void)remove(old);
    }
}

static void note_exit(struct work *work, struct unit *unit, int exit_code, int signal,
                      const char *reason, int64_t finished_ms)
{
    unit_set_exited(unit, exit_code, signal, reason, finished_ms);
    read_message(work, unit);
    remove_attempt(work, unit);
    if (unit->retry_ms > pods_now_ms() && unit_wants_restart(work->record, unit)) {
        pods_note(work->pods, work->record, unit, "Warning", "BackOff",
                  "Back-off restarting failed container %s in pod %s_%s(%s)", unit->name,
                  object_name(work->record->pod), object_namespace(work->record->pod),
                  work->record->uid);
    }
    work_wake(work);
}

static const char *exit_reason(int exit_code, bool is_oom)
{
    return is_oom ? "OOMKilled" : exit_code == 0 ? "Completed" : "Error";
}

static void on_exited(struct process *process, const Coracle__Shim__ShimExited *exited)
{
    struct unit *unit = unit_of(process);
    if (process->is_ended) {
        return;
    }
    process->is_ended = true;
    if (exited->started_at_ns > 0) {
        unit->started_ms = exited->started_at_ns / 1000000;
    }
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimDeleteRequest removal = CORACLE__SHIM__SHIM_DELETE_REQUEST__INIT;
    removal.force = true;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_DELETE_CONTAINER;
    request.delete_container = &removal;
    (void)shim_link_send(process->link, &request);
    note_exit(process->work, unit, exited->exit_code, 0,
              exit_reason(exited->exit_code, exited->oom_killed), exited->finished_at_ns / 1000000);
}

/* The shim is gone: its last word is a file, or there is none. */
static void note_lost(struct process *process)
{
    struct unit *unit = unit_of(process);
    struct work *work = process->work;
    CLEANUP(free)
    char *directory = pods_attempt_directory(work->pods, work->record, unit, unit->attempt);
    CLEANUP(free) char *path = mem_printf("%s/exit.json", directory);
    CLEANUP(json) json_t *end = disk_read_json(path);
    process->is_ended = true;
    if (end == NULL) {
        note_exit(work, unit, EXIT_UNKNOWN, 0, "ContainerStatusUnknown", pods_now_ms());
        unit_set_text(&unit->end_message,
                      "The container could not be located when the pod was restarted");
        return;
    }
    int exit_code = (int)tree_int(end, "exitCode", EXIT_UNKNOWN);
    unit->started_ms = timestamp_at(end, "startedAt", unit->started_ms);
    note_exit(work, unit, exit_code, 0, exit_reason(exit_code, tree_bool(end, "oomKilled", false)),
              timestamp_at(end, "finishedAt", pods_now_ms()));
}

/* ---- the link ---- */

static void on_state(struct process *process, const Coracle__Shim__ShimState *state)
{
    struct unit *unit = unit_of(process);
    unit->pid = state->pid;
    if (state->phase == CORACLE__SHIM__SHIM_PHASE__SHIM_PHASE_CREATED && process->is_restored) {
        /* The agent was killed between the two: it never ran. */
        process->is_ended = true;
        unit_set_waiting(unit, "ContainerCreating", NULL);
        remove_attempt(process->work, unit);
        work_wake(process->work);
        return;
    }
    if (state->started_at_ns > 0 && unit->state == UNIT_RUNNING) {
        unit->started_ms = state->started_at_ns / 1000000;
    }
    if (process->is_restored) {
        process_plan_probes(process);
        work_wake(process->work);
    }
}

static void on_reply(void *context, const Coracle__Shim__ShimReply *reply)
{
    struct process *process = context;
    if (reply->id == STATE_ID && reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_STATE) {
        on_state(process, reply->state);
    } else if (reply->id == WAIT_ID &&
               reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED) {
        on_exited(process, reply->exited);
    }
}

static void on_end(void *context, int code)
{
    struct process *process = context;
    (void)code;
    process->link = NULL;
    if (!process->is_ended) {
        note_lost(process);
    }
}

static const struct shim_link_events link_events = {.on_reply = on_reply, .on_end = on_end};

static void on_hook(void *context, bool is_success, const char *output)
{
    struct job *job = context;
    struct work *work = job->work;
    struct unit *unit = job_unit(job);
    if (unit->state == UNIT_RUNNING && !work->is_dropped) {
        unit->is_hook_done = true;
        if (!is_success) {
            pods_note(work->pods, work->record, unit, "Warning", "FailedPostStartHook",
                      "PostStartHook failed: %s", output);
            work_stop_unit(work, unit, 0);
        } else if (unit->process != NULL) {
            process_plan_probes(unit->process);
        }
    }
    (void)job_end(job);
}

void process_open(struct work *work, struct unit *unit, bool is_restored)
{
    struct process *process = mem_zalloc(sizeof(*process));
    CLEANUP(free) char *path = pods_socket(work->pods, unit);
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimStateRequest state = CORACLE__SHIM__SHIM_STATE_REQUEST__INIT;
    Coracle__Shim__ShimWaitRequest wait;
    coracle__shim__shim_wait_request__init(&wait);
    process->work = work;
    process->index = work_index(work, unit);
    process->is_restored = is_restored;
    timer_init(&process->timer, NULL);
    unit->process = process;
    process->link =
        shim_link_open(wire_loop_uv(work->pods->options.wire), path, &link_events, process);
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_STATE;
    request.state = &state;
    (void)shim_link_send(process->link, &request);
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_WAIT;
    request.wait = &wait;
    (void)shim_link_send(process->link, &request);
    const json_t *hook = json_object_get(json_object_get(unit->spec, "lifecycle"), "postStart");
    if (hook != NULL && !is_restored) {
        check_run(work, unit, hook, INT32_MAX, on_hook, job_new(work, unit));
    } else {
        unit->is_hook_done = true;
    }
    if (!is_restored && unit->is_hook_done) {
        process_plan_probes(process);
    }
}

void process_close(struct unit *unit)
{
    struct process *process = unit->process;
    if (process != NULL) {
        unit->process = NULL;
        timers_clear(wire_loop_timers(process->work->pods->options.wire), &process->timer);
        shim_link_close(process->link);
        mem_free(process);
    }
}

/* ---- stopping ---- */

/* "SIGTERM", "TERM" or "15". */
static int signal_number(const char *text)
{
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    long number = strtol(name, NULL, 10);
    if (number > 0 && number < NSIG) {
        return (int)number;
    }
    for (int i = 1; i < SIGRTMIN; i++) {
        const char *known = sigabbrev_np(i);
        if (known != NULL && strcmp(known, name) == 0) {
            return i;
        }
    }
    return SIGTERM;
}

static void send_signal(const struct unit *unit, int number, bool is_all)
{
    const struct process *process = unit->process;
    if (process != NULL && process->link != NULL) {
        (void)shim_link_kill(process->link, number, is_all);
    }
}

static void tell_to_end(struct work *work, struct unit *unit)
{
    unit->stop = STOP_TERM;
    send_signal(unit, signal_number(unit->stop_signal), false);
    work_wake_at(work, unit->kill_ms);
}

static void on_pre_stop(void *context, bool is_success, const char *output)
{
    struct job *job = context;
    struct work *work = job->work;
    struct unit *unit = job_unit(job);
    if (!is_success && !work->is_dropped) {
        pods_note(work->pods, work->record, unit, "Warning", "FailedPreStopHook",
                  "PreStopHook failed: %s", output);
    }
    if (unit->state == UNIT_RUNNING && unit->stop == STOP_HOOK) {
        tell_to_end(work, unit);
    }
    (void)job_end(job);
}

void work_stop_unit(struct work *work, struct unit *unit, int64_t grace_ms)
{
    const json_t *hook = json_object_get(json_object_get(unit->spec, "lifecycle"), "preStop");
    unit->stopped_ms = pods_now_ms();
    unit->kill_ms = unit->stopped_ms + grace_ms;
    unit->grace_ms = grace_ms;
    pods_note(work->pods, work->record, unit, "Normal", "Killing", "Stopping container %s",
              unit->name);
    if (grace_ms <= 0) {
        work_kill_unit(work, unit);
    } else if (hook != NULL) {
        unit->stop = STOP_HOOK;
        work_wake_at(work, unit->kill_ms);
        check_run(work, unit, hook, grace_ms, on_pre_stop, job_new(work, unit));
    } else {
        tell_to_end(work, unit);
    }
}

void work_kill_unit(struct work *work, struct unit *unit)
{
    (void)work;
    unit->stop = STOP_KILL;
    send_signal(unit, SIGKILL, true);
}
