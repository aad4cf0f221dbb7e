/* table_workload.c - columns of workloads, services, nodes and events. */
#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/table.h"
#include "orchestrator/objects/timestamp.h"

static json_t *cell_number(const json_t *object, const char *path, int64_t fallback)
{
    return json_integer(tree_int(object, path, fallback));
}

static json_t *cell_of(const json_t *object, const char *path, const char *total_path)
{
    CLEANUP(free)
    char *text =
        mem_printf("%d/%d", (int)tree_int(object, path, 0), (int)tree_int(object, total_path, 0));
    return json_string(text);
}

#define NUMBER_CELL(function, path, fallback)                                                      \
    static json_t *function(const json_t *object, int64_t now_ms)                                  \
    {                                                                                              \
        (void)now_ms;                                                                              \
        return cell_number(object, path, fallback);                                                \
    }
#define TEXT_CELL(function, path, fallback)                                                        \
    static json_t *function(const json_t *object, int64_t now_ms)                                  \
    {                                                                                              \
        (void)now_ms;                                                                              \
        return cell_text(tree_text(object, path), fallback);                                       \
    }

NUMBER_CELL(updated_replicas, "status.updatedReplicas", 0)
NUMBER_CELL(available_replicas, "status.availableReplicas", 0)
NUMBER_CELL(wanted_replicas, "spec.replicas", 0)
NUMBER_CELL(current_replicas, "status.replicas", 0)
NUMBER_CELL(ready_replicas, "status.readyReplicas", 0)
NUMBER_CELL(daemon_desired, "status.desiredNumberScheduled", 0)
NUMBER_CELL(daemon_current, "status.currentNumberScheduled", 0)
NUMBER_CELL(daemon_ready, "status.numberReady", 0)
NUMBER_CELL(daemon_updated, "status.updatedNumberScheduled", 0)
NUMBER_CELL(daemon_available, "status.numberAvailable", 0)
TEXT_CELL(cron_schedule, "spec.schedule", "")
TEXT_CELL(cron_zone, "spec.timeZone", "<none>")
TEXT_CELL(service_type, "spec.type", "")
TEXT_CELL(service_address, "spec.clusterIP", "<none>")
TEXT_CELL(node_version, "status.nodeInfo.kubeletVersion", "")
TEXT_CELL(node_image, "status.nodeInfo.osImage", "<unknown>")
TEXT_CELL(node_kernel, "status.nodeInfo.kernelVersion", "<unknown>")
TEXT_CELL(node_runtime, "status.nodeInfo.containerRuntimeVersion", "<unknown>")
TEXT_CELL(event_type, "type", "")
TEXT_CELL(event_reason, "reason", "")
TEXT_CELL(event_field, "involvedObject.fieldPath", "")

static json_t *replicas_ready(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_of(object, "status.readyReplicas", "spec.replicas");
}

static json_t *daemon_selector(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(free) char *text = label_map_text(tree_find(object, "spec.template.spec.nodeSelector"));
    return cell_text(text, "<none>");
}

static json_t *job_status(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    static const struct {
        const char *condition;
        const char *word;
    } words[] = {{"Complete", "Complete"},
                 {"Failed", "Failed"},
                 {"Suspended", "Suspended"},
                 {"FailureTarget", "FailureTarget"},
                 {"SuccessCriteriaMet", "SuccessCriteriaMet"}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (object_condition_is(object, words[i].condition, "True")) {
            return json_string(words[i].word);
        }
    }
    return json_string(object_is_deleting(object) ? "Terminating" : "Running");
}

static json_t *job_completions(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    if (tree_find(object, "spec.completions") != NULL) {
        return cell_of(object, "status.succeeded", "spec.completions");
    }
    int64_t parallelism = tree_int(object, "spec.parallelism", 1);
    CLEANUP(free)
    char *text = parallelism > 1
                     ? mem_printf("%d/1 of %d", (int)tree_int(object, "status.succeeded", 0),
                                  (int)parallelism)
                     : mem_printf("%d/1", (int)tree_int(object, "status.succeeded", 0));
    return json_string(text);
}

static json_t *job_duration(const json_t *object, int64_t now_ms)
{
    char text[DURATION_TEXT_SIZE];
    int64_t start_ms = timestamp_at(object, "status.startTime", -1);
    int64_t end_ms = timestamp_at(object, "status.completionTime", now_ms);
    return json_string(start_ms < 0 ? "" : duration_format_short(end_ms - start_ms, text));
}

static json_t *cron_suspend(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_string(tree_bool(object, "spec.suspend", false) ? "True" : "False");
}

