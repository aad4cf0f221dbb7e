/* test_controllers.c - controllers and scheduler together, from a request to the settled state. */
#include "tests/unit/orchestrator/cunit.h"
#include "tests/unit/orchestrator/orch_world.h"

static int setup(void **state)
{
    struct orch_world *world = orch_world_new(11);
    orch_world_add_node(world, "n1");
    orch_world_add_node(world, "n2");
    orch_world_add_node(world, "n3");
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    orch_world_free(*state);
    return 0;
}

static void create(struct orch_world *world, const char *storage, const char *text)
{
    CLEANUP(json) json_t *body = NULL;
    int code = orch_world_ask(world, REQUEST_CREATE, storage, "default", "", "", text, &body);
    if (code != 201) {
        fail_msg("%d %s", code, tree_text_or(body, "message", ""));
    }
    orch_world_settle(world);
}

static void patch(struct orch_world *world, const char *storage, const char *name, const char *text)
{
    assert_int_equal(orch_world_ask(world, REQUEST_PATCH, storage, "default", name, "", text, NULL),
                     200);
    orch_world_settle(world);
}

static void delete (struct orch_world *world, const char *storage, const char *name,
                    const char *options)
{
    assert_int_equal(
        orch_world_ask(world, REQUEST_DELETE, storage, "default", name, "", options, NULL), 200);
    orch_world_settle(world);
}

#define WORKLOAD(more)                                                                             \
    "{'metadata':{'name':'web'},'spec':{'selector':{'matchLabels':{'app':'web'}},'template':"      \
    "{'metadata':{'labels':{'app':'web'}},'spec':{'containers':[{'name':'c','image':'x:1'}]}"      \
    "}" more "}}"
#define IMAGE(image)                                                                               \
    "{'spec':{'template':{'spec':{'containers':[{'name':'c','image':'" image "'}]}}}}"

static void test_a_deployment_becomes_running_pods_on_all_nodes(void **state)
{
    struct orch_world *world = *state;
    create(world, "deployments", WORKLOAD(",'replicas':3"));
    const json_t *deployment = orch_world_find(world, "deployments", "web");
    assert_int_equal(tree_int(deployment, "status.availableReplicas", 0), 3);
    assert_int_equal(tree_int(deployment, "status.observedGeneration", 0), 1);
    assert_true(object_condition_is(deployment, "Available", "True"));
    assert_int_equal(orch_world_count(world, "pods", "app", "web"), 3);
    CLEANUP(json) json_t *nodes = json_object();
    struct cache_cursor c = cache_list(registry_cache(world->registry), "pods", "default");
    while (cache_next(&c)) {
        json_object_set_new(nodes, tree_text_or(c.object, "spec.nodeName", ""), json_true());
    }
    assert_int_equal(json_object_size(nodes), 3);
}

static void test_a_new_image_rolls_out_and_back(void **state)
{
    struct orch_world *world = *state;
    create(world, "deployments", WORKLOAD(",'replicas':4"));
    patch(world, "deployments", "web", IMAGE("x:2"));
    const json_t *deployment = orch_world_find(world, "deployments", "web");
    assert_int_equal(tree_int(deployment, "status.updatedReplicas", 0), 4);
    assert_int_equal(tree_int(deployment, "status.replicas", 0), 4);
    assert_string_equal(object_annotation(deployment, "deployment.kubernetes.io/revision"), "2");
    assert_int_equal(orch_world_count(world, "replicasets", "app", "web"), 2);
    patch(world, "deployments", "web", IMAGE("x:1"));
    deployment = orch_world_find(world, "deployments", "web");
    assert_string_equal(object_annotation(deployment, "deployment.kubernetes.io/revision"), "3");
    assert_int_equal(orch_world_count(world, "replicasets", "app", "web"), 2);
}

