#include "orchestrator/controllers/runtime.h"

#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "orchestrator/cache/work_queue.h"

enum { RETRY_MS_MIN = 5, RETRY_MS_MAX = 60 * 1000, AT_ONCE_MAX = 16 };

struct worker {
    struct runtime *runtime;
    const struct controller *controller;
    struct work_queue *queue;
    unsigned running;
};

struct runtime {
    struct runtime_options options;
    struct worker *workers;
    size_t worker_count;
    struct prng prng;
    struct timer timer;
    bool is_active;
    bool is_running; /* inside run(): completions do not start it again */
};

/* The actions of one key, on their way. */
struct job {
    struct worker *worker;
    char *key;
    struct actions actions;
    size_t at;
};

static void run(struct runtime *runtime);

static uint64_t now(const struct runtime *runtime)
{
    return runtime->options.timers->now_ms;
}

static void add_key(void *context, const char *namespace, const char *name)
{
    struct worker *worker = context;
    char *key = mem_printf("%s|%s", namespace, name);
    work_queue_add(worker->queue, key, now(worker->runtime));
    mem_free(key);
}

static void add_all(struct worker *worker, const char *storage)
{
    const struct cache *cache = registry_cache(worker->runtime->options.registry);
    struct cache_cursor c = cache_list(cache, storage, "");
    while (cache_next(&c)) {
        add_key(worker, object_namespace(c.object), object_name(c.object));
    }
}

/* As if every object had just been added. */
static void wake_all(struct worker *worker)
{
    const struct registry *registry = worker->runtime->options.registry;
    const struct kinds *kinds = registry_kinds(registry);
    const struct cache *cache = registry_cache(registry);
    const struct wakeups wakeups = {.add = add_key, .context = worker};
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        struct cache_cursor c = cache_list(cache, kind->storage, "");
        while (kind_stored(kind) == kind && cache_next(&c)) {
            const struct cache_event event = {.type = CACHE_ADDED, .object = c.object};
            worker->controller->wake(cache, kind->storage, &event, &wakeups);
        }
    }
}

static void resync(struct runtime *runtime)
{
    for (size_t i = 0; i < runtime->worker_count; i++) {
        struct worker *worker = &runtime->workers[i];
        const char *storage = worker->controller->storage;
        if (storage == NULL) {
            add_key(worker, "", "cluster");
        } else if (*storage == '\0') {
            wake_all(worker);
        } else {
            add_all(worker, storage);
        }
    }
}

static void on_event(void *context, const char *storage, const struct cache_event *event)
{
    struct runtime *runtime = context;
    if (!runtime->is_active) {
        return;
    }
    if (event == NULL) {
        resync(runtime);
        run(runtime);
        return;
    }
    const struct cache *cache = registry_cache(runtime->options.registry);
    for (size_t i = 0; i < runtime->worker_count; i++) {
        struct worker *worker = &runtime->workers[i];
        const struct wakeups wakeups = {.add = add_key, .context = worker};
        worker->controller->wake(cache, storage, event, &wakeups);
    }
}

/* Changes of one transaction arrive together; the work begins when they are all known. */
static void on_progress(void *context, uint64_t revision)
{
    (void)revision;
    run(context);
}

static struct request request_of(const struct action *action, const char *controller,
                                 const json_t *groups);

static void job_free(struct job *job)
{
    actions_deinit(&job->actions);
    mem_free(job->key);
    mem_free(job);
}

static void ignore_reply(void *context, const struct registry_reply *reply)
{
    (void)context; /* an event is for people; the next failure writes another one */
    (void)reply;
}

