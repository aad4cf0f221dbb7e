/* normal_parts.c - ports, volumes, networks and the other parts of services that have short forms.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/compose/normal.h"
#include "runtime/image/json.h"

/* ---- ports ---- */

struct port_range {
    long first, last; /* 0: none */
};

static bool read_range(const char *text, struct port_range *ret)
{
    char *end = NULL;
    struct port_range range = {0, 0};
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    range.first = strtol(text, &end, 10);
    range.last = range.first;
    if (*end == '-' && end[1] >= '0' && end[1] <= '9') {
        range.last = strtol(end + 1, &end, 10);
    }
    *ret = range;
    return *end == '\0' && range.first >= 0 && range.last >= range.first && range.last <= 65535;
}

static int invalid_port(struct normal *normal, const char *text)
{
    return normal_fail(normal, ERR_MALFORMED, "'%.80s' is not [[IP:]PORT:]PORT[/PROTOCOL]", text);
}

/* "[[ip:]published:]target" cut at its colons; an IPv6 address stands in brackets. */
static bool cut_port(char *text, char **ret_ip, char **ret_published, char **ret_target)
{
    char *last = strrchr(text, ':');
    *ret_ip = NULL;
    *ret_published = NULL;
    *ret_target = last == NULL ? text : last + 1;
    if (last == NULL) {
        return true;
    }
    *last = '\0';
    char *before = text[0] == '[' ? strstr(text, "]:") : strrchr(text, ':');
    if (text[0] == '[' && before != NULL) {
        *before++ = '\0';
        text++;
    }
    if (before == NULL) {
        *ret_published = text;
        return true;
    }
    *before = '\0';
    *ret_ip = text;
    *ret_published = before + 1;
    return true;
}

static int short_port(struct normal *normal, const char *given, json_t **ret)
{
    CLEANUP(free) char *text = mem_strdup(given);
    CLEANUP(json) json_t *out = json_array();
    char *protocol = strchr(text, '/');
    char *ip = NULL;
    char *published = NULL;
    char *target = NULL;
    struct port_range inside = {0, 0};
    struct port_range outside = {0, 0};
    struct in6_addr address;
    if (protocol != NULL) {
        *protocol++ = '\0';
    }
    if (!cut_port(text, &ip, &published, &target) || !read_range(target, &inside) ||
        inside.first == 0 ||
        (published != NULL && published[0] != '\0' && !read_range(published, &outside)) ||
        (ip != NULL && ip[0] != '\0' && inet_pton(AF_INET, ip, &address) != 1 &&
         inet_pton(AF_INET6, ip, &address) != 1)) {
        return invalid_port(normal, given);
    }
    bool is_pool = inside.first == inside.last && outside.last > outside.first;
    if (outside.first != 0 && !is_pool &&
        outside.last - outside.first != inside.last - inside.first) {
        return normal_fail(normal, ERR_MALFORMED, "'%.80s': the ranges differ in length", given);
    }
    for (long i = 0; i <= inside.last - inside.first; i++) {
        json_t *port = json_pack("{ss si ss}", "mode", "ingress", "target", (int)(inside.first + i),
                                 "protocol", protocol == NULL ? "tcp" : protocol);
        char number[32];
        (void)snprintf(number, sizeof(number), "%ld", outside.first + i);
        if (is_pool) {
            (void)snprintf(number, sizeof(number), "%ld-%ld", outside.first, outside.last);
        }
        if (outside.first != 0) {
            json_object_set_new(port, "published", json_text(number));
        }
        if (ip != NULL && ip[0] != '\0') {
            json_object_set_new(port, "host_ip", json_text(ip));
        }
        json_array_append_new(out, normal_mark(normal, port));
    }
    *ret = TAKE_PTR(out);
    return 0;
}

