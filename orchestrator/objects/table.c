#include "orchestrator/objects/table.h"

#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/timestamp.h"

json_t *cell_text(const char *text, const char *fallback)
{
    return json_string(text == NULL || *text == '\0' ? fallback : text);
}

json_t *cell_name(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(object_name(object), "");
}

json_t *cell_since(const json_t *object, const char *path, int64_t now_ms)
{
    char text[DURATION_TEXT_SIZE];
    int64_t time_ms = timestamp_at(object, path, -1);
    return json_string(time_ms < 0 ? "<unknown>" : duration_format_short(now_ms - time_ms, text));
}

json_t *cell_age(const json_t *object, int64_t now_ms)
{
    return cell_since(object, "metadata.creationTimestamp", now_ms);
}

json_t *cell_created(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "metadata.creationTimestamp"), "<unknown>");
}

/* The texts of a list, or of one field of its items, joined by commas. */
json_t *cell_joined(const json_t *list, const char *key, const char *fallback)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *part = json_string_value(key == NULL ? item : json_object_get(item, key));
        buf_append_format(&text, "%s%s", i == 0 ? "" : ",", part == NULL ? "" : part);
    }
    return cell_text(buf_text(&text), fallback);
}

static const json_t *template_containers(const json_t *object)
{
    const json_t *found = tree_find(object, "spec.template.spec.containers");
    return found != NULL ? found
                         : tree_find(object, "spec.jobTemplate.spec.template.spec.containers");
}

json_t *cell_containers(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_joined(template_containers(object), "name", "<none>");
}

json_t *cell_images(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_joined(template_containers(object), "image", "<none>");
}

json_t *cell_selector(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    const json_t *selector = tree_find(object, "spec.selector");
    bool is_object = json_object_get(selector, "matchLabels") != NULL ||
                     json_object_get(selector, "matchExpressions") != NULL;
    CLEANUP(free)
    char *text = is_object ? label_selector_object_text(selector) : label_map_text(selector);
    return cell_text(text, "<none>");
}

static json_t *cell_count(const json_t *object, const char *path)
{
    return json_integer((json_int_t)tree_count(object, path));
}

static json_t *config_data(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_integer(
        (json_int_t)(tree_count(object, "data") + tree_count(object, "binaryData")));
}

static json_t *secret_type(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "type"), "");
}

static json_t *account_secrets(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_count(object, "secrets");
}

static json_t *status_phase(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "status.phase"), "");
}

static json_t *endpoints_list(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(buf) struct buf text = BUF_INIT;
    const json_t *subsets = json_object_get(object, "subsets");
    int count = 0;
    for (size_t s = 0; s < json_array_size(subsets); s++) {
        const json_t *subset = json_array_get(subsets, s);
        const json_t *addresses = json_object_get(subset, "addresses");
        const json_t *port = json_array_get(json_object_get(subset, "ports"), 0);
        for (size_t i = 0; i < json_array_size(addresses); i++, count++) {
            if (count < 3) {
                buf_append_format(&text, "%s%s:%d", count == 0 ? "" : ",",
                                  tree_text_or(json_array_get(addresses, i), "ip", ""),
                                  (int)tree_int(port, "port", 0));
            }
        }
    }
    if (count > 3) {
        buf_append_format(&text, " + %d more...", count - 3);
    }
    return cell_text(buf_text(&text), "<none>");
}

static json_t *slice_type(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "addressType"), "");
}

static json_t *slice_ports(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(buf) struct buf text = BUF_INIT;
    const json_t *ports = json_object_get(object, "ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        buf_append_format(&text, "%s%d", i == 0 ? "" : ",",
                          (int)tree_int(json_array_get(ports, i), "port", 0));
    }
    return cell_text(buf_text(&text), "<unset>");
}

static json_t *slice_endpoints(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(buf) struct buf text = BUF_INIT;
    const json_t *endpoints = json_object_get(object, "endpoints");
    size_t count = json_array_size(endpoints);
    for (size_t i = 0; i < count && i < 3; i++) {
        const json_t *addresses = json_object_get(json_array_get(endpoints, i), "addresses");
        const char *address = json_string_value(json_array_get(addresses, 0));
        buf_append_format(&text, "%s%s", i == 0 ? "" : ",", address == NULL ? "" : address);
    }
    if (count > 3) {
        buf_append_format(&text, " + %zu more...", count - 3);
    }
    return cell_text(buf_text(&text), "<unset>");
}

static json_t *ingress_class(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "spec.ingressClassName"), "<none>");
}

static json_t *ingress_hosts(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_joined(tree_find(object, "spec.rules"), "host", "*");
}

static json_t *ingress_address(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_joined(tree_find(object, "status.loadBalancer.ingress"), "ip", "");
}

static json_t *ingress_ports(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_string(tree_count(object, "spec.tls") > 0 ? "80, 443" : "80");
}

static json_t *priority_value(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_integer(tree_int(object, "value", 0));
}

static json_t *priority_default(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_boolean(tree_bool(object, "globalDefault", false));
}

static json_t *lease_holder(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "spec.holderIdentity"), "");
}

