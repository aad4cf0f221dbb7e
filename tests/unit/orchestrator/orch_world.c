#include "tests/unit/orchestrator/orch_world.h"

#include "orchestrator/objects/timestamp.h"
#include "tests/unit/orchestrator/cunit.h"

enum { START_MS = 1700000000, STEPS_MAX = 2000000, HEARTBEAT_MS = 10000 };

static int64_t wall_clock(void *context)
{
    const struct orch_world *world = context;
    return (int64_t)START_MS * 1000 + (int64_t)world->timers.now_ms;
}

struct orch_world *orch_world_new(uint64_t seed)
{
    static const struct plan_settings settings = {.service_ip_first = 0x0a600001,
                                                  .service_ip_count = 65534,
                                                  .node_port_first = 30000,
                                                  .node_port_count = 2768};
    struct orch_world *world = mem_zalloc(sizeof(*world));
    world->memory = store_memory_new();
    world->runs_pods = true;
    prng_init(&world->prng, seed);
    timers_init(&world->timers, 1);
    const struct registry_options options = {.store = store_memory_store(world->memory),
                                             .settings = settings,
                                             .seed = prng_split(&world->prng),
                                             .now_ms = wall_clock,
                                             .context = world};
    world->registry = registry_new(&options);
    const struct runtime_options runtime_options = {
        .registry = world->registry,
        .timers = &world->timers,
        .controllers = controllers_all,
        .settings = {.root_ca = "PEM",
                     .service_ip_first = settings.service_ip_first,
                     .pod_cidr_first = 0x0af40000,
                     .pod_cidr_count = 256,
                     .node_grace_ms = 40000},
        .seed = prng_split(&world->prng),
    };
    world->runtime = runtime_new(&runtime_options);
    world->scheduler =
        scheduler_loop_new(world->registry, &world->timers, prng_split(&world->prng));
    runtime_set_active(world->runtime, true);
    scheduler_loop_set_active(world->scheduler, true);
    orch_world_settle(world);
    return world;
}

void orch_world_free(struct orch_world *world)
{
    registry_free(world->registry);
    runtime_free(world->runtime);
    scheduler_loop_free(world->scheduler);
    store_memory_free(world->memory);
    timers_deinit(&world->timers);
    mem_free(world);
}

static void drain(struct orch_world *world)
{
    for (int steps = 0; store_memory_step(world->memory); steps++) {
        if (steps > STEPS_MAX) {
            fail_msg("the control plane does not come to rest");
        }
    }
}

struct answer {
    int code;
    json_t *body;
};

static void keep_answer(void *context, const struct registry_reply *reply)
{
    struct answer *answer = context;
    answer->code = reply->code;
    answer->body = json_deep_copy(reply->body);
}

static int submit(struct orch_world *world, const struct request *request, json_t **ret_body)
{
    struct answer answer = {0};
    registry_submit(world->registry, request, keep_answer, &answer);
    drain(world);
    assert_int_not_equal(answer.code, 0);
    if (ret_body != NULL) {
        *ret_body = answer.body;
    } else {
        json_decref(answer.body);
    }
    return answer.code;
}

static int ask_json(struct orch_world *world, enum request_verb verb, const char *storage,
                    const char *namespace, const char *name, const char *subresource,
                    const json_t *body, json_t **ret_body)
{
    CLEANUP(json) json_t *groups = json_array();
    const struct request request = {.verb = verb,
                                    .patch = REQUEST_PATCH_MERGE,
                                    .kind = kinds_find_storage(NULL, storage),
                                    .namespace = namespace,
                                    .name = name,
                                    .subresource = subresource,
                                    .body = body,
                                    .field_manager = "test",
                                    .user = {.name = "test", .uid = "", .groups = groups}};
    return submit(world, &request, ret_body);
}

int orch_world_ask(struct orch_world *world, enum request_verb verb, const char *storage,
                   const char *namespace, const char *name, const char *subresource,
                   const char *body_text, json_t **ret_body)
{
    CLEANUP(json) json_t *body = body_text == NULL ? NULL : from_text(body_text);
    return ask_json(world, verb, storage, namespace, name, subresource, body, ret_body);
}

/* What an agent would report of a pod that has just started. */
static json_t *running_status(const struct orch_world *world, const json_t *pod)
{
    char time[TIMESTAMP_SIZE];
    bool is_service = tree_has_text(pod, "spec.restartPolicy", "Always");
    const json_t *container = json_array_get(tree_find(pod, "spec.containers"), 0);
    bool fails = strstr(tree_text_or(container, "image", ""), "fail") != NULL;
    (void)timestamp_format(registry_now_ms(world->registry), time);
    const char *phase = is_service ? "Running" : (fails ? "Failed" : "Succeeded");
    return json_pack("{s:{s:s, s:s, s:[{s:s, s:s, s:s}]}}", "status", "phase", phase, "podIP",
                     "10.0.0.1", "conditions", "type", "Ready", "status",
                     is_service ? "True" : "False", "lastTransitionTime", time);
}

