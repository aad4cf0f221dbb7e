/* word_system.c - system prune, system df: what takes disk space, and giving it back. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/image_words.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/options.h"
#include "runtime/words/table.h"
#include "runtime/words/words.h"

enum { DEPTH_MAX = 256 };

/* Bytes on disk below a directory. Links are not followed; the depth is that of real trees. */
static int64_t tree_size(int parent_fd, const char *name, int depth)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 || depth > DEPTH_MAX ? NULL : fdopendir(fd);
    int64_t size = 0;
    if (directory == NULL) {
        cleanup_close_fd(&fd);
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        size += (int64_t)about.st_blocks * 512;
        size += S_ISDIR(about.st_mode) ? tree_size(fd, entry->d_name, depth + 1) : 0;
    }
    (void)closedir(directory);
    return size;
}

struct tally {
    const struct store *store;
    long count;
    long active;
    int64_t size;
    int64_t reclaimable;
};

static int tally_container(struct container *container, void *context)
{
    struct tally *tally = context;
    enum container_status now = container_refresh(container);
    bool is_active =
        now == CONTAINER_RUNNING || now == CONTAINER_PAUSED || now == CONTAINER_RESTARTING;
    int64_t size = tree_size(container->directory_fd, "upper", 0);
    tally->count++;
    tally->active += is_active;
    tally->size += size;
    tally->reclaimable += is_active ? 0 : size;
    return 0;
}

struct image_use {
    const char *id;
    bool is_used;
};

static int find_image_use(struct container *container, void *context)
{
    struct image_use *use = context;
    use->is_used |= strcmp(json_get_text(container->document, "Image", ""), use->id) == 0;
    return use->is_used;
}

static int tally_images(const struct store *store, struct tally *tally, struct err *err)
{
    char(*ids)[REFERENCE_DIGEST_MAX + 1] = NULL;
    uint32_t count = 0;
    int status = image_list(store, &ids, &count, err);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        CLEANUP(image) struct image image = {.config = NULL};
        struct image_use use = {.id = ids[i]};
        if (image_open(store, ids[i], &image, NULL) != 0) {
            continue; /* removed meanwhile */
        }
        status = container_list(store, find_image_use, &use, err);
        status = status > 0 ? 0 : status;
        tally->count++;
        tally->active += use.is_used;
        tally->reclaimable += use.is_used ? 0 : image.size;
    }
    mem_free(ids);
    tally->size = tree_size(store->root_fd, "layers", 0) + tree_size(store->root_fd, "oci", 0);
    return status;
}

static void tally_volumes(const struct store *store, struct tally *tally)
{
    int fd = openat(store->root_fd, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        tally->count += entry->d_name[0] != '.';
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    tally->size = tree_size(store->root_fd, "volumes", 0);
}

static void add_tally(struct table *table, const char *type, const struct tally *tally)
{
    char count[24];
    char active[24];
    char size[16];
    char reclaimable[16];
    (void)snprintf(count, sizeof(count), "%ld", tally->count);
    (void)snprintf(active, sizeof(active), "%ld", tally->active);
    format_size(tally->size, size);
    format_size(tally->reclaimable, reclaimable);
    table_add(table, (const char *[]){type, count, active, size, reclaimable});
}

static int show_use(const struct store *store, struct err *err)
{
    static const char *const titles[] = {"TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"};
    struct tally images = {.store = store};
    struct tally containers = {.store = store};
    struct tally volumes = {.store = store};
    int status = tally_images(store, &images, err);
    if (status == 0) {
        status = container_list(store, tally_container, &containers, err);
    }
    if (status != 0) {
        return status;
    }
    tally_volumes(store, &volumes);
    struct table table;
    table_init(&table, titles, 5);
    add_tally(&table, "Images", &images);
    add_tally(&table, "Containers", &containers);
    add_tally(&table, "Local Volumes", &volumes);
    table_print(&table);
    table_deinit(&table);
    return 0;
}

/* Those that do not run; one that cannot be removed must not keep the others. */
static int prune_container(struct container *container, void *context)
{
    const struct store *store = context;
    struct err err;
    CLEANUP(close_fd) int lock = -1;
    if (container_lock(container, &lock, &err) != 0) {
        return 0;
    }
    int ignored = container_read_state(container, &err);
    (void)ignored; /* a damaged one is to go as well */
    enum container_status now = container_refresh(container);
    if (now != CONTAINER_CREATED && now != CONTAINER_EXITED && now != CONTAINER_DEAD) {
        return 0;
    }
    if (lifecycle_remove(store, container, true, &err) == 0) {
        printf("%s\n", container->id);
    } else {
        (void)word_fail(&err, EXIT_FAILED);
    }
    return 0;
}

static int prune(const struct store *store, bool has_volumes, struct err *err)
{
    struct store copy = *store;
    int64_t bytes = 0;
    char text[16];
    int status = container_list(store, prune_container, &copy, err);
    if (status == 0) {
        status = networks_prune(store, err);
    }
    if (status == 0 && has_volumes) {
        status = volumes_prune(store, err);
    }
    if (status == 0) {
        status = images_prune(store, &bytes, err);
    }
    if (status == 0) {
        format_size(bytes, text);
        printf("Total reclaimed space of images: %s\n", text);
    }
    return status;
}

int word_system(int argc, char **argv)
{
    static const struct command command = {
        .usage = "system prune|df [OPTIONS]",
        .summary = "Remove what is not in use: containers that have ended, networks without "
                   "members, images without a name. df: what takes how much.",
        .examples = "  kvctl system df\n  kvctl system prune --volumes\n",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    bool has_volumes = false;
    bool is_forced = false;
    const struct option_spec specs[] = {
        {0, "volumes", OPTION_FLAG, &has_volumes, NULL, "prune: volumes that nobody uses as well"},
        {'f', "force", OPTION_FLAG, &is_forced, NULL, "prune: accepted, nothing is asked"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = store_open(&store, NULL, &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    if (strcmp(operands.items[0], "df") == 0) {
        status = show_use(&store, &err);
    } else if (strcmp(operands.items[0], "prune") == 0) {
        status = prune(&store, has_volumes, &err);
    } else {
        status =
            err_set(&err, ERR_INVALID, "system: '%.40s' is not one of prune df", operands.items[0]);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}
