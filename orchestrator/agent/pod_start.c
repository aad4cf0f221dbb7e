/* pod_start.c - from "should run" to a process: image, environment, kvpod. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "orchestrator/agent/pods_internal.h"
#include "orchestrator/agent/pull_secret.h"
#include "orchestrator/agent/unit_request.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/objects/tree.h"

enum { EXIT_START_FAILED = 128 };

static void fail(struct work *work, struct unit *unit, const char *reason, const char *message,
                 int64_t delay_ms)
{
    bool is_new = unit->waiting_reason == NULL || strcmp(unit->waiting_reason, reason) != 0 ||
                  unit->waiting_message == NULL || strcmp(unit->waiting_message, message) != 0;
    unit_set_waiting(unit, reason, message);
    unit->retry_ms = pods_now_ms() + delay_ms;
    if (is_new) {
        pods_note(work->pods, work->record, unit, "Warning", "Failed", "Error: %s",
                  strcmp(reason, "ErrImagePull") == 0 || strcmp(reason, "ImagePullBackOff") == 0
                      ? reason
                      : message);
    }
}

static void random_id(char text[CONTAINER_ID_TEXT_SIZE])
{
    uint8_t bytes[32] = {0};
    size_t done = 0;
    while (done < sizeof(bytes)) {
        ssize_t count = getrandom(bytes + done, sizeof(bytes) - done, 0);
        done += count > 0 ? (size_t)count : 0;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* ---- the process ---- */

static void save_unit(const struct work *work, const struct unit *unit)
{
    CLEANUP(free)
    char *directory = pods_attempt_directory(work->pods, work->record, unit, unit->attempt);
    CLEANUP(free) char *path = mem_printf("%s/unit.json", directory);
    CLEANUP(json)
    json_t *value = json_pack("{s:s, s:s, s:s, s:i, s:I}", "id", unit->id, "imageId",
                              unit->image_id, "stopSignal", unit->stop_signal, "restarts",
                              unit->restarts, "backoff", (json_int_t)unit->backoff_ms);
    struct err err;
    if (disk_write_json(path, value, &err) != 0) {
        log_warn("cannot remember a container", LOG_TEXT("reason", err.text));
    }
}

