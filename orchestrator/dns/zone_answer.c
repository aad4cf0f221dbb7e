/* zone_answer.c - what a name of ours has. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/dns/zone_internal.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/proxy/pod_peers.h"

enum { PLACE_LABELS_MAX = 6 }; /* one more than any name of ours has */

/* A name of ours, taken apart: [hostname or _port._proto .] service . namespace . svc */
struct place {
    char *labels[PLACE_LABELS_MAX]; /* from the right, without the domain: labels[0] is "svc" or
                                       "pod" */
    size_t count;
    char text[DNS_NAME_TEXT_SIZE];
};

struct answer {
    const struct zone *zone;
    const struct dns_query *query;
    struct dns_writer *writer;
    bool exists; /* the name, with records of some type */
};

/* ---- records ---- */

static bool asks_for(const struct answer *answer, uint16_t type)
{
    return answer->query->type == type || answer->query->type == DNS_ANY;
}

static void add_address(struct answer *answer, enum dns_section section, const char *name,
                        const char *text)
{
    uint32_t address = 0;
    if (address_parse(text, &address)) {
        const uint8_t data[4] = {(uint8_t)(address >> 24), (uint8_t)(address >> 16),
                                 (uint8_t)(address >> 8), (uint8_t)address};
        dns_writer_add(answer->writer, section, name, DNS_A, ZONE_TTL_S,
                       bytes_make(data, sizeof(data)));
    }
}

static void add_name_record(struct answer *answer, uint16_t type, const char *name)
{
    CLEANUP(buf) struct buf data = BUF_INIT;
    if (dns_name_write(&data, name)) {
        dns_writer_add(answer->writer, DNS_ANSWER, NULL, type, ZONE_TTL_S, buf_bytes(&data));
    }
}

static void add_server(struct answer *answer, const char *target, uint16_t port)
{
    CLEANUP(buf) struct buf data = BUF_INIT;
    /* priority 0, weight 100 */
    const uint8_t fixed[6] = {0, 0, 0, 100, (uint8_t)(port >> 8), (uint8_t)port};
    buf_append(&data, fixed, sizeof(fixed));
    if (dns_name_write(&data, target)) {
        dns_writer_add(answer->writer, DNS_ANSWER, NULL, DNS_SRV, ZONE_TTL_S, buf_bytes(&data));
    }
}

/* Says how long "no" may be remembered (RFC 2308). */
static void add_authority(struct answer *answer, enum dns_section section)
{
    const char *domain = answer->zone->settings.domain;
    CLEANUP(free) char *server = mem_printf("ns.dns.%s", domain);
    CLEANUP(free) char *contact = mem_printf("hostmaster.%s", domain);
    CLEANUP(buf) struct buf data = BUF_INIT;
    static const uint8_t numbers[20] = {0, 0, 0, 1, 0,    0,    0x1c, 0x20, 0, 0,
                                        7, 8, 0, 1, 0x51, 0x80, 0,    0,    0, ZONE_TTL_S};
    if (dns_name_write(&data, server) && dns_name_write(&data, contact)) {
        buf_append(&data, numbers, sizeof(numbers));
        dns_writer_add(answer->writer, section, domain, DNS_SOA, ZONE_TTL_S, buf_bytes(&data));
    }
}

/* ---- names ---- */

/* Labels below the domain, from the right; false when the name is not below it or too deep. */
static bool split(const struct zone *zone, const char *name, struct place *place)
{
    size_t size = strlen(name);
    size_t domain_size = strlen(zone->settings.domain);
    *place = (struct place){0};
    if (size < domain_size || strcmp(name + size - domain_size, zone->settings.domain) != 0 ||
        (size > domain_size && name[size - domain_size - 1] != '.')) {
        return false;
    }
    if (size > domain_size) {
        (void)snprintf(place->text, sizeof(place->text), "%.*s", (int)(size - domain_size - 1),
                       name);
    }
    char *dot = *place->text == '\0' ? NULL : place->text;
    while (dot != NULL && place->count < PLACE_LABELS_MAX) {
        dot = strrchr(place->text, '.');
        place->labels[place->count++] = dot == NULL ? place->text : dot + 1;
        if (dot != NULL) {
            *dot = '\0';
        }
    }
    return true;
}