int normal_port(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"app_protocol", normal_text, NULL}, {"host_ip", normal_text, NULL},
        {"mode", normal_text, NULL},         {"name", normal_text, NULL},
        {"protocol", normal_text, NULL},     {"published", normal_text, NULL},
        {"target", normal_integer, NULL},    {NULL, NULL, NULL},
    };
    CLEANUP(json) json_t *out = NULL;
    if (!json_is_object(value)) {
        CLEANUP(json) json_t *text = normal_scalar_text(value);
        return text == NULL ? normal_fail(normal, ERR_MALFORMED, "a port is a text or a mapping")
                            : short_port(normal, json_string_value(text), ret);
    }
    int status = normal_object(normal, value, keys, &out);
    if (status != 0) {
        return status;
    }
    struct port_range range;
    int64_t target = json_get_integer(out, "target", 0);
    const char *published = json_get_text(out, "published", "");
    if (target < 1 || target > 65535 || (published[0] != '\0' && !read_range(published, &range))) {
        return normal_fail(normal, ERR_MALFORMED, "target and published must be ports");
    }
    if (json_object_get(out, "protocol") == NULL) {
        json_object_set_new(out, "protocol", json_text("tcp"));
    }
    if (json_object_get(out, "mode") == NULL) {
        json_object_set_new(out, "mode", json_text("ingress"));
    }
    *ret = TAKE_PTR(out);
    return 0;
}

int normal_ports(struct normal *normal, json_t *value, json_t **ret)
{
    return normal_items(normal, value, normal_port, ret);
}

/* ---- volumes ---- */

static bool is_path(const char *text)
{
    return text[0] == '/' || text[0] == '.' || text[0] == '~';
}

static int volume_option(struct normal *normal, json_t *out, const char *option)
{
    static const char *const propagations[] = {"shared",  "slave",  "private",
                                               "rshared", "rslave", "rprivate"};
    if (strcmp(option, "ro") == 0) {
        json_object_set_new(out, "read_only", json_true());
        return 0;
    }
    if (strcmp(option, "nocopy") == 0) {
        json_object_set_new(out, "volume", json_pack("{sb}", "nocopy", 1));
        return 0;
    }
    for (size_t i = 0; i < sizeof(propagations) / sizeof(propagations[0]); i++) {
        if (strcmp(option, propagations[i]) == 0) {
            json_object_set_new(json_object_get(out, "bind"), "propagation", json_text(option));
            return 0;
        }
    }
    /* SELinux labels and caching modes: no meaning here, and harmless. */
    bool is_harmless = strcmp(option, "rw") == 0 || strcmp(option, "z") == 0 ||
                       strcmp(option, "Z") == 0 || strcmp(option, "cached") == 0 ||
                       strcmp(option, "delegated") == 0 || strcmp(option, "consistent") == 0;
    return is_harmless ? 0
                       : normal_fail(normal, ERR_MALFORMED, "unknown mount option '%.40s'", option);
}

/* [source:]target[:options] */
static int short_volume(struct normal *normal, const char *given, json_t **ret)
{
    CLEANUP(free) char *copy = mem_strdup(given);
    char *rest = copy;
    char *source = strsep(&rest, ":");
    char *target = rest == NULL ? NULL : strsep(&rest, ":");
    CLEANUP(json) json_t *out = NULL;
    if (target == NULL) {
        target = source;
        source = NULL;
    }
    if (target[0] != '/' || (source != NULL && source[0] == '\0')) {
        return normal_fail(normal, ERR_MALFORMED, "'%.100s' is not [SOURCE:]/TARGET[:OPTIONS]",
                           given);
    }
    bool is_bind = source != NULL && is_path(source);
    out = json_pack("{ss}", "type", is_bind ? "bind" : "volume");
    if (source != NULL) {
        json_object_set_new(out, "source",
                            is_bind ? normal_make_path(normal, source) : json_text(source));
    }
    json_object_set_new(out, "target", json_text(target));
    if (is_bind) {
        json_object_set_new(out, "bind", json_pack("{sb}", "create_host_path", 1));
    }
    for (char *option; rest != NULL && (option = strsep(&rest, ",")) != NULL;) {
        int status = volume_option(normal, out, option);
        if (status != 0) {
            return status;
        }
    }
    *ret = TAKE_PTR(out);
    return 0;
}

