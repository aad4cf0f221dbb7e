#include "runtime/words/port_text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"

struct range {
    unsigned first;
    unsigned last;
};

static bool parse_range(const char *text, struct range *ret)
{
    char *end = NULL;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    unsigned long first = strtoul(text, &end, 10);
    unsigned long last = first;
    if (*end == '-' && isdigit((unsigned char)end[1])) {
        last = strtoul(end + 1, &end, 10);
    }
    if (*end != '\0' || first < 1 || last > 65535 || first > last) {
        return false;
    }
    *ret = (struct range){(unsigned)first, (unsigned)last};
    return true;
}

static void add_binding(json_t *bindings, unsigned container, const char *protocol, const char *ip,
                        unsigned host)
{
    char key[32];
    char port[16] = "";
    (void)snprintf(key, sizeof(key), "%u/%s", container, protocol);
    if (host != 0) {
        (void)snprintf(port, sizeof(port), "%u", host);
    }
    json_t *list = json_object_get(bindings, key);
    if (list == NULL) {
        list = json_array();
        json_object_set_new(bindings, key, list);
    }
    json_array_append_new(list, json_pack("{ss ss}", "HostIp", ip, "HostPort", port));
}

static int invalid(const char *text, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID, "-p '%.100s': %s ([[IP:]HOST:]CONTAINER[/PROTOCOL])", text,
                   why);
}

int port_text_parse(const char *text, json_t *bindings, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(text);
    const char *protocol = "tcp";
    char *slash = strchr(copy, '/');
    if (slash != NULL) {
        *slash = '\0';
        protocol = slash + 1;
    }
    if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0 &&
        strcmp(protocol, "sctp") != 0) {
        return invalid(text, "the protocol is tcp, udp or sctp", err);
    }
    char *colon = strrchr(copy, ':');
    const char *container_text = colon == NULL ? copy : colon + 1;
    const char *host_text = "";
    const char *ip = "";
    if (colon != NULL) {
        *colon = '\0';
        char *before = strrchr(copy, ':');
        host_text = before == NULL ? copy : before + 1;
        if (before != NULL) {
            *before = '\0';
            ip = copy;
        }
    }
    struct in_addr address;
    if (ip[0] != '\0' && inet_pton(AF_INET, ip, &address) != 1) {
        return invalid(text, "not an IPv4 address", err);
    }
    struct range container;
    struct range host = {0, 0};
    if (!parse_range(container_text, &container)) {
        return invalid(text, "not a port of the container", err);
    }
    if (host_text[0] != '\0' && !parse_range(host_text, &host)) {
        return invalid(text, "not a port of the host", err);
    }
    unsigned count = container.last - container.first + 1;
    if (host.first != 0 && host.last - host.first + 1 != count) {
        return invalid(text, "the two ranges differ in length", err);
    }
    for (unsigned i = 0; i < count; i++) {
        add_binding(bindings, container.first + i, protocol, ip,
                    host.first == 0 ? 0 : host.first + i);
    }
    return 0;
}

static const struct {
    const char *name;
    enum network_protocol protocol;
} protocols[] = {{"tcp", NETWORK_TCP}, {"udp", NETWORK_UDP}, {"sctp", NETWORK_SCTP}};

static const char *protocol_name(enum network_protocol protocol)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (protocols[i].protocol == protocol) {
            return protocols[i].name;
        }
    }
    return "tcp";
}

static void read_binding(const char *key, const json_t *binding, struct network_port *out)
{
    struct in_addr address = {.s_addr = 0};
    const char *slash = strchr(key, '/');
    *out = (struct network_port){.protocol = NETWORK_TCP};
    out->container_port = (uint16_t)strtoul(key, NULL, 10);
    for (size_t i = 0; slash != NULL && i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (strcmp(slash + 1, protocols[i].name) == 0) {
            out->protocol = protocols[i].protocol;
        }
    }
    out->host_port = (uint16_t)strtoul(json_get_text(binding, "HostPort", ""), NULL, 10);
    if (inet_pton(AF_INET, json_get_text(binding, "HostIp", ""), &address) == 1) {
        out->host_address = ntohl(address.s_addr);
    }
}

int port_bindings_read(const json_t *bindings, struct network_port **ret, size_t *ret_count,
                       struct err *err)
{
    CLEANUP(free) struct network_port *ports = mem_calloc(NETWORK_PORTS_MAX, sizeof(*ports));
    size_t count = 0;
    for (void *at = json_object_iter((json_t *)(uintptr_t)bindings); at != NULL;
         at = json_object_iter_next((json_t *)(uintptr_t)bindings, at)) {
        const json_t *list = json_object_iter_value(at);
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (count == NETWORK_PORTS_MAX) {
                return err_set(err, ERR_TOO_LARGE, "more than %d published ports",
                               NETWORK_PORTS_MAX);
            }
            read_binding(json_object_iter_key(at), json_array_get(list, i), &ports[count++]);
        }
    }
    *ret = TAKE_PTR(ports);
    *ret_count = count;
    return 0;
}

json_t *port_bindings_write(const struct network_port *ports, size_t count)
{
    json_t *bindings = json_object();
    for (size_t i = 0; i < count; i++) {
        struct in_addr address = {.s_addr = htonl(ports[i].host_address)};
        char ip[INET_ADDRSTRLEN];
        add_binding(bindings, ports[i].container_port, protocol_name(ports[i].protocol),
                    inet_ntop(AF_INET, &address, ip, sizeof(ip)), ports[i].host_port);
    }
    return bindings;
}
