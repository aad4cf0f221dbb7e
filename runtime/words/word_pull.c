/* word_pull.c - pull and push. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/transfer.h"
#include "runtime/words/image_words.h"
#include "runtime/words/options.h"
#include "runtime/words/words.h"

struct pull_options {
    bool is_quiet;
    bool is_insecure;
    const char *platform;
};

static int pull(const char *name, const struct pull_options *options, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(close_fd) int lock = -1;
    struct reference reference;
    struct platform platform;
    struct progress progress;
    struct transfer_result result;
    char familiar[REFERENCE_TEXT_MAX + 1];
    platform_of_machine(&platform);
    int status = reference_parse(name, &reference, err);
    if (status == 0 && options->platform != NULL) {
        status = platform_parse(options->platform, &platform, err);
    }
    if (status != 0 || (status = store_open(&store, NULL, err)) != 0 ||
        (status = store_lock(&store, STORE_LOCK_SHARED, &lock, err)) != 0) {
        return status;
    }
    reference_format_familiar(&reference, familiar);
    if (!options->is_quiet) {
        printf("%s: Pulling from %s\n", reference.tag[0] != '\0' ? reference.tag : reference.digest,
               reference.path);
        (void)fflush(stdout);
    }
    progress_init(&progress, options->is_quiet ? NULL : stdout);
    status =
        transfer_pull(&store, &reference, &platform, options->is_insecure, &progress, &result, err);
    progress_deinit(&progress);
    if (status != 0) {
        return err_prefix(err, "pull %s", familiar);
    }
    if (options->is_quiet) {
        printf("%s\n", familiar);
        return 0;
    }
    printf("Digest: %s\nStatus: %s %s\n%s\n", result.digest,
           result.was_present ? "Image is up to date for" : "Downloaded newer image for", familiar,
           familiar);
    return 0;
}

int word_pull(int argc, char **argv)
{
    static const struct command command = {
        .usage = "pull [OPTIONS] NAME[:TAG|@DIGEST]",
        .summary = "Get an image from a registry.",
        .examples = "  kvctl pull busybox\n  kvctl pull localhost:5000/mine:1\n",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    struct pull_options options = {.platform = NULL};
    const struct option_spec specs[] = {
        {'q', "quiet", OPTION_FLAG, &options.is_quiet, NULL, "No progress"},
        {0, "platform", OPTION_TEXT, &options.platform, "OS/ARCH[/VARIANT]", "For another machine"},
        {0, "insecure", OPTION_FLAG, &options.is_insecure, NULL, "Plain HTTP is acceptable"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = pull(operands.items[0], &options, &err);
    }
    return status == 0 ? 0 : word_fail(&err, EXIT_FAILED);
}

static int push(const char *name, bool is_quiet, bool is_insecure, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(close_fd) int lock = -1;
    struct reference reference;
    struct progress progress;
    struct transfer_result result;
    int status = reference_parse(name, &reference, err);
    if (status == 0 && reference.tag[0] == '\0') {
        status = err_set(err, ERR_INVALID, "push needs a tag");
    }
    if (status != 0 || (status = store_open(&store, NULL, err)) != 0 ||
        (status = store_lock(&store, STORE_LOCK_SHARED, &lock, err)) != 0) {
        return status;
    }
    if (!is_quiet) {
        printf("The push refers to repository [%s/%s]\n", reference.host, reference.path);
        (void)fflush(stdout);
    }
    progress_init(&progress, is_quiet ? NULL : stdout);
    status = transfer_push(&store, &reference, is_insecure, &progress, &result, err);
    progress_deinit(&progress);
    if (status != 0) {
        return err_prefix(err, "push %s", name);
    }
    if (is_quiet) {
        printf("%s/%s:%s\n", reference.host, reference.path, reference.tag);
    } else {
        printf("%s: digest: %s size: %lld\n", reference.tag, result.digest,
               (long long)result.manifest_size);
    }
    return 0;
}

int word_push(int argc, char **argv)
{
    static const struct command command = {
        .usage = "push [OPTIONS] NAME[:TAG]",
        .summary = "Send an image to a registry.",
        .examples =
            "  kvctl tag mine:1 localhost:5000/mine:1\n  kvctl push localhost:5000/mine:1\n",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    bool is_quiet = false;
    bool is_insecure = false;
    const struct option_spec specs[] = {
        {'q', "quiet", OPTION_FLAG, &is_quiet, NULL, "No progress"},
        {0, "insecure", OPTION_FLAG, &is_insecure, NULL, "Plain HTTP is acceptable"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = push(operands.items[0], is_quiet, is_insecure, &err);
    }
    return status == 0 ? 0 : word_fail(&err, EXIT_FAILED);
}
