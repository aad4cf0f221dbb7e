/* service_claims.c - cluster addresses and node ports.
 *
 * Each one in use is a key of its own in the store, written in the transaction that writes the
 * service: two API servers can never give out the same one, and nobody keeps a bitmap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/objects/validate.h"
#include "orchestrator/registry/plan_parts.h"

#define CLAIM_ADDRESS "/registry/ranges/serviceips/"
#define CLAIM_PORT "/registry/ranges/servicenodeports/"

static void claim(struct plan *plan, const char *prefix, const char *what)
{
    if (plan->claims == NULL) {
        plan->claims = json_array();
    }
    char *key = mem_printf("%s%s", prefix, what);
    json_array_append_new(plan->claims, json_string(key));
    mem_free(key);
}

static void release(struct plan *plan, const char *prefix, const char *what)
{
    if (plan->releases == NULL) {
        plan->releases = json_array();
    }
    char *key = mem_printf("%s%s", prefix, what);
    json_array_append_new(plan->releases, json_string(key));
    mem_free(key);
}

static bool is_cluster_address(const char *text)
{
    return text != NULL && *text != '\0' && strcmp(text, "None") != 0;
}

static void format_address(uint32_t address, char text[16])
{
    (void)snprintf(text, 16, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
                   address & 255);
}

static uint32_t parse_address(const char *text)
{
    unsigned part[4] = {0};
    if (sscanf(text, "%3u.%3u.%3u.%3u", &part[0], &part[1], &part[2], &part[3]) != 4) {
        return 0;
    }
    return part[0] << 24 | part[1] << 16 | part[2] << 8 | part[3];
}

static bool address_is_used(const struct cache *cache, const char *address)
{
    struct cache_cursor c = cache_list(cache, "services", "");
    while (cache_next(&c)) {
        if (tree_has_text(c.object, "spec.clusterIP", address)) {
            return true;
        }
    }
    return false;
}

static bool port_is_used(const struct cache *cache, int64_t port)
{
    struct cache_cursor c = cache_list(cache, "services", "");
    while (cache_next(&c)) {
        const json_t *ports = tree_find(c.object, "spec.ports");
        for (size_t i = 0; i < json_array_size(ports); i++) {
            if (tree_int(json_array_get(ports, i), "nodePort", 0) == port) {
                return true;
            }
        }
    }
    return false;
}

static json_t *refuse(const json_t *service, const char *field, const json_t *value,
                      const char *detail)
{
    CLEANUP(causes) struct causes causes = {0};
    causes_add_invalid(&causes, field, value, detail);
    const struct status_subject subject = {.group = "",
                                           .resource = "services",
                                           .kind = "Service",
                                           .name = tree_text_or(service, "metadata.name", "")};
    return status_invalid(&subject, &causes);
}

static json_t *allocate_address(json_t *service, const struct plan_env *env, struct plan *plan)
{
    const struct plan_settings *settings = env->settings;
    const char *wanted = tree_text(service, "spec.clusterIP");
    char text[16];
    if (wanted != NULL && *wanted != '\0') {
        uint32_t offset = parse_address(wanted) - settings->service_ip_first;
        if (!validate_is_ipv4(wanted) || offset >= settings->service_ip_count) {
            return refuse(service, "spec.clusterIPs", tree_find(service, "spec.clusterIP"),
                          "failed to allocate IP: the provided IP is not in the valid range");
        }
        if (address_is_used(env->cache, wanted)) {
            return refuse(service, "spec.clusterIPs", tree_find(service, "spec.clusterIP"),
                          "failed to allocate IP: provided IP is already allocated");
        }
        claim(plan, CLAIM_ADDRESS, wanted);
        return NULL;
    }
    /* The first address is the API's own service. */
    uint32_t start = (uint32_t)prng_below(env->prng, settings->service_ip_count);
    for (uint32_t i = 0; i < settings->service_ip_count; i++) {
        uint32_t offset = (start + i) % settings->service_ip_count;
        format_address(settings->service_ip_first + offset, text);
        if (offset >= 10 && !address_is_used(env->cache, text)) {
            tree_set_text(service, "spec.clusterIP", text);
            claim(plan, CLAIM_ADDRESS, text);
            return NULL;
        }
    }
    return status_internal("failed to allocate a serviceIP: range is full");
}

