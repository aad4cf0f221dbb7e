/* rootfs_cgroup.c - mounts of type cgroup: the container sees its own cgroup and nothing above.
 *
 * Not by mounting the cgroup file system anew (a grace period of 8 ms) but by a clone of the part
 * of the host's mount that is the container's (0.1 ms). */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "runtime/container/kernel.h"
#include "runtime/container/rootfs.h"
#include "runtime/container/target.h"

static int clone_hierarchy(const struct rootfs *rootfs, const struct cgroup_hierarchy *item,
                           const struct mount_options *options, struct err *err)
{
    char path[CGROUP_PATH_SIZE + 128];
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s%s%s", item->name[0] == 0 ? "" : "/",
                   item->name, item->dir >= 0 ? rootfs->cgroup->path : "");
    CLEANUP(close_fd) int fd = rootfs_clone_tree(AT_FDCWD, path, 0);
    if (fd < 0) {
        return err_set_errno(err, -fd, "mount of cgroup '%s'", path);
    }
    int rc = rootfs_set_attributes(fd, options);
    return rc < 0 ? err_set_errno(err, -rc, "mount of cgroup '%s'", path) : TAKE_FD(fd);
}

/* Co-mounted controllers ("cpu,cpuacct") are also found by their single names. */
static int link_names(int directory, const char *name)
{
    if (strchr(name, ',') == NULL) {
        return 0;
    }
    char copy[64];
    (void)snprintf(copy, sizeof copy, "%s", name);
    char *rest = copy;
    for (char *one = strsep(&rest, ","); one != NULL; one = strsep(&rest, ",")) {
        if (symlinkat(name, directory, one) < 0 && errno != EEXIST) {
            return -errno;
        }
    }
    return 0;
}

static int mount_hierarchies(struct rootfs *rootfs, int directory,
                             const struct mount_options *options, struct err *err)
{
    for (size_t i = 0; i < rootfs->cgroup->count; i++) {
        const struct cgroup_hierarchy *item = &rootfs->cgroup->items[i];
        if (mkdirat(directory, item->name, 0555) < 0) {
            return err_set_errno(err, errno, "directory for cgroup '%s'", item->name);
        }
        CLEANUP(close_fd)
        int target = kernel_openat2(directory, item->name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0,
                                    RESOLVE_BENEATH | RESOLVE_NO_XDEV);
        CLEANUP(close_fd)
        int fd = target < 0 ? target : clone_hierarchy(rootfs, item, options, err);
        if (target < 0) {
            return err_set_errno(err, -target, "directory for cgroup '%s'", item->name);
        }
        int rc = fd < 0 ? fd : rootfs_attach_at(rootfs, fd, target, item->name, err);
        if (rc < 0) {
            return rc;
        }
        rc = link_names(directory, item->name);
        if (rc < 0) {
            return err_set_errno(err, -rc, "links for cgroup '%s'", item->name);
        }
    }
    return 0;
}

int rootfs_mount_cgroup(struct rootfs *rootfs, const struct spec_mount *mount,
                        const struct mount_options *options, struct err *err)
{
    CLEANUP(close_fd) int target = target_make(rootfs->root, mount->destination, true, 0, err);
    if (target < 0) {
        return target;
    }
    if (rootfs->cgroup->is_v2_only) {
        CLEANUP(close_fd)
        int fd = clone_hierarchy(rootfs, &rootfs->cgroup->items[0], options, err);
        return fd < 0 ? fd : rootfs_attach_at(rootfs, fd, target, mount->destination, err);
    }
    CLEANUP(close_fd) int directory = rootfs_new_tmpfs("0755", "64k", 0, err);
    if (directory < 0) {
        return directory;
    }
    int rc = rootfs_attach_at(rootfs, directory, target, mount->destination, err);
    if (rc < 0 || (rc = mount_hierarchies(rootfs, directory, options, err)) < 0) {
        return rc;
    }
    struct mount_options own = *options;
    own.propagation = 0;
    rc = rootfs_set_attributes(directory, &own);
    return rc < 0 ? err_set_errno(err, -rc, "mount at '%s'", mount->destination) : 0;
}