static json_t *binding_role(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP(free)
    char *text = mem_printf("%s/%s", tree_text_or(object, "roleRef.kind", ""),
                            tree_text_or(object, "roleRef.name", ""));
    return json_string(text);
}

static json_t *class_provisioner(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(object, "provisioner"), "");
}

static json_t *revision_controller(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    const json_t *owner = object_controller(object);
    CLEANUP(free)
    char *text =
        mem_printf("%s/%s", tree_text_or(owner, "kind", ""), tree_text_or(owner, "name", ""));
    return cell_text(owner == NULL ? NULL : text, "<none>");
}

static json_t *revision_number(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return json_integer(tree_int(object, "revision", 0));
}

/* "cpu: 1/2, pods: 3/4", of the limits or of everything else. */
static json_t *quota_figures(const json_t *object, bool of_limits)
{
    const json_t *hard = tree_find(object, "status.hard");
    const json_t *used = tree_find(object, "status.used");
    CLEANUP(buf) struct buf text = BUF_INIT;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(hard), name, value)
    {
        if ((strncmp(name, "limits.", 7) == 0) == of_limits) {
            const char *amount = json_string_value(json_object_get(used, name));
            buf_append_format(&text, "%s%s: %s/%s", buf_size(&text) == 0 ? "" : ", ", name,
                              amount == NULL ? "0" : amount, json_string_value(value));
        }
    }
    return json_string(buf_text(&text));
}

static json_t *quota_request(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return quota_figures(object, false);
}

static json_t *quota_limit(const json_t *object, int64_t now_ms)
{
    (void)now_ms;
    return quota_figures(object, true);
}

static const struct table_column table_quota[] = {{"Name", "string", 0, cell_name},
                                                  {"Request", "string", 0, quota_request},
                                                  {"Limit", "string", 0, quota_limit},
                                                  {"Age", "string", 0, cell_age},
                                                  {0}};
static const struct table_column table_plain[] = {
    {"Name", "string", 0, cell_name}, {"Age", "string", 0, cell_age}, {0}};
static const struct table_column table_created[] = {
    {"Name", "string", 0, cell_name}, {"Created At", "date", 0, cell_created}, {0}};
static const struct table_column table_config_map[] = {{"Name", "string", 0, cell_name},
                                                       {"Data", "string", 0, config_data},
                                                       {"Age", "string", 0, cell_age},
                                                       {0}};
static const struct table_column table_secret[] = {{"Name", "string", 0, cell_name},
                                                   {"Type", "string", 0, secret_type},
                                                   {"Data", "string", 0, config_data},
                                                   {"Age", "string", 0, cell_age},
                                                   {0}};
static const struct table_column table_account[] = {{"Name", "string", 0, cell_name},
                                                    {"Secrets", "string", 0, account_secrets},
                                                    {"Age", "string", 0, cell_age},
                                                    {0}};
static const struct table_column table_namespace[] = {{"Name", "string", 0, cell_name},
                                                      {"Status", "string", 0, status_phase},
                                                      {"Age", "string", 0, cell_age},
                                                      {0}};
static const struct table_column table_endpoints[] = {{"Name", "string", 0, cell_name},
                                                      {"Endpoints", "string", 0, endpoints_list},
                                                      {"Age", "string", 0, cell_age},
                                                      {0}};
static const struct table_column table_slice[] = {
    {"Name", "string", 0, cell_name},    {"AddressType", "string", 0, slice_type},
    {"Ports", "string", 0, slice_ports}, {"Endpoints", "string", 0, slice_endpoints},
    {"Age", "string", 0, cell_age},      {0}};
static const struct table_column table_ingress[] = {{"Name", "string", 0, cell_name},
                                                    {"Class", "string", 0, ingress_class},
                                                    {"Hosts", "string", 0, ingress_hosts},
                                                    {"Address", "string", 0, ingress_address},
                                                    {"Ports", "string", 0, ingress_ports},
                                                    {"Age", "string", 0, cell_age},
                                                    {0}};
static const struct table_column table_priority[] = {
    {"Name", "string", 0, cell_name},
    {"Value", "integer", 0, priority_value},
    {"Global-Default", "boolean", 0, priority_default},
    {"Age", "string", 0, cell_age},
    {0}};
static const struct table_column table_lease[] = {{"Name", "string", 0, cell_name},
                                                  {"Holder", "string", 0, lease_holder},
                                                  {"Age", "string", 0, cell_age},
                                                  {0}};
static const struct table_column table_binding[] = {{"Name", "string", 0, cell_name},
                                                    {"Role", "string", 0, binding_role},
                                                    {"Age", "string", 0, cell_age},
                                                    {0}};
static const struct table_column table_class[] = {{"Name", "string", 0, cell_name},
                                                  {"Provisioner", "string", 0, class_provisioner},
                                                  {"Age", "string", 0, cell_age},
                                                  {0}};
static const struct table_column table_revision[] = {
    {"Name", "string", 0, cell_name},
    {"Controller", "string", 0, revision_controller},
    {"Revision", "string", 0, revision_number},
    {"Age", "string", 0, cell_age},
    {0}};