static json_t *allocate_port(json_t *service, json_t *port, const struct plan_env *env,
                             struct plan *plan)
{
    const struct plan_settings *settings = env->settings;
    int64_t wanted = tree_int(port, "nodePort", 0);
    char text[16];
    if (wanted == 0) {
        uint32_t start = (uint32_t)prng_below(env->prng, settings->node_port_count);
        for (uint32_t i = 0; i < settings->node_port_count && wanted == 0; i++) {
            int64_t candidate = settings->node_port_first + (start + i) % settings->node_port_count;
            wanted = port_is_used(env->cache, candidate) ? 0 : candidate;
        }
        if (wanted == 0) {
            return status_internal("failed to allocate a nodePort: range is full");
        }
        tree_set_int(port, "nodePort", wanted);
    } else if (wanted < settings->node_port_first ||
               wanted >= settings->node_port_first + settings->node_port_count) {
        return refuse(service, "spec.ports[0].nodePort", json_object_get(port, "nodePort"),
                      "provided port is not in the valid range. The range of valid ports is "
                      "30000-32767");
    } else if (port_is_used(env->cache, wanted)) {
        return refuse(service, "spec.ports[0].nodePort", json_object_get(port, "nodePort"),
                      "provided port is already allocated");
    }
    (void)snprintf(text, sizeof(text), "%d", (int)wanted);
    claim(plan, CLAIM_PORT, text);
    return NULL;
}

static bool needs_node_ports(const json_t *service)
{
    const char *type = tree_text_or(service, "spec.type", "ClusterIP");
    return strcmp(type, "NodePort") == 0 ||
           (strcmp(type, "LoadBalancer") == 0 &&
            tree_bool(service, "spec.allocateLoadBalancerNodePorts", true));
}

static bool has_node_port(const json_t *service, int64_t node_port)
{
    const json_t *ports = tree_find(service, "spec.ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        if (tree_int(json_array_get(ports, i), "nodePort", 0) == node_port) {
            return true;
        }
    }
    return false;
}

/* A port of the old service with the same name keeps its node port. */
static int64_t former_node_port(const json_t *old, const json_t *port)
{
    const json_t *ports = tree_find(old, "spec.ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *former = json_array_get(ports, i);
        if (tree_equal(json_object_get(former, "port"), json_object_get(port, "port")) &&
            tree_equal(json_object_get(former, "protocol"), json_object_get(port, "protocol"))) {
            return tree_int(former, "nodePort", 0);
        }
    }
    return 0;
}

static void release_lost_ports(const json_t *service, const json_t *old, struct plan *plan)
{
    const json_t *ports = tree_find(old, "spec.ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        int64_t port = tree_int(json_array_get(ports, i), "nodePort", 0);
        char text[16];
        (void)snprintf(text, sizeof(text), "%d", (int)port);
        if (port != 0 && !has_node_port(service, port)) {
            release(plan, CLAIM_PORT, text);
        }
    }
}

static json_t *allocate_ports(json_t *service, const json_t *old, const struct plan_env *env,
                              struct plan *plan)
{
    json_t *ports = tree_find(service, "spec.ports");
    bool is_needed = needs_node_ports(service);
    for (size_t i = 0; i < json_array_size(ports); i++) {
        json_t *port = json_array_get(ports, i);
        int64_t node_port = tree_int(port, "nodePort", 0);
        if (!is_needed) {
            tree_remove(port, "nodePort");
            continue;
        }
        if (node_port == 0 && former_node_port(old, port) != 0) {
            node_port = former_node_port(old, port);
            tree_set_int(port, "nodePort", node_port);
        }
        if (node_port != 0 && has_node_port(old, node_port)) {
            continue;
        }
        json_t *refusal = allocate_port(service, port, env, plan);
        if (refusal != NULL) {
            return refusal;
        }
    }
    release_lost_ports(service, old, plan);
    return NULL;
}

json_t *service_allocate(json_t *service, const json_t *old, const struct plan_env *env,
                         struct plan *plan)
{
    const char *old_address = tree_text(old, "spec.clusterIP");
    if (tree_has_text(service, "spec.type", "ExternalName")) {
        tree_remove(service, "spec.clusterIP");
        tree_remove(service, "spec.clusterIPs");
        if (is_cluster_address(old_address)) {
            release(plan, CLAIM_ADDRESS, old_address);
        }
        release_lost_ports(service, old, plan);
        return NULL;
    }
    if (old_address != NULL && *tree_text_or(service, "spec.clusterIP", "") == '\0') {
        tree_set_text(service, "spec.clusterIP", old_address);
    }
    const char *address = tree_text(service, "spec.clusterIP");
    bool is_headless = address != NULL && strcmp(address, "None") == 0;
    bool is_kept = old_address != NULL && address != NULL && strcmp(address, old_address) == 0;
    if (!is_headless && !is_kept) {
        json_t *refusal = allocate_address(service, env, plan);
        if (refusal != NULL) {
            return refusal;
        }
    }
    tree_set(service, "spec.clusterIPs",
             json_pack("[s]", tree_text_or(service, "spec.clusterIP", "None")));
    return allocate_ports(service, old, env, plan);
}

void service_release(const json_t *service, struct plan *plan)
{
    const char *address = tree_text(service, "spec.clusterIP");
    if (is_cluster_address(address)) {
        release(plan, CLAIM_ADDRESS, address);
    }
    release_lost_ports(NULL, service, plan);
}
