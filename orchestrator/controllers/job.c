/* job.c - pods that run to completion.
 *
 * A finished pod is counted exactly once: it keeps the tracking finalizer until its uid stands in
 * status.uncountedTerminatedPods; then the finalizer goes, and after that the uid becomes one more
 * in the counters. Each step may be repeated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/timestamp.h"

#define FINALIZER "batch.kubernetes.io/job-tracking"
#define INDEX_KEY "batch.kubernetes.io/job-completion-index"

enum { BACKOFF_MS_MIN = 10 * 1000, BACKOFF_MS_MAX = 6 * 60 * 1000, INDEX_MAX = 100000 };

struct job {
    const struct reconcile *in;
    const json_t *object;
    json_t *status; /* the next one */
    struct object_list pods;
    int64_t active;
    int64_t ready;
    bool *index_done;    /* of an indexed job: completed */
    bool *index_live;    /* has an active pod */
    int64_t completions; /* -1: not set */
    bool is_indexed;
    struct actions *out;
};

static bool is_over(const json_t *job)
{
    return object_condition_is(job, "Complete", "True") ||
           object_condition_is(job, "Failed", "True");
}

static bool is_tracked(const json_t *pod)
{
    return tree_list_has_text(tree_find(pod, "metadata.finalizers"), FINALIZER);
}

static int64_t index_of(const json_t *pod)
{
    const char *text = object_annotation(pod, INDEX_KEY);
    return text == NULL ? -1 : strtoll(text, NULL, 10);
}

static const json_t *find_pod(const struct job *job, const char *uid)
{
    for (size_t i = 0; i < job->pods.count; i++) {
        if (tree_has_text(job->pods.items[i], "metadata.uid", uid)) {
            return job->pods.items[i];
        }
    }
    return NULL;
}

static void untrack(const json_t *pod, struct actions *out)
{
    json_t *left = json_array();
    const json_t *list = tree_find(pod, "metadata.finalizers");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        if (strcmp(json_string_value(item), FINALIZER) != 0) {
            json_array_append(left, item);
        }
    }
    actions_patch(
        out, controller_kind("pods"), pod,
        json_pack("{s:{s:s, s:o}}", "metadata", "uid", object_uid(pod), "finalizers", left));
}

/* uids whose pods have lost the finalizer become counts; the others lose it now. */
static void count_list(struct job *job, const char *list_name, const char *counter)
{
    CLEANUP(free) char *path = mem_printf("uncountedTerminatedPods.%s", list_name);
    json_t *list = tree_find(job->status, path);
    for (size_t i = json_array_size(list); i > 0; i--) {
        const char *uid = json_string_value(json_array_get(list, i - 1));
        const json_t *pod = find_pod(job, uid);
        if (pod != NULL && is_tracked(pod)) {
            untrack(pod, job->out);
            continue;
        }
        tree_set_int(job->status, counter, tree_int(job->status, counter, 0) + 1);
        (void)json_array_remove(list, i - 1);
    }
}

static void note_finished(struct job *job)
{
    for (size_t i = 0; i < job->pods.count; i++) {
        const json_t *pod = job->pods.items[i];
        if (!pod_is_finished(pod) || !is_tracked(pod)) {
            continue;
        }
        bool succeeded = tree_has_text(pod, "status.phase", "Succeeded");
        json_t *list = tree_make_list(job->status, succeeded ? "uncountedTerminatedPods.succeeded"
                                                             : "uncountedTerminatedPods.failed");
        if (!tree_list_has_text(list, object_uid(pod))) {
            json_array_append_new(list, json_string(object_uid(pod)));
        }
    }
}

static int64_t total(const struct job *job, const char *counter, const char *list_name)
{
    CLEANUP(free) char *path = mem_printf("uncountedTerminatedPods.%s", list_name);
    return tree_int(job->status, counter, 0) + (int64_t)tree_count(job->status, path);
}

/* "0-3,5" in both directions. */
static void read_indexes(struct job *job)
{
    const char *text = tree_text_or(job->status, "completedIndexes", "");
    while (*text >= '0' && *text <= '9') {
        char *end = NULL;
        int64_t first = strtoll(text, &end, 10);
        int64_t last = first;
        if (*end == '-') {
            last = strtoll(end + 1, &end, 10);
        }
        for (int64_t i = first; i <= last && i < job->completions; i++) {
            job->index_done[i] = true;
        }
        text = *end == ',' ? end + 1 : end;
    }
}

