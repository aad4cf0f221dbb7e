/* test_dns.c - questions on the wire, answers on the wire. */
#include "tests/unit/orchestrator/cunit.h"

#include "orchestrator/dns/registration.h"
#include "orchestrator/dns/zone.h"

struct world {
    struct cache *cache;
    struct zone zone;
};

static void put(struct world *world, const char *storage, const char *text)
{
    json_t *object = from_text(text);
    cache_put(world->cache, storage, object_namespace(object), object_name(object), object,
              cache_revision(world->cache) + 1);
}

#define SLICE(name, service, endpoints)                                                            \
    "{'metadata':{'namespace':'shop','name':'" name                                                \
    "','labels':{'kubernetes.io/service-name':'" service                                           \
    "'}},'addressType':'IPv4','ports':[{'name':'sql','port':5432,'protocol':'TCP'}],'endpoints':"  \
    "[" endpoints "]}"

static int setup(void **state)
{
    static const struct zone_settings settings = {.domain = "cluster.local",
                                                  .ranges = {{0x0af40000, 16}, {0x0a600000, 16}}};
    struct world *world = mem_zalloc(sizeof(*world));
    world->cache = cache_new(1);
    put(world, "services",
        "{'metadata':{'namespace':'shop','name':'web'},'spec':{'clusterIP':'10.96.0.7','ports':[{"
        "'name':'http','port':80,'protocol':'TCP'},{'name':'dns','port':53,'protocol':'UDP'}]}}");
    put(world, "services",
        "{'metadata':{'namespace':'shop','name':'db'},'spec':{'clusterIP':'None'}}");
    put(world, "endpointslices",
        SLICE("db-1", "db",
              "{'addresses':['10.244.0.5'],'hostname':'db-0'},{'addresses':['10.244.1.6']},"
              "{'addresses':['10.244.1.7'],'conditions':{'ready':false}}"));
    put(world, "services",
        "{'metadata':{'namespace':'shop','name':'out'},'spec':{'type':'ExternalName',"
        "'externalName':'Example.org.'}}");
    put(world, "services",
        "{'metadata':{'namespace':'shop','name':'alias'},'spec':{'type':'ExternalName',"
        "'externalName':'web.shop.svc.cluster.local'}}");
    zone_init(&world->zone, world->cache, &settings);
    zone_refresh(&world->zone);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    zone_deinit(&world->zone);
    cache_free(world->cache);
    mem_free(world);
    return 0;
}

struct result {
    enum zone_verdict verdict;
    unsigned code;
    unsigned answers;
    bool is_truncated;
    struct buf reply;
    char target[DNS_NAME_TEXT_SIZE];
};

static void ask_limited(struct world *world, const char *name, uint16_t type, size_t limit,
                        struct result *result)
{
    struct buf message = BUF_INIT;
    struct dns_query query;
    *result = (struct result){0};
    assert_true(dns_write_query(&message, 77, name, type));
    assert_int_equal(dns_query_parse(buf_bytes(&message), &query), 0);
    result->verdict = zone_answer(&world->zone, &query, limit, &result->reply, result->target);
    struct bytes reply = buf_bytes(&result->reply);
    if (result->verdict == ZONE_ANSWERED) {
        assert_true(reply.size >= DNS_HEADER_SIZE);
        assert_int_equal(reply.data[1], 77);
        result->is_truncated = (reply.data[2] & 2) != 0;
        result->code = reply.data[3] & 15;
        result->answers = (unsigned)(reply.data[6] << 8 | reply.data[7]);
    }
    buf_deinit(&message);
}

static void expect(struct world *world, const char *name, uint16_t type, unsigned code,
                   unsigned answers)
{
    struct result result;
    ask_limited(world, name, type, DNS_TCP_SIZE_MAX, &result);
    if (result.verdict != ZONE_ANSWERED || result.code != code || result.answers != answers) {
        fail_msg("%s type %u: verdict %d, code %u, %u answers", name, type, (int)result.verdict,
                 result.code, result.answers);
    }
    buf_deinit(&result.reply);
}

static bool reply_has(const struct result *result, const void *data, size_t size)
{
    struct bytes reply = buf_bytes(&result->reply);
    return memmem(reply.data, reply.size, data, size) != NULL;
}

