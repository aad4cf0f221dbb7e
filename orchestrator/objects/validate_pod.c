/* validate_pod.c - pod specs, wherever they are. */
#include <string.h>

#include "orchestrator/objects/names.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/validate.h"

/* The lists of containers, in the order of messages. */
static const char *const container_lists[] = {"initContainers", "containers",
                                              "ephemeralContainers"};
enum { CONTAINER_LIST_COUNT = 3 };

static void validate_label_name(const json_t *object, const char *field, struct causes *causes)
{
    const char *name = tree_text(object, "name");
    CLEANUP(free) char *path = mem_printf("%s.name", field);
    if (name != NULL && *name != '\0' && !name_is_dns1123_label(name)) {
        causes_add_invalid(causes, path, json_object_get(object, "name"),
                           "a lowercase RFC 1123 label must consist of lower case alphanumeric "
                           "characters or '-', and must start and end with an alphanumeric "
                           "character");
    }
}

static void validate_ports(const json_t *ports, const char *field, struct causes *causes)
{
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        const char *name = tree_text(port, "name");
        CLEANUP(free) char *path = mem_printf("%s.ports[%zu].containerPort", field, i);
        CLEANUP(free) char *name_path = mem_printf("%s.ports[%zu].name", field, i);
        CLEANUP(free) char *host_path = mem_printf("%s.ports[%zu].hostPort", field, i);
        if (json_object_get(port, "containerPort") == NULL) {
            causes_add_required(causes, path, NULL);
        } else {
            validate_port(json_object_get(port, "containerPort"), path, causes);
        }
        if (tree_int(port, "hostPort", 0) != 0) {
            validate_port(json_object_get(port, "hostPort"), host_path, causes);
        }
        if (name != NULL) {
            validate_port(json_object_get(port, "name"), name_path, causes);
        }
        for (size_t k = 0; name != NULL && k < i; k++) {
            if (tree_has_text(json_array_get(ports, k), "name", name)) {
                causes_add_duplicate(causes, name_path, json_object_get(port, "name"));
            }
        }
    }
}

static void validate_env(const json_t *env, const char *field, struct causes *causes)
{
    for (size_t i = 0; i < json_array_size(env); i++) {
        const json_t *variable = json_array_get(env, i);
        const char *name = tree_text_or(variable, "name", "");
        CLEANUP(free) char *path = mem_printf("%s.env[%zu]", field, i);
        if (*name != '\0' && !name_is_variable_name(name)) {
            CLEANUP(free) char *name_path = mem_printf("%s.name", path);
            causes_add_invalid(causes, name_path, json_object_get(variable, "name"),
                               "a valid environment variable name must consist only of printable "
                               "ASCII characters other than '='");
        }
        const json_t *from = json_object_get(variable, "valueFrom");
        CLEANUP(free) char *from_path = mem_printf("%s.valueFrom", path);
        if (from != NULL && *tree_text_or(variable, "value", "") != '\0') {
            causes_add_invalid(causes, from_path, NULL,
                               "may not be specified when `value` is not empty");
        }
        if (from != NULL && json_object_size(from) != 1) {
            causes_add_invalid(causes, from_path, NULL,
                               json_object_size(from) == 0
                                   ? "must specify one of: `fieldRef`, `resourceFieldRef`, "
                                     "`configMapKeyRef` or `secretKeyRef`"
                                   : "may not have more than one field specified at a time");
        }
    }
}

static void validate_resources(const json_t *resources, const char *field, struct causes *causes)
{
    const char *name = NULL;
    json_t *value = NULL;
    const json_t *limits = json_object_get(resources, "limits");
    const json_t *requests = json_object_get(resources, "requests");
    json_object_foreach(tree_mutable(requests), name, value)
    {
        CLEANUP(free) char *path = mem_printf("%s.resources.requests[%s]", field, name);
        const json_t *limit = json_object_get(limits, name);
        if (limit != NULL && quantity_in(requests, name) > quantity_in(limits, name)) {
            CLEANUP(free) char *detail = mem_printf("must be less than or equal to %s limit", name);
            causes_add_invalid(causes, path, value, detail);
        }
        if (quantity_in(requests, name) < 0) {
            causes_add_invalid(causes, path, value, "must be greater than or equal to 0");
        }
    }
    json_object_foreach(tree_mutable(limits), name, value)
    {
        if (quantity_in(limits, name) < 0) {
            CLEANUP(free) char *path = mem_printf("%s.resources.limits[%s]", field, name);
            causes_add_invalid(causes, path, value, "must be greater than or equal to 0");
        }
    }
}

