#include "orchestrator/registry/plan.h"
#include "tests/unit/orchestrator/cunit.h"

struct fixture {
    struct cache *cache;
    struct prng prng;
    struct plan_settings settings;
    struct plan_env env;
    json_t *groups;
};

static void add(struct fixture *f, const char *storage, const char *namespace, const char *text)
{
    json_t *object = from_text(text);
    cache_put(f->cache, storage, namespace, object_name(object), object,
              cache_revision(f->cache) + 1);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    f->cache = cache_new(64);
    prng_init(&f->prng, 1);
    f->settings = (struct plan_settings){.service_ip_first = 0x0a600001,
                                         .service_ip_count = 254,
                                         .node_port_first = 30000,
                                         .node_port_count = 100};
    f->groups = json_array();
    f->env = (struct plan_env){
        .now_ms = 1000000, .prng = &f->prng, .cache = f->cache, .settings = &f->settings};
    add(f, "namespaces", "", "{'metadata':{'name':'default'}}");
    add(f, "serviceaccounts", "default", "{'metadata':{'name':'default','namespace':'default'}}");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cache_free(f->cache);
    json_decref(f->groups);
    mem_free(f);
    return 0;
}

static struct request make_request(const struct fixture *f, enum request_verb verb,
                                   const char *storage, const char *name, const json_t *body)
{
    const struct kind *kind = kinds_find_storage(NULL, storage);
    return (struct request){.verb = verb,
                            .kind = kind,
                            .namespace = kind_has(kind, KIND_NAMESPACED) ? "default" : "",
                            .name = name,
                            .subresource = "",
                            .body = body,
                            .field_manager = "test",
                            .user = {.name = "me", .uid = "", .groups = f->groups}};
}

static json_t *run(struct fixture *f, struct request request, const json_t *current,
                   struct plan *plan)
{
    return plan_write(&request, current, &f->env, plan);
}

/* The object that a create of this body stores, at revision 10. */
static json_t *created(struct fixture *f, const char *storage, const char *text)
{
    CLEANUP(json) json_t *body = from_text(text);
    CLEANUP(plan) struct plan plan;
    assert_accepted(run(f, make_request(f, REQUEST_CREATE, storage, "", body), NULL, &plan));
    assert_int_equal(plan.change, PLAN_PUT);
    json_t *object = json_deep_copy(plan.object);
    tree_set_text(object, "metadata.resourceVersion", "10");
    return object;
}

static const char config_map[] = "{'metadata':{'name':'c'},'data':{'a':'b'}}";
static const char deployment[] =
    "{'metadata':{'name':'d'},'spec':{'replicas':2,'selector':{'matchLabels':{'a':'b'}},"
    "'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c',"
    "'image':'x:1'}]}}}}";

static void test_a_create_fills_in_what_the_server_decides(void **state)
{
    CLEANUP(json) json_t *object = created(*state, "deployments", deployment);
    assert_true(tree_has_text(object, "apiVersion", "apps/v1"));
    assert_true(tree_has_text(object, "metadata.namespace", "default"));
    assert_true(tree_has_text(object, "metadata.creationTimestamp", "1970-01-01T00:16:40Z"));
    assert_int_equal(strlen(object_uid(object)), 36);
    assert_int_equal(tree_int(object, "metadata.generation", 0), 1);
    assert_true(tree_has_text(object, "spec.strategy.type", "RollingUpdate"));
    assert_null(json_object_get(object, "status"));
    const json_t *entry = json_array_get(tree_find(object, "metadata.managedFields"), 0);
    assert_true(tree_has_text(entry, "manager", "test"));
}

static void assert_create_refused(struct fixture *f, const char *storage, const char *text,
                                  int code, const char *message)
{
    CLEANUP(json) json_t *body = from_text(text);
    struct plan plan;
    assert_refusal(run(f, make_request(f, REQUEST_CREATE, storage, "", body), NULL, &plan), code,
                   message);
}

