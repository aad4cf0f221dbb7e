/* kubernetes_pod.c - the pod of a service. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/compose/duration.h"
#include "runtime/compose/kubernetes.h"
#include "runtime/compose/service.h"
#include "runtime/image/json.h"

struct pod {
    const struct kubernetes_input *input;
    const json_t *service;
    json_t *spec;
    json_t *container;
    json_t *volumes;
    json_t *mounts;
};

static void set_environment(struct pod *pod)
{
    json_t *list = json_array();
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(pod->service, "environment"), name, value)
    {
        if (json_is_string(value)) {
            /* $(NAME) is a reference there, $$(NAME) is not. */
            CLEANUP(buf) struct buf text = BUF_INIT;
            for (const char *at = json_string_value(value); *at != '\0'; at++) {
                buf_append_text(&text, at[0] == '$' && at[1] == '(' ? "$" : "");
                buf_append_u8(&text, (uint8_t)*at);
            }
            json_array_append_new(
                list, json_pack("{ss so}", "name", name, "value", json_text(buf_text(&text))));
        }
    }
    if (json_array_size(list) > 0) {
        json_object_set(pod->container, "env", list);
    }
    json_decref(list);
}

static void set_command(struct pod *pod)
{
    json_t *entrypoint = json_object_get(pod->service, "entrypoint");
    json_t *command = json_object_get(pod->service, "command");
    if (json_array_size(entrypoint) > 0) {
        json_object_set(pod->container, "command", entrypoint);
    }
    if (json_array_size(command) > 0) {
        json_object_set(pod->container, "args", command);
    }
}

static void set_ports(struct pod *pod)
{
    const json_t *ports = json_object_get(pod->service, "ports");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        CLEANUP(free) char *protocol = mem_strdup(json_get_text(port, "protocol", "tcp"));
        for (char *c = protocol; *c != '\0'; c++) {
            *c = (char)toupper((unsigned char)*c);
        }
        json_t *one = json_pack("{si ss}", "containerPort",
                                (int)json_get_integer(port, "target", 0), "protocol", protocol);
        bool is_known = false;
        for (size_t k = 0; k < json_array_size(list); k++) {
            is_known |= json_equal(json_array_get(list, k), one) != 0;
        }
        if (!is_known) {
            json_array_append(list, one);
        }
        json_decref(one);
    }
    if (json_array_size(list) > 0) {
        json_object_set(pod->container, "ports", list);
    }
    json_decref(list);
}

/* ---- volumes ---- */

static void mount(struct pod *pod, const char *name, const char *target, bool is_read_only,
                  const char *sub_path, json_t *source)
{
    bool is_known = false;
    for (size_t i = 0; i < json_array_size(pod->volumes); i++) {
        is_known |= strcmp(json_get_text(json_array_get(pod->volumes, i), "name", ""), name) == 0;
    }
    if (is_known) {
        json_decref(source);
    } else {
        json_object_set_new(source, "name", json_text(name));
        json_array_append_new(pod->volumes, source);
    }
    json_t *one = json_pack("{ss ss}", "name", name, "mountPath", target);
    if (is_read_only) {
        json_object_set_new(one, "readOnly", json_true());
    }
    if (sub_path != NULL) {
        json_object_set_new(one, "subPath", json_text(sub_path));
    }
    json_array_append_new(pod->mounts, one);
}

static void add_volume(struct pod *pod, size_t number, const json_t *volume)
{
    char name[64];
    const char *type = json_get_text(volume, "type", "volume");
    const char *source = json_get_text(volume, "source", NULL);
    const char *target = json_get_text(volume, "target", "");
    bool is_read_only = json_get_flag(volume, "read_only");
    if (strcmp(type, "volume") == 0 && source != NULL) {
        kubernetes_name(source, name);
        mount(pod, name, target, is_read_only, NULL,
              json_pack("{s{ss}}", "persistentVolumeClaim", "claimName", name));
        return;
    }
    (void)snprintf(name, sizeof(name), "mount-%zu", number);
    if (strcmp(type, "bind") == 0) {
        mount(pod, name, target, is_read_only, NULL,
              json_pack("{s{ss}}", "hostPath", "path", source == NULL ? "/" : source));
    } else if (strcmp(type, "tmpfs") == 0) {
        const char *size = json_get_text(json_object_get(volume, "tmpfs"), "size", NULL);
        json_t *memory = json_pack("{ss}", "medium", "Memory");
        if (size != NULL) {
            json_object_set_new(memory, "sizeLimit", kubernetes_size(size));
        }
        mount(pod, name, target, false, NULL, json_pack("{so}", "emptyDir", memory));
    } else {
        mount(pod, name, target, is_read_only, NULL, json_pack("{s{}}", "emptyDir"));
    }
}

