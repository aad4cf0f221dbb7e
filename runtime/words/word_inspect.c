#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/words/container.h"
#include "runtime/words/container_words.h"
#include "runtime/words/format.h"
#include "runtime/words/health.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/options.h"
#include "runtime/words/words.h"

static json_t *copy_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value == NULL ? json_null() : json_deep_copy(value);
}

static json_t *describe_state(struct container *container)
{
    enum container_status status = container_refresh(container);
    const json_t *state = container->state;
    return json_pack("{ss sb sb sb sb sb sI sI ss ss ss}", "Status", container_status_text(status),
                     "Running", status == CONTAINER_RUNNING || status == CONTAINER_PAUSED, "Paused",
                     status == CONTAINER_PAUSED, "Restarting", status == CONTAINER_RESTARTING,
                     "OOMKilled", json_get_flag(state, "OOMKilled"), "Dead",
                     status == CONTAINER_DEAD, "Pid", (json_int_t)container_pid(container),
                     "ExitCode", (json_int_t)json_get_integer(state, "ExitCode", 0), "Error",
                     json_get_text(state, "Error", ""), "StartedAt",
                     json_get_text(state, "StartedAt", "0001-01-01T00:00:00Z"), "FinishedAt",
                     json_get_text(state, "FinishedAt", "0001-01-01T00:00:00Z"));
}

static json_t *describe_networks(const struct container *container)
{
    json_t *networks = json_object_get(container->state, "Networks");
    const json_t *ports = json_object_get(container->state, "Ports");
    void *first = json_object_iter(networks);
    const json_t *network = first == NULL ? NULL : json_object_iter_value(first);
    return json_pack("{ss ss ss sI so so}", "IPAddress", json_get_text(network, "IPAddress", ""),
                     "Gateway", json_get_text(network, "Gateway", ""), "MacAddress",
                     json_get_text(network, "MacAddress", ""), "IPPrefixLen",
                     (json_int_t)json_get_integer(network, "IPPrefixLen", 0), "Ports",
                     ports == NULL ? json_object() : json_deep_copy(ports), "Networks",
                     networks == NULL ? json_object() : json_deep_copy(networks));
}

/* What runs: the first word of Entrypoint and Cmd, and the rest. */
static void set_command(const struct container *container, json_t *out)
{
    json_t *arguments = json_array();
    json_array_extend(arguments, json_object_get(container_config(container), "Entrypoint"));
    json_array_extend(arguments, json_object_get(container_config(container), "Cmd"));
    const char *path = json_string_value(json_array_get(arguments, 0));
    json_object_set_new(out, "Path", json_text(path == NULL ? "" : path));
    json_array_remove(arguments, 0);
    json_object_set_new(out, "Args", arguments);
}

static void set_path(const struct container *container, json_t *out, const char *key,
                     const char *file)
{
    CLEANUP(free) char *path = mem_printf("%s/%s", container->directory, file);
    json_object_set_new(out, key, json_text(path));
}

static json_t *describe_container(struct container *container)
{
    CLEANUP(free) char *name = mem_printf("/%s", container_name(container));
    json_t *state = describe_state(container);
    json_t *health = health_describe(container);
    if (health != NULL) {
        json_object_set_new(state, "Health", health);
    }
    json_t *config = copy_of(container->document, "Config");
    if (json_is_object(config)) {
        json_object_set(config, "Image", json_object_get(container->document, "ImageName"));
    }
    json_t *out = json_pack("{ss ss}", "Id", container->id, "Created",
                            json_get_text(container->document, "Created", ""));
    set_command(container, out);
    json_object_set_new(out, "State", state);
    json_object_set_new(out, "Image", copy_of(container->document, "Image"));
    set_path(container, out, "ResolvConfPath", "resolv.conf");
    set_path(container, out, "HostnamePath", "hostname");
    set_path(container, out, "HostsPath", "hosts");
    set_path(container, out, "LogPath", "container.log");
    json_object_set_new(out, "Name", json_text(name));
    json_object_set_new(out, "RestartCount",
                        json_integer(json_get_integer(container->state, "RestartCount", 0)));
    json_object_set_new(out, "Driver", json_text("overlay"));
    json_object_set_new(out, "Platform", json_text("linux"));
    json_object_set_new(out, "HostConfig", copy_of(container->document, "HostConfig"));
    const json_t *mounts = json_object_get(container->state, "Mounts");
    json_object_set_new(out, "Mounts", mounts == NULL ? json_array() : json_deep_copy(mounts));
    json_object_set_new(out, "Config", config);
    json_object_set_new(out, "NetworkSettings", describe_networks(container));
    return out;
}

