#include "orchestrator/agent/pod_record.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"

enum {
    CRASH_BACKOFF_MS_MIN = 10 * 1000,
    CRASH_BACKOFF_MS_MAX = 300 * 1000,
    CRASH_RESET_MS = 600 * 1000, /* who ran so long is forgiven */
};

void unit_set_text(char **field, const char *text)
{
    char *copy = text == NULL ? NULL : mem_strdup(text);
    mem_free(*field);
    *field = copy;
}

static void unit_deinit(struct unit *unit)
{
    mem_free(unit->name);
    mem_free(unit->end_reason);
    mem_free(unit->end_message);
    mem_free(unit->waiting_reason);
    mem_free(unit->waiting_message);
    json_decref(unit->last);
}

static const struct {
    const char *field;
    enum unit_type type;
} lists[] = {{"initContainers", UNIT_INIT},
             {"containers", UNIT_MAIN},
             {"ephemeralContainers", UNIT_EPHEMERAL}};

struct unit *pod_record_find(const struct pod_record *record, const char *name)
{
    for (size_t i = 0; i < record->unit_count; i++) {
        if (strcmp(record->units[i].name, name) == 0) {
            return &record->units[i];
        }
    }
    return NULL;
}

static void add_unit(struct pod_record *record, const json_t *spec, enum unit_type type)
{
    record->units = mem_reallocarray(record->units, record->unit_count + 1, sizeof(*record->units));
    struct unit *unit = &record->units[record->unit_count++];
    *unit = (struct unit){
        .name = mem_strdup(tree_text_or(spec, "name", "")),
        .type = type,
        .is_sidecar = type == UNIT_INIT && tree_has_text(spec, "restartPolicy", "Always"),
        .attempt = -1,
    };
}

/* Units keep their place while the driver points at them, so only ephemeral ones are added later,
 * by pod_record_update, which the driver allows when nothing points (see unit.process). */
static void refer_to_specs(struct pod_record *record)
{
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
        const json_t *list = json_object_get(json_object_get(record->pod, "spec"), lists[l].field);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *spec = json_array_get(list, i);
            const char *name = tree_text_or(spec, "name", "");
            if (pod_record_find(record, name) == NULL) {
                add_unit(record, spec, lists[l].type);
            }
            pod_record_find(record, name)->spec = spec;
        }
    }
}

struct pod_record *pod_record_new(json_t *take_pod, int64_t now_ms)
{
    struct pod_record *record = mem_zalloc(sizeof(*record));
    record->pod = take_pod;
    record->started_ms = timestamp_at(take_pod, "status.startTime", now_ms);
    (void)snprintf(record->uid, sizeof(record->uid), "%s", object_uid(take_pod));
    refer_to_specs(record);
    for (size_t i = 0; i < record->unit_count; i++) {
        struct unit *unit = &record->units[i];
        bool waits_for_init =
            unit->type == UNIT_MAIN && tree_count(record->pod, "spec.initContainers") > 0;
        unit_set_waiting(unit, waits_for_init ? "PodInitializing" : "ContainerCreating", NULL);
    }
    return record;
}

void pod_record_free(struct pod_record *record)
{
    if (record == NULL) {
        return;
    }
    for (size_t i = 0; i < record->unit_count; i++) {
        unit_deinit(&record->units[i]);
    }
    mem_free(record->units);
    mem_free(record->sandbox_message);
    mem_free(record->volumes_message);
    mem_free(record->fail_reason);
    mem_free(record->fail_message);
    json_decref(record->volume_paths);
    json_decref(record->pod);
    mem_free(record);
}

void pod_record_update(struct pod_record *record, json_t *take_pod)
{
    json_t *old = record->pod;
    size_t before = record->unit_count;
    record->pod = take_pod;
    refer_to_specs(record);
    for (size_t i = before; i < record->unit_count; i++) {
        unit_set_waiting(&record->units[i], "ContainerCreating", NULL);
    }
    json_decref(old);
}

void unit_set_waiting(struct unit *unit, const char *reason, const char *message)
{
    unit->state = UNIT_WAITING;
    unit_set_text(&unit->waiting_reason, reason);
    unit_set_text(&unit->waiting_message, message);
}