static void test_a_service_has_its_address(void **state)
{
    struct result result;
    ask_limited(*state, "WEB.shop.svc.Cluster.local", DNS_A, 512, &result);
    assert_int_equal(result.answers, 1);
    assert_true(reply_has(&result, "\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x60\x00\x07", 14));
    /* the question comes back as it was asked */
    assert_true(reply_has(&result,
                          "\x03WEB\x04shop\x03svc\x07"
                          "Cluster\x05local\x00",
                          28));
    buf_deinit(&result.reply);
    expect(*state, "web.shop.svc.cluster.local", DNS_AAAA, DNS_NOERROR, 0);
}

static void test_what_does_not_exist_is_denied_and_what_is_empty_is_not(void **state)
{
    expect(*state, "nobody.shop.svc.cluster.local", DNS_A, DNS_NXDOMAIN, 0);
    expect(*state, "web.nowhere.svc.cluster.local", DNS_A, DNS_NXDOMAIN, 0);
    expect(*state, "a.b.c.web.shop.svc.cluster.local", DNS_A, DNS_NXDOMAIN, 0);
    expect(*state, "x.web.shop.svc.cluster.local", DNS_A, DNS_NXDOMAIN, 0);
    expect(*state, "other.cluster.local", DNS_A, DNS_NXDOMAIN, 0);
    expect(*state, "nowhere.svc.cluster.local", DNS_A, DNS_NXDOMAIN, 0);
    expect(*state, "shop.svc.cluster.local", DNS_A, DNS_NOERROR, 0);
    expect(*state, "svc.cluster.local", DNS_A, DNS_NOERROR, 0);
    expect(*state, "cluster.local", DNS_A, DNS_NOERROR, 0);
    expect(*state, "cluster.local", DNS_SOA, DNS_NOERROR, 1);
    expect(*state, "dns-version.cluster.local", DNS_TXT, DNS_NOERROR, 1);
}

static void test_a_headless_service_has_its_ready_endpoints(void **state)
{
    expect(*state, "db.shop.svc.cluster.local", DNS_A, DNS_NOERROR, 2);
    expect(*state, "db-0.db.shop.svc.cluster.local", DNS_A, DNS_NOERROR, 1);
    expect(*state, "10-244-1-6.db.shop.svc.cluster.local", DNS_A, DNS_NOERROR, 1);
    expect(*state, "10-244-1-7.db.shop.svc.cluster.local", DNS_A, DNS_NXDOMAIN, 0);
}

static void test_named_ports_have_server_records(void **state)
{
    struct result result;
    ask_limited(*state, "_http._tcp.web.shop.svc.cluster.local", DNS_SRV, 1232, &result);
    assert_int_equal(result.answers, 1);
    assert_true(reply_has(&result, "\x00\x00\x00\x64\x00\x50\x03web\x04shop", 15));
    buf_deinit(&result.reply);
    expect(*state, "_dns._udp.web.shop.svc.cluster.local", DNS_SRV, DNS_NOERROR, 1);
    expect(*state, "_dns._tcp.web.shop.svc.cluster.local", DNS_SRV, DNS_NXDOMAIN, 0);
    expect(*state, "_http._tcp.web.shop.svc.cluster.local", DNS_A, DNS_NOERROR, 0);
    expect(*state, "_sql._tcp.db.shop.svc.cluster.local", DNS_SRV, DNS_NOERROR, 2);
    expect(*state, "web.shop.svc.cluster.local", DNS_SRV, DNS_NOERROR, 2);
}

