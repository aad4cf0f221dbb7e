/* normal.h - the normal form of one Compose file: every short form is written out, every path is
 * absolute, every key is known. Pure. Internal to the folder.
 *
 * Source: compose-spec 05-services.md and the JSON schema beside it. */
#ifndef RUNTIME_COMPOSE_NORMAL_H
#define RUNTIME_COMPOSE_NORMAL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "runtime/compose/places.h"

struct normal {
    struct places *places;
    const char *directory;     /* what relative paths are relative to */
    const json_t *environment; /* variables, for ~ and for names without a value */
    json_t *warnings;          /* texts; added to */
    struct err *err;
    struct place place; /* of what is being read */
    char path[160];     /* "services.web.ports", for messages */
};

/* Reads value, gives the normal form. The caller owns *ret. */
typedef int normal_shape(struct normal *normal, json_t *value, json_t **ret);

struct normal_key {
    const char *name;
    normal_shape *shape;
    const char *unsupported; /* NULL, or why: it is kept, and named in a warning */
};

/* An object with these keys and x-*; others are errors. A table ends with a name of NULL. */
MUST_USE int normal_object(struct normal *normal, json_t *value, const struct normal_key *keys,
                           json_t **ret);
/* An object whose keys are names and whose values all have one shape. */
MUST_USE int normal_named(struct normal *normal, json_t *value, normal_shape *shape, json_t **ret);
/* A list whose items all have one shape; null is an empty list. */
MUST_USE int normal_items(struct normal *normal, json_t *value, normal_shape *shape, json_t **ret);

__attribute__((format(printf, 3, 4))) int normal_fail(struct normal *normal, int code,
                                                      const char *format, ...);
__attribute__((format(printf, 2, 3))) void normal_warn(struct normal *normal, const char *format,
                                                       ...);
/* Give a value that was made the place of what it was made from. */
json_t *normal_mark(struct normal *normal, json_t *value);
/* An absolute path without . and .. components. */
json_t *normal_make_path(struct normal *normal, const char *text);
/* A scalar as text; NULL when it is none. The caller owns it. */
json_t *normal_scalar_text(const json_t *value);

normal_shape normal_any, normal_text, normal_text_or_null, normal_bool, normal_integer,
    normal_number, normal_size, normal_duration, normal_texts, normal_text_or_texts, normal_map,
    normal_environment, normal_command, normal_path, normal_hosts;
/* Parts of services. */
normal_shape normal_port, normal_volume, normal_file_reference, normal_env_files, normal_depends_on,
    normal_build, normal_healthcheck, normal_service_networks, normal_ulimits, normal_deploy,
    normal_logging, normal_ports, normal_volumes, normal_file_references, normal_extends,
    normal_devices, normal_hooks;
normal_shape normal_service, normal_network, normal_top_volume, normal_secret, normal_config;

#endif
