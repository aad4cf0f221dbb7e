#include "orchestrator/proxy/service_rules.h"

#include <string.h>

#include "orchestrator/objects/tree.h"
#include "orchestrator/proxy/backends.h"

enum { AFFINITY_S_DEFAULT = 10800 };

/* Packets that must come back through this node are marked with this bit (as kube-proxy does) and
 * get its address when they leave. */
#define MARK "0x4000"
#define TO_SERVICE "ip daddr . meta l4proto . th dport vmap "
#define TO_NODE "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap "

static const char base[] =
    "  map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }\n"
    "  map node-ports { type inet_proto . inet_service : verdict; }\n"
    "  map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }\n"
    "  map no-endpoint-node-ports { type inet_proto . inet_service : verdict; }\n"
    "  chain reject-chain {\n"
    "    meta l4proto tcp reject with tcp reset\n"
    "    reject\n"
    "  }\n"
    "  chain mark-for-masquerade {\n    meta mark set meta mark or " MARK "\n  }\n"
    "  chain services {\n"
    "    " TO_SERVICE "@service-ips\n"
    "    " TO_NODE "@node-ports\n"
    "  }\n"
    "  chain service-endpoints-check {\n    " TO_SERVICE "@no-endpoint-services\n  }\n"
    "  chain node-port-endpoints-check {\n    " TO_NODE "@no-endpoint-node-ports\n  }\n"
    "  chain nat-prerouting {\n"
    "    type nat hook prerouting priority dstnat; policy accept;\n"
    "    jump services\n"
    "  }\n"
    "  chain nat-output {\n"
    "    type nat hook output priority -100; policy accept;\n"
    "    jump services\n"
    "  }\n"
    "  chain nat-postrouting {\n"
    "    type nat hook postrouting priority srcnat; policy accept;\n"
    "    jump pods-leave\n"
    "    meta mark and " MARK " == 0 return\n"
    "    meta mark set meta mark and 0xffffbfff\n"
    "    masquerade fully-random\n"
    "  }\n"
    "  chain filter-input {\n"
    "    type filter hook input priority -110; policy accept;\n"
    "    ct state new jump node-port-endpoints-check\n"
    "    ct state new jump service-endpoints-check\n"
    "  }\n"
    "  chain filter-forward {\n"
    "    type filter hook forward priority -110; policy accept;\n"
    "    ct state new jump service-endpoints-check\n"
    "    ct state new jump cluster-ips-check\n"
    "  }\n"
    "  chain filter-output {\n"
    "    type filter hook output priority -110; policy accept;\n"
    "    ct state new jump service-endpoints-check\n"
    "  }\n"
    "  chain filter-output-after-nat {\n"
    "    type filter hook output priority -90; policy accept;\n"
    "    ct state new jump cluster-ips-check\n"
    "  }\n";

void service_rules_write_base(struct buf *out, const struct service_rules_settings *settings)
{
    buf_append_format(out,
                      "  set cluster-ips { type ipv4_addr; }\n"
                      "  chain cluster-ips-check {\n"
                      "    ip daddr @cluster-ips reject\n"
                      "    ip daddr %s drop\n"
                      "  }\n",
                      settings->service_cidr);
    /* Only the nodes know where pods are: the outside answers to this node. */
    buf_append_format(out,
                      "  chain pods-leave {\n"
                      "    ip saddr %s ip daddr != { %s, 224.0.0.0/4 } masquerade\n"
                      "  }\n",
                      settings->cluster_cidr, settings->cluster_cidr);
    buf_append_text(out, base);
}

/* One port of one service. */
struct service_port {
    const struct service_rules_settings *settings;
    struct ruleset *out;
    const json_t *service;
    const char *protocol; /* "tcp", as nft writes it */
    uint16_t port;
    uint16_t node_port; /* 0: none */
    char *id;           /* in names of chains; owned */
    int64_t affinity_s; /* 0: none */
};

static void add_text(struct ruleset *out, enum ruleset_part part, char *take_name, char *take_body)
{
    ruleset_add(out, part, take_name, take_body);
    mem_free(take_name);
    mem_free(take_body);
}

/* nft lets letters, digits and / \ _ . - be in names; Kubernetes names have no others. The hash
 * tells cut names apart. */
static char *make_id(const char *namespace, const char *name, const char *protocol,
                     const char *port_name)
{
    CLEANUP(free)
    char *full = mem_printf("%s/%s/%s/%s", namespace, name, protocol, port_name);
    uint64_t hash = bytes_hash(bytes_from_text(full));
    enum { ROOM = RULESET_NAME_SIZE_MAX - 60 }; /* for prefixes, the hash and an endpoint */
    return mem_printf("%08llX-%.*s", (unsigned long long)(hash >> 32), (int)ROOM, full);
}

static char *endpoint_name(const struct service_port *port, const struct backend *backend)
{
    return mem_printf("endpoint-%s__%s/%u", port->id, backend->address, backend->port);
}

