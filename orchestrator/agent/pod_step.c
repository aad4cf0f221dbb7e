#include "orchestrator/agent/pod_step.h"

#include <string.h>

#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"

enum { GRACE_MS_DEFAULT = 30 * 1000 };

static void add(struct steps *out, enum step_type type, struct unit *unit)
{
    if (out->count < STEPS_MAX) {
        out->items[out->count++] = (struct step){.type = type, .unit = unit};
    }
}

static void look_again(struct steps *out, int64_t time_ms)
{
    out->again_ms = time_ms < out->again_ms ? time_ms : out->again_ms;
}

/* ---- ending ---- */

static int64_t grace_of(const struct pod_record *record)
{
    int64_t grace_s =
        tree_int(record->pod, "spec.terminationGracePeriodSeconds", GRACE_MS_DEFAULT / 1000);
    if (record->is_gone) {
        return 0; /* deleted by force: nobody waits for it */
    }
    if (object_is_deleting(record->pod)) {
        grace_s = tree_int(record->pod, "metadata.deletionGracePeriodSeconds", grace_s);
    }
    return grace_s * 1000;
}

static void stop_unit(struct steps *out, struct unit *unit, int64_t grace_ms, int64_t now_ms)
{
    if (unit->stop == STOP_NONE) {
        add(out, STEP_STOP, unit);
        out->items[out->count - 1].grace_ms = grace_ms;
        return;
    }
    /* A second deletion may have made the time shorter. */
    if (unit->stopped_ms + grace_ms < unit->kill_ms) {
        unit->kill_ms = unit->stopped_ms + grace_ms;
    }
    if (unit->stop != STOP_KILL && now_ms >= unit->kill_ms) {
        add(out, STEP_KILL, unit);
    } else if (unit->stop != STOP_KILL) {
        look_again(out, unit->kill_ms);
    }
}

/* True while a process of the pod lives. Sidecars end after the others, last one first. */
static bool stop_all(struct pod_record *record, int64_t now_ms, struct steps *out)
{
    int64_t grace_ms = grace_of(record);
    bool lives = false;
    for (size_t i = 0; i < record->unit_count; i++) {
        struct unit *unit = &record->units[i];
        if (!unit->is_sidecar && unit->state == UNIT_RUNNING) {
            stop_unit(out, unit, grace_ms, now_ms);
            lives = true;
        }
        lives |= unit->state == UNIT_STARTING;
    }
    for (size_t i = record->unit_count; i > 0 && !lives; i--) {
        struct unit *unit = &record->units[i - 1];
        if (unit->is_sidecar && unit->state == UNIT_RUNNING) {
            stop_unit(out, unit, grace_ms, now_ms);
            lives = true;
        }
    }
    return lives;
}

static void end_pod(struct pod_record *record, int64_t now_ms, struct steps *out)
{
    if (stop_all(record, now_ms, out) || record->sandbox == SANDBOX_MAKING ||
        record->sandbox == SANDBOX_REMOVING || record->are_volumes_busy) {
        return;
    }
    bool goes = record->is_gone || object_is_deleting(record->pod);
    if (now_ms < record->retry_ms && (!record->is_cleaned || (goes && !record->is_removed))) {
        look_again(out, record->retry_ms);
    } else if (goes && !record->is_removed) {
        add(out, STEP_REMOVE, NULL);
    } else if (goes) {
        add(out, STEP_FORGET, NULL);
    } else if (!record->is_cleaned) {
        add(out, STEP_CLEAN, NULL);
    }
}

/* ---- running ---- */

static void start_unit(struct unit *unit, int64_t now_ms, struct steps *out)
{
    if (now_ms >= unit->retry_ms) {
        add(out, STEP_START, unit);
    } else {
        look_again(out, unit->retry_ms);
    }
}

static void keep_running(const struct pod_record *record, struct unit *unit, int64_t now_ms,
                         struct steps *out)
{
    if (unit->state == UNIT_WAITING || unit_wants_restart(record, unit)) {
        start_unit(unit, now_ms, out);
    } else if (unit->state == UNIT_RUNNING && unit->stop != STOP_NONE) {
        stop_unit(out, unit, unit->grace_ms, now_ms); /* a probe failed */
    }
}

/* True when every init container is through. */
static bool run_inits(const struct pod_record *record, int64_t now_ms, struct steps *out)
{
    bool mains_began = false;
    for (size_t i = 0; i < record->unit_count; i++) {
        mains_began |= record->units[i].type == UNIT_MAIN && record->units[i].attempt >= 0;
    }
    for (size_t i = 0; i < record->unit_count; i++) {
        struct unit *unit = &record->units[i];
        if (unit->type != UNIT_INIT) {
            continue;
        }
        if (unit->is_sidecar) {
            keep_running(record, unit, now_ms, out);
            if (!unit->is_started && !mains_began) {
                return false;
            }
            continue;
        }
        if (mains_began || (unit->state == UNIT_EXITED && unit->exit_code == 0)) {
            continue; /* kubelet does not run them again while the sandbox lives */
        }
        keep_running(record, unit, now_ms, out);
        return false;
    }
    return true;
}

static bool is_past_deadline(const struct pod_record *record, int64_t now_ms, struct steps *out)
{
    int64_t deadline_s = tree_int(record->pod, "spec.activeDeadlineSeconds", 0);
    if (deadline_s <= 0) {
        return false;
    }
    int64_t end_ms = record->started_ms + deadline_s * 1000;
    look_again(out, end_ms);
    return now_ms >= end_ms;
}

void pod_step(struct pod_record *record, int64_t now_ms, struct steps *out)
{
    *out = (struct steps){.again_ms = INT64_MAX};
    if (!pod_record_is_ending(record) && is_past_deadline(record, now_ms, out)) {
        unit_set_text(&record->fail_reason, "DeadlineExceeded");
        unit_set_text(&record->fail_message,
                      "Pod was active on the node longer than the specified deadline");
    }
    if (pod_record_is_ending(record) || pod_record_is_finished(record)) {
        end_pod(record, now_ms, out);
        return;
    }
    if (!record->are_volumes_ready || record->sandbox != SANDBOX_READY) {
        if (record->are_volumes_busy || record->sandbox == SANDBOX_MAKING ||
            record->sandbox == SANDBOX_REMOVING) {
            return;
        }
        if (now_ms < record->retry_ms) {
            look_again(out, record->retry_ms);
        } else {
            add(out, record->are_volumes_ready ? STEP_MAKE_SANDBOX : STEP_MAKE_VOLUMES, NULL);
        }
        return;
    }
    bool inits_done = run_inits(record, now_ms, out);
    for (size_t i = 0; i < record->unit_count; i++) {
        struct unit *unit = &record->units[i];
        if ((unit->type == UNIT_MAIN && inits_done) || unit->type == UNIT_EPHEMERAL) {
            keep_running(record, unit, now_ms, out);
        }
    }
}
