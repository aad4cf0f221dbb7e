#include "runtime/compose/kubernetes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/compose/duration.h"
#include "runtime/compose/service.h"
#include "runtime/image/json.h"

enum { NODE_PORT_MIN = 30000, NODE_PORT_MAX = 32767 };

struct conversion {
    const struct kubernetes_input *input;
    json_t *objects;
    struct err *err;
};

void kubernetes_name(const char *text, char *out)
{
    enum { NAME_MAX_SIZE = 63 };
    size_t size = 0;
    for (; *text != '\0' && size < NAME_MAX_SIZE; text++) {
        char c = (char)tolower((unsigned char)*text);
        bool is_good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (is_good || size > 0) {
            out[size++] = is_good ? c : '-';
        }
    }
    while (size > 0 && out[size - 1] == '-') {
        size--;
    }
    out[size] = '\0';
}

json_t *kubernetes_size(const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    char unit = (char)tolower((unsigned char)*end);
    const char *suffix = unit == 'k'   ? "Ki"
                         : unit == 'm' ? "Mi"
                         : unit == 'g' ? "Gi"
                         : unit == 't' ? "Ti"
                                       : "";
    CLEANUP(free) char *out = mem_printf("%.10g%s", value, suffix);
    return json_text(out);
}

static json_t *metadata(const struct conversion *conversion, const char *name, const char *service)
{
    json_t *labels = json_pack("{ss ss}", "app.kubernetes.io/managed-by", "kvctl-compose",
                               "app.kubernetes.io/part-of",
                               json_get_text(conversion->input->project, "name", ""));
    if (service != NULL) {
        json_object_set_new(labels, "app.kubernetes.io/name", json_text(service));
    }
    json_t *out = json_pack("{ss so}", "name", name, "labels", labels);
    if (conversion->input->namespace != NULL) {
        json_object_set_new(out, "namespace", json_text(conversion->input->namespace));
    }
    return out;
}

static void add(struct conversion *conversion, const char *version, const char *kind, json_t *about,
                const char *key, json_t *content)
{
    json_t *object =
        json_pack("{ss ss so}", "apiVersion", version, "kind", kind, "metadata", about);
    json_object_set_new(object, key, content);
    json_array_append_new(conversion->objects, object);
}

/* ---- secrets and configs ---- */

static int read_content(const struct conversion *conversion, const char *section, const char *name,
                        const json_t *source, struct buf *out)
{
    const char *file = json_get_text(source, "file", NULL);
    const char *variable = json_get_text(source, "environment", NULL);
    const char *content = json_get_text(source, "content", NULL);
    if (variable != NULL) {
        content = json_get_text(conversion->input->environment, variable, NULL);
    }
    if (content != NULL) {
        buf_append_text(out, content);
        return 0;
    }
    if (file == NULL) {
        return err_set(conversion->err, ERR_INVALID, "%s.%s: the variable %s is not set", section,
                       name, variable == NULL ? "" : variable);
    }
    int status =
        conversion->input->read_file(conversion->input->context, file, out, conversion->err);
    return status == 0 ? 0 : err_prefix(conversion->err, "%s.%s", section, name);
}

