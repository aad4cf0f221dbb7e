#include "orchestrator/agent/pod_status.h"

#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"

void unit_refresh(struct unit *unit)
{
    bool is_running = unit->state == UNIT_RUNNING && unit->stop == STOP_NONE;
    bool has_startup = json_object_get(unit->spec, "startupProbe") != NULL;
    bool has_readiness = json_object_get(unit->spec, "readinessProbe") != NULL;
    unit->is_started = unit->state == UNIT_RUNNING && unit->is_hook_done &&
                       (!has_startup || unit->probes[PROBE_STARTUP].verdict == PROBE_PASSED);
    unit->is_ready = unit->is_started && is_running &&
                     (!has_readiness || unit->probes[PROBE_READINESS].verdict == PROBE_PASSED);
}

/* ---- one container ---- */

static json_t *waiting(const char *reason, const char *message)
{
    json_t *state = json_object();
    tree_set_text(state, "waiting.reason", reason == NULL ? "ContainerCreating" : reason);
    if (message != NULL) {
        tree_set_text(state, "waiting.message", message);
    }
    return state;
}

static bool is_backing_off(const struct pod_record *record, const struct unit *unit, int64_t now_ms)
{
    return unit_wants_restart(record, unit) && !pod_record_is_ending(record) &&
           unit->retry_ms > now_ms;
}

static json_t *state_of(const struct pod_record *record, const struct unit *unit, int64_t now_ms)
{
    char time[TIMESTAMP_SIZE];
    if (unit->state == UNIT_RUNNING) {
        json_t *state = json_object();
        tree_set_text(state, "running.startedAt", timestamp_format(unit->started_ms, time));
        return state;
    }
    if (unit->state != UNIT_EXITED) {
        return waiting(unit->waiting_reason, unit->waiting_message);
    }
    if (is_backing_off(record, unit, now_ms)) {
        CLEANUP(free)
        char *message =
            mem_printf("back-off %llds restarting failed container=%s pod=%s_%s(%s)",
                       (long long)(unit->retry_ms - unit->finished_ms) / 1000, unit->name,
                       object_name(record->pod), object_namespace(record->pod), record->uid);
        return waiting("CrashLoopBackOff", message);
    }
    return json_pack("{s:o}", "terminated", unit_terminated(unit));
}

static json_t *container_status(const struct pod_record *record, const struct unit *unit,
                                int64_t now_ms)
{
    bool is_done_init = unit->type == UNIT_INIT && !unit->is_sidecar &&
                        unit->state == UNIT_EXITED && unit->exit_code == 0;
    json_t *last = json_object();
    if (unit->state == UNIT_EXITED && is_backing_off(record, unit, now_ms)) {
        json_object_set_new(last, "terminated", unit_terminated(unit));
    } else if (unit->last != NULL) {
        json_object_set(last, "terminated", unit->last);
    }
    json_t *status = json_pack("{s:s, s:o, s:o, s:b, s:i, s:s, s:s, s:b}", "name", unit->name,
                               "state", state_of(record, unit, now_ms), "lastState", last, "ready",
                               unit->is_ready || is_done_init, "restartCount", unit->restarts,
                               "image", tree_text_or(unit->spec, "image", ""), "imageID",
                               unit->image_id, "started", unit->is_started);
    if (unit->id[0] != '\0') {
        tree_set(status, "containerID", json_sprintf("coracle://%s", unit->id));
    }
    return status;
}

/* ---- the whole ---- */

