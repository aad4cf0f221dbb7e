#include "orchestrator/dns/registration.h"

#include "orchestrator/objects/tree.h"

#define NAMESPACE "kube-system"
#define SERVICE "kube-dns"
#define QUERY "?fieldManager=orchd-dns&force=true"

static json_t *make_service(const struct registration *registration)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}},"
                     " s:{s:s, s:s, s:[{s:s, s:i, s:s, s:i}, {s:s, s:i, s:s, s:i}]}}",
                     "apiVersion", "v1", "kind", "Service", "metadata", "name", SERVICE,
                     "namespace", NAMESPACE, "labels", "k8s-app", SERVICE, "kubernetes.io/name",
                     "CoreDNS", "spec", "clusterIP", registration->cluster_dns,
                     "internalTrafficPolicy", "Local", "ports", "name", "dns", "port", 53,
                     "protocol", "UDP", "targetPort", (int)registration->port, "name", "dns-tcp",
                     "port", 53, "protocol", "TCP", "targetPort", (int)registration->port);
}

static json_t *make_slice(const struct registration *registration, const char *name)
{
    return json_pack(
        "{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}}, s:s, s:[{s:s, s:i, s:s}, {s:s, s:i, s:s}],"
        " s:[{s:[s], s:s, s:{s:b, s:b, s:b}}]}",
        "apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name", name,
        "namespace", NAMESPACE, "labels", "kubernetes.io/service-name", SERVICE,
        "endpointslice.kubernetes.io/managed-by", "orchd-dns", "addressType", "IPv4", "ports",
        "name", "dns", "port", (int)registration->port, "protocol", "UDP", "name", "dns-tcp",
        "port", (int)registration->port, "protocol", "TCP", "endpoints", "addresses",
        registration->node_ip, "nodeName", registration->node_name, "conditions", "ready", 1,
        "serving", 1, "terminating", 0);
}

json_t *registration_next(const struct registration *registration, const struct cache *cache,
                          char **ret_path)
{
    if (cache_find(cache, "services", NAMESPACE, SERVICE) == NULL) {
        *ret_path = mem_strdup("/api/v1/namespaces/" NAMESPACE "/services/" SERVICE QUERY);
        return make_service(registration);
    }
    CLEANUP(free) char *name = mem_printf(SERVICE "-%s", registration->node_name);
    CLEANUP(json) json_t *wanted = make_slice(registration, name);
    const json_t *found = cache_find(cache, "endpointslices", NAMESPACE, name);
    if (tree_equal(json_object_get(found, "endpoints"), json_object_get(wanted, "endpoints")) &&
        tree_equal(json_object_get(found, "ports"), json_object_get(wanted, "ports"))) {
        return NULL;
    }
    *ret_path = mem_printf(
        "/apis/discovery.k8s.io/v1/namespaces/" NAMESPACE "/endpointslices/%s" QUERY, name);
    return json_incref(wanted);
}
