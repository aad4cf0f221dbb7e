#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/build/build.h"
#include "runtime/image/image.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/words/image_words.h"
#include "runtime/words/mount_root.h"
#include "runtime/words/options.h"
#include "runtime/words/words.h"

struct build_words {
    const char *file, *target, *network, *iidfile, *platform, *progress;
    bool has_no_cache, is_quiet, pulls, removes;
    struct text_list tag, argument, label;
};

/* NAME=VALUE; for arguments NAME alone takes our environment's value. */
static void fill_pairs(const struct text_list *list, json_t *object)
{
    for (size_t i = 0; i < list->count; i++) {
        CLEANUP(free) char *name = mem_strdup(list->items[i]);
        char *equals = strchr(name, '=');
        if (equals != NULL) {
            *equals = '\0';
        }
        const char *value = equals != NULL ? equals + 1 : getenv(name);
        if (value != NULL) {
            json_object_set_new(object, name, json_text(value));
        }
    }
}

static int read_file(const char *path, struct buf *out, struct err *err)
{
    CLEANUP(close_fd)
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open '%s'", path);
    }
    for (;;) {
        ssize_t count = read(fd, buf_reserve(out, 65536), 65536);
        if (count < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "read '%s'", path);
        }
        if (count == 0) {
            return 0;
        }
        buf_commit(out, count < 0 ? 0 : (size_t)count);
        if (buf_size(out) > DOCKERFILE_SIZE_MAX) {
            return err_set(err, ERR_TOO_LARGE, "'%s' is too large", path);
        }
    }
}

/* -f FILE, else Dockerfile or Containerfile of the context. */
static int read_dockerfile(const struct build_words *words, const char *context, struct buf *out,
                           struct err *err)
{
    static const char *const names[] = {"Dockerfile", "dockerfile", "Containerfile"};
    if (words->file != NULL) {
        return read_file(words->file, out, err);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CLEANUP(free) char *path = mem_printf("%s/%s", context, names[i]);
        if (access(path, F_OK) == 0) {
            return read_file(path, out, err);
        }
    }
    return err_set(err, ERR_NOT_FOUND, "there is no Dockerfile in '%s'; name one with -f", context);
}

static void read_ignore(const struct build_words *words, int context_fd, struct buf *out)
{
    CLEANUP(free)
    char *own = mem_printf("%s.dockerignore", words->file == NULL ? "Dockerfile" : words->file);
    if (in_root_read_file(context_fd, own, DOCKERFILE_SIZE_MAX, out) != 0) {
        int ignored = in_root_read_file(context_fd, ".dockerignore", DOCKERFILE_SIZE_MAX, out);
        (void)ignored; /* without one nothing is left out */
    }
}

static int name_image(const struct store *store, const struct build_words *words, const char *id,
                      struct err *err)
{
    for (size_t i = 0; i < words->tag.count; i++) {
        struct reference reference;
        char full[REFERENCE_TEXT_MAX + 1];
        int status = reference_parse(words->tag.items[i], &reference, err);
        if (status == 0) {
            reference_format(&reference, full);
            status = image_names_set(store, full, id, NULL, err);
        }
        if (status != 0) {
            return status;
        }
        if (!words->is_quiet) {
            reference_format_familiar(&reference, full);
            printf("Successfully tagged %s\n", full);
        }
    }
    return 0;
}

static int build(const struct build_words *words, const char *context, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(close_fd) int lock = -1;
    CLEANUP(buf) struct buf dockerfile = BUF_INIT;
    CLEANUP(buf) struct buf ignore = BUF_INIT;
    CLEANUP(json) json_t *arguments = json_object();
    CLEANUP(json) json_t *labels = json_object();
    CLEANUP(close_fd) int context_fd = open(context, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char id[REFERENCE_DIGEST_MAX + 1];
    if (context_fd < 0) {
        return err_set_errno(err, errno, "open the build context '%s'", context);
    }
    for (size_t i = 0; i < words->tag.count; i++) {
        struct reference reference;
        int status = reference_parse(words->tag.items[i], &reference, err);
        if (status != 0) {
            return status;
        }
    }
    fill_pairs(&words->argument, arguments);
    fill_pairs(&words->label, labels);
    read_ignore(words, context_fd, &ignore);
    const struct build_options options = {
        .context_fd = context_fd,
        .target = words->target,
        .arguments = arguments,
        .labels = labels,
        .network = words->network,
        .has_no_cache = words->has_no_cache,
        .is_quiet = words->is_quiet,
    };
    int status;
    /* Isolated before the store is opened: a rename does not cross from one namespace's mount to
     * another's. */
    if ((status = read_dockerfile(words, context, &dockerfile, err)) != 0 ||
        (status = mount_root_isolate(err)) != 0 || (status = store_open(&store, NULL, err)) != 0 ||
        (status = store_lock(&store, STORE_LOCK_SHARED, &lock, err)) != 0 ||
        (status = build_image(&store, &options, buf_bytes(&dockerfile), buf_bytes(&ignore), id,
                              err)) != 0) {
        return status;
    }
    if (words->is_quiet) {
        printf("%s\n", id);
    } else {
        printf("Successfully built %.12s\n", digest_hex(id));
    }
    return name_image(&store, words, id, err);
}

int word_build(int argc, char **argv)
{
    static const struct command command = {
        .usage = "build [OPTIONS] DIRECTORY",
        .summary = "Build an image from a Dockerfile.",
        .examples = "  kvctl build -t mine:1 .\n  kvctl build --build-arg V=2 --target test -f "
                    "Dockerfile.ci .\n",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    struct build_words words = {.file = NULL};
    const struct option_spec specs[] = {
        {'t', "tag", OPTION_LIST, &words.tag, "NAME[:TAG]", "Name of the image"},
        {'f', "file", OPTION_TEXT, &words.file, "FILE", "The Dockerfile, - for standard input"},
        {0, "build-arg", OPTION_LIST, &words.argument, "NAME=VALUE", "Value of an ARG"},
        {0, "target", OPTION_TEXT, &words.target, "STAGE", "Stop at this stage"},
        {0, "label", OPTION_LIST, &words.label, "NAME=VALUE", "Label of the image"},
        {0, "no-cache", OPTION_FLAG, &words.has_no_cache, NULL, "Do every step again"},
        {0, "network", OPTION_TEXT, &words.network, "NETWORK", "Of RUN: bridge, host, none"},
        {'q', "quiet", OPTION_FLAG, &words.is_quiet, NULL, "Print only the id"},
        {0, "rm", OPTION_FLAG, &words.removes, NULL, "Accepted; nothing is left in any case"},
        {0, "progress", OPTION_TEXT, &words.progress, "KIND", "Accepted; it is always plain"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = build(&words, operands.items[0], &err);
    }
    text_list_deinit(&words.tag);
    text_list_deinit(&words.argument);
    text_list_deinit(&words.label);
    return status == 0 ? 0 : word_fail(&err, EXIT_FAILED);
}
