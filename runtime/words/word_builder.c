/* word_builder.c - builder prune: forget what builds remember. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/collect.h"
#include "runtime/image/in_root.h"
#include "runtime/image/store.h"
#include "runtime/words/image_words.h"
#include "runtime/words/options.h"
#include "runtime/words/words.h"

struct prune {
    const char *until; /* only what is older; NULL: all */
    bool is_all, is_forced;
    struct text_list filter;
    int64_t removed;
};

/* Entries of one folder below build/: files of the cache, directories of cache mounts. */
static int prune_folder(const struct store *store, const char *name, int64_t older_than_s,
                        struct prune *prune, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("build/%s", name);
    int fd = openat(store->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    int status = 0;
    if (directory == NULL) {
        return errno == ENOENT ? 0 : err_set_errno(err, errno, "list '%s'", path);
    }
    for (struct dirent *entry; status == 0 && (entry = readdir(directory)) != NULL;) {
        struct stat about;
        if (entry->d_name[0] == '.' ||
            fstatat(fd, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
            about.st_mtim.tv_sec > older_than_s) {
            continue;
        }
        int removed = in_root_remove(fd, entry->d_name);
        status = removed == 0 ? 0 : err_set_errno(err, -removed, "remove '%s'", entry->d_name);
        prune->removed += removed == 0 ? 1 : 0;
    }
    (void)closedir(directory);
    return status;
}

/* until=24h */
static int read_age(const struct text_list *filters, int64_t *ret, struct err *err)
{
    *ret = time(NULL);
    for (size_t i = 0; i < filters->count; i++) {
        const char *text = filters->items[i];
        char unit = '\0';
        long long count = 0;
        if (sscanf(text, "until=%lld%c", &count, &unit) != 2 || strchr("smhd", unit) == NULL) {
            return err_set(err, ERR_INVALID, "--filter: '%.40s' is not until=24h", text);
        }
        *ret -= count * (unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 86400);
    }
    return 0;
}

static int prune_all(struct prune *prune, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(close_fd) int lock = -1;
    int64_t older_than_s = 0;
    int status;
    /* Exclusive: no build is running, whose cache it could be. */
    if ((status = read_age(&prune->filter, &older_than_s, err)) != 0 ||
        (status = store_open(&store, NULL, err)) != 0 ||
        (status = store_lock(&store, STORE_LOCK_EXCLUSIVE, &lock, err)) != 0 ||
        (status = prune_folder(&store, "cache", older_than_s, prune, err)) != 0 ||
        (status = prune_folder(&store, "mounts", older_than_s, prune, err)) != 0) {
        return status;
    }
    cleanup_close_fd(&lock);
    lock = -1;
    struct collect_result result;
    status = collect_garbage(&store, &result, err);
    return status == ERR_BUSY ? 0 : status; /* the next one finds it */
}

int word_builder(int argc, char **argv)
{
    static const struct command command = {
        .usage = "builder prune [OPTIONS]",
        .summary = "Remove the build cache and cache mounts, and layers only they need.",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    struct prune prune = {.until = NULL};
    const struct option_spec specs[] = {
        {'a', "all", OPTION_FLAG, &prune.is_all, NULL, "Accepted; it is always all"},
        {'f', "force", OPTION_FLAG, &prune.is_forced, NULL, "Accepted; nothing is asked"},
        {0, "filter", OPTION_LIST, &prune.filter, "until=24h", "Only what is older"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && strcmp(operands.items[0], "prune") != 0) {
        status = err_set(&err, ERR_INVALID, "builder: '%.40s' is not prune", operands.items[0]);
    }
    if (status == 0) {
        status = prune_all(&prune, &err);
    }
    text_list_deinit(&prune.filter);
    if (status != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    printf("Removed %lld entries of the build cache\n", (long long)prune.removed);
    return 0;
}