static const char *phase_of(const struct pod_record *record)
{
    const char *present = tree_text_or(record->pod, "status.phase", "");
    bool is_waiting = false;
    bool failed = record->fail_reason != NULL;
    bool inits_done = true;
    if (strcmp(present, "Succeeded") == 0 || strcmp(present, "Failed") == 0) {
        return present;
    }
    for (size_t i = 0; i < record->unit_count; i++) {
        const struct unit *unit = &record->units[i];
        bool ended = unit->state == UNIT_EXITED && !unit_wants_restart(record, unit);
        if (unit->type == UNIT_INIT && !unit->is_sidecar) {
            inits_done &= unit->state == UNIT_EXITED && unit->exit_code == 0;
        }
        if (unit->type == UNIT_INIT && unit->is_sidecar) {
            inits_done &= unit->attempt >= 0;
        }
        if (unit->type == UNIT_MAIN) {
            /* A container that is being made anew counts as running. */
            is_waiting |= unit->attempt < 0 || (unit->state < UNIT_RUNNING && unit->last == NULL);
        }
        failed |=
            unit->type != UNIT_EPHEMERAL && !unit->is_sidecar && ended && unit->exit_code != 0;
    }
    if (pod_record_is_finished(record) || record->fail_reason != NULL) {
        return failed ? "Failed" : "Succeeded";
    }
    return is_waiting || !inits_done ? "Pending" : "Running";
}

struct verdict {
    bool is_true;
    const char *reason;
    char *message; /* owned */
};

static void set_condition(json_t *conditions, const json_t *before, const char *type,
                          const struct verdict *verdict, int64_t now_ms)
{
    char time[TIMESTAMP_SIZE];
    const char *status = verdict->is_true ? "True" : "False";
    const json_t *old = tree_find_item(before, "type", type);
    json_t *condition = json_pack("{s:s, s:s}", "type", type, "status", status);
    if (old != NULL && tree_has_text(old, "status", status)) {
        tree_set_copy(condition, "lastTransitionTime", json_object_get(old, "lastTransitionTime"));
    } else {
        tree_set_text(condition, "lastTransitionTime", timestamp_format(now_ms, time));
    }
    if (verdict->reason != NULL) {
        tree_set_text(condition, "reason", verdict->reason);
    }
    if (verdict->message != NULL) {
        tree_set_text(condition, "message", verdict->message);
    }
    json_array_append_new(conditions, condition);
}

static void add_name(char **list, const char *name)
{
    char *longer = *list == NULL ? mem_strdup(name) : mem_printf("%s %s", *list, name);
    mem_free(*list);
    *list = longer;
}

static struct verdict judge_inits(const struct pod_record *record)
{
    struct verdict verdict = {.is_true = true};
    char *names = NULL;
    for (size_t i = 0; i < record->unit_count; i++) {
        const struct unit *unit = &record->units[i];
        bool is_through = unit->is_sidecar ? unit->is_started
                                           : unit->state == UNIT_EXITED && unit->exit_code == 0;
        if (unit->type == UNIT_INIT && !is_through) {
            add_name(&names, unit->name);
        }
    }
    /* Sidecars that restart later do not take it back. */
    for (size_t i = 0; i < record->unit_count; i++) {
        if (record->units[i].type == UNIT_MAIN && record->units[i].attempt >= 0) {
            mem_free(names);
            names = NULL;
        }
    }
    if (names != NULL) {
        verdict.is_true = false;
        verdict.reason = "ContainersNotInitialized";
        verdict.message = mem_printf("containers with incomplete status: [%s]", names);
    }
    mem_free(names);
    return verdict;
}

static struct verdict judge_containers(const struct pod_record *record, const char *phase)
{
    struct verdict verdict = {.is_true = true};
    char *names = NULL;
    if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0) {
        return (struct verdict){.reason =
                                    strcmp(phase, "Failed") == 0 ? "PodFailed" : "PodCompleted"};
    }
    for (size_t i = 0; i < record->unit_count; i++) {
        const struct unit *unit = &record->units[i];
        if ((unit->type == UNIT_MAIN || unit->is_sidecar) && !unit->is_ready) {
            add_name(&names, unit->name);
        }
    }
    if (names != NULL) {
        verdict.is_true = false;
        verdict.reason = "ContainersNotReady";
        verdict.message = mem_printf("containers with unready status: [%s]", names);
    }
    mem_free(names);
    return verdict;
}