static void add_names(const struct store *store, const struct image *image, json_t *tags,
                      json_t *digests)
{
    CLEANUP(image_names) struct image_names names = {.count = 0};
    if (image_names_read(store, &names, NULL) != 0) {
        return;
    }
    for (uint32_t i = 0; i < names.count; i++) {
        const struct image_name *name = &names.items[i];
        struct reference reference;
        char text[REFERENCE_TEXT_MAX + 1];
        if (strcmp(name->id, image->id) != 0 ||
            reference_parse(name->reference, &reference, NULL) != 0) {
            continue;
        }
        if (reference.tag[0] != '\0') {
            reference_format_familiar(&reference, text);
            json_array_append_new(tags, json_text(text));
        }
        if (name->repository_digest[0] != '\0') {
            reference.tag[0] = '\0';
            (void)snprintf(reference.digest, sizeof(reference.digest), "%s",
                           name->repository_digest);
            reference_format_familiar(&reference, text);
            json_array_append_new(digests, json_text(text));
        }
    }
}

static json_t *describe_image(const struct store *store, const struct image *image)
{
    const json_t *config = image->config;
    const json_t *rootfs = json_object_get(config, "rootfs");
    json_t *tags = json_array();
    json_t *digests = json_array();
    add_names(store, image, tags, digests);
    return json_pack("{ss so so ss ss ss ss ss sI so s{ss so}}", "Id", image->id, "RepoTags", tags,
                     "RepoDigests", digests, "Created", image->created, "Author",
                     json_get_text(config, "author", ""), "Architecture",
                     json_get_text(config, "architecture", ""), "Variant",
                     json_get_text(config, "variant", ""), "Os", json_get_text(config, "os", ""),
                     "Size", (json_int_t)image->size, "Config", copy_of(config, "config"), "RootFS",
                     "Type", "layers", "Layers", copy_of(rootfs, "diff_ids"));
}

struct inspect {
    const struct store *store;
    const char *type;
    const char *format;
    json_t *results;
};

static int inspect_one(struct inspect *inspect, const char *name, struct err *err)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    CLEANUP(image) struct image image = {.config = NULL};
    json_t *result = NULL;
    int status = ERR_NOT_FOUND;
    if (inspect->type == NULL || strcmp(inspect->type, "container") == 0) {
        status = container_find(inspect->store, name, &container, err);
        if (status == 0) {
            result = describe_container(&container);
        }
    }
    if (status == ERR_NOT_FOUND && (inspect->type == NULL || strcmp(inspect->type, "image") == 0)) {
        status = image_find(inspect->store, name, &image, err);
        if (status == ERR_NOT_FOUND && inspect->type == NULL) {
            return err_set(err, ERR_NOT_FOUND, "no such container or image: %s", name);
        }
        if (status == 0) {
            status = image_read_config(inspect->store, &image, err);
        }
        if (status == 0) {
            result = describe_image(inspect->store, &image);
        }
    }
    if (status != 0) {
        return status;
    }
    if (inspect->format != NULL) {
        format_row(inspect->format, result);
        json_decref(result);
    } else {
        json_array_append_new(inspect->results, result);
    }
    return 0;
}

int word_inspect(int argc, char **argv)
{
    static const struct command command = {
        .usage = "inspect [OPTIONS] NAME|ID [NAME|ID...]",
        .summary = "Everything about containers and images, as JSON in docker's shape.",
        .examples =
            "  kvctl inspect web\n  kvctl inspect -f '{{.NetworkSettings.IPAddress}}' web\n",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    struct inspect inspect = {.type = NULL};
    bool has_size = false;
    const struct option_spec specs[] = {
        {'f', "format", OPTION_TEXT, &inspect.format, "TEMPLATE", "json, or '{{.State.Status}}'"},
        {0, "type", OPTION_TEXT, &inspect.type, "TYPE", "container or image"},
        {'s', "size", OPTION_FLAG, &has_size, NULL, "Accepted; sizes are always there"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(json) json_t *results = json_array();
    int code = 0;
    if (options_parse(&command, specs, argc, argv, &operands, &err) != 0 ||
        store_open(&store, NULL, &err) != 0 || lifecycle_reconcile(&store, &err) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    inspect.store = &store;
    inspect.results = results;
    for (size_t i = 0; i < operands.count; i++) {
        if (inspect_one(&inspect, operands.items[i], &err) != 0) {
            code = word_fail(&err, EXIT_FAILED);
        }
    }
    if (inspect.format == NULL) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        json_write(results, true, &text);
        printf("%s\n", buf_text(&text));
    }
    return code;
}
