/* bootstrap.c - what every cluster has from the start: namespaces, the API's own service, roles. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/controllers/controllers.h"

static const char *const namespaces[] = {"default", "kube-system", "kube-public",
                                         "kube-node-lease"};

/* ClusterRoles as JSON: name and rules. */
static const struct {
    const char *name;
    const char *rules;
} roles[] = {
    {"cluster-admin", "[{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]},"
                      "{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}]"},
    {"admin",
     "[{\"apiGroups\":[\"\",\"apps\",\"batch\",\"autoscaling\",\"policy\",\"networking.k8s.io\","
     "\"discovery.k8s.io\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]},"
     "{\"apiGroups\":[\"rbac.authorization.k8s.io\"],\"resources\":[\"roles\",\"rolebindings\"],"
     "\"verbs\":[\"*\"]}]"},
    {"edit", "[{\"apiGroups\":[\"\"],\"resources\":[\"pods\",\"pods/attach\",\"pods/exec\","
             "\"pods/portforward\",\"pods/eviction\",\"pods/log\",\"pods/status\",\"services\","
             "\"configmaps\",\"secrets\",\"endpoints\",\"events\",\"persistentvolumeclaims\","
             "\"replicationcontrollers\",\"replicationcontrollers/scale\",\"serviceaccounts\"],"
             "\"verbs\":[\"*\"]},{\"apiGroups\":[\"apps\",\"batch\",\"autoscaling\",\"policy\","
             "\"networking.k8s.io\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]}]"},
    {"view",
     "[{\"apiGroups\":[\"\"],\"resources\":[\"pods\",\"pods/log\",\"pods/status\",\"services\","
     "\"configmaps\",\"endpoints\",\"events\",\"limitranges\",\"namespaces\","
     "\"persistentvolumeclaims\",\"replicationcontrollers\",\"resourcequotas\","
     "\"serviceaccounts\"],\"verbs\":[\"get\",\"list\",\"watch\"]},{\"apiGroups\":[\"apps\","
     "\"batch\",\"autoscaling\",\"policy\",\"networking.k8s.io\",\"discovery.k8s.io\"],"
     "\"resources\":[\"*\"],\"verbs\":[\"get\",\"list\",\"watch\"]}]"},
    {"system:basic-user",
     "[{\"apiGroups\":[\"authorization.k8s.io\"],\"resources\":[\"selfsubjectaccessreviews\","
     "\"selfsubjectrulesreviews\"],\"verbs\":[\"create\"]},{\"apiGroups\":"
     "[\"authentication.k8s.io\"],\"resources\":[\"selfsubjectreviews\"],\"verbs\":[\"create\"]}]"},
    {"system:discovery",
     "[{\"nonResourceURLs\":[\"/api\",\"/api/*\",\"/apis\",\"/apis/*\",\"/openapi\","
     "\"/openapi/*\",\"/version\",\"/version/\",\"/healthz\",\"/livez\",\"/readyz\"],"
     "\"verbs\":[\"get\"]}]"},
    {"system:node",
     "[{\"apiGroups\":[\"\"],\"resources\":[\"nodes\",\"nodes/status\",\"pods\",\"pods/status\","
     "\"pods/eviction\",\"events\",\"services\",\"configmaps\",\"secrets\","
     "\"persistentvolumes\",\"persistentvolumeclaims\",\"serviceaccounts\","
     "\"serviceaccounts/token\"],\"verbs\":[\"*\"]},{\"apiGroups\":[\"coordination.k8s.io\"],"
     "\"resources\":[\"leases\"],\"verbs\":[\"*\"]}]"},
    /* Proxy and DNS; the DNS writes the service kube-dns and its own place in it. */
    {"system:network",
     "[{\"apiGroups\":[\"\",\"discovery.k8s.io\"],\"resources\":[\"nodes\",\"services\","
     "\"endpointslices\"],\"verbs\":[\"get\",\"list\",\"watch\"]},"
     "{\"apiGroups\":[\"\"],\"resources\":[\"services\"],\"resourceNames\":[\"kube-dns\"],"
     "\"verbs\":[\"patch\"]},{\"apiGroups\":[\"discovery.k8s.io\"],\"resources\":["
     "\"endpointslices\"],\"verbs\":[\"create\",\"patch\"]}]"},
};

