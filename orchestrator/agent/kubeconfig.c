#include "orchestrator/agent/kubeconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/objects/yaml.h"

enum { FILE_SIZE_MAX = 1 << 20 };

static char *copy_text(const json_t *object, const char *key)
{
    const char *text = tree_text(object, key);
    return text == NULL ? NULL : mem_strdup(text);
}

int kubeconfig_parse_server(struct kubeconfig *config, const char *server, struct err *err)
{
    bool is_tls = strncmp(server, "https://", 8) == 0;
    if (!is_tls && strncmp(server, "http://", 7) != 0) {
        return err_set(err, ERR_INVALID, "server: '%.200s' is no http:// or https:// address",
                       server);
    }
    const char *host = server + (is_tls ? 8 : 7);
    size_t size = strcspn(host, "/");
    const char *end = host + size;
    const char *colon = memchr(host, ':', size);
    if (*host == '[') {
        const char *bracket = memchr(host, ']', size);
        if (bracket == NULL) {
            return err_set(err, ERR_INVALID, "server: '%.200s' lacks a ]", server);
        }
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
        host++;
        end = bracket;
    } else if (colon != NULL) {
        end = colon;
    }
    unsigned long port = is_tls ? 443 : 80;
    if (colon != NULL) {
        char *rest = NULL;
        port = strtoul(colon + 1, &rest, 10);
        if (port == 0 || port > UINT16_MAX || (*rest != '\0' && *rest != '/')) {
            return err_set(err, ERR_INVALID, "server: '%.200s' has no right port", server);
        }
    }
    if (end == host) {
        return err_set(err, ERR_INVALID, "server: '%.200s' names no host", server);
    }
    config->server = mem_strdup(server);
    config->host = mem_printf("%.*s", (int)(end - host), host);
    config->port = (uint16_t)port;
    config->is_tls = is_tls;
    return 0;
}

/* The file that holds what key says: named by the file, or made from its "-data". */
static int file_of(const json_t *object, const char *key, const char *directory, char **ret,
                   struct err *err)
{
    CLEANUP(free) char *data_key = mem_printf("%s-data", key);
    const char *data = json_string_value(json_object_get(object, data_key));
    if (data == NULL) {
        const char *named = json_string_value(json_object_get(object, key));
        *ret = named == NULL ? NULL : mem_strdup(named);
        return 0;
    }
    CLEANUP(buf) struct buf content = BUF_INIT;
    if (base64_decode(data, &content) != 0) {
        return err_set(err, ERR_INVALID, "%s is not base64", data_key);
    }
    CLEANUP(free) char *path = mem_printf("%s/%s.pem", directory, key);
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct bytes bytes = buf_bytes(&content);
    if (fd < 0 || write(fd, bytes.data, bytes.size) != (ssize_t)bytes.size) {
        return err_set_errno(err, errno == 0 ? EIO : errno, "write '%s'", path);
    }
    *ret = TAKE_PTR(path);
    return 0;
}

static int read_document(const char *path, json_t **ret, struct err *err)
{
    CLEANUP(file) FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set_errno(err, errno, "read '%s'", path);
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *documents = NULL;
    buf_commit(&text, fread(buf_reserve(&text, FILE_SIZE_MAX), 1, FILE_SIZE_MAX, file));
    int status = yaml_read(buf_bytes(&text), &documents, err);
    if (status != 0) {
        return err_prefix(err, "'%s'", path);
    }
    json_t *first = json_array_get(documents, 0);
    if (!json_is_object(first)) {
        return err_set(err, ERR_INVALID, "'%s' is no kubeconfig", path);
    }
    *ret = json_incref(first);
    return 0;
}

static const json_t *find_named(const json_t *document, const char *list, const char *name)
{
    return tree_find_item(json_object_get(document, list), "name", name);
}

int kubeconfig_read(struct kubeconfig *config, const char *path, const char *directory,
                    struct err *err)
{
    CLEANUP(json) json_t *document = NULL;
    int status = read_document(path, &document, err);
    if (status != 0) {
        return status;
    }
    const json_t *context =
        find_named(document, "contexts", tree_text_or(document, "current-context", ""));
    const json_t *cluster =
        find_named(document, "clusters", tree_text_or(context, "context.cluster", ""));
    const json_t *user = find_named(document, "users", tree_text_or(context, "context.user", ""));
    const char *server = tree_text(cluster, "cluster.server");
    if (server == NULL) {
        return err_set(err, ERR_INVALID, "'%s': the current context names no server", path);
    }
    const json_t *how = tree_find(cluster, "cluster");
    const json_t *who = tree_find(user, "user");
    if ((status = kubeconfig_parse_server(config, server, err)) != 0 ||
        (status = file_of(how, "certificate-authority", directory, &config->ca_file, err)) != 0 ||
        (status = file_of(who, "client-certificate", directory, &config->certificate_file, err)) !=
            0 ||
        (status = file_of(who, "client-key", directory, &config->key_file, err)) != 0) {
        kubeconfig_deinit(config);
        return err_prefix(err, "'%s'", path);
    }
    config->skips_verify = tree_bool(how, "insecure-skip-tls-verify", false);
    config->token = copy_text(who, "token");
    return 0;
}

void kubeconfig_deinit(struct kubeconfig *config)
{
    mem_free(config->server);
    mem_free(config->host);
    mem_free(config->ca_file);
    mem_free(config->certificate_file);
    mem_free(config->key_file);
    mem_free(config->token);
    *config = (struct kubeconfig){.server = NULL};
}
