#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/words/container.h"
#include "runtime/words/container_words.h"
#include "runtime/words/copy_tree.h"
#include "runtime/words/mount_root.h"
#include "runtime/words/options.h"
#include "runtime/words/words.h"

/* One side of a copy. */
struct side {
    int root_fd;      /* what the path is resolved in: a container's root, or ours */
    const char *path; /* absolute in there */
    bool is_container;
    char *own_path; /* of our side, made absolute; owned */
};

/* "CONTAINER:PATH"; a path of ours begins with / or . or has no colon. */
static const char *split_container(const char *text, char name[CONTAINER_NAME_MAX + 1])
{
    const char *colon = strchr(text, ':');
    if (text[0] == '/' || text[0] == '.' || colon == NULL ||
        (size_t)(colon - text) > CONTAINER_NAME_MAX) {
        return NULL;
    }
    (void)snprintf(name, CONTAINER_NAME_MAX + 1, "%.*s", (int)(colon - text), text);
    return colon + 1;
}

/* The root as the container's processes see it, or the mount of one that does not run. */
static int open_container_root(const struct store *store, const char *name, int *ret_fd,
                               struct err *err)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    int status = container_find(store, name, &container, err);
    if (status != 0) {
        return status;
    }
    enum container_status now = container_refresh(&container);
    if (now == CONTAINER_RUNNING || now == CONTAINER_PAUSED) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/root", (int)container_pid(&container));
        *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *ret_fd >= 0 ? 0 : err_set_errno(err, errno, "open the files of container %s", name);
    }
    status = mount_root_isolate(err);
    return status != 0 ? status : mount_root(store, &container, ret_fd, err);
}

static int open_side(const struct store *store, const char *text, struct side *side,
                     struct err *err)
{
    char name[CONTAINER_NAME_MAX + 1];
    const char *path = split_container(text, name);
    *side = (struct side){.root_fd = -1};
    if (path != NULL) {
        side->is_container = true;
        side->path = path;
        return open_container_root(store, name, &side->root_fd, err);
    }
    char here[PATH_MAX];
    if (getcwd(here, sizeof(here)) == NULL) {
        return err_set_errno(err, errno, "find the working directory");
    }
    side->own_path = text[0] == '/' ? mem_strdup(text) : mem_printf("%s/%s", here, text);
    side->path = side->own_path;
    side->root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return side->root_fd >= 0 ? 0 : err_set_errno(err, errno, "open /");
}

static void close_side(struct side *side)
{
    cleanup_close_fd(&side->root_fd);
    mem_free(side->own_path);
}

static bool has_suffix(const char *text, const char *suffix)
{
    size_t size = strlen(text);
    size_t length = strlen(suffix);
    return size >= length && strcmp(text + size - length, suffix) == 0;
}

static int open_directory(const struct side *side, const char *path)
{
    return in_root_open(side->root_fd, path, O_RDONLY | O_DIRECTORY, 0);
}

/* docker cp: "dir/." copies what is in it; an existing target directory takes the source's name. */
static int copy(const struct side *from, const struct side *to, bool keeps_owner, struct err *err)
{
    const struct copy_options options = {.has_owner = !keeps_owner,
                                         .uid = to->is_container ? 0 : geteuid(),
                                         .gid = to->is_container ? 0 : getegid()};
    CLEANUP(close_fd) int target = open_directory(to, to->path);
    if (has_suffix(from->path, "/.") || strcmp(from->path, "/") == 0) {
        CLEANUP(close_fd) int source = open_directory(from, from->path);
        if (source < 0) {
            return err_set_errno(err, -source, "open '%s'", from->path);
        }
        if (target < 0) {
            int made = in_root_make_directories(to->root_fd, to->path, 0755);
            target = made == 0 ? open_directory(to, to->path) : made;
        }
        return target < 0 ? err_set_errno(err, -target, "open '%s'", to->path)
                          : copy_directory(source, target, &options, err);
    }
    char source_name[NAME_MAX + 1];
    char target_name[NAME_MAX + 1];
    CLEANUP(close_fd)
    int source =
        in_root_open_parent(from->root_fd, from->path, false, source_name, sizeof(source_name));
    if (source < 0) {
        return err_set_errno(err, -source, "open '%s'", from->path);
    }
    if (target >= 0) {
        return copy_entry(source, source_name, target, source_name, &options, err);
    }
    if (has_suffix(to->path, "/")) {
        return err_set(err, ERR_NOT_FOUND, "'%s' is not a directory", to->path);
    }
    CLEANUP(close_fd)
    int parent =
        in_root_open_parent(to->root_fd, to->path, false, target_name, sizeof(target_name));
    if (parent < 0) {
        return err_set_errno(err, -parent, "open the directory of '%s'", to->path);
    }
    return copy_entry(source, source_name, parent, target_name, &options, err);
}

int word_cp(int argc, char **argv)
{
    static const struct command command = {
        .usage = "cp [OPTIONS] CONTAINER:PATH PATH | PATH CONTAINER:PATH",
        .summary = "Copy files from or to a container, running or not.",
        .examples = "  kvctl cp web:/etc/hosts .\n  kvctl cp site/. web:/srv/www\n",
        .operands_min = 2,
        .operands_max = 2,
    };
    struct err err = {.code = 0};
    bool keeps_owner = false;
    bool is_quiet = false;
    const struct option_spec specs[] = {
        {'a', "archive", OPTION_FLAG, &keeps_owner, NULL, "Keep owners"},
        {'q', "quiet", OPTION_FLAG, &is_quiet, NULL, "Accepted; nothing is printed"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    struct side from = {.root_fd = -1};
    struct side to = {.root_fd = -1};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = store_open(&store, NULL, &err)) == 0 &&
        (status = open_side(&store, operands.items[0], &from, &err)) == 0) {
        status = open_side(&store, operands.items[1], &to, &err);
    }
    if (status == 0 && from.is_container == to.is_container) {
        status =
            err_set(&err, ERR_INVALID, "one side must be CONTAINER:PATH, the other a path here");
    }
    if (status == 0) {
        status = copy(&from, &to, keeps_owner, &err);
    }
    close_side(&from);
    close_side(&to);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}