/* ClusterRoleBindings: the role, and the group that has it. */
static const struct {
    const char *name;
    const char *role;
    const char *group;
} bindings[] = {
    {"cluster-admin", "cluster-admin", "system:masters"},
    {"system:basic-user", "system:basic-user", "system:authenticated"},
    {"system:discovery", "system:discovery", "system:authenticated"},
    {"system:node", "system:node", "system:nodes"},
    {"system:network", "system:network", "system:network"},
};

static const struct {
    const char *name;
    int64_t value;
} classes[] = {{"system-cluster-critical", 2000000000}, {"system-node-critical", 2000001000}};

static bool is_missing(const struct reconcile *in, const char *storage, const char *name)
{
    return cache_find(in->cache, storage, "", name) == NULL;
}

static void make_roles(const struct reconcile *in, struct actions *out)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (is_missing(in, "clusterroles", roles[i].name)) {
            json_t *rules = json_loads(roles[i].rules, 0, NULL);
            actions_create(out, controller_kind("clusterroles"),
                           json_pack("{s:{s:s, s:{s:s}}, s:o}", "metadata", "name", roles[i].name,
                                     "labels", "kubernetes.io/bootstrapping", "rbac-defaults",
                                     "rules", rules));
        }
    }
    for (size_t i = 0; i < sizeof(bindings) / sizeof(bindings[0]); i++) {
        if (is_missing(in, "clusterrolebindings", bindings[i].name)) {
            actions_create(
                out, controller_kind("clusterrolebindings"),
                json_pack("{s:{s:s, s:{s:s}}, s:{s:s, s:s, s:s}, s:[{s:s, s:s, s:s}]}", "metadata",
                          "name", bindings[i].name, "labels", "kubernetes.io/bootstrapping",
                          "rbac-defaults", "roleRef", "apiGroup", "rbac.authorization.k8s.io",
                          "kind", "ClusterRole", "name", bindings[i].role, "subjects", "apiGroup",
                          "rbac.authorization.k8s.io", "kind", "Group", "name", bindings[i].group));
        }
    }
}

/* Pods reach the API by this name and address; it has no selector, its endpoints are written by the
 * API servers themselves. */
static void make_service(const struct reconcile *in, struct actions *out)
{
    uint32_t address = in->settings->service_ip_first;
    if (cache_find(in->cache, "services", "default", "kubernetes") != NULL ||
        is_missing(in, "namespaces", "default")) {
        return;
    }
    CLEANUP(free)
    char *text = mem_printf("%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
                            address & 255);
    actions_create(out, controller_kind("services"),
                   json_pack("{s:{s:s, s:s, s:{s:s, s:s}}, s:{s:s, s:s, s:[{s:s, s:i, s:i, s:s}]}}",
                             "metadata", "name", "kubernetes", "namespace", "default", "labels",
                             "component", "apiserver", "provider", "kubernetes", "spec", "type",
                             "ClusterIP", "clusterIP", text, "ports", "name", "https", "port", 443,
                             "targetPort", 6443, "protocol", "TCP"));
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
        if (is_missing(in, "namespaces", namespaces[i])) {
            actions_create(out, controller_kind("namespaces"),
                           json_pack("{s:{s:s}}", "metadata", "name", namespaces[i]));
        }
    }
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (is_missing(in, "priorityclasses", classes[i].name)) {
            actions_create(out, controller_kind("priorityclasses"),
                           json_pack("{s:{s:s}, s:I}", "metadata", "name", classes[i].name, "value",
                                     (json_int_t)classes[i].value));
        }
    }
    make_roles(in, out);
    make_service(in, out);
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    (void)cache;
    static const char *const watched[] = {"namespaces", "priorityclasses", "clusterroles",
                                          "clusterrolebindings", "services"};
    bool matters = event->type == CACHE_DELETED || strcmp(storage, "namespaces") == 0;
    for (size_t i = 0; matters && i < sizeof(watched) / sizeof(watched[0]); i++) {
        if (strcmp(storage, watched[i]) == 0) {
            wake_key(wakeups, "", "cluster");
        }
    }
}

const struct controller controller_bootstrap = {
    .name = "bootstrap-controller", .storage = NULL, .wake = wake, .reconcile = reconcile};
