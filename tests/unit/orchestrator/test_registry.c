#include "tests/unit/orchestrator/cunit.h"
#include "tests/unit/orchestrator/orch_world.h"

static int setup(void **state)
{
    *state = orch_world_new(7);
    return 0;
}

static int teardown(void **state)
{
    orch_world_free(*state);
    return 0;
}

static void test_a_new_cluster_has_its_namespaces_roles_and_service(void **state)
{
    struct orch_world *world = *state;
    assert_non_null(orch_world_find(world, "namespaces", "default"));
    assert_non_null(orch_world_find(world, "namespaces", "kube-system"));
    assert_non_null(orch_world_find(world, "clusterroles", "cluster-admin"));
    assert_non_null(orch_world_find(world, "serviceaccounts", "default"));
    assert_non_null(orch_world_find(world, "configmaps", "kube-root-ca.crt"));
    assert_true(tree_has_text(orch_world_find(world, "services", "kubernetes"), "spec.clusterIP",
                              "10.96.0.1"));
}

static void test_what_was_written_is_read_and_in_the_cache(void **state)
{
    struct orch_world *world = *state;
    CLEANUP(json) json_t *body = NULL;
    assert_int_equal(orch_world_ask(world, REQUEST_CREATE, "configmaps", "default", "", "",
                                    "{'metadata':{'generateName':'c-'},'data':{'a':'b'}}", &body),
                     201);
    const char *name = object_name(body);
    const json_t *cached = orch_world_find(world, "configmaps", name);
    assert_string_equal(tree_text(cached, "metadata.resourceVersion"),
                        tree_text(body, "metadata.resourceVersion"));
    CLEANUP(json) json_t *read = NULL;
    assert_int_equal(
        orch_world_ask(world, REQUEST_GET, "configmaps", "default", name, "", NULL, &read), 200);
    assert_true(tree_equal(read, cached));
    assert_int_equal(
        orch_world_ask(world, REQUEST_GET, "configmaps", "default", "no", "", NULL, NULL), 404);
}

static void note_code(void *context, const struct registry_reply *reply)
{
    *(int *)context = reply->code;
}

static void test_a_dry_run_changes_nothing(void **state)
{
    struct orch_world *world = *state;
    CLEANUP(json) json_t *body = from_text("{'metadata':{'name':'dry'}}");
    CLEANUP(json) json_t *groups = json_array();
    const struct request request = {.verb = REQUEST_CREATE,
                                    .kind = kinds_find_storage(NULL, "configmaps"),
                                    .namespace = "default",
                                    .name = "",
                                    .subresource = "",
                                    .body = body,
                                    .field_manager = "t",
                                    .dry_run = true,
                                    .user = {.name = "t", .uid = "", .groups = groups}};
    uint64_t before = store_memory_revision(world->memory);
    int code = 0;
    registry_submit(world->registry, &request, note_code, &code);
    orch_world_settle(world);
    assert_int_equal(code, 201);
    assert_int_equal(store_memory_revision(world->memory), before);
    assert_null(orch_world_find(world, "configmaps", "dry"));
}

static void submit_patch(struct orch_world *world, const char *text, int *code)
{
    CLEANUP(json) json_t *body = from_text(text);
    CLEANUP(json) json_t *groups = json_array();
    const struct request request = {.verb = REQUEST_PATCH,
                                    .patch = REQUEST_PATCH_MERGE,
                                    .kind = kinds_find_storage(NULL, "configmaps"),
                                    .namespace = "default",
                                    .name = "c",
                                    .subresource = "",
                                    .body = body,
                                    .field_manager = "t",
                                    .user = {.name = "t", .uid = "", .groups = groups}};
    registry_submit(world->registry, &request, note_code, code);
}

static void test_patches_at_the_same_time_all_take_effect(void **state)
{
    struct orch_world *world = *state;
    int codes[4] = {0};
    assert_int_equal(orch_world_ask(world, REQUEST_CREATE, "configmaps", "default", "", "",
                                    "{'metadata':{'name':'c'}}", NULL),
                     201);
    submit_patch(world, "{'data':{'a':'1'}}", &codes[0]);
    submit_patch(world, "{'data':{'b':'2'}}", &codes[1]);
    submit_patch(world, "{'data':{'c':'3'}}", &codes[2]);
    submit_patch(world, "{'data':{'d':'4'}}", &codes[3]);
    orch_world_settle(world);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(codes[i], 200);
    }
    assert_json(json_object_get(orch_world_find(world, "configmaps", "c"), "data"),
                "{'a':'1','b':'2','c':'3','d':'4'}");
}

static void test_a_store_that_does_not_answer_is_a_timeout(void **state)
{
    struct orch_world *world = *state;
    store_memory_fail_commits(world->memory, ERR_TIMEOUT, 1, false);
    assert_int_equal(orch_world_ask(world, REQUEST_CREATE, "configmaps", "default", "", "",
                                    "{'metadata':{'name':'t'}}", NULL),
                     504);
    assert_null(orch_world_find(world, "configmaps", "t"));
}

static void test_a_lost_history_is_listed_again(void **state)
{
    struct orch_world *world = *state;
    int code = 0;
    assert_int_equal(orch_world_ask(world, REQUEST_CREATE, "configmaps", "default", "", "",
                                    "{'metadata':{'name':'c'}}", NULL),
                     201);
    submit_patch(world, "{'data':{'a':'1'}}", &code);
    for (int i = 0; i < 1; i++) {
        (void)store_memory_step(world->memory); /* read, and commit: the event is queued */
    }
    store_memory_lose_history(world->memory);
    orch_world_settle(world);
    assert_int_equal(code, 200);
    assert_json(json_object_get(orch_world_find(world, "configmaps", "c"), "data"), "{'a':'1'}");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_new_cluster_has_its_namespaces_roles_and_service),
        T(test_what_was_written_is_read_and_in_the_cache),
        T(test_a_dry_run_changes_nothing),
        T(test_patches_at_the_same_time_all_take_effect),
        T(test_a_store_that_does_not_answer_is_a_timeout),
        T(test_a_lost_history_is_listed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
