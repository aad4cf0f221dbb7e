/* word_load.c - load, save, import. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/archive.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/words/image_words.h"
#include "runtime/words/options.h"
#include "runtime/words/words.h"

struct loading {
    bool is_quiet;
};

static void print_loaded(void *context, const char *reference, const char *id)
{
    const struct loading *loading = context;
    struct reference name;
    char familiar[REFERENCE_TEXT_MAX + 1];
    if (reference != NULL && reference_parse(reference, &name, NULL) == 0) {
        reference_format_familiar(&name, familiar);
        printf(loading->is_quiet ? "%s\n" : "Loaded image: %s\n", familiar);
        return;
    }
    printf(loading->is_quiet ? "%s\n" : "Loaded image ID: %s\n", id);
}

static int open_input(const char *path, int *ret_fd, struct err *err)
{
    if (path == NULL || strcmp(path, "-") == 0) {
        if (isatty(STDIN_FILENO)) {
            return err_set(err, ERR_INVALID,
                           "standard input is a terminal; name a file, or redirect one");
        }
        *ret_fd = dup(STDIN_FILENO);
    } else {
        *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    return *ret_fd >= 0 ? 0 : err_set_errno(err, errno, "open '%s'", path == NULL ? "-" : path);
}

static int load(const char *path, struct loading *loading, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(close_fd) int fd = -1;
    CLEANUP(close_fd) int lock = -1;
    int status;
    if ((status = open_input(path, &fd, err)) != 0 ||
        (status = store_open(&store, NULL, err)) != 0 ||
        (status = store_lock(&store, STORE_LOCK_SHARED, &lock, err)) != 0) {
        return status;
    }
    struct progress progress;
    progress_init(&progress, loading->is_quiet || !isatty(STDOUT_FILENO) ? NULL : stdout);
    status = archive_load(&store, fd, &progress, print_loaded, loading, err);
    progress_deinit(&progress);
    return status;
}

int word_load(int argc, char **argv)
{
    static const struct command command = {
        .usage = "load [OPTIONS] [FILE]",
        .summary = "Load images from an archive made by save (docker, podman and OCI archives).",
        .examples = "  kvctl load -i busybox.tar\n  gunzip -c image.tar.gz | kvctl load\n",
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    const char *input = NULL;
    struct loading loading = {.is_quiet = false};
    const struct option_spec specs[] = {
        {'i', "input", OPTION_TEXT, &input, "FILE", "Read from a file instead of standard input"},
        {'q', "quiet", OPTION_FLAG, &loading.is_quiet, NULL, "Print only names"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status =
            load(input == NULL && operands.count > 0 ? operands.items[0] : input, &loading, &err);
    }
    return status == 0 ? 0 : word_fail(&err, EXIT_FAILED);
}

/* Written beside the target and renamed, so that a failure leaves no half archive. */
static int save(const char *output, const struct text_list *names, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(close_fd) int lock = -1;
    int status;
    if ((status = store_open(&store, NULL, err)) != 0 ||
        (status = store_lock(&store, STORE_LOCK_SHARED, &lock, err)) != 0) {
        return status;
    }
    uint32_t count = (uint32_t)names->count;
    if (output == NULL) {
        if (isatty(STDOUT_FILENO)) {
            return err_set(err, ERR_INVALID,
                           "standard output is a terminal; use -o FILE, or redirect it");
        }
        return archive_save(&store, names->items, count, STDOUT_FILENO, err);
    }
    CLEANUP(free) char *temporary = mem_printf("%s.%d.tmp", output, (int)getpid());
    CLEANUP(close_fd) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "create '%s'", temporary);
    }
    status = archive_save(&store, names->items, count, fd, err);
    if (status == 0 && (fsync(fd) != 0 || rename(temporary, output) != 0)) {
        status = err_set_errno(err, errno, "write '%s'", output);
    }
    if (status != 0) {
        (void)unlink(temporary);
    }
    return status;
}

