#include "orchestrator/agent/node.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"

enum {
    LEASE_S = 40,
    RENEW_MS = 10 * 1000,
    RETRY_MS = 500,
    STATUS_EACH = 30, /* renewals: 5 minutes */
};

#define NODE_VERSION "v1.32.0-coracle"

struct node {
    struct node_options options;
    struct api_watch *watch;
    struct timer register_timer;
    struct timer renew_timer;
    json_t *object; /* the API's; NULL before */
    json_t *images; /* NULL before */
    char *network_message;
    bool is_network_ready;
    bool has_range;
    bool has_pressure[3]; /* memory, disk, pids */
    bool is_sending;
    bool is_dirty;
    bool is_registered;
    bool has_lease;
    unsigned renewals;
};

int64_t node_machine_cpu_milli(void)
{
    return sysconf(_SC_NPROCESSORS_ONLN) * 1000;
}

int64_t node_machine_memory_bytes(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* ---- status ---- */

static void add_condition(const struct node *node, json_t *list, const char *type, bool is_true,
                          const char *reason, const char *message)
{
    char now[TIMESTAMP_SIZE];
    const json_t *old = object_condition(node->object, type);
    const char *status = is_true ? "True" : "False";
    timestamp_format(clock_realtime_ms(), now);
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", type, "status",
                                          status, "lastHeartbeatTime", now, "lastTransitionTime",
                                          tree_has_text(old, "status", status)
                                              ? tree_text_or(old, "lastTransitionTime", now)
                                              : now,
                                          "reason", reason, "message", message));
}

static json_t *make_conditions(const struct node *node)
{
    json_t *list = json_array();
    const bool *pressure = node->has_pressure;
    add_condition(node, list, "MemoryPressure", pressure[0],
                  pressure[0] ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
                  pressure[0] ? "kubelet has insufficient memory available"
                              : "kubelet has sufficient memory available");
    add_condition(node, list, "DiskPressure", pressure[1],
                  pressure[1] ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
                  pressure[1] ? "kubelet has disk pressure" : "kubelet has no disk pressure");
    add_condition(node, list, "PIDPressure", pressure[2],
                  pressure[2] ? "KubeletHasInsufficientPID" : "KubeletHasSufficientPID",
                  pressure[2] ? "kubelet has insufficient PID available"
                              : "kubelet has sufficient PID available");
    add_condition(node, list, "Ready", node->is_network_ready,
                  node->is_network_ready ? "KubeletReady" : "KubeletNotReady",
                  node->is_network_ready ? "kubelet is posting ready status"
                                         : node->network_message);
    return list;
}

static json_t *make_amounts(const struct node *node)
{
    char cpu[QUANTITY_TEXT_SIZE];
    char memory[QUANTITY_TEXT_SIZE];
    char storage[QUANTITY_TEXT_SIZE];
    char pods[QUANTITY_TEXT_SIZE];
    struct statvfs about = {.f_blocks = 0};
    int64_t disk_bytes = statvfs(node->options.data_dir, &about) == 0
                             ? (int64_t)about.f_blocks * (int64_t)about.f_frsize
                             : 0;
    return json_pack(
        "{s:s, s:s, s:s, s:s}", "cpu",
        quantity_print(quantity_from_milli(node->options.cpu_milli), QUANTITY_DECIMAL, cpu),
        "memory",
        quantity_print(quantity_from_units(node->options.memory_bytes / 1024 * 1024),
                       QUANTITY_BINARY, memory),
        "ephemeral-storage",
        quantity_print(quantity_from_units(disk_bytes / 1024 * 1024), QUANTITY_BINARY, storage),
        "pods",
        quantity_print(quantity_from_units(node->options.pods_max), QUANTITY_DECIMAL, pods));
}

static void read_line(const char *path, const char *prefix, char *text, size_t size)
{
    CLEANUP(file) FILE *file = fopen(path, "re");
    char line[400];
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        size_t skip = strlen(prefix);
        if (strncmp(line, prefix, skip) == 0) {
            const char *at = line + skip + (line[skip] == '"');
            (void)snprintf(text, size, "%.*s", (int)strcspn(at, "\"\n"), at);
            return;
        }
    }
}

