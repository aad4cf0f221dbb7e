#include "runtime/words/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/words/copy_tree.h"

struct resolve {
    const struct store *store;
    const struct container *container;
    int root_fd;
    json_t *spec;
    json_t *points;
    unsigned anonymous_count;
};

/* Depth in directories: parents are mounted before what lies in them. */
static int depth_of(const char *path)
{
    int depth = 0;
    for (; *path != '\0'; path++) {
        depth += *path == '/' && path[1] != '\0' && path[1] != '/';
    }
    return depth;
}

static void add_mount(struct resolve *resolve, json_t *spec, json_t *point)
{
    int depth = depth_of(json_get_text(spec, "destination", "/"));
    size_t place = json_array_size(resolve->spec);
    while (place > 0 && depth_of(json_get_text(json_array_get(resolve->spec, place - 1),
                                               "destination", "/")) > depth) {
        place--;
    }
    json_array_insert_new(resolve->spec, place, spec);
    json_array_append_new(resolve->points, point);
}

static void add_bind(struct resolve *resolve, const json_t *mount, const char *type,
                     const char *name, const char *source)
{
    bool is_read_only = json_get_flag(mount, "ReadOnly");
    const char *target = json_get_text(mount, "Target", "");
    const char *propagation = json_get_text(mount, "Propagation", "rprivate");
    json_t *spec = json_pack("{ss ss ss s[sss]}", "destination", target, "type", "bind", "source",
                             source, "options", "rbind", propagation, is_read_only ? "ro" : "rw");
    json_t *point = json_pack("{ss ss ss ss ss sb ss}", "Type", type, "Name", name, "Source",
                              source, "Destination", target, "Mode", "", "RW", !is_read_only,
                              "Propagation", propagation);
    add_mount(resolve, spec, point);
}

static int make_path(const char *path, struct err *err)
{
    CLEANUP(close_fd) int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = root < 0 ? -errno : in_root_make_directories(root, path, 0755);
    return status == 0 ? 0 : err_set_errno(err, -status, "create '%s'", path);
}

static int resolve_bind(struct resolve *resolve, const json_t *mount, struct err *err)
{
    const char *source = json_get_text(mount, "Source", "");
    struct stat about;
    if (stat(source, &about) != 0) {
        if (errno != ENOENT || !json_get_flag(mount, "CreateSource")) {
            return err_set_errno(err, errno, "mount '%s'", source);
        }
        int status = make_path(source, err);
        if (status != 0) {
            return status;
        }
    }
    CLEANUP(free) char *real = realpath(source, NULL);
    add_bind(resolve, mount, "bind", "", real == NULL ? source : real);
    return 0;
}

/* A new volume gets what the image has in its place, with its owner and mode. */
static int fill_volume(struct resolve *resolve, const char *data, const char *target,
                       struct err *err)
{
    CLEANUP(close_fd)
    int from = in_root_open(resolve->root_fd, target, O_RDONLY | O_DIRECTORY, 0);
    CLEANUP(close_fd) int to = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct copy_options options = {.has_owner = false};
    if (from < 0) {
        return 0; /* the image has nothing there */
    }
    if (to < 0) {
        return err_set_errno(err, errno, "open '%s'", data);
    }
    return copy_directory(from, to, &options, err);
}

static int resolve_volume(struct resolve *resolve, const json_t *mount, struct err *err)
{
    const char *given = json_get_text(mount, "Source", "");
    char name[140];
    if (given[0] != '\0') {
        (void)snprintf(name, sizeof(name), "%s", given);
    } else {
        /* Belongs to this container; 64 digits as Docker's. */
        (void)snprintf(name, sizeof(name), "%.56s%08x", resolve->container->id,
                       resolve->anonymous_count++);
    }
    CLEANUP(free) char *directory = mem_printf("%s/volumes/%s", resolve->store->root, name);
    CLEANUP(free) char *data = mem_printf("%s/_data", directory);
    CLEANUP(free) char *all = mem_printf("%s/volumes", resolve->store->root);
    if ((mkdir(all, 0711) != 0 && errno != EEXIST) ||
        (mkdir(directory, 0711) != 0 && errno != EEXIST)) {
        return err_set_errno(err, errno, "create volume '%s'", name);
    }
    bool is_new = mkdir(data, 0755) == 0;
    if (!is_new && errno != EEXIST) {
        return err_set_errno(err, errno, "create volume '%s'", name);
    }
    if (is_new && !json_get_flag(mount, "NoCopy")) {
        int status = fill_volume(resolve, data, json_get_text(mount, "Target", ""), err);
        if (status != 0) {
            return err_prefix(err, "fill volume '%s'", name);
        }
    }
    add_bind(resolve, mount, "volume", name, data);
    return 0;
}

