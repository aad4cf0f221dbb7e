/* test_proxy.c - from Services, EndpointSlices and Nodes to rules and routes. */
#include "tests/unit/orchestrator/cunit.h"

#include "orchestrator/cache/cache.h"
#include "orchestrator/proxy/pod_peers.h"
#include "orchestrator/proxy/service_rules.h"

static const struct service_rules_settings settings = {
    .node_name = "n1", .cluster_cidr = "10.244.0.0/16", .service_cidr = "10.96.0.0/16"};

static void put(struct cache *cache, const char *storage, const char *text)
{
    json_t *object = from_text(text);
    char namespace[64];
    char name[64];
    (void)snprintf(namespace, sizeof(namespace), "%s", object_namespace(object));
    (void)snprintf(name, sizeof(name), "%s", object_name(object));
    cache_put(cache, storage, namespace, name, object, cache_revision(cache) + 1);
}

#define SERVICE(name, ip, more)                                                                    \
    "{'metadata':{'namespace':'default','name':'" name "'},'spec':{'clusterIP':'" ip               \
    "','ports':[{'name':'http','port':80,'protocol':'TCP'}]" more "}}"
#define ENDPOINT(ip, node, conditions)                                                             \
    "{'addresses':['" ip "'],'nodeName':'" node "','conditions':{" conditions "}}"
#define SLICE(name, service, endpoints)                                                            \
    "{'metadata':{'namespace':'default','name':'" name                                             \
    "','labels':{'kubernetes.io/service-name':'" service                                           \
    "'}},'addressType':'IPv4','ports':[{'name':'http','port':8080,'protocol':'TCP'}],"             \
    "'endpoints':[" endpoints "]}"
#define READY "'ready':true,'serving':true,'terminating':false"
#define ENDING "'ready':false,'serving':true,'terminating':true"
#define TWO                                                                                        \
    SLICE("web-1", "web",                                                                          \
          ENDPOINT("10.244.0.2", "n1", READY) "," ENDPOINT("10.244.1.2", "n2", READY))

static int setup(void **state)
{
    *state = cache_new(1);
    return 0;
}

static int teardown(void **state)
{
    cache_free(*state);
    return 0;
}

/* The text of the whole table. */
static char *table_text(const struct cache *cache)
{
    struct ruleset rules;
    CLEANUP(buf) struct buf text = BUF_INIT;
    service_rules_compute(cache, &settings, &rules);
    ruleset_write_all(&text, "", &rules);
    ruleset_deinit(&rules);
    return mem_strdup(buf_text(&text));
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in:\n%s", part, text);
    }
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("'%s' is in:\n%s", part, text);
    }
}

static void test_a_service_is_balanced_over_its_ready_endpoints(void **state)
{
    put(*state, "services", SERVICE("web", "10.96.0.10", ""));
    put(*state, "endpointslices", TWO);
    CLEANUP(free) char *text = table_text(*state);
    assert_has(text, "cluster-ips { 10.96.0.10 }");
    assert_has(text, "service-ips { 10.96.0.10 . tcp . 80 : goto service-");
    assert_has(text, "numgen random mod 2 vmap { 0 : goto endpoint-");
    assert_has(text, "meta l4proto tcp dnat to 10.244.0.2:8080");
    assert_has(text, "meta l4proto tcp dnat to 10.244.1.2:8080");
    assert_has(text, "ip daddr 10.96.0.10 ip saddr != 10.244.0.0/16 jump mark-for-masquerade");
    assert_has(text, "ip saddr 10.244.0.2 jump mark-for-masquerade"); /* hairpin */
    assert_lacks(text, "node-ports");
}

static void test_a_service_without_endpoints_is_rejected(void **state)
{
    put(*state, "services",
        SERVICE("web", "10.96.0.10", "")); /* no slice at all, and one with none that is ready: */
    put(*state, "services", SERVICE("late", "10.96.0.11", ",'externalIPs':['192.0.2.1']"));
    put(*state, "endpointslices",
        SLICE("l", "late", ENDPOINT("10.244.0.3", "n1", "'ready':false")));
    CLEANUP(free) char *text = table_text(*state);
    assert_has(text, "no-endpoint-services { 10.96.0.10 . tcp . 80 : goto reject-chain");
    assert_has(text, "no-endpoint-services { 10.96.0.11 . tcp . 80 : goto reject-chain");
    assert_has(text, "no-endpoint-services { 192.0.2.1 . tcp . 80 : goto reject-chain");
    assert_lacks(text, "dnat");
}

