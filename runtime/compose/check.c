/* check.c - a project must make sense before anything is done about it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/compose/load.h"
#include "runtime/compose/service.h"
#include "runtime/image/json.h"

struct check {
    const struct project *project;
    json_t *services;
    const char *name; /* of the service */
    json_t *service;
    struct err *err;
};

__attribute__((format(printf, 4, 5))) static int fail(const struct check *check, const void *value,
                                                      int code, const char *format, ...)
{
    char text[400];
    va_list arguments;
    struct place place = places_find(&check->project->places, value);
    if (place.file == 0) {
        place = places_find(&check->project->places, check->service);
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return place_error(&check->project->places, place, check->err, code, "services.%.60s%s",
                       check->name, text);
}

static int check_image(const struct check *check)
{
    bool has_image = json_object_get(check->service, "image") != NULL ||
                     json_object_get(check->service, "build") != NULL;
    return has_image ? 0 : fail(check, NULL, ERR_MALFORMED, ": needs an image or a build");
}

static int check_depends(const struct check *check)
{
    json_t *depends = json_object_get(check->service, "depends_on");
    const char *name = NULL;
    json_t *dependency = NULL;
    void *next = NULL;
    json_object_foreach_safe(depends, next, name, dependency)
    {
        if (json_object_get(check->services, name) != NULL) {
            continue;
        }
        if (json_is_false(json_object_get(dependency, "required"))) {
            json_object_del(depends, name);
            continue;
        }
        bool is_off = json_object_get(check->project->services_off, name) != NULL;
        return fail(check, dependency, ERR_MALFORMED, ".depends_on: %s '%.60s'",
                    is_off ? "its profiles are not enabled:" : "there is no service", name);
    }
    return 0;
}

/* Depth first; the path so far is in `open`. */
static int visit(const struct check *check, const char *name, json_t *open, json_t *done)
{
    json_t *service = json_object_get(check->services, name);
    const char *other = NULL;
    json_t *dependency = NULL;
    if (json_object_get(done, name) != NULL) {
        return 0;
    }
    json_object_set_new(open, name, json_true());
    json_object_foreach(json_object_get(service, "depends_on"), other, dependency)
    {
        if (json_object_get(open, other) != NULL) {
            struct check at = *check;
            at.name = name;
            at.service = service;
            return fail(&at, dependency, ERR_MALFORMED,
                        ".depends_on: services depend on each other in a circle (%.60s)", other);
        }
        int status = visit(check, other, open, done);
        if (status != 0) {
            return status;
        }
    }
    json_object_del(open, name);
    json_object_set_new(done, name, json_true());
    return 0;
}

static int check_networks(const struct check *check)
{
    const json_t *known = json_object_get(check->project->document, "networks");
    json_t *networks = json_object_get(check->service, "networks");
    const char *mode = json_get_text(check->service, "network_mode", NULL);
    const char *name = NULL;
    json_t *network = NULL;
    if (mode != NULL && json_object_size(networks) > 0) {
        return fail(check, json_object_get(check->service, "network_mode"), ERR_MALFORMED,
                    ": network_mode and networks exclude each other");
    }
    json_object_foreach(networks, name, network)
    {
        if (json_object_get(known, name) == NULL) {
            return fail(check, network, ERR_MALFORMED, ".networks: there is no network '%.60s'",
                        name);
        }
    }
    return 0;
}

static int check_modes(const struct check *check)
{
    static const char *const keys[] = {"network_mode", "pid", "ipc"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *mode = json_get_text(check->service, keys[i], "");
        if (strncmp(mode, "service:", 8) == 0 &&
            json_object_get(check->services, mode + 8) == NULL) {
            return fail(check, json_object_get(check->service, keys[i]), ERR_MALFORMED,
                        ".%s: there is no service '%.60s'", keys[i], mode + 8);
        }
    }
    return 0;
}

static int check_volumes(const struct check *check)
{
    const json_t *known = json_object_get(check->project->document, "volumes");
    const json_t *volumes = json_object_get(check->service, "volumes");
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        const json_t *volume = json_array_get(volumes, i);
        const char *source = json_get_text(volume, "source", NULL);
        const char *target = json_get_text(volume, "target", "");
        bool is_named = strcmp(json_get_text(volume, "type", ""), "volume") == 0 && source != NULL;
        if (is_named && json_object_get(known, source) == NULL) {
            return fail(check, volume, ERR_MALFORMED,
                        ".volumes: there is no volume '%.60s' (a path starts with . / or ~)",
                        source);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(target, json_get_text(json_array_get(volumes, k), "target", "")) == 0) {
                return fail(check, volume, ERR_MALFORMED, ".volumes: two mounts at '%.100s'",
                            target);
            }
        }
    }
    return 0;
}

