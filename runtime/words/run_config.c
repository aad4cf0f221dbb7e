/* run_config.c - the Config object: image-spec config.md with the options of run on top. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/run_options.h"

enum { FILE_SIZE_MAX = 1 << 20 };
static const char default_path[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* Set NAME=VALUE in a list, in the place of an older NAME. */
static void set_env(json_t *list, const char *assignment)
{
    size_t size = strcspn(assignment, "=");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *old = json_string_value(json_array_get(list, i));
        if (old != NULL && strncmp(old, assignment, size) == 0 && old[size] == '=') {
            json_array_set_new(list, i, json_text(assignment));
            return;
        }
    }
    json_array_append_new(list, json_text(assignment));
}

/* "NAME=VALUE"; "NAME" alone takes the value of our own environment, or is left out. */
static int add_env(json_t *list, const char *text, struct err *err)
{
    if (text[0] == '\0' || text[0] == '=') {
        return err_set(err, ERR_INVALID, "'%.100s' is not an environment variable", text);
    }
    if (strchr(text, '=') != NULL) {
        set_env(list, text);
        return 0;
    }
    const char *value = getenv(text);
    if (value != NULL) {
        CLEANUP(free) char *assignment = mem_printf("%s=%s", text, value);
        set_env(list, assignment);
    }
    return 0;
}

/* Call add for each line that is neither empty nor a comment. */
static int read_lines(const char *path, json_t *target,
                      int (*add)(json_t *target, const char *line, struct err *err),
                      struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (fd < 0) {
        return err_set_errno(err, errno, "open '%s'", path);
    }
    for (;;) {
        ssize_t count = read(fd, buf_reserve(&text, 4096), 4096);
        if (count <= 0) {
            break;
        }
        buf_commit(&text, (size_t)count);
        if (buf_size(&text) > FILE_SIZE_MAX) {
            return err_set(err, ERR_TOO_LARGE, "'%s' is larger than %d bytes", path, FILE_SIZE_MAX);
        }
    }
    CLEANUP(free) char *copy = mem_strdup(buf_text(&text));
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        size_t size = strlen(line);
        if (size > 0 && line[size - 1] == '\r') {
            line[size - 1] = '\0';
        }
        line += strspn(line, " \t");
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        int status = add(target, line, err);
        if (status != 0) {
            return err_prefix(err, "'%s'", path);
        }
    }
    return 0;
}

static int add_label(json_t *labels, const char *text, struct err *err)
{
    size_t size = strcspn(text, "=");
    if (size == 0) {
        return err_set(err, ERR_INVALID, "'%.100s' is not a label", text);
    }
    CLEANUP(free) char *key = mem_strdup(text);
    key[size] = '\0';
    json_object_set_new(labels, key, json_text(text[size] == '=' ? text + size + 1 : ""));
    return 0;
}

static int merge_env(const struct run_options *options, const json_t *image_config, json_t *config,
                     struct err *err)
{
    json_t *list = json_array();
    json_object_set_new(config, "Env", list);
    const json_t *image_env = json_object_get(image_config, "Env");
    for (size_t i = 0; i < json_array_size(image_env); i++) {
        const char *assignment = json_string_value(json_array_get(image_env, i));
        if (assignment != NULL && strchr(assignment, '=') != NULL) {
            set_env(list, assignment);
        }
    }
    bool has_path = false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        has_path |= strncmp(json_string_value(json_array_get(list, i)), "PATH=", 5) == 0;
    }
    if (!has_path) {
        json_array_insert_new(list, 0, json_text(default_path));
    }
    int status = 0;
    for (size_t i = 0; status == 0 && i < options->env_file.count; i++) {
        status = read_lines(options->env_file.items[i], list, add_env, err);
    }
    for (size_t i = 0; status == 0 && i < options->env.count; i++) {
        status = add_env(list, options->env.items[i], err);
    }
    return status;
}

static int merge_labels(const struct run_options *options, const json_t *image_config,
                        json_t *config, struct err *err)
{
    json_t *labels = json_object();
    json_object_set_new(config, "Labels", labels);
    const json_t *image_labels = json_object_get(image_config, "Labels");
    if (json_is_object(image_labels)) {
        (void)json_object_update_new(labels, json_deep_copy(image_labels)); /* both are objects */
    }
    int status = 0;
    for (size_t i = 0; status == 0 && i < options->label_file.count; i++) {
        status = read_lines(options->label_file.items[i], labels, add_label, err);
    }
    for (size_t i = 0; status == 0 && i < options->label.count; i++) {
        status = add_label(labels, options->label.items[i], err);
    }
    return status;
}

static json_t *list_or_empty(const json_t *object, const char *key)
{
    const json_t *list = json_object_get(object, key);
    return json_is_array(list) ? json_deep_copy(list) : json_array();
}