static bool is_used(const struct conversion *conversion, const char *section, const char *key)
{
    json_t *services = json_object_get(conversion->input->project, "services");
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach(services, name, service)
    {
        const json_t *list = json_object_get(service, section);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const char *source = json_get_text(json_array_get(list, i), "source", "");
            if (strcmp(source, key) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* stringData and data carry texts; other bytes have no place in a manifest that people read. */
static int add_sources(struct conversion *conversion, const char *section, const char *kind,
                       const char *key)
{
    json_t *sources = json_object_get(conversion->input->project, section);
    const char *source_name = NULL;
    json_t *source = NULL;
    json_object_foreach(sources, source_name, source)
    {
        CLEANUP(buf) struct buf content = BUF_INIT;
        char name[64];
        kubernetes_name(source_name, name);
        if (json_get_flag(source, "external") || !is_used(conversion, section, source_name)) {
            continue;
        }
        int status = read_content(conversion, section, source_name, source, &content);
        if (status != 0) {
            return status;
        }
        json_t *text = json_stringn(buf_text(&content), buf_size(&content));
        if (text == NULL) {
            return err_set(conversion->err, ERR_UNSUPPORTED, "%s.%s: is not UTF-8 text", section,
                           source_name);
        }
        add(conversion, "v1", kind, metadata(conversion, name, NULL), key,
            json_pack("{so}", name, text));
    }
    return 0;
}

/* ---- volumes ---- */

static void add_claims(struct conversion *conversion)
{
    json_t *volumes = json_object_get(conversion->input->project, "volumes");
    const char *key = NULL;
    json_t *volume = NULL;
    json_object_foreach(volumes, key, volume)
    {
        char name[64];
        const char *size = json_get_text(volume, "x-size", "1g");
        kubernetes_name(key, name);
        if (json_get_flag(volume, "external") || !is_used(conversion, "volumes", key)) {
            continue;
        }
        add(conversion, "v1", "PersistentVolumeClaim", metadata(conversion, name, NULL), "spec",
            json_pack("{s[s] s{s{so}}}", "accessModes", "ReadWriteOnce", "resources", "requests",
                      "storage", kubernetes_size(size)));
    }
}

/* ---- services ---- */

static json_t *selector(const struct conversion *conversion, const char *name)
{
    return json_pack("{ss ss}", "app.kubernetes.io/name", name, "app.kubernetes.io/part-of",
                     json_get_text(conversion->input->project, "name", ""));
}

static void add_port(json_t *ports, int64_t target, const char *protocol, int64_t node_port)
{
    CLEANUP(free)
    char *name = mem_printf("p%lld-%s", (long long)target, protocol);
    CLEANUP(free) char *upper = mem_strdup(protocol);
    for (char *c = upper; *c != '\0'; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
    for (size_t i = 0; i < json_array_size(ports); i++) {
        if (strcmp(json_get_text(json_array_get(ports, i), "name", ""), name) == 0) {
            return;
        }
    }
    json_t *port = json_pack("{ss si si ss}", "name", name, "port", (int)target, "targetPort",
                             (int)target, "protocol", upper);
    if (node_port >= NODE_PORT_MIN && node_port <= NODE_PORT_MAX) {
        json_object_set_new(port, "nodePort", json_integer(node_port));
    }
    json_array_append_new(ports, port);
}

/* Published ports are reachable from outside on a port of every node; a published number is kept
 * where a cluster allows it. A service without ports still has a name. */
static void add_service(struct conversion *conversion, const char *name, const json_t *service)
{
    const json_t *published = json_object_get(service, "ports");
    const json_t *exposed = json_object_get(service, "expose");
    json_t *ports = json_array();
    for (size_t i = 0; i < json_array_size(published); i++) {
        const json_t *port = json_array_get(published, i);
        add_port(ports, json_get_integer(port, "target", 0), json_get_text(port, "protocol", "tcp"),
                 strtol(json_get_text(port, "published", "0"), NULL, 10));
    }
    for (size_t i = 0; i < json_array_size(exposed); i++) {
        char *end = NULL;
        long port = strtol(json_string_value(json_array_get(exposed, i)), &end, 10);
        if (port > 0 && port < 65536) {
            add_port(ports, port, *end == '/' ? end + 1 : "tcp", 0);
        }
    }
    json_t *spec = json_pack("{so}", "selector", selector(conversion, name));
    if (json_array_size(ports) > 0) {
        json_object_set(spec, "ports", ports);
        json_object_set_new(spec, "type",
                            json_text(json_array_size(published) > 0 ? "NodePort" : "ClusterIP"));
    } else {
        json_object_set_new(spec, "clusterIP", json_text("None"));
    }
    json_decref(ports);
    add(conversion, "v1", "Service", metadata(conversion, name, name), "spec", spec);
}

/* ---- workloads ---- */

/* "", "Never" or "OnFailure": a service that ends by itself. */
static const char *job_policy(const json_t *service)
{
    const json_t *policy = json_object_get(json_object_get(service, "deploy"), "restart_policy");
    const char *condition = json_get_text(policy, "condition", "");
    const char *restart = json_get_text(service, "restart", "");
    if (strcmp(condition, "none") == 0 || (condition[0] == '\0' && strcmp(restart, "no") == 0)) {
        return "Never";
    }
    return strcmp(condition, "on-failure") == 0 ||
                   (condition[0] == '\0' && strncmp(restart, "on-failure", 10) == 0)
               ? "OnFailure"
               : "";
}

static int add_workload(struct conversion *conversion, const char *key, const json_t *service)
{
    json_t *pod = NULL;
    char name[64];
    kubernetes_name(key, name);
    int status = kubernetes_pod(conversion->input, key, service, &pod, conversion->err);
    if (status != 0) {
        return err_prefix(conversion->err, "services.%s", key);
    }
    const json_t *deploy = json_object_get(service, "deploy");
    const char *job = job_policy(service);
    json_t *template =
        json_pack("{s{so} so}", "metadata", "labels", selector(conversion, name), "spec", pod);
    json_t *about = metadata(conversion, name, name);
    if (job[0] != '\0') {
        json_object_set_new(pod, "restartPolicy", json_text(job));
        add(conversion, "batch/v1", "Job", about, "spec", json_pack("{so}", "template", template));
        return 0;
    }
    json_t *spec = json_pack("{s{so} so}", "selector", "matchLabels", selector(conversion, name),
                             "template", template);
    if (strcmp(json_get_text(deploy, "mode", ""), "global") == 0) {
        add(conversion, "apps/v1", "DaemonSet", about, "spec", spec);
        return 0;
    }
    json_object_set_new(spec, "replicas", json_integer(service_scale(service)));
    add(conversion, "apps/v1", "Deployment", about, "spec", spec);
    return 0;
}

int kubernetes_convert(const struct kubernetes_input *input, json_t **ret, struct err *err)
{
    struct conversion conversion = {.input = input, .objects = json_array(), .err = err};
    json_t *services = json_object_get(input->project, "services");
    const char *key = NULL;
    json_t *service = NULL;
    int status = add_sources(&conversion, "configs", "ConfigMap", "data");
    if (status == 0) {
        status = add_sources(&conversion, "secrets", "Secret", "stringData");
    }
    if (status == 0) {
        add_claims(&conversion);
    }
    json_object_foreach(services, key, service)
    {
        char name[64];
        kubernetes_name(key, name);
        if (status == 0 && job_policy(service)[0] == '\0') {
            add_service(&conversion, name, service);
        }
        status = status == 0 ? add_workload(&conversion, key, service) : status;
    }
    if (status != 0) {
        json_decref(conversion.objects);
        return status;
    }
    *ret = conversion.objects;
    return 0;
}
