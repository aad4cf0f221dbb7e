/* images.c - the images of services: built or pulled by kvimage. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose.h"
#include "runtime/compose/service.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/words/words.h"

int run_sibling(const char *program, const struct text_list *arguments, bool to_stderr,
                int *ret_code, struct err *err)
{
    char path[PATH_MAX];
    CLEANUP(text_list) struct text_list all = {NULL, 0};
    text_list_add(&all, program);
    for (size_t i = 0; i < arguments->count; i++) {
        text_list_add(&all, arguments->items[i]);
    }
    text_list_add(&all, NULL);
    find_sibling(program, path);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (to_stderr) {
            (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        }
        (void)execvp(path, (char *const *)(uintptr_t)all.items);
        _exit(EXIT_NOT_FOUND);
    }
    int code = 0;
    while (child > 0 && waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    if (child < 0) {
        return err_set_errno(err, errno, "start %s", program);
    }
    *ret_code = WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
    return 0;
}

int images_pull(const char *image, const char *platform, bool is_quiet, struct err *err)
{
    CLEANUP(text_list) struct text_list arguments = {NULL, 0};
    int code = 0;
    text_list_add(&arguments, "pull");
    if (is_quiet) {
        text_list_add(&arguments, "--quiet");
    }
    if (platform != NULL) {
        text_list_add(&arguments, "--platform");
        text_list_add(&arguments, platform);
    }
    text_list_add(&arguments, image);
    int status = run_sibling("kvimage", &arguments, true, &code, err);
    return status != 0 || code == 0
               ? status
               : err_set(err, ERR_NOT_FOUND, "image %s could not be pulled", image);
}

/* ---- building ---- */

static void add_option(struct arena *arena, struct text_list *arguments, const char *option,
                       const char *value)
{
    if (value != NULL) {
        text_list_add(arguments, option);
        text_list_add(arguments, arena_strdup(arena, value));
    }
}

static void add_pairs(struct arena *arena, struct text_list *arguments, const char *option,
                      json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(object, name, value)
    {
        const char *text = json_string_value(value);
        add_option(arena, arguments, option,
                   text == NULL ? name : arena_printf(arena, "%s=%s", name, text));
    }
}

/* A secret's file, or its variable, as `build --secret` takes it. */
static void add_secrets(struct compose *compose, struct text_list *arguments, const json_t *list)
{
    const json_t *known = json_object_get(compose->project.document, "secrets");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *source = json_get_text(item, "source", "");
        const json_t *secret = json_object_get(known, source);
        const char *id = json_get_text(item, "target", source);
        const char *file = json_get_text(secret, "file", NULL);
        const char *variable = json_get_text(secret, "environment", NULL);
        add_option(&compose->arena, arguments, "--secret",
                   file != NULL ? arena_printf(&compose->arena, "id=%s,src=%s", id, file)
                                : arena_printf(&compose->arena, "id=%s,env=%s", id,
                                               variable == NULL ? "" : variable));
    }
}

static void add_lists(struct compose *compose, struct text_list *arguments, const json_t *build)
{
    struct arena *arena = &compose->arena;
    const json_t *tags = json_object_get(build, "tags");
    const json_t *platforms = json_object_get(build, "platforms");
    for (size_t i = 0; i < json_array_size(tags); i++) {
        add_option(arena, arguments, "--tag", json_string_value(json_array_get(tags, i)));
    }
    if (json_array_size(platforms) > 0) {
        add_option(arena, arguments, "--platform", json_string_value(json_array_get(platforms, 0)));
    }
    add_pairs(arena, arguments, "--build-arg", json_object_get(build, "args"));
    add_pairs(arena, arguments, "--label", json_object_get(build, "labels"));
    add_pairs(arena, arguments, "--build-context", json_object_get(build, "additional_contexts"));
    add_secrets(compose, arguments, json_object_get(build, "secrets"));
}

/* The text of dockerfile_inline in a file that kvimage reads. */
static char *write_inline(struct compose *compose, const char *text, struct err *err)
{
    char *path = mem_printf("%s/ingest-dockerfile-XXXXXX", compose->store.root);
    CLEANUP(close_fd) int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        int ignored = err_set_errno(err, errno, "write the inline Dockerfile");
        (void)ignored; /* NULL tells it */
        mem_free(path);
        return NULL;
    }
    return path;
}

