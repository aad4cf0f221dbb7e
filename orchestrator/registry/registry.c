#include "orchestrator/registry/registry.h"

#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "orchestrator/registry/mirror.h"
#include "orchestrator/registry/plan_parts.h"

enum { TRIES_MAX = 8, LISTENERS_MAX = 8 };

/* Somebody who waits until the cache has a revision. */
struct waiter {
    struct list link;
    uint64_t revision;
    void (*reached)(struct waiter *waiter);
};

struct registry {
    struct registry_options options;
    struct cache *cache;
    struct kinds kinds;
    struct prng prng;
    struct list waiters;
    bool is_synced;
    bool is_listing;
    struct {
        registry_listener *listener;
        void *context;
    } listeners[LISTENERS_MAX];
    size_t listener_count;
    struct {
        registry_progress *progress;
        void *context;
    } progresses[LISTENERS_MAX];
    size_t progress_count;
};

/* One request on its way:
 *
 *     read --> plan --> commit --> wait for the cache --> done
 *      ^                  |
 *      +---- somebody was faster
 */
struct operation {
    struct waiter waiter;
    struct registry *registry;
    struct request request; /* owns its texts and JSON */
    registry_done *done;
    void *context;
    struct plan plan;
    int tries;
    bool has_refusal; /* plan was refused: refusal is the answer */
    json_t *refusal;
};

struct sync {
    struct waiter waiter;
    struct registry *registry;
    registry_sync_done *done;
    void *context;
};

static void operation_read(struct operation *operation);

static json_t *copy_or_null(const json_t *value)
{
    return value == NULL ? NULL : json_deep_copy(value);
}

static struct operation *operation_new(struct registry *registry, const struct request *request)
{
    struct operation *operation = mem_zalloc(sizeof(*operation));
    operation->registry = registry;
    operation->request = *request;
    struct request *copy = &operation->request;
    copy->namespace = mem_strdup(request->namespace);
    copy->name = mem_strdup(request->name);
    copy->subresource = mem_strdup(request->subresource);
    copy->field_manager = mem_strdup(request->field_manager);
    copy->user.name = mem_strdup(request->user.name);
    copy->user.uid = mem_strdup(request->user.uid);
    copy->body = copy_or_null(request->body);
    copy->user.groups = copy_or_null(request->user.groups);
    plan_init(&operation->plan);
    list_init(&operation->waiter.link);
    return operation;
}

static void operation_free(struct operation *operation)
{
    struct request *request = &operation->request;
    const char *texts[] = {request->namespace,     request->name,      request->subresource,
                           request->field_manager, request->user.name, request->user.uid};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        mem_free((void *)(uintptr_t)texts[i]);
    }
    json_decref(tree_mutable(request->body));
    json_decref(tree_mutable(request->user.groups));
    plan_deinit(&operation->plan);
    json_decref(operation->refusal);
    mem_free(operation);
}

static void operation_refuse(struct operation *operation, json_t *take_status)
{
    const struct registry_reply reply = {.code = status_code(take_status), .body = take_status};
    operation->done(operation->context, &reply);
    json_decref(take_status);
    operation_free(operation);
}

/* Kinds of another version than the stored one are shown in their own. */
static void operation_answer(struct operation *operation, int code, const json_t *object)
{
    const struct plan *plan = &operation->plan;
    CLEANUP(json) json_t *shown = NULL;
    const json_t *body = plan->answer;
    if (body == NULL) {
        shown = convert_from_stored(object, operation->request.kind);
        body = shown;
    }
    const struct registry_reply reply = {.code = code, .body = body, .warnings = plan->warnings};
    operation->done(operation->context, &reply);
    operation_free(operation);
}

static json_t *store_problem(const struct err *err)
{
    json_t *status = status_new(500, "InternalError", "the store did not answer: %s", err->text);
    if (err->code == ERR_TIMEOUT || err->code == ERR_CLOSED) {
        json_decref(status);
        status = status_new(504, "Timeout", "the store did not answer in time: %s", err->text);
    }
    return status;
}

