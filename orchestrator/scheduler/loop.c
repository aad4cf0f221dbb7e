#include "orchestrator/scheduler/loop.h"

#include <string.h>

#include "base/heap.h"
#include "base/list.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/scheduler/scheduler.h"

enum {
    BACKOFF_MS_MIN = 1000,
    BACKOFF_MS_MAX = 10 * 1000,
    RETRY_ALL_MS = 60 * 1000,
    BINDINGS_MAX = 64
};

#define SCHEDULER_NAME "default-scheduler"

/* A pod that waits for a node. */
struct waiting {
    struct heap_node node;
    char *uid;
    char *namespace;
    char *name;
    int64_t priority;
    uint64_t order;
    uint64_t not_before_ms;
    uint32_t tries;
    bool is_binding;
    char *last_message; /* what was said of it; NULL: nothing yet */
};

struct scheduler_loop {
    struct registry *registry;
    struct timers *timers;
    struct prng prng;
    struct node_table nodes;
    struct bytes_map pods; /* uid to waiting */
    struct heap ready;     /* by priority, then by age */
    struct timer timer;
    uint64_t order;
    unsigned binding_count;
    bool is_active;
};

static bool waiting_less(const struct heap_node *a, const struct heap_node *b)
{
    const struct waiting *x = container_of(a, struct waiting, node);
    const struct waiting *y = container_of(b, struct waiting, node);
    return x->priority != y->priority ? x->priority > y->priority : x->order < y->order;
}

static void run(struct scheduler_loop *loop);

static bool is_finished(const json_t *pod)
{
    return tree_has_text(pod, "status.phase", "Succeeded") ||
           tree_has_text(pod, "status.phase", "Failed");
}

static bool is_ours(const json_t *pod)
{
    return *tree_text_or(pod, "spec.nodeName", "") == '\0' && !object_is_deleting(pod) &&
           !is_finished(pod) && tree_has_text(pod, "spec.schedulerName", SCHEDULER_NAME) &&
           tree_count(pod, "spec.schedulingGates") == 0;
}

static void waiting_free(struct waiting *waiting)
{
    mem_free(waiting->uid);
    mem_free(waiting->namespace);
    mem_free(waiting->name);
    mem_free(waiting->last_message);
    mem_free(waiting);
}

static void forget(struct scheduler_loop *loop, const char *uid)
{
    struct waiting *waiting = bytes_map_find(&loop->pods, bytes_from_text(uid));
    if (waiting != NULL && !waiting->is_binding) {
        (void)bytes_map_remove(&loop->pods, bytes_from_text(uid));
        heap_remove(&loop->ready, &waiting->node);
        waiting_free(waiting);
    }
}

static void remember(struct scheduler_loop *loop, const json_t *pod)
{
    const char *uid = object_uid(pod);
    struct waiting *waiting = bytes_map_find(&loop->pods, bytes_from_text(uid));
    if (waiting != NULL) {
        return;
    }
    waiting = mem_zalloc(sizeof(*waiting));
    heap_node_init(&waiting->node);
    waiting->uid = mem_strdup(uid);
    waiting->namespace = mem_strdup(object_namespace(pod));
    waiting->name = mem_strdup(object_name(pod));
    waiting->priority = tree_int(pod, "spec.priority", 0);
    waiting->order = loop->order++;
    (void)bytes_map_set(&loop->pods, bytes_from_text(uid), waiting);
    heap_insert(&loop->ready, &waiting->node);
}

static void see_pod(struct scheduler_loop *loop, const json_t *pod, bool is_gone)
{
    const char *uid = object_uid(pod);
    const char *node = tree_text_or(pod, "spec.nodeName", "");
    if (uid == NULL) {
        return;
    }
    if (is_gone || is_finished(pod)) {
        node_table_remove_pod(&loop->nodes, uid);
        forget(loop, uid);
    } else if (*node != '\0') {
        node_table_set_pod(&loop->nodes, pod, node);
        forget(loop, uid);
    } else if (is_ours(pod)) {
        remember(loop, pod);
    } else {
        forget(loop, uid);
    }
}