int images_build(struct compose *compose, const char *name, const struct images_options *options,
                 struct err *err)
{
    struct arena *arena = &compose->arena;
    const json_t *service = compose_service(compose, name);
    json_t *build = json_object_get(service, "build");
    const char *context = json_get_text(build, "context", ".");
    const char *file = json_get_text(build, "dockerfile", NULL);
    const char *text = json_get_text(build, "dockerfile_inline", NULL);
    CLEANUP(text_list) struct text_list arguments = {NULL, 0};
    CLEANUP(free) char *inline_path = NULL;
    int code = 0;
    text_list_add(&arguments, "build");
    add_option(arena, &arguments, "--tag", service_image(service));
    if (text != NULL) {
        inline_path = write_inline(compose, text, err);
        if (inline_path == NULL) {
            return err->code;
        }
        add_option(arena, &arguments, "--file", inline_path);
    } else if (file != NULL) {
        add_option(arena, &arguments, "--file",
                   file[0] == '/' ? file : arena_printf(arena, "%s/%s", context, file));
    }
    add_option(arena, &arguments, "--target", json_get_text(build, "target", NULL));
    add_option(arena, &arguments, "--network", json_get_text(build, "network", NULL));
    add_lists(compose, &arguments, build);
    for (size_t i = 0; options->arguments != NULL && i < options->arguments->count; i++) {
        add_option(arena, &arguments, "--build-arg", options->arguments->items[i]);
    }
    if (options->has_no_cache || json_get_flag(build, "no_cache")) {
        text_list_add(&arguments, "--no-cache");
    }
    if (options->pulls_base || json_get_flag(build, "pull")) {
        text_list_add(&arguments, "--pull");
    }
    if (options->is_quiet) {
        text_list_add(&arguments, "--quiet");
    }
    text_list_add(&arguments, context);
    int status = run_sibling("kvimage", &arguments, true, &code, err);
    if (inline_path != NULL) {
        (void)unlink(inline_path);
    }
    return status != 0 || code == 0
               ? status
               : err_set(err, ERR_IO, "services.%s: the image could not be built", name);
}

/* ---- what is missing ---- */

static bool is_there(struct compose *compose, const char *name)
{
    struct image image = {.config = NULL};
    struct err ignored;
    bool is_found = image_find(&compose->store, name, &image, &ignored) == 0;
    if (is_found) {
        image_deinit(&image);
    }
    return is_found;
}

static enum images_when when_of(const json_t *service, const struct images_options *options)
{
    const char *policy = json_get_text(service, "pull_policy", "missing");
    if (options->has_pulls) {
        return options->pulls;
    }
    return strcmp(policy, "always") == 0 || strncmp(policy, "every_", 6) == 0 ||
                   strcmp(policy, "daily") == 0 || strcmp(policy, "weekly") == 0
               ? IMAGES_ALWAYS
           : strcmp(policy, "never") == 0 ? IMAGES_NEVER
                                          : IMAGES_MISSING;
}

static int ensure(struct compose *compose, const char *name, const json_t *service,
                  const struct images_options *options, struct err *err)
{
    const char *image = service_image(service);
    bool can_build = json_object_get(service, "build") != NULL;
    bool is_present = is_there(compose, image);
    enum images_when when = when_of(service, options);
    bool must_build = can_build && strcmp(json_get_text(service, "pull_policy", ""), "build") == 0;
    if (can_build && !options->never_builds && (options->builds || must_build || !is_present)) {
        return images_build(compose, name, options, err);
    }
    if (is_present && (when != IMAGES_ALWAYS || can_build)) {
        return 0;
    }
    if (when == IMAGES_NEVER || can_build) {
        return err_set(err, ERR_NOT_FOUND, "services.%s: there is no image %s", name, image);
    }
    compose_say(compose, "Service", name, "Pulling");
    int status =
        images_pull(image, json_get_text(service, "platform", NULL), options->is_quiet, err);
    return status == 0 ? 0 : err_prefix(err, "services.%s", name);
}

int images_ensure(struct compose *compose, const json_t *services,
                  const struct images_options *options, struct err *err)
{
    CLEANUP(json) json_t *done = json_object();
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach((json_t *)(uintptr_t)services, name, service)
    {
        const char *image = service_image(service);
        if (json_object_get(done, image) != NULL || service_scale(service) == 0) {
            continue;
        }
        int status = ensure(compose, name, service, options, err);
        if (status != 0) {
            return status;
        }
        json_object_set_new(done, image, json_true());
    }
    return 0;
}
