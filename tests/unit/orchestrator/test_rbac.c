#include "orchestrator/apiserver/rbac.h"
#include "tests/unit/orchestrator/cunit.h"

static struct cache *make_cache(void)
{
    struct cache *cache = cache_new(8);
    cache_put(cache, "clusterroles", "", "reader",
              from_text("{'metadata':{'name':'reader','resourceVersion':'1'},'rules':["
                        "{'apiGroups':[''],'resources':['pods','pods/log'],'verbs':['get','list']},"
                        "{'nonResourceURLs':['/metrics','/api/*'],'verbs':['get']}]}"),
              1);
    cache_put(cache, "roles", "a", "editor",
              from_text("{'metadata':{'name':'editor','namespace':'a','resourceVersion':'2'},"
                        "'rules':[{'apiGroups':['*'],'resources':['configmaps'],'verbs':['*'],"
                        "'resourceNames':['mine']}]}"),
              2);
    cache_put(cache, "clusterrolebindings", "", "r",
              from_text("{'metadata':{'name':'r','resourceVersion':'3'},'roleRef':{'kind':"
                        "'ClusterRole','name':'reader'},'subjects':[{'kind':'User','name':'ann'},"
                        "{'kind':'ServiceAccount','namespace':'a','name':'bot'}]}"),
              3);
    cache_put(cache, "rolebindings", "a", "e",
              from_text("{'metadata':{'name':'e','namespace':'a','resourceVersion':'4'},'roleRef':"
                        "{'kind':'Role','name':'editor'},'subjects':[{'kind':'Group','name':'dev'}"
                        "]}"),
              4);
    return cache;
}

static bool may(const struct cache *cache, const char *user, const char *group, const char *verb,
                const char *resource, const char *subresource, const char *namespace,
                const char *name)
{
    CLEANUP(json) json_t *groups = json_pack("[s]", group);
    const struct request_user who = {.name = user, .uid = "", .groups = groups};
    const struct rbac_question question = {.user = &who,
                                           .verb = verb,
                                           .path = *resource == '/' ? resource : "",
                                           .group = "",
                                           .resource = resource,
                                           .subresource = subresource,
                                           .namespace = namespace,
                                           .name = name};
    return rbac_allows(cache, &question);
}

static void test_roles_allow_what_they_say_and_no_more(void **state)
{
    (void)state;
    struct cache *cache = make_cache();
    assert_true(may(cache, "ann", "x", "get", "pods", "", "b", "p"));
    assert_true(may(cache, "ann", "x", "get", "pods", "log", "b", "p"));
    assert_false(may(cache, "ann", "x", "get", "pods", "exec", "b", "p"));
    assert_false(may(cache, "ann", "x", "delete", "pods", "", "b", "p"));
    assert_false(may(cache, "bob", "x", "get", "pods", "", "b", "p"));
    assert_true(may(cache, "system:serviceaccount:a:bot", "x", "list", "pods", "", "", ""));
    assert_true(may(cache, "ann", "x", "get", "/metrics", "", "", ""));
    assert_true(may(cache, "ann", "x", "get", "/api/v1", "", "", ""));
    assert_false(may(cache, "ann", "x", "get", "/secret", "", "", ""));
    cache_free(cache);
}

static void test_role_bindings_hold_in_their_namespace_and_for_named_objects(void **state)
{
    (void)state;
    struct cache *cache = make_cache();
    assert_true(may(cache, "cem", "dev", "update", "configmaps", "", "a", "mine"));
    assert_false(may(cache, "cem", "dev", "update", "configmaps", "", "a", "other"));
    assert_false(may(cache, "cem", "dev", "update", "configmaps", "", "b", "mine"));
    cache_free(cache);
}

static void test_masters_may_everything(void **state)
{
    (void)state;
    struct cache *cache = cache_new(8);
    assert_true(may(cache, "root", "system:masters", "delete", "nodes", "", "", "n"));
    cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles_allow_what_they_say_and_no_more),
        cmocka_unit_test(test_role_bindings_hold_in_their_namespace_and_for_named_objects),
        cmocka_unit_test(test_masters_may_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