void unit_set_running(struct unit *unit, int64_t started_ms)
{
    unit->state = UNIT_RUNNING;
    unit->started_ms = started_ms;
    unit->finished_ms = 0;
    unit->stop = STOP_NONE;
    unit->pull_backoff_ms = 0;
    unit->is_hook_done =
        json_object_get(json_object_get(unit->spec, "lifecycle"), "postStart") == NULL;
    unit->is_started = false;
    unit->is_ready = false;
    unit_set_text(&unit->waiting_reason, NULL);
    unit_set_text(&unit->waiting_message, NULL);
    for (int i = 0; i < PROBE_TYPES; i++) {
        probe_reset(&unit->probes[i]);
    }
}

void unit_set_exited(struct unit *unit, int exit_code, int signal, const char *reason,
                     int64_t finished_ms)
{
    bool ran_long = finished_ms - unit->started_ms >= CRASH_RESET_MS;
    unit->state = UNIT_EXITED;
    unit->exit_code = exit_code;
    unit->signal = signal;
    unit->finished_ms = finished_ms;
    unit->is_started = false;
    unit->is_ready = false;
    unit->stop = STOP_NONE;
    unit->pid = 0;
    unit_set_text(&unit->end_reason, reason);
    unit_set_text(&unit->end_message, NULL);
    /* The first restart is at once, the next ones wait 10 s, 20 s, … (kubelet's back-off). */
    unit->retry_ms = finished_ms + (ran_long ? 0 : unit->backoff_ms);
    if (ran_long || unit->backoff_ms == 0) {
        unit->backoff_ms = CRASH_BACKOFF_MS_MIN;
    } else if (unit->backoff_ms < CRASH_BACKOFF_MS_MAX / 2) {
        unit->backoff_ms *= 2;
    } else {
        unit->backoff_ms = CRASH_BACKOFF_MS_MAX;
    }
}

const char *pod_restart_policy(const struct pod_record *record)
{
    return tree_text_or(record->pod, "spec.restartPolicy", "Always");
}

bool pod_is_host_network(const struct pod_record *record)
{
    return tree_bool(record->pod, "spec.hostNetwork", false);
}

bool unit_wants_restart(const struct pod_record *record, const struct unit *unit)
{
    const char *policy = pod_restart_policy(record);
    if (unit->state != UNIT_EXITED || unit->type == UNIT_EPHEMERAL) {
        return false;
    }
    if (unit->is_sidecar) {
        return true;
    }
    if (unit->type == UNIT_INIT) {
        return unit->exit_code != 0 && strcmp(policy, "Never") != 0;
    }
    return strcmp(policy, "Always") == 0 ||
           (strcmp(policy, "OnFailure") == 0 && unit->exit_code != 0);
}

bool pod_record_is_finished(const struct pod_record *record)
{
    size_t mains = 0;
    bool failed_init = false;
    bool is_over = true;
    for (size_t i = 0; i < record->unit_count; i++) {
        const struct unit *unit = &record->units[i];
        bool ended = unit->state == UNIT_EXITED && !unit_wants_restart(record, unit);
        if (unit->type == UNIT_INIT && !unit->is_sidecar && ended && unit->exit_code != 0) {
            failed_init = true;
        }
        if (unit->type == UNIT_MAIN) {
            mains++;
            is_over &= ended;
        }
    }
    return failed_init || (mains > 0 && is_over);
}

bool pod_record_is_ending(const struct pod_record *record)
{
    const char *phase = tree_text_or(record->pod, "status.phase", "");
    return record->is_gone || object_is_deleting(record->pod) || record->fail_reason != NULL ||
           strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

json_t *unit_terminated(const struct unit *unit)
{
    char started[TIMESTAMP_SIZE];
    char finished[TIMESTAMP_SIZE];
    json_t *terminated = json_pack("{s:i, s:s, s:s, s:s}", "exitCode", unit->exit_code, "reason",
                                   unit->end_reason == NULL ? "Error" : unit->end_reason,
                                   "startedAt", timestamp_format(unit->started_ms, started),
                                   "finishedAt", timestamp_format(unit->finished_ms, finished));
    if (unit->signal != 0) {
        tree_set_int(terminated, "signal", unit->signal);
    }
    if (unit->end_message != NULL) {
        tree_set_text(terminated, "message", unit->end_message);
    }
    if (unit->id[0] != '\0') {
        tree_set(terminated, "containerID", json_sprintf("coracle://%s", unit->id));
    }
    return terminated;
}