static void test_a_rollout_that_does_not_come_up_keeps_the_old_pods(void **state)
{
    struct orch_world *world = *state;
    create(world, "deployments", WORKLOAD(",'replicas':4,'progressDeadlineSeconds':60"));
    patch(world, "deployments", "web", IMAGE("never:2"));
    const json_t *deployment = orch_world_find(world, "deployments", "web");
    assert_int_equal(tree_int(deployment, "status.availableReplicas", 0), 3);
    orch_world_pass(world, 61000);
    deployment = orch_world_find(world, "deployments", "web");
    const json_t *progressing = object_condition(deployment, "Progressing");
    assert_true(tree_has_text(progressing, "reason", "ProgressDeadlineExceeded"));
}

static void test_recreate_never_runs_two_versions(void **state)
{
    struct orch_world *world = *state;
    create(world, "deployments", WORKLOAD(",'replicas':2,'strategy':{'type':'Recreate'}"));
    world->runs_pods = false;
    patch(world, "deployments", "web", IMAGE("x:2"));
    /* The old pods are still ending: nothing new may exist. */
    assert_int_equal(orch_world_count(world, "pods", "app", "web"), 2);
    world->runs_pods = true;
    orch_world_settle(world);
    assert_int_equal(
        tree_int(orch_world_find(world, "deployments", "web"), "status.updatedReplicas", 0), 2);
}

static void test_lost_pods_are_replaced_and_spare_ones_go(void **state)
{
    struct orch_world *world = *state;
    create(world, "replicasets", WORKLOAD(",'replicas':3"));
    struct cache_cursor c = cache_list(registry_cache(world->registry), "pods", "default");
    assert_true(cache_next(&c));
    CLEANUP(free) char *name = mem_strdup(object_name(c.object));
    delete (world, "pods", name, NULL);
    assert_int_equal(orch_world_count(world, "pods", "app", "web"), 3);
    patch(world, "replicasets", "web", "{'spec':{'replicas':1}}");
    assert_int_equal(orch_world_count(world, "pods", "app", "web"), 1);
    assert_int_equal(
        tree_int(orch_world_find(world, "replicasets", "web"), "status.readyReplicas", 0), 1);
}

static void test_orphans_are_adopted_and_strangers_released(void **state)
{
    struct orch_world *world = *state;
    create(world, "pods",
           "{'metadata':{'name':'stray','labels':{'app':'web'}},'spec':"
           "{'containers':[{'name':'c','image':'x:1'}]}}");
    create(world, "replicasets", WORKLOAD(",'replicas':2"));
    assert_int_equal(orch_world_count(world, "pods", "app", "web"), 2);
    assert_non_null(object_controller(orch_world_find(world, "pods", "stray")));
    patch(world, "pods", "stray", "{'metadata':{'labels':{'app':'other'}}}");
    assert_null(object_controller(orch_world_find(world, "pods", "stray")));
    assert_int_equal(orch_world_count(world, "pods", "app", "web"), 2);
}

static void test_deletions_cascade_orphan_and_wait(void **state)
{
    struct orch_world *world = *state;
    create(world, "deployments", WORKLOAD(",'replicas':2"));
    delete (world, "deployments", "web", "{'propagationPolicy':'Orphan'}");
    assert_null(orch_world_find(world, "deployments", "web"));
    assert_int_equal(orch_world_count(world, "replicasets", "app", "web"), 1);
    assert_int_equal(orch_world_count(world, "pods", "app", "web"), 2);
    create(world, "deployments", WORKLOAD(",'replicas':2"));
    assert_int_equal(orch_world_count(world, "replicasets", "app", "web"), 1); /* adopted */
    delete (world, "deployments", "web", "{'propagationPolicy':'Foreground'}");
    assert_null(orch_world_find(world, "deployments", "web"));
    assert_int_equal(orch_world_count(world, "replicasets", NULL, NULL), 0);
    assert_int_equal(orch_world_count(world, "pods", NULL, NULL), 0);
}