static json_t *make_info(void)
{
    struct utsname about = {.release = ""};
    char boot[64] = "";
    char machine[64] = "";
    char system[200] = "Linux";
    (void)uname(&about); /* it can only fail for a bad pointer */
    read_line("/proc/sys/kernel/random/boot_id", "", boot, sizeof(boot));
    read_line("/etc/machine-id", "", machine, sizeof(machine));
    read_line("/etc/os-release", "PRETTY_NAME=", system, sizeof(system));
    const char *architecture = strcmp(about.machine, "x86_64") == 0    ? "amd64"
                               : strcmp(about.machine, "aarch64") == 0 ? "arm64"
                                                                       : about.machine;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "machineID", machine,
                     "systemUUID", machine, "bootID", boot, "kernelVersion", about.release,
                     "osImage", system, "containerRuntimeVersion", "coracle://1.0",
                     "kubeletVersion", NODE_VERSION, "kubeProxyVersion", NODE_VERSION,
                     "operatingSystem", "linux", "architecture", architecture);
}

static json_t *make_status(const struct node *node)
{
    json_t *status = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:{s:{s:i}}}", "conditions", make_conditions(node), "addresses",
        json_pack("[{s:s, s:s}, {s:s, s:s}]", "type", "InternalIP", "address", node->options.ip,
                  "type", "Hostname", "address", node->options.name),
        "capacity", make_amounts(node), "allocatable", make_amounts(node), "nodeInfo", make_info(),
        "daemonEndpoints", "kubeletEndpoint", "Port", (int)node->options.port);
    if (node->images != NULL) {
        json_object_set(status, "images", node->images);
    }
    return status;
}

static void send_status(struct node *node);

static void on_status(void *context, int code, const json_t *body)
{
    struct node *node = context;
    (void)body;
    node->is_sending = false;
    if (code == 404) {
        node->is_registered = false;
        struct timers *timers = wire_loop_timers(node->options.wire);
        timers_set(timers, &node->register_timer, timers->now_ms + RETRY_MS);
    } else if (node->is_dirty || code != 200) {
        node->is_dirty = false;
        if (code == 200) {
            send_status(node);
        } else {
            node->renewals = 0; /* with the next renewal */
        }
    }
}

/* Conditions are merged by their type, so that those of others stay. */
static void send_status(struct node *node)
{
    if (node->is_sending || !node->is_registered) {
        node->is_dirty = true;
        return;
    }
    CLEANUP(json) json_t *body = json_pack("{s:o}", "status", make_status(node));
    CLEANUP(free) char *path = mem_printf("/api/v1/nodes/%s/status", node->options.name);
    const struct api_request request = {
        .method = "PATCH", .path = path, .type = API_STRATEGIC_PATCH, .body = body};
    node->is_sending = true;
    api_call(node->options.api, &request, on_status, node);
}

/* ---- lease ---- */

static void on_renewed(void *context, int code, const json_t *body)
{
    struct node *node = context;
    struct timers *timers = wire_loop_timers(node->options.wire);
    (void)body;
    node->has_lease = code == 200 || code == 201 || code == 409;
    timers_set(timers, &node->renew_timer,
               timers->now_ms + (uint64_t)(node->has_lease ? RENEW_MS : RETRY_MS));
}

static void renew(struct node *node)
{
    char now[TIMESTAMP_SIZE];
    timestamp_format_micro(clock_realtime_ms(), now);
    CLEANUP(json)
    json_t *body =
        json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:i, s:s}}", "apiVersion",
                  "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name", node->options.name,
                  "namespace", "kube-node-lease", "spec", "holderIdentity", node->options.name,
                  "leaseDurationSeconds", LEASE_S, "renewTime", now);
    if (node->object != NULL) {
        tree_set(body, "metadata.ownerReferences",
                 json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion", "v1", "kind", "Node", "name",
                           node->options.name, "uid", object_uid(node->object)));
    }
    CLEANUP(free)
    char *path = mem_printf("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases%s%s",
                            node->has_lease ? "/" : "", node->has_lease ? node->options.name : "");
    const struct api_request request = {.method = node->has_lease ? "PATCH" : "POST",
                                        .path = path,
                                        .type = node->has_lease ? API_MERGE_PATCH : NULL,
                                        .body = body};
    api_call(node->options.api, &request, on_renewed, node);
}

static void on_renew_timer(struct timer *timer)
{
    struct node *node = container_of(timer, struct node, renew_timer);
    renew(node);
    if (node->renewals++ % STATUS_EACH == 0 && node->is_registered) {
        send_status(node);
    }
}

/* ---- registration ---- */

static void add_labels(const struct node *node, json_t *labels)
{
    CLEANUP(free) char *copy = mem_strdup(node->options.labels);
    char *rest = copy;
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        char *value = strchr(part, '=');
        if (value != NULL) {
            *value++ = '\0';
            json_object_set_new(labels, part, json_string(value));
        }
    }
}

