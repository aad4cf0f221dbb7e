/* build_source.c - what a build takes from elsewhere: images, other stages, directories. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/build/build.h"
#include "runtime/image/image.h"
#include "runtime/image/image_add.h"
#include "runtime/image/json.h"
#include "runtime/words/words.h"

/* ---- images ---- */

/* The layers of an image of the store, with the descriptors of its manifest. */
static int take_present(struct build *build, struct build_stage *stage, const char *name,
                        struct err *err)
{
    CLEANUP(image) struct image image = {.config = NULL};
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(manifest) struct manifest manifest = {.entry_count = 0};
    const char *diff_ids[IMAGE_LAYERS_MAX];
    uint32_t count = 0;
    int status;
    if ((status = image_find(build->store, name, &image, err)) != 0 ||
        (status = image_read_config(build->store, &image, err)) != 0 ||
        (status = image_config_diff_ids(image.config, diff_ids, &count, err)) != 0 ||
        (status = store_blob_read(build->store, image.manifest, STORE_MANIFEST_SIZE_MAX, &text,
                                  err)) != 0 ||
        (status = manifest_parse(buf_bytes(&text), NULL, &manifest, err)) != 0) {
        return status;
    }
    if (count != manifest.entry_count || count != image.layer_count) {
        return err_set(err, ERR_CORRUPT, "image %s is damaged", name);
    }
    struct layer *items = mem_calloc((size_t)count + 1, sizeof(*items));
    for (uint32_t i = 0; i < count; i++) {
        items[i].blob = manifest.entries[i];
        (void)snprintf(items[i].diff_id, sizeof(items[i].diff_id), "%s", diff_ids[i]);
        (void)snprintf(items[i].chain_id, sizeof(items[i].chain_id), "sha256:%s", image.layers[i]);
        items[i].size = i == 0 ? image.size : 0; /* only their sum is known */
    }
    stage->layers.items = items;
    stage->layers.count = count;
    stage->document = json_deep_copy(image.config);
    if (!json_is_object(json_object_get(stage->document, "config"))) {
        json_object_set_new(stage->document, "config", json_object());
    }
    if (!json_is_array(json_object_get(stage->document, "history"))) {
        json_object_set_new(stage->document, "history", json_array());
    }
    (void)snprintf(stage->key, sizeof(stage->key), "%s", image.id);
    (void)snprintf(stage->created, sizeof(stage->created), "%.39s", image.created);
    return 0;
}

/* `kvimage pull`, its progress on standard error. */
static int pull(const struct build *build, const char *name, const char *platform, struct err *err)
{
    char path[PATH_MAX];
    struct reference ignored;
    if (reference_parse(name, &ignored, err) != 0) {
        return ERR_INVALID;
    }
    find_sibling("kvimage", path);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        const char *arguments[8] = {"kvimage", "pull"};
        size_t count = 2;
        if (build->options->is_quiet) {
            arguments[count++] = "--quiet";
        }
        if (platform != NULL) {
            arguments[count++] = "--platform";
            arguments[count++] = platform;
        }
        arguments[count++] = name;
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        (void)execvp(path, (char *const *)(uintptr_t)arguments);
        _exit(EXIT_NOT_FOUND);
    }
    int code = 0;
    while (child > 0 && waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(code) && WEXITSTATUS(code) == 0
               ? 0
               : err_set(err, ERR_NOT_FOUND, "image %s could not be pulled", name);
}

int build_take_image(struct build *build, struct build_stage *stage, const char *name,
                     struct err *err)
{
    const char *platform = stage->platform[0] != '\0' ? stage->platform : build->options->platform;
    int status = build->options->pulls ? ERR_NOT_FOUND : take_present(build, stage, name, err);
    if (status != ERR_NOT_FOUND) {
        return status;
    }
    struct err first = *err;
    status = pull(build, name, platform, err);
    if (status != 0 && build->options->pulls) {
        first.text[0] = '\0';
    }
    if (status != 0 && strstr(first.text, "did you mean") != NULL) {
        return err_set(err, ERR_NOT_FOUND, "%s", first.text);
    }
    return status != 0 ? status : take_present(build, stage, name, err);
}

/* ---- sources ---- */

static int open_context(struct build *build, const char *directory, struct build_source *source,
                        struct err *err)
{
    source->fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)build;
    return source->fd >= 0 ? 0 : err_set_errno(err, errno, "open the context '%s'", directory);
}

static int mount_stage(struct build *build, struct build_stage *stage, struct build_source *source,
                       struct err *err)
{
    source->key = stage->key;
    int status = build_workspace_open(build, stage, &source->workspace, err);
    if (status == 0) {
        source->fd = fcntl(source->workspace.root_fd, F_DUPFD_CLOEXEC, 3);
    }
    return status;
}

int build_source_open(struct build *build, const struct build_stage *stage, const char *from,
                      struct build_source *source, struct err *err)
{
    *source = (struct build_source){.fd = -1};
    if (from == NULL) {
        source->uses_ignore = true;
        source->fd = fcntl(build->options->context_fd, F_DUPFD_CLOEXEC, 3);
        return source->fd >= 0 ? 0 : err_set_errno(err, errno, "open the context");
    }
    uint32_t before = (uint32_t)(stage - build->stages);
    struct build_stage *other = build_find_stage(build, from, before);
    const char *directory = json_get_text(build->options->contexts, from, NULL);
    if (other != NULL && other->is_built) {
        return mount_stage(build, other, source, err);
    }
    if (build_find_stage(build, from, build->stage_count) != NULL) {
        return err_set(err, ERR_INVALID, "--from=%.60s is not an earlier stage", from);
    }
    if (directory != NULL) {
        return open_context(build, directory, source, err);
    }
    if (from[strspn(from, "0123456789")] == '\0' || strcmp(from, "scratch") == 0) {
        return err_set(err, ERR_NOT_FOUND, "--from=%.60s: there is no such stage", from);
    }
    source->image = mem_zalloc(sizeof(*source->image));
    layers_init(&source->image->layers, build->store);
    int status = build_take_image(build, source->image, from, err);
    if (status == 0) {
        status = mount_stage(build, source->image, source, err);
    }
    return status == 0 ? 0 : err_prefix(err, "--from=%.60s", from);
}

void build_source_close(struct build_source *source)
{
    cleanup_close_fd(&source->fd);
    build_workspace_close(&source->workspace);
    if (source->image != NULL) {
        layers_deinit(&source->image->layers);
        json_decref(source->image->document);
        json_decref(source->image->arguments);
        mem_free(source->image);
    }
    *source = (struct build_source){.fd = -1};
}