static char *text_of_owner(const struct orch_world *world, const char *name)
{
    const json_t *object = orch_world_find(world, "configmaps", name);
    assert_non_null(object);
    return mem_printf("{'apiVersion':'v1','kind':'ConfigMap','blockOwnerDeletion':true,'name':'%s',"
                      "'uid':'%s'}",
                      name, object_uid(object));
}

static void test_a_dependent_stays_with_the_owner_that_stays(void **state)
{
    struct orch_world *world = *state;
    create(world, "configmaps", "{'metadata':{'name':'goes'}}");
    create(world, "configmaps", "{'metadata':{'name':'stays'}}");
    CLEANUP(free) char *goes = text_of_owner(world, "goes");
    CLEANUP(free) char *stays = text_of_owner(world, "stays");
    CLEANUP(free)
    char *text = mem_printf("{'metadata':{'name':'both','ownerReferences':[%s,%s]}}", goes, stays);
    create(world, "secrets", text);
    delete (world, "configmaps", "goes", "{'propagationPolicy':'Foreground'}");
    assert_null(orch_world_find(world, "configmaps", "goes"));
    const json_t *both = orch_world_find(world, "secrets", "both");
    assert_non_null(both);
    assert_int_equal(tree_count(both, "metadata.ownerReferences"), 1);
}

static void test_a_namespace_takes_its_content_along(void **state)
{
    struct orch_world *world = *state;
    assert_int_equal(orch_world_ask(world, REQUEST_CREATE, "namespaces", "", "", "",
                                    "{'metadata':{'name':'gone'}}", NULL),
                     201);
    orch_world_settle(world);
    assert_int_equal(orch_world_ask(world, REQUEST_CREATE, "deployments", "gone", "", "",
                                    WORKLOAD(",'replicas':2"), NULL),
                     201);
    orch_world_settle(world);
    assert_int_equal(
        orch_world_ask(world, REQUEST_DELETE, "namespaces", "", "gone", "", NULL, NULL), 200);
    orch_world_pass(world, 5000);
    assert_null(orch_world_find(world, "namespaces", "gone"));
    assert_int_equal(store_memory_count(world->memory, "/registry/pods/gone/"), 0);
    assert_int_equal(store_memory_count(world->memory, "/registry/configmaps/gone/"), 0);
}

static void test_a_stateful_set_starts_in_order_and_keeps_names(void **state)
{
    struct orch_world *world = *state;
    create(world, "statefulsets", WORKLOAD(",'replicas':3,'serviceName':'web'"));
    assert_non_null(orch_world_find(world, "pods", "web-0"));
    assert_non_null(orch_world_find(world, "pods", "web-2"));
    patch(world, "statefulsets", "web", IMAGE("x:2"));
    const json_t *set = orch_world_find(world, "statefulsets", "web");
    assert_int_equal(tree_int(set, "status.updatedReplicas", 0), 3);
    assert_true(tree_equal(tree_find(set, "status.currentRevision"),
                           tree_find(set, "status.updateRevision")));
    patch(world, "statefulsets", "web", "{'spec':{'replicas':1}}");
    assert_null(orch_world_find(world, "pods", "web-1"));
    assert_non_null(orch_world_find(world, "pods", "web-0"));
    patch(world, "statefulsets", "web", IMAGE("never:3"));
    patch(world, "statefulsets", "web", "{'spec':{'replicas':3}}");
    /* web-0 never becomes ready, so web-1 is not made. */
    assert_null(orch_world_find(world, "pods", "web-1"));
}

static void test_a_daemon_set_has_one_pod_on_each_node(void **state)
{
    struct orch_world *world = *state;
    create(world, "daemonsets", WORKLOAD(""));
    assert_int_equal(tree_int(orch_world_find(world, "daemonsets", "web"), "status.numberReady", 0),
                     3);
    orch_world_add_node(world, "n4");
    assert_int_equal(orch_world_count(world, "pods", "app", "web"), 4);
    patch(world, "daemonsets", "web", IMAGE("x:2"));
    const json_t *set = orch_world_find(world, "daemonsets", "web");
    assert_int_equal(tree_int(set, "status.updatedNumberScheduled", 0), 4);
    assert_int_equal(tree_int(set, "status.numberAvailable", 0), 4);
}