/* The name says the timeout too, because a set's definition does not change. */
static char *affinity_name(const struct service_port *port, const struct backend *backend)
{
    return mem_printf("affinity-%lld-%s__%s/%u", (long long)port->affinity_s, port->id,
                      backend->address, backend->port);
}

static void add_endpoint(const struct service_port *port, const struct backend *backend)
{
    CLEANUP(buf) struct buf body = BUF_INIT;
    /* A pod that reaches itself must not see its own address as the sender. */
    buf_append_format(&body, "ip saddr %s jump mark-for-masquerade\n", backend->address);
    if (port->affinity_s > 0) {
        char *affinity = affinity_name(port, backend);
        buf_append_format(&body, "update @%s { ip saddr }\n", affinity);
        add_text(port->out, RULESET_SET, affinity,
                 mem_printf("type ipv4_addr; flags dynamic,timeout; timeout %llds;",
                            (long long)port->affinity_s));
    }
    buf_append_format(&body, "meta l4proto %s dnat to %s:%u\n", port->protocol, backend->address,
                      backend->port);
    add_text(port->out, RULESET_CHAIN, endpoint_name(port, backend), mem_strdup(buf_text(&body)));
}

/* The rules that hand a packet to one of the backends. */
static void append_choice(struct buf *body, const struct service_port *port,
                          const struct backends *backends)
{
    for (size_t i = 0; i < backends->count; i++) {
        CLEANUP(free) char *endpoint = endpoint_name(port, &backends->items[i]);
        if (port->affinity_s > 0) {
            CLEANUP(free) char *affinity = affinity_name(port, &backends->items[i]);
            buf_append_format(body, "ip saddr @%s goto %s\n", affinity, endpoint);
        }
        add_endpoint(port, &backends->items[i]);
    }
    if (backends->count == 0) {
        buf_append_text(body, "drop\n"); /* elsewhere there are some: the policy forbids them */
        return;
    }
    buf_append_format(body, "numgen random mod %zu vmap {", backends->count);
    for (size_t i = 0; i < backends->count; i++) {
        CLEANUP(free) char *endpoint = endpoint_name(port, &backends->items[i]);
        buf_append_format(body, "%s %zu : goto %s", i == 0 ? "" : ",", i, endpoint);
    }
    buf_append_text(body, " }\n");
}

/* An address of the service; chain NULL: it has no endpoints. */
static void add_address(const struct service_port *port, const char *address, const char *chain)
{
    if (backend_is_address(address)) {
        add_text(port->out, RULESET_ELEMENT,
                 mem_printf("%s { %s . %s . %u",
                            chain == NULL ? "no-endpoint-services" : "service-ips", address,
                            port->protocol, port->port),
                 chain == NULL ? mem_strdup("goto reject-chain") : mem_printf("goto %s", chain));
    }
}

static void add_node_port(const struct service_port *port, const char *chain)
{
    if (port->node_port != 0) {
        add_text(port->out, RULESET_ELEMENT,
                 mem_printf("%s { %s . %u", chain == NULL ? "no-endpoint-node-ports" : "node-ports",
                            port->protocol, port->node_port),
                 chain == NULL ? mem_strdup("goto reject-chain") : mem_printf("goto %s", chain));
    }
}

/* Addresses by which traffic of the outside comes. */
static void add_external_addresses(const struct service_port *port, const char *chain)
{
    const json_t *addresses = tree_find(port->service, "spec.externalIPs");
    for (size_t i = 0; i < json_array_size(addresses); i++) {
        add_address(port, json_string_value(json_array_get(addresses, i)), chain);
    }
    const json_t *ingress = tree_find(port->service, "status.loadBalancer.ingress");
    for (size_t i = 0; i < json_array_size(ingress); i++) {
        add_address(port, tree_text(json_array_get(ingress, i), "ip"), chain);
    }
    add_node_port(port, chain);
}

static bool has_external(const struct service_port *port)
{
    return port->node_port != 0 || tree_count(port->service, "spec.externalIPs") > 0 ||
           tree_count(port->service, "status.loadBalancer.ingress") > 0;
}

/* Traffic of the outside is answered through this node, so it gets its address; with the policy
 * Local it keeps the sender's and stays here, except what pods and this node send themselves. */
static void add_external_chain(const struct service_port *port, const char *cluster_chain,
                               const struct backends *all)
{
    char *name = mem_printf("external-%s", port->id);
    CLEANUP(buf) struct buf body = BUF_INIT;
    if (tree_has_text(port->service, "spec.externalTrafficPolicy", "Local")) {
        CLEANUP(backends) struct backends local;
        backends_choose(all, true, &local);
        buf_append_format(&body,
                          "ip saddr %s goto %s\n"
                          "fib saddr type local jump mark-for-masquerade\n"
                          "fib saddr type local goto %s\n",
                          port->settings->cluster_cidr, cluster_chain, cluster_chain);
        append_choice(&body, port, &local);
    } else {
        buf_append_format(&body, "jump mark-for-masquerade\ngoto %s\n", cluster_chain);
    }
    add_external_addresses(port, name);
    add_text(port->out, RULESET_CHAIN, name, mem_strdup(buf_text(&body)));
}

