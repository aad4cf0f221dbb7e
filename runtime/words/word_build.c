#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    const char *file, *target, *network, *iidfile, *platform, *progress, *output;
    bool has_no_cache, is_quiet, pulls, removes, is_accepted;
    struct text_list tag, argument, label, secret, context, ignored;
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

/* -f FILE, below the context or here; else Dockerfile or Containerfile of the context. *ret_name:
 * as it is called in messages. */
static int read_dockerfile(const struct build_words *words, const char *context, struct buf *out,
                           char **ret_name, struct err *err)
{
    static const char *const names[] = {"Dockerfile", "dockerfile", "Containerfile"};
    if (words->file != NULL) {
        *ret_name = mem_strdup(strcmp(words->file, "-") == 0 ? "Dockerfile" : words->file);
        return read_file(words->file, out, err);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CLEANUP(free) char *path = mem_printf("%s/%s", context, names[i]);
        if (access(path, F_OK) == 0) {
            *ret_name = mem_strdup(strcmp(context, ".") == 0 ? names[i] : path);
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

/* id=NAME[,src=FILE|,env=VARIABLE]; without either the file NAME. */
static int fill_secrets(const struct text_list *list, json_t *secrets, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        CLEANUP(free) char *copy = mem_strdup(list->items[i]);
        char *rest = copy;
        const char *id = NULL;
        const char *file = NULL;
        const char *env = NULL;
        for (char *field; (field = strsep(&rest, ",")) != NULL;) {
            char *value = strchr(field, '=');
            if (value == NULL) {
                return err_set(err, ERR_INVALID, "--secret: '%.80s' is not id=NAME,src=FILE",
                               list->items[i]);
            }
            *value++ = '\0';
            id = strcmp(field, "id") == 0 ? value : id;
            file = strcmp(field, "src") == 0 || strcmp(field, "source") == 0 ? value : file;
            env = strcmp(field, "env") == 0 ? value : env;
        }
        if (id == NULL) {
            return err_set(err, ERR_INVALID, "--secret: '%.80s' has no id", list->items[i]);
        }
        json_object_set_new(secrets, id,
                            env != NULL && file == NULL
                                ? json_pack("{ss}", "env", env)
                                : json_pack("{ss}", "file", file == NULL ? id : file));
    }
    return 0;
}

/* --output: type=tar,dest=FILE; type=local,dest=DIR; DIR; - for an archive on standard output. */
static int open_output(const char *text, struct build_options *options, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(text == NULL ? "" : text);
    const char *type = strcmp(copy, "-") == 0 ? "tar" : "local";
    const char *path = strchr(copy, '=') == NULL ? copy : "-";
    char *rest = copy;
    options->output_fd = -1;
    if (text == NULL) {
        return 0;
    }
    if (strchr(text, '=') != NULL) {
        for (char *field; (field = strsep(&rest, ",")) != NULL;) {
            type = strncmp(field, "type=", 5) == 0 ? field + 5 : type;
            path = strncmp(field, "dest=", 5) == 0 ? field + 5 : path;
        }
    }
    if (strcmp(type, "image") == 0 || strcmp(type, "docker") == 0) {
        return 0; /* that is what a build does anyway */
    }
    bool is_tar = strcmp(type, "tar") == 0;
    if (!is_tar && strcmp(type, "local") != 0) {
        return err_set(err, ERR_UNSUPPORTED, "--output: type '%.40s' is none of local, tar, image",
                       type);
    }
    options->output_kind = is_tar ? "tar" : "local";
    if (!is_tar && mkdir(path, 0755) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "create '%s'", path);
    }
    options->output_fd = is_tar && strcmp(path, "-") == 0 ? dup(STDOUT_FILENO)
                         : is_tar ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
                                  : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    options->is_quiet |= is_tar && strcmp(path, "-") == 0;
    return options->output_fd >= 0 ? 0 : err_set_errno(err, errno, "open '%s'", path);
}

/* Of --build-arg or the environment. */
static int read_epoch(const json_t *arguments, int64_t *ret, struct err *err)
{
    const char *own = getenv("SOURCE_DATE_EPOCH");
    const char *text = json_get_text(arguments, "SOURCE_DATE_EPOCH", own);
    char *end = NULL;
    *ret = text == NULL ? -1 : strtoll(text, &end, 10);
    return text == NULL || (end != text && *end == '\0' && *ret >= 0)
               ? 0
               : err_set(err, ERR_INVALID, "SOURCE_DATE_EPOCH: '%.40s' is no time", text);
}

static int check_tags(const struct build_words *words, struct err *err)
{
    for (size_t i = 0; i < words->tag.count; i++) {
        struct reference reference;
        int status = reference_parse(words->tag.items[i], &reference, err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int write_iidfile(const char *path, const char *id, struct err *err)
{
    CLEANUP(close_fd)
    int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (path != NULL && (fd < 0 || write(fd, id, strlen(id)) != (ssize_t)strlen(id))) {
        return err_set_errno(err, errno, "write '%s'", path);
    }
    return 0;
}

static int run_build(const struct build_words *words, const char *context,
                     struct build_options *options, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(close_fd) int lock = -1;
    CLEANUP(buf) struct buf dockerfile = BUF_INIT;
    CLEANUP(buf) struct buf ignore = BUF_INIT;
    CLEANUP(free) char *name = NULL;
    char id[REFERENCE_DIGEST_MAX + 1];
    read_ignore(words, options->context_fd, &ignore);
    int status;
    if ((status = read_dockerfile(words, context, &dockerfile, &name, err)) != 0 ||
        (status = store_open(&store, NULL, err)) != 0 ||
        (status = store_lock(&store, STORE_LOCK_SHARED, &lock, err)) != 0) {
        return status;
    }
    options->file_name = name;
    status = build_image(&store, options, buf_bytes(&dockerfile), buf_bytes(&ignore), id, err);
    if (status != 0) {
        return status;
    }
    if (options->is_quiet && options->output_kind == NULL) {
        printf("%s\n", id);
    } else if (!options->is_quiet) {
        printf("Successfully built %.12s\n", digest_hex(id));
    }
    status = write_iidfile(words->iidfile, id, err);
    return status != 0 ? status : name_image(&store, words, id, err);
}

static bool wants_terminal(const struct build_words *words)
{
    const char *kind = words->progress == NULL ? "auto" : words->progress;
    return strcmp(kind, "tty") == 0 || (strcmp(kind, "auto") == 0 && isatty(STDOUT_FILENO) != 0);
}

static int build(const struct build_words *words, const char *context, struct err *err)
{
    CLEANUP(json) json_t *arguments = json_object();
    CLEANUP(json) json_t *labels = json_object();
    CLEANUP(json) json_t *secrets = json_object();
    CLEANUP(json) json_t *contexts = json_object();
    /* Isolated before the store and the context are opened: neither a rename nor a bind mount
     * crosses from one namespace's mounts to another's. */
    int isolated = mount_root_isolate(err);
    CLEANUP(close_fd) int context_fd = open(context, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (isolated != 0 || context_fd < 0) {
        return isolated != 0 ? isolated
                             : err_set_errno(err, errno, "open the build context '%s'", context);
    }
    fill_pairs(&words->argument, arguments);
    fill_pairs(&words->label, labels);
    fill_pairs(&words->context, contexts);
    struct build_options options = {
        .context_fd = context_fd,
        .target = words->target,
        .arguments = arguments,
        .labels = labels,
        .secrets = secrets,
        .contexts = contexts,
        .network = words->network,
        .platform = words->platform,
        .pulls = words->pulls,
        .has_no_cache = words->has_no_cache,
        .is_quiet =
            words->is_quiet || (words->progress != NULL && strcmp(words->progress, "quiet") == 0),
        .is_terminal = wants_terminal(words),
        .output_fd = -1,
    };
    int status;
    if ((status = check_tags(words, err)) == 0 &&
        (status = fill_secrets(&words->secret, secrets, err)) == 0 &&
        (status = read_epoch(arguments, &options.epoch_s, err)) == 0 &&
        (status = open_output(words->output, &options, err)) == 0) {
        status = run_build(words, context, &options, err);
    }
    cleanup_close_fd(&options.output_fd);
    return status;
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
        {0, "progress", OPTION_TEXT, &words.progress, "KIND", "auto, plain, tty, quiet"},
        {0, "secret", OPTION_LIST, &words.secret, "id=NAME,src=FILE",
         "For RUN --mount=type=secret"},
        {0, "build-context", OPTION_LIST, &words.context, "NAME=DIR", "For COPY --from=NAME"},
        {'o', "output", OPTION_TEXT, &words.output, "DIR",
         "Files of the result: type=tar|local,dest="},
        {0, "platform", OPTION_TEXT, &words.platform, "OS/ARCH", "Of images that are pulled"},
        {0, "pull", OPTION_FLAG, &words.pulls, NULL, "Newer base images"},
        {0, "iidfile", OPTION_TEXT, &words.iidfile, "FILE", "Write the id to a file"},
        {0, "cache-from", OPTION_LIST, &words.ignored, "IMAGE", "Accepted; there is one cache"},
        {0, "cache-to", OPTION_LIST, &words.ignored, "PLACE", "Accepted; there is one cache"},
        {0, "load", OPTION_FLAG, &words.is_accepted, NULL, "Accepted; images are in the store"},
        {0, "force-rm", OPTION_FLAG, &words.is_accepted, NULL, "Accepted"},
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
    text_list_deinit(&words.secret);
    text_list_deinit(&words.context);
    text_list_deinit(&words.ignored);
    return status == 0 ? 0 : word_fail(&err, EXIT_FAILED);
}
