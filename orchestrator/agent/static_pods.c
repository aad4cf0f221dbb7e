/* static_pods.c - pods from files of this node, and the copies of them that the API shows. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "orchestrator/agent/pods_internal.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/objects/yaml.h"

enum { FILE_SIZE_MAX = 1 << 20, SCAN_MS = 2000 };

static void on_mirrored(void *context, int code, const json_t *body)
{
    struct job *job = context;
    struct work *work = job->work;
    if (code == 201 && !work->is_dropped) {
        json_decref(work->mirrored);
        work->mirrored = json_incref(tree_mutable(body));
    } else if (code >= 400 && code != 409 && code != 404 && !work->is_dropped) {
        log_warn("cannot show a static pod in the API", LOG_I64("code", code),
                 LOG_TEXT("pod", object_name(work->record->pod)));
    }
    (void)job_end(job);
}

static void mirror(struct work *work)
{
    const json_t *pod = work->record->pod;
    if (work->mirrored != NULL) {
        return;
    }
    CLEANUP(json) json_t *copy = tree_copy(pod);
    tree_remove(copy, "metadata.uid");
    tree_remove(copy, "status");
    object_set_annotation(copy, "kubernetes.io/config.mirror", work->record->uid);
    CLEANUP(free)
    char *path = mem_printf("/api/v1/namespaces/%s/pods", object_namespace(pod));
    const struct api_request request = {.method = "POST", .path = path, .body = copy};
    api_call(work->pods->options.api, &request, on_mirrored, job_new(work, NULL));
}

/* The same file gives the same pod; a changed file another one. */
static json_t *read_pod(const struct pods *pods, const char *path)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *documents = NULL;
    struct err err = {.code = 0};
    int status = disk_read(path, FILE_SIZE_MAX, &text, &err);
    if (status == 0) {
        status = yaml_read(buf_bytes(&text), &documents, &err);
    }
    json_t *pod = json_array_get(documents, 0);
    if (status == 0 && (!tree_has_text(pod, "kind", "Pod") || *object_name(pod) == '\0' ||
                        tree_count(pod, "spec.containers") == 0)) {
        status = err_set(&err, ERR_INVALID, "'%s' is no pod", path);
    }
    if (status != 0) {
        log_warn("a static pod cannot be read", LOG_TEXT("file", path),
                 LOG_TEXT("reason", err.text));
        return NULL;
    }
    CLEANUP(free) char *name = mem_printf("%s-%s", object_name(pod), pods->options.node_name);
    uint64_t hash = bytes_hash(buf_bytes(&text));
    uint64_t place = bytes_hash(bytes_from_text(name));
    CLEANUP(free)
    char *uid = mem_printf("%08x-%04x-%04x-%04x-%012llx", (unsigned)(place >> 32),
                           (unsigned)(place >> 16 & 0xffff), (unsigned)(place & 0xffff),
                           (unsigned)(hash >> 48), (unsigned long long)(hash & 0xffffffffffff));
    tree_set_text(pod, "metadata.name", name);
    tree_set_text(pod, "metadata.namespace",
                  *object_namespace(pod) == '\0' ? "default" : object_namespace(pod));
    tree_set_text(pod, "metadata.uid", uid);
    tree_set_text(pod, "spec.nodeName", pods->options.node_name);
    object_set_annotation(pod, "kubernetes.io/config.source", "file");
    return json_incref(pod);
}

static struct work *find_static(const struct pods *pods, const char *uid)
{
    list_foreach (item, &pods->works) {
        struct work *work = container_of(item, struct work, link);
        if (work->record->is_static && strcmp(work->record->uid, uid) == 0) {
            return work;
        }
    }
    return NULL;
}

static void on_timer(struct timer *timer)
{
    static_pods_scan(container_of(timer, struct pods, static_timer));
}

static void drop_mirror(struct work *work)
{
    const json_t *pod = work->record->pod;
    CLEANUP(json)
    json_t *body = json_pack("{s:s, s:s, s:i}", "apiVersion", "v1", "kind", "DeleteOptions",
                             "gracePeriodSeconds", 0);
    CLEANUP(free)
    char *path =
        mem_printf("/api/v1/namespaces/%s/pods/%s", object_namespace(pod), object_name(pod));
    const struct api_request request = {.method = "DELETE", .path = path, .body = body};
    api_call(work->pods->options.api, &request, on_mirrored, job_new(work, NULL));
}

void static_pods_scan(struct pods *pods)
{
    const char *folder = pods->options.static_path;
    DIR *directory = folder == NULL ? NULL : opendir(folder);
    CLEANUP(json) json_t *seen = json_object();
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        CLEANUP(free) char *path = mem_printf("%s/%s", folder, entry->d_name);
        json_t *pod = entry->d_name[0] == '.' ? NULL : read_pod(pods, path);
        if (pod == NULL) {
            continue;
        }
        json_object_set_new(seen, object_uid(pod), json_true());
        struct work *work = find_static(pods, object_uid(pod));
        if (work == NULL) {
            work = work_new(pods, pod);
            work->record->is_static = true;
            work_wake(work);
        } else {
            json_decref(pod);
        }
        mirror(work);
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    list_foreach (item, &pods->works) {
        struct work *work = container_of(item, struct work, link);
        if (work->record->is_static && !work->record->is_gone &&
            json_object_get(seen, work->record->uid) == NULL) {
            work->record->is_gone = true;
            drop_mirror(work);
            work_wake(work);
        }
    }
    if (folder != NULL) {
        struct timers *timers = wire_loop_timers(pods->options.wire);
        pods->static_timer.fired = on_timer;
        timers_set(timers, &pods->static_timer, timers->now_ms + SCAN_MS);
    }
}
