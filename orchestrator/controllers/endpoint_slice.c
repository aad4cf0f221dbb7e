/* endpoint_slice.c - where the pods behind a service are: EndpointSlices, and Endpoints for older
 * clients. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/names.h"
#include "orchestrator/objects/selector.h"

enum { SLICE_ENDPOINTS_MAX = 100 };
#define LABEL_SERVICE "kubernetes.io/service-name"
#define LABEL_MANAGER "endpointslice.kubernetes.io/managed-by"
#define MANAGER "endpointslice-controller.k8s.io"

/* The number that a target port means in this pod; 0 when the pod has no port of that name. */
static int64_t target_port(const json_t *pod, const json_t *service_port)
{
    const json_t *target = json_object_get(service_port, "targetPort");
    if (!json_is_string(target)) {
        return json_is_integer(target) && json_integer_value(target) != 0
                   ? json_integer_value(target)
                   : tree_int(service_port, "port", 0);
    }
    const json_t *containers = tree_find(pod, "spec.containers");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        const json_t *port = tree_find_item(json_object_get(json_array_get(containers, i), "ports"),
                                            "name", json_string_value(target));
        if (port != NULL) {
            return tree_int(port, "containerPort", 0);
        }
    }
    return 0;
}

static json_t *ports_of(const json_t *service, const json_t *pod)
{
    json_t *ports = json_array();
    const json_t *service_ports = tree_find(service, "spec.ports");
    for (size_t i = 0; i < json_array_size(service_ports); i++) {
        const json_t *service_port = json_array_get(service_ports, i);
        int64_t number = target_port(pod, service_port);
        if (number == 0) {
            continue;
        }
        json_t *port =
            json_pack("{s:s, s:i, s:s}", "name", tree_text_or(service_port, "name", ""), "port",
                      (int)number, "protocol", tree_text_or(service_port, "protocol", "TCP"));
        if (tree_text(service_port, "appProtocol") != NULL) {
            tree_set_copy(port, "appProtocol", json_object_get(service_port, "appProtocol"));
        }
        json_array_append_new(ports, port);
    }
    return ports;
}

static json_t *endpoint_of(const struct reconcile *in, const json_t *service, const json_t *pod)
{
    bool serves = pod_is_ready(pod);
    bool is_ending = object_is_deleting(pod);
    bool publishes = tree_bool(service, "spec.publishNotReadyAddresses", false);
    json_t *endpoint =
        json_pack("{s:[s], s:{s:b, s:b, s:b}, s:{s:s, s:s, s:s, s:s}}", "addresses",
                  tree_text_or(pod, "status.podIP", ""), "conditions", "ready",
                  publishes || (serves && !is_ending), "serving", serves, "terminating", is_ending,
                  "targetRef", "kind", "Pod", "namespace", object_namespace(pod), "name",
                  object_name(pod), "uid", object_uid(pod));
    const char *node_name = tree_text_or(pod, "spec.nodeName", "");
    if (*node_name != '\0') {
        tree_set_text(endpoint, "nodeName", node_name);
        const json_t *node = cache_find(in->cache, "nodes", "", node_name);
        const char *zone = object_label(node, "topology.kubernetes.io/zone");
        if (zone != NULL) {
            tree_set_text(endpoint, "zone", zone);
        }
    }
    const char *hostname = tree_text(pod, "spec.hostname");
    if (hostname != NULL && tree_has_text(pod, "spec.subdomain", object_name(service))) {
        tree_set_text(endpoint, "hostname", hostname);
    }
    return endpoint;
}

static bool is_backend(const json_t *service, const json_t *pod)
{
    return *tree_text_or(pod, "status.podIP", "") != '\0' && !pod_is_finished(pod) &&
           label_map_matches(tree_find(service, "spec.selector"), object_labels(pod));
}