static void write_indexes(struct job *job)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (int64_t i = 0; i < job->completions; i++) {
        if (!job->index_done[i]) {
            continue;
        }
        int64_t last = i;
        while (last + 1 < job->completions && job->index_done[last + 1]) {
            last++;
        }
        buf_append_format(&text, "%s%lld", buf_size(&text) == 0 ? "" : ",", (long long)i);
        if (last > i) {
            buf_append_format(&text, "%s%lld", last == i + 1 ? "," : "-", (long long)last);
        }
        i = last;
    }
    if (buf_size(&text) > 0) {
        tree_set_text(job->status, "completedIndexes", buf_text(&text));
    }
}

static void look_at_pods(struct job *job)
{
    for (size_t i = 0; i < job->pods.count; i++) {
        const json_t *pod = job->pods.items[i];
        int64_t index = index_of(pod);
        bool has_index = job->is_indexed && index >= 0 && index < job->completions;
        if (tree_has_text(pod, "status.phase", "Succeeded") && has_index) {
            job->index_done[index] = true;
        }
        if (pod_is_active(pod)) {
            job->active++;
            job->ready += pod_is_ready(pod);
            if (has_index) {
                job->index_live[index] = true;
            }
        }
    }
}

static void finish(struct job *job, const char *type, const char *reason, const char *message)
{
    char time[TIMESTAMP_SIZE];
    json_t *conditions = tree_make_list(job->status, "conditions");
    (void)condition_set(conditions, type, "True", reason, message, job->in->now_ms);
    if (strcmp(type, "Complete") == 0) {
        tree_set_text(job->status, "completionTime", timestamp_format(job->in->now_ms, time));
    }
    actions_event(job->out, job->in, job->object,
                  strcmp(type, "Complete") == 0 ? "Normal" : "Warning",
                  strcmp(type, "Complete") == 0 ? "Completed" : reason, "%s", message);
    for (size_t i = 0; i < job->pods.count; i++) {
        if (pod_is_active(job->pods.items[i])) {
            actions_delete(job->out, controller_kind("pods"), job->pods.items[i], NULL);
        }
    }
}