static void add_files(struct pod *pod)
{
    static const char *const sections[] = {"secrets", "configs"};
    for (size_t s = 0; s < 2; s++) {
        const json_t *list = json_object_get(pod->service, sections[s]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *item = json_array_get(list, i);
            const char *source = json_get_text(item, "source", "");
            const char *target = json_get_text(item, "target", source);
            char name[64];
            kubernetes_name(source, name);
            CLEANUP(free) char *volume = mem_printf("%.6s-%s", sections[s], name);
            CLEANUP(free)
            char *path = target[0] == '/' ? mem_strdup(target)
                         : s == 0         ? mem_printf("/run/secrets/%s", target)
                                          : mem_printf("/%s", target);
            json_t *content = s == 0 ? json_pack("{s{ss}}", "secret", "secretName", name)
                                     : json_pack("{s{ss}}", "configMap", "name", name);
            if (json_object_get(item, "mode") != NULL) {
                json_object_set_new(json_object_get(content, s == 0 ? "secret" : "configMap"),
                                    "defaultMode",
                                    json_integer(json_get_integer(item, "mode", 0444)));
            }
            mount(pod, volume, path, true, name, content);
        }
    }
}

static void set_volumes(struct pod *pod)
{
    const json_t *volumes = json_object_get(pod->service, "volumes");
    const json_t *tmpfs = json_object_get(pod->service, "tmpfs");
    size_t count = json_array_size(volumes);
    for (size_t i = 0; i < count; i++) {
        add_volume(pod, i, json_array_get(volumes, i));
    }
    for (size_t i = 0; i < json_array_size(tmpfs); i++) {
        CLEANUP(free) char *path = mem_strdup(json_string_value(json_array_get(tmpfs, i)));
        path[strcspn(path, ":")] = '\0';
        CLEANUP(json) json_t *volume = json_pack("{ss ss}", "type", "tmpfs", "target", path);
        add_volume(pod, count + i, volume);
    }
    add_files(pod);
    if (json_array_size(pod->mounts) > 0) {
        json_object_set(pod->container, "volumeMounts", pod->mounts);
        json_object_set(pod->spec, "volumes", pod->volumes);
    }
}

/* ---- resources, health, security ---- */

static void set_limit(json_t *resources, const char *group, const char *key, json_t *value)
{
    json_t *object = json_object_get(resources, group);
    if (object == NULL) {
        object = json_object();
        json_object_set_new(resources, group, object);
    }
    json_object_set_new(object, key, value);
}

static void set_resources(struct pod *pod)
{
    const json_t *given = json_object_get(json_object_get(pod->service, "deploy"), "resources");
    const json_t *limits = json_object_get(given, "limits");
    const json_t *reserved = json_object_get(given, "reservations");
    const char *memory =
        json_get_text(limits, "memory", json_get_text(pod->service, "mem_limit", NULL));
    const char *cpus = json_get_text(limits, "cpus", json_get_text(pod->service, "cpus", NULL));
    const char *least =
        json_get_text(reserved, "memory", json_get_text(pod->service, "mem_reservation", NULL));
    const char *least_cpus = json_get_text(reserved, "cpus", NULL);
    CLEANUP(json) json_t *resources = json_object();
    if (memory != NULL) {
        set_limit(resources, "limits", "memory", kubernetes_size(memory));
    }
    if (cpus != NULL) {
        set_limit(resources, "limits", "cpu", json_text(cpus));
    }
    if (least != NULL) {
        set_limit(resources, "requests", "memory", kubernetes_size(least));
    }
    if (least_cpus != NULL) {
        set_limit(resources, "requests", "cpu", json_text(least_cpus));
    }
    if (json_object_size(resources) > 0) {
        json_object_set(pod->container, "resources", resources);
    }
}

static void set_seconds(json_t *probe, const json_t *check, const char *key, const char *name)
{
    int64_t ns = 0;
    const char *text = json_get_text(check, key, NULL);
    if (text != NULL && duration_parse(text, &ns) == 0) {
        int64_t seconds = (ns + 999999999) / 1000000000;
        json_object_set_new(probe, name, json_integer(seconds < 1 ? 1 : seconds));
    }
}

/* Compose does not restart what is unhealthy: a readiness probe. */
static void set_health(struct pod *pod)
{
    const json_t *check = json_object_get(pod->service, "healthcheck");
    const json_t *test = json_object_get(check, "test");
    const char *kind = json_string_value(json_array_get(test, 0));
    if (kind == NULL || strcmp(kind, "NONE") == 0 || json_get_flag(check, "disable")) {
        return;
    }
    json_t *command = json_array();
    if (strcmp(kind, "CMD-SHELL") == 0) {
        json_array_append_new(command, json_text("/bin/sh"));
        json_array_append_new(command, json_text("-c"));
    }
    for (size_t i = 1; i < json_array_size(test); i++) {
        json_array_append(command, json_array_get(test, i));
    }
    json_t *probe = json_pack("{s{so}}", "exec", "command", command);
    set_seconds(probe, check, "interval", "periodSeconds");
    set_seconds(probe, check, "timeout", "timeoutSeconds");
    set_seconds(probe, check, "start_period", "initialDelaySeconds");
    if (json_is_integer(json_object_get(check, "retries"))) {
        json_object_set(probe, "failureThreshold", json_object_get(check, "retries"));
    }
    json_object_set_new(pod->container, "readinessProbe", probe);
}

