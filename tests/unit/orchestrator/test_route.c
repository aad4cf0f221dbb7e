#include "orchestrator/apiserver/route.h"
#include "tests/unit/orchestrator/cunit.h"

static void assert_route(const char *target, enum route_type type, const char *resource,
                         const char *namespace, const char *name, const char *subresource)
{
    struct route route;
    route_parse(&route, bytes_from_text(target), NULL);
    assert_int_equal(route.type, type);
    assert_string_equal(route.kind == NULL ? "" : route.kind->resource, resource);
    assert_string_equal(route.namespace, namespace);
    assert_string_equal(route.name, name);
    assert_string_equal(route.subresource, subresource);
    route_deinit(&route);
}

static void test_the_paths_of_kubectl_are_understood(void **state)
{
    (void)state;
    assert_route("/api/v1/namespaces/default/pods?limit=500", ROUTE_RESOURCE, "pods", "default", "",
                 "");
    assert_route("/api/v1/pods", ROUTE_RESOURCE, "pods", "", "", "");
    assert_route("/apis/apps/v1/namespaces/ns/deployments/web/scale", ROUTE_RESOURCE, "deployments",
                 "ns", "web", "scale");
    assert_route("/api/v1/namespaces/foo", ROUTE_RESOURCE, "namespaces", "", "foo", "");
    assert_route("/api/v1/namespaces/foo/finalize", ROUTE_RESOURCE, "namespaces", "", "foo",
                 "finalize");
    assert_route("/api/v1/nodes/n%31/status", ROUTE_RESOURCE, "nodes", "", "n1", "status");
    assert_route("/api/v1/namespaces/d/serviceaccounts/default/token", ROUTE_RESOURCE,
                 "serviceaccounts", "d", "default", "token");
    assert_route("/api", ROUTE_API_VERSIONS, "", "", "", "");
    assert_route("/apis?timeout=32s", ROUTE_API_GROUPS, "", "", "", "");
    assert_route("/apis/apps/v1", ROUTE_API_RESOURCES, "", "", "", "");
    assert_route("/openapi/v3/apis/apps/v1?hash=A", ROUTE_OPENAPI, "", "", "", "");
    assert_route("/openapi/v2", ROUTE_UNKNOWN, "", "", "", "");
    assert_route("/readyz", ROUTE_HEALTH, "", "", "readyz", "");
}

static void test_what_makes_no_sense_is_unknown(void **state)
{
    (void)state;
    assert_route("/apis/apps/v1/namespaces/d/gadgets", ROUTE_UNKNOWN, "", "d", "", "");
    assert_route("/api/v1/namespaces/d/nodes/n", ROUTE_UNKNOWN, "nodes", "d", "n", "");
    assert_route("/", ROUTE_UNKNOWN, "", "", "", "");
    assert_route("/api/v1/pods/%zz", ROUTE_UNKNOWN, "", "", "", "");
    assert_route("/api/v1/pods/%00", ROUTE_UNKNOWN, "", "", "", "");
    assert_route("/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r", ROUTE_UNKNOWN, "", "", "", "");
}

static void test_queries_are_decoded_and_may_repeat(void **state)
{
    (void)state;
    struct route route;
    route_parse(&route,
                bytes_from_text("/api/v1/pods?fieldSelector=metadata.name%3Dx&command=a&command=b+c"
                                "&watch=true&limit=7&bad=%z&empty="),
                NULL);
    assert_string_equal(route_query(&route, "fieldSelector"), "metadata.name=x");
    assert_json(json_object_get(route.query, "command"), "['a','b c']");
    assert_true(route_query_bool(&route, "watch"));
    assert_int_equal(route_query_int(&route, "limit", 0), 7);
    assert_int_equal(route_query_int(&route, "empty", 3), 3);
    assert_null(route_query(&route, "bad"));
    route_deinit(&route);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_paths_of_kubectl_are_understood),
        cmocka_unit_test(test_what_makes_no_sense_is_unknown),
        cmocka_unit_test(test_queries_are_decoded_and_may_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