static int resolve_tmpfs(struct resolve *resolve, const json_t *mount)
{
    const char *target = json_get_text(mount, "Target", "");
    json_t *options = json_pack("[sss]", "nosuid", "nodev", "noexec");
    const char *given = json_get_text(mount, "Options", "");
    for (const char *at = given; *at != '\0';) {
        size_t size = strcspn(at, ",");
        json_array_append_new(options, json_stringn(at, size));
        at += size + (at[size] == ',' ? 1 : 0);
    }
    add_mount(
        resolve,
        json_pack("{ss ss ss so}", "destination", target, "type", "tmpfs", "source", "tmpfs",
                  "options", options),
        json_pack("{ss ss ss sb}", "Type", "tmpfs", "Source", "", "Destination", target, "RW", 1));
    return 0;
}

static bool has_target(const json_t *mounts, const json_t *tmpfs, const char *target)
{
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        if (strcmp(json_get_text(json_array_get(mounts, i), "Target", ""), target) == 0) {
            return true;
        }
    }
    return json_object_get(tmpfs, target) != NULL;
}

/* The image's VOLUME lines: a path is data of the image, so it is checked like any (CVE-2022-23648
 * was a bind mount of the host by such a path). */
static int resolve_image_volumes(struct resolve *resolve, struct err *err)
{
    const json_t *host = container_host(resolve->container);
    json_t *volumes = json_object_get(container_config(resolve->container), "Volumes");
    const char *path = NULL;
    json_t *value = NULL;
    json_object_foreach(volumes, path, value)
    {
        if (path[0] != '/' || strcmp(path, "/") == 0 || strstr(path, "..") != NULL ||
            has_target(json_object_get(host, "Mounts"), json_object_get(host, "Tmpfs"), path)) {
            continue;
        }
        CLEANUP(json)
        json_t *mount = json_pack("{ss ss ss}", "Type", "volume", "Source", "", "Target", path);
        int status = resolve_volume(resolve, mount, err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

int volumes_resolve(const struct store *store, const struct container *container, int root_fd,
                    json_t **ret_spec, json_t **ret_points, struct err *err)
{
    struct resolve resolve = {
        .store = store,
        .container = container,
        .root_fd = root_fd,
        .spec = json_array(),
        .points = json_array(),
    };
    int status = 0;
    const json_t *mounts = json_object_get(container_host(container), "Mounts");
    for (size_t i = 0; status == 0 && i < json_array_size(mounts); i++) {
        const json_t *mount = json_array_get(mounts, i);
        const char *type = json_get_text(mount, "Type", "");
        if (strcmp(type, "bind") == 0) {
            status = resolve_bind(&resolve, mount, err);
        } else if (strcmp(type, "tmpfs") == 0) {
            status = resolve_tmpfs(&resolve, mount);
        } else {
            status = resolve_volume(&resolve, mount, err);
        }
    }
    if (status == 0) {
        status = resolve_image_volumes(&resolve, err);
    }
    if (status != 0) {
        json_decref(resolve.spec);
        json_decref(resolve.points);
        return status;
    }
    *ret_spec = resolve.spec;
    *ret_points = resolve.points;
    return 0;
}

void volumes_remove_anonymous(const struct store *store, const struct container *container)
{
    CLEANUP(close_fd)
    int fd = openat(store->root_fd, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const json_t *points = json_object_get(container->state, "Mounts");
    for (size_t i = 0; fd >= 0 && i < json_array_size(points); i++) {
        const char *name = json_get_text(json_array_get(points, i), "Name", "");
        if (strlen(name) == CONTAINER_ID_SIZE && strncmp(name, container->id, 56) == 0) {
            int ignored = in_root_remove(fd, name); /* `volume prune` finds what is left */
            (void)ignored;
        }
    }
}
