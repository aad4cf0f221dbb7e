#include "orchestrator/remote/kubeconfig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "kvstore/client/endpoint_address.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/objects/yaml.h"

static char *default_path(void)
{
    const char *list = getenv("KUBECONFIG");
    if (list != NULL && *list != '\0') {
        return mem_printf("%.*s", (int)strcspn(list, ":"), list);
    }
    const char *home = getenv("HOME");
    return mem_printf("%s/.kube/config", home == NULL ? "" : home);
}

static int read_text(const char *path, struct buf *out, struct err *err)
{
    CLEANUP(file) FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set_errno(err, errno, "read the kubeconfig '%s'", path);
    }
    for (;;) {
        enum { CHUNK = 16 * 1024 };
        size_t size = fread(buf_reserve(out, CHUNK), 1, CHUNK, file);
        buf_commit(out, size);
        if (buf_size(out) > KUBECONFIG_SIZE_MAX) {
            return err_set(err, ERR_TOO_LARGE, "the kubeconfig '%s' is larger than %d bytes", path,
                           KUBECONFIG_SIZE_MAX);
        }
        if (size == 0) {
            return ferror(file) ? err_set_errno(err, errno, "read the kubeconfig '%s'", path) : 0;
        }
    }
}

/* Relative names are relative to the kubeconfig. */
static char *file_name(const char *kubeconfig_path, const char *name)
{
    const char *slash = strrchr(kubeconfig_path, '/');
    return *name == '/' || slash == NULL
               ? mem_strdup(name)
               : mem_printf("%.*s/%s", (int)(slash - kubeconfig_path), kubeconfig_path, name);
}

/* What OpenSSL reads from a file but is given as text. */
static int keep_in_memory(const char *field, const char *text, int *ret_fd, char **ret_name,
                          struct err *err)
{
    CLEANUP(buf) struct buf data = BUF_INIT;
    if (base64_decode(text, &data) != 0) {
        return err_set(err, ERR_INVALID, "%s is not base64", field);
    }
    int fd = memfd_create(field, MFD_CLOEXEC);
    if (fd < 0 || write(fd, data.data, buf_size(&data)) != (ssize_t)buf_size(&data)) {
        int saved_errno = errno;
        if (fd >= 0) {
            (void)close(fd); /* of no use without its contents */
        }
        return err_set_errno(err, saved_errno, "keep %s in memory", field);
    }
    *ret_fd = fd;
    *ret_name = mem_printf("/proc/self/fd/%d", fd);
    return 0;
}

/* A field that holds a file's name, or the same with "-data" that holds its contents and wins. */
static int read_file_field(struct kubeconfig *config, int slot, const char *path,
                           const json_t *part, const char *field, char **ret_name, struct err *err)
{
    CLEANUP(free) char *data_field = mem_printf("%s-data", field);
    const char *data = json_string_value(json_object_get(part, data_field));
    const char *name = json_string_value(json_object_get(part, field));
    if (data != NULL && *data != '\0') {
        return keep_in_memory(data_field, data, &config->memory_fds[slot], ret_name, err);
    }
    if (name != NULL && *name != '\0') {
        *ret_name = file_name(path, name);
    }
    return 0;
}

static int read_server(struct kubeconfig *config, const json_t *cluster, struct err *err)
{
    const char *server = tree_text_or(cluster, "server", "");
    struct endpoint_address address;
    int result = endpoint_address_parse(server, &address, err);
    if (result != 0) {
        return result;
    }
    if (*address.host == '\0') {
        return err_set(err, ERR_INVALID, "server '%s' is no address of an API server", server);
    }
    config->is_tls = strncmp(server, "https://", 8) == 0;
    /* Without a port it is the scheme's own, not the store's. */
    const char *rest = strstr(server, "://");
    rest = rest == NULL ? server : rest + 3;
    const char *after_host = *rest == '[' ? strchr(rest, ']') : rest;
    bool has_port = after_host != NULL && strchr(after_host, ':') != NULL;
    config->port = has_port ? address.port : config->is_tls ? 443 : 80;
    config->host = mem_strdup(address.host);
    config->skips_verify = tree_bool(cluster, "insecure-skip-tls-verify", false);
    return 0;
}