/* The chain for traffic of the cluster to the service's own address. */
static void add_internal_chain(const struct service_port *port, const char *name,
                               const struct backends *chosen, const char *cluster_ip)
{
    CLEANUP(buf) struct buf body = BUF_INIT;
    buf_append_format(&body, "ip daddr %s ip saddr != %s jump mark-for-masquerade\n", cluster_ip,
                      port->settings->cluster_cidr);
    append_choice(&body, port, chosen);
    add_text(port->out, RULESET_CHAIN, mem_strdup(name), mem_strdup(buf_text(&body)));
}

static void add_port(const struct service_port *port, const json_t *slices, const char *port_name)
{
    const char *cluster_ip = tree_text_or(port->service, "spec.clusterIP", "");
    CLEANUP(free) char *upper = mem_strdup(port->protocol);
    for (char *c = upper; *c != '\0'; c++) {
        *c = (char)(*c - 'a' + 'A');
    }
    CLEANUP(backends) struct backends all;
    CLEANUP(backends) struct backends cluster;
    backends_collect(&all, slices, port_name, upper, port->settings->node_name);
    backends_choose(&all, false, &cluster);
    if (cluster.count == 0) {
        add_address(port, cluster_ip, NULL);
        add_external_addresses(port, NULL);
        return;
    }
    bool stays_here = tree_has_text(port->service, "spec.internalTrafficPolicy", "Local");
    CLEANUP(free) char *cluster_chain = mem_printf("service-%s", port->id);
    if (!stays_here || has_external(port)) {
        add_internal_chain(port, cluster_chain, &cluster, cluster_ip);
    }
    if (stays_here) {
        CLEANUP(backends) struct backends local;
        CLEANUP(free) char *local_chain = mem_printf("local-%s", port->id);
        backends_choose(&all, true, &local);
        add_internal_chain(port, local_chain, &local, cluster_ip);
        add_address(port, cluster_ip, local_chain);
    } else {
        add_address(port, cluster_ip, cluster_chain);
    }
    if (has_external(port)) {
        add_external_chain(port, cluster_chain, &all);
    }
}

static const char *protocol_of(const json_t *service_port)
{
    const char *name = tree_text_or(service_port, "protocol", "TCP");
    return strcmp(name, "UDP") == 0 ? "udp" : strcmp(name, "SCTP") == 0 ? "sctp" : "tcp";
}

static uint16_t number_of(const json_t *service_port, const char *field)
{
    int64_t number = tree_int(service_port, field, 0);
    return number > 0 && number <= UINT16_MAX ? (uint16_t)number : 0;
}

static void add_service(const json_t *service, const struct slice_index *index,
                        const struct service_rules_settings *settings, struct ruleset *out)
{
    const char *cluster_ip = tree_text_or(service, "spec.clusterIP", "");
    if (tree_has_text(service, "spec.type", "ExternalName") || !backend_is_address(cluster_ip) ||
        object_label(service, "service.kubernetes.io/service-proxy-name") != NULL) {
        return; /* headless services are for the DNS; the label names another proxy */
    }
    add_text(out, RULESET_ELEMENT, mem_printf("cluster-ips { %s", cluster_ip), mem_strdup(""));
    const json_t *slices = slice_index_find(index, object_namespace(service), object_name(service));
    bool is_sticky = tree_has_text(service, "spec.sessionAffinity", "ClientIP");
    const json_t *ports = tree_find(service, "spec.ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *item = json_array_get(ports, i);
        const char *port_name = tree_text_or(item, "name", "");
        const struct service_port port = {
            .settings = settings,
            .out = out,
            .service = service,
            .protocol = protocol_of(item),
            .port = number_of(item, "port"),
            .node_port = number_of(item, "nodePort"),
            .id = make_id(object_namespace(service), object_name(service), protocol_of(item),
                          port_name),
            .affinity_s =
                is_sticky ? tree_int(service, "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                                     AFFINITY_S_DEFAULT)
                          : 0,
        };
        if (port.port != 0) {
            add_port(&port, slices, port_name);
        }
        mem_free(port.id);
    }
}

void service_rules_compute(const struct cache *cache, const struct service_rules_settings *settings,
                           struct ruleset *ruleset)
{
    struct slice_index index;
    ruleset_init(ruleset);
    slice_index_init(&index, cache);
    struct cache_cursor c = cache_list(cache, "services", "");
    while (cache_next(&c)) {
        add_service(c.object, &index, settings, ruleset);
    }
    slice_index_deinit(&index);
    ruleset_finish(ruleset);
}