const struct table_column *table_columns(const struct kind *kind)
{
    static const struct {
        const char *storage;
        const struct table_column *columns;
    } tables[] = {
        {"pods", table_pod},
        {"deployments", table_deployment},
        {"replicasets", table_replica_set},
        {"replicationcontrollers", table_replica_set},
        {"statefulsets", table_stateful_set},
        {"daemonsets", table_daemon_set},
        {"jobs", table_job},
        {"cronjobs", table_cron_job},
        {"services", table_service},
        {"nodes", table_node},
        {"events", table_event},
        {"configmaps", table_config_map},
        {"secrets", table_secret},
        {"serviceaccounts", table_account},
        {"namespaces", table_namespace},
        {"persistentvolumes", table_volume},
        {"persistentvolumeclaims", table_claim},
        {"endpoints", table_endpoints},
        {"endpointslices", table_slice},
        {"ingresses", table_ingress},
        {"horizontalpodautoscalers", table_autoscaler},
        {"poddisruptionbudgets", table_budget},
        {"priorityclasses", table_priority},
        {"leases", table_lease},
        {"resourcequotas", table_quota},
        {"rolebindings", table_binding},
        {"clusterrolebindings", table_binding},
        {"roles", table_created},
        {"clusterroles", table_created},
        {"customresourcedefinitions", table_created},
        {"storageclasses", table_class},
        {"controllerrevisions", table_revision},
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (strcmp(kind->storage, tables[i].storage) == 0) {
            return tables[i].columns;
        }
    }
    return table_plain;
}

static json_t *column_definition(const char *name, const char *type, int priority)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", name, "type", type, "format",
                     strcmp(name, "Name") == 0 ? "name" : "", "description", name, "priority",
                     priority);
}

/* The columns a CustomResourceDefinition asks for, between Name and Age. */
static json_t *column_definitions(const struct kind *kind)
{
    json_t *list = json_array();
    const json_t *custom = tree_find(kind->custom, "additionalPrinterColumns");
    if (json_array_size(custom) > 0) {
        json_array_append_new(list, column_definition("Name", "string", 0));
    }
    for (size_t i = 0; i < json_array_size(custom); i++) {
        const json_t *column = json_array_get(custom, i);
        json_array_append_new(list, column_definition(tree_text_or(column, "name", ""),
                                                      tree_text_or(column, "type", "string"),
                                                      (int)tree_int(column, "priority", 0)));
    }
    const struct table_column *columns = table_columns(kind);
    for (size_t i = 0; json_array_size(custom) == 0 && columns[i].name != NULL; i++) {
        json_array_append_new(
            list, column_definition(columns[i].name, columns[i].type, columns[i].priority));
    }
    return list;
}

static json_t *custom_cell(const json_t *object, const json_t *column, int64_t now_ms)
{
    const char *path = tree_text_or(column, "jsonPath", "");
    const json_t *value = tree_find(object, *path == '.' ? path + 1 : path);
    if (value != NULL && tree_has_text(column, "type", "date")) {
        return cell_since(object, path + 1, now_ms);
    }
    return value == NULL ? json_null() : json_deep_copy(value);
}

static json_t *cells_of(const struct kind *kind, const json_t *object, int64_t now_ms)
{
    json_t *cells = json_array();
    const json_t *custom = tree_find(kind->custom, "additionalPrinterColumns");
    if (json_array_size(custom) > 0) {
        json_array_append_new(cells, cell_name(object, now_ms));
    }
    for (size_t i = 0; i < json_array_size(custom); i++) {
        json_array_append_new(cells, custom_cell(object, json_array_get(custom, i), now_ms));
    }
    const struct table_column *columns = table_columns(kind);
    for (size_t i = 0; json_array_size(custom) == 0 && columns[i].name != NULL; i++) {
        json_array_append_new(cells, columns[i].cell(object, now_ms));
    }
    return cells;
}

static json_t *row_object(const json_t *object, enum table_include include)
{
    if (include == TABLE_INCLUDE_OBJECT) {
        return json_incref(tree_mutable(object));
    }
    return json_pack("{s:s, s:s, s:O}", "kind", "PartialObjectMetadata", "apiVersion",
                     "meta.k8s.io/v1", "metadata", json_object_get(object, "metadata"));
}

json_t *table_new(const struct kind *kind, const json_t *objects, const json_t *list_metadata,
                  enum table_include include, bool has_columns, int64_t now_ms)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < json_array_size(objects); i++) {
        const json_t *object = json_array_get(objects, i);
        json_t *row = json_pack("{s:o}", "cells", cells_of(kind, object, now_ms));
        if (include != TABLE_INCLUDE_NONE) {
            json_object_set_new(row, "object", row_object(object, include));
        }
        json_array_append_new(rows, row);
    }
    json_t *metadata = list_metadata == NULL ? json_object() : json_deep_copy(list_metadata);
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "kind", "Table", "apiVersion", "meta.k8s.io/v1",
                     "metadata", metadata, "columnDefinitions",
                     has_columns ? column_definitions(kind) : json_null(), "rows", rows);
}
