#include "orchestrator/objects/defaults.h"

#include <string.h>

#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/structural.h"

static void fill_children(json_t *value, const struct schema_field *field)
{
    if (field->shape == SCHEMA_SINGLE) {
        defaults_fill(value, field->object);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (json_is_object(json_array_get(value, i))) {
            defaults_fill(json_array_get(value, i), field->object);
        }
    }
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(value, key, child)
    {
        if (field->shape == SCHEMA_MAP && json_is_object(child)) {
            defaults_fill(child, field->object);
        }
    }
}

/* A value field that is absent: its own defaults may bring it into being. */
static void fill_absent(json_t *object, const struct schema_field *field)
{
    if (field->type != SCHEMA_OBJECT || field->shape != SCHEMA_SINGLE ||
        (field->flags & SCHEMA_POINTER) != 0) {
        return;
    }
    CLEANUP(json) json_t *value = json_object();
    defaults_fill(value, field->object);
    if (json_object_size(value) > 0) {
        json_object_set(object, field->name, value);
    }
}

void defaults_fill(json_t *object, const struct schema *schema)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        if ((field->flags & SCHEMA_INLINE) != 0) {
            defaults_fill(object, field->object);
            continue;
        }
        json_t *value = json_object_get(object, field->name);
        bool is_unset = value == NULL || json_is_null(value) ||
                        (json_is_string(value) && json_string_length(value) == 0 &&
                         (field->flags & SCHEMA_POINTER) == 0);
        if (is_unset && field->fallback != NULL) {
            value = json_loads(field->fallback, JSON_DECODE_ANY, NULL);
            json_object_set_new(object, field->name, value);
        } else if (is_unset) {
            fill_absent(object, field);
            continue;
        }
        if (field->type == SCHEMA_OBJECT) {
            fill_children(value, field);
        }
    }
}

static void set_default_text(json_t *object, const char *path, const char *text)
{
    if (*tree_text_or(object, path, "") == '\0') {
        tree_set_text(object, path, text);
    }
}

static void set_default_int(json_t *object, const char *path, int64_t value)
{
    if (tree_find(object, path) == NULL) {
        tree_set_int(object, path, value);
    }
}

/* latest, or no tag at all: the image may have changed. */
static const char *pull_policy(const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *tag = strchr(slash == NULL ? image : slash, ':');
    if (strchr(image, '@') != NULL) {
        return "IfNotPresent";
    }
    return tag == NULL || strcmp(tag, ":latest") == 0 ? "Always" : "IfNotPresent";
}

static void default_container(json_t *container, bool host_network)
{
    set_default_text(container, "imagePullPolicy",
                     pull_policy(tree_text_or(container, "image", "")));
    const json_t *limits = tree_find(container, "resources.limits");
    const char *name = NULL;
    json_t *amount = NULL;
    json_object_foreach(tree_mutable(limits), name, amount)
    {
        json_t *requests = tree_make_object(container, "resources.requests");
        if (json_object_get(requests, name) == NULL) {
            json_object_set(requests, name, amount);
        }
    }
    const json_t *ports = json_object_get(container, "ports");
    for (size_t i = 0; host_network && i < json_array_size(ports); i++) {
        json_t *port = json_array_get(ports, i);
        if (tree_int(port, "hostPort", 0) == 0) {
            tree_set_int(port, "hostPort", tree_int(port, "containerPort", 0));
        }
    }
}

/* A volume that names no source is an emptyDir. */
static void default_volume(json_t *volume)
{
    if (json_object_size(volume) == 1 && json_object_get(volume, "name") != NULL) {
        json_object_set_new(volume, "emptyDir", json_object());
    }
}

void defaults_apply_pod_spec(json_t *spec)
{
    static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
    bool host_network = tree_bool(spec, "hostNetwork", false);
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
        const json_t *list = json_object_get(spec, lists[l]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (json_is_object(json_array_get(list, i))) {
                default_container(json_array_get(list, i), host_network && l < 2);
            }
        }
    }
    const json_t *volumes = json_object_get(spec, "volumes");
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        if (json_is_object(json_array_get(volumes, i))) {
            default_volume(json_array_get(volumes, i));
        }
    }
    const char *account = tree_text(spec, "serviceAccountName");
    const char *old_account = tree_text(spec, "serviceAccount");
    if (account != NULL && old_account == NULL) {
        tree_set_text(spec, "serviceAccount", account);
    } else if (account == NULL && old_account != NULL) {
        tree_set_text(spec, "serviceAccountName", old_account);
    }
}