static json_t *make_node(const struct node *node)
{
    json_t *info = make_info();
    const char *architecture = tree_text_or(info, "architecture", "amd64");
    json_t *object =
        json_pack("{s:s, s:s, s:{s:s, s:{s:s, s:s, s:s, s:s, s:s}}, s:{}, s:o}", "apiVersion", "v1",
                  "kind", "Node", "metadata", "name", node->options.name, "labels",
                  "kubernetes.io/hostname", node->options.name, "kubernetes.io/os", "linux",
                  "kubernetes.io/arch", architecture, "beta.kubernetes.io/os", "linux",
                  "beta.kubernetes.io/arch", architecture, "spec", "status", make_status(node));
    json_decref(info);
    add_labels(node, tree_find(object, "metadata.labels"));
    if (node->options.pod_cidr != NULL) {
        tree_set_text(object, "spec.podCIDR", node->options.pod_cidr);
        tree_set(object, "spec.podCIDRs", json_pack("[s]", node->options.pod_cidr));
    }
    return object;
}

static void on_registered(void *context, int code, const json_t *body)
{
    struct node *node = context;
    struct timers *timers = wire_loop_timers(node->options.wire);
    if (code == 201 || code == 409) {
        log_info(code == 201 ? "registered the node" : "the node is known already",
                 LOG_TEXT("node", node->options.name));
        node->is_registered = true;
        if (code == 201 && node->object == NULL) {
            node->object = json_incref(tree_mutable(body));
        }
        send_status(node);
        return;
    }
    if (code != 0) {
        log_warn("cannot register the node", LOG_I64("code", code),
                 LOG_TEXT("reason", tree_text_or(body, "message", "")));
    }
    timers_set(timers, &node->register_timer, timers->now_ms + RETRY_MS);
}

static void on_register_timer(struct timer *timer)
{
    struct node *node = container_of(timer, struct node, register_timer);
    CLEANUP(json) json_t *object = make_node(node);
    const struct api_request request = {.method = "POST", .path = "/api/v1/nodes", .body = object};
    api_call(node->options.api, &request, on_registered, node);
}

static void set_object(struct node *node, const json_t *object)
{
    json_decref(node->object);
    node->object = json_incref(tree_mutable(object));
    const char *range = tree_text_or(object, "spec.podCIDR", "");
    if (*range != '\0' && !node->has_range) {
        node->has_range = true;
        node->options.on_range(node->options.context, range);
    }
}

static void on_list(void *context, const json_t *items)
{
    if (json_array_size(items) > 0) {
        set_object(context, json_array_get(items, 0));
    }
}

static void on_change(void *context, const json_t *object, bool is_deleted)
{
    struct node *node = context;
    if (!is_deleted) {
        set_object(node, object);
        return;
    }
    struct timers *timers = wire_loop_timers(node->options.wire);
    node->is_registered = false;
    timers_set(timers, &node->register_timer, timers->now_ms + RETRY_MS);
}

static const struct api_watch_events node_events = {.on_list = on_list, .on_change = on_change};

void node_set_network_ready(struct node *node, const char *message)
{
    mem_free(node->network_message);
    node->network_message = mem_strdup(message == NULL ? "" : message);
    node->is_network_ready = message == NULL;
    send_status(node);
}

void node_set_pressure(struct node *node, bool memory, bool disk, bool pids)
{
    const bool wanted[3] = {memory, disk, pids};
    if (memcmp(wanted, node->has_pressure, sizeof(wanted)) != 0) {
        memcpy(node->has_pressure, wanted, sizeof(wanted));
        send_status(node);
    }
}

void node_set_images(struct node *node, json_t *take_images)
{
    bool is_same = node->images != NULL && json_equal(node->images, take_images);
    json_decref(node->images);
    node->images = take_images;
    if (!is_same) {
        send_status(node);
    }
}

struct node *node_new(const struct node_options *options)
{
    struct node *node = mem_zalloc(sizeof(*node));
    node->options = *options;
    node->network_message = mem_strdup("container runtime network not ready: the node has no "
                                       "range of pod addresses yet");
    CLEANUP(free) char *query = mem_printf("fieldSelector=metadata.name%%3D%s", options->name);
    timer_init(&node->register_timer, on_register_timer);
    timer_init(&node->renew_timer, on_renew_timer);
    on_register_timer(&node->register_timer);
    node->watch = api_watch_new(options->api, "/api/v1/nodes", query, &node_events, node);
    renew(node);
    if (options->pod_cidr != NULL) {
        node->has_range = true;
        options->on_range(options->context, options->pod_cidr);
    }
    return node;
}

void node_free(struct node *node)
{
    struct timers *timers = wire_loop_timers(node->options.wire);
    timers_clear(timers, &node->register_timer);
    timers_clear(timers, &node->renew_timer);
    api_watch_free(node->watch);
    json_decref(node->object);
    json_decref(node->images);
    mem_free(node->network_message);
    mem_free(node);
}