/* A probe or a life-cycle handler does exactly one thing. */
static void validate_handler(const json_t *handler, const char *field, struct causes *causes)
{
    static const char *const actions[] = {"exec", "httpGet", "tcpSocket", "grpc", "sleep"};
    int count = 0;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (json_object_get(handler, actions[i]) == NULL) {
            continue;
        }
        CLEANUP(free) char *path = mem_printf("%s.%s", field, actions[i]);
        if (++count > 1) {
            causes_add_forbidden(causes, path, "may not specify more than 1 handler type");
        }
        const json_t *port = tree_find(json_object_get(handler, actions[i]), "port");
        if (port != NULL) {
            CLEANUP(free) char *port_path = mem_printf("%s.port", path);
            validate_port(port, port_path, causes);
        }
    }
    if (count == 0) {
        causes_add_required(causes, field, "must specify a handler type");
    }
}

static void validate_probe(const json_t *container, const char *name, const char *field,
                           struct causes *causes)
{
    const json_t *probe = json_object_get(container, name);
    if (probe == NULL) {
        return;
    }
    CLEANUP(free) char *path = mem_printf("%s.%s", field, name);
    validate_handler(probe, path, causes);
    static const char *const numbers[] = {"initialDelaySeconds", "timeoutSeconds", "periodSeconds",
                                          "successThreshold", "failureThreshold"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const json_t *value = json_object_get(probe, numbers[i]);
        if (json_is_integer(value) && json_integer_value(value) < 0) {
            CLEANUP(free) char *number_path = mem_printf("%s.%s", path, numbers[i]);
            causes_add_invalid(causes, number_path, value, "must be greater than or equal to 0");
        }
    }
    bool must_be_one = strcmp(name, "readinessProbe") != 0;
    if (must_be_one && tree_int(probe, "successThreshold", 1) != 1) {
        CLEANUP(free) char *number_path = mem_printf("%s.successThreshold", path);
        causes_add_invalid(causes, number_path, json_object_get(probe, "successThreshold"),
                           "must be 1");
    }
}

void validate_container(const json_t *container, const char *field, struct causes *causes)
{
    validate_label_name(container, field, causes);
    const char *image = tree_text_or(container, "image", "");
    CLEANUP(free) char *image_path = mem_printf("%s.image", field);
    if (*image == '\0') {
        causes_add_required(causes, image_path, NULL);
    } else if (image[strspn(image, " \t\n")] != image[0] ||
               strchr(" \t\n", image[strlen(image) - 1])) {
        causes_add_invalid(causes, image_path, json_object_get(container, "image"),
                           "must not have leading or trailing whitespace");
    }
    validate_ports(json_object_get(container, "ports"), field, causes);
    validate_env(json_object_get(container, "env"), field, causes);
    validate_resources(json_object_get(container, "resources"), field, causes);
    validate_probe(container, "livenessProbe", field, causes);
    validate_probe(container, "readinessProbe", field, causes);
    validate_probe(container, "startupProbe", field, causes);
    static const char *const hooks[] = {"postStart", "preStop"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *hook = json_object_get(json_object_get(container, "lifecycle"), hooks[i]);
        CLEANUP(free) char *path = mem_printf("%s.lifecycle.%s", field, hooks[i]);
        if (hook != NULL) {
            validate_handler(hook, path, causes);
        }
    }
}

static void validate_mounts(const json_t *container, const char *field, const json_t *volumes,
                            struct causes *causes)
{
    const json_t *mounts = json_object_get(container, "volumeMounts");
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        const json_t *mount = json_array_get(mounts, i);
        const char *name = tree_text_or(mount, "name", "");
        const char *path = tree_text_or(mount, "mountPath", "");
        CLEANUP(free) char *name_field = mem_printf("%s.volumeMounts[%zu].name", field, i);
        CLEANUP(free) char *path_field = mem_printf("%s.volumeMounts[%zu].mountPath", field, i);
        if (*name != '\0' && tree_find_item(volumes, "name", name) == NULL) {
            causes_add_not_found(causes, name_field, name);
        }
        for (size_t k = 0; k < i; k++) {
            if (tree_has_text(json_array_get(mounts, k), "mountPath", path)) {
                CLEANUP(json) json_t *shown = json_string(path);
                causes_add_invalid(causes, path_field, shown, "must be unique");
            }
        }
        const char *sub_path = tree_text_or(mount, "subPath", "");
        if (*sub_path == '/' || strstr(sub_path, "..") != NULL) {
            CLEANUP(free) char *sub_field = mem_printf("%s.volumeMounts[%zu].subPath", field, i);
            causes_add_invalid(causes, sub_field, json_object_get(mount, "subPath"),
                               *sub_path == '/' ? "must be a relative path"
                                                : "must not contain '..'");
        }
    }
}