static void test_creates_that_cannot_be_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_create_refused(f, "configmaps", "{'metadata':{'name':'c','resourceVersion':'5'}}", 400,
                          "resourceVersion should not be set");
    assert_create_refused(f, "configmaps", "{'metadata':{'name':'c','namespace':'other'}}", 400,
                          "does not match the namespace");
    assert_create_refused(f, "configmaps", "{'kind':'Secret','metadata':{'name':'c'}}", 400,
                          "does not match the expected kind");
    assert_create_refused(f, "configmaps", "{'metadata':{}}", 422, "name or generateName");
    CLEANUP(json) json_t *current = created(f, "configmaps", config_map);
    CLEANUP(json) json_t *body = from_text(config_map);
    struct plan plan;
    assert_refusal(run(f, make_request(f, REQUEST_CREATE, "configmaps", "", body), current, &plan),
                   409, "configmaps \"c\" already exists");
}

static void test_nothing_new_comes_into_a_namespace_that_ends(void **state)
{
    struct fixture *f = *state;
    add(f, "namespaces", "",
        "{'metadata':{'name':'default','deletionTimestamp':'1970-01-01T00:00:00Z'}}");
    assert_create_refused(f, "configmaps", config_map, 403, "because it is being terminated");
    cache_remove(f->cache, "namespaces", "", "default", 99);
    assert_create_refused(f, "configmaps", config_map, 404, "namespaces \"default\" not found");
}

static void test_unknown_fields_are_refused_warned_of_or_ignored(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *body = from_text("{'metadata':{'name':'c'},'dota':{}}");
    struct request request = make_request(f, REQUEST_CREATE, "configmaps", "", body);
    struct plan plan;
    request.field_validation = FIELD_VALIDATION_STRICT;
    assert_refusal(run(f, request, NULL, &plan), 400,
                   "strict decoding error: unknown field \"dota\"");
    request.field_validation = FIELD_VALIDATION_WARN;
    assert_accepted(run(f, request, NULL, &plan));
    assert_json(plan.warnings, "['unknown field \\'dota\\'']");
    plan_deinit(&plan);
    request.field_validation = FIELD_VALIDATION_IGNORE;
    assert_accepted(run(f, request, NULL, &plan));
    assert_null(plan.warnings);
    plan_deinit(&plan);
}

static void test_an_update_keeps_identity_and_counts_generations(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *current = created(f, "deployments", deployment);
    tree_set_int(current, "status.replicas", 2);
    CLEANUP(json) json_t *body = json_deep_copy(current);
    tree_remove(body, "metadata.uid");
    tree_set_int(body, "metadata.generation", 77);
    tree_set_int(body, "status.replicas", 9);
    tree_set_int(body, "spec.replicas", 3);
    CLEANUP(plan) struct plan plan;
    assert_accepted(
        run(f, make_request(f, REQUEST_UPDATE, "deployments", "d", body), current, &plan));
    assert_int_equal(plan.change, PLAN_PUT);
    assert_string_equal(object_uid(plan.object), object_uid(current));
    assert_int_equal(tree_int(plan.object, "metadata.generation", 0), 2);
    assert_int_equal(tree_int(plan.object, "status.replicas", 0), 2);
}

static void test_an_update_that_changes_nothing_writes_nothing(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *current = created(f, "deployments", deployment);
    CLEANUP(plan) struct plan plan;
    assert_accepted(
        run(f, make_request(f, REQUEST_UPDATE, "deployments", "d", current), current, &plan));
    assert_int_equal(plan.change, PLAN_NOTHING);
}

static void test_a_stale_update_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *current = created(f, "configmaps", config_map);
    CLEANUP(json) json_t *body = json_deep_copy(current);
    tree_set_text(body, "metadata.resourceVersion", "9");
    struct plan plan;
    assert_refusal(run(f, make_request(f, REQUEST_UPDATE, "configmaps", "c", body), current, &plan),
                   409, "the object has been modified");
    tree_remove(body, "metadata.resourceVersion");
    tree_set_text(body, "metadata.uid", "other");
    assert_refusal(run(f, make_request(f, REQUEST_UPDATE, "configmaps", "c", body), current, &plan),
                   409, "UID in precondition");
}