#define JOB(more, image)                                                                           \
    "{'metadata':{'name':'job'},'spec':{" more "'template':{'spec':{'restartPolicy':'Never',"      \
    "'containers':[{'name':'c','image':'" image "'}]}}}}"

static void test_a_job_runs_until_its_completions(void **state)
{
    struct orch_world *world = *state;
    create(world, "jobs", JOB("'completions':3,'parallelism':2,", "x"));
    const json_t *job = orch_world_find(world, "jobs", "job");
    assert_true(object_condition_is(job, "Complete", "True"));
    assert_int_equal(tree_int(job, "status.succeeded", 0), 3);
    assert_null(tree_find(job, "status.active"));
    assert_int_equal(orch_world_count(world, "pods", "job-name", "job"), 3);
}

static void test_an_indexed_job_completes_every_index_once(void **state)
{
    struct orch_world *world = *state;
    create(world, "jobs", JOB("'completions':4,'parallelism':2,'completionMode':'Indexed',", "x"));
    const json_t *job = orch_world_find(world, "jobs", "job");
    assert_true(object_condition_is(job, "Complete", "True"));
    assert_true(tree_has_text(job, "status.completedIndexes", "0-3"));
}

static void test_a_job_that_fails_gives_up_after_its_limit(void **state)
{
    struct orch_world *world = *state;
    create(world, "jobs", JOB("'backoffLimit':2,", "fail"));
    orch_world_pass(world, 300000);
    const json_t *job = orch_world_find(world, "jobs", "job");
    assert_true(object_condition_is(job, "Failed", "True"));
    assert_true(tree_has_text(object_condition(job, "Failed"), "reason", "BackoffLimitExceeded"));
    assert_int_equal(tree_int(job, "status.failed", 0), 3);
}

static void test_a_finished_job_goes_after_its_time(void **state)
{
    struct orch_world *world = *state;
    create(world, "jobs", JOB("'ttlSecondsAfterFinished':30,", "x"));
    assert_non_null(orch_world_find(world, "jobs", "job"));
    orch_world_pass(world, 31000);
    assert_null(orch_world_find(world, "jobs", "job"));
    assert_int_equal(orch_world_count(world, "pods", NULL, NULL), 0);
}

static void test_a_cron_job_starts_a_job_each_minute_and_keeps_three(void **state)
{
    struct orch_world *world = *state;
    create(world, "cronjobs",
           "{'metadata':{'name':'cj'},'spec':{'schedule':'* * * * *','jobTemplate':{'spec':"
           "{'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'x'}]"
           "}}}}}}");
    orch_world_pass(world, 5 * 60000);
    assert_int_equal(orch_world_count(world, "jobs", NULL, NULL), 3);
    assert_non_null(tree_find(orch_world_find(world, "cronjobs", "cj"), "status.lastScheduleTime"));
}

static void test_a_service_follows_its_pods(void **state)
{
    struct orch_world *world = *state;
    create(world, "services",
           "{'metadata':{'name':'web'},'spec':{'selector':{'app':'web'},"
           "'ports':[{'port':80,'targetPort':8080}]}}");
    create(world, "replicasets", WORKLOAD(",'replicas':3"));
    struct cache_cursor c =
        cache_list(registry_cache(world->registry), "endpointslices", "default");
    assert_true(cache_next(&c));
    assert_int_equal(tree_count(c.object, "endpoints"), 3);
    const json_t *port = json_array_get(json_object_get(c.object, "ports"), 0);
    assert_int_equal(tree_int(port, "port", 0), 8080);
    assert_true(tree_has_text(port, "name", ""));
    const json_t *endpoint = json_array_get(json_object_get(c.object, "endpoints"), 0);
    assert_true(tree_bool(endpoint, "conditions.ready", false));
    patch(world, "replicasets", "web", "{'spec':{'replicas':0}}");
    struct cache_cursor again =
        cache_list(registry_cache(world->registry), "endpointslices", "default");
    assert_true(cache_next(&again));
    assert_int_equal(tree_count(again.object, "endpoints"), 0);
}