struct endpoint_visit {
    struct answer *answer;
    const json_t *service;
    const char *label;     /* only the endpoint of this name; NULL: all */
    const char *port_name; /* of SRV; NULL: all that have a name */
    const char *protocol;
    json_t *seen; /* addresses, so that each is told once */
};

static bool is_new(struct endpoint_visit *visit, const char *text)
{
    bool result = json_object_get(visit->seen, text) == NULL;
    json_object_set_new(visit->seen, text, json_true());
    return result;
}

static void add_endpoint_address(void *context, const json_t *slice, const char *label,
                                 const char *address)
{
    struct endpoint_visit *visit = context;
    (void)slice;
    if ((visit->label == NULL || strcmp(visit->label, label) == 0) && is_new(visit, address)) {
        visit->answer->exists = true;
        if (asks_for(visit->answer, DNS_A)) {
            add_address(visit->answer, DNS_ANSWER, NULL, address);
        }
    }
}

static bool is_port(const json_t *port, const char *wanted_name, const char *wanted_protocol)
{
    const char *name = tree_text_or(port, "name", "");
    return *name != '\0' && (wanted_name == NULL || strcmp(name, wanted_name) == 0) &&
           (wanted_protocol == NULL ||
            strcasecmp(tree_text_or(port, "protocol", "TCP"), wanted_protocol) == 0);
}

static void add_endpoint_server(void *context, const json_t *slice, const char *label,
                                const char *address)
{
    struct endpoint_visit *visit = context;
    struct answer *answer = visit->answer;
    const json_t *ports = json_object_get(slice, "ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        if (!is_port(port, visit->port_name, visit->protocol)) {
            continue;
        }
        CLEANUP(free) char *service = zone_service_name(answer->zone, visit->service);
        CLEANUP(free) char *target = mem_printf("%s.%s", label, service);
        CLEANUP(free)
        char *key = mem_printf("%s %lld", target, (long long)tree_int(port, "port", 0));
        answer->exists = true;
        if (asks_for(answer, DNS_SRV) && is_new(visit, key)) {
            add_server(answer, target, (uint16_t)tree_int(port, "port", 0));
            json_object_set_new(visit->seen, target, json_string(address));
        }
    }
}

static void add_service_servers(struct answer *answer, const json_t *service, const char *port_name,
                                const char *protocol)
{
    CLEANUP(json) json_t *seen = json_object();
    struct endpoint_visit visit = {.answer = answer,
                                   .service = service,
                                   .port_name = port_name,
                                   .protocol = protocol,
                                   .seen = seen};
    if (zone_is_headless(service)) {
        zone_visit_endpoints(answer->zone, service, add_endpoint_server, &visit);
        const char *target = NULL;
        json_t *address = NULL;
        json_object_foreach(seen, target, address)
        {
            if (json_is_string(address)) {
                add_address(answer, DNS_ADDITIONAL, target, json_string_value(address));
            }
        }
        return;
    }
    CLEANUP(free) char *target = zone_service_name(answer->zone, service);
    bool has_told = false;
    const json_t *ports = tree_find(service, "spec.ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        if (is_port(port, port_name, protocol)) {
            answer->exists = true;
            if (asks_for(answer, DNS_SRV)) {
                add_server(answer, target, (uint16_t)tree_int(port, "port", 0));
                has_told = true;
            }
        }
    }
    if (has_told) {
        add_address(answer, DNS_ADDITIONAL, target, tree_text(service, "spec.clusterIP"));
    }
}

static void answer_service(struct answer *answer, const json_t *service)
{
    answer->exists = true;
    if (zone_is_headless(service)) {
        CLEANUP(json) json_t *seen = json_object();
        struct endpoint_visit visit = {.answer = answer, .service = service, .seen = seen};
        zone_visit_endpoints(answer->zone, service, add_endpoint_address, &visit);
    } else if (asks_for(answer, DNS_A)) {
        add_address(answer, DNS_ANSWER, NULL, tree_text(service, "spec.clusterIP"));
    }
    if (answer->query->type == DNS_SRV) {
        add_service_servers(answer, service, NULL, NULL);
    }
}