static void test_a_status_update_touches_the_status_alone(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *current = created(f, "deployments", deployment);
    CLEANUP(json) json_t *body = json_deep_copy(current);
    tree_set_int(body, "spec.replicas", 7);
    tree_set_int(body, "status.replicas", 2);
    tree_set_text(body, "metadata.annotations.by", "status");
    struct request request = make_request(f, REQUEST_UPDATE, "deployments", "d", body);
    request.subresource = "status";
    CLEANUP(plan) struct plan plan;
    assert_accepted(run(f, request, current, &plan));
    assert_int_equal(tree_int(plan.object, "spec.replicas", 0), 2);
    assert_int_equal(tree_int(plan.object, "status.replicas", 0), 2);
    assert_true(tree_has_text(plan.object, "metadata.annotations.by", "status"));
    assert_int_equal(tree_int(plan.object, "metadata.generation", 0), 1);
}

static void test_scale_answers_a_scale_and_changes_replicas(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *current = created(f, "deployments", deployment);
    CLEANUP(json) json_t *body = from_text("{'spec':{'replicas':5}}");
    struct request request = make_request(f, REQUEST_PATCH, "deployments", "d", body);
    request.patch = REQUEST_PATCH_MERGE;
    request.subresource = "scale";
    CLEANUP(plan) struct plan plan;
    assert_accepted(run(f, request, current, &plan));
    assert_int_equal(tree_int(plan.object, "spec.replicas", 0), 5);
    assert_true(tree_has_text(plan.answer, "kind", "Scale"));
    assert_true(tree_has_text(plan.answer, "status.selector", "a=b"));
    CLEANUP(json) json_t *bad = from_text("{'spec':{'replicas':-1}}");
    request.body = bad;
    struct plan none;
    assert_refusal(run(f, request, current, &none), 422, "greater than or equal to 0");
}

static void test_a_pod_is_deleted_in_two_steps(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json)
    json_t *pod = created(
        f, "pods", "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'x'}]}}");
    CLEANUP(plan) struct plan first;
    assert_accepted(run(f, make_request(f, REQUEST_DELETE, "pods", "p", NULL), pod, &first));
    assert_int_equal(first.change, PLAN_REMOVE); /* no node has it: nobody has to stop it */
    tree_set_text(pod, "spec.nodeName", "n");
    CLEANUP(plan) struct plan second;
    assert_accepted(run(f, make_request(f, REQUEST_DELETE, "pods", "p", NULL), pod, &second));
    assert_int_equal(second.change, PLAN_PUT);
    assert_int_equal(tree_int(second.object, "metadata.deletionGracePeriodSeconds", 0), 30);
    assert_true(tree_has_text(second.object, "metadata.deletionTimestamp", "1970-01-01T00:17:10Z"));
    CLEANUP(json) json_t *options = from_text("{'gracePeriodSeconds':0}");
    CLEANUP(plan) struct plan third;
    assert_accepted(
        run(f, make_request(f, REQUEST_DELETE, "pods", "p", options), second.object, &third));
    assert_int_equal(third.change, PLAN_REMOVE);
}

static void test_finalizers_hold_an_object_until_the_last_goes(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json)
    json_t *current = created(f, "configmaps", "{'metadata':{'name':'c','finalizers':['x.io/a']}}");
    CLEANUP(plan) struct plan marked;
    assert_accepted(
        run(f, make_request(f, REQUEST_DELETE, "configmaps", "c", NULL), current, &marked));
    assert_int_equal(marked.change, PLAN_PUT);
    assert_true(object_is_deleting(marked.object));
    CLEANUP(json) json_t *patch = from_text("{'metadata':{'finalizers':null}}");
    struct request request = make_request(f, REQUEST_PATCH, "configmaps", "c", patch);
    request.patch = REQUEST_PATCH_MERGE;
    CLEANUP(plan) struct plan last;
    assert_accepted(run(f, request, marked.object, &last));
    assert_int_equal(last.change, PLAN_REMOVE);
}

static void test_propagation_is_written_as_a_finalizer(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *current = created(f, "deployments", deployment);
    CLEANUP(json) json_t *options = from_text("{'propagationPolicy':'Foreground'}");
    CLEANUP(plan) struct plan plan;
    assert_accepted(
        run(f, make_request(f, REQUEST_DELETE, "deployments", "d", options), current, &plan));
    assert_json(tree_find(plan.object, "metadata.finalizers"), "['foregroundDeletion']");
    CLEANUP(json) json_t *bad = from_text("{'propagationPolicy':'Sideways'}");
    struct plan none;
    assert_refusal(run(f, make_request(f, REQUEST_DELETE, "deployments", "d", bad), current, &none),
                   422, "propagationPolicy");
}