/* True when the job came to an end. */
static bool check_end(struct job *job)
{
    int64_t now_ms = job->in->now_ms;
    int64_t failed = total(job, "failed", "failed");
    int64_t succeeded = total(job, "succeeded", "succeeded");
    int64_t start_ms = timestamp_at(job->status, "startTime", now_ms);
    int64_t deadline_s = tree_int(job->object, "spec.activeDeadlineSeconds", 0);
    if (failed > tree_int(job->object, "spec.backoffLimit", 6)) {
        finish(job, "Failed", "BackoffLimitExceeded",
               "Job has reached the specified backoff limit");
        return true;
    }
    if (deadline_s > 0 && now_ms - start_ms >= deadline_s * 1000) {
        finish(job, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline");
        return true;
    }
    if (deadline_s > 0) {
        actions_requeue(job->out, start_ms + deadline_s * 1000 - now_ms);
    }
    bool is_complete =
        job->completions >= 0 ? succeeded >= job->completions : succeeded > 0 && job->active == 0;
    if (job->is_indexed) {
        is_complete = true;
        for (int64_t i = 0; i < job->completions; i++) {
            is_complete = is_complete && job->index_done[i];
        }
    }
    if (is_complete) {
        finish(job, "Complete", "CompletionsReached", "Reached expected number of succeeded pods");
    }
    return is_complete;
}

/* After failures the next pods wait: 10 s, 20 s, ... from the end of the last one. */
static int64_t backoff_left(const struct job *job)
{
    int64_t failures = 0;
    int64_t last_ms = 0;
    for (size_t i = 0; i < job->pods.count; i++) {
        const json_t *pod = job->pods.items[i];
        if (!tree_has_text(pod, "status.phase", "Failed")) {
            continue;
        }
        failures++;
        const json_t *statuses = tree_find(pod, "status.containerStatuses");
        int64_t end_ms = timestamp_at(json_array_get(statuses, 0), "state.terminated.finishedAt",
                                      timestamp_at(pod, "metadata.creationTimestamp", 0));
        last_ms = end_ms > last_ms ? end_ms : last_ms;
    }
    if (failures == 0) {
        return 0;
    }
    int64_t delay_ms = BACKOFF_MS_MIN;
    for (int64_t i = 1; i < failures && delay_ms < BACKOFF_MS_MAX; i++) {
        delay_ms *= 2;
    }
    delay_ms = delay_ms > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : delay_ms;
    int64_t left = last_ms + delay_ms - job->in->now_ms;
    return left < 0 ? 0 : left;
}

static json_t *make_pod(struct job *job, int64_t index)
{
    json_t *pod = pod_from_template(job->object, tree_find(job->object, "spec.template"));
    json_array_append_new(tree_make_list(pod, "metadata.finalizers"), json_string(FINALIZER));
    if (!job->is_indexed) {
        return pod;
    }
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)index);
    object_set_annotation(pod, INDEX_KEY, text);
    object_set_label(pod, INDEX_KEY, text);
    CLEANUP(free) char *base = mem_printf("%s-%s-", object_name(job->object), text);
    CLEANUP(free) char *host = mem_printf("%s-%s", object_name(job->object), text);
    tree_set_text(pod, "metadata.generateName", base);
    tree_set_text(pod, "spec.hostname", host);
    static const char *const lists[] = {"spec.initContainers", "spec.containers"};
    for (size_t l = 0; l < 2; l++) {
        json_t *containers = tree_find(pod, lists[l]);
        for (size_t i = 0; i < json_array_size(containers); i++) {
            json_t *env = tree_make_list(json_array_get(containers, i), "env");
            if (tree_find_item(env, "name", "JOB_COMPLETION_INDEX") == NULL) {
                json_array_append_new(env, json_pack("{s:s, s:{s:{s:s}}}", "name",
                                                     "JOB_COMPLETION_INDEX", "valueFrom",
                                                     "fieldRef", "fieldPath",
                                                     "metadata.annotations['" INDEX_KEY "']"));
            }
        }
    }
    return pod;
}

static void create_pods(struct job *job, int64_t count)
{
    int64_t wait_ms = backoff_left(job);
    if (wait_ms > 0) {
        actions_requeue(job->out, wait_ms);
        return;
    }
    int64_t index = 0;
    for (int64_t i = 0; i < count; i++) {
        while (job->is_indexed && index < job->completions &&
               (job->index_done[index] || job->index_live[index])) {
            index++;
        }
        if (job->is_indexed && index >= job->completions) {
            return;
        }
        actions_create(job->out, controller_kind("pods"), make_pod(job, index));
        index++;
    }
}

static void move(struct job *job)
{
    int64_t parallelism = tree_int(job->object, "spec.parallelism", 1);
    int64_t succeeded = total(job, "succeeded", "succeeded");
    int64_t wanted = parallelism;
    if (job->completions >= 0) {
        int64_t left = job->completions - succeeded;
        wanted = left < parallelism ? left : parallelism;
    } else if (succeeded > 0) {
        wanted = job->active; /* a work queue: nothing new once one has succeeded */
    }
    bool is_suspended = tree_bool(job->object, "spec.suspend", false);
    wanted = is_suspended || wanted < 0 ? 0 : wanted;
    if (job->active < wanted) {
        create_pods(job, wanted - job->active);
    }
    for (size_t i = 0; i < job->pods.count && job->active > wanted; i++) {
        if (pod_is_active(job->pods.items[i])) {
            actions_delete(job->out, controller_kind("pods"), job->pods.items[i], NULL);
            job->active--;
        }
    }
    json_t *conditions = tree_find(job->status, "conditions");
    bool was_suspended =
        tree_has_text(tree_find_item(conditions, "type", "Suspended"), "status", "True");
    if (is_suspended != was_suspended) {
        (void)condition_set(tree_make_list(job->status, "conditions"), "Suspended",
                            is_suspended ? "True" : "False",
                            is_suspended ? "JobSuspended" : "JobResumed",
                            is_suspended ? "Job suspended" : "Job resumed", job->in->now_ms);
    }
}