/* Something got free or changed: who did not fit may fit now, after its backoff. */
static void retry_all(struct scheduler_loop *loop)
{
    size_t cursor = 0;
    struct bytes key;
    void *value = NULL;
    while (bytes_map_next(&loop->pods, &cursor, &key, &value)) {
        struct waiting *waiting = value;
        if (!waiting->is_binding && !heap_contains(&waiting->node)) {
            heap_insert(&loop->ready, &waiting->node);
        }
    }
}

static bool frees_something(const char *storage, const struct cache_event *event)
{
    static const char *const others[] = {"persistentvolumeclaims", "persistentvolumes"};
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(storage, others[i]) == 0) {
            return true;
        }
    }
    if (strcmp(storage, "pods") == 0) {
        return event->type == CACHE_DELETED || is_finished(event->object);
    }
    if (strcmp(storage, "nodes") != 0 || event->type == CACHE_DELETED) {
        return false;
    }
    return event->previous == NULL ||
           !tree_equal(json_object_get(event->object, "spec"),
                       json_object_get(event->previous, "spec")) ||
           !tree_equal(object_labels(event->object), object_labels(event->previous)) ||
           !tree_equal(tree_find(event->object, "status.allocatable"),
                       tree_find(event->previous, "status.allocatable"));
}

static void see(struct scheduler_loop *loop, const char *storage, const struct cache_event *event)
{
    bool is_gone = event->type == CACHE_DELETED;
    if (strcmp(storage, "nodes") == 0 && is_gone) {
        node_table_remove_node(&loop->nodes, object_name(event->object));
    } else if (strcmp(storage, "nodes") == 0) {
        node_table_set_node(&loop->nodes, event->object);
    } else if (strcmp(storage, "pods") == 0) {
        see_pod(loop, event->object, is_gone);
    }
    if (frees_something(storage, event)) {
        retry_all(loop);
    }
}

static void start_over(struct scheduler_loop *loop)
{
    static const char *const storages[] = {"nodes", "pods"};
    node_table_deinit(&loop->nodes);
    node_table_init(&loop->nodes);
    for (size_t i = 0; i < 2; i++) {
        struct cache_cursor c = cache_list(registry_cache(loop->registry), storages[i], "");
        while (cache_next(&c)) {
            const struct cache_event event = {.type = CACHE_ADDED, .object = c.object};
            see(loop, storages[i], &event);
        }
    }
}

static void on_event(void *context, const char *storage, const struct cache_event *event)
{
    struct scheduler_loop *loop = context;
    if (!loop->is_active) {
        return;
    }
    if (event == NULL) {
        start_over(loop);
    } else {
        see(loop, storage, event);
    }
}

static void on_progress(void *context, uint64_t revision)
{
    (void)revision;
    run(context);
}

static void submit(struct scheduler_loop *loop, enum request_verb verb, const char *subresource,
                   const struct kind *kind, const char *namespace, const char *name,
                   const json_t *body, registry_done *done, void *context)
{
    CLEANUP(json) json_t *groups = json_pack("[s]", "system:masters");
    const struct request request = {
        .verb = verb,
        .patch = REQUEST_PATCH_STRATEGIC,
        .kind = kind,
        .namespace = namespace,
        .name = name,
        .subresource = subresource,
        .body = body,
        .field_manager = "kube-scheduler",
        .user = {.name = "system:kube-scheduler", .uid = "", .groups = groups},
    };
    registry_submit(loop->registry, &request, done, context);
}

static void ignore(void *context, const struct registry_reply *reply)
{
    (void)context; /* events and conditions are for people; the next try writes them again */
    (void)reply;
}

static void write_event(struct scheduler_loop *loop, const json_t *pod, const char *type,
                        const char *reason, const char *message)
{
    char time[TIMESTAMP_SIZE];
    int64_t now_ms = registry_now_ms(loop->registry);
    (void)timestamp_format(now_ms, time);
    CLEANUP(free)
    char *name =
        mem_printf("%s.%016llx", object_name(pod), (unsigned long long)prng_next(&loop->prng));
    CLEANUP(json)
    json_t *event = json_pack(
        "{s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:i, s:{s:s}, s:s}",
        "metadata", "name", name, "namespace", object_namespace(pod), "involvedObject", "kind",
        "Pod", "namespace", object_namespace(pod), "name", object_name(pod), "uid", object_uid(pod),
        "apiVersion", "v1", "reason", reason, "message", message, "type", type, "firstTimestamp",
        time, "lastTimestamp", time, "count", 1, "source", "component", SCHEDULER_NAME,
        "reportingComponent", SCHEDULER_NAME);
    submit(loop, REQUEST_CREATE, "", kinds_find_storage(NULL, "events"), object_namespace(pod), "",
           event, ignore, NULL);
}