static void test_preconditions_guard_a_delete(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *current = created(f, "configmaps", config_map);
    CLEANUP(json) json_t *options = from_text("{'preconditions':{'uid':'other'}}");
    struct plan plan;
    assert_refusal(
        run(f, make_request(f, REQUEST_DELETE, "configmaps", "c", options), current, &plan), 409,
        "does not match the UID in record");
}

static void test_services_get_an_address_of_their_own(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json)
    json_t *first =
        created(f, "services", "{'metadata':{'name':'a'},'spec':{'ports':[{'port':80}]}}");
    const char *address = tree_text(first, "spec.clusterIP");
    assert_int_equal(strncmp(address, "10.96.0.", 8), 0);
    cache_put(f->cache, "services", "default", "a", json_incref(first), 50);
    CLEANUP(free)
    char *again = mem_printf("{'metadata':{'name':'b'},'spec':{'clusterIP':'%s',"
                             "'ports':[{'port':80}]}}",
                             address);
    assert_create_refused(f, "services", again, 422, "already allocated");
    assert_create_refused(f, "services",
                          "{'metadata':{'name':'b'},'spec':{'clusterIP':'1.2.3.4',"
                          "'ports':[{'port':80}]}}",
                          422, "not in the valid range");
    CLEANUP(json)
    json_t *body =
        from_text("{'metadata':{'name':'b'},'spec':{'type':'NodePort','ports':[{'port':80}]}}");
    CLEANUP(plan) struct plan plan;
    assert_accepted(run(f, make_request(f, REQUEST_CREATE, "services", "", body), NULL, &plan));
    assert_int_equal(json_array_size(plan.claims), 2);
}

static void test_pods_get_account_priority_and_tolerations(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json)
    json_t *pod = created(
        f, "pods", "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'x'}]}}");
    assert_true(tree_has_text(pod, "spec.serviceAccountName", "default"));
    assert_int_equal(tree_int(pod, "spec.priority", -1), 0);
    assert_int_equal(tree_count(pod, "spec.tolerations"), 2);
    assert_int_equal(tree_count(pod, "spec.volumes"), 1);
    assert_true(tree_has_text(pod, "status.phase", "Pending"));
    assert_true(tree_has_text(pod, "status.qosClass", "BestEffort"));
    assert_create_refused(f, "pods",
                          "{'metadata':{'name':'p'},'spec':{'serviceAccountName':'no',"
                          "'containers':[{'name':'c','image':'x'}]}}",
                          403, "serviceaccount \"no\" not found");
    assert_create_refused(f, "pods",
                          "{'metadata':{'name':'p'},'spec':{'priorityClassName':'no',"
                          "'containers':[{'name':'c','image':'x'}]}}",
                          403, "no PriorityClass with name no was found");
}

static void test_quotas_and_limits_are_kept(void **state)
{
    struct fixture *f = *state;
    add(f, "resourcequotas", "default",
        "{'metadata':{'name':'q','namespace':'default'},'spec':{'hard':{'configmaps':'1'}}}");
    CLEANUP(json) json_t *first = created(f, "configmaps", config_map);
    cache_put(f->cache, "configmaps", "default", "c", json_incref(first), 60);
    assert_create_refused(f, "configmaps", "{'metadata':{'name':'c2'}}", 403,
                          "exceeded quota: q, requested: configmaps=1, used: configmaps=1, "
                          "limited: configmaps=1");
    add(f, "limitranges", "default",
        "{'metadata':{'name':'l'},'spec':{'limits':[{'type':'Container','max':{'cpu':'1'}}]}}");
    assert_create_refused(f, "pods",
                          "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'x',"
                          "'resources':{'limits':{'cpu':'2'}}}]}}",
                          403, "maximum cpu usage per Container");
}

static json_t *apply(struct fixture *f, const char *manager, const char *text,
                     const json_t *current, bool force, struct plan *plan)
{
    CLEANUP(json) json_t *body = from_text(text);
    struct request request = make_request(f, REQUEST_APPLY, "configmaps", "c", body);
    request.field_manager = manager;
    request.force = force;
    return run(f, request, current, plan);
}