/* NULL: an alias that must be chased is in *ret_alias. */
static void answer_below_svc(struct answer *answer, const struct place *place,
                             const char **ret_alias)
{
    const struct cache *cache = answer->zone->cache;
    if (place->count == 2) { /* a namespace: it exists when it has a service */
        struct cache_cursor c = cache_list(cache, "services", place->labels[1]);
        answer->exists = cache_next(&c);
        return;
    }
    const json_t *service = cache_find(cache, "services", place->labels[1], place->labels[2]);
    if (service == NULL || place->count > 5) {
        return;
    }
    if (tree_has_text(service, "spec.type", "ExternalName")) {
        answer->exists = place->count == 3;
        *ret_alias = answer->exists ? tree_text(service, "spec.externalName") : NULL;
    } else if (place->count == 3) {
        answer_service(answer, service);
    } else if (place->count == 4 && zone_is_headless(service)) {
        CLEANUP(json) json_t *seen = json_object();
        struct endpoint_visit visit = {
            .answer = answer, .service = service, .label = place->labels[3], .seen = seen};
        zone_visit_endpoints(answer->zone, service, add_endpoint_address, &visit);
    } else if (place->count == 5 && place->labels[3][0] == '_' && place->labels[4][0] == '_') {
        add_service_servers(answer, service, place->labels[4] + 1, place->labels[3] + 1);
    }
}

/* "10-244-0-7.namespace.pod.cluster.local" */
static void answer_pod(struct answer *answer, const struct place *place)
{
    if (place->count != 3) {
        answer->exists = place->count == 2;
        return;
    }
    char text[DNS_NAME_TEXT_SIZE];
    (void)snprintf(text, sizeof(text), "%s", place->labels[2]);
    for (char *c = text; *c != '\0'; c++) {
        *c = *c == '-' ? '.' : *c;
    }
    if (backend_is_address(text)) {
        answer->exists = true;
        if (asks_for(answer, DNS_A)) {
            add_address(answer, DNS_ANSWER, NULL, text);
        }
    }
}

static void answer_version(struct answer *answer)
{
    static const char text[] = ZONE_VERSION;
    uint8_t data[sizeof(text)] = {sizeof(text) - 1};
    memcpy(data + 1, text, sizeof(text) - 1);
    answer->exists = true;
    if (asks_for(answer, DNS_TXT)) {
        dns_writer_add(answer->writer, DNS_ANSWER, NULL, DNS_TXT, ZONE_VERSION_TTL_S,
                       bytes_make(data, sizeof(data)));
    }
}

static void answer_place(struct answer *answer, const struct place *place, const char **ret_alias)
{
    const char *first = place->count == 0 ? "" : place->labels[0];
    if (place->count == 0) {
        answer->exists = true;
        if (asks_for(answer, DNS_SOA)) {
            add_authority(answer, DNS_ANSWER);
        }
    } else if (strcmp(first, "svc") == 0 || strcmp(first, "pod") == 0) {
        if (place->count == 1) {
            answer->exists = true;
        } else if (*first == 's') {
            answer_below_svc(answer, place, ret_alias);
        } else {
            answer_pod(answer, place);
        }
    } else if (place->count == 1 && strcmp(first, "dns-version") == 0) {
        answer_version(answer);
    }
}

/* "7.0.244.10.in-addr.arpa" -> "10.244.0.7" */
static bool read_reverse(const char *name, uint32_t *ret_address, char text[16])
{
    unsigned part[4];
    int size = 0;
    if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &part[0], &part[1], &part[2], &part[3],
               &size) != 4 ||
        size == 0 || name[size] != '\0' || part[0] > 255 || part[1] > 255 || part[2] > 255 ||
        part[3] > 255) {
        return false;
    }
    (void)snprintf(text, 16, "%u.%u.%u.%u", part[3] & 255, part[2] & 255, part[1] & 255,
                   part[0] & 255);
    return address_parse(text, ret_address);
}

static bool is_in_ranges(const struct zone *zone, uint32_t address)
{
    for (size_t i = 0; i < 2; i++) {
        uint8_t bits = zone->settings.ranges[i].bits;
        if (bits > 0 && (address & (UINT32_MAX << (32 - bits))) == zone->settings.ranges[i].first) {
            return true;
        }
    }
    return false;
}

