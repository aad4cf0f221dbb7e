/* normal_top.c - networks, volumes, secrets and configs of a file. */
#include <string.h>

#include "runtime/compose/normal.h"
#include "runtime/image/json.h"

/* external: true, or the old {name: …} */
static int external(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {{"name", normal_text, NULL}, {NULL, NULL, NULL}};
    return json_is_object(value) ? normal_object(normal, value, keys, ret)
                                 : normal_bool(normal, value, ret);
}

static void settle_external(json_t *object)
{
    json_t *given = json_object_get(object, "external");
    if (json_is_object(given)) {
        const char *name = json_get_text(given, "name", NULL);
        if (name != NULL) {
            json_object_set_new(object, "name", json_text(name));
        }
        json_object_set_new(object, "external", json_true());
    } else if (json_is_false(given)) {
        json_object_del(object, "external");
    }
}

static int read_top(struct normal *normal, json_t *value, const struct normal_key *keys,
                    json_t **ret)
{
    if (json_is_null(value)) {
        *ret = json_object();
        return 0;
    }
    int status = normal_object(normal, value, keys, ret);
    if (status == 0) {
        settle_external(*ret);
    }
    return status;
}

static int ipam_config(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"aux_addresses", normal_any, ""},
        {"gateway", normal_text, NULL},
        {"ip_range", normal_text, ""},
        {"subnet", normal_text, NULL},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

static int ipam_configs(struct normal *normal, json_t *value, json_t **ret)
{
    return normal_items(normal, value, ipam_config, ret);
}

static int ipam(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"config", ipam_configs, NULL},
        {"driver", normal_text, NULL},
        {"options", normal_any, ""},
        {NULL, NULL, NULL},
    };
    return normal_object(normal, value, keys, ret);
}

static int driver(struct normal *normal, json_t *value, json_t **ret)
{
    static const char *const known[] = {"bridge", "default", "local", "overlay"};
    int status = normal_text(normal, value, ret);
    const char *text = status == 0 ? json_string_value(*ret) : "bridge";
    for (size_t i = 0; status == 0 && i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(text, known[i]) == 0) {
            return 0;
        }
    }
    if (status == 0) {
        normal_warn(normal, "'%.40s' is not supported, the default one is used", text);
    }
    return status;
}

int normal_network(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"attachable", normal_bool, NULL},
        {"driver", driver, NULL},
        {"driver_opts", normal_map, ""},
        {"enable_ipv4", normal_bool, ""},
        {"enable_ipv6", normal_bool, ""},
        {"external", external, NULL},
        {"internal", normal_bool, NULL},
        {"ipam", ipam, NULL},
        {"labels", normal_map, NULL},
        {"name", normal_text, NULL},
        {NULL, NULL, NULL},
    };
    return read_top(normal, value, keys, ret);
}

int normal_top_volume(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"driver", driver, NULL},     {"driver_opts", normal_map, ""}, {"external", external, NULL},
        {"labels", normal_map, NULL}, {"name", normal_text, NULL},     {NULL, NULL, NULL},
    };
    return read_top(normal, value, keys, ret);
}

static int read_source(struct normal *normal, json_t *value, json_t **ret)
{
    static const struct normal_key keys[] = {
        {"content", normal_text, NULL},       {"driver", normal_text, ""},
        {"driver_opts", normal_map, ""},      {"environment", normal_text, NULL},
        {"external", external, NULL},         {"file", normal_path, NULL},
        {"labels", normal_map, NULL},         {"name", normal_text, NULL},
        {"template_driver", normal_text, ""}, {NULL, NULL, NULL},
    };
    int status = read_top(normal, value, keys, ret);
    if (status != 0) {
        return status;
    }
    static const char *const sources[] = {"file", "environment", "content", "external"};
    size_t count = 0;
    for (size_t i = 0; i < 4; i++) {
        count += json_object_get(*ret, sources[i]) != NULL ? 1 : 0;
    }
    if (count != 1) {
        json_decref(*ret);
        return normal_fail(normal, ERR_MALFORMED,
                           "needs exactly one of file, environment, content, external");
    }
    return 0;
}

int normal_secret(struct normal *normal, json_t *value, json_t **ret)
{
    return read_source(normal, value, ret);
}

int normal_config(struct normal *normal, json_t *value, json_t **ret)
{
    return read_source(normal, value, ret);
}