static void tidy_status(struct job *job)
{
    static const char *const lists[] = {"uncountedTerminatedPods.succeeded",
                                        "uncountedTerminatedPods.failed"};
    for (size_t i = 0; i < 2; i++) {
        if (tree_count(job->status, lists[i]) == 0) {
            tree_remove(job->status, lists[i]);
        }
    }
    static const char *const counters[] = {"active", "ready"};
    const int64_t values[] = {job->active, job->ready};
    for (size_t i = 0; i < 2; i++) {
        if (values[i] > 0) {
            tree_set_int(job->status, counters[i], values[i]);
        } else {
            tree_remove(job->status, counters[i]);
        }
    }
    if (tree_find(job->status, "uncountedTerminatedPods") == NULL) {
        tree_make_object(job->status, "uncountedTerminatedPods");
    }
}

static void expire(const struct reconcile *in, const json_t *object, struct actions *out)
{
    int64_t ttl_s = tree_int(object, "spec.ttlSecondsAfterFinished", -1);
    const json_t *end = object_condition(object, "Complete");
    end = end == NULL ? object_condition(object, "Failed") : end;
    int64_t left_ms =
        timestamp_at(end, "lastTransitionTime", in->now_ms) + ttl_s * 1000 - in->now_ms;
    if (ttl_s < 0 || object_is_deleting(object)) {
        return;
    }
    if (left_ms <= 0) {
        actions_delete(out, controller_kind("jobs"), object, "Foreground");
    } else {
        actions_requeue(out, left_ms);
    }
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *object = cache_find(in->cache, "jobs", in->namespace, in->name);
    if (object == NULL) {
        /* Pods whose job is gone must not wait for it for ever. */
        struct cache_cursor c = cache_list(in->cache, "pods", in->namespace);
        while (cache_next(&c)) {
            const json_t *owner = object_controller(c.object);
            if (is_tracked(c.object) && tree_has_text(owner, "kind", "Job") &&
                tree_has_text(owner, "name", in->name)) {
                untrack(c.object, out);
            }
        }
        return;
    }
    struct job job = {.in = in, .object = object, .out = out};
    job.completions = tree_int(object, "spec.completions", -1);
    job.is_indexed = tree_has_text(object, "spec.completionMode", "Indexed");
    job.completions = job.completions > INDEX_MAX ? INDEX_MAX : job.completions;
    size_t indexes = job.completions > 0 ? (size_t)job.completions : 1;
    job.index_done = mem_calloc(indexes, sizeof(bool));
    job.index_live = mem_calloc(indexes, sizeof(bool));
    job.status = tree_copy(json_object_get(object, "status"));
    job.status = job.status == NULL ? json_object() : job.status;
    owned_objects(in, object, "pods", &job.pods, out);
    if (job.is_indexed) {
        read_indexes(&job);
    }
    look_at_pods(&job);
    count_list(&job, "succeeded", "succeeded");
    count_list(&job, "failed", "failed");
    note_finished(&job);
    if (is_over(object)) {
        expire(in, object, out);
    } else if (!object_is_deleting(object)) {
        char time[TIMESTAMP_SIZE];
        bool is_suspended = tree_bool(object, "spec.suspend", false);
        if (tree_find(job.status, "startTime") == NULL && !is_suspended) {
            tree_set_text(job.status, "startTime", timestamp_format(in->now_ms, time));
        }
        if (!check_end(&job)) {
            move(&job);
        } else {
            job.active = 0;
            job.ready = 0;
        }
    }
    if (job.is_indexed) {
        write_indexes(&job);
    }
    tidy_status(&job);
    /* The status first: what it notes is undone in the pods only when it is written. */
    struct actions rest = *out;
    actions_init(out);
    out->requeue_ms = rest.requeue_ms;
    actions_set_status(out, controller_kind("jobs"), object, job.status);
    for (size_t i = 0; i < rest.count; i++) {
        actions_append(out, &rest.items[i]);
    }
    mem_free(rest.items);
    object_list_deinit(&job.pods);
    mem_free(job.index_done);
    mem_free(job.index_live);
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    (void)cache;
    if (strcmp(storage, "jobs") == 0) {
        wake_object(wakeups, event->object);
    } else if (strcmp(storage, "pods") == 0) {
        wake_controller_of(wakeups, event->object, "Job");
    }
}

const struct controller controller_job = {
    .name = "job-controller", .storage = "jobs", .wake = wake, .reconcile = reconcile};
