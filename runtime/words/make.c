#include "runtime/words/make.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/words/event_log.h"
#include "runtime/words/words.h"

/* `kvimage pull`, with its progress on standard error so that -d prints only the id. */
static int pull(const char *image, const struct run_options *options, struct err *err)
{
    char path[PATH_MAX];
    find_sibling("kvimage", path);
    pid_t child = fork();
    if (child == 0) {
        const char *arguments[8] = {"kvimage", "pull"};
        size_t count = 2;
        if (options->is_quiet) {
            arguments[count++] = "--quiet";
        }
        if (options->platform != NULL) {
            arguments[count++] = "--platform";
            arguments[count++] = options->platform;
        }
        arguments[count++] = image;
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        (void)execvp(path, (char *const *)(uintptr_t)arguments);
        _exit(EXIT_NOT_FOUND);
    }
    int code = 0;
    while (child > 0 && waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    if (child < 0 || !WIFEXITED(code) || WEXITSTATUS(code) != 0) {
        return err_set(err, ERR_NOT_FOUND, "image %s could not be pulled", image);
    }
    return 0;
}

static int find_image(const struct store *store, const char *name,
                      const struct run_options *options, struct image *ret, struct err *err)
{
    const char *when = options->pull == NULL ? "missing" : options->pull;
    if (strcmp(when, "missing") != 0 && strcmp(when, "always") != 0 && strcmp(when, "never") != 0) {
        return err_set(err, ERR_INVALID, "--pull: '%.60s' is not one of always, missing, never",
                       when);
    }
    int status = strcmp(when, "always") == 0 ? ERR_NOT_FOUND : image_find(store, name, ret, err);
    if (status == 0 && !image_is_whole(store, ret)) {
        image_deinit(ret);
        status =
            err_set(err, ERR_NOT_FOUND,
                    "image %s was damaged when the machine stopped; load or pull it again", name);
    }
    if (status == ERR_NOT_FOUND && strcmp(when, "never") != 0) {
        struct err first = *err;
        struct reference ignored;
        if (reference_parse(name, &ignored, err) != 0) {
            return ERR_INVALID;
        }
        if (strcmp(when, "missing") == 0) {
            fprintf(stderr, "Unable to find image '%s' locally\n", name);
        }
        status = pull(name, options, err);
        if (status == 0) {
            status = image_find(store, name, ret, err);
        } else if (strstr(first.text, "did you mean") != NULL) {
            (void)err_set(err, ERR_NOT_FOUND, "%s", first.text);
        }
    }
    if (status == 0) {
        status = image_read_config(store, ret, err);
    }
    return status;
}

static void set_image(struct container *container, const struct image *image, const char *name)
{
    json_t *layers = json_array();
    char now[40];
    for (uint32_t i = 0; i < image->layer_count; i++) {
        json_array_append_new(layers, json_text(image->layers[i]));
    }
    format_now(now);
    json_object_set_new(container->document, "layers", layers);
    json_object_set_new(container->document, "Image", json_text(image->id));
    json_object_set_new(container->document, "ImageName", json_text(name));
    json_object_set_new(container->document, "Created", json_text(now));
}

/* Without --hostname the first twelve digits of the id, as in Docker. */
static void set_hostname(struct container *container, const struct run_options *options,
                         json_t *config)
{
    char name[256];
    if (options->hostname != NULL) {
        (void)snprintf(name, sizeof(name), "%s", options->hostname);
    } else if (options->network != NULL && strcmp(options->network, "host") == 0) {
        (void)gethostname(name, sizeof(name));
    } else {
        (void)snprintf(name, sizeof(name), "%.12s", container->id);
    }
    json_object_set_new(config, "Hostname", json_text(name));
}

static int write_cidfile(const char *path, const char *id, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, id, strlen(id)) != (ssize_t)strlen(id)) {
        return err_set_errno(err, errno, "write the id to '%s'", path);
    }
    return 0;
}

static void patch(json_t *object, const json_t *changes)
{
    if (changes != NULL) {
        (void)json_object_update(object, (json_t *)(uintptr_t)changes); /* both are objects */
    }
}

int make_container(const struct store *store, const struct make_input *input,
                   struct container *container, struct err *err)
{
    const struct run_options *options = input->options;
    CLEANUP(image) struct image image = {.config = NULL};
    CLEANUP(json) json_t *config = NULL;
    CLEANUP(json) json_t *host = NULL;
    CLEANUP(close_fd) int lock = -1;
    int status = run_host_config(options, &host, err);
    if (status != 0 || (status = store_lock(store, STORE_LOCK_SHARED, &lock, err)) != 0 ||
        (status = find_image(store, input->image, options, &image, err)) != 0 ||
        (status = run_config_merge(options, json_object_get(image.config, "config"), input->command,
                                   input->command_size, &config, err)) != 0 ||
        (status = container_new(store, options->name, container, err)) != 0) {
        return status;
    }
    set_image(container, &image, input->image);
    set_hostname(container, options, config);
    patch(config, input->config_patch);
    patch(host, input->host_patch);
    json_object_set(container->document, "Config", config);
    json_object_set(container->document, "HostConfig", host);
    status = container_write_document(container, !options->is_removed, err);
    if (status == 0) {
        status = container_write_state(container, err);
    }
    if (status == 0) {
        event_log(store, container, "create", NULL, NULL);
    }
    if (status == 0 && options->cidfile != NULL) {
        status = write_cidfile(options->cidfile, container->id, err);
    }
    if (status != 0) {
        int ignored = container_remove_files(store, container, NULL);
        (void)ignored;
        container_close(container);
    }
    return status;
}