/* "1000:1000"; names are known only inside the image. */
static void set_user(struct pod *pod, json_t *security)
{
    const char *user = json_get_text(pod->service, "user", "");
    char *end = NULL;
    long uid = strtol(user, &end, 10);
    if (end == user || (*end != '\0' && *end != ':')) {
        return;
    }
    json_object_set_new(security, "runAsUser", json_integer(uid));
    if (*end == ':' && isdigit((unsigned char)end[1])) {
        json_object_set_new(security, "runAsGroup", json_integer(strtol(end + 1, NULL, 10)));
    }
}

static void set_security(struct pod *pod)
{
    CLEANUP(json) json_t *security = json_object();
    json_t *added = json_object_get(pod->service, "cap_add");
    json_t *dropped = json_object_get(pod->service, "cap_drop");
    set_user(pod, security);
    if (json_get_flag(pod->service, "privileged")) {
        json_object_set_new(security, "privileged", json_true());
    }
    if (json_get_flag(pod->service, "read_only")) {
        json_object_set_new(security, "readOnlyRootFilesystem", json_true());
    }
    if (json_array_size(added) + json_array_size(dropped) > 0) {
        json_t *capabilities = json_object();
        if (json_array_size(added) > 0) {
            json_object_set(capabilities, "add", added);
        }
        if (json_array_size(dropped) > 0) {
            json_object_set(capabilities, "drop", dropped);
        }
        json_object_set_new(security, "capabilities", capabilities);
    }
    if (json_object_size(security) > 0) {
        json_object_set(pod->container, "securityContext", security);
    }
}

static void set_hosts(struct pod *pod)
{
    const json_t *hosts = json_object_get(pod->service, "extra_hosts");
    json_t *aliases = json_array();
    for (size_t i = 0; i < json_array_size(hosts); i++) {
        CLEANUP(free) char *text = mem_strdup(json_string_value(json_array_get(hosts, i)));
        size_t size = strcspn(text, ":=");
        if (text[size] != '\0' && strcmp(text + size + 1, "host-gateway") != 0) {
            text[size] = '\0';
            json_array_append_new(aliases,
                                  json_pack("{ss s[s]}", "ip", text + size + 1, "hostnames", text));
        }
    }
    if (json_array_size(aliases) > 0) {
        json_object_set(pod->spec, "hostAliases", aliases);
    }
    json_decref(aliases);
}

static void set_others(struct pod *pod)
{
    static const char *const flags[][2] = {{"tty", "tty"}, {"stdin_open", "stdin"}};
    const char *workdir = json_get_text(pod->service, "working_dir", NULL);
    const char *hostname = json_get_text(pod->service, "hostname", NULL);
    const char *grace = json_get_text(pod->service, "stop_grace_period", NULL);
    int64_t ns = 0;
    for (size_t i = 0; i < 2; i++) {
        if (json_get_flag(pod->service, flags[i][0])) {
            json_object_set_new(pod->container, flags[i][1], json_true());
        }
    }
    if (workdir != NULL) {
        json_object_set_new(pod->container, "workingDir", json_text(workdir));
    }
    if (hostname != NULL) {
        char name[64];
        kubernetes_name(hostname, name);
        json_object_set_new(pod->spec, "hostname", json_text(name));
    }
    if (grace != NULL && duration_parse(grace, &ns) == 0) {
        json_object_set_new(pod->spec, "terminationGracePeriodSeconds",
                            json_integer((ns + 999999999) / 1000000000));
    }
    if (strcmp(json_get_text(pod->service, "network_mode", ""), "host") == 0) {
        json_object_set_new(pod->spec, "hostNetwork", json_true());
    }
}

int kubernetes_pod(const struct kubernetes_input *input, const char *name, const json_t *service,
                   json_t **ret, struct err *err)
{
    static const char *const together[] = {"network_mode", "pid", "ipc"};
    char container_name[64];
    for (size_t i = 0; i < 3; i++) {
        const char *mode = json_get_text(service, together[i], "");
        if (strncmp(mode, "service:", 8) == 0 || strncmp(mode, "container:", 10) == 0) {
            return err_set(err, ERR_UNSUPPORTED, "%s: '%.60s' has no meaning on a cluster",
                           together[i], mode);
        }
    }
    kubernetes_name(name, container_name);
    struct pod pod = {
        .input = input,
        .service = service,
        .spec = json_object(),
        .volumes = json_array(),
        .mounts = json_array(),
    };
    pod.container = json_pack("{ss ss ss}", "name", container_name, "image", service_image(service),
                              "imagePullPolicy", "IfNotPresent");
    if (strcmp(json_get_text(service, "pull_policy", ""), "always") == 0) {
        json_object_set_new(pod.container, "imagePullPolicy", json_text("Always"));
    }
    set_command(&pod);
    set_environment(&pod);
    set_ports(&pod);
    set_volumes(&pod);
    set_resources(&pod);
    set_health(&pod);
    set_security(&pod);
    set_hosts(&pod);
    set_others(&pod);
    json_object_set_new(pod.spec, "containers", json_pack("[o]", pod.container));
    json_decref(pod.volumes);
    json_decref(pod.mounts);
    *ret = pod.spec;
    return 0;
}
