#include "orchestrator/scheduler/node_info.h"

#include <string.h>

static bool is_common(const char *name)
{
    return strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0 ||
           strcmp(name, "ephemeral-storage") == 0 || strcmp(name, "pods") == 0;
}

static void add_extended(struct resource_amounts *amounts, const char *name, int64_t value)
{
    if (amounts->extended == NULL) {
        amounts->extended = json_object();
    }
    json_t *found = json_object_get(amounts->extended, name);
    int64_t old = found == NULL ? 0 : json_integer_value(found);
    json_object_set_new(amounts->extended, name, json_integer(old + value));
}

static void add_map(struct resource_amounts *amounts, const json_t *map)
{
    amounts->cpu_milli += quantity_to_milli(quantity_in(map, "cpu"));
    amounts->memory_bytes += quantity_to_units(quantity_in(map, "memory"));
    amounts->storage_bytes += quantity_to_units(quantity_in(map, "ephemeral-storage"));
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(map), name, value)
    {
        if (!is_common(name)) {
            add_extended(amounts, name, quantity_to_units(quantity_in(map, name)));
        }
    }
}

static void raise_to(int64_t *amount, int64_t least)
{
    *amount = *amount < least ? least : *amount;
}

void pod_requests(const json_t *pod, struct resource_amounts *ret)
{
    *ret = (struct resource_amounts){0};
    const json_t *containers = tree_find(pod, "spec.containers");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        add_map(ret, tree_find(json_array_get(containers, i), "resources.requests"));
    }
    const json_t *inits = tree_find(pod, "spec.initContainers");
    for (size_t i = 0; i < json_array_size(inits); i++) {
        const json_t *init = json_array_get(inits, i);
        if (tree_has_text(init, "restartPolicy", "Always")) {
            add_map(ret, tree_find(init, "resources.requests")); /* a sidecar stays */
        }
    }
    for (size_t i = 0; i < json_array_size(inits); i++) {
        struct resource_amounts one = {0};
        add_map(&one, tree_find(json_array_get(inits, i), "resources.requests"));
        raise_to(&ret->cpu_milli, one.cpu_milli);
        raise_to(&ret->memory_bytes, one.memory_bytes);
        raise_to(&ret->storage_bytes, one.storage_bytes);
        resource_amounts_deinit(&one);
    }
    add_map(ret, tree_find(pod, "spec.overhead"));
}

void resource_amounts_deinit(struct resource_amounts *amounts)
{
    json_decref(amounts->extended);
    amounts->extended = NULL;
}

void node_info_change_used(struct node_info *info, const struct resource_amounts *amounts, int sign)
{
    info->used.cpu_milli += sign * amounts->cpu_milli;
    info->used.memory_bytes += sign * amounts->memory_bytes;
    info->used.storage_bytes += sign * amounts->storage_bytes;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(amounts->extended, name, value)
    {
        add_extended(&info->used, name, sign * json_integer_value(value));
    }
}

void node_table_init(struct node_table *table)
{
    *table = (struct node_table){0};
    bytes_map_init(&table->by_name);
    bytes_map_init(&table->node_of_pod);
}

static void pod_info_free(struct pod_info *info)
{
    json_decref(info->pod);
    json_decref(info->host_ports);
    resource_amounts_deinit(&info->requests);
    mem_free(info);
}

static void node_info_free(struct node_info *info)
{
    for (size_t i = 0; i < info->pod_count; i++) {
        pod_info_free(info->pods[i]);
    }
    mem_free(info->pods);
    resource_amounts_deinit(&info->allocatable);
    resource_amounts_deinit(&info->used);
    bytes_map_deinit(&info->images);
    json_decref(info->node);
    mem_free(info->name);
    mem_free(info);
}

void node_table_deinit(struct node_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        node_info_free(table->nodes[i]);
    }
    mem_free(table->nodes);
    bytes_map_deinit(&table->by_name);
    bytes_map_deinit(&table->node_of_pod);
    *table = (struct node_table){0};
}

struct node_info *node_table_find(const struct node_table *table, const char *name)
{
    return bytes_map_find(&table->by_name, bytes_from_text(name));
}

static struct node_info *make_info(struct node_table *table, const char *name)
{
    struct node_info *info = node_table_find(table, name);
    if (info != NULL) {
        return info;
    }
    info = mem_zalloc(sizeof(*info));
    info->name = mem_strdup(name);
    bytes_map_init(&info->images);
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        table->nodes = mem_reallocarray(table->nodes, table->capacity, sizeof(table->nodes[0]));
    }
    table->nodes[table->count++] = info;
    (void)bytes_map_set(&table->by_name, bytes_from_text(name), info);
    return info;
}