struct binding {
    struct scheduler_loop *loop;
    char *uid;
    char *node;
    json_t *pod;
};

static void bound(void *context, const struct registry_reply *reply)
{
    struct binding *binding = context;
    struct scheduler_loop *loop = binding->loop;
    loop->binding_count--;
    struct waiting *waiting = bytes_map_find(&loop->pods, bytes_from_text(binding->uid));
    if (waiting != NULL) {
        waiting->is_binding = false;
    }
    if (reply->code < 300) {
        CLEANUP(free)
        char *message =
            mem_printf("Successfully assigned %s/%s to %s", object_namespace(binding->pod),
                       object_name(binding->pod), binding->node);
        write_event(loop, binding->pod, "Normal", "Scheduled", message);
        forget(loop, binding->uid);
    } else {
        /* It was assumed to be there; what the cache says counts again. */
        node_table_remove_pod(&loop->nodes, binding->uid);
        const json_t *now = cache_find(registry_cache(loop->registry), "pods",
                                       object_namespace(binding->pod), object_name(binding->pod));
        if (waiting != NULL && now != NULL && is_ours(now)) {
            heap_insert(&loop->ready, &waiting->node);
        } else {
            forget(loop, binding->uid);
        }
        if (now != NULL) {
            see_pod(loop, now, false);
        }
    }
    json_decref(binding->pod);
    mem_free(binding->uid);
    mem_free(binding->node);
    mem_free(binding);
    run(loop);
}

static void bind(struct scheduler_loop *loop, struct waiting *waiting, const json_t *pod,
                 const char *node)
{
    struct binding *binding = mem_zalloc(sizeof(*binding));
    binding->loop = loop;
    binding->uid = mem_strdup(waiting->uid);
    binding->node = mem_strdup(node);
    binding->pod = json_incref(tree_mutable(pod));
    waiting->is_binding = true;
    loop->binding_count++;
    node_table_set_pod(&loop->nodes, pod, node); /* assumed, so that the next decision counts it */
    CLEANUP(json)
    json_t *body =
        json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s}}", "apiVersion", "v1", "kind",
                  "Binding", "metadata", "name", waiting->name, "uid", waiting->uid, "target",
                  "apiVersion", "v1", "kind", "Node", "name", binding->node);
    submit(loop, REQUEST_CREATE, "binding", kinds_find_storage(NULL, "pods"), waiting->namespace,
           waiting->name, body, bound, binding);
}

static void evict_victims(struct scheduler_loop *loop, const struct decision *decision,
                          const json_t *pod)
{
    for (size_t i = 0; i < json_array_size(decision->victims); i++) {
        const json_t *victim = json_array_get(decision->victims, i);
        if (object_is_deleting(victim)) {
            continue;
        }
        CLEANUP(free)
        char *message =
            mem_printf("Preempted by pod %s on node %s", object_uid(pod), decision->nominated);
        write_event(loop, victim, "Normal", "Preempted", message);
        CLEANUP(json)
        json_t *options = json_pack("{s:{s:s}}", "preconditions", "uid", object_uid(victim));
        submit(loop, REQUEST_DELETE, "", kinds_find_storage(NULL, "pods"), object_namespace(victim),
               object_name(victim), options, ignore, NULL);
    }
}