static void validate_volumes(const json_t *volumes, const char *field, struct causes *causes)
{
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        const json_t *volume = json_array_get(volumes, i);
        CLEANUP(free) char *path = mem_printf("%s.volumes[%zu]", field, i);
        const char *name = tree_text_or(volume, "name", "");
        validate_label_name(volume, path, causes);
        for (size_t k = 0; k < i; k++) {
            if (tree_has_text(json_array_get(volumes, k), "name", name)) {
                CLEANUP(free) char *name_path = mem_printf("%s.name", path);
                causes_add_duplicate(causes, name_path, json_object_get(volume, "name"));
            }
        }
        if (json_object_size(volume) > 2) {
            causes_add_forbidden(causes, path, "may not specify more than 1 volume type");
        } else if (json_object_size(volume) < 2) {
            causes_add_required(causes, path, "must specify a volume type");
        }
    }
}

static bool name_is_earlier(const json_t *spec, size_t list, size_t index, const char *name)
{
    for (size_t l = 0; l <= list; l++) {
        const json_t *containers = json_object_get(spec, container_lists[l]);
        size_t count = l == list ? index : json_array_size(containers);
        for (size_t i = 0; i < count; i++) {
            if (tree_has_text(json_array_get(containers, i), "name", name)) {
                return true;
            }
        }
    }
    return false;
}

static void validate_tolerations(const json_t *list, const char *field, struct causes *causes)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *toleration = json_array_get(list, i);
        const char *operator= tree_text_or(toleration, "operator", "Equal");
        CLEANUP(free) char *path = mem_printf("%s.tolerations[%zu].operator", field, i);
        if (strcmp(operator, "Exists") == 0 && *tree_text_or(toleration, "value", "") != '\0') {
            causes_add_invalid(causes, path, json_object_get(toleration, "operator"),
                               "value must be empty when `operator` is 'Exists'");
        }
        if (*tree_text_or(toleration, "key", "") == '\0' && strcmp(operator, "Exists") != 0) {
            causes_add_invalid(causes, path, json_object_get(toleration, "operator"),
                               "operator must be Exists when `key` is empty, which means \"match "
                               "all values and all keys\"");
        }
    }
}

void validate_pod_spec(const json_t *spec, const char *field, struct causes *causes)
{
    const json_t *volumes = json_object_get(spec, "volumes");
    validate_volumes(volumes, field, causes);
    if (tree_count(spec, "containers") == 0) {
        CLEANUP(free) char *path = mem_printf("%s.containers", field);
        causes_add_required(causes, path, NULL);
    }
    for (size_t l = 0; l < CONTAINER_LIST_COUNT; l++) {
        const json_t *containers = json_object_get(spec, container_lists[l]);
        for (size_t i = 0; i < json_array_size(containers); i++) {
            const json_t *container = json_array_get(containers, i);
            const char *name = tree_text_or(container, "name", "");
            CLEANUP(free) char *path = mem_printf("%s.%s[%zu]", field, container_lists[l], i);
            validate_container(container, path, causes);
            validate_mounts(container, path, volumes, causes);
            if (*name != '\0' && name_is_earlier(spec, l, i, name)) {
                CLEANUP(free) char *name_path = mem_printf("%s.name", path);
                causes_add_duplicate(causes, name_path, json_object_get(container, "name"));
            }
        }
    }
    validate_tolerations(json_object_get(spec, "tolerations"), field, causes);
    static const char *const numbers[] = {"terminationGracePeriodSeconds", "activeDeadlineSeconds"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *value = json_object_get(spec, numbers[i]);
        if (json_is_integer(value) && json_integer_value(value) < (i == 0 ? 0 : 1)) {
            CLEANUP(free) char *path = mem_printf("%s.%s", field, numbers[i]);
            causes_add_invalid(causes, path, value, "must be greater than or equal to 0");
        }
    }
    names_validate_labels(json_object_get(spec, "nodeSelector"), "spec.nodeSelector", causes);
}