static struct verdict judge_gates(const struct pod_record *record, const struct verdict *containers)
{
    const json_t *gates = tree_find(record->pod, "spec.readinessGates");
    struct verdict verdict = *containers;
    if (verdict.message != NULL) {
        verdict.message = mem_strdup(verdict.message);
    }
    for (size_t i = 0; i < json_array_size(gates) && verdict.is_true; i++) {
        const char *type = tree_text_or(json_array_get(gates, i), "conditionType", "");
        if (!object_condition_is(record->pod, type, "True")) {
            verdict.is_true = false;
            verdict.reason = "ReadinessGatesNotReady";
            verdict.message = mem_printf(
                "corresponding condition of pod readiness gate \"%s\" is not true", type);
        }
    }
    return verdict;
}

static json_t *conditions_of(const struct pod_record *record, const char *phase, int64_t now_ms)
{
    static const char *const ours[] = {"PodReadyToStartContainers", "Initialized", "Ready",
                                       "ContainersReady", "PodScheduled"};
    const json_t *before = tree_find(record->pod, "status.conditions");
    json_t *conditions = json_array();
    struct verdict sandbox = {.is_true = record->sandbox == SANDBOX_READY};
    struct verdict inits = judge_inits(record);
    struct verdict containers = judge_containers(record, phase);
    struct verdict ready = judge_gates(record, &containers);
    struct verdict scheduled = {.is_true = true};
    if (strcmp(phase, "Succeeded") == 0) {
        inits.reason = "PodCompleted";
    }
    set_condition(conditions, before, ours[0], &sandbox, now_ms);
    set_condition(conditions, before, ours[1], &inits, now_ms);
    set_condition(conditions, before, ours[2], &ready, now_ms);
    set_condition(conditions, before, ours[3], &containers, now_ms);
    set_condition(conditions, before, ours[4], &scheduled, now_ms);
    mem_free(inits.message);
    mem_free(containers.message);
    mem_free(ready.message);
    for (size_t i = 0; i < json_array_size(before); i++) {
        json_t *other = json_array_get(before, i);
        bool is_ours = false;
        for (size_t k = 0; k < sizeof(ours) / sizeof(ours[0]); k++) {
            is_ours |= tree_has_text(other, "type", ours[k]);
        }
        if (!is_ours) {
            json_array_append(conditions, other);
        }
    }
    return conditions;
}

static void set_addresses(const struct pod_record *record, const char *node_ip, json_t *status)
{
    const char *address = pod_is_host_network(record) ? node_ip : record->address;
    tree_set_text(status, "hostIP", node_ip);
    tree_set(status, "hostIPs", json_pack("[{s:s}]", "ip", node_ip));
    if (record->sandbox == SANDBOX_READY && *address != '\0') {
        tree_set_text(status, "podIP", address);
        tree_set(status, "podIPs", json_pack("[{s:s}]", "ip", address));
    } else {
        tree_remove(status, "podIP");
        tree_remove(status, "podIPs");
    }
}

json_t *pod_status_make(const struct pod_record *record, const char *node_ip, int64_t now_ms)
{
    static const char *const fields[] = {"initContainerStatuses", "containerStatuses",
                                         "ephemeralContainerStatuses"};
    const json_t *before = json_object_get(record->pod, "status");
    json_t *status = before == NULL ? json_object() : tree_copy(before);
    char time[TIMESTAMP_SIZE];
    CLEANUP(free) char *phase = mem_strdup(phase_of(record));
    tree_set_text(status, "phase", phase);
    tree_set(status, "conditions", conditions_of(record, phase, now_ms));
    tree_set_text(status, "startTime", timestamp_format(record->started_ms, time));
    set_addresses(record, node_ip, status);
    if (record->fail_reason != NULL) {
        tree_set_text(status, "reason", record->fail_reason);
        tree_set_text(status, "message", record->fail_message == NULL ? "" : record->fail_message);
    }
    for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
        tree_remove(status, fields[f]);
    }
    for (size_t i = 0; i < record->unit_count; i++) {
        const struct unit *unit = &record->units[i];
        json_array_append_new(tree_make_list(status, fields[unit->type]),
                              container_status(record, unit, now_ms));
    }
    return status;
}