json_t *pod_host_ports(const json_t *pod)
{
    json_t *ports = NULL;
    const json_t *containers = tree_find(pod, "spec.containers");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        const json_t *list = json_object_get(json_array_get(containers, i), "ports");
        for (size_t k = 0; k < json_array_size(list); k++) {
            if (tree_int(json_array_get(list, k), "hostPort", 0) != 0) {
                ports = ports == NULL ? json_array() : ports;
                json_array_append(ports, json_array_get(list, k));
            }
        }
    }
    return ports;
}

static void set_images(struct node_info *info, const json_t *node)
{
    bytes_map_deinit(&info->images);
    bytes_map_init(&info->images);
    const json_t *images = tree_find(node, "status.images");
    for (size_t i = 0; i < json_array_size(images); i++) {
        const json_t *names = json_object_get(json_array_get(images, i), "names");
        for (size_t k = 0; k < json_array_size(names); k++) {
            const char *name = json_string_value(json_array_get(names, k));
            if (name != NULL) {
                (void)bytes_map_set(&info->images, bytes_from_text(name), info);
            }
        }
    }
}

void node_table_set_node(struct node_table *table, const json_t *node)
{
    struct node_info *info = make_info(table, object_name(node));
    json_decref(info->node);
    info->node = json_incref(tree_mutable(node));
    const json_t *allocatable = tree_find(node, "status.allocatable");
    resource_amounts_deinit(&info->allocatable);
    info->allocatable = (struct resource_amounts){0};
    add_map(&info->allocatable, allocatable);
    info->labels = object_labels(node);
    info->has_taints = tree_count(node, "spec.taints") > 0;
    info->is_unschedulable = tree_bool(node, "spec.unschedulable", false);
    set_images(info, node);
    info->pods_max = quantity_to_units(quantity_in(allocatable, "pods"));
}

void node_table_remove_node(struct node_table *table, const char *name)
{
    struct node_info *info = node_table_find(table, name);
    if (info == NULL) {
        return;
    }
    json_decref(info->node);
    info->labels = NULL;
    info->node = NULL; /* its pods may still be there for a while */
}

static void drop_pod(struct node_table *table, struct node_info *info, const char *uid)
{
    for (size_t i = 0; i < info->pod_count; i++) {
        if (tree_has_text(info->pods[i]->pod, "metadata.uid", uid)) {
            node_info_change_used(info, &info->pods[i]->requests, -1);
            info->refusing_count -= (info->pods[i]->refusals != NULL);
            table->refusing_count -= (info->pods[i]->refusals != NULL);
            pod_info_free(info->pods[i]);
            info->pods[i] = info->pods[--info->pod_count];
            return;
        }
    }
}

void node_table_remove_pod(struct node_table *table, const char *uid)
{
    struct node_info *info = bytes_map_remove(&table->node_of_pod, bytes_from_text(uid));
    if (info != NULL) {
        drop_pod(table, info, uid);
    }
}

void node_table_set_pod(struct node_table *table, const json_t *pod, const char *node_name)
{
    const char *uid = object_uid(pod);
    if (uid == NULL) {
        return;
    }
    node_table_remove_pod(table, uid);
    struct node_info *info = make_info(table, node_name);
    struct pod_info *pod_info = mem_zalloc(sizeof(*pod_info));
    pod_info->pod = json_incref(tree_mutable(pod));
    pod_info->priority = tree_int(pod, "spec.priority", 0);
    pod_info->controller_uid = tree_text(object_controller(pod), "uid");
    pod_info->controller_hash = pod_info->controller_uid == NULL
                                    ? 0
                                    : bytes_hash(bytes_from_text(pod_info->controller_uid));
    pod_info->host_ports = pod_host_ports(pod);
    bool is_lowest = info->pod_count == 0 || pod_info->priority < info->least_priority;
    info->least_priority = is_lowest ? pod_info->priority : info->least_priority;
    pod_info->namespace = object_namespace(pod);
    pod_info->labels = object_labels(pod);
    pod_info->is_deleting = object_is_deleting(pod);
    pod_info->refusals = tree_find(
        pod, "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution");
    info->refusing_count += pod_info->refusals != NULL;
    table->refusing_count += pod_info->refusals != NULL;
    pod_requests(pod, &pod_info->requests);
    if (info->pod_count == info->pod_capacity) {
        info->pod_capacity = info->pod_capacity == 0 ? 8 : info->pod_capacity * 2;
        info->pods = mem_reallocarray(info->pods, info->pod_capacity, sizeof(info->pods[0]));
    }
    info->pods[info->pod_count++] = pod_info;
    node_info_change_used(info, &pod_info->requests, 1);
    (void)bytes_map_set(&table->node_of_pod, bytes_from_text(uid), info);
}