static void test_a_silent_node_loses_its_pods_to_the_others(void **state)
{
    struct orch_world *world = *state;
    create(world, "deployments", WORKLOAD(",'replicas':3"));
    world->silent_node = "n3";
    orch_world_pass(world, 450000);
    const json_t *node = orch_world_find(world, "nodes", "n3");
    assert_true(object_condition_is(node, "Ready", "Unknown"));
    size_t elsewhere = 0;
    struct cache_cursor c = cache_list(registry_cache(world->registry), "pods", "default");
    while (cache_next(&c)) {
        elsewhere += object_condition_is(c.object, "Ready", "True") &&
                     !tree_has_text(c.object, "spec.nodeName", "n3");
    }
    assert_int_equal(elsewhere, 3);
}

static void test_a_budget_counts_what_may_go(void **state)
{
    struct orch_world *world = *state;
    create(world, "poddisruptionbudgets",
           "{'metadata':{'name':'b'},'spec':{'minAvailable':2,'selector':{'matchLabels':"
           "{'app':'web'}}}}");
    create(world, "deployments", WORKLOAD(",'replicas':3"));
    const json_t *budget = orch_world_find(world, "poddisruptionbudgets", "b");
    assert_int_equal(tree_int(budget, "status.disruptionsAllowed", -1), 1);
    assert_int_equal(tree_int(budget, "status.currentHealthy", -1), 3);
}

static void test_a_pod_that_fits_nowhere_says_why_and_fits_later(void **state)
{
    struct orch_world *world = *state;
    create(world, "pods",
           "{'metadata':{'name':'big'},'spec':{'nodeSelector':{'disk':'fast'},"
           "'containers':[{'name':'c','image':'x'}]}}");
    const json_t *scheduled =
        object_condition(orch_world_find(world, "pods", "big"), "PodScheduled");
    assert_true(tree_has_text(scheduled, "reason", "Unschedulable"));
    assert_true(tree_has_text(scheduled, "message",
                              "0/3 nodes are available: 3 node(s) didn't match Pod's node "
                              "affinity/selector."));
    assert_int_equal(orch_world_ask(world, REQUEST_PATCH, "nodes", "", "n2", "",
                                    "{'metadata':{'labels':{'disk':'fast'}}}", NULL),
                     200);
    orch_world_pass(world, 2000);
    assert_true(tree_has_text(orch_world_find(world, "pods", "big"), "spec.nodeName", "n2"));
}

static void test_a_more_important_pod_takes_the_place_of_others(void **state)
{
    struct orch_world *world = *state;
    assert_int_equal(orch_world_ask(world, REQUEST_CREATE, "priorityclasses", "", "", "",
                                    "{'metadata':{'name':'high'},'value':1000}", NULL),
                     201);
    for (int i = 0; i < 3; i++) {
        CLEANUP(free)
        char *text = mem_printf("{'metadata':{'name':'low-%d'},'spec':{'containers':[{'name':'c',"
                                "'image':'x','resources':{'requests':{'cpu':'3'}}}]}}",
                                i);
        create(world, "pods", text);
    }
    create(world, "pods",
           "{'metadata':{'name':'vip'},'spec':{'priorityClassName':'high',"
           "'containers':[{'name':'c','image':'x','resources':{'requests':"
           "{'cpu':'3'}}}]}}");
    orch_world_pass(world, 15000);
    assert_true(tree_has_text(orch_world_find(world, "pods", "vip"), "status.phase", "Running"));
    assert_int_equal(orch_world_count(world, "pods", NULL, NULL), 3);
}