static int check_references(const struct check *check, const char *section)
{
    const json_t *known = json_object_get(check->project->document, section);
    const json_t *list = json_object_get(check->service, section);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *source = json_get_text(item, "source", "");
        const json_t *found = json_object_get(known, source);
        if (found == NULL || json_get_flag(found, "external")) {
            return fail(check, item, found == NULL ? ERR_MALFORMED : ERR_UNSUPPORTED,
                        ".%s: %s '%.60s'", section,
                        found == NULL ? "there is none with the name"
                                      : "there is no store for external ones:",
                        source);
        }
    }
    return 0;
}

static bool is_in(const char *a, const char *b)
{
    static const char *const every[] = {"", "0.0.0.0", "::"};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(a, every[i]) == 0 || strcmp(b, every[i]) == 0) {
            return true;
        }
    }
    return strcmp(a, b) == 0;
}

/* claimed: "PORT/PROTOCOL" -> [[address, service]…] */
static int check_ports(const struct check *check, json_t *claimed)
{
    const json_t *ports = json_object_get(check->service, "ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        const char *published = json_get_text(port, "published", "");
        const char *address = json_get_text(port, "host_ip", "");
        if (published[0] == '\0' || strchr(published, '-') != NULL || strcmp(published, "0") == 0) {
            continue;
        }
        CLEANUP(free)
        char *key = mem_printf("%s/%s", published, json_get_text(port, "protocol", "tcp"));
        json_t *list = json_object_get(claimed, key);
        for (size_t k = 0; k < json_array_size(list); k++) {
            const json_t *other = json_array_get(list, k);
            if (is_in(json_string_value(json_array_get(other, 0)), address)) {
                return fail(check, port, ERR_MALFORMED,
                            ".ports: port %s is published by the service '%.60s', too", key,
                            json_string_value(json_array_get(other, 1)));
            }
        }
        if (service_scale(check->service) > 1) {
            return fail(check, port, ERR_MALFORMED,
                        ".ports: %d containers cannot all publish port %s",
                        service_scale(check->service), key);
        }
        if (list == NULL) {
            list = json_array();
            json_object_set_new(claimed, key, list);
        }
        json_array_append_new(list, json_pack("[ss]", address, check->name));
    }
    return 0;
}

static int check_scale(const struct check *check)
{
    int scale = service_scale(check->service);
    if (scale < 0 || scale > SERVICE_SCALE_MAX) {
        return fail(check, NULL, ERR_MALFORMED, ": the number of containers must be 0 to %d",
                    SERVICE_SCALE_MAX);
    }
    return scale > 1 && json_object_get(check->service, "container_name") != NULL
               ? fail(check, json_object_get(check->service, "container_name"), ERR_MALFORMED,
                      ".container_name: %d containers cannot have one name", scale)
               : 0;
}

int project_check(const struct project *project, struct err *err)
{
    struct check check = {
        .project = project,
        .services = json_object_get(project->document, "services"),
        .err = err,
    };
    CLEANUP(json) json_t *claimed = json_object();
    CLEANUP(json) json_t *open = json_object();
    CLEANUP(json) json_t *done = json_object();
    json_object_foreach(check.services, check.name, check.service)
    {
        int status;
        if ((status = check_image(&check)) != 0 || (status = check_depends(&check)) != 0 ||
            (status = check_networks(&check)) != 0 || (status = check_modes(&check)) != 0 ||
            (status = check_volumes(&check)) != 0 ||
            (status = check_references(&check, "secrets")) != 0 ||
            (status = check_references(&check, "configs")) != 0 ||
            (status = check_scale(&check)) != 0 || (status = check_ports(&check, claimed)) != 0) {
            return status;
        }
    }
    json_object_foreach(check.services, check.name, check.service)
    {
        struct check start = check;
        int status = visit(&start, check.name, open, done);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}