static void on_created(void *context, const json_t *answer, const char *reason, const char *message)
{
    struct job *job = context;
    struct work *work = job->work;
    struct unit *unit = job_unit(job);
    if (answer != NULL) {
        (void)snprintf(unit->image_id, sizeof(unit->image_id), "%s",
                       tree_text_or(answer, "imageId", ""));
        (void)snprintf(unit->stop_signal, sizeof(unit->stop_signal), "%s",
                       tree_text_or(answer, "stopSignal", "SIGTERM"));
        unit->pid = tree_int(answer, "pid", 0);
        save_unit(work, unit);
        unit_set_running(unit, pods_now_ms());
        pods_note(work->pods, work->record, unit, "Normal", "Started", "Started container %s",
                  unit->name);
        process_open(work, unit, false);
    } else if (strcmp(reason, "StartError") == 0) {
        /* Its program cannot be run: the container ended before it began. */
        const char *prefix = "kvshim: ";
        size_t skip = strncmp(message, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
        unit->started_ms = pods_now_ms();
        unit_set_exited(unit, EXIT_START_FAILED, 0, "StartError", pods_now_ms());
        unit_set_text(&unit->end_message, message + skip);
        pods_note(work->pods, work->record, unit, "Warning", "Failed", "Error: %s", message + skip);
    } else {
        fail(work, unit, *reason == '\0' ? "CreateContainerError" : reason, message,
             RETRY_CONFIG_MS);
        unit->attempt--;
    }
    (void)job_end(job);
}

/* Another container's process namespace, for shareProcessNamespace. */
static char *shared_pid_path(const struct work *work, const struct unit *unit)
{
    const struct pod_record *record = work->record;
    const char *target = tree_text_or(unit->spec, "targetContainerName", "");
    const struct unit *other = *target == '\0' ? NULL : pod_record_find(record, target);
    if (other == NULL && tree_bool(record->pod, "spec.shareProcessNamespace", false)) {
        for (size_t i = 0; i < record->unit_count && other == NULL; i++) {
            const struct unit *one = &record->units[i];
            other = one != unit && one->state == UNIT_RUNNING && one->type != UNIT_EPHEMERAL ? one
                                                                                             : NULL;
        }
    }
    return other == NULL || other->pid <= 0
               ? mem_strdup("")
               : mem_printf("/proc/%lld/ns/pid", (long long)other->pid);
}

static int make_request(const struct work *work, struct unit *unit, const json_t *env, json_t **ret,
                        struct err *err)
{
    const struct pods_options *options = &work->pods->options;
    CLEANUP(free) char *pod_directory = pods_directory(work->pods, work->record);
    CLEANUP(free)
    char *directory = pods_attempt_directory(work->pods, work->record, unit, unit->attempt);
    CLEANUP(free) char *cgroup = pod_cgroup(work->record, options->cgroup_parent);
    CLEANUP(free) char *pid = shared_pid_path(work, unit);
    CLEANUP(free) char *message = mem_printf("%s/termination-log", directory);
    const struct unit_places places = {.pod_directory = pod_directory,
                                       .directory = directory,
                                       .cgroup = cgroup,
                                       .id = unit->id,
                                       .pid_path = pid,
                                       .memory_capacity = options->memory_bytes};
    int status;
    if ((status = disk_make_directory(directory, 0755, err)) != 0 ||
        (status = disk_write(message, bytes_make(NULL, 0), 0666, err)) != 0) {
        return status;
    }
    return unit_request_make(work->record, unit, env, &places, ret, err);
}

static void create(struct job *job)
{
    struct work *work = job->work;
    struct unit *unit = job_unit(job);
    const struct pod_surroundings around = pods_surroundings(work->pods);
    struct err err = {.code = 0};
    CLEANUP(json) json_t *env = NULL;
    json_t *request = NULL;
    int status = pod_env_make(work->record, unit, &around, &env, &err);
    if (status == ERR_BUSY) {
        unit_set_waiting(unit, "ContainerCreating", NULL);
        unit->retry_ms = pods_now_ms() + 50;
        (void)job_end(job);
        return;
    }
    unit->attempt++;
    if (status == 0) {
        random_id(unit->id);
        status = make_request(work, unit, env, &request, &err);
    }
    if (status != 0) {
        unit->attempt--;
        fail(work, unit, "CreateContainerConfigError", err.text, RETRY_CONFIG_MS);
        (void)job_end(job);
        return;
    }
    save_unit(work, unit);
    pods_note(work->pods, work->record, unit, "Normal", "Created", "Created container: %s",
              unit->name);
    programs_pod(work->pods->options.programs, "container-create", request, on_created, job);
}

/* ---- the image ---- */

static void plan_pull_retry(struct unit *unit)
{
    unit->pull_backoff_ms =
        unit->pull_backoff_ms == 0 ? PULL_BACKOFF_MS_MIN : unit->pull_backoff_ms * 2;
    if (unit->pull_backoff_ms > PULL_BACKOFF_MS_MAX) {
        unit->pull_backoff_ms = PULL_BACKOFF_MS_MAX;
    }
}

static void on_pulled(void *context, const json_t *answer, const char *reason, const char *message)
{
    struct job *job = context;
    struct work *work = job->work;
    struct unit *unit = job_unit(job);
    const char *image = tree_text_or(unit->spec, "image", "");
    (void)reason;
    (void)answer;
    if (*message == '\0') {
        pods_note(work->pods, work->record, unit, "Normal", "Pulled",
                  "Successfully pulled image \"%s\"", image);
        create(job);
        return;
    }
    pods_note(work->pods, work->record, unit, "Warning", "Failed",
              "Failed to pull image \"%s\": %s", image, message);
    plan_pull_retry(unit);
    fail(work, unit, "ErrImagePull", message, unit->pull_backoff_ms);
    (void)job_end(job);
}

static void pull(struct job *job)
{
    struct work *work = job->work;
    struct unit *unit = job_unit(job);
    const char *image = tree_text_or(unit->spec, "image", "");
    CLEANUP(free) char *directory = pods_directory(work->pods, work->record);
    CLEANUP(free) char *config_directory = mem_printf("%s/pull", directory);
    CLEANUP(free) char *path = mem_printf("%s/config.json", config_directory);
    const struct pod_surroundings around = pods_surroundings(work->pods);
    CLEANUP(json) json_t *config = pull_secret_config(work->record, &around);
    struct err err;
    bool has_config = config != NULL && disk_make_directory(config_directory, 0700, &err) == 0 &&
                      disk_write_json(path, config, &err) == 0;
    pods_note(work->pods, work->record, unit, "Normal", "Pulling", "Pulling image \"%s\"", image);
    programs_pull(work->pods->options.programs, image, has_config ? config_directory : NULL,
                  on_pulled, job);
}

static const char *pull_policy(const struct unit *unit)
{
    return tree_text_or(unit->spec, "imagePullPolicy", "IfNotPresent");
}

static void on_inspected(void *context, const json_t *answer, const char *reason,
                         const char *message)
{
    struct job *job = context;
    struct work *work = job->work;
    struct unit *unit = job_unit(job);
    const char *image = tree_text_or(unit->spec, "image", "");
    const char *policy = pull_policy(unit);
    bool is_there = tree_text(answer, "id") != NULL;
    if (answer == NULL) {
        fail(work, unit, *reason == '\0' ? "ImageInspectError" : reason, message,
             PULL_BACKOFF_MS_MIN);
        (void)job_end(job);
    } else if (is_there && strcmp(policy, "Always") != 0) {
        if (unit->attempt < 0) {
            pods_note(work->pods, work->record, unit, "Normal", "Pulled",
                      "Container image \"%s\" already present on machine", image);
        }
        create(job);
    } else if (strcmp(policy, "Never") == 0) {
        CLEANUP(free)
        char *text =
            mem_printf("Container image \"%s\" is not present with pull policy of Never", image);
        fail(work, unit, "ErrImageNeverPull", text, PULL_BACKOFF_MS_MIN);
        (void)job_end(job);
    } else {
        pull(job);
    }
}

void work_start_unit(struct work *work, struct unit *unit)
{
    if (unit->state == UNIT_EXITED) {
        json_decref(unit->last);
        unit->last = unit_terminated(unit);
        unit->restarts++;
        unit_set_text(&unit->waiting_reason, "ContainerCreating");
    }
    process_close(unit);
    unit->state = UNIT_STARTING;
    programs_pod(work->pods->options.programs, "image-inspect",
                 json_pack("{s:s}", "image", tree_text_or(unit->spec, "image", "")), on_inspected,
                 job_new(work, unit));
}