/* Who owns what could not be made hears why. */
static void tell_owner(struct job *job, const json_t *problem)
{
    struct runtime *runtime = job->worker->runtime;
    struct registry *registry = runtime->options.registry;
    const struct action *failed = &job->actions.items[job->at];
    const json_t *reference = object_controller(failed->body);
    const struct kind *kind =
        kinds_find_kind(registry_kinds(registry), tree_text_or(reference, "apiVersion", ""),
                        tree_text_or(reference, "kind", ""));
    const json_t *owner = kind == NULL
                              ? NULL
                              : cache_find(registry_cache(registry), kind->storage,
                                           failed->namespace, tree_text_or(reference, "name", ""));
    if (failed->type != ACTION_CREATE || owner == NULL || status_code(problem) == 409) {
        return;
    }
    const struct reconcile in = {.now_ms = registry_now_ms(registry), .prng = &runtime->prng};
    CLEANUP(actions) struct actions actions = {0};
    CLEANUP(json) json_t *groups = json_pack("[s]", "system:masters");
    actions_event(&actions, &in, owner, "Warning", "FailedCreate", "Error creating: %s",
                  tree_text_or(problem, "message", ""));
    const struct request request =
        request_of(&actions.items[0], job->worker->controller->name, groups);
    registry_submit(registry, &request, ignore_reply, NULL);
}

static void job_end(struct job *job, const json_t *problem)
{
    struct worker *worker = job->worker;
    struct runtime *runtime = worker->runtime;
    worker->running--;
    if (problem != NULL) {
        tell_owner(job, problem);
        if (runtime->options.on_failure != NULL) {
            runtime->options.on_failure(runtime->options.context, worker->controller->name,
                                        job->key, problem);
        }
        work_queue_retry(worker->queue, job->key, now(runtime));
    } else {
        if (job->actions.requeue_ms > 0) {
            work_queue_add_after(worker->queue, job->key, now(runtime),
                                 (uint64_t)job->actions.requeue_ms);
        }
        work_queue_done(worker->queue, job->key, now(runtime));
    }
    job_free(job);
    run(runtime);
}

static struct request request_of(const struct action *action, const char *controller,
                                 const json_t *groups)
{
    struct request request = {
        .kind = action->kind,
        .namespace = action->namespace,
        .name = action->name,
        .subresource = "",
        .body = action->body,
        .field_manager = controller,
        .field_validation = FIELD_VALIDATION_IGNORE,
        .patch = REQUEST_PATCH_MERGE,
        .user = {.name = controller, .uid = "", .groups = groups},
    };
    switch (action->type) {
    case ACTION_CREATE:
        request.verb = REQUEST_CREATE;
        break;
    case ACTION_UPDATE_STATUS:
        request.subresource = "status";
        request.verb = REQUEST_UPDATE;
        break;
    case ACTION_FINALIZE:
        request.subresource = "finalize";
        request.verb = REQUEST_UPDATE;
        break;
    case ACTION_UPDATE:
        request.verb = REQUEST_UPDATE;
        break;
    case ACTION_PATCH_STATUS:
        request.subresource = "status";
        request.verb = REQUEST_PATCH;
        break;
    case ACTION_PATCH:
        request.verb = REQUEST_PATCH;
        break;
    case ACTION_DELETE:
        request.verb = REQUEST_DELETE;
        break;
    case ACTION_BIND:
        request.subresource = "binding";
        request.verb = REQUEST_CREATE;
        break;
    }
    return request;
}

static void job_next(struct job *job);

/* What a deletion of something that is gone already, and an event that cannot be written, say does
 * not matter. */
static bool is_harmless(const struct action *action, const struct registry_reply *reply)
{
    return (action->type == ACTION_DELETE && reply->code == 404) ||
           strcmp(action->kind->storage, "events") == 0;
}

static void action_done(void *context, const struct registry_reply *reply)
{
    struct job *job = context;
    const struct action *action = &job->actions.items[job->at];
    if (reply->code >= 400 && !is_harmless(action, reply)) {
        job_end(job, reply->body);
        return;
    }
    job->at++;
    job_next(job);
}

static void job_next(struct job *job)
{
    if (job->at == job->actions.count) {
        job_end(job, NULL);
        return;
    }
    struct runtime *runtime = job->worker->runtime;
    CLEANUP(json) json_t *groups = json_pack("[s]", "system:masters");
    const struct request request =
        request_of(&job->actions.items[job->at], job->worker->controller->name, groups);
    registry_submit(runtime->options.registry, &request, action_done, job);
}