int word_save(int argc, char **argv)
{
    static const struct command command = {
        .usage = "save [OPTIONS] IMAGE [IMAGE...]",
        .summary = "Save images to one archive, which docker load and OCI tools read, too.",
        .examples = "  kvctl save -o busybox.tar busybox\n",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    const char *output = NULL;
    const struct option_spec specs[] = {
        {'o', "output", OPTION_TEXT, &output, "FILE", "Write to a file instead of standard output"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = save(output, &operands, &err);
    }
    return status == 0 ? 0 : word_fail(&err, EXIT_FAILED);
}

/* One Dockerfile instruction of `--change`. A value that is a JSON list stands for itself. */
static int apply_change(json_t *config, const char *change, struct err *err)
{
    size_t size = strcspn(change, " \t");
    const char *value = change + size + strspn(change + size, " \t");
    bool is_list_word =
        strncasecmp(change, "CMD", size) == 0 || strncasecmp(change, "ENTRYPOINT", size) == 0;
    if (size == 0 || *value == '\0') {
        return err_set(err, ERR_INVALID, "--change: '%.100s' is not an instruction", change);
    }
    if (is_list_word) {
        json_t *list = NULL;
        if (value[0] != '[' ||
            json_parse_any(bytes_from_text(value), "--change", &list, NULL) != 0 ||
            !json_is_array(list)) {
            json_decref(list);
            list = json_pack("[sss]", "/bin/sh", "-c", value);
        }
        json_object_set_new(config, tolower(change[0]) == 'c' ? "Cmd" : "Entrypoint", list);
    } else if (strncasecmp(change, "ENV", size) == 0) {
        json_t *env = json_object_get(config, "Env");
        if (env == NULL) {
            json_object_set_new(config, "Env", env = json_array());
        }
        json_array_append_new(env, json_text(value));
    } else if (strncasecmp(change, "WORKDIR", size) == 0) {
        json_object_set_new(config, "WorkingDir", json_text(value));
    } else if (strncasecmp(change, "USER", size) == 0) {
        json_object_set_new(config, "User", json_text(value));
    } else if (strncasecmp(change, "STOPSIGNAL", size) == 0) {
        json_object_set_new(config, "StopSignal", json_text(value));
    } else if (strncasecmp(change, "EXPOSE", size) == 0) {
        json_t *ports = json_object_get(config, "ExposedPorts");
        if (ports == NULL) {
            json_object_set_new(config, "ExposedPorts", ports = json_object());
        }
        CLEANUP(free) char *port = mem_printf("%s%s", value, strchr(value, '/') ? "" : "/tcp");
        json_object_set_new(ports, port, json_object());
    } else {
        return err_set(err, ERR_UNSUPPORTED,
                       "--change: '%.*s' is not one of CMD ENTRYPOINT ENV EXPOSE STOPSIGNAL USER "
                       "WORKDIR",
                       (int)size, change);
    }
    return 0;
}

static int import(const struct text_list *operands, const struct text_list *changes,
                  const char *message, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(close_fd) int fd = -1;
    CLEANUP(close_fd) int lock = -1;
    CLEANUP(json) json_t *config = json_object();
    struct reference reference;
    char full[REFERENCE_TEXT_MAX + 1] = "";
    char id[REFERENCE_DIGEST_MAX + 1];
    int status = 0;
    if (operands->count > 1) {
        status = reference_parse(operands->items[1], &reference, err);
        if (status == 0) {
            reference_format(&reference, full);
        }
    }
    for (size_t i = 0; status == 0 && i < changes->count; i++) {
        status = apply_change(config, changes->items[i], err);
    }
    if (status != 0 || (status = open_input(operands->items[0], &fd, err)) != 0 ||
        (status = store_open(&store, NULL, err)) != 0 ||
        (status = store_lock(&store, STORE_LOCK_SHARED, &lock, err)) != 0 ||
        (status = archive_import(&store, fd, config, message, id, err)) != 0) {
        return status;
    }
    if (full[0] != '\0') {
        status = image_names_set(&store, full, id, NULL, err);
    }
    if (status == 0) {
        printf("%s\n", id);
    }
    return status;
}

int word_import(int argc, char **argv)
{
    static const struct command command = {
        .usage = "import [OPTIONS] FILE|- [NAME[:TAG]]",
        .summary = "Make an image of the tar archive of a root file system.",
        .examples = "  kvctl import --change 'CMD [\"sh\"]' rootfs.tar.gz mine:1\n",
        .operands_min = 1,
        .operands_max = 2,
    };
    struct err err = {.code = 0};
    CLEANUP(text_list) struct text_list changes = {NULL, 0};
    const char *message = "imported";
    const struct option_spec specs[] = {
        {'c', "change", OPTION_LIST, &changes, "LINE", "Apply a Dockerfile instruction"},
        {'m', "message", OPTION_TEXT, &message, "TEXT", "Text for the history"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = import(&operands, &changes, message, &err);
    }
    return status == 0 ? 0 : word_fail(&err, EXIT_FAILED);
}