/* True when an agent had something to do. */
static bool run_one_pod(struct orch_world *world)
{
    struct cache_cursor c = cache_list(registry_cache(world->registry), "pods", "");
    while (cache_next(&c)) {
        const json_t *pod = c.object;
        const char *node = tree_text_or(pod, "spec.nodeName", "");
        const json_t *container = json_array_get(tree_find(pod, "spec.containers"), 0);
        bool never = strstr(tree_text_or(container, "image", ""), "never") != NULL;
        if (*node == '\0' ||
            cache_find(registry_cache(world->registry), "nodes", "", node) == NULL) {
            continue;
        }
        CLEANUP(free) char *namespace = mem_strdup(object_namespace(pod));
        CLEANUP(free) char *name = mem_strdup(object_name(pod));
        if (object_is_deleting(pod) &&
            tree_int(pod, "metadata.deletionGracePeriodSeconds", 0) > 0) {
            (void)orch_world_ask(world, REQUEST_DELETE, "pods", namespace, name, "",
                                 "{'gracePeriodSeconds':0}", NULL);
            return true;
        }
        if (tree_has_text(pod, "status.phase", "Pending") && !never && !object_is_deleting(pod)) {
            CLEANUP(json) json_t *patch = running_status(world, pod);
            (void)ask_json(world, REQUEST_PATCH, "pods", namespace, name, "status", patch, NULL);
            return true;
        }
    }
    return false;
}

void orch_world_settle(struct orch_world *world)
{
    for (int rounds = 0; rounds < 100000; rounds++) {
        drain(world);
        if (!world->runs_pods || !run_one_pod(world)) {
            /* Short retries belong to one settling, real waiting does not. */
            uint64_t next_ms = timers_deadline_ms(&world->timers);
            if (next_ms == UINT64_MAX || next_ms > world->timers.now_ms + 20) {
                return;
            }
            timers_advance(&world->timers, next_ms);
        }
    }
    fail_msg("the control plane does not settle");
}

/* The first node that has to say again that it lives, and is not silent; NULL: none. */
static const json_t *find_late_node(const struct orch_world *world)
{
    int64_t now_ms = registry_now_ms(world->registry);
    struct cache_cursor c = cache_list(registry_cache(world->registry), "nodes", "");
    while (cache_next(&c)) {
        int64_t last_ms =
            timestamp_at(object_condition(c.object, "Ready"), "lastHeartbeatTime", now_ms);
        bool is_silent =
            world->silent_node != NULL && strcmp(world->silent_node, object_name(c.object)) == 0;
        if (!is_silent && now_ms - last_ms >= HEARTBEAT_MS) {
            return c.object;
        }
    }
    return NULL;
}

static void beat_all(struct orch_world *world)
{
    for (const json_t *node = find_late_node(world); node != NULL; node = find_late_node(world)) {
        char time[TIMESTAMP_SIZE];
        CLEANUP(free) char *name = mem_strdup(object_name(node));
        CLEANUP(json) json_t *status = json_deep_copy(json_object_get(node, "status"));
        CLEANUP(json) json_t *body = json_pack("{s:O}", "status", status);
        json_t *ready = tree_find_item(json_object_get(status, "conditions"), "type", "Ready");
        tree_set_text(ready, "lastHeartbeatTime",
                      timestamp_format(registry_now_ms(world->registry), time));
        assert_int_equal(ask_json(world, REQUEST_PATCH, "nodes", "", name, "status", body, NULL),
                         200);
    }
}

void orch_world_pass(struct orch_world *world, uint64_t ms)
{
    uint64_t end_ms = world->timers.now_ms + ms;
    orch_world_settle(world);
    while (timers_deadline_ms(&world->timers) <= end_ms) {
        beat_all(world);
        uint64_t next_ms = timers_deadline_ms(&world->timers);
        timers_advance(&world->timers,
                       next_ms > world->timers.now_ms ? next_ms : world->timers.now_ms);
        orch_world_settle(world);
    }
    timers_advance(&world->timers, end_ms > world->timers.now_ms ? end_ms : world->timers.now_ms);
    orch_world_settle(world);
}

void orch_world_add_node(struct orch_world *world, const char *name)
{
    CLEANUP(free)
    char *body = mem_printf("{'metadata':{'name':'%s','labels':"
                            "{'kubernetes.io/hostname':'%s'}}}",
                            name, name);
    assert_int_equal(orch_world_ask(world, REQUEST_CREATE, "nodes", "", "", "", body, NULL), 201);
    char time[TIMESTAMP_SIZE];
    (void)timestamp_format(registry_now_ms(world->registry), time);
    CLEANUP(free)
    char *status = mem_printf(
        "{'status':{'allocatable':{'cpu':'4','memory':'8Gi','pods':'110'},'conditions':[{'type':"
        "'Ready','status':'True','reason':'x','message':'x','lastHeartbeatTime':'%s'}]}}",
        time);
    assert_int_equal(
        orch_world_ask(world, REQUEST_PATCH, "nodes", "", name, "status", status, NULL), 200);
    orch_world_settle(world);
}

const json_t *orch_world_find(const struct orch_world *world, const char *storage, const char *name)
{
    const struct kind *kind = kinds_find_storage(NULL, storage);
    return cache_find(registry_cache(world->registry), storage,
                      kind_has(kind, KIND_NAMESPACED) ? "default" : "", name);
}

size_t orch_world_count(const struct orch_world *world, const char *storage, const char *key,
                        const char *value)
{
    size_t count = 0;
    struct cache_cursor c = cache_list(registry_cache(world->registry), storage, "default");
    while (cache_next(&c)) {
        const char *label = key == NULL ? NULL : object_label(c.object, key);
        count += key == NULL || (label != NULL && (value == NULL || strcmp(label, value) == 0));
    }
    return count;
}
