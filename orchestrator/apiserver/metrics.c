/* metrics.c - metrics.k8s.io: what nodes and pods use now, asked of the nodes' agents. */
#include <string.h>

#include "orchestrator/apiserver/call.h"
#include "orchestrator/apiserver/forward.h"
#include "orchestrator/objects/quantity.h"

/* One request, while the agents answer. */
struct metrics {
    struct call *call; /* a reference */
    struct label_selector selector;
    json_t *items;
    size_t pending;
    bool is_pods;
};

/* {"cpuNano","memoryBytes"} as the API writes it; new. */
static json_t *usage_of(const json_t *amounts)
{
    char memory[QUANTITY_TEXT_SIZE];
    quantity bytes = quantity_from_units(tree_int(amounts, "memoryBytes", 0) / 1024 * 1024);
    return json_pack("{s:o, s:s}", "cpu",
                     json_sprintf("%lldn", (long long)tree_int(amounts, "cpuNano", 0)), "memory",
                     quantity_print(bytes, QUANTITY_BINARY, memory));
}

static void add_item(struct metrics *metrics, const json_t *stats, const char *kind,
                     json_t *take_metadata, const char *field, json_t *take_value)
{
    json_t *item =
        json_pack("{s:s, s:s, s:o, s:s, s:s}", "kind", kind, "apiVersion", "metrics.k8s.io/v1beta1",
                  "metadata", take_metadata, "timestamp", tree_text_or(stats, "timestamp", ""),
                  "window", tree_text_or(stats, "window", "0s"));
    tree_set_text(item, "metadata.creationTimestamp", tree_text_or(stats, "timestamp", ""));
    json_object_set_new(item, field, take_value);
    json_array_append_new(metrics->items, item);
}

static void add_node(struct metrics *metrics, const json_t *stats)
{
    const char *name = tree_text_or(stats, "name", "");
    const struct cache *cache = registry_cache(metrics->call->server->options.registry);
    const json_t *labels = object_labels(cache_find(cache, "nodes", "", name));
    if (label_selector_matches(&metrics->selector, labels)) {
        json_t *metadata = json_pack("{s:s}", "name", name);
        tree_set_copy(metadata, "labels", labels);
        add_item(metrics, stats, "NodeMetrics", metadata, "usage",
                 usage_of(json_object_get(stats, "node")));
    }
}

static void add_pod(struct metrics *metrics, const json_t *stats, const json_t *pod)
{
    const struct call *call = metrics->call;
    const struct cache *cache = registry_cache(call->server->options.registry);
    const char *namespace = tree_text_or(pod, "namespace", "");
    const char *name = tree_text_or(pod, "name", "");
    const json_t *labels = object_labels(cache_find(cache, "pods", namespace, name));
    const char *wanted = call->request.namespace;
    if ((*wanted != '\0' && strcmp(wanted, namespace) != 0) ||
        (*call->request.name != '\0' && strcmp(call->request.name, name) != 0) ||
        !label_selector_matches(&metrics->selector, labels)) {
        return;
    }
    json_t *containers = json_array();
    const json_t *list = json_object_get(pod, "containers");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        json_array_append_new(
            containers,
            json_pack("{s:s, s:o}", "name", tree_text_or(one, "name", ""), "usage", usage_of(one)));
    }
    json_t *metadata = json_pack("{s:s, s:s}", "name", name, "namespace", namespace);
    tree_set_copy(metadata, "labels", labels);
    add_item(metrics, stats, "PodMetrics", metadata, "containers", containers);
}

static void reply(struct metrics *metrics)
{
    struct call *call = metrics->call;
    bool is_one = *call->request.name != '\0';
    if (is_one && json_array_size(metrics->items) == 0) {
        const struct status_subject subject = kind_subject(call->request.kind, call->request.name);
        call_refuse(call, status_not_found(&subject));
    } else if (is_one) {
        call_reply(call, 200, json_array_get(metrics->items, 0));
    } else {
        CLEANUP(json)
        json_t *list =
            json_pack("{s:s, s:s, s:{}, s:O}", "kind", call->request.kind->list_kind, "apiVersion",
                      "metrics.k8s.io/v1beta1", "metadata", "items", metrics->items);
        call_reply(call, 200, list);
    }
    label_selector_deinit(&metrics->selector);
    json_decref(metrics->items);
    call_unref(call);
    mem_free(metrics);
}

static void on_stats(void *context, int code, const json_t *stats)
{
    struct metrics *metrics = context;
    const json_t *pods = json_object_get(stats, "pods");
    /* A node that does not answer is left out, as metrics-server does. */
    if (code == 200 && !metrics->is_pods) {
        add_node(metrics, stats);
    }
    for (size_t i = 0; code == 200 && metrics->is_pods && i < json_array_size(pods); i++) {
        add_pod(metrics, stats, json_array_get(pods, i));
    }
    if (--metrics->pending == 0) {
        reply(metrics);
    }
}

void call_serve_metrics(struct call *call)
{
    const struct forwarder *forwarder = call->server->options.forwarder;
    const char *labels = route_query(&call->route, "labelSelector");
    bool is_pods = strcmp(call->request.kind->storage, "metrics.pods") == 0;
    if (forwarder == NULL) {
        call_refuse(call,
                    status_new(503, "ServiceUnavailable", "the nodes cannot be reached from here"));
        return;
    }
    struct metrics *metrics = mem_zalloc(sizeof(*metrics));
    label_selector_init(&metrics->selector);
    json_t *refusal = label_selector_parse(&metrics->selector, labels == NULL ? "" : labels);
    if (refusal != NULL) {
        call_refuse(call, refusal);
        label_selector_deinit(&metrics->selector);
        mem_free(metrics);
        return;
    }
    call_ref(call);
    metrics->call = call;
    metrics->items = json_array();
    metrics->is_pods = is_pods;
    metrics->pending = 1;
    struct cache_cursor c = cache_list(registry_cache(forwarder->registry), "nodes", "");
    while (cache_next(&c)) {
        const char *node = object_name(c.object);
        if (is_pods || *call->request.name == '\0' || strcmp(call->request.name, node) == 0) {
            metrics->pending++;
            forward_get(forwarder, node, "/stats", on_stats, metrics);
        }
    }
    if (--metrics->pending == 0) {
        reply(metrics); /* no nodes */
    }
}