#define APPLIED(data)                                                                              \
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c'},'data':" data "}"

static void test_server_side_apply_owns_fields(void **state)
{
    struct fixture *f = *state;
    CLEANUP(plan) struct plan one;
    assert_accepted(apply(f, "m1", APPLIED("{'a':'1','b':'1'}"), NULL, false, &one));
    assert_int_equal(one.code, 201);
    tree_set_text(one.object, "metadata.resourceVersion", "10");
    struct plan conflict;
    assert_refusal(apply(f, "m2", APPLIED("{'a':'2'}"), one.object, false, &conflict), 409,
                   "conflict with \"m1\": .data.a");
    CLEANUP(plan) struct plan forced;
    assert_accepted(apply(f, "m2", APPLIED("{'a':'2'}"), one.object, true, &forced));
    assert_json(json_object_get(forced.object, "data"), "{'a':'2','b':'1'}");
    /* m1 gives up b and does not own a any more: only b goes. */
    CLEANUP(plan) struct plan less;
    assert_accepted(apply(f, "m1", APPLIED("{}"), forced.object, false, &less));
    assert_json(json_object_get(less.object, "data"), "{'a':'2'}");
    CLEANUP(plan) struct plan same;
    assert_accepted(apply(f, "m2", APPLIED("{'a':'2'}"), less.object, false, &same));
    assert_int_equal(same.change, PLAN_NOTHING);
}

static void test_an_eviction_spends_the_budget_of_the_pod(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json)
    json_t *pod =
        from_text("{'metadata':{'name':'p','namespace':'default','uid':'u','labels':{'a':'b'}},"
                  "'spec':{'nodeName':'n'},'status':{'phase':'Running'}}");
    add(f, "poddisruptionbudgets", "default",
        "{'metadata':{'name':'b','namespace':'default','generation':1},'spec':{'selector':"
        "{'matchLabels':{'a':'b'}}},'status':{'observedGeneration':1,'disruptionsAllowed':1}}");
    CLEANUP(json) json_t *body = from_text("{'kind':'Eviction','apiVersion':'policy/v1'}");
    struct request request = make_request(f, REQUEST_CREATE, "pods", "p", body);
    request.subresource = "eviction";
    CLEANUP(plan) struct plan plan;
    assert_accepted(run(f, request, pod, &plan));
    assert_int_equal(plan.code, 201);
    assert_int_equal(tree_int(json_object_get(plan.also, "object"), "status.disruptionsAllowed", 9),
                     0);
    add(f, "poddisruptionbudgets", "default",
        "{'metadata':{'name':'b','namespace':'default','generation':1,'resourceVersion':'70'},"
        "'spec':{'selector':{'matchLabels':{'a':'b'}}},'status':{'observedGeneration':1}}");
    struct plan none;
    assert_refusal(run(f, request, pod, &none), 429, "disruption budget");
}

static void test_some_namespaces_live_for_ever(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *current = from_text("{'metadata':{'name':'default'}}");
    struct plan plan;
    assert_refusal(
        run(f, make_request(f, REQUEST_DELETE, "namespaces", "default", NULL), current, &plan), 403,
        "this namespace may not be deleted");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_create_fills_in_what_the_server_decides),
        T(test_creates_that_cannot_be_are_refused),
        T(test_nothing_new_comes_into_a_namespace_that_ends),
        T(test_unknown_fields_are_refused_warned_of_or_ignored),
        T(test_an_update_keeps_identity_and_counts_generations),
        T(test_an_update_that_changes_nothing_writes_nothing),
        T(test_a_stale_update_is_a_conflict),
        T(test_a_status_update_touches_the_status_alone),
        T(test_scale_answers_a_scale_and_changes_replicas),
        T(test_a_pod_is_deleted_in_two_steps),
        T(test_finalizers_hold_an_object_until_the_last_goes),
        T(test_propagation_is_written_as_a_finalizer),
        T(test_preconditions_guard_a_delete),
        T(test_services_get_an_address_of_their_own),
        T(test_pods_get_account_priority_and_tolerations),
        T(test_quotas_and_limits_are_kept),
        T(test_server_side_apply_owns_fields),
        T(test_an_eviction_spends_the_budget_of_the_pod),
        T(test_some_namespaces_live_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