/* Groups of endpoints with the same ports: [{"ports":[...],"endpoints":[...]}]. */
static json_t *collect(const struct reconcile *in, const json_t *service)
{
    json_t *groups = json_array();
    struct cache_cursor c = cache_list(in->cache, "pods", in->namespace);
    while (cache_next(&c)) {
        if (!is_backend(service, c.object)) {
            continue;
        }
        CLEANUP(json) json_t *ports = ports_of(service, c.object);
        json_t *group = NULL;
        for (size_t i = 0; i < json_array_size(groups) && group == NULL; i++) {
            json_t *candidate = json_array_get(groups, i);
            bool has_room = tree_count(candidate, "endpoints") < SLICE_ENDPOINTS_MAX &&
                            tree_equal(json_object_get(candidate, "ports"), ports);
            group = has_room ? candidate : NULL;
        }
        if (group == NULL) {
            group = json_pack("{s:O, s:[]}", "ports", ports, "endpoints");
            json_array_append_new(groups, group);
        }
        json_array_append_new(json_object_get(group, "endpoints"),
                              endpoint_of(in, service, c.object));
    }
    if (json_array_size(groups) == 0) {
        json_array_append_new(
            groups, json_pack("{s:o, s:[]}", "ports", ports_of(service, NULL), "endpoints"));
    }
    return groups;
}

static json_t *make_slice(const json_t *service, const json_t *group)
{
    CLEANUP(free) char *base = mem_printf("%s-", object_name(service));
    json_t *slice = json_pack(
        "{s:{s:s, s:s, s:{s:s, s:s}, s:[o]}, s:s, s:O, s:O}", "metadata", "generateName", base,
        "namespace", object_namespace(service), "labels", LABEL_SERVICE, object_name(service),
        LABEL_MANAGER, MANAGER, "ownerReferences", owner_reference(service), "addressType", "IPv4",
        "endpoints", json_object_get(group, "endpoints"), "ports", json_object_get(group, "ports"));
    if (tree_has_text(service, "spec.clusterIP", "None")) {
        object_set_label(slice, "service.kubernetes.io/headless", "");
    }
    return slice;
}

/* The n-th slice of the service gets the n-th group; more slices are made, spare ones go. */
static void write_slices(const struct reconcile *in, const json_t *service, const json_t *groups,
                         struct actions *out)
{
    const struct kind *kind = controller_kind("endpointslices");
    size_t at = 0;
    struct cache_cursor c = cache_list(in->cache, "endpointslices", in->namespace);
    while (cache_next(&c)) {
        const char *label = object_label(c.object, LABEL_SERVICE);
        const char *manager = object_label(c.object, LABEL_MANAGER);
        if (label == NULL || strcmp(label, object_name(service)) != 0 || manager == NULL ||
            strcmp(manager, MANAGER) != 0) {
            continue;
        }
        const json_t *group = json_array_get(groups, at++);
        if (group == NULL) {
            actions_delete(out, kind, c.object, NULL);
            continue;
        }
        const json_t *endpoints = json_object_get(group, "endpoints");
        const json_t *old = json_object_get(c.object, "endpoints");
        bool is_same =
            (tree_equal(old, endpoints) || (tree_is_empty(old) && tree_is_empty(endpoints))) &&
            (tree_equal(json_object_get(c.object, "ports"), json_object_get(group, "ports")) ||
             tree_count(group, "ports") == 0);
        if (!is_same) {
            json_t *next = json_deep_copy(c.object);
            tree_set_copy(next, "endpoints", endpoints);
            tree_set_copy(next, "ports", json_object_get(group, "ports"));
            actions_update(out, kind, next);
        }
    }
    for (; at < json_array_size(groups); at++) {
        actions_create(out, kind, make_slice(service, json_array_get(groups, at)));
    }
}