static int read_token(struct kubeconfig *config, const char *path, const json_t *user,
                      struct err *err)
{
    const char *token = json_string_value(json_object_get(user, "token"));
    const char *name = json_string_value(json_object_get(user, "tokenFile"));
    if (token != NULL && *token != '\0') {
        config->token = mem_strdup(token);
    } else if (name != NULL && *name != '\0') {
        CLEANUP(free) char *file = file_name(path, name);
        CLEANUP(buf) struct buf text = BUF_INIT;
        int result = read_text(file, &text, err);
        if (result != 0) {
            return result;
        }
        const char *line = buf_text(&text);
        config->token = mem_printf("%.*s", (int)strcspn(line, "\r\n"), line);
    }
    return 0;
}

/* {"name": NAME, FIELD: {...}} of a list; NULL when there is none. */
static const json_t *find_named(const json_t *document, const char *list, const char *name,
                                const char *field)
{
    return json_object_get(tree_find_item(json_object_get(document, list), "name", name), field);
}

static int read_document(struct kubeconfig *config, const char *path, const json_t *document,
                         struct err *err)
{
    const char *name = tree_text_or(document, "current-context", "");
    const json_t *context = find_named(document, "contexts", name, "context");
    const json_t *cluster =
        find_named(document, "clusters", tree_text_or(context, "cluster", ""), "cluster");
    const json_t *user = find_named(document, "users", tree_text_or(context, "user", ""), "user");
    if (context == NULL || cluster == NULL) {
        return err_set(err, ERR_INVALID, "current-context '%s' names no context with a cluster",
                       name);
    }
    config->namespace = mem_strdup(tree_text_or(context, "namespace", "default"));
    int result = read_server(config, cluster, err);
    if (result == 0) {
        result = read_file_field(config, 0, path, cluster, "certificate-authority",
                                 &config->ca_file, err);
    }
    if (result == 0) {
        result = read_file_field(config, 1, path, user, "client-certificate",
                                 &config->certificate_file, err);
    }
    if (result == 0) {
        result = read_file_field(config, 2, path, user, "client-key", &config->key_file, err);
    }
    return result == 0 ? read_token(config, path, user, err) : result;
}

int kubeconfig_read(struct kubeconfig *config, const char *path, struct err *err)
{
    *config = (struct kubeconfig){.memory_fds = {-1, -1, -1}};
    CLEANUP(free) char *file = path == NULL ? default_path() : mem_strdup(path);
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *documents = NULL;
    int result = read_text(file, &text, err);
    if (result != 0) {
        return result;
    }
    result = yaml_read(buf_bytes(&text), &documents, err);
    if (result == 0) {
        result = read_document(config, file, json_array_get(documents, 0), err);
    }
    if (result != 0) {
        kubeconfig_deinit(config);
        return err_prefix(err, "the kubeconfig '%s'", file);
    }
    return 0;
}

void kubeconfig_deinit(struct kubeconfig *config)
{
    char *texts[] = {config->host,    config->namespace,        config->token,
                     config->ca_file, config->certificate_file, config->key_file};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        mem_free(texts[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        if (config->memory_fds[i] >= 0) {
            (void)close(config->memory_fds[i]); /* only memory */
        }
    }
    *config = (struct kubeconfig){.memory_fds = {-1, -1, -1}};
}

char *kubeconfig_url(const struct kubeconfig *config)
{
    bool is_ip6 = strchr(config->host, ':') != NULL;
    return mem_printf("%s://%s%s%s:%u", config->is_tls ? "https" : "http", is_ip6 ? "[" : "",
                      config->host, is_ip6 ? "]" : "", config->port);
}
