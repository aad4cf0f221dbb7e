/* fuzz_dns_message.c - a question off the wire is answered, and the same bytes as an upstream's
 * answer are merged: neither may read outside, and every answer keeps within its limit. */
#include <stdlib.h>

#include "orchestrator/dns/zone.h"
#include "orchestrator/objects/tree.h"
#include "tests/fuzz/fuzz.h"

static const char *const objects[][2] = {
    {"services", "{\"metadata\":{\"namespace\":\"s\",\"name\":\"w\"},\"spec\":{\"clusterIP\":"
                 "\"10.96.0.7\",\"ports\":[{\"name\":\"h\",\"port\":80}]}}"},
    {"services", "{\"metadata\":{\"namespace\":\"s\",\"name\":\"d\"},\"spec\":{\"clusterIP\":"
                 "\"None\"}}"},
    {"services", "{\"metadata\":{\"namespace\":\"s\",\"name\":\"o\"},\"spec\":{\"type\":"
                 "\"ExternalName\",\"externalName\":\"x.org\"}}"},
    {"endpointslices",
     "{\"metadata\":{\"namespace\":\"s\",\"name\":\"d1\",\"labels\":{\"kubernetes.io/"
     "service-name\":"
     "\"d\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"h\",\"port\":80}],\"endpoints\":[{"
     "\"addresses\":[\"10.244.0.5\"],\"hostname\":\"d-0\"},{\"addresses\":[\"10.244.1.5\"]}]}"},
};

static void fill(struct cache *cache)
{
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        json_t *object = json_loads(objects[i][1], 0, NULL);
        cache_put(cache, objects[i][0], object_namespace(object), object_name(object), object,
                  i + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct zone_settings settings = {.domain = "cluster.local",
                                                  .ranges = {{0x0af40000, 16}, {0x0a600000, 16}}};
    struct cache *cache = cache_new(1);
    struct zone zone;
    struct dns_query query;
    fill(cache);
    zone_init(&zone, cache, &settings);
    zone_refresh(&zone);
    if (dns_query_parse(bytes_make(data, size), &query) == 0) {
        char target[DNS_NAME_TEXT_SIZE];
        CLEANUP(buf) struct buf reply = BUF_INIT;
        if (zone_answer(&zone, &query, DNS_UDP_SIZE_MIN, &reply, target) == ZONE_ANSWERED &&
            (buf_size(&reply) > DNS_UDP_SIZE_MIN || buf_size(&reply) < DNS_HEADER_SIZE)) {
            abort();
        }
    }
    struct buf question = BUF_INIT;
    CLEANUP(buf) struct buf merged = BUF_INIT;
    if (!dns_write_query(&question, 1, "o.s.svc.cluster.local", DNS_A) ||
        dns_query_parse(buf_bytes(&question), &query) != 0) {
        abort();
    }
    zone_finish_chase(&query, "x.org", bytes_make(data, size), DNS_UDP_SIZE_MIN, &merged);
    if (buf_size(&merged) > DNS_UDP_SIZE_MIN) {
        abort();
    }
    buf_deinit(&question);
    zone_deinit(&zone);
    cache_free(cache);
    return 0;
}
