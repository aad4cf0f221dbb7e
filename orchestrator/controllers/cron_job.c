/* cron_job.c - jobs by the clock. Schedules are read in UTC. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/cron.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/timestamp.h"

enum { MISSED_MAX = 100 };

static bool is_finished(const json_t *job)
{
    return object_condition_is(job, "Complete", "True") ||
           object_condition_is(job, "Failed", "True");
}

static void collect_jobs(const struct reconcile *in, const json_t *cron_job,
                         struct object_list *jobs)
{
    struct cache_cursor c = cache_list(in->cache, "jobs", in->namespace);
    while (cache_next(&c)) {
        if (object_is_controlled_by(c.object, cron_job)) {
            object_list_add(jobs, c.object);
        }
    }
}

static int compare_start(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a;
    const json_t *y = *(const json_t *const *)b;
    int64_t difference = timestamp_at(x, "metadata.creationTimestamp", 0) -
                         timestamp_at(y, "metadata.creationTimestamp", 0);
    return difference < 0 ? -1 : difference > 0;
}

static void prune(const struct object_list *jobs, bool succeeded, int64_t limit,
                  struct actions *out)
{
    int64_t count = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        count += object_condition_is(jobs->items[i], succeeded ? "Complete" : "Failed", "True");
    }
    for (size_t i = 0; i < jobs->count && count > limit; i++) {
        const json_t *job = jobs->items[i];
        if (object_condition_is(job, succeeded ? "Complete" : "Failed", "True") &&
            !object_is_deleting(job)) {
            actions_delete(out, controller_kind("jobs"), job, "Background");
            count--;
        }
    }
}

/* The last time that is due and was not started; 0: none. *ret_next_s: the next one. */
static int64_t due_time(const struct reconcile *in, const json_t *cron_job, const struct cron *cron,
                        int64_t *ret_next_s)
{
    int64_t created_ms = timestamp_at(cron_job, "metadata.creationTimestamp", in->now_ms);
    int64_t from_s = timestamp_at(cron_job, "status.lastScheduleTime", created_ms) / 1000;
    int64_t now_s = in->now_ms / 1000;
    int64_t deadline_s = tree_int(cron_job, "spec.startingDeadlineSeconds", -1);
    if (deadline_s >= 0 && now_s - deadline_s > from_s) {
        from_s = now_s - deadline_s;
    }
    int64_t due_s = 0;
    int64_t next_s = cron_next(cron, from_s);
    for (int missed = 0; next_s >= 0 && next_s <= now_s; missed++) {
        due_s = next_s;
        if (missed == MISSED_MAX) {
            from_s = now_s - 24 * 3600 > next_s ? now_s - 24 * 3600 : next_s;
            next_s = cron_next(cron, from_s);
        } else {
            next_s = cron_next(cron, next_s);
        }
    }
    *ret_next_s = next_s;
    return due_s;
}

static json_t *make_job(const json_t *cron_job, int64_t due_s)
{
    char time[TIMESTAMP_SIZE];
    const json_t *template = tree_find(cron_job, "spec.jobTemplate");
    CLEANUP(free)
    char *name = mem_printf("%s-%lld", object_name(cron_job), (long long)(due_s / 60));
    json_t *job = json_object();
    tree_set_copy(job, "metadata.labels", tree_find(template, "metadata.labels"));
    tree_set_copy(job, "metadata.annotations", tree_find(template, "metadata.annotations"));
    tree_set_text(job, "metadata.name", name);
    tree_set_text(job, "metadata.namespace", object_namespace(cron_job));
    object_set_annotation(job, "batch.kubernetes.io/cronjob-scheduled-timestamp",
                          timestamp_format(due_s * 1000, time));
    tree_set(job, "metadata.ownerReferences", json_pack("[o]", owner_reference(cron_job)));
    tree_set_copy(job, "spec", json_object_get(template, "spec"));
    return job;
}

static void start_job(const struct reconcile *in, const json_t *cron_job,
                      const struct object_list *jobs, int64_t due_s, json_t *status,
                      struct actions *out)
{
    const char *policy = tree_text_or(cron_job, "spec.concurrencyPolicy", "Allow");
    size_t running = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        bool runs = !is_finished(jobs->items[i]) && !object_is_deleting(jobs->items[i]);
        running += runs;
        if (runs && strcmp(policy, "Replace") == 0) {
            actions_delete(out, controller_kind("jobs"), jobs->items[i], "Background");
        }
    }
    if (running > 0 && strcmp(policy, "Forbid") == 0) {
        return;
    }
    char time[TIMESTAMP_SIZE];
    json_t *job = make_job(cron_job, due_s);
    tree_set_text(status, "lastScheduleTime", timestamp_format(due_s * 1000, time));
    actions_event(out, in, cron_job, "Normal", "SuccessfulCreate", "Created job %s",
                  object_name(job));
    if (cache_find(in->cache, "jobs", in->namespace, object_name(job)) != NULL) {
        json_decref(job); /* it was started, but that was not written down */
        return;
    }
    actions_create(out, controller_kind("jobs"), job);
}

static json_t *active_list(const struct object_list *jobs)
{
    json_t *active = json_array();
    for (size_t i = 0; i < jobs->count; i++) {
        const json_t *job = jobs->items[i];
        if (!is_finished(job)) {
            json_array_append_new(active, json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", "Job",
                                                    "apiVersion", "batch/v1", "name",
                                                    object_name(job), "namespace",
                                                    object_namespace(job), "uid", object_uid(job)));
        }
    }
    return active;
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *cron_job = cache_find(in->cache, "cronjobs", in->namespace, in->name);
    struct cron cron;
    if (cron_job == NULL || object_is_deleting(cron_job)) {
        return;
    }
    CLEANUP(object_list) struct object_list jobs = {0};
    collect_jobs(in, cron_job, &jobs);
    object_list_sort(&jobs, compare_start);
    json_t *status = tree_copy(json_object_get(cron_job, "status"));
    status = status == NULL ? json_object() : status;
    json_t *active = active_list(&jobs);
    if (json_array_size(active) > 0) {
        json_object_set(status, "active", active);
    } else {
        tree_remove(status, "active");
    }
    json_decref(active);
    prune(&jobs, true, tree_int(cron_job, "spec.successfulJobsHistoryLimit", 3), out);
    prune(&jobs, false, tree_int(cron_job, "spec.failedJobsHistoryLimit", 1), out);
    int result = cron_parse(tree_text_or(cron_job, "spec.schedule", ""), &cron);
    if (result != 0) {
        actions_event(out, in, cron_job, "Warning", "UnparseableSchedule",
                      "unparseable schedule: %s", tree_text_or(cron_job, "spec.schedule", ""));
    } else if (!tree_bool(cron_job, "spec.suspend", false)) {
        int64_t next_s = -1;
        int64_t due_s = due_time(in, cron_job, &cron, &next_s);
        if (due_s > 0) {
            start_job(in, cron_job, &jobs, due_s, status, out);
        }
        if (next_s >= 0) {
            actions_requeue(out, next_s * 1000 - in->now_ms + 1);
        }
    }
    actions_set_status(out, controller_kind("cronjobs"), cron_job, status);
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    (void)cache;
    if (strcmp(storage, "cronjobs") == 0) {
        wake_object(wakeups, event->object);
    } else if (strcmp(storage, "jobs") == 0) {
        wake_controller_of(wakeups, event->object, "CronJob");
    }
}

const struct controller controller_cron_job = {
    .name = "cronjob-controller", .storage = "cronjobs", .wake = wake, .reconcile = reconcile};