static void test_ending_endpoints_serve_only_when_no_other_does(void **state)
{
    put(*state, "services", SERVICE("web", "10.96.0.10", ""));
    put(*state, "endpointslices",
        SLICE("a", "web",
              ENDPOINT("10.244.0.2", "n1", ENDING) "," ENDPOINT("10.244.1.2", "n2", READY)));
    CLEANUP(free) char *text = table_text(*state);
    assert_lacks(text, "10.244.0.2");
    put(*state, "endpointslices", SLICE("a", "web", ENDPOINT("10.244.0.2", "n1", ENDING)));
    CLEANUP(free) char *later = table_text(*state);
    assert_has(later, "dnat to 10.244.0.2:8080");
}

static void test_headless_and_external_name_services_have_no_rules(void **state)
{
    put(*state, "services", SERVICE("a", "None", ""));
    put(*state, "services", SERVICE("b", "", ",'type':'ExternalName','externalName':'x.y'"));
    struct ruleset rules;
    service_rules_compute(*state, &settings, &rules);
    assert_int_equal(rules.parts[RULESET_CHAIN].count, 0);
    assert_int_equal(rules.parts[RULESET_ELEMENT].count, 0);
    ruleset_deinit(&rules);
}

static void test_a_node_port_is_answered_through_the_node(void **state)
{
    put(*state, "services",
        "{'metadata':{'namespace':'default','name':'web'},'spec':{'type':'NodePort','clusterIP':"
        "'10.96.0.10','ports':[{'name':'http','port':80,'nodePort':30080}]}}");
    put(*state, "endpointslices", TWO);
    CLEANUP(free) char *text = table_text(*state);
    assert_has(text, "node-ports { tcp . 30080 : goto external-");
    assert_has(text, "http jump mark-for-masquerade\n");
}

static void test_the_policy_local_keeps_to_this_node(void **state)
{
    put(*state, "services",
        "{'metadata':{'namespace':'default','name':'web'},'spec':{'type':'NodePort','clusterIP':"
        "'10.96.0.10','externalTrafficPolicy':'Local','internalTrafficPolicy':'Local','ports':[{"
        "'name':'http','port':80,'nodePort':30080}]}}");
    put(*state, "endpointslices", TWO);
    CLEANUP(free) char *text = table_text(*state);
    assert_has(text, "service-ips { 10.96.0.10 . tcp . 80 : goto local-");
    assert_has(text, "fib saddr type local goto service-"); /* what is not of the outside */
    assert_has(text, "http numgen random mod 1 vmap");
    put(*state, "endpointslices", SLICE("web-1", "web", ENDPOINT("10.244.1.2", "n2", READY)));
    CLEANUP(free) char *later = table_text(*state);
    assert_has(later, "http drop\n"); /* somebody serves, but not here */
}

static void test_session_affinity_remembers_by_address(void **state)
{
    put(*state, "services",
        SERVICE("web", "10.96.0.10",
                ",'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{"
                "'timeoutSeconds':90}}"));
    put(*state, "endpointslices", TWO);
    CLEANUP(free) char *text = table_text(*state);
    assert_has(text, "flags dynamic,timeout; timeout 90s;");
    assert_has(text, "ip saddr @affinity-90-");
    assert_has(text, "update @affinity-90-");
}

static void test_a_change_touches_only_what_it_concerns(void **state)
{
    put(*state, "services", SERVICE("web", "10.96.0.10", ""));
    put(*state, "services", SERVICE("other", "10.96.0.11", ""));
    put(*state, "endpointslices", TWO);
    put(*state, "endpointslices", SLICE("o", "other", ENDPOINT("10.244.0.9", "n1", READY)));
    struct ruleset before;
    struct ruleset after;
    CLEANUP(buf) struct buf text = BUF_INIT;
    service_rules_compute(*state, &settings, &before);
    put(*state, "endpointslices", SLICE("web-1", "web", ENDPOINT("10.244.1.2", "n2", READY)));
    service_rules_compute(*state, &settings, &after);
    ruleset_write_change(&text, &before, &after);
    assert_has(buf_text(&text), "delete chain ip coracle-proxy endpoint-");
    assert_has(buf_text(&text), "numgen random mod 1");
    assert_lacks(buf_text(&text), "other");
    assert_lacks(buf_text(&text), "element");
    buf_clear(&text);
    ruleset_write_change(&text, &after, &after);
    assert_int_equal(buf_size(&text), 0);
    ruleset_deinit(&before);
    ruleset_deinit(&after);
}