static void test_commits_that_fail_are_made_up_for(void **state)
{
    struct orch_world *world = *state;
    create(world, "deployments", WORKLOAD(",'replicas':1"));
    store_memory_fail_commits(world->memory, ERR_TIMEOUT, 7, false);
    CLEANUP(json) json_t *ignored = NULL;
    (void)orch_world_ask(world, REQUEST_PATCH, "deployments", "default", "web", "",
                         "{'spec':{'replicas':4}}", &ignored);
    orch_world_pass(world, 5000);
    store_memory_fail_commits(world->memory, ERR_TIMEOUT, 5, true);
    (void)orch_world_ask(world, REQUEST_PATCH, "deployments", "default", "web", "",
                         "{'spec':{'replicas':5}}", NULL);
    orch_world_pass(world, 120000);
    assert_int_equal(orch_world_count(world, "pods", "app", "web"), 5);
    assert_int_equal(
        tree_int(orch_world_find(world, "deployments", "web"), "status.availableReplicas", 0), 5);
}

static void ignore(void *context, const struct registry_reply *reply)
{
    (void)context;
    assert_int_equal(reply->code, 201);
}

static void test_nodes_that_come_together_get_ranges_of_their_own(void **state)
{
    struct orch_world *world = *state;
    CLEANUP(json) json_t *groups = json_pack("[s]", "system:masters");
    for (int i = 0; i < 8; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "late%d", i);
        CLEANUP(json) json_t *body = json_pack("{s:{s:s}}", "metadata", "name", name);
        const struct request request = {.verb = REQUEST_CREATE,
                                        .kind = kinds_find_storage(NULL, "nodes"),
                                        .namespace = "",
                                        .name = "",
                                        .subresource = "",
                                        .body = body,
                                        .field_manager = "test",
                                        .user = {.name = "test", .uid = "", .groups = groups}};
        registry_submit(world->registry, &request, ignore, NULL);
    }
    orch_world_settle(world);
    CLEANUP(json) json_t *ranges = json_object();
    struct cache_cursor c = cache_list(registry_cache(world->registry), "nodes", "");
    while (cache_next(&c)) {
        assert_non_null(tree_text(c.object, "spec.podCIDR"));
        json_object_set_new(ranges, tree_text(c.object, "spec.podCIDR"), json_true());
    }
    assert_int_equal(json_object_size(ranges), 3 + 8);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_nodes_that_come_together_get_ranges_of_their_own),
        T(test_a_deployment_becomes_running_pods_on_all_nodes),
        T(test_a_new_image_rolls_out_and_back),
        T(test_a_rollout_that_does_not_come_up_keeps_the_old_pods),
        T(test_recreate_never_runs_two_versions),
        T(test_lost_pods_are_replaced_and_spare_ones_go),
        T(test_orphans_are_adopted_and_strangers_released),
        T(test_deletions_cascade_orphan_and_wait),
        T(test_a_dependent_stays_with_the_owner_that_stays),
        T(test_a_namespace_takes_its_content_along),
        T(test_a_stateful_set_starts_in_order_and_keeps_names),
        T(test_a_daemon_set_has_one_pod_on_each_node),
        T(test_a_job_runs_until_its_completions),
        T(test_an_indexed_job_completes_every_index_once),
        T(test_a_job_that_fails_gives_up_after_its_limit),
        T(test_a_finished_job_goes_after_its_time),
        T(test_a_cron_job_starts_a_job_each_minute_and_keeps_three),
        T(test_a_service_follows_its_pods),
        T(test_a_silent_node_loses_its_pods_to_the_others),
        T(test_a_budget_counts_what_may_go),
        T(test_a_pod_that_fits_nowhere_says_why_and_fits_later),
        T(test_a_more_important_pod_takes_the_place_of_others),
        T(test_commits_that_fail_are_made_up_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