static json_t *cron_active(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_integer((json_int_t)tree_count(object, "status.active"));
}

static json_t *cron_last(const json_t *object, int64_t now_ms)
{
    return tree_find(object, "status.lastScheduleTime") == NULL
               ? json_string("<none>")
               : cell_since(object, "status.lastScheduleTime", now_ms);
}

static json_t *service_external(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    const char *type = tree_text_or(object, "spec.type", "");
    if (strcmp(type, "ExternalName") == 0) {
        return cell_text(tree_text(object, "spec.externalName"), "<none>");
    }
    const json_t *external = tree_find(object, "spec.externalIPs");
    if (strcmp(type, "LoadBalancer") == 0 && json_array_size(external) == 0) {
        return cell_joined(tree_find(object, "status.loadBalancer.ingress"), "ip", "<pending>");
    }
    return cell_joined(external, NULL, "<none>");
}

static json_t *service_ports(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(buf) struct buf text = BUF_INIT;
    const json_t *ports = tree_find(object, "spec.ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        int64_t node_port = tree_int(port, "nodePort", 0);
        buf_append_format(&text, "%s%d", i == 0 ? "" : ",", (int)tree_int(port, "port", 0));
        if (node_port > 0) {
            buf_append_format(&text, ":%d", (int)node_port);
        }
        buf_append_format(&text, "/%s", tree_text_or(port, "protocol", "TCP"));
    }
    return cell_text(buf_text(&text), "<none>");
}

static json_t *node_status(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    const json_t *ready = object_condition(object, "Ready");
    const char *word = "Unknown";
    if (ready != NULL) {
        word = tree_has_text(ready, "status", "True") ? "Ready" : "NotReady";
    }
    bool is_closed = tree_bool(object, "spec.unschedulable", false);
    CLEANUP(free) char *text = mem_printf("%s%s", word, is_closed ? ",SchedulingDisabled" : "");
    return json_string(text);
}

static json_t *node_roles(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    static const char prefix[] = "node-role.kubernetes.io/";
    CLEANUP(buf) struct buf text = BUF_INIT;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object_labels(object), key, value)
    {
        if (strncmp(key, prefix, sizeof(prefix) - 1) == 0) {
            buf_append_format(&text, "%s%s", buf_size(&text) == 0 ? "" : ",",
                              key + sizeof(prefix) - 1);
        }
    }
    return cell_text(buf_text(&text), "<none>");
}

static json_t *node_address(const json_t *object, const char *type)
{
    const json_t *address = tree_find_item(tree_find(object, "status.addresses"), "type", type);
    return cell_text(tree_text(address, "address"), "<none>");
}

static json_t *node_internal(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return node_address(object, "InternalIP");
}

static json_t *node_external(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return node_address(object, "ExternalIP");
}

static json_t *event_time(const json_t *object, int64_t now_ms, bool is_first)
{
    static const char *const last[] = {"series.lastObservedTime", "lastTimestamp", "eventTime",
                                       "firstTimestamp"};
    static const char *const first[] = {"firstTimestamp", "eventTime", "lastTimestamp",
                                        "metadata.creationTimestamp"};
    for (size_t i = 0; i < 4; i++) {
        const char *path = is_first ? first[i] : last[i];
        if (tree_text(object, path) != NULL) {
            return cell_since(object, path, now_ms);
        }
    }
    return json_string("<unknown>");
}

static json_t *event_last(const json_t *object, int64_t now_ms)
{
    return event_time(object, now_ms, false);
}

static json_t *event_first(const json_t *object, int64_t now_ms)
{
    return event_time(object, now_ms, true);
}

static json_t *event_object(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (const char *c = tree_text_or(object, "involvedObject.kind", ""); *c != '\0'; c++) {
        buf_append_u8(&text, (uint8_t)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c));
    }
    buf_append_format(&text, "/%s", tree_text_or(object, "involvedObject.name", ""));
    return json_string(buf_text(&text));
}

static json_t *event_source(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    const char *component =
        tree_text_or(object, "source.component", tree_text_or(object, "reportingComponent", ""));
    const char *host = tree_text_or(object, "source.host", "");
    CLEANUP(free) char *text = mem_printf("%s%s%s", component, *host == '\0' ? "" : ", ", host);
    return json_string(text);
}

static json_t *event_message(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(free) char *text = mem_strdup(tree_text_or(object, "message", ""));
    size_t size = strlen(text);
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == ' ')) {
        text[--size] = '\0';
    }
    return json_string(text);
}

static json_t *event_count(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    int64_t count = tree_int(object, "series.count", tree_int(object, "count", 1));
    return json_integer(count < 1 ? 1 : count);
}

