#include "orchestrator/agent/pod_env.h"

#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/tree.h"

void pod_env_expand(const char *text, const json_t *env, struct buf *out)
{
    for (const char *at = text; *at != '\0';) {
        if (at[0] == '$' && at[1] == '$') {
            buf_append_u8(out, '$');
            at += 2;
            continue;
        }
        const char *end = at[0] == '$' && at[1] == '(' ? strchr(at, ')') : NULL;
        if (end == NULL) {
            buf_append_u8(out, (uint8_t)*at++);
            continue;
        }
        CLEANUP(free) char *name = mem_printf("%.*s", (int)(end - at - 2), at + 2);
        const char *value = json_string_value(json_object_get(env, name));
        if (value != NULL) {
            buf_append_text(out, value);
        } else {
            buf_append(out, at, (size_t)(end - at) + 1);
        }
        at = end + 1;
    }
}

static void set(json_t *env, const char *name, const char *value)
{
    json_t *text = json_string(value);
    json_object_set_new(env, name, text == NULL ? json_string("") : text);
}

/* ---- services: what Docker's links were ---- */

/* A name as an environment variable's: my-web is MY_WEB. */
static void make_variable(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '-' ? '_' : *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
    }
}

static void make_lower(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    }
}

static void set_service(json_t *env, const json_t *service)
{
    const char *address = tree_text_or(service, "spec.clusterIP", "");
    const json_t *ports = tree_find(service, "spec.ports");
    if (*address == '\0' || strcmp(address, "None") == 0 || json_array_size(ports) == 0) {
        return;
    }
    CLEANUP(free) char *prefix = mem_strdup(object_name(service));
    make_variable(prefix);
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        int number = (int)tree_int(port, "port", 0);
        const char *name = tree_text_or(port, "name", "");
        CLEANUP(free) char *protocol = mem_strdup(tree_text_or(port, "protocol", "TCP"));
        CLEANUP(free) char *lower = mem_strdup(protocol);
        make_lower(lower);
        CLEANUP(free) char *text = mem_printf("%d", number);
        CLEANUP(free) char *url = mem_printf("%s://%s:%d", lower, address, number);
        CLEANUP(free) char *base = mem_printf("%s_PORT_%d_%s", prefix, number, protocol);
        CLEANUP(free) char *host_key = mem_printf("%s_SERVICE_HOST", prefix);
        CLEANUP(free) char *port_key = mem_printf("%s_SERVICE_PORT", prefix);
        CLEANUP(free) char *link_key = mem_printf("%s_PORT", prefix);
        if (i == 0) {
            set(env, host_key, address);
            set(env, port_key, text);
            set(env, link_key, url);
        }
        if (*name != '\0') {
            CLEANUP(free) char *named = mem_printf("%s_%s", port_key, name);
            make_variable(named);
            set(env, named, text);
        }
        static const char *const suffixes[] = {"", "_PROTO", "_PORT", "_ADDR"};
        const char *const values[] = {url, lower, text, address};
        for (size_t k = 0; k < 4; k++) {
            CLEANUP(free) char *key = mem_printf("%s%s", base, suffixes[k]);
            set(env, key, values[k]);
        }
    }
}

static void set_services(json_t *env, const struct pod_record *record, const json_t *services)
{
    const char *key = NULL;
    json_t *service = NULL;
    bool wants_links = tree_bool(record->pod, "spec.enableServiceLinks", true);
    json_object_foreach(tree_mutable(services), key, service)
    {
        bool is_api = strcmp(key, "default/kubernetes") == 0;
        bool is_own = strcmp(object_namespace(service), object_namespace(record->pod)) == 0;
        if (is_api || (wants_links && is_own)) {
            set_service(env, service);
        }
    }
}

/* ---- config maps and secrets ---- */

static int find_object(const struct pod_record *record, const struct pod_surroundings *around,
                       const char *resource, const char *name, bool is_optional, const json_t **ret,
                       struct err *err)
{
    const json_t *object = around->objects.find(around->objects.context, resource,
                                                object_namespace(record->pod), name);
    bool is_secret = strcmp(resource, "secrets") == 0;
    if (object == NULL) {
        return err_set(err, ERR_BUSY, "%s \"%s\" is being read", resource, name);
    }
    if (json_is_null(object)) {
        *ret = NULL;
        return is_optional ? 0
                           : err_set(err, ERR_NOT_FOUND, "%s \"%s\" not found",
                                     is_secret ? "secret" : "configmap", name);
    }
    *ret = object;
    return 0;
}