static void start_key(struct worker *worker, const char *key)
{
    struct runtime *runtime = worker->runtime;
    struct registry *registry = runtime->options.registry;
    struct job *job = mem_zalloc(sizeof(*job));
    job->worker = worker;
    job->key = mem_strdup(key);
    actions_init(&job->actions);
    const char *bar = strchr(key, '|');
    CHECK(bar != NULL);
    CLEANUP(free) char *namespace = mem_printf("%.*s", (int)(bar - key), key);
    const struct reconcile in = {
        .cache = registry_cache(registry),
        .kinds = registry_kinds(registry),
        .settings = &runtime->options.settings,
        .namespace = namespace,
        .name = bar + 1,
        .now_ms = registry_now_ms(registry),
        .prng = &runtime->prng,
    };
    worker->running++;
    worker->controller->reconcile(&in, &job->actions);
    job_next(job);
}

static void set_timer(struct runtime *runtime)
{
    uint64_t next_ms = UINT64_MAX;
    for (size_t i = 0; i < runtime->worker_count; i++) {
        const struct worker *worker = &runtime->workers[i];
        uint64_t due_ms = work_queue_deadline(worker->queue);
        bool is_full = worker->running >= AT_ONCE_MAX;
        next_ms = due_ms < next_ms && !is_full ? due_ms : next_ms;
    }
    if (next_ms == UINT64_MAX) {
        timers_clear(runtime->options.timers, &runtime->timer);
    } else {
        timers_set(runtime->options.timers, &runtime->timer, next_ms);
    }
}

static void run(struct runtime *runtime)
{
    if (runtime->is_running || !runtime->is_active ||
        !registry_is_synced(runtime->options.registry)) {
        return;
    }
    runtime->is_running = true;
    for (size_t i = 0; i < runtime->worker_count; i++) {
        struct worker *worker = &runtime->workers[i];
        while (worker->running < AT_ONCE_MAX) {
            const char *key = work_queue_take(worker->queue, now(runtime));
            if (key == NULL) {
                break;
            }
            start_key(worker, key);
        }
    }
    runtime->is_running = false;
    set_timer(runtime);
}

static void timer_due(struct timer *timer)
{
    run(container_of(timer, struct runtime, timer));
}

struct runtime *runtime_new(const struct runtime_options *options)
{
    struct runtime *runtime = mem_zalloc(sizeof(*runtime));
    runtime->options = *options;
    prng_init(&runtime->prng, options->seed);
    timer_init(&runtime->timer, timer_due);
    while (options->controllers[runtime->worker_count] != NULL) {
        runtime->worker_count++;
    }
    runtime->workers = mem_calloc(runtime->worker_count, sizeof(runtime->workers[0]));
    for (size_t i = 0; i < runtime->worker_count; i++) {
        runtime->workers[i] = (struct worker){.runtime = runtime,
                                              .controller = options->controllers[i],
                                              .queue = work_queue_new(RETRY_MS_MIN, RETRY_MS_MAX)};
    }
    registry_add_listener(options->registry, on_event, runtime);
    registry_add_progress(options->registry, on_progress, runtime);
    return runtime;
}

void runtime_free(struct runtime *runtime)
{
    if (runtime == NULL) {
        return;
    }
    timers_clear(runtime->options.timers, &runtime->timer);
    for (size_t i = 0; i < runtime->worker_count; i++) {
        work_queue_free(runtime->workers[i].queue);
    }
    mem_free(runtime->workers);
    mem_free(runtime);
}

void runtime_set_active(struct runtime *runtime, bool is_active)
{
    if (runtime->is_active == is_active) {
        return;
    }
    runtime->is_active = is_active;
    if (is_active && registry_is_synced(runtime->options.registry)) {
        resync(runtime);
        run(runtime);
    }
}

bool runtime_is_idle(const struct runtime *runtime)
{
    for (size_t i = 0; i < runtime->worker_count; i++) {
        const struct worker *worker = &runtime->workers[i];
        if (worker->running > 0 || work_queue_deadline(worker->queue) <= now(runtime)) {
            return false;
        }
    }
    return true;
}