static int bind_options(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"create_host_path", normal_bool, NULL},
        {"propagation", normal_text, NULL},
        {"recursive", normal_text, ""},
        {"selinux", normal_text, ""},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

static int volume_options(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"labels", normal_map, NULL},
        {"nocopy", normal_bool, NULL},
        {"subpath", normal_text, ""},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

static int tmpfs_options(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"mode", normal_integer, NULL},
        {"size", normal_size, NULL},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

int normal_volume(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"bind", bind_options, NULL},     {"consistency", normal_text, NULL},
        {"image", normal_any, ""},        {"read_only", normal_bool, NULL},
        {"source", normal_text, NULL},    {"target", normal_text, NULL},
        {"tmpfs", tmpfs_options, NULL},   {"type", normal_text, NULL},
        {"volume", volume_options, NULL}, {NULL, NULL, NULL},
    };
    CLEANUP(json) json_t *out = NULL;
    if (json_is_string(value)) {
        return short_volume(normal, json_string_value(value), ret);
    }
    int status = normal_object(normal, value, keys, &out);
    if (status != 0) {
        return status;
    }
    const char *type = json_get_text(out, "type", "volume");
    const char *source = json_get_text(out, "source", NULL);
    bool is_known =
        strcmp(type, "bind") == 0 || strcmp(type, "volume") == 0 || strcmp(type, "tmpfs") == 0;
    if (!is_known) {
        return normal_fail(normal, ERR_UNSUPPORTED,
                           "type must be bind, volume or tmpfs, not '%.40s'", type);
    }
    if (json_get_text(out, "target", "")[0] != '/') {
        return normal_fail(normal, ERR_MALFORMED, "needs an absolute target");
    }
    if (strcmp(type, "bind") == 0) {
        if (source == NULL) {
            return normal_fail(normal, ERR_MALFORMED, "a bind mount needs a source");
        }
        json_object_set_new(out, "source", normal_make_path(normal, source));
    }
    json_object_set_new(out, "type", json_text(type));
    *ret = TAKE_PTR(out);
    return 0;
}

int normal_volumes(struct normal *normal, json_t *value, json_t **ret)
{
    return normal_items(normal, value, normal_volume, ret);
}

/* HOST[:CONTAINER[:rwm]], or a mapping. */
static int device(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"permissions", normal_text, NULL},
        {"source", normal_text, NULL},
        {"target", normal_text, NULL},
        {NULL, NULL, NULL},
    };
    CLEANUP(json) json_t *out = NULL;
    if (!json_is_object(value)) {
        return normal_text(normal, value, ret);
    }
    int status = normal_object(normal, value, keys, &out);
    if (status == 0) {
        const char *source = json_get_text(out, "source", "");
        CLEANUP(free)
        char *text = mem_printf("%s:%s:%s", source, json_get_text(out, "target", source),
                                json_get_text(out, "permissions", "rwm"));
        *ret = json_text(text);
    }
    return status;
}

int normal_devices(struct normal *normal, json_t *value, json_t **ret)
{
    return normal_items(normal, value, device, ret);
}

/* ---- secrets, configs, env_file ---- */

int normal_file_reference(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"gid", normal_text, NULL},    {"mode", normal_integer, NULL},
        {"source", normal_text, NULL}, {"target", normal_text, NULL},
        {"uid", normal_text, NULL},    {NULL, NULL, NULL},
    };
    if (json_is_string(value)) {
        *ret = json_pack("{ss}", "source", json_string_value(value));
        return 0;
    }
    /* "0440" as text is octal, too. */
    json_t *mode = json_object_get(value, "mode");
    if (json_is_string(mode)) {
        char *end = NULL;
        long number = strtol(json_string_value(mode), &end, 8);
        if (*end == '\0') {
            json_object_set_new(value, "mode", json_integer(number));
        }
    }
    int status = normal_object(normal, value, keys, ret);
    if (status == 0 && json_object_get(*ret, "source") == NULL) {
        json_decref(*ret);
        return normal_fail(normal, ERR_MALFORMED, "needs a source");
    }
    return status;
}