static void fire_waiters(struct registry *registry)
{
    uint64_t revision = cache_revision(registry->cache);
    list_foreach_safe (item, &registry->waiters) {
        struct waiter *waiter = container_of(item, struct waiter, link);
        if (waiter->revision <= revision) {
            list_remove(&waiter->link);
            waiter->reached(waiter);
        }
    }
}

static void wait_for(struct registry *registry, struct waiter *waiter, uint64_t revision)
{
    waiter->revision = revision;
    if (cache_revision(registry->cache) >= revision) {
        waiter->reached(waiter);
        return;
    }
    list_push_back(&registry->waiters, &waiter->link);
    store_request_progress(registry->options.store, revision);
}

static void operation_reached(struct waiter *waiter)
{
    struct operation *operation = container_of(waiter, struct operation, waiter);
    operation_answer(operation, operation->plan.code, operation->plan.object);
}

static void set_revision(json_t *object, uint64_t revision)
{
    CLEANUP(free) char *text = mem_printf("%llu", (unsigned long long)revision);
    tree_set_text(object, "metadata.resourceVersion", text);
}

static void operation_committed(void *context, const struct err *err,
                                const struct store_outcome *outcome)
{
    struct operation *operation = context;
    if (err != NULL) {
        operation_refuse(operation, store_problem(err));
        return;
    }
    if (!outcome->is_committed) {
        if (++operation->tries >= TRIES_MAX) {
            const struct status_subject subject = request_subject(&operation->request);
            operation_refuse(operation, status_modified(&subject));
            return;
        }
        plan_deinit(&operation->plan);
        operation_read(operation);
        return;
    }
    if (operation->plan.change == PLAN_PUT) {
        set_revision(operation->plan.object, outcome->revision);
        json_t *answer = operation->plan.answer;
        if (answer != NULL && tree_find(answer, "metadata.resourceVersion") != NULL) {
            set_revision(answer, outcome->revision); /* a Scale */
        }
    }
    wait_for(operation->registry, &operation->waiter, outcome->revision);
}

struct write_batch {
    struct store_write writes[STORE_WRITES_MAX];
    char *keys[STORE_WRITES_MAX];
    char *values[STORE_WRITES_MAX];
    size_t count;
};

static void batch_add(struct write_batch *batch, char *take_key, char *take_value, size_t size,
                      uint64_t expected)
{
    CHECK(batch->count < STORE_WRITES_MAX);
    size_t at = batch->count++;
    batch->keys[at] = take_key;
    batch->values[at] = take_value;
    batch->writes[at] = (struct store_write){
        .key = take_key, .data = bytes_make(take_value, size), .expected = expected};
}

static void batch_deinit(struct write_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        mem_free(batch->keys[i]);
        mem_free(batch->values[i]);
    }
}

static void batch_add_lists(struct write_batch *batch, const struct plan *plan)
{
    for (size_t i = 0; i < json_array_size(plan->claims); i++) {
        const char *key = json_string_value(json_array_get(plan->claims, i));
        batch_add(batch, mem_strdup(key), mem_strdup("{}"), 2, 0);
    }
    for (size_t i = 0; i < json_array_size(plan->releases); i++) {
        const char *key = json_string_value(json_array_get(plan->releases, i));
        batch_add(batch, mem_strdup(key), NULL, 0, STORE_REVISION_ANY);
    }
    if (plan->also != NULL) {
        const json_t *object = json_object_get(plan->also, "object");
        size_t size = 0;
        char *value = mirror_encode(object, &size);
        batch_add(batch,
                  mirror_key(tree_text_or(plan->also, "storage", ""),
                             tree_text_or(plan->also, "namespace", ""),
                             tree_text_or(plan->also, "name", "")),
                  value, size, object_revision(object));
    }
}

static void operation_commit(struct operation *operation, const json_t *current)
{
    const struct plan *plan = &operation->plan;
    const struct kind *kind = operation->request.kind;
    struct write_batch batch = {0};
    char *key = mirror_key(kind->storage, operation->request.namespace, object_name(plan->object));
    size_t size = 0;
    char *value = NULL;
    if (plan->change == PLAN_PUT) {
        CLEANUP(json) json_t *stored = convert_to_stored(plan->object, kind);
        value = mirror_encode(stored, &size);
    }
    uint64_t expected = current == NULL ? 0 : object_revision(current);
    batch_add(&batch, key, value, size, expected);
    batch_add_lists(&batch, plan);
    store_commit(operation->registry->options.store, batch.writes, batch.count, operation_committed,
                 operation);
    batch_deinit(&batch);
}