static void test_addresses_have_names(void **state)
{
    struct result result;
    ask_limited(*state, "7.0.96.10.in-addr.arpa", DNS_PTR, 512, &result);
    assert_int_equal(result.answers, 1);
    assert_true(reply_has(&result, "\x03web\x04shop\x03svc", 13));
    buf_deinit(&result.reply);
    ask_limited(*state, "5.0.244.10.in-addr.arpa", DNS_PTR, 512, &result);
    assert_true(reply_has(&result,
                          "\x04"
                          "db-0\x02"
                          "db\x04shop",
                          13));
    buf_deinit(&result.reply);
    expect(*state, "9.9.96.10.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN, 0); /* ours, and nobody's */
    ask_limited(*state, "1.1.1.1.in-addr.arpa", DNS_PTR, 512, &result);
    assert_int_equal(result.verdict, ZONE_FORWARD);
}

static void test_pod_names_are_their_addresses(void **state)
{
    expect(*state, "10-244-9-9.shop.pod.cluster.local", DNS_A, DNS_NOERROR, 1);
    expect(*state, "10-244-9-999.shop.pod.cluster.local", DNS_A, DNS_NXDOMAIN, 0);
    expect(*state, "web.shop.pod.cluster.local", DNS_A, DNS_NXDOMAIN, 0);
}

static void test_an_external_name_is_an_alias(void **state)
{
    struct result result;
    ask_limited(*state, "out.shop.svc.cluster.local", DNS_A, 512, &result);
    assert_int_equal(result.verdict, ZONE_CHASE);
    assert_string_equal(result.target, "example.org");
    expect(*state, "out.shop.svc.cluster.local", DNS_CNAME, DNS_NOERROR, 1);
    expect(*state, "alias.shop.svc.cluster.local", DNS_A, DNS_NOERROR, 2);
}

/* An upstream's answer with a compressed alias and an address behind it. */
static void test_a_chased_answer_stands_by_itself(void **state)
{
    (void)state;
    static const uint8_t upstream[] =
        "\x00\x4d\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00"
        "\x07"
        "example\x03org\x00\x00\x01\x00\x01"
        "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01"
        "a\xc0\x0c"
        "\xc0\x29\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01";
    struct buf message = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct dns_query query;
    assert_true(dns_write_query(&message, 77, "out.shop.svc.cluster.local", DNS_A));
    assert_int_equal(dns_query_parse(buf_bytes(&message), &query), 0);
    zone_finish_chase(&query, "example.org", bytes_make(upstream, sizeof(upstream) - 1), 512,
                      &reply);
    struct result result = {.reply = reply};
    assert_int_equal(reply.data[7], 3);
    assert_true(reply_has(&result,
                          "\x01"
                          "a\x07"
                          "example\x03org\x00\x00\x01\x00\x01",
                          19));
    buf_clear(&reply);
    zone_finish_chase(&query, "example.org", bytes_make(NULL, 0), 512, &reply);
    assert_int_equal(reply.data[3] & 15, DNS_SERVFAIL);
    buf_deinit(&reply);
    buf_deinit(&message);
}

static void test_names_outside_are_passed_on(void **state)
{
    struct result result;
    static const char *const names[] = {"example.org", "notcluster.local", "local", "."};
    for (size_t i = 0; i < 4; i++) {
        ask_limited(*state, names[i], DNS_A, 512, &result);
        assert_int_equal(result.verdict, ZONE_FORWARD);
    }
}

static void test_what_does_not_fit_is_said_to_be_truncated(void **state)
{
    struct world *world = *state;
    struct buf endpoints = BUF_INIT;
    for (unsigned i = 0; i < 100; i++) {
        buf_append_format(&endpoints, "%s{'addresses':['10.244.7.%u']}", i == 0 ? "" : ",", i);
    }
    char *text = mem_printf(SLICE("many-1", "many", "%s"), buf_text(&endpoints));
    put(world, "endpointslices", text);
    put(world, "services",
        "{'metadata':{'namespace':'shop','name':'many'},'spec':{'clusterIP':'None'}}");
    zone_refresh(&world->zone);
    struct result result;
    ask_limited(world, "many.shop.svc.cluster.local", DNS_A, 512, &result);
    assert_true(result.is_truncated);
    assert_true(buf_size(&result.reply) <= 512);
    assert_true(result.answers > 20);
    buf_deinit(&result.reply);
    expect(world, "many.shop.svc.cluster.local", DNS_A, DNS_NOERROR, 100);
    mem_free(text);
    buf_deinit(&endpoints);
}

static int parse(const char *data, size_t size)
{
    struct dns_query query;
    return dns_query_parse(bytes_make(data, size), &query);
}
#define PARSE(text) parse(text, sizeof(text) - 1)

static void test_bad_questions_get_their_code(void **state)
{
    (void)state;
    assert_int_equal(PARSE("\0\1\1\0\0\1\0\0\0\0\0"), ERR_MALFORMED); /* shorter than a header */
    assert_int_equal(PARSE("\0\1\x81\0\0\1\0\0\0\0\0\0\0\0\1\0\1"), ERR_MALFORMED); /* an answer */
    assert_int_equal(PARSE("\0\1\x10\0\0\1\0\0\0\0\0\0\0\0\1\0\1"), DNS_NOTIMP);
    assert_int_equal(PARSE("\0\1\1\0\0\2\0\0\0\0\0\0\0\0\1\0\1"), DNS_FORMERR);
    assert_int_equal(PARSE("\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"), DNS_FORMERR); /* a loop */
    assert_int_equal(PARSE("\0\1\1\0\0\1\0\0\0\0\0\0\0\0\1\0\3"), DNS_REFUSED);
    assert_int_equal(PARSE("\0\1\1\0\0\1\0\0\0\0\0\1\0\0\1\0\1\0\0\x29\4\xd0\0\0\0\0\0\0"), 0);
    assert_int_equal(PARSE("\0\1\1\0\0\1\0\0\0\0\0\1\0\0\1\0\1\0\0\x29\4\xd0\0\1\0\0\0\0"),
                     DNS_BADVERS);
}

static void test_names_go_to_the_wire_and_back(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "a.b-c._d", "odd\\046label.x", ""};
    for (size_t i = 0; i < 4; i++) {
        struct buf wire = BUF_INIT;
        char text[DNS_NAME_TEXT_SIZE];
        size_t offset = 0;
        assert_true(dns_name_write(&wire, good[i]));
        assert_int_equal(dns_name_read(buf_bytes(&wire), &offset, text), 0);
        assert_string_equal(text, good[i]);
        assert_int_equal(offset, buf_size(&wire));
        buf_deinit(&wire);
    }
    char label[80];
    char name[400] = "";
    struct buf wire = BUF_INIT;
    (void)snprintf(label, sizeof(label), "%064d", 0);
    assert_false(dns_name_write(&wire, label));
    assert_false(dns_name_write(&wire, "a..b"));
    assert_false(dns_name_write(&wire, ".a"));
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name + strlen(name), sizeof(name) - strlen(name), "%063d.", i);
    }
    assert_false(dns_name_write(&wire, name)); /* 4 * 64 and the root: one too many */
    name[strlen(name) - 3] = '\0';
    assert_true(dns_name_write(&wire, name));
    assert_int_equal(buf_size(&wire), 255);
    buf_deinit(&wire);
}