/* The caller frees *ret; NULL when there is no such key. */
static char *value_of(const json_t *object, const char *key, bool is_secret)
{
    const char *text = json_string_value(json_object_get(json_object_get(object, "data"), key));
    if (text == NULL || !is_secret) {
        return text == NULL ? NULL : mem_strdup(text);
    }
    CLEANUP(buf) struct buf decoded = BUF_INIT;
    return base64_decode(text, &decoded) == 0 ? mem_strdup(buf_text(&decoded)) : NULL;
}

static int set_from(json_t *env, const struct pod_record *record,
                    const struct pod_surroundings *around, const json_t *source, struct err *err)
{
    bool is_secret = json_object_get(source, "secretRef") != NULL;
    const json_t *reference = json_object_get(source, is_secret ? "secretRef" : "configMapRef");
    const char *prefix = tree_text_or(source, "prefix", "");
    const json_t *object = NULL;
    int status = find_object(record, around, is_secret ? "secrets" : "configmaps",
                             tree_text_or(reference, "name", ""),
                             tree_bool(reference, "optional", false), &object, err);
    const char *key = NULL;
    json_t *ignored = NULL;
    json_object_foreach(json_object_get(object, "data"), key, ignored)
    {
        CLEANUP(free) char *name = mem_printf("%s%s", prefix, key);
        CLEANUP(free) char *value = value_of(object, key, is_secret);
        if (value != NULL && strchr(name, '=') == NULL) {
            set(env, name, value);
        }
    }
    return status;
}

static int value_from_key(const struct pod_record *record, const struct pod_surroundings *around,
                          const json_t *reference, bool is_secret, char **ret, struct err *err)
{
    const json_t *object = NULL;
    bool is_optional = tree_bool(reference, "optional", false);
    const char *name = tree_text_or(reference, "name", "");
    const char *key = tree_text_or(reference, "key", "");
    int status = find_object(record, around, is_secret ? "secrets" : "configmaps", name,
                             is_optional, &object, err);
    *ret = status == 0 && object != NULL ? value_of(object, key, is_secret) : NULL;
    if (status == 0 && *ret == NULL && !is_optional) {
        status = err_set(err, ERR_NOT_FOUND, "couldn't find key %s in %s %s/%s", key,
                         is_secret ? "Secret" : "ConfigMap", object_namespace(record->pod), name);
    }
    return status;
}

/* *ret stays NULL for an optional value that is absent. */
static int value_from(const struct pod_record *record, const struct unit *unit,
                      const struct pod_surroundings *around, const json_t *source, char **ret,
                      struct err *err)
{
    const json_t *field = json_object_get(source, "fieldRef");
    const json_t *resource = json_object_get(source, "resourceFieldRef");
    const json_t *map = json_object_get(source, "configMapKeyRef");
    const json_t *secret = json_object_get(source, "secretKeyRef");
    if (field != NULL) {
        const char *path = tree_text_or(field, "fieldPath", "");
        return pod_field(record, around, path, ret)
                   ? 0
                   : err_set(err, ERR_INVALID, "unsupported fieldPath: %s", path);
    }
    if (resource != NULL) {
        const struct unit *other = unit;
        const char *name = tree_text_or(resource, "containerName", "");
        if (*name != '\0') {
            other = pod_record_find(record, name);
        }
        return pod_resource_field(resource, other == NULL ? NULL : other->spec, around, ret, err);
    }
    if (map != NULL || secret != NULL) {
        return value_from_key(record, around, map != NULL ? map : secret, map == NULL, ret, err);
    }
    return err_set(err, ERR_INVALID, "valueFrom names no source");
}

int pod_env_make(const struct pod_record *record, const struct unit *unit,
                 const struct pod_surroundings *around, json_t **ret, struct err *err)
{
    CLEANUP(json) json_t *env = json_object();
    const json_t *from = json_object_get(unit->spec, "envFrom");
    const json_t *list = json_object_get(unit->spec, "env");
    set_services(env, record, around->services);
    int status = 0;
    for (size_t i = 0; i < json_array_size(from) && status == 0; i++) {
        status = set_from(env, record, around, json_array_get(from, i), err);
    }
    for (size_t i = 0; i < json_array_size(list) && status == 0; i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = tree_text_or(item, "name", "");
        const json_t *source = json_object_get(item, "valueFrom");
        if (source == NULL) {
            CLEANUP(buf) struct buf text = BUF_INIT;
            pod_env_expand(tree_text_or(item, "value", ""), env, &text);
            json_object_del(env, name); /* defined again: at its new place */
            set(env, name, buf_text(&text));
            continue;
        }
        CLEANUP(free) char *value = NULL;
        status = value_from(record, unit, around, source, &value, err);
        if (status == 0 && value != NULL) {
            json_object_del(env, name);
            set(env, name, value);
        }
    }
    if (status == 0) {
        *ret = TAKE_PTR(env);
    }
    return status;
}