/* Say why, once for each reason. */
static void explain(struct scheduler_loop *loop, struct waiting *waiting, const json_t *pod,
                    const struct decision *decision)
{
    if (waiting->last_message != NULL && strcmp(waiting->last_message, decision->message) == 0) {
        return;
    }
    mem_free(waiting->last_message);
    waiting->last_message = mem_strdup(decision->message);
    char time[TIMESTAMP_SIZE];
    (void)timestamp_format(registry_now_ms(loop->registry), time);
    CLEANUP(json)
    json_t *patch = json_pack("{s:{s:[{s:s, s:s, s:s, s:s, s:s}]}}", "status", "conditions", "type",
                              "PodScheduled", "status", "False", "reason", "Unschedulable",
                              "message", decision->message, "lastTransitionTime", time);
    if (decision->nominated != NULL) {
        tree_set_text(patch, "status.nominatedNodeName", decision->nominated);
    }
    submit(loop, REQUEST_PATCH, "status", kinds_find_storage(NULL, "pods"), waiting->namespace,
           waiting->name, patch, ignore, NULL);
    write_event(loop, pod, "Warning", "FailedScheduling", decision->message);
}

static void place(struct scheduler_loop *loop, struct waiting *waiting)
{
    const struct cache *cache = registry_cache(loop->registry);
    const json_t *pod = cache_find(cache, "pods", waiting->namespace, waiting->name);
    if (pod == NULL || !tree_has_text(pod, "metadata.uid", waiting->uid) || !is_ours(pod)) {
        forget(loop, waiting->uid);
        return;
    }
    CLEANUP(decision) struct decision decision = {0};
    schedule(&loop->nodes, cache, pod, &loop->prng, &decision);
    if (decision.node != NULL) {
        bind(loop, waiting, pod, decision.node);
        return;
    }
    uint64_t delay_ms = BACKOFF_MS_MIN;
    for (uint32_t i = 0; i < waiting->tries && delay_ms < BACKOFF_MS_MAX; i++) {
        delay_ms *= 2;
    }
    waiting->tries++;
    waiting->not_before_ms =
        loop->timers->now_ms + (delay_ms > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : delay_ms);
    explain(loop, waiting, pod, &decision);
    evict_victims(loop, &decision, pod);
}

/* Pods whose backoff has not passed are set aside and come back with the timer. */
static void run(struct scheduler_loop *loop)
{
    if (!loop->is_active || !registry_is_synced(loop->registry)) {
        return;
    }
    uint64_t now_ms = loop->timers->now_ms;
    uint64_t next_ms = now_ms + RETRY_ALL_MS;
    while (loop->binding_count < BINDINGS_MAX) {
        struct heap_node *node = heap_pop(&loop->ready);
        if (node == NULL) {
            break;
        }
        struct waiting *waiting = container_of(node, struct waiting, node);
        if (waiting->not_before_ms > now_ms) {
            next_ms = waiting->not_before_ms < next_ms ? waiting->not_before_ms : next_ms;
            continue;
        }
        place(loop, waiting);
    }
    if (!timer_is_set(&loop->timer) || loop->timer.deadline_ms > next_ms ||
        loop->timer.deadline_ms <= now_ms) {
        timers_set(loop->timers, &loop->timer, next_ms);
    }
}

static void timer_due(struct timer *timer)
{
    struct scheduler_loop *loop = container_of(timer, struct scheduler_loop, timer);
    retry_all(loop);
    run(loop);
}

struct scheduler_loop *scheduler_loop_new(struct registry *registry, struct timers *timers,
                                          uint64_t seed)
{
    struct scheduler_loop *loop = mem_zalloc(sizeof(*loop));
    loop->registry = registry;
    loop->timers = timers;
    prng_init(&loop->prng, seed);
    node_table_init(&loop->nodes);
    bytes_map_init(&loop->pods);
    heap_init(&loop->ready, waiting_less);
    timer_init(&loop->timer, timer_due);
    registry_add_listener(registry, on_event, loop);
    registry_add_progress(registry, on_progress, loop);
    return loop;
}

void scheduler_loop_free(struct scheduler_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    timers_clear(loop->timers, &loop->timer);
    size_t cursor = 0;
    struct bytes key;
    void *value = NULL;
    while (bytes_map_next(&loop->pods, &cursor, &key, &value)) {
        waiting_free(value);
    }
    bytes_map_deinit(&loop->pods);
    heap_deinit(&loop->ready);
    node_table_deinit(&loop->nodes);
    mem_free(loop);
}

void scheduler_loop_set_active(struct scheduler_loop *loop, bool is_active)
{
    if (loop->is_active == is_active) {
        return;
    }
    loop->is_active = is_active;
    if (is_active && registry_is_synced(loop->registry)) {
        start_over(loop);
        run(loop);
    }
}