static void test_the_node_registers_itself_step_by_step(void **state)
{
    struct world *world = *state;
    const struct registration registration = {
        .node_name = "n1", .node_ip = "192.0.2.1", .port = 53, .cluster_dns = "10.96.0.10"};
    for (int step = 0; step < 2; step++) {
        char *path = NULL;
        json_t *object = registration_next(&registration, world->cache, &path);
        assert_non_null(object);
        assert_non_null(
            strstr(path, step == 0 ? "/services/kube-dns?" : "/endpointslices/kube-dns-n1?"));
        cache_put(world->cache, step == 0 ? "services" : "endpointslices", object_namespace(object),
                  object_name(object), object, cache_revision(world->cache) + 1);
        mem_free(path);
    }
    char *path = NULL;
    assert_null(registration_next(&registration, world->cache, &path));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_service_has_its_address),
        TEST(test_what_does_not_exist_is_denied_and_what_is_empty_is_not),
        TEST(test_a_headless_service_has_its_ready_endpoints),
        TEST(test_named_ports_have_server_records),
        TEST(test_addresses_have_names),
        TEST(test_pod_names_are_their_addresses),
        TEST(test_an_external_name_is_an_alias),
        TEST(test_a_chased_answer_stands_by_itself),
        TEST(test_names_outside_are_passed_on),
        TEST(test_what_does_not_fit_is_said_to_be_truncated),
        TEST(test_bad_questions_get_their_code),
        TEST(test_names_go_to_the_wire_and_back),
        TEST(test_the_node_registers_itself_step_by_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
