#include <errno.h>
#include <string.h>

#include <yaml.h>

#include "base/cleanup.h"
#include "kvstore/server/config_flag.h"

/* The maps client-transport-security and peer-transport-security: key -> flag. */
struct transport_key {
    const char *key;
    const char *client_flag; /* NULL: accepted for the other side only */
    const char *peer_flag;
};

static const struct transport_key transport_keys[] = {
    {"cert-file", "cert-file", "peer-cert-file"},
    {"key-file", "key-file", "peer-key-file"},
    {"client-cert-file", "client-cert-file", "peer-client-cert-file"},
    {"client-key-file", "client-key-file", "peer-client-key-file"},
    {"client-cert-auth", "client-cert-auth", "peer-client-cert-auth"},
    {"trusted-ca-file", "trusted-ca-file", "peer-trusted-ca-file"},
    {"client-crl-file", "client-crl-file", "peer-crl-file"},
    {"auto-tls", "auto-tls", "peer-auto-tls"},
    {"allowed-cn", NULL, "peer-cert-allowed-cn"},
    {"allowed-cns", NULL, "peer-cert-allowed-cn"},
    {"allowed-hostname", "client-cert-allowed-hostname", "peer-cert-allowed-hostname"},
    {"allowed-hostnames", "client-cert-allowed-hostname", "peer-cert-allowed-hostname"},
    {"skip-client-san-verification", NULL, "peer-skip-client-san-verification"},
};

static void cleanup_document(yaml_document_t *document)
{
    yaml_document_delete(document);
}

static void cleanup_parser(yaml_parser_t *parser)
{
    yaml_parser_delete(parser);
}

/* A scalar's text, or a list of scalars joined by commas; NULL for anything else. */
static const char *node_text(struct config *config, yaml_document_t *document, yaml_node_t *node)
{
    if (node->type == YAML_SCALAR_NODE) {
        const char *text = (const char *)node->data.scalar.value;
        bool is_null = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                       (strcmp(text, "null") == 0 || strcmp(text, "~") == 0);
        return arena_strdup(&config->arena, is_null ? "" : text);
    }
    if (node->type != YAML_SEQUENCE_NODE) {
        return NULL;
    }
    const char *joined = "";
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        yaml_node_t *element = yaml_document_get_node(document, *item);
        if (element->type != YAML_SCALAR_NODE) {
            return NULL;
        }
        joined = arena_printf(&config->arena, "%s%s%s", joined, joined[0] == 0 ? "" : ",",
                              (const char *)element->data.scalar.value);
    }
    return joined;
}

static int set_flag(struct config *config, const char *key, const char *flag_name, const char *text,
                    struct err *err)
{
    const struct config_flag *flag = flag_name == NULL ? NULL : config_flag_find(flag_name);
    if (flag == NULL) {
        config_warn(config, arena_printf(&config->arena, "unknown key in the file: %s", key));
        return 0;
    }
    if (text[0] == 0) {
        return 0; /* an empty value leaves the default, as in etcd's sample file */
    }
    if (flag->type == CONFIG_DURATION && text[strspn(text, "0123456789")] == 0) {
        text = arena_printf(&config->arena, "%sns", text);
    }
    int code = config_flag_set(config, flag, text, err);
    return code == 0 || err == NULL ? code : err_prefix(err, "key %s", key);
}

static int read_transport(struct config *config, yaml_document_t *document, yaml_node_t *map,
                          bool is_peer, struct err *err)
{
    if (map->type == YAML_SCALAR_NODE && map->data.scalar.length == 0) {
        return 0;
    }
    if (map->type != YAML_MAPPING_NODE) {
        return err_set(err, ERR_INVALID, "%s-transport-security is not a map",
                       is_peer ? "peer" : "client");
    }
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top;
         pair++) {
        yaml_node_t *key = yaml_document_get_node(document, pair->key);
        const char *text =
            node_text(config, document, yaml_document_get_node(document, pair->value));
        const char *name = key->type == YAML_SCALAR_NODE ? (char *)key->data.scalar.value : "";
        const char *flag = NULL;
        for (size_t i = 0; i < sizeof transport_keys / sizeof transport_keys[0]; i++) {
            if (strcmp(transport_keys[i].key, name) == 0) {
                flag = is_peer ? transport_keys[i].peer_flag : transport_keys[i].client_flag;
            }
        }
        if (text == NULL) {
            return err_set(err, ERR_INVALID, "key %s has no plain value", name);
        }
        int code = set_flag(config, name, flag, text, err);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static int read_map(struct config *config, yaml_document_t *document, struct err *err)
{
    yaml_node_t *root = yaml_document_get_root_node(document);
    if (root == NULL) {
        return 0;
    }
    if (root->type != YAML_MAPPING_NODE) {
        return err_set(err, ERR_INVALID, "the file is not a map of flags to values");
    }
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(document, pair->key);
        yaml_node_t *value = yaml_document_get_node(document, pair->value);
        const char *name = key->type == YAML_SCALAR_NODE ? (char *)key->data.scalar.value : "";
        int code;
        if (strcmp(name, "client-transport-security") == 0) {
            code = read_transport(config, document, value, false, err);
        } else if (strcmp(name, "peer-transport-security") == 0) {
            code = read_transport(config, document, value, true, err);
        } else {
            const char *text = node_text(config, document, value);
            if (text == NULL) {
                return err_set(err, ERR_INVALID, "key %s has no plain value", name);
            }
            code = set_flag(config, name, name, text, err);
        }
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int config_read_file(struct config *config, const char *path, struct err *err)
{
    CLEANUP(file) FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set_errno(err, errno, "open the configuration file %s", path);
    }
    CLEANUP(parser) yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return err_set(err, -ENOMEM, "start the YAML parser");
    }
    yaml_parser_set_input_file(&parser, file);
    yaml_document_t document;
    if (yaml_parser_load(&parser, &document) == 0) {
        return err_set(err, ERR_INVALID, "%s:%zu: %s", path, parser.problem_mark.line + 1,
                       parser.problem == NULL ? "not YAML" : parser.problem);
    }
    CLEANUP(document) yaml_document_t loaded = document;
    int code = read_map(config, &loaded, err);
    return code == 0 || err == NULL ? code : err_prefix(err, "%s", path);
}