static void default_service(json_t *service)
{
    const char *type = tree_text_or(service, "spec.type", "");
    bool is_external_name = strcmp(type, "ExternalName") == 0;
    bool is_external = strcmp(type, "NodePort") == 0 || strcmp(type, "LoadBalancer") == 0;
    json_t *ports = tree_find(service, "spec.ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        json_t *port = json_array_get(ports, i);
        const json_t *target = json_object_get(port, "targetPort");
        bool is_unset = tree_is_empty(target);
        if (json_is_object(port) && is_unset && json_object_get(port, "port") != NULL) {
            json_object_set(port, "targetPort", json_object_get(port, "port"));
        }
    }
    if (tree_has_text(service, "spec.sessionAffinity", "ClientIP")) {
        set_default_int(service, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", 10800);
    }
    if (!is_external_name) {
        set_default_text(service, "spec.internalTrafficPolicy", "Cluster");
        set_default_text(service, "spec.ipFamilyPolicy", "SingleStack");
        if (tree_count(service, "spec.ipFamilies") == 0) {
            tree_set(service, "spec.ipFamilies", json_pack("[s]", "IPv4"));
        }
    }
    if (is_external || tree_count(service, "spec.externalIPs") > 0) {
        set_default_text(service, "spec.externalTrafficPolicy", "Cluster");
    }
    if (strcmp(type, "LoadBalancer") == 0 &&
        tree_find(service, "spec.allocateLoadBalancerNodePorts") == NULL) {
        tree_set_bool(service, "spec.allocateLoadBalancerNodePorts", true);
    }
    if (tree_find(service, "status.loadBalancer") == NULL) {
        tree_set(service, "status.loadBalancer", json_object());
    }
}

static void default_rolling_update(json_t *object, const char *path, const char *schema)
{
    CLEANUP(free) char *type_path = mem_printf("%s.type", path);
    if (!tree_has_text(object, type_path, "RollingUpdate")) {
        return;
    }
    CLEANUP(free) char *update_path = mem_printf("%s.rollingUpdate", path);
    defaults_fill(tree_make_object(object, update_path), schema_find(schema));
}

static void default_labels_from_template(json_t *object)
{
    const json_t *labels = tree_find(object, "spec.template.metadata.labels");
    if (tree_count(object, "spec.selector") == 0 && json_object_size(labels) > 0) {
        tree_set_copy(object, "spec.selector", labels);
    }
    if (json_object_size(object_labels(object)) == 0 && json_object_size(labels) > 0) {
        tree_set_copy(object, "metadata.labels", labels);
    }
}

static void default_job_spec(json_t *job)
{
    /* parallelism 1 comes from the table; completions follows only when both were absent, which
     * shows in the object as parallelism without completions and no work queue asked for. */
    if (tree_find(job, "spec.completions") == NULL && tree_int(job, "spec.parallelism", 1) == 1 &&
        tree_find(job, "spec.selector") == NULL) {
        tree_set_int(job, "spec.completions", 1);
    }
}

static void default_secret(json_t *secret)
{
    json_t *texts = json_object_get(secret, "stringData");
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(texts, key, value)
    {
        if (json_is_string(value)) {
            char *encoded =
                base64_encode(bytes_make(json_string_value(value), json_string_length(value)));
            json_object_set_new(tree_make_object(secret, "data"), key, json_string(encoded));
            mem_free(encoded);
        }
    }
    (void)json_object_del(secret, "stringData"); /* absent is fine */
}

/* Names that follow from the kind's. */
static void default_definition(json_t *definition)
{
    const char *kind = tree_text(definition, "spec.names.kind");
    if (kind == NULL) {
        return;
    }
    CLEANUP(free) char *list_kind = mem_printf("%sList", kind);
    CLEANUP(free) char *singular = mem_strdup(kind);
    for (char *c = singular; *c != '\0'; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
    set_default_text(definition, "spec.names.listKind", list_kind);
    set_default_text(definition, "spec.names.singular", singular);
    set_default_text(definition, "spec.conversion.strategy", "None");
}

static void default_kind(json_t *object, const struct kind *kind)
{
    const char *storage = kind->storage;
    if (strcmp(storage, "services") == 0) {
        default_service(object);
    } else if (strcmp(storage, "deployments") == 0) {
        default_rolling_update(object, "spec.strategy", "RollingUpdateDeployment");
    } else if (strcmp(storage, "daemonsets") == 0) {
        default_rolling_update(object, "spec.updateStrategy", "RollingUpdateDaemonSet");
    } else if (strcmp(storage, "statefulsets") == 0) {
        default_rolling_update(object, "spec.updateStrategy", "RollingUpdateStatefulSetStrategy");
    } else if (strcmp(storage, "replicationcontrollers") == 0) {
        default_labels_from_template(object);
    } else if (strcmp(storage, "jobs") == 0) {
        default_job_spec(object);
    } else if (strcmp(storage, "secrets") == 0) {
        default_secret(object);
    } else if (strcmp(storage, "customresourcedefinitions") == 0) {
        default_definition(object);
    } else if (strcmp(storage, "namespaces") == 0 && object_name(object) != NULL) {
        object_set_label(object, "kubernetes.io/metadata.name", object_name(object));
    }
}

/* Where the pod specs of a kind are. */
static const struct {
    const char *storage;
    const char *path;
} pod_specs[] = {
    {"pods", "spec"},
    {"podtemplates", "template.spec"},
    {"replicationcontrollers", "spec.template.spec"},
    {"replicasets", "spec.template.spec"},
    {"deployments", "spec.template.spec"},
    {"daemonsets", "spec.template.spec"},
    {"statefulsets", "spec.template.spec"},
    {"jobs", "spec.template.spec"},
    {"cronjobs", "spec.jobTemplate.spec.template.spec"},
};

void defaults_apply(json_t *object, const struct kind *kind)
{
    const struct schema *schema = kind->schema == NULL ? NULL : schema_find(kind->schema);
    if (schema == NULL) {
        structural_default(object, tree_find(kind->custom, "schema.openAPIV3Schema"));
        return;
    }
    defaults_fill(object, schema);
    for (size_t i = 0; i < sizeof(pod_specs) / sizeof(pod_specs[0]); i++) {
        json_t *spec = tree_find(object, pod_specs[i].path);
        if (strcmp(pod_specs[i].storage, kind->storage) == 0 && json_is_object(spec)) {
            defaults_apply_pod_spec(spec);
        }
    }
    default_kind(object, kind);
}