static void test_hostile_addresses_never_become_rules(void **state)
{
    put(*state, "services", SERVICE("web", "10.96.0.10; flush ruleset", ""));
    put(*state, "services", SERVICE("api", "10.96.0.11", ",'externalIPs':['1.2.3.4 } flush']"));
    put(*state, "endpointslices",
        SLICE("a", "api",
              ENDPOINT("10.244.0.2 drop", "n1", READY) "," ENDPOINT("010.1.1.1", "n1", READY)));
    CLEANUP(free) char *text = table_text(*state);
    assert_lacks(text, "flush");
    assert_lacks(text, "drop");
    assert_lacks(text, "010");
}

static void test_long_names_stay_within_the_kernels_limit_and_apart(void **state)
{
    char text[1024];
    for (int i = 0; i < 2; i++) {
        (void)snprintf(text, sizeof(text),
                       "{'metadata':{'namespace':'n%062d','name':'s%061d%d'},'spec':{'clusterIP':"
                       "'10.96.0.%d','ports':[{'name':'http','port':80}]}}",
                       0, 0, i, 10 + i);
        json_t *service = from_text(text);
        cache_put(*state, "services", object_namespace(service), object_name(service), service,
                  cache_revision(*state) + 1);
        (void)snprintf(
            text, sizeof(text),
            "{'metadata':{'namespace':'n%062d','name':'e%d','labels':{"
            "'kubernetes.io/service-name':'s%061d%d'}},'addressType':'IPv4','ports':[{"
            "'name':'http','port':65535}],'endpoints':[{'addresses':['10.244.100.%d']}]}",
            0, i, 0, i, 100 + i);
        json_t *slice = from_text(text);
        cache_put(*state, "endpointslices", object_namespace(slice), object_name(slice), slice,
                  cache_revision(*state) + 1);
    }
    struct ruleset rules;
    service_rules_compute(*state, &settings, &rules);
    assert_int_equal(rules.parts[RULESET_CHAIN].count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(strlen(rules.parts[RULESET_CHAIN].items[i].name) <= RULESET_NAME_SIZE_MAX);
    }
    ruleset_deinit(&rules);
}

#define NODE(name, ip, range)                                                                      \
    "{'metadata':{'name':'" name "'},'spec':{'podCIDR':'" range                                    \
    "'},'status':{'addresses':[{'type':'Hostname','address':'x'},{'type':'InternalIP','address':"  \
    "'" ip "'}]}}"

static void test_other_nodes_with_a_range_are_peers(void **state)
{
    put(*state, "nodes", NODE("n1", "192.0.2.1", "10.244.0.0/24"));
    put(*state, "nodes", NODE("n3", "192.0.2.3", "10.244.2.0/24"));
    put(*state, "nodes", NODE("n2", "192.0.2.2", "10.244.1.0/24"));
    put(*state, "nodes", NODE("n4", "192.0.2.4", ""));
    put(*state, "nodes", NODE("n5", "none", "10.244.4.0/24"));
    struct pod_peers peers;
    pod_peers_collect(&peers, *state, "n1", 0xc0000201);
    assert_int_equal(peers.count, 2);
    assert_int_equal(peers.items[0].range, 0x0af40100);
    assert_int_equal(peers.items[0].bits, 24);
    assert_int_equal(peers.items[0].node, 0xc0000202);
    assert_int_equal(peers.items[1].range, 0x0af40200);
    assert_true(pod_peers_equal(&peers, &peers));
    pod_peers_deinit(&peers);
}

static void test_ranges_and_addresses_are_read_strictly(void **state)
{
    (void)state;
    uint32_t address = 0;
    uint8_t bits = 0;
    assert_true(address_parse_range("10.244.1.9/24", &address, &bits));
    assert_int_equal(address, 0x0af40100);
    assert_true(address_parse_range("0.0.0.0/0", &address, &bits));
    assert_false(address_parse_range("10.244.1.0", &address, &bits));
    assert_false(address_parse_range("10.244.1.0/33", &address, &bits));
    assert_false(address_parse_range("10.244.1.0/24 x", &address, &bits));
    assert_false(address_parse("10.244.1.0/24", &address));
    assert_false(address_parse("10.244.256.0", &address));
    assert_false(address_parse(NULL, &address));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_service_is_balanced_over_its_ready_endpoints),
        TEST(test_a_service_without_endpoints_is_rejected),
        TEST(test_ending_endpoints_serve_only_when_no_other_does),
        TEST(test_headless_and_external_name_services_have_no_rules),
        TEST(test_a_node_port_is_answered_through_the_node),
        TEST(test_the_policy_local_keeps_to_this_node),
        TEST(test_session_affinity_remembers_by_address),
        TEST(test_a_change_touches_only_what_it_concerns),
        TEST(test_hostile_addresses_never_become_rules),
        TEST(test_long_names_stay_within_the_kernels_limit_and_apart),
        TEST(test_other_nodes_with_a_range_are_peers),
        TEST(test_ranges_and_addresses_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