/* False: not an address of ours. */
static bool answer_reverse(struct answer *answer)
{
    char text[16];
    uint32_t address = 0;
    if (!read_reverse(answer->query->name, &address, text)) {
        return false;
    }
    const char *name = bytes_map_find(&answer->zone->names, bytes_from_text(text));
    if (name == NULL) {
        return is_in_ranges(answer->zone, address);
    }
    answer->exists = true;
    if (asks_for(answer, DNS_PTR)) {
        add_name_record(answer, DNS_PTR, name);
    }
    return true;
}

/* An alias of another name of ours is followed here. One step: names of services are no aliases of
 * aliases in practice, and a loop must end. */
static enum zone_verdict follow_alias(struct answer *answer, const char *alias,
                                      char target[DNS_NAME_TEXT_SIZE])
{
    struct place place;
    CLEANUP(buf) struct buf wire = BUF_INIT;
    (void)snprintf(target, DNS_NAME_TEXT_SIZE, "%s", alias);
    size_t size = strlen(target);
    if (size > 0 && target[size - 1] == '.') {
        target[size - 1] = '\0';
    }
    for (char *c = target; *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    }
    if (!dns_name_write(&wire, target)) {
        return ZONE_ANSWERED; /* no name: the service exists and has no records */
    }
    bool is_alias_only = answer->query->type == DNS_CNAME || answer->query->type == DNS_ANY;
    if (!is_alias_only && !split(answer->zone, target, &place)) {
        return ZONE_CHASE;
    }
    add_name_record(answer, DNS_CNAME, target);
    if (!is_alias_only && place.count == 3 && answer->query->type == DNS_A) {
        const json_t *service =
            cache_find(answer->zone->cache, "services", place.labels[1], place.labels[2]);
        add_address(answer, DNS_ANSWER, target, tree_text(service, "spec.clusterIP"));
    }
    return ZONE_ANSWERED;
}

enum zone_verdict zone_answer(const struct zone *zone, const struct dns_query *query, size_t limit,
                              struct buf *reply, char target[DNS_NAME_TEXT_SIZE])
{
    struct dns_writer writer;
    struct place place;
    const char *alias = NULL;
    struct answer answer = {.zone = zone, .query = query, .writer = &writer};
    enum zone_verdict verdict = ZONE_ANSWERED;
    dns_writer_init(&writer, query, limit);
    if (split(zone, query->name, &place)) {
        answer_place(&answer, &place, &alias);
        if (alias != NULL) {
            verdict = follow_alias(&answer, alias, target);
        }
    } else if (!answer_reverse(&answer)) {
        verdict = ZONE_FORWARD;
    }
    if (verdict == ZONE_ANSWERED) {
        if (writer.counts[DNS_ANSWER] == 0 && !writer.is_truncated) {
            add_authority(&answer, DNS_AUTHORITY);
        }
        buf_append_bytes(
            reply, dns_writer_finish(&writer, answer.exists ? DNS_NOERROR : DNS_NXDOMAIN, true));
    }
    dns_writer_deinit(&writer);
    return verdict;
}

void zone_finish_chase(const struct dns_query *query, const char *target, struct bytes upstream,
                       size_t limit, struct buf *reply)
{
    struct dns_writer writer;
    enum dns_code code = DNS_SERVFAIL;
    CLEANUP(buf) struct buf data = BUF_INIT;
    dns_writer_init(&writer, query, limit);
    if (dns_name_write(&data, target)) {
        dns_writer_add(&writer, DNS_ANSWER, NULL, DNS_CNAME, ZONE_TTL_S, buf_bytes(&data));
    }
    if (upstream.size > 0 && dns_copy_answers(&writer, upstream, &code) != 0) {
        code = DNS_SERVFAIL;
    }
    /* The alias itself exists, whatever became of its target. */
    code = code == DNS_NXDOMAIN ? DNS_NOERROR : code;
    buf_append_bytes(reply, dns_writer_finish(&writer, code, false));
    dns_writer_deinit(&writer);
}
