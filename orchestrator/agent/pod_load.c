/* pod_load.c - what ran before the agent started: found on disk, adopted through the shims. */
#include <dirent.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "orchestrator/agent/pods_internal.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/objects/tree.h"

/* The highest number among the names in a directory; -1: none. */
static int last_attempt(const char *directory)
{
    int last = -1;
    DIR *dir = opendir(directory);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char *end = NULL;
        long number = strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && *end == '\0' && number > last && number < INT32_MAX) {
            last = (int)number;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return last;
}

static const json_t *status_of(const struct pod_record *record, const struct unit *unit)
{
    static const char *const fields[] = {"initContainerStatuses", "containerStatuses",
                                         "ephemeralContainerStatuses"};
    const json_t *list =
        json_object_get(json_object_get(record->pod, "status"), fields[unit->type]);
    return tree_find_item(list, "name", unit->name);
}

/* What the agent before told the API about probes is kept, so that nothing becomes unready by a
 * restart. The API's pod comes before anything is told anew. */
void work_restore_probes(struct work *work)
{
    for (size_t i = 0; i < work->record->unit_count; i++) {
        struct unit *unit = &work->record->units[i];
        const json_t *status = status_of(work->record, unit);
        if (unit->state == UNIT_RUNNING && tree_bool(status, "started", false)) {
            unit->probes[PROBE_STARTUP].verdict = PROBE_PASSED;
        }
        if (unit->state == UNIT_RUNNING && tree_bool(status, "ready", false)) {
            unit->probes[PROBE_READINESS].verdict = PROBE_PASSED;
        }
    }
}

static void load_unit(struct work *work, struct unit *unit)
{
    struct pod_record *record = work->record;
    CLEANUP(free) char *directory = pods_directory(work->pods, record);
    CLEANUP(free) char *attempts = mem_printf("%s/containers/%s", directory, unit->name);
    int attempt = last_attempt(attempts);
    if (attempt < 0) {
        return;
    }
    CLEANUP(free) char *path = mem_printf("%s/%d/unit.json", attempts, attempt);
    CLEANUP(json) json_t *known = disk_read_json(path);
    const json_t *status = status_of(record, unit);
    unit->attempt = attempt;
    unit->restarts = (int)tree_int(status, "restartCount", tree_int(known, "restarts", attempt));
    if (tree_int(known, "restarts", 0) > unit->restarts) {
        unit->restarts = (int)tree_int(known, "restarts", 0);
    }
    unit->backoff_ms = tree_int(known, "backoff", 0);
    unit->last = tree_copy(tree_find(status, "lastState.terminated"));
    (void)snprintf(unit->id, sizeof(unit->id), "%s", tree_text_or(known, "id", ""));
    (void)snprintf(unit->image_id, sizeof(unit->image_id), "%s",
                   tree_text_or(known, "imageId", ""));
    (void)snprintf(unit->stop_signal, sizeof(unit->stop_signal), "%s",
                   tree_text_or(known, "stopSignal", "SIGTERM"));
    if (unit->id[0] == '\0') {
        return; /* killed before anything began */
    }
    unit_set_running(unit, pods_now_ms());
    process_open(work, unit, true);
}

/* The namespaces are pinned: they do not outlive the machine. */
static bool has_sandbox(const char *directory)
{
    CLEANUP(free) char *path = mem_printf("%s/ns/ipc", directory);
    struct statfs about;
    return statfs(path, &about) == 0 && about.f_type == NSFS_MAGIC;
}

static void load_pod(struct pods *pods, const char *uid)
{
    CLEANUP(free) char *directory = mem_printf("%s/pods/%s", pods->options.data_dir, uid);
    CLEANUP(free) char *pod_path = mem_printf("%s/pod.json", directory);
    CLEANUP(free) char *sandbox_path = mem_printf("%s/sandbox.json", directory);
    json_t *pod = disk_read_json(pod_path);
    if (pod == NULL || strcmp(object_uid(pod), uid) != 0) {
        /* Half made: remove what there is. */
        json_decref(pod);
        pod = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:{}}", "apiVersion", "v1", "kind", "Pod",
                        "metadata", "name", "lost", "namespace", "default", "uid", uid, "spec");
    }
    struct work *work = work_new(pods, pod);
    struct pod_record *record = work->record;
    work->is_restored = true;
    CLEANUP(json) json_t *sandbox = disk_read_json(sandbox_path);
    if (sandbox != NULL && has_sandbox(directory)) {
        record->sandbox = SANDBOX_READY;
        (void)snprintf(record->address, sizeof(record->address), "%s",
                       tree_text_or(sandbox, "address", ""));
    }
    record->is_static = object_annotation(pod, "kubernetes.io/config.source") != NULL;
    for (size_t i = 0; i < record->unit_count; i++) {
        load_unit(work, &record->units[i]);
    }
}

void pods_load(struct pods *pods)
{
    CLEANUP(free) char *path = mem_printf("%s/pods", pods->options.data_dir);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.') {
            load_pod(pods, entry->d_name);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
}