/* image-spec: argv is Entrypoint and Cmd; a new entrypoint takes the image's Cmd away. */
static int merge_command(const struct run_options *options, const json_t *image_config,
                         const char *const *command, size_t command_size, json_t *config,
                         struct err *err)
{
    json_t *entrypoint = list_or_empty(image_config, "Entrypoint");
    json_t *arguments = list_or_empty(image_config, "Cmd");
    json_object_set_new(config, "Entrypoint", entrypoint);
    json_object_set_new(config, "Cmd", arguments);
    if (options->entrypoint != NULL) {
        json_array_clear(entrypoint);
        json_array_clear(arguments);
        if (options->entrypoint[0] != '\0') {
            json_array_append_new(entrypoint, json_text(options->entrypoint));
        }
    }
    if (command_size > 0) {
        json_array_clear(arguments);
        for (size_t i = 0; i < command_size; i++) {
            json_array_append_new(arguments, json_text(command[i]));
        }
    }
    if (json_array_size(entrypoint) + json_array_size(arguments) == 0) {
        return err_set(err, ERR_INVALID,
                       "nothing to run: the image has no command, and none was given");
    }
    return 0;
}

/* "80", "80/tcp", "8000-8010/udp" */
static int add_exposed(json_t *ports, const char *text, struct err *err)
{
    char *end = NULL;
    long first = strtol(text, &end, 10);
    long last = first;
    if (*end == '-') {
        last = strtol(end + 1, &end, 10);
    }
    const char *protocol = *end == '/' ? end + 1 : "tcp";
    bool is_known = strcmp(protocol, "tcp") == 0 || strcmp(protocol, "udp") == 0 ||
                    strcmp(protocol, "sctp") == 0;
    if (!isdigit((unsigned char)text[0]) || (*end != '\0' && *end != '/') || first < 1 ||
        last > 65535 || first > last || !is_known) {
        return err_set(err, ERR_INVALID, "invalid port '%.60s'", text);
    }
    for (long port = first; port <= last; port++) {
        CLEANUP(free) char *key = mem_printf("%ld/%s", port, protocol);
        json_object_set_new(ports, key, json_object());
    }
    return 0;
}

static int merge_ports(const struct run_options *options, const json_t *image_config,
                       json_t *config, struct err *err)
{
    json_t *ports = json_object();
    json_object_set_new(config, "ExposedPorts", ports);
    const char *key = NULL;
    json_t *value = NULL;
    json_t *image_ports = json_object_get(image_config, "ExposedPorts");
    json_object_foreach(image_ports, key, value)
    {
        /* An image's odd port must not keep it from running. */
        if (add_exposed(ports, key, NULL) != 0) {
            continue;
        }
    }
    int status = 0;
    for (size_t i = 0; status == 0 && i < options->expose.count; i++) {
        status = add_exposed(ports, options->expose.items[i], err);
    }
    return status;
}

static const char *choose(const char *option, const json_t *image_config, const char *key,
                          const char *fallback)
{
    return option != NULL ? option : json_get_text(image_config, key, fallback);
}

int run_config_merge(const struct run_options *options, const json_t *image_config,
                     const char *const *command, size_t command_size, json_t **ret, struct err *err)
{
    CLEANUP(json) json_t *config = json_object();
    int status;
    if ((status = merge_command(options, image_config, command, command_size, config, err)) != 0 ||
        (status = merge_env(options, image_config, config, err)) != 0 ||
        (status = merge_labels(options, image_config, config, err)) != 0 ||
        (status = merge_ports(options, image_config, config, err)) != 0) {
        return status;
    }
    const char *workdir = choose(options->workdir, image_config, "WorkingDir", "");
    if (workdir[0] != '\0' && workdir[0] != '/') {
        return err_set(err, ERR_INVALID, "the working directory '%.200s' is not an absolute path",
                       workdir);
    }
    json_object_set_new(config, "User", json_text(choose(options->user, image_config, "User", "")));
    json_object_set_new(config, "WorkingDir", json_text(workdir));
    json_object_set_new(
        config, "StopSignal",
        json_text(choose(options->stop_signal, image_config, "StopSignal", "SIGTERM")));
    json_object_set_new(config, "Tty", json_boolean(options->is_tty));
    json_object_set_new(config, "OpenStdin", json_boolean(options->is_interactive));
    json_object_set_new(config, "StdinOnce",
                        json_boolean(options->is_interactive && !options->is_detached));
    if (options->stop_timeout != NULL) {
        json_object_set_new(config, "StopTimeout",
                            json_integer(strtol(options->stop_timeout, NULL, 10)));
    }
    const json_t *volumes = json_object_get(image_config, "Volumes");
    json_object_set_new(config, "Volumes",
                        json_is_object(volumes) ? json_deep_copy(volumes) : json_object());
    const json_t *health = json_object_get(image_config, "Healthcheck");
    if (json_is_object(health) && !options->no_healthcheck) {
        json_object_set_new(config, "Healthcheck", json_deep_copy(health));
    }
    json_object_set_new(config, "Domainname",
                        json_text(options->domainname == NULL ? "" : options->domainname));
    *ret = TAKE_PTR(config);
    return 0;
}
