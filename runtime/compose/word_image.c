/* word_image.c - build, pull, push: the images of services. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/compose/compose_words.h"
#include "runtime/compose/service.h"
#include "runtime/image/json.h"
#include "runtime/words/words.h"

typedef int for_image(struct compose *compose, const char *name, const json_t *service,
                      const struct images_options *options, struct err *err);

static int build_one(struct compose *compose, const char *name, const json_t *service,
                     const struct images_options *options, struct err *err)
{
    return json_object_get(service, "build") == NULL ? 0
                                                     : images_build(compose, name, options, err);
}

static int pull_one(struct compose *compose, const char *name, const json_t *service,
                    const struct images_options *options, struct err *err)
{
    const char *image = json_get_text(service, "image", NULL);
    if (image == NULL || (json_object_get(service, "build") != NULL && !options->builds)) {
        return 0;
    }
    compose_say(compose, "Service", name, "Pulling");
    int status =
        images_pull(image, json_get_text(service, "platform", NULL), options->is_quiet, err);
    if (status != 0 && options->ignores_failures) {
        fprintf(stderr, "kvctl: warning: %s\n", err->text);
        return 0;
    }
    return status;
}

static int push_one(struct compose *compose, const char *name, const json_t *service,
                    const struct images_options *options, struct err *err)
{
    const char *image = json_get_text(service, "image", NULL);
    CLEANUP(text_list) struct text_list arguments = {NULL, 0};
    int code = 0;
    if (image == NULL || json_object_get(service, "build") == NULL) {
        return 0;
    }
    compose_say(compose, "Service", name, "Pushing");
    text_list_add(&arguments, "push");
    text_list_add(&arguments, image);
    int status = run_sibling("kvimage", &arguments, true, &code, err);
    if (status == 0 && code != 0 && !options->ignores_failures) {
        status = err_set(err, ERR_IO, "services.%s: image %s could not be pushed", name, image);
    }
    return status;
}

struct image_words {
    struct images_options images;
    bool includes_deps;
    const char *progress;
    struct text_list argument;
};

static int run(const struct compose_options *options, const struct command *command, int argc,
               char **argv, for_image *act)
{
    struct err err = {.code = 0};
    struct image_words words = {.progress = NULL};
    const struct option_spec specs[] = {
        {'q', "quiet", OPTION_FLAG, &words.images.is_quiet, NULL, "No progress"},
        {0, "no-cache", OPTION_FLAG, &words.images.has_no_cache, NULL, "build: every step again"},
        {0, "pull", OPTION_FLAG, &words.images.pulls_base, NULL, "build: newer base images"},
        {0, "build-arg", OPTION_LIST, &words.argument, "NAME=VALUE", "build: value of an ARG"},
        {0, "progress", OPTION_TEXT, &words.progress, "KIND", "Accepted"},
        {0, "include-deps", OPTION_FLAG, &words.includes_deps, NULL, "What they depend on, too"},
        {0, "with-dependencies", OPTION_FLAG, &words.includes_deps, NULL, "Same"},
        {0, "ignore-pull-failures", OPTION_FLAG, &words.images.ignores_failures, NULL, "Go on"},
        {0, "ignore-push-failures", OPTION_FLAG, &words.images.ignores_failures, NULL, "Go on"},
        {0, "ignore-buildable", OPTION_FLAG, &words.images.never_builds, NULL, "Accepted"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int status = options_parse(command, specs, argc, argv, &names, &err);
    words.images.arguments = &words.argument;
    if (status == 0 && (status = compose_open(&compose, options, &names, false, &err)) == 0 &&
        (status = compose_check_names(&compose, &names, &err)) == 0) {
        CLEANUP(json) json_t *chosen = compose_choose(&compose, &names, !words.includes_deps);
        const char *name = NULL;
        json_t *service = NULL;
        json_object_foreach(chosen, name, service)
        {
            status = status == 0 ? act(&compose, name, service, &words.images, &err) : status;
        }
    }
    text_list_deinit(&words.argument);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

int compose_word_build(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose build [OPTIONS] [SERVICE...]",
        .summary = "Build the images of services.",
        .operands_max = 1000,
    };
    return run(options, &command, argc, argv, build_one);
}

int compose_word_pull(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose pull [OPTIONS] [SERVICE...]",
        .summary = "Get the images of services.",
        .operands_max = 1000,
    };
    return run(options, &command, argc, argv, pull_one);
}

int compose_word_push(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose push [OPTIONS] [SERVICE...]",
        .summary = "Send the images of services to their registries.",
        .operands_max = 1000,
    };
    return run(options, &command, argc, argv, push_one);
}
