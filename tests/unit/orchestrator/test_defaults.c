#include "orchestrator/objects/defaults.h"
#include "tests/unit/orchestrator/cunit.h"

static json_t *defaulted(const char *storage, const char *text)
{
    json_t *object = from_text(text);
    defaults_apply(object, kinds_find_storage(NULL, storage));
    return object;
}

static void test_a_deployment_gets_its_strategy_and_its_pods_theirs(void **state)
{
    (void)state;
    CLEANUP(json)
    json_t *object =
        defaulted("deployments",
                  "{'spec':{'template':{'spec':{'containers':[{'name':'a','image':'x',"
                  "'ports':[{'containerPort':80}],'livenessProbe':{'httpGet':{'port':1}}}]}}}}");
    assert_int_equal(tree_int(object, "spec.replicas", 0), 1);
    assert_int_equal(tree_int(object, "spec.progressDeadlineSeconds", 0), 600);
    assert_true(tree_has_text(object, "spec.strategy.type", "RollingUpdate"));
    assert_true(tree_has_text(object, "spec.strategy.rollingUpdate.maxSurge", "25%"));
    const json_t *spec = tree_find(object, "spec.template.spec");
    assert_true(tree_has_text(spec, "restartPolicy", "Always"));
    assert_int_equal(tree_int(spec, "terminationGracePeriodSeconds", 0), 30);
    const json_t *container = json_array_get(json_object_get(spec, "containers"), 0);
    assert_true(tree_has_text(container, "imagePullPolicy", "Always"));
    assert_true(tree_has_text(container, "livenessProbe.httpGet.path", "/"));
    assert_int_equal(tree_int(container, "livenessProbe.periodSeconds", 0), 10);
    const json_t *port = json_array_get(json_object_get(container, "ports"), 0);
    assert_true(tree_has_text(port, "protocol", "TCP"));
    assert_null(json_object_get(container, "readinessProbe"));
}

static void test_defaults_are_idempotent_and_keep_what_is_there(void **state)
{
    (void)state;
    CLEANUP(json)
    json_t *object = defaulted(
        "deployments", "{'spec':{'replicas':0,'strategy':{'type':'Recreate'},'template':{'spec':"
                       "{'containers':[{'name':'a','image':'x:1'}]}}}}");
    assert_int_equal(tree_int(object, "spec.replicas", 5), 0);
    assert_null(tree_find(object, "spec.strategy.rollingUpdate"));
    CLEANUP(json) json_t *copy = json_deep_copy(object);
    defaults_apply(copy, kinds_find_storage(NULL, "deployments"));
    assert_true(tree_equal(copy, object));
}

static void test_the_pull_policy_depends_on_the_tag(void **state)
{
    (void)state;
    static const struct {
        const char *image;
        const char *policy;
    } images[] = {{"x", "Always"},
                  {"x:latest", "Always"},
                  {"x:1", "IfNotPresent"},
                  {"host:5000/x", "Always"},
                  {"host:5000/x:1", "IfNotPresent"},
                  {"x@sha256:00", "IfNotPresent"}};
    for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
        CLEANUP(json)
        json_t *object =
            json_pack("{s:{s:[{s:s}]}}", "spec", "containers", "image", images[i].image);
        defaults_apply(object, kinds_find_storage(NULL, "pods"));
        const json_t *container = json_array_get(tree_find(object, "spec.containers"), 0);
        assert_true(tree_has_text(container, "imagePullPolicy", images[i].policy));
    }
}

static void test_requests_follow_limits_and_host_ports_container_ports(void **state)
{
    (void)state;
    CLEANUP(json)
    json_t *object =
        defaulted("pods", "{'spec':{'hostNetwork':true,'containers':[{'name':'a','image':'x',"
                          "'ports':[{'containerPort':80}],'resources':{'limits':{'cpu':'1'}}}]}}");
    const json_t *container = json_array_get(tree_find(object, "spec.containers"), 0);
    assert_true(tree_has_text(container, "resources.requests.cpu", "1"));
    assert_int_equal(
        tree_int(json_array_get(json_object_get(container, "ports"), 0), "hostPort", 0), 80);
}

static void test_services_and_secrets_get_theirs(void **state)
{
    (void)state;
    CLEANUP(json)
    json_t *service = defaulted("services", "{'spec':{'type':'NodePort','ports':[{'port':80}]}}");
    const json_t *port = json_array_get(tree_find(service, "spec.ports"), 0);
    assert_int_equal(tree_int(port, "targetPort", 0), 80);
    assert_true(tree_has_text(service, "spec.externalTrafficPolicy", "Cluster"));
    assert_true(tree_has_text(service, "spec.sessionAffinity", "None"));
    CLEANUP(json) json_t *secret = defaulted("secrets", "{'stringData':{'a':'hello'}}");
    assert_json(secret, "{'data':{'a':'aGVsbG8='},'type':'Opaque'}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_deployment_gets_its_strategy_and_its_pods_theirs),
        cmocka_unit_test(test_defaults_are_idempotent_and_keep_what_is_there),
        cmocka_unit_test(test_the_pull_policy_depends_on_the_tag),
        cmocka_unit_test(test_requests_follow_limits_and_host_ports_container_ports),
        cmocka_unit_test(test_services_and_secrets_get_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