static struct plan_env make_env(struct registry *registry)
{
    return (struct plan_env){.now_ms = registry_now_ms(registry),
                             .prng = &registry->prng,
                             .cache = registry->cache,
                             .kinds = &registry->kinds,
                             .settings = &registry->options.settings};
}

static void operation_plan(struct operation *operation, const json_t *current)
{
    const struct request *request = &operation->request;
    const struct plan_env env = make_env(operation->registry);
    CLEANUP(json)
    json_t *shown = current == NULL ? NULL : convert_from_stored(current, request->kind);
    json_t *refusal = plan_write(request, shown, &env, &operation->plan);
    if (refusal != NULL) {
        operation_refuse(operation, refusal);
        return;
    }
    const struct plan *plan = &operation->plan;
    if (plan->change == PLAN_NOTHING || request->dry_run) {
        operation_answer(operation, plan->code, plan->object);
        return;
    }
    operation_commit(operation, current);
}

static void operation_found(void *context, const struct err *err, const struct store_value *value,
                            uint64_t revision)
{
    (void)revision;
    struct operation *operation = context;
    if (err != NULL) {
        operation_refuse(operation, store_problem(err));
        return;
    }
    CLEANUP(json)
    json_t *current = value->revision == 0 ? NULL : mirror_decode(value->data, value->revision);
    if (operation->request.verb != REQUEST_GET) {
        operation_plan(operation, current);
        return;
    }
    if (current == NULL) {
        const struct status_subject subject = request_subject(&operation->request);
        operation_refuse(operation, status_not_found(&subject));
        return;
    }
    if (strcmp(operation->request.subresource, "scale") == 0) {
        operation->plan.answer = scale_from_object(current, operation->request.kind);
    }
    operation_answer(operation, 200, current);
}

/* The object a create names; one with a generated name has none yet, and any key that does not
 * exist will do: the name is drawn when it is planned. */
static void operation_read(struct operation *operation)
{
    const struct request *request = &operation->request;
    const char *name = request->name;
    if (*name == '\0') {
        name = tree_text_or(request->body, "metadata.name", "");
    }
    CLEANUP(free)
    char *key = mirror_key(request->kind->storage, request->namespace,
                           *name == '\0' || strchr(name, '/') != NULL ? "-" : name);
    store_read(operation->registry->options.store, key, operation_found, operation);
}

void registry_submit(struct registry *registry, const struct request *request, registry_done *done,
                     void *context)
{
    struct operation *operation = operation_new(registry, request);
    operation->waiter.reached = operation_reached;
    operation->done = done;
    operation->context = context;
    operation_read(operation);
}

static void sync_reached(struct waiter *waiter)
{
    struct sync *sync = container_of(waiter, struct sync, waiter);
    sync->done(sync->context, NULL);
    mem_free(sync);
}

static void sync_read(void *context, const struct err *err, const struct store_value *value,
                      uint64_t revision)
{
    (void)value;
    struct sync *sync = context;
    if (err != NULL) {
        CLEANUP(json) json_t *status = store_problem(err);
        sync->done(sync->context, status);
        mem_free(sync);
        return;
    }
    wait_for(sync->registry, &sync->waiter, revision);
}

void registry_sync(struct registry *registry, registry_sync_done *done, void *context)
{
    struct sync *sync = mem_zalloc(sizeof(*sync));
    sync->registry = registry;
    sync->done = done;
    sync->context = context;
    sync->waiter.reached = sync_reached;
    list_init(&sync->waiter.link);
    store_read(registry->options.store, REGISTRY_PREFIX "health", sync_read, sync);
}

static void tell_listeners(struct registry *registry, const char *storage,
                           const struct cache_event *event)
{
    for (size_t i = 0; i < registry->listener_count; i++) {
        registry->listeners[i].listener(registry->listeners[i].context, storage, event);
    }
}