static json_t *make_subset(const json_t *group)
{
    json_t *ready = json_array();
    json_t *not_ready = json_array();
    const json_t *endpoints = json_object_get(group, "endpoints");
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *endpoint = json_array_get(endpoints, i);
        json_t *address =
            json_pack("{s:O, s:O}", "ip", json_array_get(json_object_get(endpoint, "addresses"), 0),
                      "targetRef", json_object_get(endpoint, "targetRef"));
        tree_set_copy(address, "nodeName", json_object_get(endpoint, "nodeName"));
        bool is_ready = tree_bool(endpoint, "conditions.ready", false);
        bool is_ending = tree_bool(endpoint, "conditions.terminating", false);
        if (is_ending && !is_ready) {
            json_decref(address);
        } else {
            json_array_append_new(is_ready ? ready : not_ready, address);
        }
    }
    json_t *subset = json_pack("{s:O}", "ports", json_object_get(group, "ports"));
    if (json_array_size(ready) > 0) {
        json_object_set(subset, "addresses", ready);
    }
    if (json_array_size(not_ready) > 0) {
        json_object_set(subset, "notReadyAddresses", not_ready);
    }
    bool is_empty = json_object_size(subset) == 1;
    json_decref(ready);
    json_decref(not_ready);
    if (is_empty) {
        json_decref(subset);
        return NULL;
    }
    json_t *ports = json_object_get(subset, "ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        json_t *port = json_array_get(ports, i);
        if (tree_has_text(port, "name", "")) {
            json_t *plain = json_deep_copy(port);
            tree_remove(plain, "name");
            json_array_set_new(ports, i, plain);
        }
    }
    return subset;
}

static void write_endpoints(const struct reconcile *in, const json_t *service, const json_t *groups,
                            struct actions *out)
{
    const struct kind *kind = controller_kind("endpoints");
    CLEANUP(json) json_t *subsets = json_array();
    CLEANUP(json) json_t *copy = json_deep_copy(groups);
    for (size_t i = 0; i < json_array_size(copy); i++) {
        json_t *subset = make_subset(json_array_get(copy, i));
        if (subset != NULL) {
            json_array_append_new(subsets, subset);
        }
    }
    const json_t *old = cache_find(in->cache, "endpoints", in->namespace, in->name);
    if (old == NULL) {
        actions_create(out, kind,
                       json_pack("{s:{s:s, s:s}, s:O}", "metadata", "name", in->name, "namespace",
                                 in->namespace, "subsets", subsets));
        return;
    }
    const json_t *found = json_object_get(old, "subsets");
    if (!tree_equal(found, subsets) && !(tree_is_empty(found) && tree_is_empty(subsets))) {
        json_t *next = json_deep_copy(old);
        json_object_set(next, "subsets", subsets);
        actions_update(out, kind, next);
    }
    (void)service;
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *service = cache_find(in->cache, "services", in->namespace, in->name);
    if (service == NULL) {
        const json_t *endpoints = cache_find(in->cache, "endpoints", in->namespace, in->name);
        if (endpoints != NULL) {
            actions_delete(out, controller_kind("endpoints"), endpoints, NULL);
        }
        return; /* its slices have it as owner */
    }
    if (tree_count(service, "spec.selector") == 0 || object_is_deleting(service) ||
        tree_has_text(service, "spec.type", "ExternalName")) {
        return;
    }
    CLEANUP(json) json_t *groups = collect(in, service);
    write_slices(in, service, groups, out);
    write_endpoints(in, service, groups, out);
}

static void wake_services(const struct cache *cache, const json_t *pod,
                          const struct wakeups *wakeups)
{
    struct cache_cursor c = cache_list(cache, "services", object_namespace(pod));
    while (pod != NULL && cache_next(&c)) {
        if (label_map_matches(tree_find(c.object, "spec.selector"), object_labels(pod))) {
            wake_object(wakeups, c.object);
        }
    }
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    if (strcmp(storage, "services") == 0) {
        wake_object(wakeups, event->object);
    } else if (strcmp(storage, "pods") == 0) {
        wake_services(cache, event->object, wakeups);
        wake_services(cache, event->previous, wakeups);
    } else if (strcmp(storage, "endpointslices") == 0) {
        const char *service = object_label(event->object, LABEL_SERVICE);
        if (service != NULL) {
            wake_key(wakeups, object_namespace(event->object), service);
        }
    } else if (strcmp(storage, "endpoints") == 0 && event->type == CACHE_DELETED) {
        wake_object(wakeups, event->object);
    }
}

const struct controller controller_endpoint_slice = {.name = "endpointslice-controller",
                                                     .storage = "services",
                                                     .wake = wake,
                                                     .reconcile = reconcile};