int normal_file_references(struct normal *normal, json_t *value, json_t **ret)
{
    return normal_items(normal, value, normal_file_reference, ret);
}

static int env_file(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"format", normal_text, NULL},
        {"path", normal_path, NULL},
        {"required", normal_bool, NULL},
        {NULL, NULL, NULL},
    };
    if (json_is_object(value)) {
        return normal_object(normal, value, keys, ret);
    }
    json_t *path = NULL;
    int status = normal_path(normal, value, &path);
    if (status == 0) {
        *ret = json_pack("{so}", "path", path);
    }
    return status;
}

int normal_env_files(struct normal *normal, json_t *value, json_t **ret)
{
    if (json_is_array(value) || json_is_null(value)) {
        return normal_items(normal, value, env_file, ret);
    }
    json_t *one = NULL;
    int status = env_file(normal, value, &one);
    if (status == 0) {
        *ret = json_pack("[o]", normal_mark(normal, one));
    }
    return status;
}

/* ---- lists of names that are maps ---- */

static int dependency(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"condition", normal_text, NULL},
        {"required", normal_bool, NULL},
        {"restart", normal_bool, NULL},
        {NULL, NULL, NULL},
    };
    int status = normal_object(normal, value, keys, ret);
    if (status != 0) {
        return status;
    }
    const char *condition = json_get_text(*ret, "condition", "service_started");
    bool is_known = strcmp(condition, "service_started") == 0 ||
                    strcmp(condition, "service_healthy") == 0 ||
                    strcmp(condition, "service_completed_successfully") == 0;
    if (!is_known) {
        status = normal_fail(normal, ERR_MALFORMED, "unknown condition '%.60s'", condition);
        json_decref(*ret);
        return status;
    }
    json_object_set_new(*ret, "condition", json_text(condition));
    if (json_object_get(*ret, "required") == NULL) {
        json_object_set_new(*ret, "required", json_true());
    }
    return 0;
}

int normal_depends_on(struct normal *normal, json_t *value, json_t **ret)
{
    if (!json_is_array(value)) {
        return normal_named(normal, value, dependency, ret);
    }
    CLEANUP(json) json_t *out = json_object();
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *item = json_array_get(value, i);
        if (!json_is_string(item)) {
            return normal_fail(normal, ERR_MALFORMED, "lists names of services");
        }
        json_t *read = json_pack("{ss sb}", "condition", "service_started", "required", 1);
        struct place place = places_find(normal->places, item);
        places_set(normal->places, read, place.file != 0 ? place : normal->place);
        json_object_set_new(out, json_string_value(item), read);
    }
    *ret = TAKE_PTR(out);
    return 0;
}

static int service_network(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"aliases", normal_texts, NULL},     {"driver_opts", normal_any, ""},
        {"gw_priority", normal_any, ""},     {"interface_name", normal_any, ""},
        {"ipv4_address", normal_text, NULL}, {"ipv6_address", normal_text, "IPv4 only"},
        {"link_local_ips", normal_any, ""},  {"mac_address", normal_text, ""},
        {"priority", normal_integer, NULL},  {NULL, NULL, NULL},
    };
    if (json_is_null(value)) {
        *ret = json_object();
        return 0;
    }
    return normal_object(normal, value, keys, ret);
}

int normal_service_networks(struct normal *normal, json_t *value, json_t **ret)
{
    if (!json_is_array(value)) {
        return normal_named(normal, value, service_network, ret);
    }
    CLEANUP(json) json_t *out = json_object();
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *item = json_array_get(value, i);
        if (!json_is_string(item)) {
            return normal_fail(normal, ERR_MALFORMED, "lists names of networks");
        }
        json_t *read = json_object();
        places_set(normal->places, read, places_find(normal->places, item));
        json_object_set_new(out, json_string_value(item), read);
    }
    *ret = TAKE_PTR(out);
    return 0;
}