static void on_cache_event(void *context, const char *storage, const struct cache_event *event)
{
    struct registry *registry = context;
    if (strcmp(storage, "customresourcedefinitions") == 0) {
        bool is_gone = event->type == CACHE_DELETED;
        kinds_set_custom(&registry->kinds, object_name(event->object),
                         is_gone ? NULL : event->object);
    }
    if (!registry->is_listing) {
        tell_listeners(registry, storage, event);
    }
}

static void advanced(struct registry *registry, uint64_t revision)
{
    cache_set_revision(registry->cache, revision);
    fire_waiters(registry);
    for (size_t i = 0; i < registry->progress_count; i++) {
        registry->progresses[i].progress(registry->progresses[i].context, revision);
    }
}

static void on_listing_begin(void *context)
{
    struct registry *registry = context;
    registry->is_listing = true;
    cache_replace_begin(registry->cache);
}

static void on_put(void *context, const char *key, struct bytes data, uint64_t revision)
{
    struct registry *registry = context;
    mirror_put(registry->cache, key, data, revision);
    if (!registry->is_listing) {
        advanced(registry, revision);
    }
}

static void on_delete(void *context, const char *key, uint64_t revision)
{
    struct registry *registry = context;
    mirror_delete(registry->cache, key, revision);
    advanced(registry, revision);
}

static void on_listing_end(void *context, uint64_t revision)
{
    struct registry *registry = context;
    cache_replace_end(registry->cache, revision);
    registry->is_listing = false;
    registry->is_synced = true;
    tell_listeners(registry, "", NULL);
    advanced(registry, revision);
}

static void on_progress(void *context, uint64_t revision)
{
    advanced(context, revision);
}

struct registry *registry_new(const struct registry_options *options)
{
    static const struct store_follower follower = {
        .on_listing_begin = on_listing_begin,
        .on_put = on_put,
        .on_delete = on_delete,
        .on_listing_end = on_listing_end,
        .on_progress = on_progress,
    };
    struct registry *registry = mem_zalloc(sizeof(*registry));
    registry->options = *options;
    size_t history = options->history_max;
    registry->cache = cache_new(history == 0 ? CACHE_HISTORY_COUNT_DEFAULT : history);
    kinds_init(&registry->kinds);
    prng_init(&registry->prng, options->seed);
    list_init(&registry->waiters);
    cache_set_listener(registry->cache, on_cache_event, registry);
    store_follow(options->store, REGISTRY_PREFIX, &follower, registry);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL) {
        return;
    }
    list_foreach_safe (item, &registry->waiters) {
        struct waiter *waiter = container_of(item, struct waiter, link);
        list_remove(item);
        if (waiter->reached == operation_reached) {
            operation_free(container_of(waiter, struct operation, waiter));
        } else {
            mem_free(container_of(waiter, struct sync, waiter));
        }
    }
    cache_set_listener(registry->cache, NULL, NULL);
    cache_free(registry->cache);
    kinds_deinit(&registry->kinds);
    mem_free(registry);
}

const struct cache *registry_cache(const struct registry *registry)
{
    return registry->cache;
}

const struct kinds *registry_kinds(const struct registry *registry)
{
    return &registry->kinds;
}

bool registry_is_synced(const struct registry *registry)
{
    return registry->is_synced;
}

int64_t registry_now_ms(const struct registry *registry)
{
    return registry->options.now_ms(registry->options.context);
}

void registry_add_listener(struct registry *registry, registry_listener *listener, void *context)
{
    CHECK(registry->listener_count < LISTENERS_MAX);
    registry->listeners[registry->listener_count].listener = listener;
    registry->listeners[registry->listener_count].context = context;
    registry->listener_count++;
}

void registry_add_progress(struct registry *registry, registry_progress *progress, void *context)
{
    CHECK(registry->progress_count < LISTENERS_MAX);
    registry->progresses[registry->progress_count].progress = progress;
    registry->progresses[registry->progress_count].context = context;
    registry->progress_count++;
}