const struct table_column table_deployment[] = {{"Name", "string", 0, cell_name},
                                                {"Ready", "string", 0, replicas_ready},
                                                {"Up-to-date", "string", 0, updated_replicas},
                                                {"Available", "string", 0, available_replicas},
                                                {"Age", "string", 0, cell_age},
                                                {"Containers", "string", 1, cell_containers},
                                                {"Images", "string", 1, cell_images},
                                                {"Selector", "string", 1, cell_selector},
                                                {0}};
const struct table_column table_replica_set[] = {{"Name", "string", 0, cell_name},
                                                 {"Desired", "integer", 0, wanted_replicas},
                                                 {"Current", "integer", 0, current_replicas},
                                                 {"Ready", "integer", 0, ready_replicas},
                                                 {"Age", "string", 0, cell_age},
                                                 {"Containers", "string", 1, cell_containers},
                                                 {"Images", "string", 1, cell_images},
                                                 {"Selector", "string", 1, cell_selector},
                                                 {0}};
const struct table_column table_stateful_set[] = {
    {"Name", "string", 0, cell_name},     {"Ready", "string", 0, replicas_ready},
    {"Age", "string", 0, cell_age},       {"Containers", "string", 1, cell_containers},
    {"Images", "string", 1, cell_images}, {0}};
const struct table_column table_daemon_set[] = {{"Name", "string", 0, cell_name},
                                                {"Desired", "integer", 0, daemon_desired},
                                                {"Current", "integer", 0, daemon_current},
                                                {"Ready", "integer", 0, daemon_ready},
                                                {"Up-to-date", "integer", 0, daemon_updated},
                                                {"Available", "integer", 0, daemon_available},
                                                {"Node Selector", "string", 0, daemon_selector},
                                                {"Age", "string", 0, cell_age},
                                                {"Containers", "string", 1, cell_containers},
                                                {"Images", "string", 1, cell_images},
                                                {"Selector", "string", 1, cell_selector},
                                                {0}};
const struct table_column table_job[] = {{"Name", "string", 0, cell_name},
                                         {"Status", "string", 0, job_status},
                                         {"Completions", "string", 0, job_completions},
                                         {"Duration", "string", 0, job_duration},
                                         {"Age", "string", 0, cell_age},
                                         {"Containers", "string", 1, cell_containers},
                                         {"Images", "string", 1, cell_images},
                                         {"Selector", "string", 1, cell_selector},
                                         {0}};
const struct table_column table_cron_job[] = {
    {"Name", "string", 0, cell_name},      {"Schedule", "string", 0, cron_schedule},
    {"Timezone", "string", 0, cron_zone},  {"Suspend", "boolean", 0, cron_suspend},
    {"Active", "integer", 0, cron_active}, {"Last Schedule", "string", 0, cron_last},
    {"Age", "string", 0, cell_age},        {"Containers", "string", 1, cell_containers},
    {"Images", "string", 1, cell_images},  {0}};
const struct table_column table_service[] = {{"Name", "string", 0, cell_name},
                                             {"Type", "string", 0, service_type},
                                             {"Cluster-IP", "string", 0, service_address},
                                             {"External-IP", "string", 0, service_external},
                                             {"Port(s)", "string", 0, service_ports},
                                             {"Age", "string", 0, cell_age},
                                             {"Selector", "string", 1, cell_selector},
                                             {0}};
const struct table_column table_node[] = {{"Name", "string", 0, cell_name},
                                          {"Status", "string", 0, node_status},
                                          {"Roles", "string", 0, node_roles},
                                          {"Age", "string", 0, cell_age},
                                          {"Version", "string", 0, node_version},
                                          {"Internal-IP", "string", 1, node_internal},
                                          {"External-IP", "string", 1, node_external},
                                          {"OS-Image", "string", 1, node_image},
                                          {"Kernel-Version", "string", 1, node_kernel},
                                          {"Container-Runtime", "string", 1, node_runtime},
                                          {0}};
const struct table_column table_event[] = {{"Last Seen", "string", 0, event_last},
                                           {"Type", "string", 0, event_type},
                                           {"Reason", "string", 0, event_reason},
                                           {"Object", "string", 0, event_object},
                                           {"Subobject", "string", 1, event_field},
                                           {"Source", "string", 1, event_source},
                                           {"Message", "string", 0, event_message},
                                           {"First Seen", "string", 1, event_first},
                                           {"Count", "string", 1, event_count},
                                           {"Name", "string", 1, cell_name},
                                           {0}};
